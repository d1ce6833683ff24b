"""Oracle: sessions are in UTC, and LOCK TABLE makes loads wait for each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from airflow_provider_cleanlist.warehouse.dialects.base import (
    Database,
    UpdateOfMatches,
    differs_portably,
    driver_package,
    one_is_null,
    table_lock,
)
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, NamedType

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import ColumnElement


def _adopt(connection: Any) -> None:
    if driver_package(connection) == "oracledb":
        connection.autocommit = False


def _prepare(connection: Any) -> None:
    """Times are sent without a zone and mean UTC."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER SESSION SET TIME_ZONE = 'UTC'")


_REFERRING_KEYS = sa.text("""
SELECT k.owner || '.' || k.table_name, k.constraint_name
FROM all_constraints k JOIN all_constraints t ON t.owner = k.r_owner AND t.constraint_name = k.r_constraint_name
WHERE k.constraint_type = 'R' AND k.status = 'ENABLED'
AND t.table_name = :name AND t.owner = COALESCE(:place, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA'))
ORDER BY 1, 2
""")


def _referring_keys(connection: Connection, table: sa.Table) -> list[str]:
    """Return the foreign keys that refer to a table; names in lower case mean those in upper case."""
    stored = connection.dialect.denormalize_name
    names = {"name": stored(table.name), "place": stored(table.schema) if table.schema else None}
    return [f"{name} ({key})" for name, key in connection.execute(_REFERRING_KEYS, names)]


def _code(error: Any) -> str:
    return str(getattr(error.args[0], "code", "")) if error.args else ""


@compiles(UpdateOfMatches, "oracle")
def _compile_update(element: UpdateOfMatches, compiler: Any, **options: Any) -> str:
    """Return ``MERGE`` that only updates, which does what ``UPDATE .. FROM`` does elsewhere."""
    matches = element.matches
    written = [
        f"{compiler.process(matches.target.c[name], **options)} = {compiler.process(value, **options)}"
        for name, value in matches.values.items()
    ]
    return "\n".join(
        (
            f"MERGE INTO {compiler.preparer.format_table(matches.target)}",
            f"USING {compiler.process(matches.source, asfrom=True, **options)}",
            f"ON ({compiler.process(matches.same_key, **options)})",
            f"WHEN MATCHED THEN UPDATE SET {', '.join(written)}",
            f"WHERE {compiler.process(matches.differs, **options)}",
        )
    )


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], kind: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ; JSON is a CLOB, which no operator compares."""
    if kind == "json":
        return sa.or_(sa.func.dbms_lob.compare(old, new) != 0, one_is_null(old, new))
    return differs_portably(old, new, kind)


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
        denied=any_of("1031"),
        raised=any_of("20[0-9]{3}"),
        no_access=re.compile("^(?:1017|28000) "),
        missing=any_of("942"),
        configuration=any_of("904 910 932 972 1017 1031 1720 1732 1733 1779 1918 1950"),
        data=any_of("20[0-9]{3} 1400 1401 1407 1438 1722 18[0-9]{2} 2290 2291 2292 12899"),
        harmless=any_of("60 904 942 1031 1400 1407 1950 2290 2291 2292 12899"),
    ),
    connects_by_hook=True,
    adopt=_adopt,
    prepare=_prepare,
    add_column="ADD",
    drop_if_exists=False,  # it came with 23ai
    referring_keys=_referring_keys,
    update=UpdateOfMatches,
    differs=_differs,
    lock=table_lock("LOCK TABLE {table} IN EXCLUSIVE MODE"),
)
