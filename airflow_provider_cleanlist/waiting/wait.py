"""Waiting for workflows: what the operator, the sensor and the trigger share.

One generator, :func:`watch`, runs a wait; a blocking driver (:func:`wait`) and the trigger's asynchronous one perform
what it asks for.
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
from airflow_provider_cleanlist.client import endpoints, errors
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.waiting.deliveries import DeliveryWatcher, pause
from airflow_provider_cleanlist.waiting.outcome import (
    FAILURE_POLICIES,
    FailurePolicy,
    WaitOutcome,
    WaitSummary,
    conclude,
    counted,
    outcome_from_json,
)
from airflow_provider_cleanlist.waiting.schedule import PollRule
from airflow_provider_cleanlist.waiting.states import WaitStatus, WorkflowOutcome
from airflow_provider_cleanlist.waiting.tracker import (
    MIN_POLL_INTERVAL_SECONDS,
    Look,
    WorkflowTracker,
)

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.client import CleanlistClient
    from airflow_provider_cleanlist.client.endpoints import Call
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

REPORT_EVERY_SECONDS = 30.0
SAVE_EVERY_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
"""After so long the schedule is asked again: other waits may have begun or ended."""


@dataclass(frozen=True, slots=True)
class WaitRequest:
    """What to wait for, in ids and numbers only.

    Attributes:
        cleanlist_conn_id: Airflow connection.
        workflow_ids: Workflows in the order of their submission, each once.
        submitted_at: When the first was submitted, seconds since the epoch; the start of the wait if unknown.
        deadline: When to give up, seconds since the epoch.
        submitted_over: Seconds from the first submission to the last.
        poll_interval: Seconds between two looks at a workflow, at least 1; None follows the budget-aware schedule.
        failure_policy: When failed workflows fail the task: ``any`` of them, only ``all`` of them, or ``never``.
        is_dated: Whether ``submitted_at`` is known; else it is some later moment.

    Raises:
        CleanlistConfigurationError: ``poll_interval`` or ``failure_policy`` make no sense.
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
        if self.failure_policy not in FAILURE_POLICIES:
            raise exceptions.CleanlistConfigurationError(
                f"failure_policy must be one of {', '.join(FAILURE_POLICIES)}, not {self.failure_policy!r}."
            )
        if self.poll_interval is not None and not self.poll_interval >= MIN_POLL_INTERVAL_SECONDS:
            raise exceptions.CleanlistConfigurationError(
                f"poll_interval must be None or a number of seconds from {MIN_POLL_INTERVAL_SECONDS:g} up, "
                f"not {self.poll_interval!r}."
            )

    def kwargs(self) -> dict[str, Any]:
        """Return the attributes as plain JSON values, as a trigger's keyword arguments."""
        return {**asdict(self), "workflow_ids": list(self.workflow_ids)}

    def tracker(self, rule: PollRule | None = None) -> WorkflowTracker:
        """Return a fresh schedule for this wait.

        Args:
            rule: The schedule's constants; None takes those for 60 requests a minute.
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
    """Effect: let so many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Effect: read the status of a workflow. A reply, this one's or a later one's, holds the answer."""

    workflow_id: str
    call: Call[WorkflowStatus]


@dataclass(frozen=True, slots=True)
class Say:
    """Effect: write a line to the log."""

    text: str
    level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class Save:
    """Effect: keep what a successor must know, if there is a place for it."""

    snapshot: dict[str, Any]


Effect = Pause | Ask | Say | Save
Answer = WorkflowStatus | errors.CleanlistError


@dataclass(frozen=True, slots=True)
class Reply:
    """What a driver sends back after each effect.

    Attributes:
        now: Seconds since the epoch.
        others: Workflows in flight that other waits on the same budget watch.
        answers: What has been answered since the last reply: workflow and status, or the error.
    """

    now: float
    others: int = 0
    answers: tuple[tuple[str, Answer], ...] = ()


Flow = Generator[Effect, Reply, WaitOutcome]


def watch(request: WaitRequest, tracker: WorkflowTracker) -> Flow:
    """Run a wait: the flow that every driver executes.

    Args:
        request: What to wait for.
        tracker: Its schedule.

    Yields:
        Effects, a pause of no length first; a driver answers each with a :class:`Reply`.

    Returns:
        How the wait ended.
    """
    reply = yield from _perform(tracker, Pause(0.0))
    reported_at, saved_at, saved = -math.inf, reply.now, tracker.in_flight
    while True:
        step = tracker.next_step(reply.now, reply.others)
        save_at = saved_at + SAVE_EVERY_SECONDS if tracker.in_flight < saved else math.inf
        effect: Effect
        if isinstance(step, WaitStatus):
            yield Say(progress_line(tracker, reply.now))
            return WaitOutcome.of(tracker, step, request.failure_policy)
        if reply.answers and reply.now - reported_at >= REPORT_EVERY_SECONDS:
            reported_at, effect = reply.now, Say(progress_line(tracker, reply.now))
        elif reply.now >= save_at:
            saved_at, saved, effect = reply.now, tracker.in_flight, Save(tracker.snapshot())
        elif isinstance(step, Look):
            tracker.asked(step.workflow_id)
            effect = Ask(step.workflow_id, status_call(step.workflow_id, request.deadline - reply.now))
        else:
            until = min(step.until, save_at, reply.now + LONGEST_PAUSE_SECONDS)
            effect = Pause(max(0.0, until - reply.now))
        reply = yield from _perform(tracker, effect)


def _perform(tracker: WorkflowTracker, effect: Effect) -> Generator[Effect, Reply, Reply]:
    """Yield an effect, and take in what has been answered when the driver replies."""
    reply = yield effect
    answers = list(reply.answers)
    for workflow_id, answer in answers:
        for line in _take_in(tracker, workflow_id, answer, reply.now):
            later = yield line
            answers += later.answers
    return reply


def _take_in(tracker: WorkflowTracker, workflow_id: str, answer: Answer, now: float) -> list[Say]:
    """Tell the schedule of an answer, and return what the log is to say."""
    if isinstance(answer, WorkflowStatus):
        tracker.on_status(answer, now)
        return [
            Say(
                f"Workflow {workflow_id} has the unknown status {word!r}: taken as still running.",
                logging.WARNING,
            )
            for word in tracker.new_strange_words()
        ]
    tracker.on_error(workflow_id, answer, now)
    if workflow_id in tracker.running and tracker.error is None:
        return [Say(f"{answer} Looking again later.", logging.WARNING)]
    return []


def status_call(workflow_id: str, max_wait: float) -> Call[WorkflowStatus]:
    """Return the call that reads a workflow's status and that waits for its place in the budget at most so long.

    Args:
        workflow_id: The workflow.
        max_wait: Seconds.
    """
    call = endpoints.get_workflow_status(workflow_id)
    return replace(call, request=replace(call.request, max_wait=max(0.0, max_wait)))


# Blocking drivers


def epoch_clock() -> Callable[[], float]:
    """Return a clock of seconds since the epoch that does not follow later steps of the wall clock."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def rule_for(hook: CleanlistHook) -> PollRule:
    """Return the schedule's constants for the request budget of a connection.

    Args:
        hook: The connection.
    """
    budget = hook.settings.budget
    return PollRule.for_budget(budget.requests, budget.window)


