"""The ledger's tables: what they hold, and what databases say when they cannot be used.

Users query and join ``cleanlist_batches``, ``cleanlist_contacts`` and ``cleanlist_source_rows``; the other tables are
ours. Texts are compared byte by byte and times are UTC on every database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.submission.errors import (
    JournalConfigurationError,
    JournalCorruptError,
    JournalUnavailableError,
)
from airflow_provider_cleanlist.submission.journal import DECIDED_BY_LENGTH
from airflow_provider_cleanlist.warehouse.dialects import database_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

Word = TypeVar("Word", bound=StrEnum)

LEDGER_VERSION = 2
"""Version of the tables. A later release that changes them migrates older ones; an older release refuses newer ones."""
LOCK_PATIENCE_SECONDS = 60
"""How long a task waits for others that write for the same organisation, in seconds."""
ID_LENGTH = 250
"""Longest id of Airflow, in characters."""
ORGANISATION_LENGTH = 200
"""Longest id of an organisation, in characters."""
API_ID_LENGTH = 200
"""Longest task id of the API, in characters; longer ones are not kept."""
SOURCE_ID_LENGTH = 200
"""Longest id of a row in the user's system, in characters."""

CONTACTS_FILL_FACTOR = 45
"""How full PostgreSQL makes a page of contacts at first, in per cent.

Each row is written a second time, with its task id, when the batch is accepted. If the page has room for that, no index
changes, and it costs a quarter.
"""


class LedgerLockedError(JournalUnavailableError):
    """Somebody else held the ledger's lock for longer than a task waits."""


def damaged(cell: str) -> JournalCorruptError:
    """Return the error for a value that the provider does not write; it is not quoted, because it may be anything.

    Args:
        cell: Table and column.
    """
    return JournalCorruptError(
        f"{cell} of the ledger holds a value that the provider does not write, so somebody has changed it: correct it, "
        "or restore the row from a backup"
    )


def read_word(kind: type[Word], text: Any, cell: str) -> Word:
    """Return the word that a cell holds.

    Args:
        kind: The words that it may hold.
        text: What it holds.
        cell: Table and column.

    Raises:
        JournalCorruptError: It is none of these words.
    """
    try:
        return kind(text)
    except ValueError:
        raise damaged(cell) from None


def read_person(text: Any) -> bytes:
    """Return the hash of a person that a row of ``cleanlist_contacts`` holds.

    Args:
        text: What it holds.

    Raises:
        JournalCorruptError: It is no such hash.
    """
    try:
        found = bytes.fromhex(text)
    except (TypeError, ValueError):
        found = b""
    if len(found) != IDENTITY_BYTES:
        raise damaged("cleanlist_contacts.person")
    return found


DATABASES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite"}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment, stored as UTC in the type that the database's users expect, read as an aware ``datetime``."""

    impl = sa.DateTime
    cache_ok = True
    cell = "a moment"
    """Which column it is, for errors."""

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the database's own type, with fractions of a second."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Return the moment as the driver takes it."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Return what reads a moment; SQLite takes any text in its place."""
        read: Any = super().result_processor(dialect, coltype)

        def read_checked(value: Any) -> datetime | None:
            try:
                return read(value)  # type: ignore[no-any-return]
            except (TypeError, ValueError):
                raise damaged(self.cell) from None

        return read_checked

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Return the moment that the driver read."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _text(length: int) -> Any:
    """Return a text type that every one of the databases can index and compares byte by byte."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql").with_variant(exact, "mariadb")


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as the ledger keeps moments.

    Args:
        seconds: The seconds.
    """
    return datetime.fromtimestamp(seconds, UTC)


def moment_after(earlier: datetime | None, now: float) -> datetime:
    """Return the present moment, or one just later than an earlier one that the clock has not reached.

    Args:
        earlier: The earlier moment; None if there was none.
        now: Seconds since the epoch.
    """
    at = moment(now)
    return at if earlier is None or at > earlier else earlier + timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """The tables of one schema.

    Attributes:
        batches: A row is a request that was about to leave.
        contacts: A row is a person in a batch.
        source_rows: A row is a row of a source.
        attempts: Who writes for a task instance at present.
        organisations: One row for each, changed by whoever records an intent, so that the others wait.
        keys: Which organisation a hash of host and key belongs to.
        ledger: The tables' version.
    """

    metadata: sa.MetaData
    batches: sa.Table
    contacts: sa.Table
    source_rows: sa.Table
    attempts: sa.Table
    organisations: sa.Table
    keys: sa.Table
    ledger: sa.Table

    def foreign(self, connection: Connection) -> Sequence[str]:
        """Return which of them cannot be trusted as our own, each with what it is; to be asked before they are used."""
        find, names = (
            database_of(connection).foreign_tables,
            [table.name for table in self.metadata.tables.values()],
        )
        return find(connection, self.ledger.schema, names) if find else ()


