"""Waiting for workflows: the part that the operator, the sensor and the trigger share.

The generator :func:`watch` is the wait without I/O. It yields actions, which a driver performs: that of :func:`wait`
blocks, the trigger's runs on an event loop.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import enrichment, errors
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.redaction import shown
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.waiting.deliveries import DeliveryWatcher, pause
from airflow_provider_cleanlist.waiting.outcome import (
    FAILURE_POLICIES,
    FailurePolicy,
    WaitOutcome,
    WaitSummary,
    conclude,
    outcome_from_json,
)
from airflow_provider_cleanlist.waiting.recording import record_ends
from airflow_provider_cleanlist.waiting.schedule import PollRule
from airflow_provider_cleanlist.waiting.tracker import (
    MIN_POLL_INTERVAL_SECONDS,
    Check,
    WaitStatus,
    WorkflowOutcome,
    WorkflowTracker,
)
from airflow_provider_cleanlist.wording import counted

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.client import CleanlistClient
    from airflow_provider_cleanlist.client.protocol import Call
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

REPORT_EVERY_SECONDS = 30.0
"""Least time between two progress lines in the log."""
SAVE_EVERY_SECONDS = 10.0
"""Least time between two saves of the progress."""
LONGEST_PAUSE_SECONDS = 30.0
"""Longest pause before the schedule is consulted again: other waits may have started or ended."""


def check_poll_interval(seconds: float | None) -> float | None:
    """Return a ``poll_interval`` that is valid.

    Args:
        seconds: Seconds between two status checks of a workflow, or None.

    Raises:
        CleanlistConfigurationError: It is shorter than a second.
    """
    if seconds is not None and not seconds >= MIN_POLL_INTERVAL_SECONDS:
        raise exceptions.CleanlistConfigurationError(
            f"poll_interval must be None, or at least {MIN_POLL_INTERVAL_SECONDS:g} second, not {shown(seconds)}."
        )
    return seconds


def check_failure_policy(policy: str) -> None:
    """Check a ``failure_policy``.

    Args:
        policy: When failed workflows fail the task.

    Raises:
        CleanlistConfigurationError: It is none of the policies.
    """
    if policy not in FAILURE_POLICIES:
        raise exceptions.CleanlistConfigurationError(
            f"failure_policy must be one of {', '.join(FAILURE_POLICIES)}, not {shown(policy)}."
        )


@dataclass(frozen=True, slots=True)
class WaitRequest:
    """What to wait for, as ids and numbers only.

    Attributes:
        cleanlist_conn_id: Airflow connection.
        workflow_ids: Workflows in the order of their submission; repeated ids are dropped.
        submitted_at: When the first workflow was submitted, in seconds since the epoch; the start of the wait if
            unknown.
        deadline: When to give up, in seconds since the epoch.
        submitted_over: Seconds from the first submission to the last.
        poll_interval: Seconds between two status checks of a workflow, at least 1; None follows the budget-aware
            schedule.
        failure_policy: When failed workflows fail the task: ``any`` of them, only ``all`` of them, or ``never``.
        is_dated: Whether ``submitted_at`` is the real time of submission rather than a later one.

    Raises:
        CleanlistConfigurationError: ``poll_interval`` or ``failure_policy`` is invalid.
    """

    cleanlist_conn_id: str
    workflow_ids: tuple[str, ...]
    submitted_at: float
    deadline: float
    submitted_over: float = 0.0
    poll_interval: float | None = None
    failure_policy: FailurePolicy = "any"
    is_dated: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "workflow_ids", tuple(dict.fromkeys(self.workflow_ids)))
        check_failure_policy(self.failure_policy)
        check_poll_interval(self.poll_interval)

    def kwargs(self) -> dict[str, Any]:
        """Return the attributes as plain JSON values, for use as a trigger's keyword arguments."""
        return {**asdict(self), "workflow_ids": list(self.workflow_ids)}

    def tracker(self, rule: PollRule | None = None) -> WorkflowTracker:
        """Return a new tracker for this wait.

        Args:
            rule: Constants of the schedule; None uses those for 60 requests a minute.
        """
        return WorkflowTracker(
            self.workflow_ids,
            submitted_at=self.submitted_at,
            submitted_over=self.submitted_over,
            deadline=self.deadline,
            poll_interval=self.poll_interval,
            rule=rule,
            is_dated=self.is_dated,
        )


