"""The record of what was submitted, so that nobody pays twice, whatever crashes.

Each batch is written down as an *intent* right before its request leaves and gets its *outcome* afterwards. A later try
subtracts the contacts of accepted batches from its input, in whatever order that comes. An intent without an
outcome means that the process died in between: nobody knows whether the contacts were billed.

Contacts appear as 8-byte hashes only. Each try writes a part of its own, so a try that was given up and still
runs cannot spoil what its successor writes. A part has one header, which counts its batches, and one record per
batch. A record is written before the header counts it and the request leaves after that, so every counted record
must exist; one that is missing or unreadable stops the task.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from airflow_provider_cleanlist.contacts.identity import IDENTITY_BYTES

JOURNAL_VERSION = 1
WRITE_PAUSES = (0.5, 2.0, 5.0)
"""Seconds between tries to write a record."""


class JournalError(Exception):
    """Base of what goes wrong with the record of submissions."""


class JournalCorruptError(JournalError):
    """The record is damaged, so nobody can tell what was paid."""


class JournalUnavailableError(JournalError):
    """The record cannot be read or written at present."""


class JournalTakenOverError(JournalError):
    """Another try of the task has taken over the record: this one must not submit any more."""


class JournalMissingError(JournalError):
    """What earlier tries submitted is not recorded anywhere."""


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
        number: Position in its part of the journal, from 0.
        state: What is known of it.
        identities: Hashes of its contacts, 8 bytes each, one after the other.
        enrichment_type: What was asked for.
        changed_at: Seconds since the epoch of the last change.
        workflow_id: Workflow that an accepted batch became, else None.
        task_ids: Task ids of an accepted batch, where the API named them.
        note: Why it was rejected or is unknown; never holds contact data.
    """

    number: int
    state: BatchState
    identities: bytes
    enrichment_type: str
    changed_at: float
    workflow_id: str | None = None
    task_ids: tuple[str, ...] = ()
    note: str = ""

    @property
    def size(self) -> int:
        """Number of its contacts."""
        return len(self.identities) // IDENTITY_BYTES

    @property
    def may_be_billed(self) -> bool:
        """Whether Cleanlist has, or may have, accepted it."""
        return self.state is not BatchState.REJECTED

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if Cleanlist accepted it."""
        return self.state in (BatchState.INTENT, BatchState.UNKNOWN)

    def contacts(self) -> Iterator[bytes]:
        """Yield the hash of each contact."""
        for start in range(0, len(self.identities), IDENTITY_BYTES):
            yield self.identities[start : start + IDENTITY_BYTES]

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is stored."""
        return {
            "version": JOURNAL_VERSION,
            "state": self.state.value,
            "contacts": base64.b64encode(self.identities).decode(),
            "count": self.size,
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
            identities = base64.b64decode(value["contacts"], validate=True)
            if len(identities) != value["count"] * IDENTITY_BYTES:
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


class JournalStore(Protocol):
    """Keeps JSON values of one task instance over all its tries."""

    @property
    def parts(self) -> Sequence[str]:
        """Names of the parts that tries may have written, oldest first; the last is this try's own."""

    def read(self, key: str) -> Any:
        """Return the value, or None if there is none.

        Raises:
            JournalUnavailableError: Whether there is one cannot be told.
            JournalCorruptError: There is one, and it is not JSON.
        """

    def write(self, key: str, value: dict[str, Any]) -> None:
        """Store a value durably before returning.

        Raises:
            JournalUnavailableError: Whether it was stored cannot be told.
            JournalTakenOverError: Another try of the task has taken over.
        """

    def check_ownership(self) -> None:
        """Make sure that a later try either sees all that was written so far or has not read anything yet.

        Raises:
            JournalUnavailableError: It cannot be told.
            JournalTakenOverError: Another try of the task has taken over.
        """


class Journal:
    """All batches of one task instance.

    Args:
        store: Where records live.
        token: The user's ``force_resubmit`` token. Each value has a journal of its own, so a value never used before
            starts over. None is the ordinary journal.
        keep_task_ids: Whether batches keep their task ids in memory too.
        sleep: Lets so many seconds pass.
    """

    def __init__(
        self,
        store: JournalStore,
        token: str | None = None,
        *,
        keep_task_ids: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        suffix = "" if not token else "." + hashlib.blake2b(token.encode(), digest_size=6).hexdigest()
        self._prefix = f"cleanlist_journal{suffix}"
        self._keep_task_ids = keep_task_ids
        self._sleep = sleep
        self._earlier: list[Batch] = []
        self._parts_of_earlier: list[str] = []
        self._own: list[Batch] = []

    @property
    def batches(self) -> Sequence[Batch]:
        """All counted batches, those of earlier tries first."""
        return [*self._earlier, *self._own]

    def load(self) -> None:
        """Read all records.

        Raises:
            JournalCorruptError: A record is damaged or missing.
            JournalUnavailableError: The store cannot be read.
        """
        *earlier, own = self._store.parts
        found = [(part, batch) for part in earlier for batch in self._load(part)]
        self._parts_of_earlier = [part for part, _ in found]
        self._earlier = [batch for _, batch in found]
        self._own = self._load(own)

    def _load(self, part: str) -> list[Batch]:
        count = _batch_count(self._store.read(self._header_key(part)))
        batches = []
        for number in range(count):
            value = self._store.read(self._key(part, number))
            if value is None:
                raise JournalCorruptError(f"batch record {number} of {count} is missing")
            batches.append(self._kept(Batch.from_json(number, value)))
        beyond = self._store.read(self._key(part, count))
        if beyond is not None and Batch.from_json(count, beyond).state is not BatchState.INTENT:
            raise JournalCorruptError(
                f"batch record {count} exists, but the header counts only {count} batches"
            )
        return batches

    def begin(self, identities: Iterable[bytes], enrichment_type: str, now: float) -> Batch:
        """Write down the intent to submit a batch. Its request may leave once this has returned.

        Args:
            identities: Hashes of the batch's contacts.
            enrichment_type: What will be asked for.
            now: Seconds since the epoch.

        Raises:
            JournalUnavailableError: The record cannot be written.
            JournalTakenOverError: Another try of the task has taken over.
        """
        number, part = len(self._own), self._store.parts[-1]
        batch = Batch(number, BatchState.INTENT, b"".join(identities), enrichment_type, now)
        self._write(self._key(part, number), batch.to_json())
        self._write(self._header_key(part), {"version": JOURNAL_VERSION, "batches": number + 1})
        self._own.append(batch)
        return self._confirmed(batch)

    def reopen(self, batch: Batch, now: float) -> Batch:
        """Write down the intent to send a rejected batch of this try once more. Raises as :meth:`begin`."""
        return self._confirmed(self._settle(replace(batch, state=BatchState.INTENT, note="", changed_at=now)))

    def accept(self, batch: Batch, workflow_id: str, task_ids: Sequence[str], now: float) -> Batch:
        """Write down that Cleanlist accepted a batch of this try as a workflow. Raises as :meth:`begin`."""
        return self._settle(
            replace(
                batch,
                state=BatchState.ACCEPTED,
                workflow_id=workflow_id,
                task_ids=tuple(task_ids),
                changed_at=now,
            )
        )

    def settle(self, batch: Batch, workflow_id: str, task_ids: Sequence[str], now: float) -> Batch:
        """Write down that a batch of an earlier try, of which nobody knew, was accepted. Raises as :meth:`begin`.

        If that try still runs and overwrites it, the batch is unknown again: nothing is ever sent because of that.
        """
        index = self._earlier.index(batch)
        accepted = replace(
            batch,
            state=BatchState.ACCEPTED,
            workflow_id=workflow_id,
            task_ids=tuple(task_ids),
            changed_at=now,
        )
        self._write(self._key(self._parts_of_earlier[index], batch.number), accepted.to_json())
        self._earlier[index] = self._kept(accepted)
        return accepted

    def reject(self, batch: Batch, note: str, now: float) -> Batch:
        """Write down that Cleanlist certainly did not accept a batch of this try. Raises as :meth:`begin`."""
        return self._settle(replace(batch, state=BatchState.REJECTED, note=note, changed_at=now))

    def lose(self, batch: Batch, note: str, now: float) -> Batch:
        """Write down that it is not known whether Cleanlist accepted a batch of this try. Raises as :meth:`begin`."""
        return self._settle(replace(batch, state=BatchState.UNKNOWN, note=note, changed_at=now))

    def _confirmed(self, batch: Batch) -> Batch:
        try:
            self._store.check_ownership()
        except JournalError:
            with suppress(JournalError):
                self.reject(batch, "never sent", batch.changed_at)
            raise
        return batch

    def _settle(self, batch: Batch) -> Batch:
        self._write(self._key(self._store.parts[-1], batch.number), batch.to_json())
        self._own[batch.number] = self._kept(batch)
        return batch

    def _write(self, key: str, value: dict[str, Any]) -> None:
        for pause in WRITE_PAUSES:
            try:
                return self._store.write(key, value)
            except JournalUnavailableError:
                self._sleep(pause)
        return self._store.write(key, value)

    def _kept(self, batch: Batch) -> Batch:
        return batch if self._keep_task_ids or not batch.task_ids else replace(batch, task_ids=())

    def _header_key(self, part: str) -> str:
        return f"{self._prefix}.{part}"

    def _key(self, part: str, number: int) -> str:
        return f"{self._prefix}.{part}.{number:06d}"


def _batch_count(header: Any) -> int:
    if header is None:
        return 0
    try:
        if header["version"] == JOURNAL_VERSION and header["batches"] >= 0:
            return int(header["batches"])
    except (KeyError, TypeError):
        pass
    raise JournalCorruptError("a header is not readable")
