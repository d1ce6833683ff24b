"""The record of what was submitted, so that nobody pays twice, whatever crashes.

Each batch is written down as an *intent* right before its request leaves and gets its *outcome* afterwards. A later try
subtracts the contacts of accepted batches from its input, in whatever order that comes. An intent without an
outcome means that the process died in between: nobody knows whether the contacts were billed.

Contacts appear as 8-byte hashes only. The journal has one header, which counts the batches, and one record per
batch. A record is written before the header counts it and the request leaves after that, so every counted record
must exist; one that is missing or unreadable stops the task.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from airflow_provider_cleanlist.enrichment.contacts import IDENTITY_BYTES

JOURNAL_VERSION = 1


class JournalError(Exception):
    """Base of what goes wrong with the record of submissions."""


class JournalCorruptError(JournalError):
    """The record is damaged, so nobody can tell what was paid."""


class JournalUnavailableError(JournalError):
    """The record cannot be read or written at present."""


class JournalMissingError(JournalError):
    """Earlier tries had nowhere to write their record."""


class BatchState(StrEnum):
    """What is known of one batch."""

    INTENT = "intent"
    """Its request may have left. If it stays so, the outcome is unknown."""
    ACCEPTED = "accepted"
    """Cleanlist accepted it: its contacts may be billed and are never sent again."""
    REJECTED = "rejected"
    """Cleanlist certainly did not accept it: its contacts may be sent again."""
    UNKNOWN = "unknown"
    """The request left and no telling answer came."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One submission.

    Attributes:
        number: Position in the journal, from 0.
        state: What is known of it.
        identities: Hashes of its contacts.
        enrichment_type: What was asked for.
        changed_at: Seconds since the epoch of the last change.
        workflow_id: Workflow that an accepted batch became, else None.
        task_ids: Task ids of an accepted batch, where the API named them.
        note: Why it was rejected or is unknown; never holds contact data.
    """

    number: int
    state: BatchState
    identities: tuple[bytes, ...]
    enrichment_type: str
    changed_at: float
    workflow_id: str | None = None
    task_ids: tuple[str, ...] = ()
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is stored."""
        return {
            "version": JOURNAL_VERSION,
            "state": self.state.value,
            "contacts": base64.b64encode(b"".join(self.identities)).decode(),
            "count": len(self.identities),
            "enrichment_type": self.enrichment_type,
            "changed_at": self.changed_at,
            "workflow_id": self.workflow_id,
            "task_ids": list(self.task_ids),
            "note": self.note,
        }

    @classmethod
    def from_json(cls, number: int, value: Any) -> Batch:
        """Read a stored record.

        Raises:
            JournalCorruptError: It is not one.
        """
        try:
            if value["version"] != JOURNAL_VERSION:
                raise JournalCorruptError(
                    f"batch record {number} has version {value['version']}, this release knows {JOURNAL_VERSION}"
                )
            blob = base64.b64decode(value["contacts"], validate=True)
            identities = tuple(_split(blob))
            if len(identities) != value["count"] or len(blob) % IDENTITY_BYTES:
                raise JournalCorruptError(f"batch record {number} is incomplete")
            state = BatchState(value["state"])
            if state is BatchState.ACCEPTED and not value["workflow_id"]:
                raise JournalCorruptError(f"batch record {number} is accepted but names no workflow")
            return cls(
                number=number,
                state=state,
                identities=identities,
                enrichment_type=str(value["enrichment_type"]),
                changed_at=float(value["changed_at"]),
                workflow_id=value["workflow_id"],
                task_ids=tuple(value["task_ids"]),
                note=str(value["note"]),
            )
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise JournalCorruptError(f"batch record {number} is not readable") from None


def _split(blob: bytes) -> Iterator[bytes]:
    for start in range(0, len(blob), IDENTITY_BYTES):
        yield blob[start : start + IDENTITY_BYTES]


class JournalStore(Protocol):
    """Keeps JSON values of one task instance over all its tries."""

    def read(self, key: str) -> Any:
        """Return the value, or None if there is none.

        Raises:
            JournalUnavailableError: Whether there is one cannot be told.
            JournalCorruptError: There is one, and it is not JSON.
        """

    def write(self, key: str, value: dict[str, Any]) -> None:
        """Store a value durably before returning.

        Raises:
            JournalUnavailableError: It was not stored, or another try of the task has taken over.
        """