def wait(
    hook: CleanlistHook, request: WaitRequest, log: TaskLog, tracker: WorkflowTracker | None = None
) -> WaitSummary:
    """Wait in this process until all workflows have ended.

    Args:
        hook: Access to the API.
        request: What to wait for.
        log: Receives progress lines, every 30 s at most.
        tracker: The request's schedule, for a caller that wants to know how far it is; by default a fresh one.

    Returns:
        The summary.

    Raises:
        CleanlistWorkflowFailedError: Workflows failed, as the failure policy counts it.
        CleanlistWaitTimeoutError: The deadline passed.
        CleanlistNotFoundError: The API does not know some of the workflows.
        CleanlistError: An error that waiting cannot heal.
    """
    client, clock = hook.get_conn(), epoch_clock()
    log.info(opening_line(len(request.workflow_ids), request.deadline, clock()))
    tracker = tracker or request.tracker(rule_for(hook))
    watcher = DeliveryWatcher.configured()
    flow = watch(request, tracker)
    effect = next(flow)
    while True:
        answers: tuple[tuple[str, Answer], ...] = ()
        if isinstance(effect, Pause):
            pause(watcher, effect.seconds, tracker, clock)
        elif isinstance(effect, Ask):
            answers = ((effect.workflow_id, _ask(client, effect.call)),)
        elif isinstance(effect, Say):
            log.log(effect.level, effect.text)
        try:
            effect = flow.send(Reply(clock(), answers=answers))
        except StopIteration as done:
            return conclude(_explained(done.value, hook))


