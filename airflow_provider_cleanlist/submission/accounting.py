"""What a task submitted and what it cost, for logs, XCom and asset events. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_cleanlist.client.models import EnrichmentType
from airflow_provider_cleanlist.contacts.reading import ReadReport
from airflow_provider_cleanlist.submission.options import SubmissionOptions
from airflow_provider_cleanlist.submission.submit import SubmissionReport

MAX_IDS_IN_EVENT = 100


def submission_result(plan: SubmissionOptions, read: ReadReport, report: SubmissionReport) -> dict[str, Any]:
    """Return what goes to XCom: ids and counts.

    Args:
        plan: What the user asked for.
        read: What became of the rows of the source.
        report: What became of the contacts.
    """
    return {
        "workflow_ids": report.workflow_ids,
        "enrichment_type": plan.enrichment_type.value,
        "contacts_read": read.rows,
        "contacts_submitted": report.contacts_submitted,
        "duplicates_dropped": read.duplicates.count,
        "invalid_contacts": read.refused_rows + len(report.refused_rows),
        "unknown_contacts": report.unknown_contacts,
        "batches": len(report.workflow_ids),
        "worst_case_credits": report.worst_case_credits,
    }


def submission_line(result: Mapping[str, Any], report: SubmissionReport) -> str:
    """Return a line for the log on what was submitted.

    Args:
        result: From :func:`submission_result`.
        report: What became of the contacts.
    """
    parts = [
        f"Submitted: {result['contacts_submitted']} contacts in {result['batches']} workflows, at most "
        f"{result['worst_case_credits']} credits."
    ]
    if report.submitted_earlier:
        parts.append(
            f"{report.submitted_earlier} of them had been submitted by an earlier try and were not sent again."
        )
    if report.unknown_contacts:
        parts.append(
            f"{report.unknown_contacts} more were left out, because it is not known whether an earlier request with "
            "them was accepted."
        )
    return " ".join(parts)


def credits_spent(enrichment_types: frozenset[str], summary: Mapping[str, Any]) -> int | None:
    """Return the credits that finds cost, or None when workflows of different types are summed up.

    Args:
        enrichment_types: What was asked for, over all workflows.
        summary: Counts of finds, as a wait returns them.
    """
    if not enrichment_types:
        return 0
    if len(enrichment_types) > 1:
        return None
    (kind,) = enrichment_types
    return EnrichmentType(kind).credits(emails=summary["emails_found"], phones=summary["phones_found"])


def spending_line(
    result: Mapping[str, Any], *, balance_before: float | None, balance_after: float | None
) -> str:
    """Return a line for the log on what the finds cost.

    Args:
        result: With ``credits_spent`` and ``worst_case_credits``.
        balance_before: The organisation's credits before this try submitted anything, if known.
        balance_after: Its credits now, if known.
    """
    spent = result["credits_spent"]
    line = (
        "Credits spent cannot be told from the finds, because tries asked for different things."
        if spent is None
        else f"Credits spent, from what was found: {spent} of at most {result['worst_case_credits']}."
    )
    if balance_before is None or balance_after is None:
        return line
    return (
        f"{line} The organisation's balance went from {balance_before:g} to {balance_after:g}; others may have used it "
        "too."
    )


def event_extra(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an asset event carries: the result, with the first workflow ids only.

    Args:
        result: What goes to XCom.
    """
    return {**result, "workflow_ids": result["workflow_ids"][:MAX_IDS_IN_EVENT]}