@cache
def ledger_tables(schema: str | None) -> LedgerTables:
    """Return the tables of a schema.

    Args:
        schema: The schema; None for the connection's own.
    """
    metadata = sa.MetaData(schema=schema)
    column, integer = sa.Column, sa.Integer

    def table(name: str, *parts: Any) -> sa.Table:
        made = sa.Table(f"cleanlist_{name}", metadata, *parts, mysql_engine="InnoDB", mariadb_engine="InnoDB")
        for part in made.columns:
            if isinstance(part.type, UtcDateTime):
                part.type.cell = f"{made.name}.{part.name}"
        return made

    def task() -> list[sa.Column[Any]]:
        return [
            column("organisation", _text(ORGANISATION_LENGTH), nullable=False),
            column("dag_id", _text(ID_LENGTH), nullable=False),
            column("run_id", _text(ID_LENGTH), nullable=False),
            column("task_id", _text(ID_LENGTH), nullable=False),
        ]

    batches = table(
        "batches",
        column("batch_id", _text(32), primary_key=True),
        *task(),
        column("map_index", integer, nullable=False),
        column("try_number", integer, nullable=False),
        column("token", _text(32), nullable=False),
        column("task_key", _text(32), nullable=False),
        column("state", _text(10), nullable=False),
        column("enrichment_type", _text(20), nullable=False),
        column("contacts", integer, nullable=False),
        column("worst_case_credits", integer, nullable=False),
        column("workflow_id", _text(512)),
        column("note", _text(200), nullable=False),
        column("decision", _text(10)),
        column("decided_by", _text(DECIDED_BY_LENGTH)),
        column("decided_at", UtcDateTime),
        column("submitted_at", UtcDateTime, nullable=False),
        column("changed_at", UtcDateTime, nullable=False),
        column("ended_at", UtcDateTime),
        column("workflow_status", _text(50)),
        column("emails_found", integer),
        column("phones_found", integer),
        column("credits_spent", integer),
        sa.Index("cleanlist_batches_task", "task_key"),
        sa.Index("cleanlist_batches_workflow", "workflow_id", unique=True),
        sa.Index("cleanlist_batches_submitted", "organisation", "submitted_at"),
    )
    contacts = table(
        "contacts",
        column("batch_id", _text(32), primary_key=True),
        column("position", integer, primary_key=True, autoincrement=False),
        column("organisation", _text(ORGANISATION_LENGTH), nullable=False),
        column("person", _text(24), nullable=False),
        column("api_task_id", _text(API_ID_LENGTH)),
        sa.Index("cleanlist_contacts_person", "person"),
    )
    make_ddl: Any = sa.DDL
    fill_factor = make_ddl(f"ALTER TABLE %(fullname)s SET (fillfactor = {CONTACTS_FILL_FACTOR})")
    sa.event.listen(contacts, "after_create", fill_factor.execute_if(dialect="postgresql"))
    source_rows = table(
        "source_rows",
        column("row_key", _text(32), primary_key=True),
        column("organisation", _text(ORGANISATION_LENGTH), nullable=False),
        column("source", _text(2 * ID_LENGTH + 1), nullable=False),
        column("source_id", _text(SOURCE_ID_LENGTH), nullable=False),
        column("person", _text(24), nullable=False),
        column("seen_at", UtcDateTime, nullable=False),
        sa.Index("cleanlist_source_rows_person", "person"),
    )
    attempts = table(
        "attempts",
        column("task_key", _text(32), primary_key=True),
        column("map_index", integer, primary_key=True, autoincrement=False),
        *task(),
        column("try_number", integer, nullable=False),
        column("owner", _text(32), nullable=False),
        column("opened_at", UtcDateTime, nullable=False),
    )
    organisations = table(
        "organisations",
        column("organisation", _text(ORGANISATION_LENGTH), primary_key=True),
        column("first_seen_at", UtcDateTime, nullable=False),
        column("turns", sa.BigInteger, nullable=False),
        column("latest_at", UtcDateTime),
    )
    keys = table(
        "keys",
        column("key_hash", _text(64), primary_key=True),
        column("organisation", _text(ORGANISATION_LENGTH), nullable=False),
        column("checked_at", UtcDateTime, nullable=False),
    )
    version = table("ledger", column("version", integer, primary_key=True, autoincrement=False))
    return LedgerTables(metadata, batches, contacts, source_rows, attempts, organisations, keys, version)


