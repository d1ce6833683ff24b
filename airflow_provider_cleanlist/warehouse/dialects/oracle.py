"""Oracle: sessions are in UTC, and LOCK TABLE makes loads wait for each other."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects.base import Database, driver_package, table_lock
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import DatabaseTypes, NamedType


def _adopt(connection: Any) -> None:
    if driver_package(connection) == "oracledb":
        connection.autocommit = False


def _prepare(connection: Any) -> None:
    """Times are sent without a zone and mean UTC."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER SESSION SET TIME_ZONE = 'UTC'")


def _code(error: Any) -> str:
    return str(getattr(error.args[0], "code", "")) if error.args else ""


ORACLE = Database(
    name="oracle",
    types=DatabaseTypes(
        text=sa.VARCHAR(4000),
        float=NamedType("BINARY_DOUBLE"),
        timestamp=sa.TIMESTAMP(timezone=True),
        key=sa.VARCHAR(255),
    ),
    errors=ErrorCodes(
        code=_code,
        missing=any_of("942"),
        configuration=any_of("904 910 932 972 1017 1031 1720 1732 1733 1779 1918 1950"),
        data=any_of("1400 1401 1407 1438 1722 18[0-9]{2} 2290 2291 12899"),
        harmless=any_of("60 904 942 1031 1400 1407 1950 2290"),
    ),
    connects_by_hook=True,
    adopt=_adopt,
    prepare=_prepare,
    add_column="ADD",
    drop_if_exists=False,  # it came with 23ai
    lock=table_lock("LOCK TABLE {table} IN EXCLUSIVE MODE"),
)
