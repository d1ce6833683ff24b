"""A hook becomes a SQLAlchemy engine."""

from __future__ import annotations

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


_URL_LOSES_SETTINGS = frozenset({"postgresql"})
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
        engine = source.get_sqlalchemy_engine(options)
    except (sa.exc.NoSuchModuleError, sa.exc.ArgumentError, ImportError, NotImplementedError) as error:
        raise LoadConfigurationError(
            f"Warehouse {name!r} has no usable SQLAlchemy dialect ({type(error).__name__}): install the one for its "
            "database, usually an extra of its Airflow provider."
        ) from None
    driver: Any = engine.dialect.dbapi
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _wait_for_lock)
    try:
        if engine.dialect.name in _URL_LOSES_SETTINGS:
            probe = source.get_conn()
            probe.close()
            if type(probe).__module__.split(".")[0] == driver.__name__:
                engine = sa.create_engine(engine.url, creator=lambda: _plain(source.get_conn()), **options)
        with engine.connect():
            return engine
    except sa.exc.DBAPIError as error:
        raise _unreachable(name, error.orig or error) from None
    except driver.Error as error:
        raise _unreachable(name, error) from None


def _wait_for_lock(connection: Any, _record: Any) -> None:
    """Let tasks that write to the same file wait for each other, longer than the five seconds of the driver."""
    connection.execute(f"PRAGMA busy_timeout = {SQLITE_LOCK_SECONDS * 1000}")


def _plain(connection: Any) -> Any:
    """Make a connection return plain tuples, whatever cursor the Airflow connection asks for."""
    if hasattr(connection, "row_factory") and hasattr(connection, "adapters"):
        from psycopg.rows import tuple_row

        connection.row_factory = tuple_row
    else:
        connection.cursor_factory = None
    return connection


def _unreachable(name: str, error: BaseException) -> LoadError:
    reason = " ".join(str(error).split())
    return LoadError(f"Cannot connect to warehouse {name!r}: {reason}")
