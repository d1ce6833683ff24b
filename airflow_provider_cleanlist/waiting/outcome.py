"""How a wait for workflows ended, what that means for the task, and the messages about it.

A trigger's event carries an outcome as plain JSON. :func:`conclude` turns it into the summary that goes to XCom, or
into the error that fails the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, get_args

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.exceptions import CleanlistWaitTimeoutError
from airflow_provider_cleanlist.waiting.tracker import Counts, WaitStatus, WorkflowOutcome, WorkflowTracker
from airflow_provider_cleanlist.wording import counted

FailurePolicy = Literal["any", "all", "never"]
FAILURE_POLICIES: tuple[FailurePolicy, ...] = get_args(FailurePolicy)

IDS_IN_MESSAGES = 20
"""Most workflow ids in one message."""

_NOT_CANCELLED = (
    "Running workflows cannot be cancelled: Cleanlist completes them, and bills and keeps their results. "
    "Clear the task to resume the wait, or give it a longer timeout."
)
_NOT_LOST = "The workflows themselves continue at Cleanlist: the task's next attempt resumes the wait."


class WaitSummary(TypedDict):
    """What a waiting task returns.

    ``workflows``, ``completed`` and ``failed`` count workflows, ``total``, ``successful`` and ``failed_contacts`` count
    contacts, ``emails_found`` and ``phones_found`` count what was found; ``failed_workflow_ids`` names the failed
    workflows.
    """

    workflows: int
    completed: int
    failed: int
    total: int
    successful: int
    failed_contacts: int
    emails_found: int
    phones_found: int
    failed_workflow_ids: list[str]


@dataclass(frozen=True, slots=True)
class WaitOutcome:
    """How a wait ended.

    Attributes:
        status: Why the wait is over.
        failure_policy: When failed workflows fail the task: ``any`` of them, only ``all`` of them, or ``never``.
        workflows: Number of workflows.
        ends: How the workflows ended that completed or failed, in the order of their submission.
        not_found_ids: Workflows that the API does not know.
        running_ids: Workflows that are still running, at most 20 of them.
        running: Number of workflows that are still running.
        counts: Contacts of all workflows, as last reported.
        error: The error that ended the wait, or None.
        note: A further sentence for the message about a timeout.
    """

    status: WaitStatus
    failure_policy: FailurePolicy
    workflows: int
    ends: tuple[WorkflowEnd, ...]
    not_found_ids: tuple[str, ...]
    running_ids: tuple[str, ...]
    running: int
    counts: Counts
    error: errors.CleanlistError | None = None
    note: str = ""

    @classmethod
    def of(cls, tracker: WorkflowTracker, status: WaitStatus, failure_policy: FailurePolicy) -> WaitOutcome:
        """Return the outcome of a wait that is over.

        Args:
            tracker: The wait's tracker.
            status: Why the wait is over.
            failure_policy: When failed workflows fail the task.
        """
        running = tracker.running
        return cls(
            status=status,
            failure_policy=failure_policy,
            workflows=tracker.workflows,
            ends=tracker.ends,
            not_found_ids=tracker.ended(WorkflowOutcome.NOT_FOUND),
            running_ids=running[:IDS_IN_MESSAGES],
            running=len(running),
            counts=tracker.counts,
            error=None if tracker.error is None else _with_hint(tracker.error),
        )

    @property
    def completed(self) -> int:
        """Number of completed workflows."""
        return len(self.ends) - len(self.failed_ids)

    @property
    def failed_ids(self) -> tuple[str, ...]:
        """Failed workflows."""
        return tuple(end.workflow_id for end in self.ends if end.status == WorkflowOutcome.FAILED)

    @property
    def summary(self) -> WaitSummary:
        """What the task returns if the outcome is no error."""
        return WaitSummary(
            workflows=self.workflows,
            completed=self.completed,
            failed=len(self.failed_ids),
            total=self.counts.total,
            successful=self.counts.successful,
            failed_contacts=self.counts.failed,
            emails_found=self.counts.emails or 0,
            phones_found=self.counts.phones or 0,
            failed_workflow_ids=list(self.failed_ids),
        )


def conclude(outcome: WaitOutcome) -> WaitSummary:
    """Return the summary of a wait, or raise the error that fails the task.

    Args:
        outcome: How the wait ended.

    Raises:
        CleanlistWorkflowFailedError: Workflows failed, and the failure policy makes that an error.
        CleanlistWaitTimeoutError: The deadline passed.
        CleanlistNotFoundError: The API does not know some of the workflows.
        CleanlistError: The error that ended the wait.
    """
    if outcome.error is not None:
        raise outcome.error
    if outcome.status is WaitStatus.TIMED_OUT:
        raise CleanlistWaitTimeoutError(
            timeout_message(outcome.running_ids, outcome.running, outcome.workflows, outcome.note)
        )
    if outcome.not_found_ids:
        raise _not_found_error(outcome.not_found_ids)
    failed = len(outcome.failed_ids)
    if (outcome.failure_policy == "any" and failed) or (
        outcome.failure_policy == "all" and failed and failed == outcome.workflows
    ):
        raise exceptions.CleanlistWorkflowFailedError(
            f"{failed:,} of {counted(outcome.workflows, 'workflow')} failed at Cleanlist: "
            f"{first_ids(outcome.failed_ids)}. Contacts without a result are not billed. To let the task succeed "
            'anyway, set failure_policy="never".'
        )
    return outcome.summary


def timeout_message(running_ids: Sequence[str], running: int, workflows: int, note: str = "") -> str:
    """Return the message about a timeout: which workflows were still running, and that they continue.

    Args:
        running_ids: The running workflows, or the first of them.
        running: Number of running workflows.
        workflows: Number of all workflows.
        note: A further sentence.
    """
    return (
        f"The wait timed out: {running:,} of {counted(workflows, 'workflow')} {'was' if running == 1 else 'were'} "
        f"still running: {first_ids(running_ids, running)}. {_NOT_CANCELLED} {note}"
    ).rstrip()


def unwatched_message(workflow_ids: Sequence[str], note: str = "") -> str:
    """Return the message about a timeout by Airflow, which happens when no triggerer ran the trigger.

    Args:
        workflow_ids: All workflows of the task.
        note: A further sentence.
    """
    return (
        "The wait timed out without an event from a triggerer: "
        f"{counted(len(workflow_ids), 'workflow')} may still be running: {first_ids(workflow_ids)}. "
        f"{_NOT_CANCELLED} {note}"
    ).rstrip()


def killed_message(running_ids: Sequence[str]) -> str:
    """Return the message about a waiting task that is killed: which workflows continue.

    Args:
        running_ids: The running workflows.
    """
    return f"No longer waiting for {counted(len(running_ids), 'workflow')}: {first_ids(running_ids)}. {_NOT_CANCELLED}"


def first_ids(workflow_ids: Sequence[str], count: int | None = None) -> str:
    """Return the first ids, and how many more there are.

    Args:
        workflow_ids: The ids, or the first of them.
        count: Number of all ids, if ``workflow_ids`` is only the first of them.
    """
    shown = workflow_ids[:IDS_IN_MESSAGES]
    more = (len(workflow_ids) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _not_found_error(workflow_ids: Sequence[str]) -> exceptions.CleanlistNotFoundError:
    return exceptions.CleanlistNotFoundError(
        errors.ErrorInfo(
            f"find {counted(len(workflow_ids), 'workflow')}",
            first_ids(workflow_ids),
            status=404,
            hint="Check the ids, and that the connection's key belongs to the organisation that submitted them.",
        )
    )


def _with_hint(error: errors.CleanlistError) -> errors.CleanlistError:
    """Add to the error that ended a wait that the workflows themselves are not lost."""
    if not isinstance(error, errors.ApiError):
        return error
    hint = f"{error.info.hint} {_NOT_LOST}" if error.info.hint else _NOT_LOST
    return type(error)(replace(error.info, hint=hint))


_STATUSES = (WorkflowOutcome.COMPLETED, WorkflowOutcome.FAILED)
"""What 0 and 1 in an event mean."""


def outcome_to_json(outcome: WaitOutcome) -> dict[str, Any]:
    """Return an outcome as plain JSON values, in less than 100 bytes for each workflow.

    Args:
        outcome: The outcome.
    """
    return {
        "status": outcome.status.value,
        "failure_policy": outcome.failure_policy,
        "workflows": outcome.workflows,
        "ends": [
            [end.workflow_id, int(end.status == WorkflowOutcome.FAILED), end.emails_found, end.phones_found]
            for end in outcome.ends
        ],
        "not_found_ids": list(outcome.not_found_ids),
        "running_ids": list(outcome.running_ids),
        "running": outcome.running,
        "counts": outcome.counts.numbers(),
        "error": None if outcome.error is None else _error_to_json(outcome.error),
    }


def outcome_from_json(event: Mapping[str, Any]) -> WaitOutcome:
    """Return the outcome that a trigger's event carries.

    Args:
        event: Payload of the event.

    Raises:
        CleanlistStateError: The event cannot be read.
    """
    try:
        return WaitOutcome(
            status=WaitStatus(event["status"]),
            failure_policy=FAILURE_POLICIES[FAILURE_POLICIES.index(event["failure_policy"])],
            workflows=_count(event["workflows"]),
            ends=tuple(
                WorkflowEnd(
                    _text(workflow_id),
                    _STATUSES[_count(failed)].value,
                    _count_or_none(emails),
                    _count_or_none(phones),
                )
                for workflow_id, failed, emails, phones in event["ends"]
            ),
            not_found_ids=tuple(map(_text, _list(event["not_found_ids"]))),
            running_ids=tuple(map(_text, _list(event["running_ids"]))),
            running=_count(event["running"]),
            counts=_counts(*event["counts"]),
            error=None if event["error"] is None else _error_from_json(event["error"]),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise _unreadable(event) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(type(value).__name__)
    return value


def _count_or_none(value: Any) -> int | None:
    return None if value is None else _count(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return value


def _counts(total: Any, successful: Any, failed: Any, emails: Any, phones: Any) -> Counts:
    return Counts(
        _count(total), _count(successful), _count(failed), _count_or_none(emails), _count_or_none(phones)
    )


def passthrough_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values that the trigger has carried for the task.

    Args:
        event: Payload of the event.

    Raises:
        CleanlistStateError: The event has none.
    """
    values = event.get("passthrough")
    if not isinstance(values, Mapping) or not values:
        raise _unreadable(event)
    return values