# The wait itself, without I/O


@dataclass(frozen=True, slots=True)
class Pause:
    """Action: pause.

    Attributes:
        seconds: Length of the pause.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class StatusCheck:
    """Action: send a status request. The driver may report its result in any later reply.

    Attributes:
        workflow_id: The workflow.
        call: The request.
    """

    workflow_id: str
    call: Call[WorkflowStatus]


@dataclass(frozen=True, slots=True)
class LogLine:
    """Action: write a line to the task's log.

    Attributes:
        text: The line.
        level: Its level, as in :mod:`logging`.
    """

    text: str
    level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class SaveSnapshot:
    """Action: save the progress for a driver that takes over, if there is a place to save it.

    Attributes:
        snapshot: From :meth:`.WorkflowTracker.snapshot`.
    """

    snapshot: dict[str, Any]


Action = Pause | StatusCheck | LogLine | SaveSnapshot
StatusResult = WorkflowStatus | errors.CleanlistError


@dataclass(frozen=True, slots=True)
class Reply:
    """What a driver sends back after each action.

    Attributes:
        now: Seconds since the epoch.
        others: Workflows in flight that other waits on the same request budget are waiting for.
        results: Results of status checks that have arrived since the last reply: workflow, and status or error.
    """

    now: float
    others: int = 0
    results: tuple[tuple[str, StatusResult], ...] = ()


def watch(request: WaitRequest, tracker: WorkflowTracker) -> Generator[Action, Reply, WaitOutcome]:
    """Run a wait without I/O.

    Args:
        request: What to wait for.
        tracker: Its tracker.

    Yields:
        Actions, the first one a pause of no length; the driver sends back a :class:`Reply` after each.

    Returns:
        How the wait ended.
    """
    reply = yield from _perform(tracker, Pause(0.0))
    reported_at, saved_at, saved = -math.inf, reply.now, tracker.in_flight
    while True:
        step = tracker.next_step(reply.now, reply.others)
        save_at = saved_at + SAVE_EVERY_SECONDS if tracker.in_flight < saved else math.inf
        action: Action
        if isinstance(step, WaitStatus):
            yield LogLine(progress_line(tracker, reply.now))
            return WaitOutcome.of(tracker, step, request.failure_policy)
        if reply.results and reply.now - reported_at >= REPORT_EVERY_SECONDS:
            reported_at, action = reply.now, LogLine(progress_line(tracker, reply.now))
        elif reply.now >= save_at:
            saved_at, saved, action = reply.now, tracker.in_flight, SaveSnapshot(tracker.snapshot())
        elif isinstance(step, Check):
            tracker.on_sent(step.workflow_id)
            action = StatusCheck(
                step.workflow_id, status_call(step.workflow_id, request.deadline - reply.now)
            )
        else:
            until = min(step.until, save_at, reply.now + LONGEST_PAUSE_SECONDS)
            action = Pause(max(0.0, until - reply.now))
        reply = yield from _perform(tracker, action)


def _perform(tracker: WorkflowTracker, action: Action) -> Generator[Action, Reply, Reply]:
    """Yield an action, and record the results in the driver's reply."""
    reply = yield action
    results = list(reply.results)
    for workflow_id, result in results:
        for line in _record(tracker, workflow_id, result, reply.now):
            later = yield line
            results += later.results
    return reply


def _record(tracker: WorkflowTracker, workflow_id: str, result: StatusResult, now: float) -> list[LogLine]:
    """Pass a result to the tracker, and return what to log about it."""
    if isinstance(result, WorkflowStatus):
        warning = tracker.on_status(result, now)
        return [] if warning is None else [LogLine(warning, logging.WARNING)]
    tracker.on_error(workflow_id, result, now)
    if workflow_id in tracker.running and tracker.error is None:
        return [LogLine(f"{result} The status will be checked again.", logging.WARNING)]
    return []


