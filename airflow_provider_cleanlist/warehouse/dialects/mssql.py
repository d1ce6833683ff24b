"""SQL Server: keys are compared byte by byte, and loads wait for a lock by name that readers do not meet."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import (
    Database,
    differs_portably,
    driver_package,
    first_argument,
    keys_by_query,
    lengths_by_query,
    one_is_null,
    update_from,
)
from airflow_provider_cleanlist.warehouse.dialects.locks import NamedLock
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement

_TEXT = sa.NVARCHAR(None)
_KEY_LENGTH = 220  # two of them fit into the 900 bytes of a clustered index
_REFERRING_KEYS = """
SELECT CONCAT(OBJECT_SCHEMA_NAME(parent_object_id), '.', OBJECT_NAME(parent_object_id)), name
FROM sys.foreign_keys
WHERE is_disabled = 0
AND referenced_object_id = OBJECT_ID(CONCAT(COALESCE(CONCAT(QUOTENAME(:place), '.'), ''), QUOTENAME(:name)))
ORDER BY 1, 2
"""
_TEXT_LENGTHS = """
SELECT column_name, character_maximum_length
FROM information_schema.columns
WHERE table_schema = COALESCE(:place, SCHEMA_NAME()) AND table_name = :name AND character_maximum_length > 0
"""


def _adopt(connection: Any) -> None:
    if driver_package(connection) == "pymssql":
        connection.autocommit(False)


def _lock(default: str | None, table: sa.Table, secret: str, seconds: int) -> sa.TextClause:
    """Return the query that answers 0 or more once this transaction holds the lock of a table's name."""
    name = f"{secret} {table.schema or default}.{table.name}"
    return sa.text(
        "SET NOCOUNT ON; DECLARE @answer int; EXEC @answer = sp_getapplock @Resource = :name, "
        f"@LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = {seconds * 1000}; SELECT @answer"
    ).bindparams(name=f"cleanlist {hashlib.sha256(name.encode()).hexdigest()}")


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], kind: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ; texts as bytes, because collations ignore case or spaces at the end."""
    if kind not in ("text", "json"):
        return differs_portably(old, new, kind)
    stored, given = (sa.cast(sa.cast(value, _TEXT), sa.VARBINARY(None)) for value in (old, new))
    return sa.or_(stored != given, one_is_null(old, new))


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
        denied=any_of("229 230 262"),
        too_long=any_of("8152 2628"),
        raised=any_of("[5-9][0-9]{4}"),
        no_access=re.compile("^(?:4060|18456) "),
        missing=any_of("208"),
        configuration=any_of("102 207 229 230 262 468 2760 4405 4406 4902 206 15247"),
        data=any_of("[5-9][0-9]{4} 515 547 220 241 242 245 8114 8115 8152 2628"),
        harmless=any_of("207 208 229 230 262 515 1205 2760 4405 4406"),
    ),
    connects_by_hook=True,
    adopt=_adopt,
    ignores_case=True,
    add_column="ADD",
    text_lengths=lengths_by_query(_TEXT_LENGTHS),
    referring_keys=keys_by_query(_REFERRING_KEYS),
    update=update_from,
    differs=_differs,
    # By name, because a lock on the table would keep readers out.
    lock=NamedLock(statement=_lock, is_granted=lambda answer: answer >= 0),
)
