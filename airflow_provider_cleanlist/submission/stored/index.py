"""What the records of a journal say about each contact. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby
from types import MappingProxyType

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.contacts.identity import Deduplicator
from airflow_provider_cleanlist.submission.history import (
    BatchState,
    ContactHistory,
    PersonDecision,
    decision_of,
    is_in_flight,
    missing_type,
)
from airflow_provider_cleanlist.submission.journal import Batch


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
        return ContactHistory(submitted, bool(decisions), in_flight, decision_of(decisions))

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
