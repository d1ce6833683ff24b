"""A journal of JSON records, in Airflow's task state store or a directory.

Each attempt writes a part of its own, so an attempt that Airflow gave up on and that still runs cannot damage what its
successor writes. A part has one header, which counts its batches, and one record per batch. A record is written before
the header counts it, and the request leaves after that, so every counted record must exist; one that is missing or
unreadable stops the task.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, groupby
from types import MappingProxyType
from typing import Any

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.contacts.identity import Deduplicator
from airflow_provider_cleanlist.submission.errors import (
    JournalConfigurationError,
    JournalCorruptError,
    JournalError,
    JournalOrganisationError,
    JournalUnavailableError,
    WorkflowTakenError,
    other_organisation,
)
from airflow_provider_cleanlist.submission.history import (
    BatchState,
    ContactHistory,
    PersonDecision,
    decision_of,
    is_in_flight,
    missing_type,
)
from airflow_provider_cleanlist.submission.journal import (
    JOURNAL_VERSION,
    SETTLED_BY_WEBHOOK,
    Batch,
    token_hash,
)
from airflow_provider_cleanlist.submission.stored.stores import JournalStore

NO_LEDGER = (
    "{argument} needs a ledger: set ledger_conn_id, or [cleanlist] ledger_conn_id, to the Airflow connection of a "
    "PostgreSQL, MySQL, MariaDB or SQLite database"
)
LATER = 1e-6
"""Seconds between two intents where a clock that was set back does not say which was first."""
WRITE_PAUSES = (0.5, 2.0, 5.0)
"""Seconds between attempts to write a record."""
_READ_AT_ONCE = 16
"""Parts of other map indexes that are read at the same time: each is a request where the store is remote."""


class StoredJournal:
    """The journal of one task instance as JSON records in a store.

    Args:
        store: Where records live.
        token: The user's ``force_resubmit`` token. A value never used before starts over; one that was counts its own
            batches and all later ones. None counts the batches under every value: a missing word allows nothing.
        organisation: Whose contacts these are, as the API names it; empty if that is not recorded.
        keep_task_ids: Whether batches keep their task ids in memory too.
        sleep: Pauses for a number of seconds.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        store: JournalStore,
        token: str | None = None,
        *,
        organisation: str = "",
        keep_task_ids: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._organisation = organisation
        self._clock = clock
        self._token = token_hash(token)
        self._prefix = _prefix(self._token)
        self._keep_task_ids = keep_task_ids
        self._sleep = sleep
        self._earlier: list[Batch] = []
        self._keys_of_earlier: list[str] = []
        self._own: list[Batch] = []
        self._since: _FirstUse | None = None
        self._latest = 0.0
        self._index = JournalIndex(())
        self._workflows_of_others: set[str | None] = set()

    @property
    def batches(self) -> Sequence[Batch]:
        """All counted batches, those of earlier attempts first."""
        return [*self._earlier, *self._own]

    def load(self) -> None:
        """Read all records of the store.

        Raises:
            JournalCorruptError: A record is damaged or missing.
            JournalOrganisationError: Contacts were submitted for another organisation.
            JournalUnavailableError: The store cannot be read.
        """
        *earlier, own = parts = self._store.parts
        by_part = {part: self._load(part, self._prefix) for part in parts}
        self._own = [batch for _, batch in by_part[own]]
        found = [item for part in earlier for item in by_part[part]]
        since = self._since = self._first_use(by_part)
        if since is not None:
            later = [part for part in parts if since.is_before(part)]
            found += [item for part in later for item in self._load_other_tokens(part)]
        self._keys_of_earlier = [key for key, _ in found]
        self._earlier = [batch for _, batch in found]
        self._latest = max((batch.submitted_at for batch in self.batches), default=0.0)
        self.refresh()

    def refresh(self) -> None:
        """See :class:`.journal.Journal`."""
        parts, others = self._store.others, defaultdict[int, list[Batch]](list)
        last = {index: part for part, index in parts.items()}
        with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
            for (part, index), loaded in zip(parts.items(), pool.map(self._load_all, parts), strict=True):
                batches = [batch for _, batch in loaded]
                others[index] += batches if part == last[index] else map(_given_up, batches)
        self._index = JournalIndex(self.batches, others, self._clock())
        self._workflows_of_others = {batch.workflow_id for batches in others.values() for batch in batches}

    @property
    def unknown_contacts(self) -> int:
        """See :class:`.journal.Journal`."""
        return self._index.unknown

    @property
    def decided_contacts(self) -> Mapping[PersonDecision, int]:
        """See :class:`.journal.Journal`."""
        unknown = self._index.unknown_by_decision
        return {decision: count for decision, count in unknown.items() if decision is not None and count}

    is_shared = False
    """See :class:`.journal.Journal`."""

    @property
    def contacts_of_index(self) -> int | None:
        """See :class:`.journal.Journal`."""
        if self._store.sees_all_indexes:
            return None
        contacts = Deduplicator()
        for batch in self.batches:
            if batch.state is BatchState.ACCEPTED:
                contacts.update(batch.contacts())
        return len(contacts)

    def histories(self, identities: Sequence[bytes]) -> Sequence[ContactHistory]:
        """See :class:`.journal.Journal`. What this attempt itself submits does not appear."""
        return [self._index.history(contact) for contact in identities]

    def _first_use(self, by_part: Mapping[str, Sequence[tuple[str, Batch]]]) -> _FirstUse | None:
        """Return since when batches under other tokens count, too; None if they do not."""
        if not self._token:
            return _FirstUse("", 0.0)
        used = [part for part, items in by_part.items() if items]
        intents = [batch.submitted_at for part in used for _, batch in by_part[part]]
        return _FirstUse(_opening(used[0]), min(intents)) if used else None

    def _load_all(self, part: str) -> list[tuple[str, Batch]]:
        """Return what counts of another map index's part."""
        found, since = self._load(part, self._prefix), self._since
        if since is not None:
            others = self._load_other_tokens(part)
            found += [item for item in others if since.is_before(part) or since.counts(item[1])]
        return found

    def _load_other_tokens(self, part: str) -> list[tuple[str, Batch]]:
        tokens = _tokens(self._store.read(_tokens_key(part)))
        prefixes = [_prefix(token) for token in ("", *tokens) if token != self._token]
        return [item for prefix in prefixes for item in self._load(part, prefix)]

    def _load(self, part: str, prefix: str) -> list[tuple[str, Batch]]:
        """Return the keys and batches of a part under one token."""
        header = self._store.read(f"{prefix}.{part}")
        count = _batch_count(header)
        batches = []
        for number in range(count):
            key = _key(prefix, part, number)
            value = self._store.read(key)
            if value is None:
                raise JournalCorruptError(f"batch record {number} of {count} is missing")
            batches.append((key, self._kept(Batch.from_json(number, value))))
        beyond = self._store.read(_key(prefix, part, count))
        if beyond is not None and Batch.from_json(count, beyond).state is not BatchState.INTENT:
            raise JournalCorruptError(
                f"batch record {count} exists, but the header counts only {count} batches"
            )
        other = str((header or {}).get("organisation") or self._organisation)
        is_other = self._organisation not in ("", other)
        if not is_other or not any(batch.may_be_billed for _, batch in batches):
            return batches
        if prefix == self._prefix or not self._token:
            raise JournalOrganisationError(other_organisation(other, self._organisation))
        return []  # a new value starts over for another organisation, so those under other values are not this one's

    def _keep_token(self, part: str) -> None:
        """Record that the part has batches under this token, so that an attempt without a token finds them."""
        tokens = _tokens(self._store.read(_tokens_key(part)))
        if self._token not in tokens:
            self._write(_tokens_key(part), {"version": JOURNAL_VERSION, "tokens": [*tokens, self._token]})

    def begin(
        self,
        identities: Sequence[bytes],
        enrichment_type: str,
        now: float,
        is_due: Callable[[ContactHistory], bool],
    ) -> Batch:
        """See :class:`.journal.Journal`. Only this task writes here, so every contact that was due still is."""
        number, part = len(self._own), self._store.parts[-1]
        self._latest = now if now >= self._latest else self._latest + LATER
        identity = b"".join(identities)
        batch = Batch(number, BatchState.INTENT, identity, enrichment_type, now, submitted_at=self._latest)
        if self._token and not self._own:
            self._keep_token(part)
        self._write(_key(self._prefix, part, number), batch.to_json())
        header = {"version": JOURNAL_VERSION, "batches": number + 1, "organisation": self._organisation}
        self._write(f"{self._prefix}.{part}", header)
        self._own.append(batch)
        return self._confirmed(batch)

    def reopen(self, batch: Batch, now: float, is_due: Callable[[ContactHistory], bool]) -> Batch:
        """See :class:`.journal.Journal`."""
        again = replace(batch, state=BatchState.INTENT, note="", changed_at=now)
        return self._confirmed(self._settle(again))

    def accept(self, batch: Batch, workflow_id: str, task_ids: Sequence[str], now: float) -> Batch:
        """See :class:`.journal.Journal`: of other batches, those of this run and task are known."""
        self._check_workflow(workflow_id)
        return self._settle(batch.accepted(workflow_id, now, task_ids=task_ids))

    def settle(self, batch: Batch, workflow_id: str, now: float) -> Batch:
        """See :class:`.journal.Journal`.

        If that attempt still runs and overwrites the record, the batch is unknown again, which never sends anything.
        """
        self._check_workflow(workflow_id)
        accepted = batch.accepted(workflow_id, now, note=SETTLED_BY_WEBHOOK)
        self._replace(batch, accepted)
        self._index.accept(accepted)
        return accepted

    def record_decision(self, decision: PersonDecision, decided_by: str, decided_at: float) -> int:
        """See :class:`.journal.Journal`."""
        undecided = [batch for batch in self.batches if batch.is_undecided]
        for batch in undecided:
            self._replace(batch, batch.decided(decision, decided_by, decided_at))
        return len(undecided)

    def _replace(self, batch: Batch, changed: Batch) -> None:
        """Write a batch that this attempt has found in the journal once more."""
        if any(
            own is batch for own in self._own
        ):  # this attempt was interrupted, and has found what it wrote before
            self._settle(changed)
            return
        index = self._earlier.index(batch)
        self._write(self._keys_of_earlier[index], changed.to_json())
        self._earlier[index] = self._kept(changed)

    def reject(self, batch: Batch, note: str, now: float) -> Batch:
        """See :class:`.journal.Journal`."""
        return self._settle(replace(batch, state=BatchState.REJECTED, note=note, changed_at=now))

    def lose(self, batch: Batch, note: str, now: float) -> Batch:
        """See :class:`.journal.Journal`."""
        return self._settle(replace(batch, state=BatchState.UNKNOWN, note=note, changed_at=now))

    def start_reading(self) -> None:
        """See :class:`.journal.Journal`."""
        raise JournalConfigurationError(NO_LEDGER.format(argument="id_column"))

    def keep_source_rows(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """See :class:`.journal.Journal`."""
        raise JournalConfigurationError(NO_LEDGER.format(argument="id_column"))

    def _check_workflow(self, workflow_id: str) -> None:
        own = (batch.workflow_id for batch in self.batches)
        if workflow_id in self._workflows_of_others or workflow_id in own:
            raise WorkflowTakenError(workflow_id)

    def _confirmed(self, batch: Batch) -> Batch:
        try:
            self._store.check_ownership()
        except JournalError:
            with suppress(JournalError):
                self.reject(batch, "never sent", batch.changed_at)
            raise
        return batch

    def _settle(self, batch: Batch) -> Batch:
        self._write(_key(self._prefix, self._store.parts[-1], batch.number), batch.to_json())
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


def _given_up(batch: Batch) -> Batch:
    """Return a batch of an attempt that another one has replaced: its intent is not in flight, but unknown."""
    return replace(batch, state=BatchState.UNKNOWN) if batch.state is BatchState.INTENT else batch


@dataclass(frozen=True, slots=True)
class _FirstUse:
    """When a ``force_resubmit`` value was used first.

    Attributes:
        opening: When that attempt was opened, as :func:`_opening` returns it.
        seconds: Its first intent, in seconds since the epoch.
    """

    opening: str
    seconds: float

    def is_before(self, part: str) -> bool:
        """Return whether a part was opened after that, or by that attempt, whatever the clocks said."""
        return _opening(part) >= self.opening

    def counts(self, batch: Batch) -> bool:
        """Return whether a batch of another map index was sent after that, or sent again after a refusal."""
        return max(batch.submitted_at, batch.changed_at) >= self.seconds


def _opening(part: str) -> str:
    """Return what orders the parts of a store by when they were opened: what follows the map index, if it is there."""
    return part.rpartition(".")[2]


def _prefix(token: str) -> str:
    return f"cleanlist_journal.{token}" if token else "cleanlist_journal"


def _key(prefix: str, part: str, number: int) -> str:
    return f"{prefix}.{part}.{number:06d}"


def _tokens_key(part: str) -> str:
    return f"cleanlist_tokens.{part}"


def _tokens(record: Any) -> list[str]:
    """Return the tokens under which a part has batches, hashed."""
    if record is None:
        return []
    try:
        if record["version"] == JOURNAL_VERSION and all(isinstance(token, str) for token in record["tokens"]):
            return list(record["tokens"])
    except (KeyError, TypeError):
        pass
    raise JournalCorruptError("a list of force_resubmit values is not readable")


def _batch_count(header: Any) -> int:
    if header is None:
        return 0
    try:
        if header["version"] == JOURNAL_VERSION and header["batches"] >= 0:
            return int(header["batches"])
    except (KeyError, OverflowError, TypeError, ValueError):
        pass
    raise JournalCorruptError("a header is not readable")


class JournalIndex:
    """What the batches of a journal say about each contact, in 16 to 32 bytes for each and for what it was submitted.

    What was accepted once counts as accepted, whatever else happened to it.

    Args:
        batches: The batches of this map index.
        others: Those of other map indexes, by map index.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        batches: Sequence[Batch],
        others: Mapping[int, Sequence[Batch]] = MappingProxyType({}),
        now: float = 0.0,
    ) -> None:
        self._submitted: dict[EnrichmentType, Deduplicator] = defaultdict(Deduplicator)
        elsewhere = list(chain.from_iterable(others.values()))
        for batch in (*batches, *elsewhere):
            if batch.state is BatchState.ACCEPTED:
                self._submitted[batch.kind].update(batch.contacts())
        self._in_flight: dict[tuple[int, EnrichmentType], Deduplicator] = defaultdict(Deduplicator)
        self._may_be_in_flight = Deduplicator()  # asked for each contact, whatever the number of map indexes
        for index, found in others.items():
            for batch in found:
                if _is_in_flight(batch, now):
                    self._in_flight[index, batch.kind].update(batch.contacts())
                    self._may_be_in_flight.update(batch.contacts())
        own = [batch for batch in batches if batch.is_unknown]
        self._unknown = _unknown_groups(own)
        self.unknown_by_decision = Counter[PersonDecision | None]()
        counted = Deduplicator()
        for batch in own:
            self._count(contact for contact in batch.contacts() if counted.add(contact))
        unknown = [batch for batch in elsewhere if batch.is_unknown and not _is_in_flight(batch, now)]
        self._unknown = _unknown_groups([*own, *unknown])
        seen, self._resubmitted = Deduplicator(), Deduplicator()
        for batch in (*own, *unknown):
            self._resubmitted.update(contact for contact in batch.contacts() if not seen.add(contact))

    @property
    def unknown(self) -> int:
        """How many contacts of this map index have an unknown outcome."""
        return self.unknown_by_decision.total()

    def _count(self, contacts: Iterable[bytes]) -> None:
        """Count contacts that are of unknown outcome by what a person has decided about them."""
        decisions = (self._decisions(contact) for contact in contacts)
        self.unknown_by_decision.update(decision_of(found) for found in decisions if found)

    def _submitted_for(self, contact: bytes) -> frozenset[EnrichmentType]:
        return frozenset(kind for kind, contacts in self._submitted.items() if contact in contacts)

    def _decisions(self, contact: bytes) -> list[PersonDecision | None]:
        """Return what was decided about a contact's batches of unknown outcome, oldest first.

        A batch counts if it was for more than what the contact is known to be submitted for.
        """
        found = [(kind, decision) for kind, decision, contacts in self._unknown if contact in contacts]
        if not found:
            return []
        submitted = self._submitted_for(contact)
        return [decision for kind, decision in found if missing_type(kind, submitted)]

    def accept(self, batch: Batch) -> None:
        """Count a batch of this map index as accepted that was unknown before.

        Args:
            batch: The batch.
        """
        contacts = set(batch.contacts())
        before = [decision_of(found) for found in map(self._decisions, contacts) if found]
        self._submitted[batch.kind].update(batch.contacts())
        self.unknown_by_decision.subtract(before)
        self._count(contacts)

    def history(self, contact: bytes) -> ContactHistory:
        """Return what the batches say about a contact.

        Args:
            contact: Its hash.
        """
        submitted, decisions = self._submitted_for(contact), self._decisions(contact)
        in_flight = self._in_flight_at(contact, submitted)
        is_again = bool(decisions) and contact in self._resubmitted
        return ContactHistory(submitted, bool(decisions), in_flight, decision_of(decisions), is_again)

    def _in_flight_at(self, contact: bytes, submitted: frozenset[EnrichmentType]) -> frozenset[int]:
        if contact not in self._may_be_in_flight:
            return frozenset()
        return frozenset(
            index
            for (index, kind), contacts in self._in_flight.items()
            if contact in contacts and missing_type(kind, submitted)
        )


def _is_in_flight(batch: Batch, now: float) -> bool:
    return is_in_flight(batch.state, now - batch.changed_at)


def _unknown_groups(
    batches: Iterable[Batch],
) -> list[tuple[EnrichmentType, PersonDecision | None, Deduplicator]]:
    """Return the contacts of batches by type and decision, those of the oldest batch first."""
    ordered = sorted(batches, key=lambda batch: batch.submitted_at)
    groups = []
    for (kind, decision), group in groupby(ordered, key=lambda batch: (batch.kind, batch.decision)):
        contacts = Deduplicator()
        for batch in group:
            contacts.update(batch.contacts())
        groups.append((kind, decision, contacts))
    return groups
