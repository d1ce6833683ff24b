"""Which workflow to check when, what an answer changes, and when the wait is over.

No I/O and no clock: time comes in as seconds since the epoch, decisions go out. A blocking task and a trigger on an
event loop drive the same :class:`WorkflowTracker`. It follows :class:`.PollRule`, or a fixed interval.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.results import WorkflowEnd, WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.input_limits import EXAMINED_CHARACTERS
from airflow_provider_cleanlist.redaction import redacted
from airflow_provider_cleanlist.waiting.schedule import FLATTEST_UNDATED, REACH, PollRule, ProgressEstimate

NOT_FOUND_GRACE_SECONDS = 30.0
"""How long after its submission a workflow that the API does not know yet may only be late."""

TOLERATED_ERRORS = 5
"""Failed checks of one workflow in a row that do not end the wait."""

MIN_POLL_INTERVAL_SECONDS = 1.0

SETTLED_SECONDS = 30.0
"""How long a workflow must seem to have ended to count as ended: all is processed, or a bare word says so."""

_LONGEST_WORD = 40


class WaitStatus(StrEnum):
    """Why a wait is over."""

    FINISHED = "finished"
    """Every workflow completed, failed, or is unknown to the API."""
    TIMED_OUT = "timed_out"
    """The deadline passed."""
    BROKEN = "broken"
    """A permanent error, or too many transient ones in a row."""


class WorkflowOutcome(StrEnum):
    """How a workflow ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    """The API does not know the workflow."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts for the contacts of one or more workflows; ``emails`` and ``phones`` are None where no response said."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    emails: int | None = None
    phones: int | None = None

    @classmethod
    def of(cls, status: WorkflowStatus) -> Counts:
        """Return the counts in a workflow's status."""
        return cls(
            status.total or 0,
            status.successful or 0,
            status.failed or 0,
            status.emails_found,
            status.phones_found,
        )

    def numbers(self) -> list[int | None]:
        """Return the counts in the order of the fields, to be stored as JSON."""
        return [self.total, self.successful, self.failed, self.emails, self.phones]

    def __add__(self, other: Counts) -> Counts:
        """Return the sums of the counts, as far as they are known."""
        return Counts(
            self.total + other.total,
            self.successful + other.successful,
            self.failed + other.failed,
            _sum(self.emails, other.emails),
            _sum(self.phones, other.phones),
        )


def _sum(mine: int | None, theirs: int | None) -> int | None:
    return theirs if mine is None else mine + (theirs or 0)


@dataclass(frozen=True, slots=True)
class Check:
    """Check the status of this workflow now."""

    workflow_id: str


@dataclass(frozen=True, slots=True)
class Idle:
    """There is nothing to do before this moment."""

    until: float


@dataclass(slots=True)
class WorkflowProgress:
    """What is known of one workflow."""

    workflow_id: str
    submitted_at: float
    outcome: WorkflowOutcome | None = None
    counts: Counts = field(default_factory=Counts)
    estimate: ProgressEstimate = field(default_factory=ProgressEstimate)
    checked_at: float | None = None
    ended_since: float | None = None
    """Since when it seems to have ended: all contacts are processed, or a bare word says so, see ``is_bare``."""
    is_being_checked: bool = False
    is_hinted: bool = False
    """Whether somebody other than the API says that it has ended, so that no webhook is to be waited for any more."""
    is_hint_checked: bool = False
    errors_in_a_row: int = 0


