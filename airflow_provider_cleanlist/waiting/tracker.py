"""When to look at which workflow, what an answer does, and when the wait is over.

No I/O and no clock: time comes in as seconds since the epoch, decisions go out. A blocking task and a trigger on an
event loop drive the same :class:`WorkflowTracker`.

The schedule is that of :class:`.poll_rule.PollRule`, or a fixed interval in seconds.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.results import WorkflowEnd, WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.waiting.schedule import QUICK, Outlook, Pace, PollRule
from airflow_provider_cleanlist.waiting.states import Counts, WaitStatus, WorkflowOutcome

NOT_FOUND_GRACE_SECONDS = 30.0
"""How long after its submission a workflow that the API does not know yet may only be late."""

TOLERATED_ERRORS = 5
"""Failed looks at one workflow in a row that do not end the wait."""

MIN_POLL_INTERVAL_SECONDS = 1.0

MOST_SCOUTING_WAITS = 40
"""So many waits for one workflow each look early to learn how long it takes, half as often as a wait for many."""

TELLING_PROGRESS = 0.25
"""Progress from which on a workflow's foreseen end tells what is typical."""

_RUNNING_WORDS = frozenset(
    {"processing", "pending", "running", "queued", "in_progress", "started", "submitted"}
)
_LONGEST_WORD = 40


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for the status of this workflow now."""

    workflow_id: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do before this moment."""

    until: float


@dataclass(slots=True)
class WorkflowProgress:
    """What is known of one workflow."""

    workflow_id: str
    submitted_at: float
    fate: WorkflowOutcome | None = None
    counts: Counts = field(default_factory=Counts)
    looked_at: float | None = None
    pace: Pace = field(default_factory=Pace)
    errors_in_a_row: int = 0
    due: float | None = None
    """A moment that overrides the schedule."""
    is_asked: bool = False
    """Whether an answer is awaited."""

    def age_at(self, moment: float) -> float:
        """Return the age in seconds, 0 at least: the clock that set ``submitted_at`` may be ahead."""
        return max(0.0, moment - self.submitted_at)


