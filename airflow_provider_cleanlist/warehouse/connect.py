"""A hook becomes a SQLAlchemy engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


class ConnectionSource(Protocol):
    """What a warehouse must offer; every ``DbApiHook`` does."""

    def get_conn(self) -> Any:
        """Open a new DB-API connection."""

    def get_sqlalchemy_engine(self, engine_kwargs: dict[str, Any] | None = None) -> Engine:
        """Return an engine for the same database."""


_URL_LOSES_SETTINGS = frozenset({"postgresql", "mysql", "snowflake", "mssql", "oracle", "trino"})
"""Dialects whose hook puts only a part of the connection's settings into the URL (not ``sslmode``, for one)."""

SQLITE_LOCK_SECONDS = 60


def open_engine(source: ConnectionSource, name: str) -> Engine:
    """Return an engine whose connections work.

    Connections are the hook's own where an engine made from its URL would lose settings of the Airflow
    connection. Statement parameters are hidden from errors and logs.

    Args:
        source: The hook of the warehouse.
        name: How to call the warehouse in errors, such as its connection id.

    Raises:
        LoadConfigurationError: There is no SQLAlchemy dialect for it.
        LoadError: It cannot be reached.
    """
    options: dict[str, Any] = {"hide_parameters": True, "pool_pre_ping": True}
    try:
        engine = _engine_of(source, options)
    except (sa.exc.NoSuchModuleError, sa.exc.ArgumentError, ImportError, NotImplementedError) as error:
        raise LoadConfigurationError(
            f"Warehouse {name!r} has no usable SQLAlchemy dialect ({type(error).__name__}): install the one for its "
            "database, usually an extra of its Airflow provider."
        ) from None
    driver: Any = engine.dialect.dbapi
    try:
        if engine.dialect.name in _URL_LOSES_SETTINGS and engine.dialect.driver != "pymysql":
            probe = source.get_conn()
            probe.close()
            if probe.__class__.__module__.split(".")[0] == driver.__name__.split(".")[0]:
                engine = sa.create_engine(engine.url, creator=lambda: _plain(source.get_conn()), **options)
        if prepare := _SESSIONS.get(engine.dialect.name):
            sa.event.listen(engine, "connect", lambda connection, _: prepare(connection))
        with engine.connect():
            return engine
    except sa.exc.DBAPIError as error:
        raise _unreachable(name, error.orig or error) from None
    except driver.Error as error:
        raise _unreachable(name, error) from None


def _engine_of(source: Any, options: dict[str, Any]) -> Engine:
    match getattr(source, "conn_type", None):
        case "redshift":
            return sa.create_engine("redshift+redshift_connector://", creator=source.get_conn, **options)
        case "gcpbigquery":
            from airflow_provider_cleanlist.warehouse import bigquery

            return bigquery.engine_of(source, options)
    engine: Engine = source.get_sqlalchemy_engine(options)
    return engine


def _plain(connection: Any) -> Any:
    """Make a connection return plain tuples and leave committing to us, whatever the Airflow connection asks for."""
    match connection.__class__.__module__.split(".")[0]:
        case "psycopg":
            from psycopg.rows import tuple_row

            connection.row_factory = tuple_row
        case "psycopg2":
            connection.cursor_factory = None
        case "MySQLdb":
            from MySQLdb.cursors import Cursor

            connection.cursorclass = Cursor
        case "snowflake" | "pymssql":
            connection.autocommit(False)
        case "oracledb":
            connection.autocommit = False
    return connection


def _prepare_sqlite(connection: Any) -> None:
    """Let tasks that write to the same file wait for each other, longer than the five seconds of the driver."""
    connection.execute(f"PRAGMA busy_timeout = {SQLITE_LOCK_SECONDS * 1000}")


def _prepare_mysql(connection: Any) -> None:
    """Send and receive all of Unicode, and refuse values that do not fit instead of cutting them."""
    if hasattr(connection, "set_character_set"):
        connection.set_character_set("utf8mb4")
    cursor = connection.cursor()
    cursor.execute("SET NAMES utf8mb4")
    cursor.execute(
        "SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@SESSION.sql_mode, ''), 'STRICT_ALL_TABLES')"
    )
    cursor.close()


def _prepare_duckdb(connection: Any) -> None:
    """Take names for tables only, never for variables of Python."""
    connection.execute("SET python_enable_replacements = false")


def _prepare_oracle(connection: Any) -> None:
    """Times go in without a zone and mean UTC."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER SESSION SET TIME_ZONE = 'UTC'")


_SESSIONS: Mapping[str, Callable[[Any], None]] = {
    "sqlite": _prepare_sqlite,
    "mysql": _prepare_mysql,
    "mariadb": _prepare_mysql,
    "duckdb": _prepare_duckdb,
    "oracle": _prepare_oracle,
}


def _unreachable(name: str, error: BaseException) -> LoadError:
    reason = " ".join(str(error).split())
    return LoadError(f"Cannot connect to warehouse {name!r}: {reason}")
