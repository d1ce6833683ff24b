"""DuckDB: one process at a time, and rows arrive as JSON documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import (
    Database,
    keys_by_query,
    stored_by_query,
    update_from,
)
from airflow_provider_cleanlist.warehouse.dialects.json_unnest import DOCUMENT, JsonUnnest
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, NamedType

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement

_OF_VALUE = re.compile("NOT NULL|CHECK|foreign key")
_REFERRING_KEYS = """
SELECT concat(schema_name, '.', table_name), constraint_name
FROM duckdb_constraints()
WHERE constraint_type = 'FOREIGN KEY' AND lower(referenced_table) = lower(:name)
AND COALESCE(:place, current_schema()) IN (schema_name, concat(database_name, '.', schema_name))
ORDER BY 1, 2
"""
# Its functions of windows take no notice of a collation, and its catalog tells one only in the statement of the table.
_STORED_FORMS = """
SELECT c.column_name, CASE
WHEN c.data_type <> 'VARCHAR' THEN concat('CAST({} AS ', c.data_type, ')')
WHEN regexp_matches(t.sql, concat('[(,] ?"?', regexp_escape(replace(c.column_name, '"', '""')), '"? VARCHAR COLLATE '))
THEN NULL
ELSE '{}' END
FROM duckdb_columns() c JOIN duckdb_tables() t ON t.table_oid = c.table_oid AND t.database_oid = c.database_oid
WHERE lower(c.table_name) = lower(:name)
AND (c.database_name = current_database() AND lower(c.schema_name) = lower(COALESCE(:place, current_schema()))
OR lower(concat(c.database_name, '.', c.schema_name)) = lower(:place))
"""


def _prepare(connection: Any) -> None:
    """Take names for tables only, never for variables of Python."""
    connection.execute("SET python_enable_replacements = false")


def _class_name(error: Any) -> str:
    return type(error).__name__


def _category(error: Any) -> str:
    """Return the class; all constraints share one, so the text shows which of them a single value broke."""
    name = _class_name(error)
    return "ValueConstraint" if name == "ConstraintException" and _OF_VALUE.search(str(error)) else name


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], _: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ as bytes of text, which every type has and no collation folds."""
    stored, given = (sa.func.encode(sa.cast(value, sa.Text())) for value in (old, new))
    return stored.is_distinct_from(given)


DUCKDB = Database(
    name="duckdb",
    types=DatabaseTypes(json=NamedType("JSON")),
    errors=ErrorCodes(
        code=_class_name,
        category=_category,
        missing=any_of("CatalogException"),
        configuration=any_of("CatalogException BinderException ParserException PermissionException"),
        data=any_of("ConversionException OutOfRangeException InvalidInputException ValueConstraint"),
        harmless=any_of("CatalogException TransactionException"),
    ),
    prepare=_prepare,
    ignores_case=True,
    insert=JsonUnnest(
        f"(SELECT unnest(from_json(:{DOCUMENT}, '[[\"VARCHAR\"]]')) AS cells) AS batch",
        first=1,
        max_bytes=16_000_000,
    ),
    counts_affected=False,
    stored_forms=stored_by_query(_STORED_FORMS),
    text_form="CAST({} AS VARCHAR)",
    referring_keys=keys_by_query(_REFERRING_KEYS),
    update=update_from,
    differs=_differs,
)
