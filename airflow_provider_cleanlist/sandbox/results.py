"""How workflows and their results look on the wire (contract sections 5 and 6)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_cleanlist.sandbox.clock import iso

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.settings import Settings
    from airflow_provider_cleanlist.sandbox.workflows import Workflow

STATUS_PATH = "/api/v1/public/enrich/status"


def task_result(workflow: Workflow, position: int, now: float) -> dict[str, Any]:
    """Return one result of section 5.3."""
    task, state = workflow.tasks[position], workflow.task_state(position, now)
    person, outcome = task.person, task.outcome
    result: dict[str, Any] = {
        "task_id": task.task_id,
        "workflow_id": workflow.workflow_id,
        "status": state,
        "primary_email": None,
        "primary_email_status": None,
        "other_emails": [],
        "personal_phone_numbers": [],
        "prospect": None,
        "company": None,
    }
    if state == "processing":
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
    if state == "completed" and outcome.found:
        if workflow.shows_email(task):
            result |= {"primary_email": outcome.email, "primary_email_status": outcome.email_status}
        result["personal_phone_numbers"] = [outcome.phone] if outcome.phone else []
        result["prospect"] |= {
            "first_name": outcome.first_name,
            "last_name": outcome.last_name,
            "full_name": f"{outcome.first_name} {outcome.last_name}".strip(),
            "headline": outcome.title,
            "location": outcome.location,
        }
        result["company"] = {
            "name": outcome.company,
            "domain": outcome.domain,
            "industry": outcome.industry,
            "headcount": outcome.headcount,
        }
    return result


def all_results(workflow: Workflow, now: float) -> list[dict[str, Any]]:
    """Return every result of a workflow, in order of submission."""
    return [task_result(workflow, position, now) for position in range(workflow.total)]


def status_word(workflow: Workflow, settings: Settings, running: str) -> str:
    """Return the word for the state a workflow is in."""
    return workflow.ending if workflow.completed_at is not None else settings.running_status or running


def summary(workflow: Workflow, now: float) -> dict[str, int]:
    """Return the summary counters of section 5.2."""
    counters = asdict(workflow.counters(now))
    del counters["processed"]
    return counters


def legacy_status(workflow: Workflow, settings: Settings, now: float) -> dict[str, Any]:
    """Return the workflow status of section 5.2, in the variant of the settings."""
    body: dict[str, Any] = {
        "workflow_id": workflow.workflow_id,
        "status": status_word(workflow, settings, "processing"),
        "enrichment_type": workflow.enrichment_type,
        "lead_list_id": workflow.lead_list.list_id,
    }
    match settings.status_variant:
        case "sparse":
            return {"status": body["status"]}
        case "flat":
            return body | flat_counters(workflow, now)
        case "results":
            return body | {"summary": summary(workflow, now), "results": all_results(workflow, now)}
        case "summary":
            return body | {"summary": summary(workflow, now)}


def flat_counters(workflow: Workflow, now: float) -> dict[str, Any]:
    """Return the counters as v2 has them: at top level."""
    counters = workflow.counters(now)
    return {
        "progress": counters.percent,
        "total": counters.total,
        "processed": counters.processed,
        "completed": counters.successful,
        "failed": counters.failed,
        "summary": {"emails_found": counters.emails_found, "phones_found": counters.phones_found},
    }


def webhook_body(workflow: Workflow, settings: Settings) -> dict[str, Any]:
    """Return what a webhook is sent (section 6)."""
    now = workflow.completed_at or workflow.due_at
    results = all_results(workflow, now)
    limit = settings.webhook_results_limit
    return {
        "event": "enrichment.completed",
        "workflow_id": workflow.workflow_id,
        "lead_list_id": workflow.lead_list.list_id,
        "enrichment_type": workflow.enrichment_type,
        "status": workflow.ending,
        "summary": summary(workflow, now),
        "results": results[:limit],
        "results_limit": limit,
        "results_truncated": max(0, len(results) - limit),
        "results_endpoint": f"{STATUS_PATH}?workflow_id={quote(workflow.workflow_id)}",
        "completed_at": iso(now, settings.utc_suffix),
    }
