"""Bulk enrichment: submit contacts, read the status of workflows and tasks, read the log of webhook deliveries."""

import random
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict

from airflow_provider_cleanlist.sandbox.people import Person, identity_of
from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
from airflow_provider_cleanlist.sandbox.state.lists import StoredList
from airflow_provider_cleanlist.sandbox.state.lookup import WORST_CASE_CREDITS
from airflow_provider_cleanlist.sandbox.state.results import task_result, workflow_status
from airflow_provider_cleanlist.sandbox.state.webhooks import is_loopback
from airflow_provider_cleanlist.sandbox.web.errors import HttpError, InvalidBodyError, insufficient_credits
from airflow_provider_cleanlist.sandbox.web.middleware import Endpoint, RequestContext, context_of
from airflow_provider_cleanlist.sandbox.web.responses import Json

MAX_CONTACTS = 250
IDENTITY_RULE = (
    "Each contact needs either linkedin_url, "
    "or first_name and last_name together with company_name or company_domain"
)


class ContactBody(BaseModel):
    """A contact as submitted; unknown fields are ignored."""

    model_config = ConfigDict(strict=True)

    linkedin_url: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    company_domain: str | None = None
    email: str | None = None


class BulkBody(BaseModel):
    """Body of ``POST /enrich/bulk``."""

    model_config = ConfigDict(strict=True)

    contacts: list[ContactBody]
    enrichment_type: Literal["none", "partial", "phone_only", "full", "prospecting_only"] = "partial"
    webhook_url: str | None = None


async def submit(request: Request, body: BulkBody) -> Response:
    """Answer ``POST /enrich/bulk``: check types, number of contacts, identities and credits, in this order."""
    context = context_of(request)
    sandbox, user = context.sandbox, context.key.user
    _check_webhook(body.webhook_url, sandbox.settings, request.scope["server"])
    if not body.contacts:
        raise HttpError(400, "At least one contact is required")
    if len(body.contacts) > MAX_CONTACTS:
        raise HttpError(400, f"Up to {MAX_CONTACTS} contacts per request are supported")
    people = [Person(**contact.model_dump()) for contact in body.contacts]
    _check_identities(body.contacts, people)
    with sandbox.lock:
        cost = WORST_CASE_CREDITS[body.enrichment_type] * len(people)
        if user.organization.balance < cost:
            raise insufficient_credits(cost=cost, available=user.organization.balance)
        managed = sandbox.lists.managed(user, sandbox.settings.managed_list_name, context.now)
        workflow = sandbox.engine.submit(
            key=context.key,
            lead_list=managed,
            people=[(person, _add_to_list(context, managed, person)) for person in people],
            enrichment_type=body.enrichment_type,
            now=context.now,
            webhook_url=body.webhook_url,
        )
        if workflow.webhook_url is not None:
            sandbox.complete_when_due(workflow)
    answer: dict[str, Any] = {
        "workflow_id": workflow.workflow_id,
        "status": "processing",
        "message": "Bulk enrichment started",
        "task_ids": [task.task_id for task in workflow.tasks],
        "total_contacts": workflow.total,
    }
    match sandbox.settings.task_ids:
        case "shuffled":
            random.Random(workflow.workflow_id).shuffle(answer["task_ids"])  # noqa: S311 - reproducible on purpose
        case "missing":
            del answer["task_ids"]
        case "empty":
            answer["task_ids"] = []
        case "short":
            answer["task_ids"].pop()
        case "long":
            answer["task_ids"].append(sandbox.new_id())
        case "all":
            pass
    return Json(answer)


def _add_to_list(context: RequestContext, lead_list: StoredList, person: Person) -> str:
    """Put a contact on a list and return the id of its lead; contacts with the same identity share a lead."""
    lead = context.sandbox.lists.lead_of(
        identity_of(person),
        context.key.user.organization.organization_id,
        first_name=person.first_name,
        last_name=person.last_name,
        full_name=person.full_name,
        company=person.company_name,
        domain=person.company_domain,
        linkedin_url=person.linkedin_url,
    )
    lead_list.members.add(lead.lead_id)
    return lead.lead_id


