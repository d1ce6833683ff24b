"""The journal of one task in the organisation's ledger: whoever shares the ledger pays once.

An intent is one transaction: it takes the organisation's lock, reads what was submitted of the batch's contacts, and
records the batch if all of them are still due. So of two map indexes, or two runs within ``skip_submitted_within``,
that want the same contact at the same moment, one submits it.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.submission.errors import (
    JournalError,
    JournalOrganisationError,
    JournalTakenOverError,
    JournalUnavailableError,
    WorkflowTakenError,
    not_known_here,
    other_organisation,
)
from airflow_provider_cleanlist.submission.history import (
    BatchState,
    ContactHistory,
    PersonDecision,
    decision_of,
    recorded_type,
)
from airflow_provider_cleanlist.submission.journal import (
    SETTLED_BY_WEBHOOK,
    Batch,
    ContactsNotDueError,
    token_hash,
)
from airflow_provider_cleanlist.submission.ledger.database import ROWS_AT_ONCE, LedgerDatabase, chunks
from airflow_provider_cleanlist.submission.ledger.histories import Asking, LedgerHistories, read_decision
from airflow_provider_cleanlist.submission.ledger.statements import BatchStatements
from airflow_provider_cleanlist.submission.ledger.tables import (
    ORGANISATION_LENGTH,
    moment,
    moment_after,
    read_word,
)
from airflow_provider_cleanlist.submission.ledger.tasks import LedgerTask, check_id

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


_SERVER_CLOCKS = {
    "postgresql": "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
    "mariadb": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
}
"""Queries for seconds since the epoch; the file of SQLite has no clock."""
MOST_CLOCK_SECONDS = 300
"""How far a host's clock may be from that of the ledger's database."""


def check_clock(connection: Connection, name: str) -> None:
    """Refuse to submit by a wrong clock: it tells who was submitted within a window, and what is on its way.

    Args:
        connection: The ledger's database.
        name: What to call the ledger in the error.

    Raises:
        JournalUnavailableError: The host's clock and that of the database differ by more than five minutes.
    """
    query = _SERVER_CLOCKS.get(connection.dialect.name)
    if query is None:
        return
    before = time.time()
    there = float(connection.execute(sa.text(query)).scalar_one())
    seconds = max(before - there, there - time.time())
    if seconds > MOST_CLOCK_SECONDS:
        raise JournalUnavailableError(
            f"the clocks of this host and of the ledger {name} differ by {seconds:,.0f} s: synchronise them, because "
            "who was submitted when is told by them"
        )


class LedgerJournal:
    """The journal of one task instance in the ledger. Opening it takes over from earlier attempts.

    Args:
        database: The ledger.
        task: The task instance.
        try_number: Number of this attempt.
        organisation: Whose contacts these are, as the API names it.
        token: The ``force_resubmit`` value. A new one starts over; one that was used counts its own batches and all
            later ones of the run and task; empty, for none, counts those under every value.
        window: Leave out contacts that anybody submitted within that time; None leaves none out for that.
        must_know: Whether an earlier attempt must have opened its journal here.
        keep_task_ids: Whether batches keep their task ids in memory, too.
        clock: Seconds since the epoch.

    Raises:
        JournalMissingError: An earlier attempt must have opened its journal here, and none has.
        JournalOrganisationError: This run and task has submitted contacts for another organisation.
        JournalConfigurationError: The database cannot be used as it is.
        JournalUnavailableError: The database cannot be used at present.
    """

    def __init__(
        self,
        database: LedgerDatabase,
        task: LedgerTask,
        *,
        try_number: int,
        organisation: str,
        token: str = "",
        window: timedelta | None = None,
        must_know: bool = False,
        keep_task_ids: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        task.check_ids()
        check_id("id of the organisation", organisation, ORGANISATION_LENGTH)
        self.database = database
        self.organisation = organisation
        self.task = task
        self._tables = database.tables
        self._statements = BatchStatements(database.tables, database.engine.dialect.name)
        self._try_number = try_number
        self._token = token_hash(token)
        self._since = None if token else moment(0.0)
        """Since when batches under other tokens count, too; None if they do not."""
        self._must_know = must_know
        self._keep_task_ids = keep_task_ids
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._reading_since = self._latest = moment(0.0)
        """The last intent of the run and task, as far as it is known here."""
        database.introduce(organisation, clock())
        database.run(self._take_over)
        self._batches = database.run(self._load)
        asking = Asking(task.hash, task.map_index, organisation, self._token, self._since, window)
        self._histories = LedgerHistories(database.tables, self._statements, asking)

    @property
    def batches(self) -> Sequence[Batch]:
        """See :class:`.journal.Journal`."""
        return self._batches

    @property
    def contacts_of_index(self) -> int | None:
        """See :class:`.journal.Journal`: a ledger sees all map indexes."""
        return None

    is_shared = True
    """See :class:`.journal.Journal`."""

    @property
    def unknown_contacts(self) -> int:
        """See :class:`.journal.Journal`: those of this map index only; others stop their own map index."""
        persons = {contact for batch in self._batches if batch.is_unknown for contact in batch.contacts()}
        histories = self.histories(sorted(persons))
        return sum(history.unknown_here for history in histories)

    @property
    def decided_contacts(self) -> Mapping[PersonDecision, int]:
        """See :class:`.journal.Journal`."""
        decided = {
            contact: found for contact, found in _decisions_about(self._batches).items() if found is not None
        }
        histories = zip(decided.values(), self.histories(list(decided)), strict=True)
        return Counter(decision for decision, history in histories if history.unknown_here)

    def refresh(self) -> None:
        """See :class:`.journal.Journal`: the ledger is asked each time."""

    def histories(self, identities: Sequence[bytes]) -> Sequence[ContactHistory]:
        """See :class:`.journal.Journal`."""
        found: list[ContactHistory] = []
        for part in chunks(identities, ROWS_AT_ONCE):
            now = moment(self._clock())
            found += self.database.run(partial(self._histories.of, identities=part, now=now))
        return found

    def begin(
        self,
        identities: Sequence[bytes],
        enrichment_type: str,
        now: float,
        is_due: Callable[[ContactHistory], bool],
    ) -> Batch:
        """See :class:`.journal.Journal`."""
        batch = Batch(
            len(self._batches),
            BatchState.INTENT,
            b"".join(identities),
            enrichment_type,
            now,
            batch_id=uuid.uuid4().hex,
            submitted_at=self._next_moment(now),
        )
        self.database.run(lambda connection: self._insert(connection, batch, identities, is_due))
        self._batches.append(batch)
        return batch

    def reopen(self, batch: Batch, now: float, is_due: Callable[[ContactHistory], bool]) -> Batch:
        """See :class:`.journal.Journal`. Somebody else may have submitted the batch's contacts in the meantime."""
        again = replace(batch, state=BatchState.INTENT, note="", changed_at=now)

        def reopen(connection: Connection) -> None:
            self.database.lock(connection, self.organisation)
            self._check_ownership(connection, batch.batch_id)
            self._check_due(connection, batch, list(batch.contacts()), is_due)
            self._update(connection, again)

        self.database.run(reopen)
        return self._kept(again)

    def accept(self, batch: Batch, workflow_id: str, task_ids: Sequence[str], now: float) -> Batch:
        """See :class:`.journal.Journal`. It happened, so it is recorded even if another attempt has taken over."""
        return self._record(batch.accepted(workflow_id, now, task_ids=task_ids))

    def settle(self, batch: Batch, workflow_id: str, now: float) -> Batch:
        """See :class:`.journal.Journal`."""
        return self._record(batch.accepted(workflow_id, now, note=SETTLED_BY_WEBHOOK))

    def reject(self, batch: Batch, note: str, now: float) -> Batch:
        """See :class:`.journal.Journal`."""
        return self._record(replace(batch, state=BatchState.REJECTED, note=note, changed_at=now))

    def lose(self, batch: Batch, note: str, now: float) -> Batch:
        """See :class:`.journal.Journal`."""
        return self._record(replace(batch, state=BatchState.UNKNOWN, note=note, changed_at=now))

    def record_decision(self, decision: PersonDecision, decided_by: str, decided_at: float) -> int:
        """See :class:`.journal.Journal`."""
        decided = [
            batch.decided(decision, decided_by, decided_at) for batch in self._batches if batch.is_undecided
        ]

        def record(connection: Connection) -> None:
            self.database.lock(connection, self.organisation)
            self._check_ownership(connection, "")
            for batch in decided:
                values = {"decision": decision.value, "decided_by": batch.decided_by}
                self._update(connection, batch, **values, decided_at=moment(decided_at))

        self.database.run(record)
        return len([self._kept(batch) for batch in decided])

    def start_reading(self) -> None:
        """See :class:`.journal.Journal`: later than whoever has started before, whatever the hosts' clocks say."""

        def start(connection: Connection) -> datetime:
            self._check_ownership(connection, "")
            return self.database.next_moment(connection, self.organisation, self._clock())

        self._reading_since = self.database.run(start)

    def keep_source_rows(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """See :class:`.journal.Journal`."""
        self.database.keep_source_rows(
            rows, organisation=self.organisation, source=self.task.source, read_at=self._reading_since
        )

    # Opening

    def _take_over(self, connection: Connection) -> None:
        """Become the only attempt that may write for the task instance."""
        attempts = self._tables.attempts
        check_clock(connection, self.database.name)
        self._reading_since = self.database.next_moment(connection, self.organisation, self._clock())
        self._check_organisation(connection)
        now = sa.literal(self._reading_since, attempts.c.opened_at.type)
        # what earlier attempts have read is the run's, too; a host whose clock is ahead may have registered the first
        first = sa.case((attempts.c.opened_at < now, attempts.c.opened_at), else_=now)
        values = {
            **self.task.columns(self.organisation),
            "try_number": self._try_number,
            "owner": self._owner,
        }
        is_own = self.task.owns(attempts)
        if not connection.execute(attempts.update().where(is_own).values(**values, opened_at=first)).rowcount:
            if self._must_know:
                raise not_known_here(self._try_number, "the ledger")
            connection.execute(attempts.insert().values(**values, opened_at=self._reading_since))

    def _check_organisation(self, connection: Connection) -> None:
        batches = self._tables.batches
        query = sa.select(batches.c.organisation).where(
            batches.c.task_key == self.task.hash,
            self._is_here(),
            batches.c.organisation != self.organisation,
            batches.c.state != BatchState.REJECTED.value,
        )
        other = connection.execute(query.limit(1)).scalar()
        if other is not None:
            raise JournalOrganisationError(other_organisation(other, self.organisation))

    def _load(self, connection: Connection) -> list[Batch]:
        """Return the batches of this task instance, oldest first."""
        batches = self._tables.batches
        is_own = self.task.owns(batches)
        if self._token:  # another organisation may have refused the first request under it
            first = sa.select(sa.func.min(batches.c.submitted_at)).where(
                is_own, batches.c.token == self._token
            )
            self._since = connection.execute(first).scalar()
        last = sa.select(sa.func.max(batches.c.submitted_at)).where(batches.c.task_key == self.task.hash)
        self._latest = connection.execute(last).scalar() or self._latest
        query = sa.select(batches).where(is_own, batches.c.organisation == self.organisation, self._is_here())
        rows = connection.execute(query.order_by(batches.c.submitted_at, batches.c.batch_id)).all()
        contacts = self._statements.contacts_of(
            connection, [row.batch_id for row in rows], keep_task_ids=self._keep_task_ids
        )
        return [
            Batch(
                number=number,
                state=read_word(BatchState, row.state, "cleanlist_batches.state"),
                identities=bytes(contacts[row.batch_id].identities),
                enrichment_type=recorded_type(row.enrichment_type).value,
                changed_at=row.changed_at.timestamp(),
                workflow_id=row.workflow_id,
                task_ids=tuple(contacts[row.batch_id].task_ids),
                note=row.note,
                batch_id=row.batch_id,
                decision=read_decision(row.decision),
                decided_by=row.decided_by or "",
                decided_at=None if row.decided_at is None else row.decided_at.timestamp(),
                submitted_at=row.submitted_at.timestamp(),
                erased=max(0, row.contacts - len(contacts[row.batch_id].identities) // IDENTITY_BYTES),
            )
            for number, row in enumerate(rows)
        ]

    def _is_here(self) -> Any:
        batches = self._tables.batches
        is_same = batches.c.token == self._token
        return is_same if self._since is None else sa.or_(is_same, batches.c.submitted_at >= self._since)

    # Transactions

    def _next_moment(self, now: float) -> float:
        """Return the moment of an intent: never before an earlier one, even if the clock was set back."""
        self._latest = moment_after(self._latest, now)
        return self._latest.timestamp()

    def _check_ownership(self, connection: Connection, batch_id: str) -> bool:
        """Raise if another attempt has taken over; return whether a batch is recorded."""
        attempts, batches = self._tables.attempts, self._tables.batches
        is_recorded = sa.exists().where(batches.c.batch_id == batch_id)
        query = sa.select(attempts.c.owner, is_recorded).where(self.task.owns(attempts))
        found = connection.execute(query).first()
        if found is None or found[0] != self._owner:
            raise JournalTakenOverError("another attempt of this task has taken over")
        return bool(found[1])

    def _insert(
        self,
        connection: Connection,
        batch: Batch,
        identities: Sequence[bytes],
        is_due: Callable[[ContactHistory], bool],
    ) -> None:
        """Record an intent unless some of its contacts are no longer due."""
        self.database.lock(connection, self.organisation)
        if self._check_ownership(connection, batch.batch_id):
            return  # committed by an attempt at this transaction whose confirmation was lost
        self._check_due(connection, batch, identities, is_due)
        kind = EnrichmentType(batch.enrichment_type)
        connection.execute(
            self._tables.batches.insert().values(
                **self.task.columns(self.organisation),
                batch_id=batch.batch_id,
                try_number=self._try_number,
                token=self._token,
                state=batch.state.value,
                enrichment_type=kind.value,
                contacts=batch.size,
                worst_case_credits=batch.size * kind.worst_case_credits,
                note="",
                submitted_at=moment(batch.submitted_at),
                changed_at=moment(batch.changed_at),
            )
        )
        persons = [contact.hex() for contact in identities]
        self._statements.insert(connection, batch.batch_id, self.organisation, persons)

    def _check_due(
        self,
        connection: Connection,
        batch: Batch,
        identities: Sequence[bytes],
        is_due: Callable[[ContactHistory], bool],
    ) -> None:
        """Raise if some of the contacts are not due any more, whatever is known of the batch itself."""
        histories = self._histories.of(connection, identities, moment(self._clock()), without=batch.batch_id)
        if not_due := [position for position, history in enumerate(histories) if not is_due(history)]:
            raise ContactsNotDueError(not_due)

    def _record(self, batch: Batch) -> Batch:
        self.database.run(lambda connection: self._update(connection, batch))
        return self._kept(batch)

    def _update(self, connection: Connection, batch: Batch, **further: Any) -> None:
        batches = self._tables.batches
        is_it = batches.c.batch_id == batch.batch_id
        may_change = (
            is_it  # but for what another attempt has learned, which counts more unless a response tells
        )
        if batch.state is not BatchState.ACCEPTED or batch.is_settled:
            may_change = sa.and_(is_it, batches.c.state != BatchState.ACCEPTED.value)
        values = {
            "state": batch.state.value,
            "workflow_id": batch.workflow_id,
            "note": batch.note[:200],
            **further,
        }
        change = batches.update().where(may_change).values(changed_at=moment(batch.changed_at), **values)
        is_there = sa.select(batches.c.batch_id).where(is_it)
        try:
            is_changed = connection.execute(change).rowcount
        except sa.exc.IntegrityError:  # a workflow stands once in the table
            raise WorkflowTakenError(str(batch.workflow_id)) from None
        if not is_changed and connection.execute(is_there).first() is None:
            raise JournalError("the row of a batch is missing in cleanlist_batches; somebody has deleted it")
        if batch.state is BatchState.ACCEPTED and len(batch.task_ids) == batch.size:
            self._statements.keep_task_ids(connection, batch.batch_id, batch.task_ids)

    def _kept(self, batch: Batch) -> Batch:
        kept = batch if self._keep_task_ids or not batch.task_ids else replace(batch, task_ids=())
        self._batches[batch.number] = kept
        return kept


def _decisions_about(batches: Iterable[Batch]) -> dict[bytes, PersonDecision | None]:
    """Return what a person has decided about each contact in batches of unknown outcome.

    Args:
        batches: Batches in any state, oldest first.
    """
    decisions: dict[bytes, list[PersonDecision | None]] = {}
    for batch in batches:
        for contact in batch.contacts() if batch.is_unknown else ():
            decisions.setdefault(contact, []).append(batch.decision)
    return {contact: decision_of(found) for contact, found in decisions.items()}
