"""What the journal knows about a contact, and what an attempt does with it. Pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from airflow_provider_cleanlist.client.enrichment import EnrichmentType


class OnUnknown(StrEnum):
    """What the user wants done about contacts whose submission has an unknown outcome."""

    FAIL = "fail"
    SKIP = "skip"
    RESUBMIT = "resubmit"
    ASK = "ask"


class PersonDecision(StrEnum):
    """What a person has decided about a batch of unknown outcome."""

    SKIP = "skip"
    RESUBMIT = "resubmit"
    STOP = "stop"


class BatchState(StrEnum):
    """What is known of one batch."""

    INTENT = "intent"
    """Its request may have left. A batch that stays in this state has an unknown outcome."""
    ACCEPTED = "accepted"
    """Cleanlist accepted it: its contacts may be billed and are never sent again."""
    REJECTED = "rejected"
    """Cleanlist certainly did not accept it: its contacts may be sent again."""
    UNKNOWN = "unknown"
    """The request left, and no answer showed whether it was accepted."""


class ContactStatus(StrEnum):
    """What an attempt does about a contact."""

    PENDING = "pending"
    """Submit it."""
    SUBMITTED = "submitted"
    """Leave it out: this run and task has submitted it for all that is asked for."""
    KNOWN = "known"
    """Leave it out: somebody in the organisation has submitted it, for all that is asked for, within the window."""
    UNKNOWN = "unknown"
    """Leave it out: nobody knows whether this run and task has submitted it."""
    IN_FLIGHT = "in_flight"
    """Wait: another map index of this run and task may be submitting it at this moment."""


@dataclass(frozen=True, slots=True)
class ContactHistory:
    """What the journal knows of a contact.

    Attributes:
        submitted_here: What this run and task has submitted it for, under any map index.
        unknown_here: Whether nobody knows if this run and task has submitted it for something beyond that.
        in_flight: Other map indexes of this run and task that may be submitting it for something beyond that at this
            moment: their intent has no outcome yet.
        is_resubmitted: Whether that is so of two or more requests.
        decision: What a person has decided about it, if it is unknown; None if nobody has.
        bought: What the organisation has, or may have, submitted it for within the window that the user names.
        accepted: Which of these Cleanlist is known to have accepted.
    """

    submitted_here: frozenset[EnrichmentType] = frozenset()
    unknown_here: bool = False
    in_flight: frozenset[int] = frozenset()
    decision: PersonDecision | None = None
    is_resubmitted: bool = False
    bought: frozenset[EnrichmentType] = frozenset()
    accepted: frozenset[EnrichmentType] = frozenset()


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

    What is asked for may have changed since an earlier attempt of the run: only what is missing is submitted.

    Args:
        history: What the journal knows of it.
        wanted: What the user asks for.
        on_unknown: What the user wants done about contacts of unknown outcome; ``fail`` and ``ask`` leave them out, in
            case the task continues at all, unless a person has decided to resubmit them; ``resubmit`` leaves out who
            was submitted again before.
    """
    if missing_type(wanted, history.submitted_here) is None:
        return ContactDecision(ContactStatus.SUBMITTED)
    # a person decides about each request, the argument about one
    is_resubmitted = history.is_resubmitted and on_unknown is OnUnknown.RESUBMIT
    word = on_unknown_of(on_unknown, history.decision)
    if history.unknown_here and (is_resubmitted or word is not OnUnknown.RESUBMIT):
        return ContactDecision(ContactStatus.UNKNOWN)
    missing = missing_type(wanted, history.submitted_here | history.bought)
    if missing is None:
        return ContactDecision(ContactStatus.KNOWN)
    if history.in_flight:
        return ContactDecision(ContactStatus.IN_FLIGHT)
    return ContactDecision(ContactStatus.PENDING, missing)


def on_unknown_of(on_unknown: OnUnknown, decision: PersonDecision | None) -> OnUnknown:
    """Return what is done about a contact of unknown outcome.

    ``skip`` and ``resubmit`` are the user's own words. With the others, what a person has decided counts.

    Args:
        on_unknown: What the user wants done.
        decision: What a person has decided about the contact; None if nobody has.
    """
    if decision is None or on_unknown in (OnUnknown.SKIP, OnUnknown.RESUBMIT):
        return on_unknown
    return {
        PersonDecision.SKIP: OnUnknown.SKIP,
        PersonDecision.RESUBMIT: OnUnknown.RESUBMIT,
        PersonDecision.STOP: OnUnknown.FAIL,
    }[decision]


def missing_type(wanted: EnrichmentType, bought: Iterable[EnrichmentType]) -> EnrichmentType | None:
    """Return what is still to be submitted of what is wanted, or None if nothing is.

    Emails and phones are two purchases: if one of them was bought for a contact and both are wanted, the other is
    bought.

    Args:
        wanted: What the user asks for.
        bought: What the contact was submitted for before.
    """
    return _missing_type(wanted, frozenset(bought))


