"""The journal: what was submitted, so that nobody pays twice after a crash.

Each batch is recorded as an *intent* right before its request leaves and gets its *outcome* afterwards. A later attempt
subtracts the contacts of accepted batches from its input, in whatever order that comes. An intent without an outcome
means that the process died in between: nobody knows whether the contacts were billed.

:class:`BatchRecorder` writes down what becomes of one batch while it is being sent. Contacts appear as hashes only. Two
classes keep a journal: :class:`.stored.journal.StoredJournal` in JSON records of one task, in Airflow's task state
store or a directory, and :class:`.ledger.journal.LedgerJournal` in the organisation's SQL database.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.client.responses import BulkEnrichment
from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES
from airflow_provider_cleanlist.input_limits import ID_CHARACTERS
from airflow_provider_cleanlist.submission.errors import JournalCorruptError, JournalError, WorkflowTakenError
from airflow_provider_cleanlist.submission.history import (
    BatchState,
    ContactHistory,
    PersonDecision,
    recorded_type,
)
from airflow_provider_cleanlist.submission.signals import SignalHold
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.wording import counted

JOURNAL_VERSION = 1
SETTLED_BY_WEBHOOK = "accepted, says its webhook"
"""Note of a batch whose response was lost and whose webhook arrived."""
DECIDED_BY_LENGTH = 200
"""Longest name of a person who has decided, in characters; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One submission.

    Attributes:
        number: Position among the batches of its attempt, from 0.
        state: What is known of it.
        identities: Hashes of its contacts, 12 bytes each, one after the other.
        enrichment_type: What was asked for.
        changed_at: Seconds since the epoch of the last change.
        workflow_id: Workflow that an accepted batch became, else None.
        task_ids: Task ids of an accepted batch, where the API named them.
        note: Why it was rejected or is unknown, or that its webhook settled it; never holds contact data.
        batch_id: Its key in a ledger; empty elsewhere.
        decision: What a person has decided about it while its outcome was unknown; None if nobody has.
        decided_by: The name of that person; empty if there is none.
        decided_at: When, in seconds since the epoch.
        submitted_at: Seconds since the epoch of its first intent, never before that of an earlier batch that the
            attempt knew, whatever the clock said.
        erased: Contacts that were erased from its record since; they were billed all the same.
    """

    number: int
    state: BatchState
    identities: bytes
    enrichment_type: str
    changed_at: float
    workflow_id: str | None = None
    task_ids: tuple[str, ...] = ()
    note: str = ""
    batch_id: str = ""
    decision: PersonDecision | None = None
    decided_by: str = ""
    decided_at: float | None = None
    submitted_at: float = 0.0
    erased: int = 0

    @property
    def size(self) -> int:
        """Number of its contacts, those that were erased from its record since included."""
        return len(self.identities) // IDENTITY_BYTES + self.erased

    @property
    def kind(self) -> EnrichmentType:
        """What was asked for; everything if its record does not say."""
        return recorded_type(self.enrichment_type)

    @property
    def may_be_billed(self) -> bool:
        """Whether Cleanlist has, or may have, accepted it."""
        return self.state is not BatchState.REJECTED

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if Cleanlist accepted it."""
        return self.state in (BatchState.INTENT, BatchState.UNKNOWN)

    @property
    def is_undecided(self) -> bool:
        """Whether nobody knows if Cleanlist accepted it, and nobody has decided what to do about that."""
        return self.is_unknown and self.decision is None

    @property
    def is_settled(self) -> bool:
        """Whether only its webhook tells that it was accepted, and as which workflow."""
        return self.state is BatchState.ACCEPTED and self.note == SETTLED_BY_WEBHOOK

    def contacts(self) -> Iterator[bytes]:
        """Yield the hash of each contact."""
        for start in range(0, len(self.identities), IDENTITY_BYTES):
            yield self.identities[start : start + IDENTITY_BYTES]

    def accepted(
        self, workflow_id: str, accepted_at: float, *, task_ids: Sequence[str] = (), note: str = ""
    ) -> Batch:
        """Return it as one that Cleanlist has accepted.

        Args:
            workflow_id: The workflow that it became.
            accepted_at: When that became known, in seconds since the epoch.
            task_ids: Its task ids, where the API named them; kept if there is one for each contact.
            note: How that became known, unless by the response.
        """
        return replace(
            self,
            state=BatchState.ACCEPTED,
            changed_at=accepted_at,
            workflow_id=workflow_id,
            task_ids=tuple(task_ids) if len(task_ids) == self.size else (),
            note=note,
        )

    def decided(self, decision: PersonDecision, decided_by: str, decided_at: float) -> Batch:
        """Return it with what a person has decided about it.

        Args:
            decision: The decision.
            decided_by: Name of the person.
            decided_at: Seconds since the epoch.
        """
        name = decided_by[:DECIDED_BY_LENGTH]
        return replace(self, decision=decision, decided_by=name, decided_at=decided_at)

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is stored."""
        return {
            "version": JOURNAL_VERSION,
            "state": self.state.value,
            "contacts": base64.b64encode(self.identities).decode(),
            "count": self.size,
            "enrichment_type": self.enrichment_type,
            "changed_at": self.changed_at,
            "submitted_at": self.submitted_at,
            "workflow_id": self.workflow_id,
            "task_ids": list(self.task_ids),
            "note": self.note,
            "decision": None if self.decision is None else self.decision.value,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at,
        }

    @classmethod
    def from_json(cls, number: int, value: Any) -> Batch:
        """Read a stored record.

        Raises:
            JournalCorruptError: The value is not a batch record of this version.
        """
        try:
            if (version := value["version"]) != JOURNAL_VERSION:
                other = version if isinstance(version, int) and 0 <= version < 1000 else "of another kind"
                raise JournalCorruptError(
                    f"batch record {number} has version {other}, this release knows {JOURNAL_VERSION}"
                )
            identities = base64.b64decode(value["contacts"], validate=True)
            if len(identities) != value["count"] * IDENTITY_BYTES:
                raise JournalCorruptError(f"batch record {number} is incomplete")
            state = BatchState(value["state"])
            if state is BatchState.ACCEPTED and not value["workflow_id"]:
                raise JournalCorruptError(f"batch record {number} is accepted but names no workflow")
            decision, decided_at = value.get("decision"), value.get("decided_at")
            return cls(
                number=number,
                state=state,
                identities=identities,
                enrichment_type=recorded_type(value.get("enrichment_type", "")).value,
                changed_at=_moment(value["changed_at"]),
                workflow_id=None if value["workflow_id"] is None else _id(value["workflow_id"]),
                task_ids=tuple(map(_id, _list(value["task_ids"]))),
                note=str(value["note"]),
                decision=None if decision is None else PersonDecision(decision),
                decided_by=str(value.get("decided_by") or ""),
                decided_at=None if decided_at is None else _moment(decided_at),
                submitted_at=_moment(value.get("submitted_at", value["changed_at"])),
            )
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, binascii.Error):
            raise JournalCorruptError(f"batch record {number} is not readable") from None


def _id(value: Any) -> str:
    """Return an id of Cleanlist's as it was recorded."""
    if not isinstance(value, str) or len(value) > ID_CHARACTERS or not value.isprintable():
        raise ValueError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError
    return value


