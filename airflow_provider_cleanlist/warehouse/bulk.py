"""How rows get into a table fastest, by database and driver."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import bigquery
from airflow_provider_cleanlist.warehouse.documents import EXPLOSIONS, insert_documents
from airflow_provider_cleanlist.warehouse.values import Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect

_COPY_SPECIAL = re.compile(r"[\\\t\n\r]")

SNOWFLAKE_FILE_ROWS = 5_000
"""From so many rows on, a file in a stage of Snowflake is faster than statements."""

BulkInsert = Callable[["Connection", sa.Table, Sequence[Row]], None]


def insert_rows(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows into a table, within the connection's transaction.

    Args:
        connection: An open connection in a transaction.
        table: The table.
        rows: Rows with a value for each of the table's columns, in order.
    """
    if rows:
        dialect = connection.dialect
        default = insert_documents if dialect.name in EXPLOSIONS else _execute_many
        way = _WAYS.get((dialect.name, dialect.driver), default)
        way(connection, table, rows)


def _driver_connection(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _execute_many(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    names = [column.name for column in table.columns]
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def _copy_statement(table: sa.Table) -> str:
    statement: str | None = table.info.get("copy")
    if statement is None:
        name = ".".join(_quoted(part) for part in (table.schema, table.name) if part)
        columns = ", ".join(_quoted(column.name) for column in table.columns)
        statement = table.info["copy"] = f"COPY {name} ({columns}) FROM STDIN"
    return statement


def _quoted(name: str) -> str:
    """Return a name for a statement of COPY, in which drivers leave a ``%`` as it is."""
    return '"' + name.replace('"', '""') + '"'


class CopyStream:
    """Rows into a table of PostgreSQL, which takes them in while the next ones are made (psycopg 3).

    Nothing else can be done on the connection before the stream is closed.

    Args:
        connection: An open connection in a transaction.
        table: The table; rows have a value for each of its columns, in order.
    """

    def __init__(self, connection: Connection, table: sa.Table) -> None:
        with ExitStack() as stack:
            cursor = stack.enter_context(_driver_connection(connection).cursor())
            self._copy = stack.enter_context(cursor.copy(_copy_statement(table)))
            self._stack = stack.pop_all()

    def write(self, rows: Sequence[Row]) -> None:
        """Send rows on their way."""
        write_row = self._copy.write_row
        for row in rows:
            write_row(row)

    def close(self) -> None:
        """Wait until all rows are in the table."""
        self._stack.close()


def has_stream(dialect: Dialect) -> bool:
    """Whether :class:`CopyStream` works there."""
    return (dialect.name, dialect.driver) == ("postgresql", "psycopg")


def _copy_psycopg2(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    with _driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(_copy_statement(table), _CopyFile(rows))


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


def _write_snowflake(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    if len(rows) < SNOWFLAKE_FILE_ROWS:
        _execute_many(connection, table, rows)
        return
    import pandas
    from snowflake.connector import pandas_tools

    fold = connection.dialect.denormalize_name
    frame = pandas.DataFrame(rows, columns=[fold(column.name) for column in table.columns], dtype=object)
    whole = [fold(column.name) for column in table.columns if isinstance(column.type, sa.Integer)]
    frame = frame.astype(dict.fromkeys(whole, "Int64"))  # other numbers would lose digits beside NULLs
    *database, schema = [fold(part) for part in table.schema.split(".")] if table.schema else [None]
    pandas_tools.write_pandas(
        _driver_connection(connection),
        frame,
        fold(table.name),
        database=database[0] if database else None,
        schema=schema,
        quote_identifiers=True,
        use_logical_type=True,
    )


_WAYS: dict[tuple[str, str], BulkInsert] = {
    ("postgresql", "psycopg2"): _copy_psycopg2,
    ("sqlite", "pysqlite"): _execute_many_sqlite,
    ("snowflake", "snowflake"): _write_snowflake,
    ("bigquery", "bigquery"): bigquery.insert_rows,
}
"""Faster ways than SQLAlchemy's ``executemany``, which batches well on the rest."""
