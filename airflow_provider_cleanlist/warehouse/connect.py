"""From a hook to a SQLAlchemy engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from airflow_provider_cleanlist.redaction import redacted
from airflow_provider_cleanlist.warehouse.dialects import DATABASES, database_of
from airflow_provider_cleanlist.warehouse.dialects.base import driver_package
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine


_UNKNOWN_HOST = re.compile(
    r"Name or service not known|Name does not resolve|nodename nor servname|Unknown .*server host '.*' \((?:-2|11001)\)"
)
"""What resolvers say of a name that does not exist; that none of them answers reads otherwise."""


class ConnectionSource(Protocol):
    """What a warehouse's hook must offer; every ``DbApiHook`` does."""

    def get_conn(self) -> Any:
        """Open a new DB-API connection."""

    def get_sqlalchemy_engine(self, engine_kwargs: dict[str, Any] | None = None) -> Engine:
        """Return an engine for the same database."""


def open_engine(
    source: ConnectionSource, name: str, before_connecting: Callable[[URL], None] = lambda _: None
) -> Engine:
    """Return an engine that has connected successfully.

    The hook opens its connections where an engine made from its URL would lose settings of the Airflow connection.
    Parameters of statements are hidden from errors and logs.

    Args:
        source: The hook of the warehouse.
        name: What errors call the warehouse, such as its connection id.
        before_connecting: Called with the engine's URL.

    Raises:
        LoadConfigurationError: There is no SQLAlchemy dialect for its database, or it refuses the connection for good.
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
    except ValueError as error:
        raise _unusable(name, error) from None
    before_connecting(engine.url)
    driver: Any = engine.dialect.dbapi
    database = database_of(engine)

    def adopted() -> Any:
        connection = source.get_conn()
        database.adopt(connection)
        return connection

    try:
        if database.connects_by_hook and engine.dialect.driver not in database.drivers_by_url:
            probe = source.get_conn()
            probe.close()
            if driver_package(probe) == driver.__name__.partition(".")[0]:
                engine = sa.create_engine(engine.url, creator=adopted, **options)
        sa.event.listen(engine, "connect", lambda connection, _: database.prepare(connection))
        with engine.connect():
            return engine
    except sa.exc.DBAPIError as error:
        raise _unreachable(name, error.orig or error, engine) from None
    except driver.Error as error:
        raise _unreachable(name, error, engine) from None
    except ValueError as error:
        raise _unusable(name, error) from None


def _engine_of(source: Any, options: dict[str, Any]) -> Engine:
    conn_type = getattr(source, "conn_type", None)
    for database in DATABASES.values():
        if database.open_engine is not None and database.conn_type == conn_type:
            return database.open_engine(source, options)
    engine: Engine = source.get_sqlalchemy_engine(options)
    return engine


def _unreachable(name: str, error: BaseException, engine: Engine) -> LoadError:
    reason = redacted(str(error), str(engine.url.password or "")).rstrip(".")
    failure = LoadError(f"Cannot connect to warehouse {name!r}: {reason}")
    if _UNKNOWN_HOST.search(reason) or database_of(engine).errors.bars(error):
        return LoadConfigurationError(
            f"{failure}. Correct the connection: every attempt would fail like this one."
        )
    return failure


def _unusable(name: str, error: ValueError) -> LoadConfigurationError:
    reason = redacted(str(error)).rstrip(".")
    return LoadConfigurationError(
        f"The hook of warehouse {name!r} cannot use the connection: {reason}. Correct the connection, or its extra."
    )
