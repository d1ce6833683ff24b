"""What differs between databases, except how rows get in (``bulk``) and ``locks``: staging tables, counts, errors.

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

from airflow_provider_cleanlist.warehouse.codes import CODES
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_UNQUOTABLE = {"bigquery": frozenset('`"\\'), "snowflake": frozenset("%"), "mysqlconnector": frozenset("%")}
"""By driver. The last two double a percent sign and send it so where a statement has no parameters."""
_KEYLESS = frozenset({"snowflake", "redshift", "bigquery", "databricks", "trino"})
_COUNTS_NO_ROWS = frozenset({"duckdb", "databricks", "trino"})
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


def unquotable(driver: str) -> frozenset[str]:
    """Return the characters that a name cannot hold, however it is quoted."""
    return _UNQUOTABLE.get(driver, frozenset())


def check_transactional(connection: Connection, table: sa.Table) -> None:
    """Refuse a table that MySQL keeps in an engine without transactions: a load that fails would leave a half.

    Raises:
        LoadConfigurationError: The table is kept in such an engine.
    """
    if connection.dialect.name not in ("mysql", "mariadb"):
        return
    query = sa.text(
        "SELECT t.engine FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine "
        "WHERE t.table_schema = COALESCE(:place, DATABASE()) AND t.table_name = :name AND e.transactions <> 'YES'"
    )
    engine = connection.execute(query, {"place": table.schema, "name": table.name}).scalar()
    if engine is not None:
        raise LoadConfigurationError(
            f"{table.name} is a table of the engine {engine}, which has no transactions: ALTER TABLE .. ENGINE=InnoDB."
        )


def is_keyless(dialect: str) -> bool:
    """Whether the database enforces no primary key, so that declaring one could only mislead its planner."""
    return dialect in _KEYLESS


def execute_counted(connection: Connection, statement: Any) -> int:
    """Run a DELETE or an UPDATE of a table and return how many rows it was about."""
    if connection.dialect.name not in _COUNTS_NO_ROWS:
        return int(connection.execute(statement).rowcount)
    affected = count_affected(connection, statement)
    connection.execute(statement)
    return affected


def count_affected(connection: Connection, statement: Any) -> int:
    """Return how many rows a DELETE or an UPDATE of a table would be about."""
    count = sa.select(sa.func.count()).select_from(statement.table)
    if statement.whereclause is not None:
        count = count.where(statement.whereclause)
    return int(connection.execute(count).scalar_one())


def gather_statistics(
    connection: Connection, table: sa.Table, columns: Sequence[str], target: sa.Table
) -> None:
    """Tell the planner what a table that was just filled holds, before it is compared with a target that has rows.

    PostgreSQL would guess, and guess badly: a merge into a table with as many rows is three times as fast after it.
    """
    if connection.dialect.name == "postgresql":
        any_row = sa.select(sa.literal(1)).select_from(target).limit(1)
        if connection.execute(any_row).first() is not None:
            connection.execute(Analyze(table, columns))


def commit_lazily(connection: Connection) -> None:
    """Do not wait for the disk at this transaction's commit, where a crash of the server empties the stage anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL synchronous_commit = off"))


LOCK_SECONDS = 60
"""So long a change of a table waits for others to let go of it."""


def limit_lock_wait(connection: Connection) -> None:
    """Wait a limited time for others to let go of a table, where a worker cut off from the network would hold it."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))


def allow_grouping_in_memory(connection: Connection) -> None:
    """Let a count of distinct values stay in memory for this transaction, where the default would sort on disk.

    On PostgreSQL 200,000 keys take 0.15 s so, and 0.21 s by its defaults.
    """
    if connection.dialect.name == "postgresql":
        for setting in ("work_mem = '64MB'", "max_parallel_workers_per_gather = 0"):
            connection.execute(sa.text(f"SET LOCAL {setting}"))


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


def _sqlstate(error: BaseException) -> str | None:
    fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}  # redshift-connector
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or fields.get("C")


def is_missing_table(dialect: str, error: sa.exc.DBAPIError) -> bool:
    """Whether reading a table failed because there is none."""
    if error.connection_invalidated or error.orig is None:
        return False
    if codes := CODES.get(dialect):
        return bool(codes.missing.fullmatch(codes.of(error.orig)))
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
    codes = CODES.get(dialect)
    code = codes.of(error) if codes else _sqlstate(error) or ""
    text = _harmless_text(dialect, error, code)
    kind = " ".join(dict.fromkeys(filter(None, (type(error).__name__, code))))
    message = f"{doing} failed: {kind}{f': {text}' if text else ''}. The target's rows are unchanged."
    if code in ("42804", "42883", "22P02"):
        message += " Column types do not fit: name them in column_types, or change the table."
    return _error_class(dialect, error, code)(message)


def _harmless_text(dialect: str, error: BaseException, code: str) -> str:
    if codes := CODES.get(dialect):
        return _first_line(error) if codes.harmless.fullmatch(code) else ""
    if dialect == "sqlite":
        return str(error)
    if _ABOUT_OBJECTS.match(code):
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        return str(primary) if primary else ""
    return ""


def _first_line(error: BaseException) -> str:
    """Return what the database said, without the numbers and the statement that drivers put around it."""
    said = error.args[1] if len(error.args) > 1 else error
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return text.strip().partition("\n")[0].rstrip(".")


def _error_class(dialect: str, error: BaseException, code: str) -> type[LoadError]:
    if codes := CODES.get(dialect):
        if codes.configuration.fullmatch(code):
            return LoadConfigurationError
        return LoadDataError if codes.data.fullmatch(code) or _is_constraint(error) else LoadError
    if code:
        if _CONFIGURATION_STATES.match(code):
            return LoadConfigurationError
        return LoadDataError if _DATA_STATES.match(code) else LoadError
    if dialect == "sqlite":
        if _SQLITE_CONFIGURATION.search(str(error)):
            return LoadConfigurationError
        return LoadDataError if _SQLITE_DATA.search(str(error)) else LoadError
    names = {base.__name__ for base in type(error).__mro__}
    if "DataError" in names:
        return LoadDataError
    return LoadConfigurationError if "ProgrammingError" in names else LoadError


def _is_constraint(error: BaseException) -> bool:
    """Whether a value broke a rule of DuckDB, which has one class for all rules, other than being there already."""
    return type(error).__name__ == "ConstraintException" and bool(_SQLITE_DATA.search(str(error)))
