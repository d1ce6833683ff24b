"""What a person is asked about contacts of unknown outcome, and what becomes of the answer. Time is passed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_cleanlist.client.enrichment import EnrichmentType, worst_case_credits
from airflow_provider_cleanlist.submission.errors import JournalMissingError
from airflow_provider_cleanlist.submission.history import PersonDecision
from airflow_provider_cleanlist.submission.journal import DECIDED_BY_LENGTH, Batch, Journal
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.wording import counted

SUBJECT = "Cleanlist: were these contacts accepted?"
BODY = (
    "A request to Cleanlist left, and no answer showed whether its contacts were accepted. If they were, they are "
    "billed.\n\n"
    "- *Skip these contacts*: they are left out, and the task submits the rest.\n"
    "- *Submit them again*: they are submitted once more, and may be billed twice.\n"
    "- *Stop*: the task fails, and nothing more is submitted.\n\n"
    "The task's log, right above where it waits, says how many contacts these are, what they may cost and what the "
    "balance is. With a ledger, *Browse > Cleanlist* shows them, too."
)
"""Airflow never changes the text of a question, so it holds no numbers: one wording for every unknown batch."""


CLOCK_SECONDS = 60.0
"""How far the clocks of an API server and of a worker may differ."""
BATCHES_NAMED = 20
"""Most batches that the log names one by one."""
STATE_DELETED = (
    "The record of what was submitted is gone or another one, although this task has asked a person about it: it was "
    "deleted or moved while the task waited, or force_resubmit has changed. Nothing was submitted in this attempt. "
    "Compare with the Cleanlist portal; to submit all contacts again all the same, and pay again, start a new DAG run"
)
DECISIONS = {
    "Skip these contacts": PersonDecision.SKIP,
    "Submit them again (may be billed twice)": PersonDecision.RESUBMIT,
    "Stop": PersonDecision.STOP,
}
"""What each option of the question means."""
OPTIONS = tuple(DECISIONS)


class InvalidAnswerError(Exception):
    """An event is no valid answer to the question; its text shows nothing of the event but a user's id."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person has decided.

    Attributes:
        decision: The decision; None if nobody answered in time.
        decided_by: Name of the user, or their id where they have none; empty if nobody answered.
        decided_at: When, in UTC.
    """

    decision: PersonDecision | None
    decided_by: str
    decided_at: datetime


def answer_of(
    event: Any, now: datetime, *, asked_at: float = 0.0, users: Collection[str] | None = None
) -> Answer:
    """Return the answer in the event with which Airflow resumes a task.

    Airflow 3.1 and 3.2 accept options by REST that the question does not have, and 3.3 accepts parameters, so both are
    checked here.

    Args:
        event: The event.
        now: The current time: that of an event that names none, or a later one.
        asked_at: When the last of what it may decide came to be unknown, in seconds since the epoch.
        users: Ids of those who may answer; None for everybody whom Airflow allows to.

    Raises:
        InvalidAnswerError: It is not an answer to the question.
    """
    if not isinstance(event, Mapping):
        raise InvalidAnswerError("the event is not a mapping")
    if event.get("error_type") == "timeout":
        return Answer(None, "", now.astimezone(UTC))
    chosen = event.get("chosen_options")
    if "error" in event or not isinstance(chosen, list | tuple):
        raise InvalidAnswerError("the event holds no chosen options")
    if len(chosen) != 1 or chosen[0] not in OPTIONS:
        raise InvalidAnswerError("the answer is not exactly one of the question's options")
    if event.get("params_input"):
        raise InvalidAnswerError("the answer holds parameters, and the question has none")
    user = event.get("responded_by_user")
    if event.get("timedout") or not isinstance(user, Mapping):
        raise InvalidAnswerError("the answer does not say who gave it")
    if users is not None and str(user.get("id")) not in users:
        raise InvalidAnswerError(
            f"it is of the user with the id {_one_line(str(user.get('id')))!r}, whom decision_users does not name"
        )
    decided_at = _moment(event.get("responded_at"), now)
    if decided_at.timestamp() < asked_at - CLOCK_SECONDS:
        raise InvalidAnswerError("the answer is older than what it is about")
    return Answer(DECISIONS[chosen[0]], _one_line(str(user.get("name") or user.get("id") or "")), decided_at)


def question_lines(
    contacts: Mapping[EnrichmentType, int],
    why: str,
    batches: Sequence[Batch],
    balance: float | None,
    credits_to_resubmit: int | None = None,
) -> list[str]:
    """Return the log lines above a question: the numbers, which its text cannot hold.

    Args:
        contacts: Contacts to decide about, by what was asked for.
        why: Why the outcome is unknown.
        batches: The batches to decide about.
        balance: The organisation's credits at present; None if they are not known.
        credits_to_resubmit: The least ``max_credits`` with which they can be submitted again; None if it allows that.
    """
    lines = [
        f"It is not known whether Cleanlist accepted {counted(sum(contacts.values()), 'contact')} ({why}). If it did, "
        f"the cost is up to {counted(worst_case_credits(contacts), 'credit')}. Nothing was submitted again."
    ]
    for batch in batches[:BATCHES_NAMED]:
        at = _text(batch.changed_at)
        lines.append(
            f"To decide: {counted(batch.size, 'contact')} for {batch.enrichment_type!r}, sent at {at}."
        )
    if len(batches) > BATCHES_NAMED:
        lines.append(f"To decide: {counted(len(batches) - BATCHES_NAMED, 'more batch', 'more batches')}.")
    if balance is not None:
        lines.append(
            f"Credit balance at present: {balance:,.10g}. Cleanlist charges only for what it finds, minutes later, so "
            "an unchanged balance does not show that nothing was accepted."
        )
    if credits_to_resubmit is not None:
        lines.append(
            f"To submit them again, max_credits must be at least {credits_to_resubmit}. With less, the task keeps that "
            "answer and fails before it sends anything: raise max_credits, then clear it."
        )
    return lines


def take_answer(
    journal: Journal, event: Any, now: datetime, log: TaskLog, users: Collection[str] | None = None
) -> bool:
    """Record what a person has decided, so that a later attempt does not ask about the same batches again.

    Args:
        journal: The loaded journal of the task that has asked.
        event: The event with which Airflow resumes the task.
        now: The current time.
        log: Receives answer, name and time.
        users: Ids of those who may answer; None for everybody whom Airflow allows to.

    Returns:
        Whether a person may be asked again; not once nobody has answered in time.

    Raises:
        JournalMissingError: The journal no longer knows what was asked about.
        JournalError: The journal cannot be written.
    """
    if not journal.batches:
        raise JournalMissingError(STATE_DELETED)
    asked_at = max((batch.changed_at for batch in journal.batches if batch.is_undecided), default=0.0)
    try:
        answer = answer_of(event, now, asked_at=asked_at, users=users)
    except InvalidAnswerError as error:
        log.warning(
            "The answer cannot be used: %s. Nothing was decided, so the question is asked again.", error
        )
        return True
    if answer.decision is None:
        log.warning("Nobody has decided within decision_timeout, so the task fails.")
        return False
    name = answer.decided_by or "somebody without a name"
    batches = journal.record_decision(answer.decision, name, answer.decided_at.timestamp())
    log.info(
        "%s has decided at %s: %s (%s).",
        name,
        _text(answer.decided_at.timestamp()),
        answer.decision.value,
        counted(batches, "batch", "batches"),
    )
    return True


def stopped_by(batches: Sequence[Batch]) -> str:
    """Return who has decided to stop the task, and when.

    Args:
        batches: The batches of the task instance.
    """
    for batch in reversed(batches):
        if batch.decision is PersonDecision.STOP and batch.decided_at is not None:
            return f"{batch.decided_by} has decided to stop, at {_text(batch.decided_at)}"
    return "somebody has decided to stop, for another map index"


def _text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _moment(value: Any, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime):
            aware = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            return min(aware, now.astimezone(UTC))
    except (ValueError, OverflowError):  # the first and last years have no UTC everywhere
        pass
    return now.astimezone(UTC)


def _one_line(name: str) -> str:
    """Return a name that somebody may have chosen, as it may stand in a log."""
    return "".join(filter(str.isprintable, " ".join(name[:DECIDED_BY_LENGTH].split())))