class WorkflowTracker:
    """Tracks all workflows of one wait, and decides which of them to check when.

    Args:
        workflow_ids: The workflows, in the order of their submission.
        submitted_at: When the first was submitted, seconds since the epoch.
        deadline: When to give up, seconds since the epoch.
        submitted_over: Seconds from the first submission to the last.
        poll_interval: Fixed seconds between two checks of a workflow; None follows ``rule``.
        rule: The schedule.
        is_dated: Whether ``submitted_at`` is the real time of submission rather than a later one.

    Attributes:
        typical: Typical duration of a workflow in seconds, as far as known.
        error: The error that broke the wait, or None.
    """

    def __init__(
        self,
        workflow_ids: Sequence[str],
        *,
        submitted_at: float,
        deadline: float,
        submitted_over: float = 0.0,
        poll_interval: float | None = None,
        rule: PollRule | None = None,
        is_dated: bool = True,
    ) -> None:
        ids = list(dict.fromkeys(workflow_ids))
        step = submitted_over / max(1, len(ids) - 1)
        self._all = {one: WorkflowProgress(one, submitted_at + step * index) for index, one in enumerate(ids)}
        self._open = dict(self._all)
        self._deadline = deadline
        self._interval = poll_interval
        self._rule = rule or PollRule()
        self._flattest = 0.0 if is_dated else FLATTEST_UNDATED
        self._probe_age = self._rule.shortest_gap  # infinite as soon as something is known
        self._durations: dict[str, float] = {}
        self._exponent = 1.0
        self._reported_words: set[str] = set()
        self._status: WaitStatus | None = None
        self.typical = self._rule.typical
        self.error: errors.CleanlistError | None = None

    # What to do

    def next_step(self, now: float, others: int = 0) -> Check | Idle | WaitStatus:
        """Decide what to do now.

        Args:
            now: Seconds since the epoch.
            others: Workflows in flight that other waits on the same budget track.
        """
        if self._status is None and not self._open:
            self._status = WaitStatus.FINISHED
        elif self._status is None and now >= self._deadline:
            self._status = WaitStatus.TIMED_OUT
        if self._status is not None:
            return self._status
        in_flight = max(len(self._open) + others, len(self._all))
        candidates = [one for one in self._open.values() if not one.is_being_checked]
        due = [(self._due(one, in_flight), one.workflow_id) for one in candidates]
        fresh = next((one for one in candidates if one.checked_at is None), None)
        if fresh and self._interval is None and in_flight > 1 and len(candidates) == len(self._open):
            # A probe. Each of many waits makes its own, so they come later the more others there are.
            probe_age = self._probe_age + others * self._rule.per_request
            due.append((fresh.submitted_at + probe_age, fresh.workflow_id))
        moment, workflow_id = min(due, key=itemgetter(0), default=(self._deadline, ""))
        return Check(workflow_id) if moment <= now else Idle(min(moment, self._deadline))

    def _due(self, workflow: WorkflowProgress, in_flight: int) -> float:
        """Return when a workflow is to be checked next; the last check comes shortly before the deadline."""
        if workflow.is_hinted and not workflow.is_hint_checked:
            return -math.inf
        last, rule = workflow.checked_at, self._rule
        if self._interval is not None and not workflow.is_hinted:
            return (workflow.submitted_at if last is None else last) + self._interval
        age = rule.next_check(workflow.estimate, self._exponent, self.typical, in_flight)
        due = min(workflow.submitted_at + age, self._deadline - rule.shortest_gap)
        if last is None:
            return due
        failures = workflow.errors_in_a_row
        return max(due, last + (rule.lone_gap * 2.0**failures if failures else rule.shortest_gap))

    # What happened

    def on_sent(self, workflow_id: str) -> None:
        """Note that a check has begun: until its answer comes, :meth:`next_step` names other workflows.

        Args:
            workflow_id: The workflow.
        """
        self._all[workflow_id].is_being_checked = True

    def on_hint(self, workflow_id: str) -> None:
        """Have a workflow checked at once, because somebody other than the API says that it has ended.

        If it has not, it follows the schedule from then on, whatever the fixed interval.

        Args:
            workflow_id: The workflow.
        """
        self._all[workflow_id].is_hinted = True

    def on_status(self, status: WorkflowStatus, now: float) -> str | None:
        """Take in an answer.

        Args:
            status: The answer.
            now: When it came, seconds since the epoch.

        Returns:
            A warning if the status is unknown: the first time, and when the workflow counts as completed nevertheless;
            and if it is bare, the first time.
        """
        workflow = self._checked(status.workflow_id, now)
        if workflow.outcome is not None:
            return None
        workflow.errors_in_a_row = 0
        workflow.counts = Counts.of(status)
        age = max(0.0, now - workflow.submitted_at)  # the submitter's clock may be ahead
        state, warning = self._state(workflow, status, now)
        if state is WorkflowState.RUNNING:
            self._estimate(workflow, status, age)
        else:
            self._end(workflow, WorkflowOutcome(state))
            self._learn(workflow, min(max(self.typical, workflow.estimate.age), age))
        return warning

    def _state(
        self, workflow: WorkflowProgress, status: WorkflowStatus, now: float
    ) -> tuple[WorkflowState, str | None]:
        """Return the state of a workflow and, if its status is unknown, what to warn of."""
        since = workflow.ended_since
        seems_ended = status.is_bare or (status.is_unknown and status.progress == 1.0)
        workflow.ended_since = (now if since is None else since) if seems_ended else None
        seconds = 0.0 if since is None or not seems_ended else now - since
        is_settled = seconds >= SETTLED_SECONDS
        if not status.is_unknown and (is_settled or not status.is_bare):
            return status.state, None
        words = status.status[:EXAMINED_CHARACTERS].strip().lower()
        name, word = workflow.workflow_id, redacted(words[:_LONGEST_WORD])
        if is_settled:
            return WorkflowState.COMPLETED, (
                f"Workflow {name} has the unknown status {word!r}, but all its contacts were processed "
                f"{seconds:.0f} s ago: treated as completed."
            )
        if word in self._reported_words:
            return WorkflowState.RUNNING, None
        self._reported_words.add(word)
        if status.is_bare:
            return WorkflowState.RUNNING, (
                f"The response about workflow {name} is nothing but the status {word!r}, which something on the way "
                "may have sent: the workflow has ended if that comes again."
            )
        return WorkflowState.RUNNING, (
            f"Workflow {name} has the unknown status {word!r}: treated as still running."
        )

    def _estimate(self, workflow: WorkflowProgress, status: WorkflowStatus, age: float) -> None:
        workflow.estimate = workflow.estimate.after(age, status.processed or 0, status.total or 0)
        exponents = [one.estimate.exponent for one in self._all.values() if one.estimate.exponent]
        self._exponent = max(statistics.median(exponents or [1.0]), self._flattest)
        end_age = workflow.estimate.end_age(self._exponent)
        if end_age is not None:
            self._probe_age = math.inf
            if end_age <= REACH * age:
                self._learn(workflow, end_age)

    def on_error(self, workflow_id: str, error: errors.CleanlistError, now: float) -> None:
        """Take in a failed check.

        Args:
            workflow_id: The workflow.
            error: What went wrong.
            now: When, seconds since the epoch.
        """
        workflow = self._checked(workflow_id, now)
        if workflow.outcome is not None or isinstance(error, errors.RateLimitedError):
            return
        is_foreign = isinstance(error, errors.ApiError) and error.info.is_foreign
        if isinstance(error, errors.NotFoundError) and not is_foreign:
            if now >= workflow.submitted_at + NOT_FOUND_GRACE_SECONDS:
                self._end(workflow, WorkflowOutcome.NOT_FOUND)
            return
        temporary = (errors.ServerError, errors.TransportError, errors.UnexpectedResponseError)
        if is_foreign or isinstance(error, temporary):
            workflow.errors_in_a_row += 1
            if workflow.errors_in_a_row <= TOLERATED_ERRORS:
                return
        self.break_off(error)

    def break_off(self, error: errors.CleanlistError) -> None:
        """End the wait because of an error that waiting cannot heal.

        Args:
            error: The error.
        """
        self.error, self._status = error, WaitStatus.BROKEN

    def _checked(self, workflow_id: str, now: float) -> WorkflowProgress:
        workflow = self._all[workflow_id]
        workflow.checked_at, workflow.is_being_checked = now, False
        workflow.is_hint_checked = workflow.is_hinted
        self._probe_age *= 2
        return workflow

    def _learn(self, workflow: WorkflowProgress, duration: float) -> None:
        self._probe_age = math.inf
        self._durations[workflow.workflow_id] = duration
        self.typical = self._rule.learned(self._durations.values())

    def _end(self, workflow: WorkflowProgress, outcome: WorkflowOutcome) -> None:
        workflow.outcome = outcome
        self._open.pop(workflow.workflow_id, None)

    # What is known

    @property
    def workflows(self) -> int:
        """Number of workflows."""
        return len(self._all)

    @property
    def running(self) -> tuple[str, ...]:
        """Ids of the workflows that have not ended."""
        return tuple(self._open)

    @property
    def in_flight(self) -> int:
        """Number of workflows that have not ended."""
        return len(self._open)

    @property
    def counts(self) -> Counts:
        """Counts of all workflows together, as last seen."""
        return sum((one.counts for one in self._all.values()), Counts())

    @property
    def ends(self) -> tuple[WorkflowEnd, ...]:
        """How the workflows ended that completed or failed, in the order of their submission."""
        return tuple(
            WorkflowEnd(one.workflow_id, one.outcome.value, one.counts.emails, one.counts.phones)
            for one in self._all.values()
            if one.outcome in (WorkflowOutcome.COMPLETED, WorkflowOutcome.FAILED)
        )

    def ended(self, outcome: WorkflowOutcome) -> tuple[str, ...]:
        """Return the ids of the workflows that ended so."""
        return tuple(one.workflow_id for one in self._all.values() if one.outcome is outcome)

    def expected_end(self, now: float) -> float | None:
        """Return when the last workflow should have ended, at most the deadline; None while nothing tells."""
        if not self._durations:
            return None
        ends = [
            one.submitted_at + (one.estimate.end_age(self._exponent) or self.typical)
            for one in self._open.values()
        ]
        return min(max([now, *ends]), self._deadline)

    # For a successor

    def snapshot(self) -> dict[str, Any]:
        """Return what a successor must know in order not to check ended workflows again: small, JSON.

        Workflows that the API does not know are left out: a corrected connection may know them.
        """
        return {
            "of": self._fingerprint(),
            "done": [
                [index, one.outcome.value, *one.counts.numbers()]
                for index, one in enumerate(self._all.values())
                if one.outcome in (WorkflowOutcome.COMPLETED, WorkflowOutcome.FAILED)
            ],
            "all_processed": [
                [index, one.ended_since]
                for index, one in enumerate(self._all.values())
                if one.ended_since is not None and one.outcome is None
            ],
            "typical": round(self.typical, 3),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> bool:
        """Take over from a predecessor; a snapshot of other workflows, or a damaged one, is ignored.

        Args:
            snapshot: From :meth:`snapshot`.

        Returns:
            Whether it was taken over.
        """
        all_ = list(self._all.values())
        try:
            if snapshot["of"] != self._fingerprint():
                return False
            typical = float(snapshot["typical"])
            done = [
                (all_[index], WorkflowOutcome(word), Counts(*counts))
                for index, word, *counts in snapshot["done"]
            ]
            all_processed = [
                (all_[index], float(since)) for index, since in snapshot.get("all_processed", [])
            ]
        except (KeyError, IndexError, TypeError, ValueError):
            return False
        for workflow, outcome, counts in done:
            workflow.counts = counts
            self._end(workflow, outcome)
            self._learn(workflow, typical)
        for workflow, since in all_processed:
            workflow.ended_since = since
        return True

    def _fingerprint(self) -> str:
        return hashlib.blake2b("\0".join(self._all).encode(), digest_size=8).hexdigest()
