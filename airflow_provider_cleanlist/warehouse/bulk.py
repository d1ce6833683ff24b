"""How rows get into a table fastest, by database and driver."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.values import Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_COPY_SPECIAL = re.compile(r"[\\\t\n\r]")

BulkInsert = Callable[["Connection", sa.Table, Sequence[Row]], None]


def insert_rows(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows into a table, within the connection's transaction.

    Args:
        connection: An open connection in a transaction.
        table: The table.
        rows: Rows with a value for each of the table's columns, in order.
    """
    if rows:
        way = _WAYS.get((connection.dialect.name, connection.dialect.driver), _execute_many)
        way(connection, table, rows)


def _driver_connection(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _execute_many(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    names = [column.name for column in table.columns]
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def _copy_psycopg(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    from psycopg import sql

    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*filter(None, (table.schema, table.name))),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
    )
    with _driver_connection(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _copy_psycopg2(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    from psycopg2 import sql

    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*filter(None, (table.schema, table.name))),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
    )
    with _driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(statement, _CopyFile(rows))


class _CopyFile:
    """Rows as a file in the text format of COPY, made while it is read."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._lines = (self._line(row) for row in rows)
        self._rest = b""

    @staticmethod
    def _line(row: Row) -> bytes:
        return (
            "\t".join([r"\N" if value is None else _copy_text(str(value)) for value in row]) + "\n"
        ).encode()

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        chunks, length = [self._rest], len(self._rest)
        while length < size and (line := next(self._lines, None)) is not None:
            chunks.append(line)
            length += len(line)
        data = b"".join(chunks)
        self._rest = data[size:]
        return data[:size]


def _copy_text(text: str) -> str:
    if _COPY_SPECIAL.search(text) is None:
        return text
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _execute_many_sqlite(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    dialect = connection.dialect
    encoders = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns]
    encoded = [(index, encode) for index, encode in enumerate(encoders) if encode is not None]
    statement = str(table.insert().compile(dialect=dialect))
    ready = (_encode(row, encoded) for row in rows) if encoded else rows
    _driver_connection(connection).executemany(statement, ready)


def _encode(row: Row, encoders: Sequence[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    values = list(row)
    for index, encode in encoders:
        values[index] = encode(values[index])
    return values


_WAYS: dict[tuple[str, str], BulkInsert] = {
    ("postgresql", "psycopg"): _copy_psycopg,
    ("postgresql", "psycopg2"): _copy_psycopg2,
    ("sqlite", "pysqlite"): _execute_many_sqlite,
}
"""Faster ways than SQLAlchemy's ``executemany``, which batches well on the rest."""