class WorkflowTracker:
    """Keeps the schedule of all workflows of one wait.

    Args:
        workflow_ids: The workflows, in the order of their submission.
        submitted_at: When the first was submitted, seconds since the epoch.
        deadline: When to give up, seconds since the epoch.
        submitted_over: Seconds from the first submission to the last.
        poll_interval: Fixed seconds between two looks at a workflow; None follows ``rule``.
        rule: The schedule.
        is_dated: Whether ``submitted_at`` is known; else it is some later moment.
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
        self._all = {
            workflow_id: WorkflowProgress(workflow_id, submitted_at + step * index)
            for index, workflow_id in enumerate(ids)
        }
        self._open = dict(self._all)
        self._unseen = dict(self._all)
        self._seen: dict[str, WorkflowProgress] = {}
        self._deadline = deadline
        self._interval = poll_interval
        self._rule = rule or PollRule()
        self._is_dated = is_dated
        self._scouts = 0
        self._durations: dict[str, float] = {}
        self._shapes: dict[str, float] = {}
        self._usual_shape: float | None = None
        self._typical: float | None = None
        self._has_clue = False
        self._strange_words: dict[str, bool] = {}
        self._broken: errors.CleanlistError | None = None
        self._end: WaitStatus | None = None

    # What to do

    def next_step(self, now: float, others: int = 0) -> Look | Rest | WaitStatus:
        """Decide what to do now.

        Args:
            now: Seconds since the epoch.
            others: Workflows in flight that other waits on the same budget watch.
        """
        if self._end is None and not self._open:
            self._end = WaitStatus.FINISHED
        if self._end is not None:
            return self._end
        if now >= self._deadline:
            self._end = WaitStatus.TIMED_OUT
            return self._end
        in_flight = len(self._open) + others
        scout = self._scout(in_flight)
        outlook = self._rule.outlook(self.typical, in_flight, max(in_flight, len(self._all)))
        due, workflow = min(
            ((self._due(workflow, outlook, scout), workflow) for workflow in self._candidates()),
            key=lambda pair: pair[0],
            default=(self._deadline, None),
        )
        if workflow is None:
            return Rest(self._deadline)
        return Look(workflow.workflow_id) if due <= now else Rest(min(due, self._deadline))

    def _candidates(self) -> Iterator[WorkflowProgress]:
        """Yield the workflows that may be due first: of those never looked at, that is the first submitted."""
        yield from islice(self._unasked(self._unseen), 1)
        yield from self._unasked(self._seen)

    @staticmethod
    def _unasked(workflows: Mapping[str, WorkflowProgress]) -> Iterator[WorkflowProgress]:
        return (workflow for workflow in workflows.values() if not workflow.is_asked)

    @property
    def _is_blind(self) -> bool:
        """Whether nothing is known yet of how long workflows take."""
        return self._interval is None and not self._durations and not self._has_clue

    def _scout(self, in_flight: int) -> WorkflowProgress | None:
        """Return the workflow that is to tell how long they take: a fresh one, or the one not seen for longest."""
        is_out = any(workflow.is_asked for workflow in self._open.values())
        is_useless = len(self._all) == 1 and not 1 < in_flight <= MOST_SCOUTING_WAITS
        if not self._is_blind or is_out or is_useless:
            return None
        fresh = next(iter(self._unseen.values()), None)
        return fresh or min(self._seen.values(), key=lambda workflow: workflow.looked_at or 0.0, default=None)

    def _due(self, workflow: WorkflowProgress, outlook: Outlook, scout: WorkflowProgress | None) -> float:
        """Return when a workflow is to be looked at next; the last look comes shortly before the deadline."""
        if workflow.due is not None:
            return workflow.due
        earliest, due = self._scheduled(workflow, outlook)
        if workflow is scout and not workflow.errors_in_a_row:
            doublings = self._scouts * (2 if len(self._all) == 1 else 1)
            due = min(due, workflow.submitted_at + self._rule.scout_age(doublings, len(self._all)))
        return max(earliest, min(due, self._deadline - self._rule.smallest_gap))

    def _scheduled(self, workflow: WorkflowProgress, outlook: Outlook) -> tuple[float, float]:
        """Return the moments before which, and at which, a workflow is to be looked at."""
        last, rule = workflow.looked_at, self._rule
        if self._interval is not None:
            due = (workflow.submitted_at if last is None else last) + self._interval
            return due, due
        if last is None:
            return workflow.submitted_at, workflow.submitted_at + outlook.first_delay
        age = workflow.age_at(last)
        end_age = self._end_age(workflow)
        if end_age is None:
            gap = outlook.gap(age)
        else:
            gap = outlook.gap_to_end(end_age, age, workflow.pace.shape or self._usual_shape)
        if workflow.errors_in_a_row:
            gap = min(gap * 2.0**workflow.errors_in_a_row, rule.largest_gap)
        return last + rule.smallest_gap, last + gap

    # What happened

    def asked(self, workflow_id: str) -> None:
        """Note that a look has begun: until its answer comes, :meth:`next_step` names other workflows.

        Args:
            workflow_id: The workflow.
        """
        workflow = self._all[workflow_id]
        workflow.is_asked, workflow.due = True, None

    def on_status(self, status: WorkflowStatus, now: float) -> None:
        """Take in an answer.

        Args:
            status: The answer.
            now: When it came, seconds since the epoch.
        """
        workflow = self._all[status.workflow_id]
        last_age = None if workflow.looked_at is None else workflow.age_at(workflow.looked_at)
        self._looked(workflow, now)
        age = workflow.age_at(now)
        if workflow.fate is not None:
            return
        workflow.errors_in_a_row = 0
        workflow.counts = Counts.of(status)
        if status.state is WorkflowState.RUNNING:
            self._notice_word(status.status)
            self._notice_pace(workflow, status, age)
        else:
            self._ends(
                workflow,
                WorkflowOutcome.COMPLETED
                if status.state is WorkflowState.COMPLETED
                else WorkflowOutcome.FAILED,
            )
            self._learn(workflow, self._rule.guessed(last_age, age, self.typical))

    def on_error(self, workflow_id: str, error: errors.CleanlistError, now: float) -> None:
        """Take in a failed look.

        Args:
            workflow_id: Workflow that was looked at.
            error: What went wrong.
            now: When, seconds since the epoch.
        """
        workflow = self._all[workflow_id]
        self._looked(workflow, now)
        if workflow.fate is not None or isinstance(error, errors.RateLimitedError):
            return
        if isinstance(error, errors.NotFoundError):
            if now >= workflow.submitted_at + NOT_FOUND_GRACE_SECONDS:
                self._ends(workflow, WorkflowOutcome.UNKNOWN)
            return
        if isinstance(error, errors.ServerError | errors.TransportError | errors.UnexpectedResponseError):
            workflow.errors_in_a_row += 1
            if workflow.errors_in_a_row <= TOLERATED_ERRORS:
                return
        self.break_off(error)

    def break_off(self, error: errors.CleanlistError) -> None:
        """End the wait because of an error that waiting cannot heal.

        Args:
            error: The error.
        """
        self._broken, self._end = error, WaitStatus.BROKEN

    def ring(self, workflow_id: str, now: float) -> bool:
        """Look at a workflow next, because somebody says that it is worth it.

        Args:
            workflow_id: The workflow.
            now: Seconds since the epoch.

        Returns:
            Whether the workflow is watched here and still unfinished.
        """
        workflow = self._open.get(workflow_id)
        if workflow is None:
            return False
        workflow.due = now
        self._seen[workflow_id] = workflow
        return True

    def _looked(self, workflow: WorkflowProgress, now: float) -> None:
        self._scouts += self._is_blind
        if not workflow.is_asked:  # else somebody rang while the answer was on its way
            workflow.due = None
        workflow.looked_at, workflow.is_asked = now, False
        if self._unseen.pop(workflow.workflow_id, None):
            self._seen[workflow.workflow_id] = workflow

    def _notice_pace(self, workflow: WorkflowProgress, status: WorkflowStatus, age: float) -> None:
        if status.processed is None or not status.total:
            return
        pace = workflow.pace = workflow.pace.seen(age, status.processed, status.total)
        if pace.shape is not None:
            self._shapes[workflow.workflow_id] = pace.shape
            self._usual_shape = statistics.median(self._shapes.values())
        if (end_age := self._end_age(workflow)) is None:
            return
        self._has_clue = self._has_clue or bool(self._shapes) or end_age >= QUICK * self.typical
        if (status.progress or 0.0) >= TELLING_PROGRESS:
            self._learn(workflow, end_age)

    def _end_age(self, workflow: WorkflowProgress) -> float | None:
        return workflow.pace.end_age(self._usual_shape, self.typical, is_dated=self._is_dated)

    def _learn(self, workflow: WorkflowProgress, duration: float) -> None:
        self._durations[workflow.workflow_id] = duration
        self._typical = None

    def _notice_word(self, word: str) -> None:
        word = word.strip().lower()[:_LONGEST_WORD]
        if word not in _RUNNING_WORDS:
            self._strange_words.setdefault(word, False)

    # What is known

    @property
    def typical(self) -> float:
        """Typical duration of a workflow in seconds, as far as known."""
        if self._typical is None:
            self._typical = self._rule.learned(self._durations.values(), len(self._all))
        return self._typical

    @property
    def workflows(self) -> int:
        """Number of workflows."""
        return len(self._all)

    @property
    def running(self) -> tuple[str, ...]:
        """Ids of the workflows without an end."""
        return tuple(self._open)

    @property
    def in_flight(self) -> int:
        """Number of workflows without an end."""
        return len(self._open)

    @property
    def counts(self) -> Counts:
        """Counts of all workflows together, as last seen."""
        return sum((workflow.counts for workflow in self._all.values()), Counts())

    @property
    def error(self) -> errors.CleanlistError | None:
        """The error that broke the wait."""
        return self._broken

    @property
    def ends(self) -> tuple[WorkflowEnd, ...]:
        """How the workflows ended that completed or failed, in the order of their submission."""
        return tuple(
            WorkflowEnd(
                workflow.workflow_id, workflow.fate.value, workflow.counts.emails, workflow.counts.phones
            )
            for workflow in self._all.values()
            if workflow.fate in (WorkflowOutcome.COMPLETED, WorkflowOutcome.FAILED)
        )

    def ended(self, fate: WorkflowOutcome) -> tuple[str, ...]:
        """Return the ids of the workflows that ended so."""
        return tuple(workflow.workflow_id for workflow in self._all.values() if workflow.fate is fate)

    def expected_end(self, now: float) -> float | None:
        """Return when the last workflow should be done, seconds since the epoch; None as long as nothing tells."""
        if not self._durations:
            return None
        return max((self._expected_end(workflow, now) for workflow in self._open.values()), default=now)

    def _expected_end(self, workflow: WorkflowProgress, now: float) -> float:
        return max(now, workflow.submitted_at + (self._end_age(workflow) or self.typical))

    def new_strange_words(self) -> list[str]:
        """Return status words that nobody has documented, each once."""
        fresh = [word for word, reported in self._strange_words.items() if not reported]
        self._strange_words.update(dict.fromkeys(fresh, True))
        return fresh

    def _ends(self, workflow: WorkflowProgress, fate: WorkflowOutcome) -> None:
        workflow.fate = fate
        for workflows in (self._open, self._unseen, self._seen):
            workflows.pop(workflow.workflow_id, None)

    # Going on elsewhere

    def snapshot(self) -> dict[str, Any]:
        """Return what a successor must know in order not to look at ended workflows again: small, JSON.

        Workflows that the API does not know are left out: a corrected connection may know them.
        """
        return {
            "of": self._fingerprint(),
            "done": [
                [index, workflow.fate.value, *workflow.counts.numbers()]
                for index, workflow in enumerate(self._all.values())
                if workflow.fate in (WorkflowOutcome.COMPLETED, WorkflowOutcome.FAILED)
            ],
            "typical": round(self.typical, 3),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> bool:
        """Take over from a predecessor; a snapshot of other workflows, or of no use, is ignored.

        Args:
            snapshot: From :meth:`snapshot`.

        Returns:
            Whether it was taken over.
        """
        watched = list(self._all.values())
        try:
            if snapshot["of"] != self._fingerprint():
                return False
            ends = [
                (watched[index], WorkflowOutcome(fate), Counts(*counts))
                for index, fate, *counts in snapshot["done"]
            ]
            typical = float(snapshot["typical"])
        except (KeyError, IndexError, TypeError, ValueError):
            return False
        for workflow, fate, counts in ends:
            workflow.counts = counts
            self._ends(workflow, fate)
            self._learn(workflow, typical)
        return True

    def _fingerprint(self) -> str:
        return hashlib.blake2b("\0".join(self._all).encode(), digest_size=8).hexdigest()