class Journal:
    """All batches of one task instance.

    Args:
        store: Where records live.
        token: The user's ``force_resubmit`` token. Each value has a journal of its own, so a value never used before
            starts over. None is the ordinary journal.
    """

    def __init__(self, store: JournalStore, token: str | None = None) -> None:
        self._store = store
        suffix = "" if not token else "." + hashlib.blake2b(token.encode(), digest_size=6).hexdigest()
        self._prefix = f"cleanlist_journal{suffix}"
        self._batches: list[Batch] = []

    @property
    def batches(self) -> Sequence[Batch]:
        """All counted batches in order."""
        return self._batches

    def load(self) -> None:
        """Read all records.

        Raises:
            JournalCorruptError: A record is damaged or missing.
            JournalUnavailableError: The store cannot be read.
        """
        count = _batch_count(self._store.read(self._prefix))
        self._batches = []
        for number in range(count):
            value = self._store.read(self._key(number))
            if value is None:
                raise JournalCorruptError(f"batch record {number} of {count} is missing")
            self._batches.append(Batch.from_json(number, value))
        beyond = self._store.read(self._key(count))
        if beyond is not None and Batch.from_json(count, beyond).state is not BatchState.INTENT:
            raise JournalCorruptError(
                f"batch record {count} exists, but the header counts only {count} batches"
            )

    def begin(self, identities: Sequence[bytes], enrichment_type: str, now: float) -> Batch:
        """Write down the intent to submit a batch. Its request may leave once this has returned.

        Args:
            identities: Hashes of the batch's contacts.
            enrichment_type: What will be asked for.
            now: Seconds since the epoch.
        """
        number = len(self._batches)
        batch = Batch(number, BatchState.INTENT, tuple(identities), enrichment_type, now)
        self._store.write(self._key(number), batch.to_json())
        self._store.write(self._prefix, {"version": JOURNAL_VERSION, "batches": number + 1})
        self._batches.append(batch)
        return batch

    def reopen(self, batch: Batch, now: float) -> Batch:
        """Write down the intent to send a rejected batch once more."""
        return self._settle(replace(batch, state=BatchState.INTENT, note="", changed_at=now))

    def accept(self, batch: Batch, workflow_id: str, task_ids: Sequence[str], now: float) -> Batch:
        """Write down that Cleanlist accepted a batch as a workflow."""
        return self._settle(
            replace(
                batch,
                state=BatchState.ACCEPTED,
                workflow_id=workflow_id,
                task_ids=tuple(task_ids),
                changed_at=now,
            )
        )

    def reject(self, batch: Batch, note: str, now: float) -> Batch:
        """Write down that Cleanlist certainly did not accept a batch."""
        return self._settle(replace(batch, state=BatchState.REJECTED, note=note, changed_at=now))

    def lose(self, batch: Batch, note: str, now: float) -> Batch:
        """Write down that it is not known whether Cleanlist accepted a batch."""
        return self._settle(replace(batch, state=BatchState.UNKNOWN, note=note, changed_at=now))

    def _settle(self, batch: Batch) -> Batch:
        self._store.write(self._key(batch.number), batch.to_json())
        self._batches[batch.number] = batch
        return batch

    def _key(self, number: int) -> str:
        return f"{self._prefix}.batch.{number:06d}"


def _batch_count(header: Any) -> int:
    if header is None:
        return 0
    try:
        if header["version"] == JOURNAL_VERSION and header["batches"] >= 0:
            return int(header["batches"])
    except (KeyError, TypeError):
        pass
    raise JournalCorruptError("the header is not readable")


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the batches of a journal say about each contact.

    Attributes:
        accepted: Contacts in accepted batches.
        unknown: Contacts in batches of unknown outcome that no later batch settled.
    """

    accepted: frozenset[bytes]
    unknown: frozenset[bytes]


def ledger(batches: Sequence[Batch]) -> Ledger:
    """Sum up batches by contact: accepted once is accepted, whatever else happened to it."""
    accepted = frozenset(
        identity for batch in batches if batch.state is BatchState.ACCEPTED for identity in batch.identities
    )
    unknown = frozenset(
        identity
        for batch in batches
        if batch.state in (BatchState.INTENT, BatchState.UNKNOWN)
        for identity in batch.identities
    )
    return Ledger(accepted, unknown - accepted)


class OnUnknown(StrEnum):
    """What the user wants done about contacts whose submission has an unknown outcome."""

    FAIL = "fail"
    SKIP = "skip"
    RESUBMIT = "resubmit"


@dataclass(frozen=True, slots=True)
class Proceed:
    """Go on; ``settled`` contacts are not submitted again."""

    settled: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Stop:
    """Submit nothing: ``unknown`` contacts may or may not have been billed."""

    unknown: int


def decide(known: Ledger, on_unknown: OnUnknown) -> Proceed | Stop:
    """Decide what a new try may submit.

    Args:
        known: What earlier tries did.
        on_unknown: The user's word on contacts of unknown outcome.
    """
    if not known.unknown or on_unknown is OnUnknown.RESUBMIT:
        return Proceed(known.accepted)
    if on_unknown is OnUnknown.SKIP:
        return Proceed(known.accepted | known.unknown)
    return Stop(len(known.unknown))
