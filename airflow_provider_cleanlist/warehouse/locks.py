"""Loads into one table wait for each other while they publish; readers do not wait.

Without that, two loads that find the same rows missing would both insert them, unless a primary key stops one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from airflow_provider_cleanlist.warehouse.errors import LoadError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

LOCK_SECONDS = 600
"""How long a load waits for others where waiting must end some time."""


def lock_table(connection: Connection, table: sa.Table, registry: sa.Table) -> None:
    """Keep other loads out of a table until the transaction ends.

    Where nothing is done, the database has one writer at a time or the transaction's own statements conflict.

    Args:
        connection: An open connection at the beginning of a transaction.
        table: The table.
        registry: The table of loads in flight, which has a row of this load.

    Raises:
        LoadError: Other loads hold it for too long.
    """
    if lock := _LOCKS.get(connection.dialect.name):
        lock(connection, table, registry)


class LockTable(sa.schema.DDLElement):
    """``LOCK TABLE ..``, which SQLAlchemy lacks; only for databases that have it."""

    inherit_cache = False

    def __init__(self, table: sa.Table) -> None:
        self.table = table


@compiles(LockTable, "postgresql")
def _lock_postgresql(element: LockTable, compiler: Any, **_: Any) -> str:
    return f"LOCK TABLE {compiler.preparer.format_table(element.table)} IN SHARE ROW EXCLUSIVE MODE"


@compiles(LockTable, "redshift")
def _lock_redshift(element: LockTable, compiler: Any, **_: Any) -> str:
    return f"LOCK {compiler.preparer.format_table(element.table)}"


@compiles(LockTable, "oracle")
def _lock_oracle(element: LockTable, compiler: Any, **_: Any) -> str:
    return f"LOCK TABLE {compiler.preparer.format_table(element.table)} IN EXCLUSIVE MODE"


def _by_statement(connection: Connection, table: sa.Table, _: sa.Table) -> None:
    connection.execute(LockTable(table))


def _by_name_until_the_session_ends(connection: Connection, table: sa.Table, _: sa.Table) -> None:
    """Take a lock by name: MySQL's locks on tables would end the transaction."""
    connection.detach()  # it would go back to the pool with the lock
    if connection.execute(mysql_lock(table)).scalar() != 1:
        raise _waited(table)


def mysql_lock(table: sa.Table) -> sa.Select[Any]:
    """Return the query that answers 1 once this session has the lock."""
    place = sa.func.coalesce(table.schema, sa.func.database())
    name = sa.func.concat("cleanlist ", sa.func.md5(sa.func.concat(place, ".", table.name)))
    return sa.select(sa.func.get_lock(name, LOCK_SECONDS))


def _by_name(connection: Connection, table: sa.Table, _: sa.Table) -> None:
    """Take a lock by name within the transaction: SQL Server's locks on tables would keep readers out."""
    if connection.execute(mssql_lock(), {"name": f"{table.schema}.{table.name}"}).scalar_one() < 0:
        raise _waited(table)


def mssql_lock() -> sa.TextClause:
    """Return the query that answers 0 or more once this transaction has the lock ``name``."""
    return sa.text(
        "SET NOCOUNT ON; DECLARE @answer int; EXEC @answer = sp_getapplock @Resource = :name, "
        f"@LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = {LOCK_SECONDS * 1000}; SELECT @answer"
    )


def _by_registry(connection: Connection, table: sa.Table, registry: sa.Table) -> None:
    """Write to the table of loads in flight: Snowflake has no locks to ask for, but others wait for what is written."""
    connection.execute(registry_lock(table, registry))


def registry_lock(table: sa.Table, registry: sa.Table) -> sa.Update:
    """Return the statement that changes nothing and conflicts with all who do the same."""
    name = f"{table.schema}.{table.name}" if table.schema else table.name
    same_table = registry.c.target_table == name
    return registry.update().values(attempt=registry.c.attempt).where(same_table)


def _waited(table: sa.Table) -> LoadError:
    return LoadError(f"Other loads into {table.name} did not end within {LOCK_SECONDS} seconds.")


_LOCKS: Mapping[str, Callable[[Connection, sa.Table, sa.Table], None]] = {
    "postgresql": _by_statement,
    "redshift": _by_statement,
    "oracle": _by_statement,
    "mysql": _by_name_until_the_session_ends,
    "mariadb": _by_name_until_the_session_ends,
    "mssql": _by_name,
    "snowflake": _by_registry,
}
"""By dialect."""
