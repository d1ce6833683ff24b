"""Enrichment on the v2 surface: one person, one company, a whole list, a page of leads (contract 4.6 and 5.5)."""

import hashlib
from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_cleanlist.sandbox.answers import Json
from airflow_provider_cleanlist.sandbox.errors import ApiError, InvalidBodyError, insufficient_credits
from airflow_provider_cleanlist.sandbox.gate import LEGACY_PREFIX, Call, Endpoint, call_of
from airflow_provider_cleanlist.sandbox.ledger import Charge
from airflow_provider_cleanlist.sandbox.lists import LeadList
from airflow_provider_cleanlist.sandbox.outcomes import look_up
from airflow_provider_cleanlist.sandbox.people import Person, identity_of
from airflow_provider_cleanlist.sandbox.quotes import price
from airflow_provider_cleanlist.sandbox.results import flat_counters, status_word
from airflow_provider_cleanlist.sandbox.routes.account import (
    cohort_lead_ids,
    quote_subject,
    type_of_data_points,
)
from airflow_provider_cleanlist.sandbox.workflows import Workflow


class PersonBody(BaseModel):
    """Body of ``POST /enrichment/person``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lead_list_id: str
    email: str | None = None
    linkedin_url: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    domain: str | None = None
    person_id: str | None = None
    enrichment_type: Literal["partial", "phone_only", "full"] | None = None
    include_phone: bool | None = False
    quote_id: str | None = None


class CompanyBody(BaseModel):
    """Body of ``POST /enrichment/company``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    domain: str | None = None
    company_id: str | None = None
    company_name: str | None = None
    company_ticker: str | None = None
    quote_id: str | None = None


class ListBody(BaseModel):
    """Body of ``POST /enrichment/bulk``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    list_id: str
    quote_id: str
    scope: Literal["partial", "full", "phone-only"] = "partial"


class CohortBody(BaseModel):
    """Body of ``POST /enrichment/by-task``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task_id: str
    data_points: Annotated[list[str], Field(min_length=1)]
    entity_ids: list[str] | None = None
    lead_list_id: str | None = None
    quote_id: str | None = None


def reserve(call: Call, cost: int) -> int:
    """Return the credits to reserve.

    Raises:
        ApiError: 400 ``insufficient_credits`` when there are fewer.
    """
    available = call.key.user.organization.balance
    if available < cost:
        raise insufficient_credits(status=400, cost=cost, available=available)
    return cost


def _poll_url(request: Request, workflow: Workflow) -> str:
    return f"{str(request.base_url).rstrip('/')}{LEGACY_PREFIX}/enrichment/status/{workflow.workflow_id}"


async def person(request: Request, body: PersonBody) -> Response:
    """Answer ``POST /enrichment/person``."""
    call = call_of(request)
    sandbox, organization = call.sandbox, call.key.user.organization
    fields = body.model_dump(
        include={"email", "linkedin_url", "phone", "first_name", "last_name", "company_name"}
    )
    someone = Person(**fields, company_domain=body.domain, person_id=body.person_id)
    if not someone.has_v2_identity:
        raise InvalidBodyError.at(
            ["body"], "Give email, linkedin_url, person_id, or names and company_name or domain", None
        )
    chosen = body.enrichment_type or ("phone_only" if body.include_phone else "partial")
    with sandbox.lock:
        lead_list = sandbox.readable_list(call.key, body.lead_list_id)
        cost = price("enrich_person", chosen, 1)
        if body.quote_id is not None:
            sandbox.quotes.redeem(
                body.quote_id, "enrich_person", quote_subject(call, 1, chosen), cost, call.now
            )
        reserved = reserve(call, cost)
        lead = sandbox.lists.lead_of(
            identity_of(someone),
            organization.organization_id,
            first_name=someone.first_name,
            last_name=someone.last_name,
            full_name=someone.full_name,
            company=someone.company_name,
            domain=someone.company_domain,
            linkedin_url=someone.linkedin_url,
        )
        workflow = sandbox.engine.submit(
            surface="person",
            endpoint="enrich_person",
            key=call.key,
            lead_list=lead_list,
            people=[(someone, lead.lead_id)],
            enrichment_type=chosen,
            now=call.now,
            reserved=reserved,
        )
    return Json(
        call.enveloped(
            workflow_id=workflow.workflow_id,
            status="pending",
            credits_reserved=reserved,
            lead_list_id=lead_list.list_id,
            poll_url=_poll_url(request, workflow),
        )
    )


