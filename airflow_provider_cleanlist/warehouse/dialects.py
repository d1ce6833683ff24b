"""What differs between databases, except how rows get in (``bulk``): locks, staging tables, errors.

Error messages of databases can quote the values of the statement. Only what is known to hold none is passed on:
the error's class and SQLSTATE, and the text where its class says that it is about objects, not data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_LOCKING_DIALECTS = frozenset({"postgresql", "redshift"})
_STAGE_PREFIXES = {"postgresql": ("UNLOGGED",)}

_ABOUT_OBJECTS = re.compile("0A|08|23|25|28|3D|3F|40|42|53|55|57")
_IGNORES_CASE = frozenset({"sqlite", "mysql", "mariadb", "mssql", "duckdb", "bigquery", "databricks"})

_MISSING_TABLE = {"42P01", "3F000"}
_CONFIGURATION_STATES = re.compile("0A|28|3D|3F|42(?!P01)|55000")
_DATA_STATES = re.compile("22|23502|23514")
_SQLITE_CONFIGURATION = re.compile(
    "readonly|no such column|unknown database|cannot modify|unable to open|syntax|has no column"
)
_SQLITE_DATA = re.compile("datatype mismatch|NOT NULL|CHECK|too big")


def stage_prefixes(dialect: str) -> tuple[str, ...]:
    """Return what stands between CREATE and TABLE for a table that may be lost in a crash of the server."""
    return _STAGE_PREFIXES.get(dialect, ())


def ignores_case(dialect: str) -> bool:
    """Whether two column names that differ in letter case only are the same."""
    return dialect in _IGNORES_CASE


def lock_table(connection: Connection, table: sa.Table) -> None:
    """Keep other writers out of a table until the transaction ends, and let readers in.

    Where nothing is done, concurrent writers are told apart by the table's primary key or by the database's own
    locks on what the transaction deletes.
    """
    if connection.dialect.name in _LOCKING_DIALECTS:
        connection.execute(LockTable(table))


def gather_statistics(connection: Connection, table: sa.Table, columns: Sequence[str]) -> None:
    """Tell the planner what a table that was just filled holds, where it would guess and guess badly.

    On PostgreSQL a merge into a table with as many rows is three times as fast after it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(Analyze(table, columns))


class Analyze(sa.schema.DDLElement):
    """``ANALYZE ..``, which SQLAlchemy lacks; only for PostgreSQL."""

    inherit_cache = False

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        self.table = table
        self.columns = columns


@compiles(Analyze, "postgresql")
def _analyze(element: Analyze, compiler: Any, **_: Any) -> str:
    columns = ", ".join(compiler.preparer.quote(name) for name in element.columns)
    return f"ANALYZE {compiler.preparer.format_table(element.table)} ({columns})"


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


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def is_missing_table(dialect: str, error: sa.exc.DBAPIError) -> bool:
    """Whether reading a table failed because there is none."""
    if error.connection_invalidated or error.orig is None:
        return False
    if state := _sqlstate(error.orig):
        return state in _MISSING_TABLE
    if dialect == "sqlite":
        return str(error.orig).startswith(("no such table", "unknown database"))
    return isinstance(error, sa.exc.ProgrammingError | sa.exc.OperationalError)


@contextmanager
def database_errors(engine: Engine, doing: str) -> Iterator[None]:
    """Turn the database's errors into load errors that hold no data.

    Args:
        engine: The warehouse.
        doing: What is being done, to begin the message with: "Creating table leads".

    Raises:
        LoadConfigurationError: Objects, privileges or types do not fit.
        LoadDataError: A value does not fit.
        LoadError: Any other error; running the load again may succeed.
    """
    driver: Any = engine.dialect.dbapi
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise explain(engine.dialect.name, error.orig or error, doing) from None
    except sa.exc.SQLAlchemyError as error:
        raise LoadConfigurationError(f"{doing} failed: {type(error).__name__}.") from None
    except driver.Error as error:
        raise explain(engine.dialect.name, error, doing) from None


def explain(dialect: str, error: BaseException, doing: str) -> LoadError:
    """Return the load error for a driver's error, without any value of the statement."""
    state = _sqlstate(error) or ""
    text = _harmless_text(dialect, error, state)
    kind = " ".join(filter(None, (type(error).__name__, state)))
    message = f"{doing} failed: {kind}{f': {text}' if text else ''}. The target's rows are unchanged."
    if state in ("42804", "42883", "22P02"):
        message += " Column types do not fit: name them in column_types, or change the table."
    return _error_class(dialect, error, state)(message)


def _harmless_text(dialect: str, error: BaseException, state: str) -> str:
    if dialect == "sqlite":
        return str(error)
    if _ABOUT_OBJECTS.match(state):
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        return str(primary) if primary else ""
    return ""


def _error_class(dialect: str, error: BaseException, state: str) -> type[LoadError]:
    if state:
        if _CONFIGURATION_STATES.match(state):
            return LoadConfigurationError
        return LoadDataError if _DATA_STATES.match(state) else LoadError
    if dialect == "sqlite":
        if _SQLITE_CONFIGURATION.search(str(error)):
            return LoadConfigurationError
        return LoadDataError if _SQLITE_DATA.search(str(error)) else LoadError
    names = {base.__name__ for base in type(error).__mro__}
    if "DataError" in names:
        return LoadDataError
    return LoadConfigurationError if "ProgrammingError" in names else LoadError
