"""Redshift: connections are the hook's own, and rows arrive as JSON documents."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import (
    SQLSTATES,
    Database,
    differs_portably,
    one_is_null,
    sqlstate,
    standard_class,
    table_lock,
    update_from,
)
from airflow_provider_cleanlist.warehouse.dialects.json_unnest import DOCUMENT, JsonUnnest
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, NamedType

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.type_api import TypeEngine

_TEXT = NamedType("VARCHAR(max)")  # Text would be VARCHAR(256)


def _open(hook: Any, options: dict[str, Any]) -> Engine:
    """Return an engine on the hook's own connections, which know IAM; its URL is one of psycopg2."""
    return sa.create_engine("redshift+redshift_connector://", creator=hook.get_conn, **options)


def _sqlstate(error: Any) -> str:
    fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return sqlstate(error) or fields.get("C") or ""


def _cast(cell: ColumnElement[Any], to: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return a cell as a value: it is SUPER, and only its text can be cast; not to a boolean, though."""
    text = sa.cast(cell, _TEXT)
    return text == sa.literal_column("'true'") if isinstance(to, sa.Boolean) else sa.cast(text, to)


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], kind: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ; SUPER is compared as text."""
    if kind == "json":
        return sa.or_(sa.func.json_serialize(old) != sa.func.json_serialize(new), one_is_null(old, new))
    return differs_portably(old, new, kind)


REDSHIFT = Database(
    name="redshift",
    types=DatabaseTypes(
        text=_TEXT,
        json=NamedType("SUPER"),
        key=_TEXT,
        document=_TEXT,
        staged_json=_TEXT,
        parse_json="JSON_PARSE",
    ),
    errors=replace(
        SQLSTATES, code=_sqlstate, category=lambda error: _sqlstate(error) or standard_class(error)
    ),
    conn_type="redshift",
    open_engine=_open,
    enforces_keys=False,
    insert=JsonUnnest(
        f"(SELECT json_parse(:{DOCUMENT}) AS leads) AS batch, batch.leads AS cells",
        first=0,
        max_bytes=65_000,  # a text ends at 65,535
        cast=_cast,
    ),
    update=update_from,
    differs=_differs,
    lock=table_lock("LOCK {table}"),
)