async def company(request: Request, body: CompanyBody) -> Response:
    """Answer ``POST /enrichment/company``; the answer comes at once."""
    call = call_of(request)
    sandbox, organization = call.sandbox, call.key.user.organization
    known = body.domain or body.company_name or body.company_id or body.company_ticker
    if not known:
        raise InvalidBodyError.at(["body"], "Give domain, company_id, company_name or company_ticker", None)
    with sandbox.lock:
        if body.quote_id is not None:
            subject = quote_subject(call, 1, "partial")
            sandbox.quotes.redeem(body.quote_id, "enrich_company", subject, 1, call.now)
        reserve(call, 1)
        name = body.company_name or (None if body.domain else known)
        firm = Person(first_name="-", last_name="-", company_name=name, company_domain=body.domain)
        found = look_up(firm, email_rate=0, phone_rate=0)
        identity = hashlib.sha256(f"company\x1f{known.casefold()}".encode()).hexdigest()[:16]
        sandbox.engine.charge(organization, Charge(identity, "company", 1, None))
    record = {
        "company_id": f"cmp_{identity}",
        "name": found.company,
        "domain": found.domain,
        "industry": found.industry,
        "industries": [found.industry],
        "employee_count": found.headcount,
        "employee_count_range": None,
        "revenue_range": None,
        "hq_location": found.location,
        "funding_stage": None,
        "total_funding_usd": None,
        "tech_stack": [],
        "linkedin_url": None,
    }
    return Json(call.enveloped(company=record, credits_charged=1))


def people_of(call: Call, lead_ids: list[str]) -> list[tuple[Person, str]]:
    """Return leads as contacts to enrich, each with its id."""
    people = []
    for lead_id in lead_ids:
        row = call.sandbox.lists.row(lead_id)
        who = Person(
            linkedin_url=row["linkedin_url"],
            first_name=row["first_name"],
            last_name=row["last_name"],
            company_name=row["company"],
            company_domain=row["domain"],
            email=row["email"],
            person_id=lead_id,
        )
        people.append((who, lead_id))
    return people


async def whole_list(request: Request, body: ListBody) -> Response:
    """Answer ``POST /enrichment/bulk``."""
    call = call_of(request)
    sandbox, chosen = call.sandbox, body.scope.replace("-", "_")
    with sandbox.lock:
        lead_list = sandbox.readable_list(call.key, body.list_id)
        rows = len(lead_list.members)
        if not rows:
            raise ApiError(400, "The list is empty")
        cost = price("enrich_list", chosen, rows)
        subject = quote_subject(call, body.list_id, chosen)
        sandbox.quotes.redeem(body.quote_id, "enrich_list", subject, cost, call.now)
        reserved = reserve(call, cost)
        lead_ids = [row["lead_id"] for row in sandbox.lists.rows(lead_list, 0, rows)]
        workflow = sandbox.engine.submit(
            surface="bulk",
            endpoint="enrich_list",
            key=call.key,
            lead_list=lead_list,
            people=people_of(call, lead_ids),
            enrichment_type=chosen,
            now=call.now,
            reserved=reserved,
        )
    return Json(
        call.enveloped(
            workflow_id=workflow.workflow_id,
            status="pending",
            total_leads=rows,
            estimated_cost=cost,
            credits_reserved=reserved,
            poll_url=_poll_url(request, workflow),
        )
    )


