"""The legacy surface: submit contacts, read status, read webhook deliveries (contract sections 4, 5 and 6)."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict

from airflow_provider_cleanlist.sandbox.answers import Json
from airflow_provider_cleanlist.sandbox.errors import ApiError, InvalidBodyError, insufficient_credits
from airflow_provider_cleanlist.sandbox.gate import Call, Endpoint, call_of
from airflow_provider_cleanlist.sandbox.lists import LeadList
from airflow_provider_cleanlist.sandbox.outcomes import WORST_CASE_CREDITS
from airflow_provider_cleanlist.sandbox.people import Person, identity_of
from airflow_provider_cleanlist.sandbox.results import legacy_status, task_result
from airflow_provider_cleanlist.sandbox.settings import Settings
from airflow_provider_cleanlist.sandbox.webhooks import is_loopback

MAX_CONTACTS = 250
IDENTITY_RULE = (
    "Each contact needs either linkedin_url, "
    "or first_name and last_name together with company_name or company_domain"
)


class ContactBody(BaseModel):
    """One contact of a submit; keys it does not know are ignored."""

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


async def bulk(request: Request, body: BulkBody) -> Response:
    """Answer ``POST /enrich/bulk``. The checks come in the order of contract section 4.4."""
    call = call_of(request)
    sandbox, user = call.sandbox, call.key.user
    _check_webhook(body.webhook_url, sandbox.settings)
    if not body.contacts:
        raise ApiError(400, "At least one contact is required")
    if len(body.contacts) > MAX_CONTACTS:
        raise ApiError(400, f"Up to {MAX_CONTACTS} contacts per request are supported")
    people = [Person(**contact.model_dump()) for contact in body.contacts]
    _check_identities(body.contacts, people)
    with sandbox.lock:
        cost = WORST_CASE_CREDITS[body.enrichment_type] * len(people)
        if user.organization.balance < cost:
            raise insufficient_credits(status=402, cost=cost, available=user.organization.balance)
        managed = sandbox.lists.managed(user, sandbox.settings.managed_list_name, call.now)
        workflow = sandbox.engine.submit(
            surface="legacy",
            endpoint="enrich_bulk",
            key=call.key,
            lead_list=managed,
            people=[(person, attach(call, managed, person)) for person in people],
            enrichment_type=body.enrichment_type,
            now=call.now,
            webhook_url=body.webhook_url,
        )
        if workflow.webhook_url is not None:
            sandbox.watch(workflow)
    answer: dict[str, Any] = {
        "workflow_id": workflow.workflow_id,
        "status": "processing",
        "message": "Bulk enrichment started",
        "task_ids": [task.task_id for task in workflow.tasks],
        "total_contacts": workflow.total,
    }
    match sandbox.settings.task_ids:
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


def attach(call: Call, lead_list: LeadList, person: Person) -> str:
    """Put a contact on a list, as the one lead of its identity, and return the lead's id."""
    lead = call.sandbox.lists.lead_of(
        identity_of(person),
        call.key.user.organization.organization_id,
        first_name=person.first_name,
        last_name=person.last_name,
        full_name=person.full_name,
        company=person.company_name,
        domain=person.company_domain,
        linkedin_url=person.linkedin_url,
    )
    lead_list.members.add(lead.lead_id)
    return lead.lead_id


def _check_webhook(url: str | None, settings: Settings) -> None:
    if url is None:
        return
    parts = urlsplit(url)
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
        if not person.has_legacy_identity
    ]
    if bad:
        raise InvalidBodyError(bad)


async def status(
    request: Request,
    workflow_id: Annotated[str | None, Query()] = None,
    task_id: Annotated[str | None, Query()] = None,
) -> Response:
    """Answer ``GET /enrich/status``."""
    call = call_of(request)
    if (workflow_id is None) == (task_id is None):
        raise ApiError(400, "Give exactly one of workflow_id and task_id")
    with call.sandbox.lock:
        if workflow_id is not None:
            return Json(_workflow_status(call, workflow_id))
        return Json(_task_status(call, task_id or ""))


def _workflow_status(call: Call, workflow_id: str) -> dict[str, Any]:
    workflow = call.sandbox.workflow_of(call.key, workflow_id)
    call.sandbox.engine.look(workflow, call.now)
    body = legacy_status(workflow, call.sandbox.settings, call.now)
    workflow.polled()
    return body


def _task_status(call: Call, task_id: str) -> dict[str, Any]:
    if task_id not in call.sandbox.engine.tasks:
        raise ApiError(404, "Task not found", code="task_not_found")
    workflow, position = call.sandbox.engine.tasks[task_id]
    call.sandbox.workflow_of(call.key, workflow.workflow_id)
    call.sandbox.engine.look(workflow, call.now)
    result = task_result(workflow, position, call.now)
    workflow.polled(workflow.tasks[position])
    if result["status"] != "processing":
        call.sandbox.ledger.record_task_read(task_id)
    if call.sandbox.settings.nested_task_result:
        return {"task_id": task_id, "status": result["status"], "result": result}
    return result


async def deliveries(request: Request, workflow_id: str) -> Response:
    """Answer ``GET /webhooks/deliveries``."""
    call = call_of(request)
    with call.sandbox.lock:
        call.sandbox.workflow_of(call.key, workflow_id)
    suffix = call.sandbox.settings.utc_suffix
    rows = [delivery.row(suffix) for delivery in call.sandbox.webhooks.deliveries(workflow_id)]
    return Json({"workflow_id": workflow_id, "deliveries": rows})


ENDPOINTS = (
    Endpoint("enrich_bulk", "POST", "/enrich/bulk", bulk, "enrich:write", "legacy"),
    Endpoint("enrich_status", "GET", "/enrich/status", status, "enrich:read", "legacy"),
    Endpoint("webhook_deliveries", "GET", "/webhooks/deliveries", deliveries, surface="legacy"),
)