@cache  # it is asked for each contact, and there are 64 answers
def _missing_type(wanted: EnrichmentType, bought: frozenset[EnrichmentType]) -> EnrichmentType | None:
    if not bought:
        return wanted
    missing = _FINDS[wanted].difference(*(_FINDS[kind] for kind in bought))
    return next((kind for kind, finds in _FINDS.items() if finds == missing), None) if missing else None


def recorded_type(text: str) -> EnrichmentType:
    """Return what a record says was asked for; everything if it does not say, so that nothing is bought twice.

    Args:
        text: The enrichment type in the record.
    """
    try:
        return EnrichmentType(text)
    except ValueError:
        return EnrichmentType.FULL


_FINDS = {
    EnrichmentType.NONE: frozenset[str](),
    EnrichmentType.PARTIAL: frozenset({"email"}),
    EnrichmentType.PHONE_ONLY: frozenset({"phone"}),
    EnrichmentType.FULL: frozenset({"email", "phone"}),
}


IN_FLIGHT_SECONDS = 900.0
"""How long an intent of another map index counts as in flight: longer than any request with its answer takes.

After that its outcome is unknown. One that a clock set back puts into the future counts as in flight until then.
"""


@dataclass(frozen=True, slots=True)
class EarlierBatch:
    """A batch that contains a person, reduced to what decides about that person.

    Attributes:
        is_here: Whether it is of this run and task, and its ``force_resubmit`` value counts for this attempt.
        is_own: Whether it is of this map index, too.
        map_index: Its map index; -1 when the task is not mapped.
        state: What is known of it.
        enrichment_type: What was asked for.
        submitted_at: When.
        changed_at: When its state became what it is.
        has_failed: Whether its workflow has failed.
        is_of_other_token: Whether it is of this run and task, under a ``force_resubmit`` value that does not count.
        decision: What a person has decided about it, if its outcome is unknown; None if nobody has.
    """

    is_here: bool
    is_own: bool
    map_index: int
    state: BatchState
    enrichment_type: EnrichmentType
    submitted_at: datetime
    changed_at: datetime
    has_failed: bool
    is_of_other_token: bool
    decision: PersonDecision | None = None


def history_of(submitted: Sequence[EarlierBatch], now: datetime, window: timedelta | None) -> ContactHistory:
    """Return what the batches that contain a person mean for one run and task. A pure decision.

    Args:
        submitted: The batches; rejected ones do not count.
        now: The current time.
        window: How far back submissions by others count; None if they do not.
    """
    here = [batch for batch in submitted if batch.is_here and batch.state is not BatchState.REJECTED]
    submitted_here = frozenset(batch.enrichment_type for batch in here if batch.state is BatchState.ACCEPTED)
    unanswered = [batch for batch in here if missing_type(batch.enrichment_type, submitted_here)]
    in_flight = [batch for batch in unanswered if _is_in_flight_elsewhere(batch, now)]
    unknown = [batch for batch in unanswered if not _is_in_flight_elsewhere(batch, now)]
    unknown.sort(key=lambda batch: batch.submitted_at)
    others = [
        batch
        for batch in submitted
        if window is not None
        and not (batch.is_here or batch.is_of_other_token or batch.has_failed)
        and batch.state is not BatchState.REJECTED
        and now - batch.submitted_at <= window
    ]
    return ContactHistory(
        submitted_here=submitted_here,
        unknown_here=bool(unknown),
        in_flight=frozenset(batch.map_index for batch in in_flight),
        decision=decision_of([batch.decision for batch in unknown]),
        is_resubmitted=len(unknown) > 1,
        bought=frozenset(batch.enrichment_type for batch in others),
        accepted=frozenset(batch.enrichment_type for batch in others if batch.state is BatchState.ACCEPTED),
    )


def decision_of(decisions: Sequence[PersonDecision | None]) -> PersonDecision | None:
    """Return what a person has decided about a contact of unknown outcome: the last word, once all batches have one.

    Args:
        decisions: What was decided about each batch of unknown outcome that contains it, oldest first.
    """
    return None if None in decisions or not decisions else decisions[-1]


def _is_in_flight_elsewhere(batch: EarlierBatch, now: datetime) -> bool:
    return not batch.is_own and is_in_flight(batch.state, (now - batch.changed_at).total_seconds())


def is_in_flight(state: BatchState, age: float) -> bool:
    """Return whether a batch of another map index may still be waiting for its answer.

    Args:
        state: What is known of it.
        age: Seconds since its intent.
    """
    return state is BatchState.INTENT and age < IN_FLIGHT_SECONDS