async def by_task(request: Request, body: CohortBody) -> Response:
    """Answer ``POST /enrichment/by-task`` for the handle of a page of leads."""
    call = call_of(request)
    sandbox, chosen = call.sandbox, type_of_data_points(body.data_points)
    if body.quote_id is None:
        raise ApiError(400, "A quote is required", code="quote_required", fix="POST /credits/estimate first.")
    with sandbox.lock:
        lead_ids = cohort_lead_ids(call, body.task_id, body.entity_ids)
        if not lead_ids:
            raise ApiError(400, "No entities to enrich")
        if body.lead_list_id is None:
            lead_list = LeadList(sandbox.new_id(), "MCP Results", call.key.user, call.now)
        else:
            lead_list = sandbox.readable_list(call.key, body.lead_list_id)
        cost = price("add_person_enrichments", chosen, len(lead_ids))
        subject = quote_subject(call, *lead_ids, chosen)
        sandbox.quotes.redeem(body.quote_id, "add_person_enrichments", subject, cost, call.now)
        reserved = reserve(call, cost)
        for lead_id in lead_ids:
            lead_list.members.add(lead_id)
        workflow = sandbox.engine.submit(
            surface="bulk",
            endpoint="enrich_by_task",
            key=call.key,
            lead_list=lead_list,
            people=people_of(call, lead_ids),
            enrichment_type=chosen,
            now=call.now,
            reserved=reserved,
        )
        sandbox.cohort_workflows[body.task_id] = workflow.workflow_id
    return Json(
        call.enveloped(
            task_id=body.task_id,
            entity_kind="person",
            workflow_id=workflow.workflow_id,
            status="pending",
            total_entities=len(lead_ids),
            credits_reserved=reserved,
            results=[
                {"entity_id": lead_id, "status": "queued", "error": None, "company": None}
                for lead_id in lead_ids
            ],
        )
    )


async def status(request: Request, workflow_id: str) -> Response:
    """Answer ``GET /enrichment/status/{workflow_id}``; the handle of an enriched page will do too."""
    call = call_of(request)
    sandbox = call.sandbox
    with sandbox.lock:
        workflow = sandbox.workflow_of(call.key, sandbox.cohort_workflows.get(workflow_id, workflow_id))
        sandbox.engine.look(workflow, call.now)
        charged = workflow.charged
        failed = workflow.completed_at is not None and workflow.broken
        body = call.enveloped(
            workflow_id=workflow_id,
            status=status_word(workflow, sandbox.settings, "running" if workflow.polls else "pending"),
            **flat_counters(workflow, call.now),
            enrichment_type=workflow.enrichment_type,
            lead_list_id=workflow.lead_list.list_id,
            refund_status="pending_review" if failed and workflow.reserved else "not_applicable",
            refund_message="The reservation is under review." if failed and workflow.reserved else None,
            result=_single_result(call, workflow),
            credits_charged=charged,
            credits_refunded=None if charged is None else max(0, workflow.reserved - charged),
        )
        workflow.polled()
    return Json(body)


def _single_result(call: Call, workflow: Workflow) -> dict[str, Any] | None:
    if workflow.surface != "person" or workflow.completed_at is None:
        return None
    task, found = workflow.tasks[0], workflow.task_state(0, call.now) == "completed"
    outcome, row = task.outcome, call.sandbox.lists.row(task.lead_id)
    return {
        "lead_id": task.lead_id if found else "",
        "status": "completed" if found else "failed",
        "full_name": row["full_name"],
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "email": outcome.email if found else None,
        "email_status": outcome.email_status if found else None,
        "phone": outcome.phone if found else None,
        "linkedin_url": row["linkedin_url"],
        "title": outcome.title if found else None,
        "company": outcome.company if found else row["company"],
        "enrichment_type": workflow.enrichment_type,
        "provider": "sandbox" if found else None,
    }


ENDPOINTS = (
    Endpoint("enrich_person", "POST", "/enrichment/person", person, "enrich:write"),
    Endpoint("enrich_company", "POST", "/enrichment/company", company, "enrich:write"),
    Endpoint("enrich_list", "POST", "/enrichment/bulk", whole_list, "enrich:write"),
    Endpoint("enrich_by_task", "POST", "/enrichment/by-task", by_task, "enrich:write"),
    Endpoint("enrichment_status", "GET", "/enrichment/status/{workflow_id}", status, "enrich:read"),
)
