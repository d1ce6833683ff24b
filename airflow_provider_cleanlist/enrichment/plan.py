"""What the user asked to submit, and the decisions about credits that follow from it. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import EnrichmentType
from airflow_provider_cleanlist.enrichment.journal import OnUnknown


class OnInvalid(StrEnum):
    """What the user wants done about contacts that Cleanlist cannot look up."""

    FAIL = "fail"
    SKIP = "skip"


class CreditLimitError(Exception):
    """The worst case costs more than it may. Nothing was submitted."""


@dataclass(frozen=True, slots=True)
class SubmissionPlan:
    """What the user asked for.

    Attributes:
        enrichment_type: What to look for.
        batch_size: Contacts per request, 1 to 250.
        max_credits: Most credits that the whole task may cost in the worst case, or None.
        on_unknown: What to do about contacts of unknown outcome.
        on_invalid: What to do about contacts that Cleanlist refuses.
        webhook_url: Address that receives the results, or None.
    """

    enrichment_type: EnrichmentType = EnrichmentType.PARTIAL
    batch_size: int = 250
    max_credits: int | None = None
    on_unknown: OnUnknown = OnUnknown.FAIL
    on_invalid: OnInvalid = OnInvalid.FAIL
    webhook_url: str | None = None

    def worst_case(self, contacts: int) -> int:
        """Return the credits that so many contacts cost when everything is found."""
        return contacts * self.enrichment_type.worst_case_credits


def check_credits(
    plan: SubmissionPlan, *, remaining: int, accepted_worst_case: int, balance: float | None
) -> None:
    """Refuse before the first request what may cost too much.

    Args:
        plan: What the user asked for.
        remaining: Contacts still to be submitted.
        accepted_worst_case: Worst-case credits of what earlier tries submitted.
        balance: Credits the organisation has, or None when that is not known.

    Raises:
        CreditLimitError: The worst case is above ``max_credits`` or the balance.
    """
    cost = plan.worst_case(remaining)
    if plan.max_credits is not None and accepted_worst_case + cost > plan.max_credits:
        earlier = f", and {accepted_worst_case} for what was submitted before" if accepted_worst_case else ""
        raise CreditLimitError(
            f"Nothing was submitted: {remaining} contacts with enrichment_type={plan.enrichment_type.value!r} cost up "
            f"to {cost} credits{earlier}, more than max_credits={plan.max_credits}. Submit fewer contacts or raise "
            "max_credits."
        )
    if balance is not None and cost > balance:
        raise CreditLimitError(
            f"Nothing was submitted: {remaining} contacts with enrichment_type={plan.enrichment_type.value!r} cost up "
            f"to {cost} credits, and the balance is {balance:g}. Top up, or submit fewer contacts."
        )


def unknown_outcome(
    plan: SubmissionPlan, contacts: int, info: errors.ErrorInfo
) -> errors.SubmissionUnknownError:
    """Say what an unknown outcome means for the money, and the three ways on.

    Args:
        plan: What the user asked for.
        contacts: Contacts whose outcome is unknown.
        info: What is known of the request.
    """
    hint = (
        f"It carried {contacts} contacts; if it was accepted, they cost up to {plan.worst_case(contacts)} credits. "
        "They were not submitted again. Compare the credit balance in the Cleanlist portal, then clear the task with "
        "on_unknown_submission='skip' to leave these contacts out, with on_unknown_submission='resubmit' to submit "
        "them again and perhaps pay twice, or with a new force_resubmit value to start over with all contacts."
    )
    return errors.SubmissionUnknownError(replace(info, hint=hint))
