"""Trino: rows arrive as JSON documents, and one MERGE publishes, because a transaction holds one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import Database, is_distinct
from airflow_provider_cleanlist.warehouse.dialects.json_unnest import DOCUMENT, JsonUnnest
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import DatabaseTypes, NamedType

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.type_api import TypeEngine

_TEXT = sa.VARCHAR()
_TIMESTAMP = NamedType("TIMESTAMP(6) WITH TIME ZONE")


def _cast(cell: ColumnElement[Any], to: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return a cell as a value; a plain cast takes no time in ISO 8601."""
    return sa.cast(sa.func.from_iso8601_timestamp_nanos(cell) if to is _TIMESTAMP else cell, to)


TRINO = Database(
    name="trino",
    types=DatabaseTypes(
        text=_TEXT,
        float=NamedType("DOUBLE"),
        timestamp=_TIMESTAMP,
        json=_TEXT,
        key=_TEXT,
        document=_TEXT,
    ),
    errors=ErrorCodes(
        code=lambda error: str(getattr(error, "error_name", None) or ""),
        denied=any_of("PERMISSION_DENIED"),
        missing=any_of("TABLE_NOT_FOUND SCHEMA_NOT_FOUND CATALOG_NOT_FOUND"),
        configuration=any_of(".*_NOT_FOUND PERMISSION_DENIED NOT_SUPPORTED TYPE_MISMATCH SYNTAX_ERROR"),
        data=any_of("INVALID_CAST_ARGUMENT NUMERIC_VALUE_OUT_OF_RANGE CONSTRAINT_VIOLATION"),
        harmless=any_of(".*_NOT_FOUND PERMISSION_DENIED"),
    ),
    connects_by_hook=True,
    enforces_keys=False,
    insert=JsonUnnest(
        f"UNNEST(CAST(json_parse(:{DOCUMENT}) AS ARRAY(ARRAY(VARCHAR)))) AS batch (cells)",
        first=1,
        max_bytes=450_000,  # a statement ends at 1,000,000
        cast=_cast,
    ),
    counts_affected=False,
    differs=is_distinct,
    publishes_by_merge=True,
)