def _unreadable(event: Any) -> exceptions.CleanlistStateError:
    if isinstance(event, Mapping) and "chosen_options" in event:
        return exceptions.CleanlistStateError(
            "A person's answer came while the task was waiting for workflows, and was not used. The workflows continue "
            "at Cleanlist: the task's next attempt resumes the wait."
        )
    return exceptions.CleanlistStateError(
        "The trigger's event cannot be read; it probably comes from another version of the provider. "
        "The workflows continue at Cleanlist: clear the task to resume the wait."
    )


def _error_to_json(error: errors.CleanlistError) -> dict[str, Any]:
    info = error.info if isinstance(error, errors.ApiError) else errors.ErrorInfo("", str(error))
    fields = ("operation", "message", "status", "code", "request_id", "hint", "connection")
    return {"type": type(error).__name__, **{name: getattr(info, name) for name in fields}}


def _error_from_json(error: Mapping[str, Any]) -> errors.CleanlistError:
    info = errors.ErrorInfo(**{name: value for name, value in error.items() if name != "type"})
    kind = _ERRORS.get(error["type"], exceptions.CleanlistStateError)
    return kind(info) if issubclass(kind, errors.ApiError) else kind(info.message)


_ERRORS: dict[str, type[errors.CleanlistError]] = {
    name: getattr(exceptions, name) for name in exceptions.__all__ if name.endswith("Error")
}
