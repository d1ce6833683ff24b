"""Column types, as each database has them.

SQLAlchemy's own types are right for most; what is listed here is where its choice would cut values, lose time
zones, or make texts equal that differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.type_api import TypeEngine

    from airflow_provider_cleanlist.warehouse.spec import ColumnType

    _UserDefined = sa.types.UserDefinedType[Any]
    _Function = FunctionElement[Any]
else:  # classes of SQLAlchemy 1.4 take no parameters
    _UserDefined = sa.types.UserDefinedType
    _Function = FunctionElement

KEY_LENGTH = 255
"""Longest key where keys are indexed: three of them fit into an index of MySQL."""
MSSQL_KEY_LENGTH = 220
"""Two of them fit into the 900 bytes of a clustered index of SQL Server."""

_EXACT = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}
_MSSQL_EXACT = "Latin1_General_100_BIN2"


class Named(_UserDefined):
    """A type by the name that the database knows it by; values go in as they are.

    Args:
        name: What stands in DDL.
    """

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return what stands in DDL."""
        return self.name


def _with_variants(default: TypeEngine[Any], variants: Mapping[str, TypeEngine[Any]]) -> TypeEngine[Any]:
    for dialect, variant in variants.items():
        default = default.with_variant(variant, dialect)
    return default


_DOCUMENT: Mapping[str, TypeEngine[Any]] = {
    "mysql": mysql.LONGTEXT(**_EXACT),
    "mariadb": mysql.LONGTEXT(**_EXACT),
    "mssql": sa.NVARCHAR(None),
    "redshift": Named("VARCHAR(max)"),
    "trino": sa.VARCHAR(),
}
"""Text of any length where ``Text`` is shorter, deprecated or not what people query."""

_JSON_TEXT: Mapping[str, TypeEngine[Any]] = {
    **_DOCUMENT,
    "postgresql": postgresql.JSONB(),
    "duckdb": Named("JSON"),
}

TYPES: Mapping[ColumnType, TypeEngine[Any]] = {
    "text": _with_variants(sa.Text(), {**_DOCUMENT, "oracle": sa.VARCHAR(4000)}),
    "integer": sa.BigInteger(),
    "float": _with_variants(
        sa.Float(53),
        {
            "snowflake": sa.FLOAT(),
            "bigquery": Named("FLOAT64"),
            "databricks": Named("DOUBLE"),
            "oracle": Named("BINARY_DOUBLE"),
            "trino": Named("DOUBLE"),
        },
    ),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "timestamp": _with_variants(
        sa.DateTime(timezone=True),
        {
            "mysql": mysql.DATETIME(fsp=6),
            "mariadb": mysql.DATETIME(fsp=6),
            "snowflake": Named("TIMESTAMP_TZ"),
            "bigquery": sa.TIMESTAMP(),
            "databricks": Named("TIMESTAMP"),
            "oracle": sa.TIMESTAMP(timezone=True),
            "trino": Named("TIMESTAMP(6) WITH TIME ZONE"),
        },
    ),
    "json": _with_variants(
        sa.Text(),
        {
            **_JSON_TEXT,
            "snowflake": Named("VARIANT"),
            "bigquery": Named("JSON"),
            "redshift": Named("SUPER"),
        },
    ),
}
"""Types of the target's columns."""

DOCUMENT = _with_variants(sa.Text(), _DOCUMENT)
"""Text of any length everywhere."""

KEY_TEXT = _with_variants(
    sa.Text(),
    {
        **_DOCUMENT,
        "mysql": mysql.VARCHAR(KEY_LENGTH, **_EXACT),
        "mariadb": mysql.VARCHAR(KEY_LENGTH, **_EXACT),
        "mssql": sa.NVARCHAR(MSSQL_KEY_LENGTH, collation=_MSSQL_EXACT),
        "oracle": sa.VARCHAR(KEY_LENGTH),
    },
)
"""Text in a key: compared byte by byte, and short enough for an index where there is one."""

_JSON_PARSERS = {"snowflake": "PARSE_JSON", "bigquery": "PARSE_JSON", "redshift": "JSON_PARSE"}


def staged(kind: ColumnType) -> TypeEngine[Any]:
    """Return the type of a staging column: JSON that the database must parse waits there as text."""
    return _with_variants(sa.Text(), _JSON_TEXT) if kind == "json" else TYPES[kind]


def published(column: ColumnElement[Any], kind: ColumnType) -> ColumnElement[Any]:
    """Return what a staged value becomes on its way into the target."""
    return ParsedJson(column) if kind == "json" else column


class ParsedJson(_Function):
    """A JSON document as the database keeps it: parsed where its type is not a text."""

    inherit_cache = True


@compiles(ParsedJson)
def _parsed_json(element: ParsedJson, compiler: Any, **options: Any) -> str:
    document = str(compiler.process(element.clauses, **options))
    parser = _JSON_PARSERS.get(compiler.dialect.name)
    return f"{parser}({document})" if parser else document
