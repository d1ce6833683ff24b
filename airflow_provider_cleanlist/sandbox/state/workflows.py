"""Enrichment workflows: how they progress, when they complete, and what they charge.

Progress is a pure function of the workflow, the time, and the number of status requests answered so far.
"""

from __future__ import annotations

import heapq
import math
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_cleanlist.sandbox.ledger import Charge, SandboxLedger, Submit
from airflow_provider_cleanlist.sandbox.people import Person, identity_of
from airflow_provider_cleanlist.sandbox.state.lookup import (
    CREDITS_PER_EMAIL,
    CREDITS_PER_PHONE,
    LookupResult,
    look_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_cleanlist.sandbox.faults import Faults
    from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
    from airflow_provider_cleanlist.sandbox.state.accounts import ApiKey
    from airflow_provider_cleanlist.sandbox.state.lists import ListStore, StoredList

FAILED_STATUSES = {"failed", "cancelled", "canceled", "error", "errored", "terminated", "timed_out"}


@dataclass(slots=True)
class Task:
    """One contact of a workflow."""

    task_id: str
    person: Person
    identity: str
    lead_id: str
    lookup: LookupResult
    polls: int = 0


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


@dataclass(slots=True)
class Workflow:
    """One enrichment workflow.

    Attributes:
        submitted_at: Time of submission, in seconds since the epoch.
        duration: Seconds of the sandbox's clock from submission to completion.
        polls_to_complete: Status requests that are still answered with "running".
        progress: Shape of its progress over time.
        ending: Its final status.
        processed_share: Share of the contacts that is processed by then; below 1 only if the workflow fails.
        polls: Status requests answered so far.
        completed_at: Time of completion, in seconds since the epoch; None while it runs.
    """

    workflow_id: str
    key: ApiKey
    lead_list: StoredList
    enrichment_type: str
    tasks: list[Task]
    submitted_at: float
    duration: float
    polls_to_complete: int
    progress: str
    ending: str = "completed"
    processed_share: float = 1.0
    webhook_url: str | None = None
    polls: int = 0
    completed_at: float | None = None

    @property
    def fails(self) -> bool:
        """Whether the final status means failure."""
        return self.ending.lower() in FAILED_STATUSES

    @property
    def due_at(self) -> float:
        """Earliest time at which it can complete."""
        return self.submitted_at + self.duration

    @property
    def total(self) -> int:
        """Number of contacts submitted."""
        return len(self.tasks)

    def may_complete(self, now: float) -> bool:
        """Whether enough time has passed and enough status requests were answered."""
        return now >= self.due_at and self.polls >= self.polls_to_complete

    def processed(self, now: float) -> int:
        """Return how many contacts have been processed by now."""
        if self.completed_at is not None:
            return int(self.total * self.processed_share)
        elapsed = (now - self.submitted_at) / self.duration if self.duration else 1.0
        polled = self.polls / (self.polls_to_complete + 1) if self.polls_to_complete else 1.0
        done = min(curve(self.progress, elapsed), polled, self.processed_share)
        return min(int(self.total * done), self.total - 1)

    def counters(self, now: float) -> Counters:
        """Return the counters that the status shows."""
        processed = self.processed(now)
        processed_tasks = self.tasks[:processed]
        free = self.enrichment_type == "none"
        successful = sum(free or task.lookup.successful for task in processed_tasks)
        ended = self.completed_at is not None
        return Counters(
            total=self.total,
            processed=self.total if ended else processed,
            successful=successful,
            failed=(self.total if ended else processed) - successful,
            emails_found=sum(self.shows_email(task) for task in processed_tasks),
            phones_found=sum(task.lookup.phone is not None for task in processed_tasks),
        )

    def shows_email(self, task: Task) -> bool:
        """Whether the result of a task has an email; ``prospecting_only`` finds contacts, not addresses."""
        return task.lookup.email is not None and self.enrichment_type != "prospecting_only"

    def task_status(self, position: int, now: float) -> Literal["processing", "completed", "failed"]:
        """Return the status of one contact, by its position in the request."""
        if position >= self.processed(now):
            return "processing" if self.completed_at is None else "failed"
        successful = self.enrichment_type == "none" or self.tasks[position].lookup.successful
        return "completed" if successful else "failed"

    def count_poll(self, task: Task | None = None) -> None:
        """Count an answered status request, for the workflow or one of its tasks; both bring completion closer."""
        if task is None:
            self.polls += 1
        else:
            task.polls += 1
            self.polls = max(self.polls, task.polls)


class Engine:
    """All workflows of a sandbox: accepts them, completes them in time, and charges what they found.

    Args:
        settings: Durations, rates and final status.
        faults: Endings of coming workflows.
        ledger: Where submissions and charges are recorded.
        store: The leads that results are added to.
        new_id: Creates ids of tasks and workflows.
        on_completed: Called with each workflow when it completes, while the sandbox is locked.
    """

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        faults: Faults,
        ledger: SandboxLedger,
        store: ListStore,
        new_id: Callable[[], str],
        on_completed: Callable[[Workflow], None],
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._ledger = ledger
        self._store = store
        self._new_id = new_id
        self._on_completed = on_completed
        self._due: list[tuple[float, int, Workflow]] = []
        self._awaiting_polls: dict[str, Workflow] = {}
        self.workflows: dict[str, Workflow] = {}
        self.tasks: dict[str, tuple[Workflow, int]] = {}

    def submit(
        self,
        *,
        key: ApiKey,
        lead_list: StoredList,
        people: list[tuple[Person, str]],
        enrichment_type: str,
        now: float,
        webhook_url: str | None = None,
    ) -> Workflow:
        """Accept and start an enrichment; if it takes no time, it is complete on return.

        Args:
            key: The key of the request.
            lead_list: The list that the contacts are on.
            people: Each contact with the id of its lead.
            enrichment_type: What to look for.
            now: The current time, in seconds since the epoch.
            webhook_url: Where to send the results, if anywhere.
        """
        settings = self._settings
        ending = self._faults.take_ending()
        workflow = Workflow(
            workflow_id=f"public_bulk_{self._workflow_id()}",
            key=key,
            lead_list=lead_list,
            enrichment_type=enrichment_type,
            tasks=[self._task(person, lead_id, enrichment_type) for person, lead_id in people],
            submitted_at=now,
            duration=draw_duration(settings, len(self.workflows)),
            polls_to_complete=settings.polls_to_complete,
            progress=settings.progress,
            ending=ending.status if ending else settings.final_status,
            processed_share=ending.processed if ending else 1.0,
            webhook_url=webhook_url,
        )
        self.workflows[workflow.workflow_id] = workflow
        self.tasks.update((task.task_id, (workflow, number)) for number, task in enumerate(workflow.tasks))
        heapq.heappush(self._due, (workflow.due_at, len(self.workflows), workflow))
        self._ledger.record_submit(
            Submit(
                time=now,
                endpoint="enrich_bulk",
                workflow_id=workflow.workflow_id,
                enrichment_type=enrichment_type,
                key_id=key.key_id,
                identities=tuple(task.identity for task in workflow.tasks),
            )
        )
        self.settle(now)
        return workflow

    def settle(self, now: float) -> None:
        """Complete every workflow that is due."""
        while self._due and self._due[0][0] <= now:
            _, _, workflow = heapq.heappop(self._due)
            if workflow.may_complete(now):
                self._complete(workflow, workflow.due_at)
            else:
                self._awaiting_polls[workflow.workflow_id] = workflow

    def complete_if_polled_enough(self, workflow: Workflow, now: float) -> None:
        """Complete a workflow that is due and only waited for more status requests."""
        if workflow.workflow_id in self._awaiting_polls and workflow.may_complete(now):
            del self._awaiting_polls[workflow.workflow_id]
            self._complete(workflow, now)

    def _workflow_id(self) -> str:
        return self._new_id() if self._settings.id_style == "awkward" else str(uuid.uuid4())

    def _task(self, person: Person, lead_id: str, enrichment_type: str) -> Task:
        found = look_up(person, email_rate=self._settings.email_rate, phone_rate=self._settings.phone_rate)
        return Task(
            task_id=self._new_id(),
            person=person,
            identity=identity_of(person),
            lead_id=lead_id,
            lookup=found.limited_to(enrichment_type),
        )

    def _complete(self, workflow: Workflow, instant: float) -> None:
        workflow.completed_at = instant
        for task in workflow.tasks[: workflow.processed(instant)]:
            for charge in _charges(workflow, task):
                workflow.key.user.organization.credits -= charge.credits
                self._ledger.record_charge(charge)
            if task.lookup.successful:
                self._update_lead(workflow, task)
        self._on_completed(workflow)

    def _update_lead(self, workflow: Workflow, task: Task) -> None:
        found = task.lookup
        self._store.leads[task.lead_id].fill(
            email=found.email if workflow.shows_email(task) else None,
            phone=found.phone,
            title=found.title,
            location=found.location,
            first_name=found.first_name,
            last_name=found.last_name,
            full_name=found.full_name,
            company=found.company,
            domain=found.domain,
            provider="sandbox",
        )


def _charges(workflow: Workflow, task: Task) -> list[Charge]:
    charges = []
    if task.lookup.email is not None:
        item = "email" if workflow.shows_email(task) else "contact"
        charges.append(Charge(task.identity, item, CREDITS_PER_EMAIL, workflow.workflow_id))
    if task.lookup.phone is not None:
        charges.append(Charge(task.identity, "phone", CREDITS_PER_PHONE, workflow.workflow_id))
    return charges


def curve(shape: str, elapsed: float) -> float:
    """Return the share of the work that is done after a share of the time, both 0 to 1."""
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


def draw_duration(settings: SandboxSettings, number: int) -> float:
    """Return the duration of a workflow in seconds; the same number always gives the same duration."""
    if not settings.duration_sigma:
        return settings.seconds_to_complete
    deviation = random.Random(number).gauss(0.0, settings.duration_sigma)  # noqa: S311 - no secret
    return settings.seconds_to_complete * math.exp(deviation)
