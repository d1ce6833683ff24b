"""What the journal knows of a contact, and what an attempt does about it. Pure decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_cleanlist.client.models import EnrichmentType


class OnUnknown(StrEnum):
    """What the user wants done about contacts whose submission has an unknown outcome."""

    FAIL = "fail"
    SKIP = "skip"
    RESUBMIT = "resubmit"


class ContactStatus(StrEnum):
    """What an attempt does about a contact."""

    PENDING = "pending"
    """Submit it."""
    SUBMITTED = "submitted"
    """Leave it out: this run and task has submitted it."""
    KNOWN = "known"
    """Leave it out: somebody in the organisation has submitted it, for all that is asked for, within the window."""
    UNKNOWN = "unknown"
    """Leave it out: nobody knows whether this run and task has submitted it."""


@dataclass(frozen=True, slots=True)
class ContactHistory:
    """What the journal knows of a contact.

    Attributes:
        submitted_here: Whether this run and task has submitted it, under any map index.
        unknown_here: Whether nobody knows if this run and task has submitted it.
        bought: What the organisation has, or may have, submitted it for within the window that the user names.
    """

    submitted_here: bool = False
    unknown_here: bool = False
    bought: frozenset[EnrichmentType] = frozenset()


@dataclass(frozen=True, slots=True)
class ContactDecision:
    """What an attempt does about a contact.

    Attributes:
        status: What it does.
        enrichment_type: What it submits the contact for; None unless the status is ``pending``.
    """

    status: ContactStatus
    enrichment_type: EnrichmentType | None = None


def decide(history: ContactHistory, wanted: EnrichmentType, on_unknown: OnUnknown) -> ContactDecision:
    """Decide what an attempt does about a contact.

    Args:
        history: What the journal knows of it.
        wanted: What the user asks for.
        on_unknown: The user's word on contacts of unknown outcome; with ``fail`` they are left out, for the case that
            the task continues at all.
    """
    if history.submitted_here:
        return ContactDecision(ContactStatus.SUBMITTED)
    if history.unknown_here and on_unknown is not OnUnknown.RESUBMIT:
        return ContactDecision(ContactStatus.UNKNOWN)
    missing = missing_type(wanted, history.bought)
    return (
        ContactDecision(ContactStatus.KNOWN)
        if missing is None
        else ContactDecision(ContactStatus.PENDING, missing)
    )


def missing_type(wanted: EnrichmentType, bought: Iterable[EnrichmentType]) -> EnrichmentType | None:
    """Return what is to be submitted so that everything wanted has been, or None if it has.

    Emails and phones are two purchases: who has bought one of them for a contact and wants both buys the other.

    Args:
        wanted: What the user asks for.
        bought: What the contact was submitted for before.
    """
    earlier = list(bought)
    if not earlier:
        return wanted
    missing = _FINDS[wanted].difference(*(_FINDS[kind] for kind in earlier))
    return next((kind for kind, finds in _FINDS.items() if finds == missing), None) if missing else None


_FINDS = {
    EnrichmentType.NONE: frozenset[str](),
    EnrichmentType.PARTIAL: frozenset({"email"}),
    EnrichmentType.PHONE_ONLY: frozenset({"phone"}),
    EnrichmentType.FULL: frozenset({"email", "phone"}),
}
