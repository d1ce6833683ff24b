"""The result of one contact as a flat record for a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_cleanlist.client.results import EnrichmentResult

RESULT_FIELDS = (
    "task_id",
    "workflow_id",
    "status",
    "primary_email",
    "primary_email_status",
    "other_emails",
    "phones",
    "prospect_first_name",
    "prospect_last_name",
    "prospect_full_name",
    "prospect_linkedin_url",
    "prospect_headline",
    "prospect_location",
    "company_name",
    "company_domain",
    "company_industry",
    "company_headcount",
    "raw",
)
"""Fields that the API documents; any other field of prospect and company is added with the same prefix."""
PERSON = "_cleanlist_person"
"""Field that holds the hash of the person, as in the ledger."""


def result_in(body: Mapping[str, Any], workflow_id: str) -> dict[str, Any] | None:
    """Return one of several results as a flat record, or None if it belongs to no task of this workflow.

    Args:
        body: The result as Cleanlist sent it, itself or nested in another object.
        workflow_id: The workflow that is read.

    Returns:
        As :func:`result_row`.
    """
    result = EnrichmentResult.parse(body)
    if result.workflow_id not in (None, "", workflow_id) or not (result.task_id and result.is_about_a_task):
        return None
    return result_row(result, workflow_id, result.task_id)


def result_row(result: EnrichmentResult, workflow_id: str, task_id: str) -> dict[str, Any]:
    """Return the result of a task as a flat record.

    Args:
        result: The result.
        workflow_id: The workflow that is read: a result that was requested by its task belongs to it, whatever it says.
        task_id: The task.

    Returns:
        ``RESULT_FIELDS`` as far as known, and every other field of prospect and company as ``prospect_...`` and
        ``company_...``. ``other_emails`` and ``phones`` are lists, ``raw`` is the result as Cleanlist sent it.
    """
    return {
        **_prefixed("prospect", result.prospect),
        **_prefixed("company", result.company),
        "task_id": task_id,
        "workflow_id": workflow_id,
        "status": result.status,
        "primary_email": result.email,
        "primary_email_status": result.email_status,
        "other_emails": result.other_emails,
        "phones": result.phones,
        "raw": result.raw,
    }


def _prefixed(prefix: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in fields.items()}
