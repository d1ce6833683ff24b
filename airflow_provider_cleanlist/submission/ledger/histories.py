"""What the ledger says about persons, as one run and task has to see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.client.results import WorkflowState, workflow_state
from airflow_provider_cleanlist.submission.history import (
    BatchState,
    ContactHistory,
    EarlierBatch,
    PersonDecision,
    history_of,
    recorded_type,
)
from airflow_provider_cleanlist.submission.journal import SETTLED_BY_WEBHOOK
from airflow_provider_cleanlist.submission.ledger.database import ROWS_AT_ONCE, chunks
from airflow_provider_cleanlist.submission.ledger.statements import BatchStatements
from airflow_provider_cleanlist.submission.ledger.tables import moment, read_word

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_cleanlist.submission.ledger.tables import LedgerTables


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks about persons, and what counts for it.

    Attributes:
        task_key: The run and task.
        map_index: The map index.
        organisation: Whose persons these are.
        token: The hashed ``force_resubmit`` value.
        since: Since when batches of the run and task under other tokens count, too; None if they do not.
        window: How far back submissions by others count; None if they do not.
    """

    task_key: str
    map_index: int
    organisation: str
    token: str
    since: datetime | None
    window: timedelta | None


def read_decision(text: str | None) -> PersonDecision | None:
    """Return what a person has decided, as a row of ``cleanlist_batches`` holds it; None if nobody has.

    Args:
        text: What it holds.

    Raises:
        JournalCorruptError: It is no decision.
    """
    return None if text is None else read_word(PersonDecision, text, "cleanlist_batches.decision")


class LedgerHistories:
    """Reads what was submitted of persons.

    Args:
        tables: The ledger's tables.
        statements: What is asked about many persons at once.
        asking: Who asks.
    """

    def __init__(self, tables: LedgerTables, statements: BatchStatements, asking: Asking) -> None:
        self._tables = tables
        self._statements = statements
        self._asking = asking

    def of(
        self, connection: Connection, identities: Sequence[bytes], now: datetime, without: str = ""
    ) -> list[ContactHistory]:
        """Return what is known of each person.

        Args:
            connection: A connection in a transaction.
            identities: Their hashes, at most a few thousand.
            now: The current time.
            without: A batch that does not count; empty for none.
        """
        batches_of = self._batches_of(connection, identities, without)
        batch_ids = {batch_id for found in batches_of.values() for batch_id in found}
        batches = self._relevant_batches(connection, sorted(batch_ids), now)
        histories = []
        for contact in identities:
            found = batches_of.get(contact.hex())
            submitted = [batches[batch_id] for batch_id in found if batch_id in batches] if found else ()
            histories.append(
                history_of(submitted, now, self._asking.window) if submitted else ContactHistory()
            )
        return histories

    def _batches_of(
        self, connection: Connection, identities: Sequence[bytes], without: str
    ) -> Mapping[str, list[str]]:
        """Return the batches that each person is in.

        Their states are another query, because databases join the two tables by reading all batches there are.
        """
        found: dict[str, list[str]] = defaultdict(list)
        persons = [contact.hex() for contact in identities]
        for person_hash, batch_id in self._statements.batches_of(
            connection, persons, self._asking.organisation, without
        ):
            found[person_hash].append(batch_id)
        return found

    def _relevant_batches(
        self, connection: Connection, batch_ids: Sequence[str], now: datetime
    ) -> Mapping[str, EarlierBatch]:
        """Return those of some batches that matter."""
        batches = self._tables.batches
        is_relevant: Any = batches.c.task_key == self._asking.task_key
        window = self._asking.window
        if window is not None:
            is_recent = sa.true() if window >= now - moment(0.0) else batches.c.submitted_at >= now - window
            is_relevant = sa.or_(is_relevant, is_recent)
        columns = (
            batches.c.batch_id,
            batches.c.task_key,
            batches.c.map_index,
            batches.c.try_number,
            batches.c.token,
            batches.c.state,
            batches.c.enrichment_type,
            batches.c.submitted_at,
            batches.c.changed_at,
            batches.c.workflow_status,
            batches.c.emails_found,
            batches.c.phones_found,
            batches.c.note,
            batches.c.decision,
        )
        rows: list[Any] = []
        for part in chunks(batch_ids, ROWS_AT_ONCE):
            query = sa.select(*columns).where(
                batches.c.batch_id.in_(part), batches.c.state != BatchState.REJECTED.value, is_relevant
            )
            rows += connection.execute(query)
        attempts = self._attempts_of_intents(connection, rows)
        return {row.batch_id: self._earlier_batch(row, attempts) for row in rows}

    def _attempts_of_intents(self, connection: Connection, rows: Sequence[Any]) -> Mapping[int, int]:
        """Return the number of the last attempt of each map index that has an intent without an outcome."""
        indexes = {
            row.map_index
            for row in rows
            if row.task_key == self._asking.task_key and row.state == BatchState.INTENT.value
        }
        attempts, found = self._tables.attempts, dict[int, int]()
        for part in chunks(sorted(indexes - {self._asking.map_index}), ROWS_AT_ONCE):
            query = sa.select(attempts.c.map_index, attempts.c.try_number).where(
                attempts.c.task_key == self._asking.task_key, attempts.c.map_index.in_(part)
            )
            found |= {row.map_index: row.try_number for row in connection.execute(query)}
        return found

    def _earlier_batch(self, row: Any, attempts: Mapping[int, int]) -> EarlierBatch:
        is_this_task = row.task_key == self._asking.task_key
        since, last = self._asking.since, row.submitted_at
        if row.map_index != self._asking.map_index:  # it may have been refused then, and sent again since
            last = max(last, row.changed_at)
        is_later = since is not None and last >= since
        is_here = is_this_task and (row.token == self._asking.token or is_later)
        status, state = row.workflow_status, read_word(BatchState, row.state, "cleanlist_batches.state")
        is_given_up = is_this_task and row.try_number < attempts.get(row.map_index, 0)
        if state is BatchState.INTENT and is_given_up:
            state = BatchState.UNKNOWN
        return EarlierBatch(
            is_here=is_here,
            is_own=is_here and row.map_index == self._asking.map_index,
            map_index=row.map_index,
            state=state,
            enrichment_type=recorded_type(row.enrichment_type),
            submitted_at=row.submitted_at,
            changed_at=row.changed_at,
            has_failed=status is not None
            and workflow_state(status) is WorkflowState.FAILED
            and (row.emails_found is not None or row.phones_found is not None)  # not the error of a gateway
            and row.note != SETTLED_BY_WEBHOOK,  # whoever has the address can name any failed workflow
            is_of_other_token=is_this_task and not is_here,
            decision=read_decision(row.decision),
        )
