"""SQLite: one writer at a time, and errors that only differ in their text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.warehouse.dialects.base import Database, driver_connection
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes
from airflow_provider_cleanlist.warehouse.types import Row

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.engine import Connection

BUSY_TIMEOUT_SECONDS = 60


def _prepare(connection: Any) -> None:
    """Let tasks that write to the same file wait for each other, longer than the driver's five seconds."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")


def _execute_many(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows as the driver takes them, which is twice as fast as SQLAlchemy's way."""
    dialect = connection.dialect
    encoders = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns]
    encoded = [(index, encode) for index, encode in enumerate(encoders) if encode is not None]
    statement = str(table.insert().compile(dialect=dialect))
    ready = (_encode(row, encoded) for row in rows) if encoded else rows
    driver_connection(connection).executemany(statement, ready)


def _encode(row: Row, encoders: Sequence[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    values = list(row)
    for index, encode in encoders:
        values[index] = encode(values[index])
    return values


SQLITE = Database(
    name="sqlite",
    errors=ErrorCodes(
        code=lambda _: "",
        category=str,
        text=str,
        missing=re.compile("(no such table|unknown database).*", re.DOTALL),
        configuration=re.compile(
            ".*(readonly|no such column|unknown database|cannot modify|unable to open|syntax|has no column).*",
            re.DOTALL,
        ),
        data=re.compile(".*(datatype mismatch|NOT NULL|CHECK|too big).*", re.DOTALL),
        harmless=re.compile(".*", re.DOTALL),
    ),
    prepare=_prepare,
    ignores_case=True,
    insert_by_driver={"pysqlite": _execute_many},
)
