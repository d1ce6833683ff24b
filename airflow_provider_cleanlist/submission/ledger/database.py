"""The organisation's ledger as a database: what is in it beyond one task's journal."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import sqlalchemy as sa

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.client.results import WorkflowEnd, WorkflowState
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.submission.credits import workflow_credits
from airflow_provider_cleanlist.submission.errors import JournalConfigurationError, JournalUnavailableError
from airflow_provider_cleanlist.submission.history import BatchState
from airflow_provider_cleanlist.submission.ledger import statements
from airflow_provider_cleanlist.submission.ledger.set_up import set_up
from airflow_provider_cleanlist.submission.ledger.sqlite_file import prepare_file, warn_of_readers
from airflow_provider_cleanlist.submission.ledger.tables import (
    DATABASES,
    SOURCE_ID_LENGTH,
    LedgerLockedError,
    LedgerTables,
    database_errors,
    ledger_tables,
    moment,
    moment_after,
    read_word,
    transaction,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

T = TypeVar("T")

_COMPLETED = WorkflowState.COMPLETED.value
RETRY_PAUSES = (0.5, 2.0, 5.0)
"""Seconds between attempts at a transaction that failed for a reason that may pass."""
ROWS_AT_ONCE = 500
"""Rows, or persons, in one statement."""


class SourcePerson(NamedTuple):
    """Which person a row of a source is.

    Attributes:
        source: ``dag_id/task_id`` of the task that read it.
        source_id: Its id in the user's system.
        person: Hash of the person; empty if the row names nobody any more.
        seen_at: When reading it began.
    """

    source: str
    source_id: str
    person: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerContact:
    """A person in a batch.

    Attributes:
        workflow_id: The workflow that the batch became.
        position: Place in the batch, from 0.
        person: Hash of the person.
        api_task_id: The API's task id, where it gave one for each contact.
    """

    workflow_id: str
    position: int
    person: str
    api_task_id: str | None


class LedgerDatabase:
    """The ledger's database, with its tables made.

    Args:
        engine: The database.
        name: How to call it in errors, such as its connection id in quotes.
        schema: Schema of the tables; None for the connection's own.
        sleep: Lets so many seconds pass.

    Raises:
        JournalConfigurationError: It is no database that can hold a ledger, or others could replace its file.
        JournalUnavailableError: It does not answer.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        schema: str | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        kind = engine.dialect.name
        if kind not in DATABASES:
            raise JournalConfigurationError(
                f"the ledger {name} is a database of type {kind!r}, which lacks the transactions with row locks that a "
                "ledger rests on: take a connection to PostgreSQL, MySQL, MariaDB or SQLite"
            )
        self.engine = engine
        self.name = name
        self.tables: LedgerTables = ledger_tables(schema or None)
        self._sleep = sleep
        prepare_file(engine.url)
        warn_of_readers(engine.url, name)
        self._again(lambda: set_up(engine, self.tables, name))

    @property
    def location(self) -> str:
        """What tells one ledger from another: server, database and schema, without user and password."""
        url = self.engine.url
        kind = "mysql" if self.engine.dialect.name == "mariadb" else self.engine.dialect.name
        port = url.port or {"postgresql": 5432, "mysql": 3306}.get(kind)
        host = str(url.host or url.query.get("host", "")).lower()
        database = url.database or ""
        if kind == "sqlite" and not database.startswith("file:"):
            database = os.path.realpath(database)
        schema = self.tables.batches.schema or self.engine.dialect.default_schema_name or ""
        return "\0".join(map(str, (kind, host, port, database, schema)))

    @classmethod
    def of_connection(cls, conn_id: str, schema: str | None = None) -> LedgerDatabase:
        """Open the ledger behind an Airflow connection.

        Args:
            conn_id: The connection.
            schema: Schema of the tables; None for the connection's own.

        Raises:
            JournalConfigurationError: The connection is missing, or not one of a database that can hold a ledger.
            JournalUnavailableError: The database does not answer.
        """
        from airflow_provider_cleanlist.hooks.sql import sql_hook
        from airflow_provider_cleanlist.warehouse.connect import open_engine
        from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError

        try:
            hook = sql_hook(conn_id, "ledger_conn_id")
            return cls(open_engine(hook, conn_id, prepare_file), repr(conn_id), schema)
        except (CleanlistConfigurationError, LoadConfigurationError) as error:
            raise JournalConfigurationError(f"the ledger cannot be used: {error}") from None
        except LoadError:
            raise JournalUnavailableError(f"the ledger {conn_id!r} cannot be reached") from None

    def run(self, action: Callable[[Connection], T]) -> T:
        """Run a transaction, again after a pause when it failed for a reason that may pass.

        Args:
            action: What is done in it; has to be harmless when it was done before.

        Raises:
            JournalConfigurationError: The database cannot be used as it is.
            JournalUnavailableError: It cannot be used at present; whether the last attempt was committed is not known.
        """
        return self._again(lambda: self._once(action))

    def _again(self, attempt: Callable[[], T]) -> T:
        for pause in RETRY_PAUSES:
            try:
                return attempt()
            except LedgerLockedError:
                raise
            except JournalUnavailableError:
                self._sleep(pause)
        return attempt()

    def _once(self, action: Callable[[Connection], T]) -> T:
        with database_errors(self.name), transaction(self.engine) as connection:
            return action(connection)

    def introduce(self, organisation: str, now: float) -> None:
        """Make the row that is the lock of an organisation, unless there is one.

        Args:
            organisation: The organisation.
            now: Seconds since the epoch.
        """
        self.run(partial(self._introduce, organisation=organisation, now=now))

    def _introduce(self, connection: Connection, *, organisation: str, now: float) -> None:
        table = self.tables.organisations
        key = table.c.organisation
        if connection.execute(sa.select(key).where(key == organisation)).first() is not None:
            return
        row = {"organisation": organisation, "first_seen_at": moment(now), "turns": 0}
        statements.insert_missing(connection, table, row)

    # Whose account is it?

    def lock(self, connection: Connection, organisation: str) -> None:
        """Take the organisation's lock, until the transaction ends: change its row.

        A lock without a change would not do where a cluster has several servers to write to: they only notice that two
        transactions have changed the same row.

        Args:
            connection: A connection in a transaction.
            organisation: The organisation.

        Raises:
            JournalUnavailableError: Its row is missing.
        """
        organisations = self.tables.organisations
        is_it = organisations.c.organisation == organisation
        turn = organisations.update().where(is_it).values(turns=organisations.c.turns + 1)
        if not connection.execute(turn).rowcount:
            raise JournalUnavailableError(
                f"the row of {organisation} is missing in cleanlist_organisations; the next attempt makes it anew"
            )

    def next_moment(self, connection: Connection, organisation: str, now: float) -> datetime:
        """Return a moment that is later than all that were returned before for an organisation, whatever clocks say.

        It takes the organisation's lock.

        Args:
            connection: A connection in a transaction.
            organisation: The organisation.
            now: Seconds since the epoch.

        Raises:
            JournalUnavailableError: The organisation's row is missing.
        """
        self.lock(connection, organisation)
        organisations = self.tables.organisations
        is_it = organisations.c.organisation == organisation
        latest = connection.execute(sa.select(organisations.c.latest_at).where(is_it)).scalar()
        at = moment_after(latest, now)
        connection.execute(organisations.update().where(is_it).values(latest_at=at))
        return at

    def organisation_of_key(self, key_hash: str) -> str | None:
        """Return the organisation that a hash of host and key was found to belong to, or None if it is new.

        Args:
            key_hash: The hash.
        """
        keys = self.tables.keys
        query = sa.select(keys.c.organisation).where(keys.c.key_hash == key_hash)
        found = self.run(lambda connection: connection.execute(query).scalar())
        return None if found is None else str(found)

    def remember_key(self, key_hash: str, organisation: str, now: float) -> None:
        """Keep which organisation a hash of host and key belongs to.

        Args:
            key_hash: The hash.
            organisation: The organisation.
            now: Seconds since the epoch.
        """
        row = {"key_hash": key_hash, "organisation": organisation, "checked_at": moment(now)}
        self.run(partial(statements.replace, table=self.tables.keys, rows=[row]))

    # How workflows ended

    def record_ends(self, ends: Sequence[WorkflowEnd], now: float) -> int:
        """Record how workflows ended and what they cost; the first record of an end stays, unless it is a failure.

        A later record of the same end adds counts that the first one did not have.

        Args:
            ends: The ends; workflows that are not in the ledger are passed over.
            now: Seconds since the epoch.

        Returns:
            How many batches were changed.
        """
        return sum(
            self.run(partial(self._record_ends, ends=part, now=now)) for part in chunks(ends, ROWS_AT_ONCE)
        )

    def _record_ends(self, connection: Connection, *, ends: Sequence[WorkflowEnd], now: float) -> int:
        columns = self.tables.batches.c
        by_id = {end.workflow_id: end for end in ends}
        query = (
            sa.select(
                columns.batch_id,
                columns.workflow_id,
                columns.enrichment_type,
                columns.contacts,
                columns.ended_at,
                columns.workflow_status,
                columns.emails_found,
                columns.phones_found,
            )
            .where(
                columns.workflow_id.in_(list(by_id)),
                sa.or_(
                    columns.ended_at.is_(None),
                    columns.emails_found.is_(None),
                    columns.phones_found.is_(None),
                    columns.workflow_status != _COMPLETED,
                ),
            )
            .order_by(columns.batch_id)
        )
        rows = connection.execute(query).all()
        return sum(self._record_end(connection, row, by_id[row.workflow_id], now) for row in rows)

    def _record_end(self, connection: Connection, row: Any, end: WorkflowEnd, now: float) -> int:
        """Record the end of a batch's workflow; return 1 if that changed the batch, else 0."""
        batches, status = self.tables.batches, end.status[:50]
        is_corrected = row.ended_at is not None and status == _COMPLETED != row.workflow_status
        emails, phones = (None, None) if is_corrected else (row.emails_found, row.phones_found)
        emails = _possible(end.emails_found, row.contacts) if emails is None else emails
        phones = _possible(end.phones_found, row.contacts) if phones is None else phones
        values: dict[str, Any] = {
            "emails_found": emails,
            "phones_found": phones,
            "credits_spent": workflow_credits(
                read_word(EnrichmentType, row.enrichment_type, "cleanlist_batches.enrichment_type"),
                replace(end, emails_found=emails, phones_found=phones),
            ),
        }
        is_as_read = batches.c.ended_at.is_(None)
        if row.ended_at is not None:
            is_as_read = batches.c.workflow_status == row.workflow_status
        if row.ended_at is None or is_corrected:
            values |= {"ended_at": moment(now), "workflow_status": status}
        elif row.workflow_status != status or (emails, phones) == (row.emails_found, row.phones_found):
            return 0
        update = batches.update().where(batches.c.batch_id == row.batch_id, is_as_read).values(values)
        return int(connection.execute(update).rowcount)

    # Which row is whose?

    def keep_source_rows(
        self, rows: Iterable[tuple[str, bytes]], *, organisation: str, source: str, read_at: datetime
    ) -> None:
        """Keep which person each row of a source is, unless somebody who has read it later has kept that already.

        Of a row that names nobody only an id that is there already is kept: what stands in the place of an id in a
        damaged row may be somebody's name.

        Args:
            rows: The row's id in the user's system, and the hash of its person, empty if it names nobody; each id once.
            organisation: The organisation.
            source: ``dag_id/task_id``.
            read_at: When reading it began, as :meth:`next_moment` says.
        """
        for part in chunks(rows, ROWS_AT_ONCE):
            records = [
                {
                    "row_key": _hash(organisation, source, source_id),
                    "organisation": organisation,
                    "source": source,
                    "source_id": source_id[:SOURCE_ID_LENGTH],
                    "person": identity.hex(),
                    "seen_at": read_at,
                }
                for source_id, identity in part
            ]
            records.sort(key=lambda record: str(record["row_key"]))  # so that two tasks cannot deadlock
            if named := [record for record in records if record["person"]]:
                rows_of = self.tables.source_rows
                self.run(partial(statements.replace, table=rows_of, rows=named, newest_by="seen_at"))
            if nobodys := [record for record in records if not record["person"]]:
                self.run(partial(self._forget_persons, records=nobodys))

    def _forget_persons(self, connection: Connection, *, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep that rows name nobody, if they are there."""
        rows = self.tables.source_rows
        is_one = rows.c.row_key.in_([record["row_key"] for record in records])
        is_older = rows.c.seen_at <= records[0]["seen_at"]
        values = {name: records[0][name] for name in ("organisation", "person", "seen_at")}
        connection.execute(rows.update().where(is_one, is_older).values(values))

    def contacts_of(self, workflow_ids: Sequence[str]) -> Iterator[LedgerContact]:
        """Yield the persons of workflows, in the order of their submission.

        Args:
            workflow_ids: The workflows.
        """
        batches, contacts = self.tables.batches, self.tables.contacts
        for workflow_id in workflow_ids:
            query = (
                sa.select(contacts.c.position, contacts.c.person, contacts.c.api_task_id)
                .select_from(contacts.join(batches, contacts.c.batch_id == batches.c.batch_id))
                .where(batches.c.workflow_id == workflow_id, batches.c.state == BatchState.ACCEPTED.value)
                .order_by(contacts.c.position)
            )
            for row in self.run(partial(_rows, query=query)):
                yield LedgerContact(workflow_id, *row)

    def source_rows_of(self, workflow_ids: Sequence[str]) -> Iterator[SourcePerson]:
        """Yield the rows whose persons are in workflows.

        Args:
            workflow_ids: The workflows.
        """
        rows, batches, contacts = self.tables.source_rows, self.tables.batches, self.tables.contacts
        for workflow_id in workflow_ids:
            query = (
                sa.select(rows.c.source, rows.c.source_id, rows.c.person, rows.c.seen_at)
                .select_from(
                    rows.join(
                        contacts,
                        sa.and_(
                            rows.c.person == contacts.c.person,
                            rows.c.organisation == contacts.c.organisation,
                        ),
                    ).join(batches, contacts.c.batch_id == batches.c.batch_id)
                )
                .where(batches.c.workflow_id == workflow_id)
                .order_by(rows.c.source, rows.c.source_id)
            )
            for row in self.run(partial(_rows, query=query)):
                yield SourcePerson(str(row.source), str(row.source_id), str(row.person), row.seen_at)

    def source_rows_read(
        self, workflow_ids: Sequence[str], dag_id: str, run_id: str
    ) -> Iterator[SourcePerson]:
        """Yield all rows that tasks have read, or that were read since, of the organisations that they worked for.

        The tasks are those that submitted the workflows, and those of a DAG run: one that submitted nobody has no
        workflow.

        Args:
            workflow_ids: The workflows.
            dag_id: The DAG.
            run_id: The DAG run.
        """
        for (organisation, source), since in self._sources_read(workflow_ids, dag_id, run_id).items():
            yield from self._source_rows_since(organisation, source, since)

    def _sources_read(
        self, workflow_ids: Sequence[str], dag_id: str, run_id: str
    ) -> dict[tuple[str, str], datetime]:
        """Return when the first map index of each source's task began its first attempt, by organisation."""
        attempts, batches = self.tables.attempts, self.tables.batches
        conditions: list[Any] = [sa.and_(attempts.c.dag_id == dag_id, attempts.c.run_id == run_id)]
        for part in chunks(workflow_ids, ROWS_AT_ONCE):
            submitted = sa.select(batches.c.task_key).where(batches.c.workflow_id.in_(part))
            conditions.append(attempts.c.task_key.in_(submitted))
        found: dict[tuple[str, str], datetime] = {}
        wanted = (attempts.c.organisation, attempts.c.dag_id, attempts.c.task_id, attempts.c.opened_at)
        for condition in conditions:
            for row in self.run(partial(_rows, query=sa.select(*wanted).where(condition))):
                source = (row.organisation, f"{row.dag_id}/{row.task_id}")
                found[source] = min(found.get(source, row.opened_at), row.opened_at)
        return found

    def _source_rows_since(self, organisation: str, source: str, since: datetime) -> Iterator[SourcePerson]:
        rows, last = self.tables.source_rows, ""
        is_read = sa.and_(
            rows.c.organisation == organisation, rows.c.source == source, rows.c.seen_at >= since
        )
        while True:
            query = (
                sa.select(rows.c.source, rows.c.source_id, rows.c.person, rows.c.seen_at, rows.c.row_key)
                .where(rows.c.row_key > last, is_read)
                .order_by(rows.c.row_key)
                .limit(ROWS_AT_ONCE)
            )
            found = self.run(partial(_rows, query=query))
            for row in found:
                yield SourcePerson(str(row.source), str(row.source_id), str(row.person), row.seen_at)
            if len(found) < ROWS_AT_ONCE:
                return
            last = found[-1].row_key


def _rows(connection: Connection, *, query: Any) -> Sequence[Any]:
    return connection.execute(query).all()


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists.

    Args:
        items: The items.
        size: Items in a list at most.
    """
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _hash(*parts: str) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _possible(found: int | None, contacts: int) -> int | None:
    """Return how many of a batch's contacts something was found for; None if it cannot be so many."""
    return found if found is not None and 0 <= found <= contacts else None