def _explained(outcome: WaitOutcome, hook: CleanlistHook) -> WaitOutcome:
    """Add to a wait that timed out what became of the webhooks that it waited for."""
    if outcome.end is not WaitStatus.TIMED_OUT:
        return outcome
    from airflow_provider_cleanlist.waiting.diagnosis import why_still_waiting

    return replace(outcome, note=why_still_waiting(hook, outcome.running_ids))


def summary_of_event(
    event: Mapping[str, Any], log: TaskLog, hook: CleanlistHook | None = None
) -> WaitSummary:
    """Return the summary that a trigger's event carries, or raise what its end means for the task.

    Args:
        event: Payload of the event of :class:`~airflow_provider_cleanlist.triggers.workflow.WorkflowTrigger`.
        log: Receives one closing line.
        hook: Access to the API, to say after a timeout why no webhook came.

    Raises:
        CleanlistError: As :func:`wait`.
    """
    outcome = outcome_from_json(event)
    summary = conclude(outcome if hook is None else _explained(outcome, hook))
    emails, phones = summary["emails_found"], summary["phones_found"]
    line = f"{counted(summary['workflows'])} ended, {emails} emails and {phones} phones found."
    log.info(line)
    return summary


def look_once(
    hook: CleanlistHook, request: WaitRequest, log: TaskLog, tracker: WorkflowTracker, *, ask: bool = True
) -> WaitOutcome | None:
    """Take in what webhooks delivered, then look at each unfinished workflow until one is found that goes on.

    The last submitted is looked at first.

    Args:
        hook: Access to the API.
        request: What to wait for.
        log: Receives what went wrong.
        tracker: The request's schedule; takes in the answers.
        ask: Whether to ask the API, too.

    Returns:
        How the wait ended, or None if it goes on.
    """
    client, clock = hook.get_conn(), epoch_clock()
    pause(DeliveryWatcher.configured(), 0.0, tracker, clock)
    for workflow_id in reversed(tracker.running) if ask else ():
        answer = _ask(client, status_call(workflow_id, request.deadline - clock()))
        for line in _take_in(tracker, workflow_id, answer, clock()):
            log.log(line.level, line.text)
        if tracker.error is not None or workflow_id in tracker.running:
            break
    step = tracker.next_step(clock())
    return WaitOutcome.of(tracker, step, request.failure_policy) if isinstance(step, WaitStatus) else None


def _ask(client: CleanlistClient, call: Call[WorkflowStatus]) -> Answer:
    try:
        return client.run(call)
    except errors.CleanlistError as error:
        return error


# What a wait says of itself in the log


def opening_line(workflows: int, deadline: float, now: float) -> str:
    """Return the line that a wait begins with.

    Args:
        workflows: Number of workflows.
        deadline: When it gives up, seconds since the epoch.
        now: Seconds since the epoch.
    """
    return (
        f"Waiting for {counted(workflows)}, "
        f"until {_clock_text(deadline)} at the latest ({max(0.0, deadline - now):.0f} s)."
    )


def progress_line(tracker: WorkflowTracker, now: float) -> str:
    """Return one line on how far a wait is.

    Args:
        tracker: Its schedule.
        now: Seconds since the epoch.
    """
    ended = tracker.workflows - tracker.in_flight
    counts = tracker.counts
    parts = [f"{ended}/{tracker.workflows} workflows ended"]
    if failed := len(tracker.ended(WorkflowOutcome.FAILED)):
        parts[0] += f" ({failed} failed)"
    if counts.total:
        parts.append(f"{counts.successful + counts.failed}/{counts.total} contacts seen as processed")
    parts.append(f"{counts.emails} emails and {counts.phones} phones found")
    end = tracker.expected_end(now)
    if tracker.running and end is not None:
        parts.append(f"expected end {_clock_text(end)}")
    return ", ".join(parts) + "."


def _clock_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
