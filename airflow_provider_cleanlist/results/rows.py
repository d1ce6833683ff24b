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


def result_row(
    body: Mapping[str, Any], workflow_id: str, task_id: str | None = None
) -> dict[str, Any] | None:
    """Return one result as a flat record, or None if its task is unknown or it names another workflow.

    Args:
        body: The result as Cleanlist sent it, itself or nested in another object.
        workflow_id: The workflow that is read.
        task_id: Its task, if the result was requested by it: such a result belongs to the workflow, whatever it names.

    Returns:
        ``RESULT_FIELDS`` as far as known, and every other field of prospect and company as ``prospect_...`` and
        ``company_...``. ``other_emails`` and ``phones`` are lists, ``raw`` is the result as Cleanlist sent it.
    """
    result = EnrichmentResult.parse(body)
    if task_id is None and result.workflow_id not in (None, "", workflow_id):
        return None
    task_id = result.task_id or task_id
    if not task_id:
        return None
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
