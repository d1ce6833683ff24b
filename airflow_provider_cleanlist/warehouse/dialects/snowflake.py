"""Snowflake: many rows arrive as a file, and loads wait for each other by writing to the table of loads in flight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import (
    Database,
    driver_connection,
    driver_package,
    execute_many,
    update_from,
)
from airflow_provider_cleanlist.warehouse.dialects.locks import Lock, spellings
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, NamedType, Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import ColumnElement

MIN_FILE_ROWS = 5_000
"""From this many rows on, a file in a stage of Snowflake is faster than statements."""


def _adopt(connection: Any) -> None:
    if driver_package(connection) == "snowflake":
        connection.autocommit(False)


def _insert(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    if len(rows) < MIN_FILE_ROWS:
        execute_many(connection, table, rows)
        return
    import pandas
    from snowflake.connector import pandas_tools

    fold = connection.dialect.denormalize_name
    frame = pandas.DataFrame(rows, columns=[fold(column.name) for column in table.columns], dtype=object)
    whole = [fold(column.name) for column in table.columns if isinstance(column.type, sa.Integer)]
    # as floats, which NULLs would make them, they would lose digits
    frame = frame.astype(dict.fromkeys(whole, "Int64"))
    *database, schema = [fold(part) for part in table.schema.split(".")] if table.schema else [None]
    pandas_tools.write_pandas(
        driver_connection(connection),
        frame,
        fold(table.name),
        database=database[0] if database else None,
        schema=schema,
        quote_identifiers=True,
        use_logical_type=True,
    )


def _lock(default: str | None, table: sa.Table, registry: sa.Table) -> sa.Update:
    """Return a statement that changes nothing and conflicts with every load into the same table."""
    names = spellings(table.name, table.schema, default)
    same_table = sa.or_(*(registry.c.target_table == name for name in sorted(names)))
    return registry.update().values(attempt=registry.c.attempt).where(same_table)


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], kind: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ; JSON is compared as text."""
    if kind == "json":
        old, new = sa.func.to_json(old), sa.func.to_json(new)
    return old.is_distinct_from(new)


SNOWFLAKE = Database(
    name="snowflake",
    types=DatabaseTypes(
        float=sa.FLOAT(),
        timestamp=NamedType("TIMESTAMP_TZ"),
        json=NamedType("VARIANT"),
        staged_json=sa.Text(),
        parse_json="PARSE_JSON",
    ),
    errors=ErrorCodes(
        code=lambda error: str(getattr(error, "errno", None) or ""),
        denied=any_of("3001"),
        missing=any_of("2003 2043"),
        configuration=any_of("2003 2043 3001 904 1003 2022 90105 90106"),
        data=any_of("100035 100038 100040 100072 100078 100132"),
        harmless=any_of("2003 2043 3001 904 90105 90106 100072"),
    ),
    connects_by_hook=True,
    adopt=_adopt,
    unquotable={"snowflake": "%"},  # it is doubled, and sent so where a statement has no parameters
    enforces_keys=False,
    insert_by_driver={"snowflake": _insert},
    update=update_from,
    differs=_differs,
    # There is no lock to ask for, but a load waits for a row that another one has written.
    lock=Lock(statement=_lock),
)
