"""What can differ from database to database: a ``Database`` holds it, in the same parts for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement

from airflow_provider_cleanlist.warehouse.dialects.locks import Lock, NamedLock
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, postgres_message
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect, Engine
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.selectable import FromClause

InsertRows = Callable[["Connection", sa.Table, Sequence[Row]], None]
"""Inserts rows, which have a value for each of the table's columns, in order."""

BuildScript = Callable[["Dialect", sa.Table, int, Sequence[Any]], tuple[str, dict[str, Any]]]
"""Makes one script, with its parameters, of a staging table, the number of rows it must hold, and statements."""

Differs = Callable[["ColumnElement[Any]", "ColumnElement[Any]", ColumnType], "ColumnElement[bool]"]
"""Whether a stored value, which can be NULL, is not the given one, to the letter; the type is that of the given one."""

ForeignTables = Callable[["Connection", str | None, Sequence[str]], Sequence[str]]
"""Returns which of some names in a schema are not tables that can be trusted as our own, each with what it is."""

ReferringKeys = Callable[["Connection", sa.Table], Sequence[str]]
"""Returns the foreign keys that refer to a table, each as a table and what it calls the key."""

TextLengths = Callable[["Connection", sa.Table], Mapping[str, int]]
"""Returns the columns of a table that limit the length of a text, with their characters."""

AboutTable = Callable[["Connection", sa.Table], Mapping[str, str]]
"""Returns something about parts of a table, by their names: the SQL types of columns, what columns make of a value, as
the SQL of what becomes of ``{}``, or what constraints demand."""


StoredForms = Callable[["Connection", sa.Table], Mapping[str, str | None]]
"""Returns a table's columns, each with the SQL of what becomes of a value, ``{}``, in it; None if that is unknown."""

AS_IT_IS = "{}"
"""The form of a value that a column keeps to the letter, as long as it is a text."""


class RowStream(Protocol):
    """Rows on their way into a table; nothing else can be done on the connection before the stream is closed."""

    def write(self, rows: Sequence[Row]) -> None:
        """Send rows."""

    def close(self) -> None:
        """Wait until all rows are in the table."""


class TableStatement(sa.schema.DDLElement):
    """A statement about a table that SQLAlchemy lacks.

    Args:
        text: The statement, with ``{table}`` and ``{columns}`` where their quoted names belong.
        table: The table.
        columns: Names of columns.
    """

    inherit_cache = False

    def __init__(self, text: str, table: sa.Table, columns: Sequence[str] = ()) -> None:
        self.text = text
        self.table = table
        self.columns = columns


@compiles(TableStatement)
def _compile_table_statement(element: TableStatement, compiler: Any, **_: Any) -> str:
    columns = ", ".join(compiler.preparer.quote(name) for name in element.columns)
    return element.text.format(table=compiler.preparer.format_table(element.table), columns=columns)


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows of the target and staged records with the same keys.

    Attributes:
        target: The target.
        source: The staged records.
        values: The value of each column that is written.
        same_key: Which rows and records belong together.
        differs: In which of them something differs.
    """

    target: sa.Table
    source: FromClause
    values: Mapping[str, ColumnElement[Any]]
    same_key: ColumnElement[bool]
    differs: ColumnElement[bool]


def table_lock(text: str) -> Lock:
    """Return a lock taken by a statement of SQL, in which ``{table}`` stands for the table's quoted name."""
    return Lock(
        statement=lambda _default, target, _registry: TableStatement(text, target), excludes_writers=True
    )


class StoredForm(sa.sql.expression.ColumnElement[Any]):
    """What a column makes of a value.

    Args:
        value: The value.
        sql: The SQL, in which ``{}`` stands for the value.
    """

    inherit_cache = False

    def __init__(self, value: ColumnElement[Any], sql: str) -> None:
        self.value, self.sql = value, sql
        self.type = value.type

    @property
    def _from_objects(self) -> Any:
        return self.value._from_objects


@compiles(StoredForm)
def _compile_stored_form(element: StoredForm, compiler: Any, **options: Any) -> str:
    # each time anew, because some drivers count parameters by their place
    return re.sub(r"\{\}", lambda _: str(compiler.process(element.value, **options)), element.sql)