def status_call(workflow_id: str, max_wait: float) -> Call[WorkflowStatus]:
    """Return the request for a workflow's status.

    Args:
        workflow_id: The workflow.
        max_wait: How long the request may wait for its place in the budget, in seconds.
    """
    call = enrichment.get_workflow_status(workflow_id)
    return replace(call, request=replace(call.request, max_wait=max(0.0, max_wait)))


# Blocking drivers


def epoch_clock() -> Callable[[], float]:
    """Return a clock of seconds since the epoch that later adjustments of the system clock do not affect."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def rule_for(hook: CleanlistHook) -> PollRule:
    """Return the constants of the schedule for the request budget of a connection.

    Args:
        hook: Access to the connection.
    """
    budget = hook.settings.budget
    return PollRule.for_budget(budget.requests, budget.window)


def wait(
    hook: CleanlistHook,
    request: WaitRequest,
    log: TaskLog,
    tracker: WorkflowTracker | None = None,
    *,
    ledger_conn_id: str | None = None,
) -> WaitSummary:
    """Wait in this process until all workflows have ended, and record in the ledger how they did.

    Args:
        hook: Access to the API.
        request: What to wait for.
        log: Receives progress lines, at most one in 30 s.
        tracker: The request's tracker, for a caller that needs to see the progress; by default a new one.
        ledger_conn_id: Airflow connection of the ledger; None takes ``[cleanlist] ledger_conn_id``.

    Returns:
        The summary.

    Raises:
        CleanlistWorkflowFailedError: Workflows failed, as the failure policy counts it.
        CleanlistWaitTimeoutError: The deadline passed.
        CleanlistNotFoundError: The API does not know some of the workflows.
        CleanlistError: An error that ends the wait.
    """
    client, clock = hook.get_conn(), epoch_clock()
    log.info(opening_line(len(request.workflow_ids), request.deadline, clock()))
    tracker = tracker or request.tracker(rule_for(hook))
    watcher = DeliveryWatcher.configured()
    flow = watch(request, tracker)
    action = next(flow)
    while True:
        results: tuple[tuple[str, StatusResult], ...] = ()
        if isinstance(action, Pause):
            pause(watcher, action.seconds, tracker, clock)
        elif isinstance(action, StatusCheck):
            results = ((action.workflow_id, _status_result(client, action.call)),)
        elif isinstance(action, LogLine):
            log.log(action.level, action.text)
        try:
            action = flow.send(Reply(clock(), results=results))
        except StopIteration as done:
            outcome: WaitOutcome = done.value
            break
    return finish(outcome, log, hook, ledger_conn_id=ledger_conn_id)


def finish(
    outcome: WaitOutcome,
    log: TaskLog,
    hook: CleanlistHook | None = None,
    *,
    ledger_conn_id: str | None = None,
) -> WaitSummary:
    """Record in the ledger how the workflows ended, and return the summary or raise the error that fails the task.

    Args:
        outcome: How the wait ended.
        log: Receives a warning if the ends cannot be recorded.
        hook: Access to the API, to explain after a timeout why no webhook was delivered.
        ledger_conn_id: Airflow connection of the ledger; None takes ``[cleanlist] ledger_conn_id``.

    Raises:
        CleanlistError: As :func:`wait`.
    """
    record_ends(outcome.ends, log, ledger_conn_id)
    return conclude(outcome if hook is None else _explained(outcome, hook))


def _explained(outcome: WaitOutcome, hook: CleanlistHook) -> WaitOutcome:
    """Add to the outcome of a wait that timed out what became of the webhooks that it expected."""
    if outcome.status is not WaitStatus.TIMED_OUT:
        return outcome
    from airflow_provider_cleanlist.waiting.diagnosis import why_still_waiting

    return replace(outcome, note=why_still_waiting(hook, outcome.running_ids))


def summary_of_event(
    event: Mapping[str, Any],
    log: TaskLog,
    hook: CleanlistHook | None = None,
    *,
    ledger_conn_id: str | None = None,
) -> WaitSummary:
    """Finish a wait from its trigger's event: return its summary, or raise the error that fails the task.

    Args:
        event: Payload of the event of :class:`~airflow_provider_cleanlist.triggers.workflow.WorkflowTrigger`.
        log: Receives one closing line.
        hook: Access to the API, to explain after a timeout why no webhook was delivered.
        ledger_conn_id: Airflow connection of the ledger; None takes ``[cleanlist] ledger_conn_id``.

    Raises:
        CleanlistError: As :func:`wait`.
    """
    summary = finish(outcome_from_json(event), log, hook, ledger_conn_id=ledger_conn_id)
    found = _found_text(summary["emails_found"], summary["phones_found"])
    log.info("%s ended, %s.", counted(summary["workflows"], "workflow"), found)
    return summary


def check_once(
    hook: CleanlistHook, request: WaitRequest, log: TaskLog, tracker: WorkflowTracker, *, poll: bool = True
) -> WaitOutcome | None:
    """Record what webhooks delivered, then check unfinished workflows until one is found that is still running.

    The check starts with the workflow that was submitted last, because it is the most likely to be still running.

    Args:
        hook: Access to the API.
        request: What to wait for.
        log: Receives a warning for each failed status check, and one line if the wait has ended.
        tracker: The request's tracker; records the results.
        poll: Whether to send status requests, too.

    Returns:
        How the wait ended, or None if it continues.
    """
    client, clock = hook.get_conn(), epoch_clock()
    pause(DeliveryWatcher.configured(), 0.0, tracker, clock)
    for workflow_id in reversed(tracker.running) if poll else ():
        result = _status_result(client, status_call(workflow_id, request.deadline - clock()))
        for line in _record(tracker, workflow_id, result, clock()):
            log.log(line.level, line.text)
        if tracker.error is not None or workflow_id in tracker.running:
            break
    now = clock()
    step = tracker.next_step(now)
    if not isinstance(step, WaitStatus):
        return None
    log.info(progress_line(tracker, now))
    return WaitOutcome.of(tracker, step, request.failure_policy)


def _status_result(client: CleanlistClient, call: Call[WorkflowStatus]) -> StatusResult:
    try:
        return client.run(call)
    except errors.CleanlistError as error:
        return error


# Log lines


def opening_line(workflows: int, deadline: float, now: float) -> str:
    """Return the first line that a wait logs.

    Args:
        workflows: Number of workflows.
        deadline: When the wait gives up, in seconds since the epoch.
        now: Seconds since the epoch.
    """
    if not workflows:
        return "No workflows to wait for."
    return (
        f"Waiting for {counted(workflows, 'workflow')}, "
        f"until {_clock_text(deadline)} at the latest ({max(0.0, deadline - now):.0f} s)."
    )


def progress_line(tracker: WorkflowTracker, now: float) -> str:
    """Return one line on the progress of a wait.

    Args:
        tracker: The wait's tracker.
        now: Seconds since the epoch.
    """
    ended = tracker.workflows - tracker.in_flight
    counts = tracker.counts
    parts = [f"{ended:,} of {counted(tracker.workflows, 'workflow')} ended"]
    if failed := len(tracker.ended(WorkflowOutcome.FAILED)):
        parts[0] += f" ({failed:,} failed)"
    if counts.total:
        parts.append(f"{counts.successful + counts.failed:,} of {counted(counts.total, 'contact')} processed")
    parts.append(_found_text(counts.emails or 0, counts.phones or 0))
    end = tracker.expected_end(now)
    if tracker.running and end is not None:
        parts.append(f"expected end {_clock_text(end)}")
    return ", ".join(parts) + "."


def _found_text(emails: int, phones: int) -> str:
    return f"{counted(emails, 'email')} and {counted(phones, 'phone')} found"


def _clock_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