def _check_webhook(url: str | None, settings: SandboxSettings, own: tuple[str, int]) -> None:
    """Refuse addresses that are not public, and the sandbox itself, whose admin side answers whatever is local."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        is_itself = is_loopback(parts.hostname) and (parts.port or 80) == own[1]
    except ValueError:
        raise InvalidBodyError.at(["body", "webhook_url"], "webhook_url must be a URL", url) from None
    if is_itself:
        raise InvalidBodyError.at(["body", "webhook_url"], "webhook_url must not be the sandbox itself", url)
    local = settings.allow_http_webhooks and parts.scheme == "http" and is_loopback(parts.hostname)
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise InvalidBodyError.at(["body", "webhook_url"], "webhook_url must be a public HTTPS URL", url)


def _check_identities(contacts: list[ContactBody], people: list[Person]) -> None:
    bad = [
        {
            "type": "value_error",
            "loc": ["body", "contacts", index],
            "msg": IDENTITY_RULE,
            "input": contact.model_dump(exclude_unset=True),
        }
        for index, (contact, person) in enumerate(zip(contacts, people, strict=True))
        if not person.can_be_looked_up
    ]
    if bad:
        raise InvalidBodyError(bad)


async def status(
    request: Request,
    workflow_id: Annotated[str | None, Query()] = None,
    task_id: Annotated[str | None, Query()] = None,
) -> Response:
    """Answer ``GET /enrich/status``."""
    context = context_of(request)
    if (workflow_id is None) == (task_id is None):
        raise HttpError(400, "Give exactly one of workflow_id and task_id")
    with context.sandbox.lock:
        if workflow_id is not None:
            return Json(_workflow_status(context, workflow_id))
        return Json(_task_status(context, task_id or ""))


def _workflow_status(context: RequestContext, workflow_id: str) -> dict[str, Any]:
    sandbox, workflow = context.sandbox, context.workflow(workflow_id)
    sandbox.engine.complete_if_polled_enough(workflow, context.now)
    body = workflow_status(workflow, sandbox.settings, context.now)
    workflow.count_poll()
    return body


def _task_status(context: RequestContext, task_id: str) -> dict[str, Any]:
    sandbox = context.sandbox
    if task_id not in sandbox.engine.tasks:
        raise HttpError(404, "Task not found", code="task_not_found")
    workflow, position = sandbox.engine.tasks[task_id]
    context.workflow(workflow.workflow_id)
    sandbox.engine.complete_if_polled_enough(workflow, context.now)
    result = task_result(workflow, position, context.now)
    workflow.count_poll(workflow.tasks[position])
    if result["status"] != "processing":
        sandbox.ledger.record_task_read(task_id)
    if sandbox.settings.nested_task_result:
        return {"task_id": task_id, "status": result["status"], "result": result}
    return result


async def deliveries(request: Request, workflow_id: str) -> Response:
    """Answer ``GET /webhooks/deliveries``."""
    context = context_of(request)
    with context.sandbox.lock:
        context.workflow(workflow_id)
    suffix = context.sandbox.settings.utc_suffix
    rows = [delivery.row(suffix) for delivery in context.sandbox.webhooks.deliveries(workflow_id)]
    return Json({"workflow_id": workflow_id, "deliveries": rows})


ENDPOINTS = (
    Endpoint("enrich_bulk", "POST", "/enrich/bulk", submit, "enrich:write", "legacy"),
    Endpoint("enrich_status", "GET", "/enrich/status", status, "enrich:read", "legacy"),
    Endpoint("webhook_deliveries", "GET", "/webhooks/deliveries", deliveries, surface="legacy"),
)
