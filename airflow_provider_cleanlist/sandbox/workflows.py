"""Enrichment runs: their progress over time, their end, and what they charge (contract sections 4 and 5).

Progress is a pure function of the workflow, the instant and the number of status answers given so far.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.accounts import ApiKey
    from airflow_provider_cleanlist.sandbox.lists import LeadList
    from airflow_provider_cleanlist.sandbox.outcomes import Outcome
    from airflow_provider_cleanlist.sandbox.people import Person
    from airflow_provider_cleanlist.sandbox.settings import Settings

Surface = Literal["legacy", "person", "bulk"]
FAILED_WORDS = {"failed", "cancelled", "canceled", "error", "errored", "terminated", "timed_out"}


@dataclass(slots=True)
class Task:
    """One contact of a workflow."""

    task_id: str
    person: Person
    identity: str
    lead_id: str
    outcome: Outcome
    polls: int = 0


@dataclass(slots=True)
class Workflow:
    """One enrichment run.

    Attributes:
        surface: ``legacy`` for ``/enrich/bulk``; ``person`` and ``bulk`` for v2.
        duration: Seconds of the clock from submit to completion.
        polls_to_complete: Status answers that still say "running".
        ending: Word it ends with.
        processed_share: Share of the contacts processed by then; below 1 only when the run breaks.
        reserved: Credits taken at submit (v2), given back at completion.
        charged: Credits charged, None until the end.
    """

    workflow_id: str
    surface: Surface
    key: ApiKey
    lead_list: LeadList
    enrichment_type: str
    tasks: list[Task]
    submitted_at: float
    duration: float
    polls_to_complete: int
    progress: str
    ending: str = "completed"
    processed_share: float = 1.0
    reserved: int = 0
    webhook_url: str | None = None
    polls: int = 0
    completed_at: float | None = None
    charged: int | None = None

    @property
    def broken(self) -> bool:
        """Whether the run ends in failure."""
        return self.ending.lower() in FAILED_WORDS

    @property
    def due_at(self) -> float:
        """The instant before which it cannot complete."""
        return self.submitted_at + self.duration

    @property
    def total(self) -> int:
        """Contacts submitted."""
        return len(self.tasks)

    def may_complete(self, now: float) -> bool:
        """Whether the time is over and enough status answers were given."""
        return now >= self.due_at and self.polls >= self.polls_to_complete

    def processed(self, now: float) -> int:
        """Return how many contacts have been looked up by now."""
        if self.completed_at is not None:
            return int(self.total * self.processed_share)
        elapsed = (now - self.submitted_at) / self.duration if self.duration else 1.0
        polled = self.polls / (self.polls_to_complete + 1) if self.polls_to_complete else 1.0
        done = min(curve(self.progress, elapsed), polled, self.processed_share)
        return min(int(self.total * done), self.total - 1)

    def counters(self, now: float) -> Counters:
        """Return the counters of the status answer."""
        processed = self.processed(now)
        looked_up = self.tasks[:processed]
        free = self.enrichment_type == "none"
        successful = sum(free or task.outcome.found for task in looked_up)
        ended = self.completed_at is not None
        return Counters(
            total=self.total,
            processed=self.total if ended else processed,
            successful=successful,
            failed=(self.total if ended else processed) - successful,
            emails_found=sum(self.shows_email(task) for task in looked_up),
            phones_found=sum(task.outcome.phone is not None for task in looked_up),
        )

    def shows_email(self, task: Task) -> bool:
        """Whether the task appends an email; prospecting finds contacts, not addresses."""
        return task.outcome.email is not None and self.enrichment_type != "prospecting_only"

    def task_state(self, position: int, now: float) -> Literal["processing", "completed", "failed"]:
        """Return the state of one contact, by its position in the request."""
        if position >= self.processed(now):
            return "processing" if self.completed_at is None else "failed"
        return (
            "completed" if self.tasks[position].outcome.found or self.enrichment_type == "none" else "failed"
        )

    def polled(self, task: Task | None = None) -> None:
        """Count a status answer of the workflow, or of one of its tasks; either may bring the end nearer."""
        if task is None:
            self.polls += 1
        else:
            task.polls += 1
            self.polls = max(self.polls, task.polls)


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of a workflow; ``failed`` counts contacts for which nothing was found."""

    total: int
    processed: int
    successful: int
    failed: int
    emails_found: int
    phones_found: int

    @property
    def percent(self) -> int:
        """Progress from 0 to 100."""
        return 100 * self.processed // self.total if self.total else 100


def curve(shape: str, elapsed: float) -> float:
    """Return the share of the work done after a share of the time, both 0 to 1."""
    share = min(1.0, max(0.0, elapsed))
    match shape:
        case "concave":
            return math.sqrt(share)
        case "convex":
            return share * share
        case "late":
            return float(share >= 1.0)
        case _:
            return share


def draw_duration(settings: Settings, number: int) -> float:
    """Return the duration of the workflow with this number, in seconds; the same for the same number."""
    if not settings.duration_sigma:
        return settings.seconds_to_complete
    deviation = random.Random(number).gauss(0.0, settings.duration_sigma)  # noqa: S311 - no secret
    return settings.seconds_to_complete * math.exp(deviation)