def _moment(value: Any) -> float:
    """Return seconds since the epoch as they were recorded."""
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError
    return seconds


def token_hash(token: str | None) -> str:
    """Return the hash by which a ``force_resubmit`` value is recorded; empty for none.

    Args:
        token: The value; empty or None for none.
    """
    return hashlib.blake2b(token.encode(), digest_size=6).hexdigest() if token else ""


class ContactsNotDueError(Exception):
    """Somebody else has submitted contacts of the batch in the meantime; nothing was recorded, and nothing sent.

    Args:
        positions: Their positions in the batch.
    """

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__(f"no longer due: {counted(len(positions), 'contact')} of the batch")
        self.positions = frozenset(positions)


class Journal(Protocol):
    """The journal of one task instance and one ``force_resubmit`` value."""

    @property
    def batches(self) -> Sequence[Batch]:
        """All batches of this task instance, those of earlier attempts first."""

    @property
    def unknown_contacts(self) -> int:
        """How many contacts of this run and task have an unknown outcome that no later batch settled."""

    @property
    def decided_contacts(self) -> Mapping[PersonDecision, int]:
        """How many of the unknown contacts a person has decided about, by decision; the others are undecided."""

    @property
    def contacts_of_index(self) -> int | None:
        """How many contacts this map index has submitted, if the journal cannot see the others of a mapped task."""

    @property
    def is_shared(self) -> bool:
        """Whether it is the organisation's ledger, in which nobody is submitted twice for one run and task."""

    def refresh(self) -> None:
        """Read again what other map indexes have recorded, so that :meth:`histories` knows it.

        Raises:
            JournalCorruptError: A record is damaged or missing.
            JournalUnavailableError: It cannot be read at present.
        """

    def histories(self, identities: Sequence[bytes]) -> Sequence[ContactHistory]:
        """Return what is known of each contact.

        Args:
            identities: Hashes of contacts, at most a few thousand.

        Raises:
            JournalUnavailableError: It cannot be read at present.
        """

    def begin(
        self,
        identities: Sequence[bytes],
        enrichment_type: str,
        now: float,
        is_due: Callable[[ContactHistory], bool],
    ) -> Batch:
        """Record the intent to submit a batch. Its request may leave once this has returned.

        Where others may have submitted contacts of the batch since :meth:`histories`, the histories are read again and
        the intent is recorded in one step: of two tasks that want the same contact at the same moment, one submits it.

        Args:
            identities: Hashes of the batch's contacts.
            enrichment_type: What will be asked for.
            now: Seconds since the epoch.
            is_due: Whether a contact still has to be submitted.

        Raises:
            ContactsNotDueError: Some of the contacts are not due any more.
            JournalUnavailableError: The intent cannot be recorded.
            JournalTakenOverError: Another attempt of the task has taken over.
        """

    def reopen(self, batch: Batch, now: float, is_due: Callable[[ContactHistory], bool]) -> Batch:
        """Record the intent to send a rejected batch of this attempt once more, as :meth:`begin`."""

    def accept(self, batch: Batch, workflow_id: str, task_ids: Sequence[str], now: float) -> Batch:
        """Record that Cleanlist accepted a batch of this attempt as a workflow. Raises what :meth:`begin` does.

        Raises:
            WorkflowTakenError: Another batch that is recorded here became that workflow.
        """

    def settle(self, batch: Batch, workflow_id: str, now: float) -> Batch:
        """Record that, by its webhook, an earlier attempt's batch of unknown outcome was accepted.

        Raises as :meth:`accept`.
        """

    def reject(self, batch: Batch, note: str, now: float) -> Batch:
        """Record that Cleanlist certainly did not accept a batch of this attempt. Raises as :meth:`begin`."""

    def lose(self, batch: Batch, note: str, now: float) -> Batch:
        """Record that it is not known whether Cleanlist accepted a batch of this attempt. Raises as :meth:`begin`."""

    def record_decision(self, decision: PersonDecision, decided_by: str, decided_at: float) -> int:
        """Record what a person has decided about this map index's undecided batches.

        A journal that is opened afterwards counts it in its histories.

        Args:
            decision: The decision.
            decided_by: Name of the person.
            decided_at: Seconds since the epoch.

        Returns:
            The number of these batches.

        Raises:
            JournalUnavailableError: It cannot be recorded.
            JournalTakenOverError: Another attempt of the task has taken over.
        """

    def start_reading(self) -> None:
        """Note that the source is read from now on: what anybody has read before it is older.

        Raises as :meth:`keep_source_rows`, and:

        Raises:
            JournalTakenOverError: Another attempt of the task has taken over.
        """

    def keep_source_rows(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Record which person each row of the source is, unless somebody has read it since :meth:`start_reading`.

        Args:
            rows: The row's id in the user's system, and the hash of its person, empty if it names nobody; each id once.

        Raises:
            JournalConfigurationError: The journal is not a ledger.
            JournalUnavailableError: It cannot be recorded.
        """


class BatchRecorder:
    """Keeps the journal of one batch while it is being sent.

    The intent is recorded when the request has its place in the budget and is about to leave, not when it starts to
    wait for one: a crash while waiting costs nothing and leaves nothing unknown. From the intent to the outcome,
    signals wait.

    Only an acceptance must be recorded. If any other outcome cannot be, the intent stays, and a later attempt treats
    the contacts as unknown, which stops it and costs nothing.

    Args:
        journal: The loaded journal.
        enrichment_type: What is asked for.
        identities: Hashes of the batch's contacts.
        log: Receives counts and ids, never contacts.
        clock: Seconds since the epoch.
        may_send: Called before each intent; raises if the request must not leave.
        is_due: Whether a contact still has to be submitted.
    """

    def __init__(
        self,
        journal: Journal,
        enrichment_type: EnrichmentType,
        identities: Sequence[bytes],
        *,
        log: TaskLog,
        clock: Callable[[], float],
        may_send: Callable[[], None],
        is_due: Callable[[ContactHistory], bool],
    ) -> None:
        self._journal = journal
        self._type = enrichment_type.value
        self._identities = identities
        self._log = log
        self._clock = clock
        self._may_send = may_send
        self._is_due = is_due
        self._signals = SignalHold()
        self._batch: Batch | None = None

    def sending(self) -> None:
        """Record the intent; the request leaves right after this returns.

        Raises:
            ContactsNotDueError: Somebody else has submitted contacts of the batch.
            JournalError: The intent cannot be recorded.
        """
        self._may_send()
        self._signals.hold()
        if self._batch is None:
            self._batch = self._journal.begin(self._identities, self._type, self._clock(), self._is_due)
        else:
            self._batch = self._journal.reopen(self._batch, self._clock(), self._is_due)

    def not_accepted(self) -> None:
        """Record that the last request was not accepted; it will be sent again later."""
        self.rejected("refused for now")
        self.end()

    def accepted(self, answer: BulkEnrichment) -> None:
        """Record that the batch was accepted.

        Raises:
            JournalError: It cannot be written. The text and the log name the workflow.
            errors.SubmissionUnknownError: Another batch became that workflow, so the answer is not about this one.
        """
        if self._batch is None:
            raise AssertionError("a batch was accepted without a recorded intent")
        try:
            self._journal.accept(self._batch, answer.workflow_id, answer.task_ids, self._clock())
        except WorkflowTakenError:
            problem = f"the response names workflow {answer.workflow_id}, which another batch became"
            info = errors.ErrorInfo("submit the bulk enrichment", problem)
            raise errors.SubmissionUnknownError(info) from None
        except JournalError as error:
            text = (
                f"Cleanlist accepted {counted(self._batch.size, 'contact')} as workflow {answer.workflow_id}, but that "
                f"could not be recorded: {error}. The batch is submitted and will be billed; a later attempt will "
                "treat its outcome as unknown"
            )
            self._log.error("%s.", text)
            raise type(error)(text) from error
        if answer.total_contacts not in (None, self._batch.size):
            self._log.warning(
                "Cleanlist counts %s in workflow %s, of %d sent. All of them are recorded as submitted: compare with "
                "its results.",
                counted(answer.total_contacts, "contact"),
                answer.workflow_id,
                self._batch.size,
            )

    def rejected(self, note: str) -> None:
        """Record that nothing was accepted; a request that never left has no record."""
        if self._batch is None or self._batch.state is BatchState.REJECTED:
            return
        try:
            self._batch = self._journal.reject(self._batch, note, self._clock())
        except JournalError as error:
            self._log.warning(
                "Cleanlist did not accept %s, but that could not be recorded: %s. If the task ends now, a later "
                "attempt will treat the outcome as unknown; on_unknown_submission='resubmit' is then safe.",
                counted(self._batch.size, "contact"),
                error,
            )

    def lost(self, note: str) -> None:
        """Record that the outcome is unknown; an intent without an outcome says the same."""
        if self._batch is not None:
            try:
                self._batch = self._journal.lose(self._batch, note, self._clock())
            except JournalError as error:
                self._log.warning("The record of the batch could not be updated: %s.", error)

    def end(self) -> None:
        """Let signals through again."""
        self._signals.release()
