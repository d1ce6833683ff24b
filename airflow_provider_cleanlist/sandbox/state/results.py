"""Workflows and their results as JSON: status responses and webhook deliveries."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_cleanlist.sandbox.clock import iso

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
    from airflow_provider_cleanlist.sandbox.state.workflows import Workflow

STATUS_PATH = "/api/v1/public/enrich/status"


def task_result(workflow: Workflow, position: int, now: float) -> dict[str, Any]:
    """Return the result of one contact, by its position in the request."""
    task, status = workflow.tasks[position], workflow.task_status(position, now)
    person, found = task.person, task.lookup
    result: dict[str, Any] = {
        "task_id": task.task_id,
        "workflow_id": workflow.workflow_id,
        "status": status,
        "primary_email": None,
        "primary_email_status": None,
        "other_emails": [],
        "personal_phone_numbers": [],
        "prospect": None,
        "company": None,
    }
    if status == "processing":
        return result
    result["prospect"] = {
        "first_name": person.first_name,
        "last_name": person.last_name,
        "full_name": person.full_name,
        "linkedin_url": person.linkedin_url,
        "headline": None,
        "location": None,
    }
    result["company"] = {
        "name": person.company_name,
        "domain": person.company_domain,
        "industry": None,
        "headcount": None,
    }
    if status == "completed" and found.successful:
        if workflow.shows_email(task):
            result |= {"primary_email": found.email, "primary_email_status": found.email_status}
        result["personal_phone_numbers"] = [found.phone] if found.phone else []
        result["prospect"] |= {
            "first_name": found.first_name,
            "last_name": found.last_name,
            "full_name": found.full_name,
            "headline": found.title,
            "location": found.location,
        }
        result["company"] = {
            "name": found.company,
            "domain": found.domain,
            "industry": found.industry,
            "headcount": found.headcount,
        }
    return result


def _all_results(workflow: Workflow, now: float) -> list[dict[str, Any]]:
    """Return the results of all contacts, in the order of submission."""
    return [task_result(workflow, position, now) for position in range(workflow.total)]


def _summary(workflow: Workflow, now: float) -> dict[str, int]:
    """Return the counters of the ``summary`` object."""
    counters = asdict(workflow.counters(now))
    del counters["processed"]
    return counters


def workflow_status(workflow: Workflow, settings: SandboxSettings, now: float) -> dict[str, Any]:
    """Return the status of a workflow, in the variant that the settings choose."""
    running = workflow.completed_at is None
    body: dict[str, Any] = {
        "workflow_id": workflow.workflow_id,
        "status": (settings.running_status or "processing") if running else workflow.ending,
        "enrichment_type": workflow.enrichment_type,
        "lead_list_id": workflow.lead_list.list_id,
    }
    match settings.status_variant:
        case "sparse":
            return {"status": body["status"]}
        case "flat":
            return body | _flat_counters(workflow, now)
        case "results":
            return body | {"summary": _summary(workflow, now), "results": _all_results(workflow, now)}
        case "summary":
            return body | {"summary": _summary(workflow, now)}


def _flat_counters(workflow: Workflow, now: float) -> dict[str, Any]:
    """Return the counters at top level, as ``/api/v2`` has them."""
    counters = workflow.counters(now)
    return {
        "progress": counters.percent,
        "total": counters.total,
        "processed": counters.processed,
        "completed": counters.successful,
        "failed": counters.failed,
        "summary": {"emails_found": counters.emails_found, "phones_found": counters.phones_found},
    }


def webhook_body(workflow: Workflow, settings: SandboxSettings) -> dict[str, Any]:
    """Return the body of a webhook delivery."""
    now = workflow.completed_at or workflow.due_at
    results = _all_results(workflow, now)
    limit = settings.webhook_results_limit
    return {
        "event": "enrichment.completed",
        "workflow_id": workflow.workflow_id,
        "lead_list_id": workflow.lead_list.list_id,
        "enrichment_type": workflow.enrichment_type,
        "status": workflow.ending,
        "summary": _summary(workflow, now),
        "results": results[:limit],
        "results_limit": limit,
        "results_truncated": max(0, len(results) - limit),
        "results_endpoint": f"{STATUS_PATH}?workflow_id={quote(workflow.workflow_id)}",
        "completed_at": iso(now, settings.utc_suffix),
    }
