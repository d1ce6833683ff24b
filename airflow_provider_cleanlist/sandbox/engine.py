"""Runs enrichments: accepts them, completes them when their time has come, and charges what they found."""

from __future__ import annotations

import heapq
import uuid
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.sandbox.ledger import Charge, Ledger, Submit
from airflow_provider_cleanlist.sandbox.outcomes import CREDITS_PER_EMAIL, CREDITS_PER_PHONE, look_up
from airflow_provider_cleanlist.sandbox.people import Person, identity_of
from airflow_provider_cleanlist.sandbox.workflows import Surface, Task, Workflow, draw_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_cleanlist.sandbox.accounts import ApiKey, Organization
    from airflow_provider_cleanlist.sandbox.faults import Faults
    from airflow_provider_cleanlist.sandbox.lists import LeadList, ListStore
    from airflow_provider_cleanlist.sandbox.settings import Settings

_ID_PREFIX = {"legacy": "public_bulk_", "person": "enrich-", "bulk": "bulk-enrich-"}


class Engine:
    """All workflows of a sandbox.

    Args:
        settings: Durations, rates and endings.
        faults: Endings of coming workflows.
        ledger: Where submits and charges are recorded.
        store: Leads to fill in.
        new_id: Makes ids of tasks and workflows.
        on_completed: Called with each workflow as it completes, inside the sandbox's lock.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        faults: Faults,
        ledger: Ledger,
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
        self._polled: dict[str, Workflow] = {}
        self.workflows: dict[str, Workflow] = {}
        self.tasks: dict[str, tuple[Workflow, int]] = {}

    def submit(
        self,
        *,
        surface: Surface,
        endpoint: str,
        key: ApiKey,
        lead_list: LeadList,
        people: list[tuple[Person, str]],
        enrichment_type: str,
        now: float,
        reserved: int = 0,
        webhook_url: str | None = None,
    ) -> Workflow:
        """Accept an enrichment and begin it; one that takes no time is complete on return.

        Args:
            surface: The kind of run.
            endpoint: Name of the endpoint, for the ledger.
            key: The key it came with.
            lead_list: Where the contacts are, or will be.
            people: Each contact with its lead's id.
            enrichment_type: What to look for.
            now: The present instant.
            reserved: Credits to take now and give back at the end (v2).
            webhook_url: Where to send the results, if anywhere.
        """
        settings = self._settings
        ending = self._faults.take_ending()
        workflow = Workflow(
            workflow_id=_ID_PREFIX[surface] + self._workflow_id(),
            surface=surface,
            key=key,
            lead_list=lead_list,
            enrichment_type=enrichment_type,
            tasks=[self._task(person, lead, enrichment_type) for person, lead in people],
            submitted_at=now,
            duration=draw_duration(settings, len(self.workflows)),
            polls_to_complete=settings.polls_to_complete,
            progress=settings.progress,
            ending=ending.status if ending else settings.final_status,
            processed_share=ending.processed if ending else 1.0,
            reserved=reserved,
            webhook_url=webhook_url,
        )
        self.workflows[workflow.workflow_id] = workflow
        self.tasks.update((task.task_id, (workflow, number)) for number, task in enumerate(workflow.tasks))
        heapq.heappush(self._due, (workflow.due_at, len(self.workflows), workflow))
        key.user.organization.credits -= reserved
        self._ledger.record_submit(
            Submit(
                time=now,
                endpoint=endpoint,
                workflow_id=workflow.workflow_id,
                enrichment_type=enrichment_type,
                key_id=key.key_id,
                identities=tuple(task.identity for task in workflow.tasks),
            )
        )
        self.settle(now)
        return workflow

    def settle(self, now: float) -> None:
        """Complete every workflow whose time has come."""
        while self._due and self._due[0][0] <= now:
            _, _, workflow = heapq.heappop(self._due)
            if workflow.may_complete(now):
                self._complete(workflow, workflow.due_at)
            else:
                self._polled[workflow.workflow_id] = workflow

    def look(self, workflow: Workflow, now: float) -> None:
        """Complete a workflow that waits for status answers, if it has given enough of them."""
        if workflow.workflow_id in self._polled and workflow.may_complete(now):
            del self._polled[workflow.workflow_id]
            self._complete(workflow, now)

    def charge(self, organization: Organization, charge: Charge) -> None:
        """Charge credits for one find."""
        organization.credits -= charge.credits
        self._ledger.record_charge(charge)

    def _workflow_id(self) -> str:
        return self._new_id() if self._settings.id_style == "awkward" else str(uuid.uuid4())

    def _task(self, person: Person, lead: str, enrichment_type: str) -> Task:
        outcome = look_up(person, email_rate=self._settings.email_rate, phone_rate=self._settings.phone_rate)
        return Task(
            task_id=self._new_id(),
            person=person,
            identity=identity_of(person),
            lead_id=lead,
            outcome=outcome.limited_to(enrichment_type),
        )

    def _complete(self, workflow: Workflow, instant: float) -> None:
        organization = workflow.key.user.organization
        organization.credits += workflow.reserved
        workflow.completed_at = instant
        workflow.charged = 0
        for task in workflow.tasks[: workflow.processed(instant)]:
            for charge in self._charges(workflow, task):
                self.charge(organization, charge)
                workflow.charged += charge.credits
            if workflow.enrichment_type != "none":
                self._fill(workflow, task)
        self._on_completed(workflow)

    @staticmethod
    def _charges(workflow: Workflow, task: Task) -> list[Charge]:
        charges = []
        if task.outcome.email is not None:
            item = "email" if workflow.shows_email(task) else "contact"
            charges.append(Charge(task.identity, item, CREDITS_PER_EMAIL, workflow.workflow_id))
        if task.outcome.phone is not None:
            charges.append(Charge(task.identity, "phone", CREDITS_PER_PHONE, workflow.workflow_id))
        return charges

    def _fill(self, workflow: Workflow, task: Task) -> None:
        lead, outcome = self._store.leads.get(task.lead_id), task.outcome
        if lead is None or not outcome.found:
            return
        if workflow.surface == "person":
            workflow.lead_list.members.add(lead.lead_id)
        lead.fill(
            email=outcome.email if workflow.shows_email(task) else None,
            phone=outcome.phone,
            title=outcome.title,
            location=outcome.location,
            first_name=outcome.first_name,
            last_name=outcome.last_name,
            full_name=f"{outcome.first_name} {outcome.last_name}".strip(),
            company=outcome.company,
            domain=outcome.domain,
            provider="sandbox",
        )
