"""What the journal says about each contact, and what a new try does about it. Pure decisions."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from airflow_provider_cleanlist.contacts.identity import Deduplicator
from airflow_provider_cleanlist.submission.journal import Batch, BatchState


class OnUnknown(StrEnum):
    """What the user wants done about contacts whose submission has an unknown outcome."""

    FAIL = "fail"
    SKIP = "skip"
    RESUBMIT = "resubmit"


class ContactStatus(StrEnum):
    """What a new try does about a contact."""

    PENDING = "pending"
    """Submit it."""
    SUBMITTED = "submitted"
    """Leave it out: an earlier try has submitted it."""
    UNKNOWN = "unknown"
    """Leave it out: nobody knows whether an earlier try has submitted it."""


class JournalIndex:
    """What the batches of a journal say about each contact, in 16 to 32 bytes for each.

    Accepted once is accepted, whatever else happened to a contact.

    Args:
        batches: The batches.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._accepted, self._unknown = Deduplicator(), Deduplicator()
        for batch in batches:
            if batch.state is BatchState.ACCEPTED:
                for contact in batch.contacts():
                    self._accepted.add(contact)
        for batch in batches:
            if batch.is_unknown:
                for contact in batch.contacts():
                    if contact not in self._accepted:
                        self._unknown.add(contact)

    @property
    def unknown(self) -> int:
        """How many contacts have an unknown outcome that no later batch settled."""
        return len(self._unknown)

    def standing(self, contact: bytes, on_unknown: OnUnknown) -> ContactStatus:
        """Decide what a new try does about a contact.

        Args:
            contact: Its hash.
            on_unknown: The user's word on contacts of unknown outcome; with ``fail`` they are left out, for the case
                that the task goes on at all.
        """
        if contact in self._accepted:
            return ContactStatus.SUBMITTED
        if on_unknown is not OnUnknown.RESUBMIT and contact in self._unknown:
            return ContactStatus.UNKNOWN
        return ContactStatus.PENDING