def execute_many(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows with SQLAlchemy's ``executemany``, which batches well with most drivers."""
    names = [column.name for column in table.columns]
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def update_by_subqueries(matches: Matches) -> sa.Update:
    """Return an UPDATE in the SQL of every database, with a subquery for each column."""

    def one(value: Any, *conditions: ColumnElement[bool]) -> sa.Select[Any]:
        found = sa.select(value).select_from(matches.source).where(matches.same_key, *conditions)
        return found.correlate(matches.target)

    values = {name: one(value).scalar_subquery() for name, value in matches.values.items()}
    return matches.target.update().values(values).where(sa.exists(one(sa.literal(1), matches.differs)))


def update_from(matches: Matches) -> sa.Update:
    """Return an UPDATE that joins the target with the staged records."""
    return matches.target.update().values(matches.values).where(matches.same_key, matches.differs)


def one_is_null(old: ColumnElement[Any], new: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether one of two values is NULL and the other is not."""
    return sa.or_(sa.and_(old.is_(None), new.is_not(None)), sa.and_(old.is_not(None), new.is_(None)))


def differs_portably(old: ColumnElement[Any], new: ColumnElement[Any], _: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ, in the SQL of every database."""
    return sa.or_(old != new, one_is_null(old, new))


def is_distinct(old: ColumnElement[Any], new: ColumnElement[Any], _: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ, by ``IS DISTINCT FROM``."""
    return old.is_distinct_from(new)


def ask_catalog(connection: Connection, table: sa.Table, query: str) -> Any:
    """Ask a catalog about a table.

    Args:
        connection: An open connection.
        table: The table.
        query: A query with the parameters ``:name`` and ``:place``, of the table and its schema, which can be NULL.
    """
    return connection.execute(sa.text(query), {"name": table.name, "place": table.schema})


def lengths_by_query(query: str) -> TextLengths:
    """Return how to ask for the lengths of columns, by a query for names of columns and their lengths."""
    return lambda connection, table: {
        name: int(length) for name, length in ask_catalog(connection, table, query)
    }


def forms_by_query(query: str) -> AboutTable:
    """Return how to ask for what columns make of values, by a query for names of columns and SQL, ``{}`` a value."""
    return lambda connection, table: {name: str(form) for name, form in ask_catalog(connection, table, query)}


def stored_by_query(query: str) -> StoredForms:
    """Return how to ask for what all columns make of values, by a query as for ``forms_by_query``, or NULL for SQL."""
    return lambda connection, table: {
        name: None if form is None else str(form) for name, form in ask_catalog(connection, table, query)
    }


def texts_by_query(query: str) -> AboutTable:
    """Return how to ask for something about parts of a table, by a query for names and texts.

    A name that comes with different texts is left out.
    """

    def find(connection: Connection, table: sa.Table) -> dict[str, str]:
        found: dict[str, set[str]] = {}
        for name, text in ask_catalog(connection, table, query):
            found.setdefault(str(name), set()).add(str(text))
        return {name: texts.pop() for name, texts in found.items() if len(texts) == 1}

    return find


def keys_by_query(query: str) -> ReferringKeys:
    """Return how to ask for foreign keys that refer to a table, by a query for names of tables and of their keys."""
    return lambda connection, table: [
        f"{name} ({key})" for name, key in ask_catalog(connection, table, query)
    ]


def driver_connection(connection: Connection) -> Any:
    """Return the driver's own connection below SQLAlchemy's."""
    return connection.connection.driver_connection


def driver_package(connection: Any) -> str:
    """Return the package that a driver's connection belongs to."""
    return str(connection.__class__.__module__).partition(".")[0]


def first_argument(error: Any) -> str:
    """Return the number that several drivers put before the message of an error; empty if there is none."""
    return str(error.args[0]) if error.args and isinstance(error.args[0], int) else ""


def sqlstate(error: Any) -> str:
    """Return the SQLSTATE of a driver's error; empty if it has none."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""


def standard_class(error: BaseException) -> str:
    """Return the class of PEP 249 that a driver's error belongs to; empty if it says nothing about the cause."""
    telling = ("DataError", "ProgrammingError", "OperationalError")
    return next((base.__name__ for base in type(error).__mro__ if base.__name__ in telling), "")


SQLSTATES = ErrorCodes(
    code=sqlstate,
    category=lambda error: sqlstate(error) or standard_class(error),
    text=postgres_message,
    denied=re.compile("42501"),
    too_long=re.compile("22001"),
    unconvertible=re.compile("22(?!001).*|23514"),
    check=re.compile("23514"),
    missing=re.compile("42P01|3F000|ProgrammingError|OperationalError"),
    unique=re.compile("23505|23P01"),
    raised=re.compile("P0.*"),
    no_access=re.compile(
        r"FATAL:\s+(?:(?:password|Peer|Ident|certificate|SASL) authentication failed|no such (?:user|database)"
        r'|(?:database|role) ".*" does not exist|role ".*" is not permitted|no pg_hba\.conf entry|permission denied'
        r"|unrecognized configuration parameter)|invalid (?:connection option|\w+ value)|bad value for "
    ),
    configuration=re.compile("(?:0A|25006|28|3D|3F|42(?!P01)|54011|55000).*|ProgrammingError"),
    data=re.compile("(?:22|23502|23503|23514|54|P0).*|DataError"),
    harmless=re.compile("(?:0A|08|23|25|28|3D|3F|40|42|53|54|55|57).*"),
    mistyped=re.compile("42804|42846|42883|22P02"),
)
"""SQLSTATE as PostgreSQL uses it; where a driver has none, the classes of PEP 249."""


class UpdateOfMatches(Executable, ClauseElement):
    """An update of rows in place, for databases that need a statement of their own, which they compile.

    Args:
        matches: The rows, and what is written to them.
    """

    inherit_cache = False
    supports_execution = True

    def __init__(self, matches: Matches) -> None:
        self.matches = matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """All that differs for one database; the defaults are for one that nothing is known about.

    Args:
        name: Name of its SQLAlchemy dialect.
        types: Column types.
        errors: How errors are reported.
        conn_type: Type of the Airflow connections that ``open_engine`` is for.
        open_engine: Makes an engine of a hook and options of ``sqlalchemy.create_engine``; by default the hook does.
        connects_by_hook: Whether the hook opens the connections, because its URL holds only a part of the Airflow
            connection's settings (not ``sslmode``, for one).
        drivers_by_url: Drivers for which the hook cannot do that.
        adopt: Makes a hook's connection return plain tuples and leave committing to us, whatever the Airflow
            connection asks for.
        prepare: Prepares the session of every new connection.
        ignores_case: Whether column names that differ only in letter case are the same.
        unquotable: Characters that a name cannot hold, however it is quoted, by driver.
        table_options: Arguments of every ``sqlalchemy.Table``.
        staging_prefixes: Words between CREATE and TABLE for a table that a crash of the server may empty.
        enforces_keys: Whether primary keys are enforced; if not, declaring one could only mislead the planner.
        keys_stages: Whether staging tables have a primary key, which servers may demand of every table.
        add_column: How ``ALTER TABLE .. ADD COLUMN`` is spelled.
        drop_if_exists: Whether there is ``DROP TABLE IF EXISTS``.
        ddl_settings: Statements that begin a transaction with DDL.
        complete_target: Does what else a target that was just created needs.
        check_target: Refuses an existing target in which a load could leave half of its rows, or rows twice.
        insert: Inserts rows.
        insert_by_driver: Faster ways to do that, by driver.
        stream_by_driver: Opens a stream of rows, which are taken in while the next ones are made, by driver.
        staging_settings: Statements that begin a transaction that stages rows.
        count_settings: Statements that begin a transaction that counts distinct values.
        counts_affected: Whether the driver reports how many rows a statement affected.
        text_lengths: Finds the columns that limit the length of a text.
        stored_forms: Finds what columns make of values and how they compare them. None where that is not known.
        text_form: What a column of text makes of a value of another type.
        written_forms: Finds the columns that take a value only in a form of their own.
        column_types: Finds the types of columns, to tell which one refuses a value, where errors do not name it.
        conditions: Finds what constraints demand of rows.
        referring_keys: Finds the enforced foreign keys that refer to rows that a DELETE of a table or view can reach.
        foreign_tables: Finds tables by whose triggers, policies or defaults somebody else could act with our rights.
            None where tables have no owners.
        may_leave_out_rows: Tells whether a trigger or rule may leave out rows that are written, without an error.
        lock: How loads wait for each other while they publish. None where concurrent transactions conflict anyway.
        analyze: Makes the statement that gathers statistics on columns of a table that was just filled.
        update: Makes the statement that updates rows of the target in place.
        differs: Whether a value of the target is not the staged one.
        folds_keys: Whether texts of the target's key can equal others, as a collation or a type makes them.
        plans_exists: Whether EXISTS is planned as a join, and ``IN`` below a ``NOT`` is not.
        publishes_by_merge: Whether a transaction can hold only one statement, so that it must be a MERGE.
        build_script: Makes the one script that publishes, where a connection has no transaction.
    """

    name: str
    types: DatabaseTypes = field(default_factory=DatabaseTypes)
    errors: ErrorCodes = SQLSTATES

    conn_type: str | None = None
    open_engine: Callable[[Any, dict[str, Any]], Engine] | None = None
    connects_by_hook: bool = False
    drivers_by_url: frozenset[str] = frozenset()
    adopt: Callable[[Any], None] = lambda _: None
    prepare: Callable[[Any], None] = lambda _: None

    ignores_case: bool = False
    unquotable: Mapping[str, str] = field(default_factory=dict)

    table_options: Mapping[str, Any] = field(default_factory=dict)
    staging_prefixes: Sequence[str] = ()
    enforces_keys: bool = True
    keys_stages: bool = False
    add_column: str = "ADD COLUMN"
    drop_if_exists: bool = True
    ddl_settings: Sequence[str] = ()
    complete_target: Callable[[Connection, sa.Table], None] = lambda *_: None
    check_target: Callable[[Connection, sa.Table], None] = lambda *_: None

    insert: InsertRows = execute_many
    insert_by_driver: Mapping[str, InsertRows] = field(default_factory=dict)
    stream_by_driver: Mapping[str, Callable[[Connection, sa.Table], RowStream]] = field(default_factory=dict)
    staging_settings: Sequence[str] = ()
    count_settings: Sequence[str] = ()
    counts_affected: bool = True
    text_lengths: TextLengths = lambda *_: {}
    stored_forms: StoredForms | None = None
    text_form: str = AS_IT_IS
    written_forms: AboutTable = lambda *_: {}
    column_types: AboutTable = lambda *_: {}
    conditions: AboutTable = lambda *_: {}
    referring_keys: ReferringKeys = lambda *_: ()
    foreign_tables: ForeignTables | None = None
    may_leave_out_rows: Callable[[Connection, sa.Table], bool] = lambda *_: False

    lock: Lock | NamedLock | None = None
    analyze: Callable[[sa.Table, Sequence[str]], Any] | None = None
    update: Callable[[Matches], Any] = update_by_subqueries
    differs: Differs = differs_portably
    folds_keys: bool = False
    plans_exists: bool = False
    publishes_by_merge: bool = False
    build_script: BuildScript | None = None

    @property
    def has_transactions(self) -> bool:
        """Whether the statements that publish are one transaction of the connection."""
        return self.build_script is None and not self.publishes_by_merge

    def insert_rows(self, connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
        """Insert rows into a table, within the connection's transaction.

        Args:
            connection: An open connection in a transaction.
            table: The table.
            rows: Rows with a value for each of the table's columns, in order.
        """
        if rows:
            insert = self.insert_by_driver.get(connection.dialect.driver, self.insert)
            insert(connection, table, rows)

    def execute_counted(self, connection: Connection, statement: Any) -> int:
        """Execute a DELETE or an UPDATE and return the number of rows that it affects."""
        if self.counts_affected:
            return int(connection.execute(statement).rowcount)
        affected = count_affected(connection, statement)
        connection.execute(statement)
        return affected


GENERIC = Database(name="")
"""A database that nothing is known about: SQLAlchemy writes its statements, and nothing makes loads wait."""


def count_affected(connection: Connection, statement: Any) -> int:
    """Return the number of rows that a DELETE or an UPDATE would affect."""
    count = sa.select(sa.func.count()).select_from(statement.table)
    if statement.whereclause is not None:
        count = count.where(statement.whereclause)
    return int(connection.execute(count).scalar_one())