@contextmanager
def transaction(engine: Engine, patience: int | None = None) -> Iterator[Connection]:
    """Yield a connection in a transaction that waits for locks, on SQLite for that of the whole file.

    Each statement sees what was committed before it, whatever the database's default is: what is asked after the wait
    for a lock must be seen as those who held it have left it. A session that falls silent loses its locks.

    Args:
        engine: The database.
        patience: How long to wait for each lock, in seconds, but on SQLite; by default as long as tasks do.
    """
    silence = LOCK_PATIENCE_SECONDS
    patience = silence if patience is None else patience
    with engine.begin() as connection:
        _prepare_nothing(connection)
        for statement in {
            "sqlite": (f"PRAGMA busy_timeout = {1000 * silence}", "BEGIN IMMEDIATE"),
            "postgresql": (  # in one, because each is a message to the server and back
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
                f"SET LOCAL lock_timeout = '{patience}s'; "
                f"SET LOCAL idle_in_transaction_session_timeout = '{silence}s'",
            ),
        }.get(
            connection.dialect.name,
            (
                f"SET SESSION innodb_lock_wait_timeout = {patience}, SESSION lock_wait_timeout = {patience}, "
                f"SESSION wait_timeout = {silence}",
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            ),
        ):
            connection.exec_driver_sql(statement)
        yield connection


def _prepare_nothing(connection: Connection) -> None:
    """Keep psycopg from preparing statements that it sees often.

    PostgreSQL plans a prepared statement without its values in the end, and so a query for 500 persons takes minutes
    instead of milliseconds. And behind pgbouncer the next transaction has another session.
    """
    driver: Any = connection.connection.dbapi_connection
    if getattr(driver, "prepare_threshold", None) is not None:
        driver.prepare_threshold = None


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn errors of a database into errors of the journal, without the driver's text, which may hold values.

    Args:
        name: What to call the ledger.

    Raises:
        JournalConfigurationError: The database cannot be used as it is.
        JournalUnavailableError: It cannot be used at present.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _translated(name, error) from None
    except sa.exc.SQLAlchemyError as error:
        raise JournalUnavailableError(f"the ledger {name}: {type(error).__name__}") from None


_NEEDED_GRANTS = "CREATE (once), SELECT, INSERT and UPDATE on the cleanlist_ tables"
_READ_ONLY = {"25006", "1290", "1792", "1836"}
NOT_ALLOWED = {"42501", "1044", "1142", "1143", "1227"}
_NO_SCHEMA = {"3F000", "1049"}
_NO_TABLE = {"42P01", "1146"}
LOCKED = {"55P03", "1205"}
_NOT_IN_ENCODING = "22P05"


def locked(name: str) -> LedgerLockedError:
    """Return the error for a lock that somebody else did not give back in time.

    Args:
        name: What to call the ledger.
    """
    return LedgerLockedError(
        f"the ledger {name} was locked for {LOCK_PATIENCE_SECONDS} s: another task, or somebody's session, "
        "holds its lock"
    )


def table_missing(name: str) -> JournalConfigurationError:
    """Return the error for a table that was dropped.

    Args:
        name: What to call the ledger.
    """
    return JournalConfigurationError(
        f"a table of the ledger {name} is missing: somebody has dropped it. Restore it from a backup; if all "
        "cleanlist_ tables are dropped, the next task makes them anew, and nobody is known to have been submitted"
    )


def error_codes(error: sa.exc.DBAPIError) -> set[str]:
    """Return the codes that a driver gives for an error.

    Args:
        error: The error.
    """
    original: Any = error.orig
    codes = {str(getattr(original, field, None)) for field in ("pgcode", "sqlstate")}
    return codes | {str(part) for part in getattr(original, "args", ())[:1]}


def _translated(name: str, error: sa.exc.DBAPIError) -> JournalConfigurationError | JournalUnavailableError:
    original: Any = error.orig
    text = str(original).lower() if type(original).__module__.startswith("sqlite3") else ""
    codes = error_codes(error)
    if codes & _READ_ONLY or "readonly database" in text:
        return JournalConfigurationError(f"the ledger {name} is read-only: it must take {_NEEDED_GRANTS}")
    if codes & NOT_ALLOWED:
        return JournalConfigurationError(
            f"the ledger {name} lacks privileges: its user needs {_NEEDED_GRANTS}, on PostgreSQL also USAGE of the "
            "schema"
        )
    if codes & _NO_SCHEMA or "unknown database" in text:
        return JournalConfigurationError(
            f"the ledger {name} has no such schema: make it, or correct [cleanlist] ledger_schema"
        )
    if codes & _NO_TABLE or "no such table" in text:
        return table_missing(name)
    if _NOT_IN_ENCODING in codes:
        return JournalConfigurationError(
            f"the ledger {name} is in a database that is not encoded in UTF-8, and cannot hold a name of this run or "
            "an id of its source: put the ledger into a database with ENCODING 'UTF8'"
        )
    if codes & LOCKED or "database is locked" in text:
        return locked(name)
    known = sorted(codes - {"None"})[:1] if type(original).__name__ != "OperationalError" else []
    return JournalUnavailableError(
        f"the ledger {name}: {' '.join([type(original).__name__, *(code for code in known if len(code) <= 8)])}"
    )
