"""SQL Server: keys are compared byte by byte, and loads wait for a lock by name that readers do not meet."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import Database, Lock, driver_package, first_argument
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import DatabaseTypes

_TEXT = sa.NVARCHAR(None)
_KEY_LENGTH = 220  # two of them fit into the 900 bytes of a clustered index


def _adopt(connection: Any) -> None:
    if driver_package(connection) == "pymssql":
        connection.autocommit(False)


def _lock(table: sa.Table, _: sa.Table, seconds: int) -> sa.TextClause:
    """Return the query that answers 0 or more once this transaction holds the lock of a table's name."""
    return sa.text(
        "SET NOCOUNT ON; DECLARE @answer int; EXEC @answer = sp_getapplock @Resource = :name, "
        f"@LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = {seconds * 1000}; SELECT @answer"
    ).bindparams(name=f"{table.schema}.{table.name}")


MSSQL = Database(
    name="mssql",
    types=DatabaseTypes(
        text=_TEXT,
        json=_TEXT,
        key=sa.NVARCHAR(_KEY_LENGTH, collation="Latin1_General_100_BIN2"),
        document=_TEXT,
    ),
    errors=ErrorCodes(
        code=first_argument,
        missing=any_of("208"),
        configuration=any_of("102 207 229 230 262 468 2760 4405 4406 4902 206 15247"),
        data=any_of("515 547 220 241 242 245 8114 8115 8152 2628"),
        harmless=any_of("207 208 229 230 262 515 1205 2760 4405 4406"),
    ),
    connects_by_hook=True,
    adopt=_adopt,
    ignores_case=True,
    add_column="ADD",
    # By name, because a lock on the table would keep readers out.
    lock=Lock(statement=_lock, is_granted=lambda answer: answer >= 0),
)
