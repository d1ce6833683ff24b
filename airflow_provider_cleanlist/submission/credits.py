"""What contacts cost: the worst case before a request, and what was found afterwards. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_cleanlist.client.enrichment import EnrichmentType, worst_case_credits
from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.exceptions import CleanlistCreditLimitError
from airflow_provider_cleanlist.submission.journal import Batch
from airflow_provider_cleanlist.wording import counted


def may_have_cost(batches: Iterable[Batch]) -> int:
    """Return the worst-case credits of all batches that were, or may have been, accepted.

    Args:
        batches: Batches in any state; rejected ones cost nothing.
    """
    return sum(batch.kind.worst_case_credits * batch.size for batch in batches if batch.may_be_billed)


def dearest_unknown(batches: Iterable[Batch], wanted: EnrichmentType) -> EnrichmentType:
    """Return the dearest type among batches of unknown outcome, so that a message names no less than they may cost.

    Args:
        batches: Batches in any state.
        wanted: What is asked for: the answer if none of them is unknown.
    """
    kinds = (batch.kind for batch in batches if batch.is_unknown)
    return max(kinds, key=lambda kind: kind.worst_case_credits, default=wanted)


def check_credits(
    contacts: Mapping[EnrichmentType, int], *, spent: int, max_credits: int | None, balance: float | None
) -> None:
    """Refuse contacts that may cost too much, before their request is sent.

    Args:
        contacts: Contacts still to be submitted, by what is asked for.
        spent: Worst-case credits of everything that was, or may have been, submitted before.
        max_credits: Most credits that the whole task may cost, or None.
        balance: Credits the organisation has, or None when that is not known or not to be checked.

    Raises:
        CleanlistCreditLimitError: The worst case is above ``max_credits`` or the balance.
    """
    cost = worst_case_credits(contacts)
    kinds = " and ".join(repr(kind.value) for kind, count in contacts.items() if count)
    what = (
        f"Did not submit {counted(sum(contacts.values()), 'contact')}: with enrichment_type={kinds} the cost is up to "
        f"{counted(cost, 'credit')}"
    )
    if max_credits is not None and spent + cost > max_credits:
        earlier = f", and for what was submitted before up to {spent:,}" if spent else ""
        raise CleanlistCreditLimitError(
            f"{what}{earlier}, more than max_credits={max_credits}. Raise max_credits to {spent + cost} and clear the "
            "task, or submit fewer contacts."
        )
    if balance is not None and cost > balance:
        raise CleanlistCreditLimitError(
            f"{what}, but the balance is {balance:,.10g}. Top up, or submit fewer contacts."
        )


def credits_to_resubmit(
    contacts: Mapping[EnrichmentType, int], batches: Iterable[Batch], max_credits: int | None
) -> int | None:
    """Return the least ``max_credits`` with which contacts can be submitted; None if it allows that.

    Args:
        contacts: The contacts, those of unknown outcome among them, by what is asked for.
        batches: What was submitted before.
        max_credits: Most credits that the whole task may cost, or None.
    """
    needed = may_have_cost(batches) + worst_case_credits(contacts)
    return None if max_credits is None or needed <= max_credits else needed


def workflow_credits(enrichment_type: str, end: WorkflowEnd) -> int | None:
    """Return the credits that the finds of a workflow cost; None if it is not known what was found.

    Args:
        enrichment_type: What was asked for.
        end: How the workflow ended.
    """
    kind = EnrichmentType(enrichment_type)
    emails = end.emails_found if kind.credits(emails=1, phones=0) else 0
    phones = end.phones_found if kind.credits(emails=0, phones=1) else 0
    return None if emails is None or phones is None else kind.credits(emails=emails, phones=phones)


def credits_spent(enrichment_types: Sequence[str], ends: Sequence[WorkflowEnd]) -> int | None:
    """Return the credits that the finds of workflows cost; None if it is not known what one of them found.

    Args:
        enrichment_types: What was asked for in each workflow.
        ends: How each workflow ended, in the same order.
    """
    costs = [workflow_credits(kind, end) for kind, end in zip(enrichment_types, ends, strict=True)]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def spending_line(
    result: Mapping[str, Any], *, balance_before: float | None, balance_after: float | None
) -> str:
    """Return the log line on what the finds cost.

    Args:
        result: With ``credits_spent`` and ``worst_case_credits``.
        balance_before: The organisation's credits before this attempt submitted anything, if known.
        balance_after: Its credits now, if known.
    """
    spent = result["credits_spent"]
    line = (
        "Credits spent cannot be determined, because Cleanlist did not say how much it found."
        if spent is None
        else f"Credits spent, from what was found: {spent:,} of at most {result['worst_case_credits']:,}."
    )
    if balance_before is None or balance_after is None:
        return line
    return (
        f"{line} The organisation's balance went from {balance_before:,.10g} to {balance_after:,.10g}; others may have "
        "used it too."
    )
