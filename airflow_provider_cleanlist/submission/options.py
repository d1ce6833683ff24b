"""What the user asked to submit, and the decisions about credits that follow from it. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import EnrichmentType
from airflow_provider_cleanlist.submission.journal_index import OnUnknown

MAX_ROWS_NAMED = 20


class OnInvalid(StrEnum):
    """What the user wants done about contacts that Cleanlist cannot look up."""

    FAIL = "fail"
    SKIP = "skip"


class CreditLimitError(Exception):
    """The worst case costs more than it may. What it speaks of was not submitted."""


@dataclass(frozen=True, slots=True)
class SubmissionOptions:
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


def check_credits(plan: SubmissionOptions, *, remaining: int, spent: int, balance: float | None) -> None:
    """Refuse before a request what may cost too much.

    Args:
        plan: What the user asked for.
        remaining: Contacts still to be submitted.
        spent: Worst-case credits of everything that was, or may have been, submitted before.
        balance: Credits the organisation has, or None when that is not known or not to be checked.

    Raises:
        CreditLimitError: The worst case is above ``max_credits`` or the balance.
    """
    cost = plan.worst_case(remaining)
    what = (
        f"{remaining} contacts were not submitted: with enrichment_type={plan.enrichment_type.value!r} they cost up to "
        f"{cost} credits"
    )
    if plan.max_credits is not None and spent + cost > plan.max_credits:
        earlier = f", and what was submitted before up to {spent}" if spent else ""
        raise CreditLimitError(
            f"{what}{earlier}, more than max_credits={plan.max_credits}. Submit fewer contacts or raise max_credits."
        )
    if balance is not None and cost > balance:
        raise CreditLimitError(f"{what}, and the balance is {balance:g}. Top up, or submit fewer contacts.")


def unknown_outcome(
    plan: SubmissionOptions, contacts: int, info: errors.ErrorInfo
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


def refused_by_api(error: errors.ApiError, rows: list[int]) -> errors.ApiError:
    """Say which contacts the API refused, and with them the whole batch.

    Args:
        error: The API's answer.
        rows: Rows of the refused contacts; none when the answer names no contact.
    """
    if rows:
        hint = (
            f"It refused {len(rows)} contacts and with them the batch; nothing of it was accepted or billed. "
            f"Source rows: {named_rows(rows)}. Correct them, or set on_invalid_contact='skip' to submit the others."
        )
    else:
        hint = (
            "The answer names no contact, so it is about the request as a whole, and leaving contacts out would not "
            "help; nothing of it was accepted or billed. Check enrichment_type and webhook_url."
        )
    return type(error)(replace(error.info, hint=hint))


def not_accepted(
    plan: SubmissionOptions, error: errors.ApiError, *, batch: int, left: int, balance: float | None
) -> errors.ApiError:
    """Say what a refusal that ends the task means for the money.

    Args:
        plan: What the user asked for.
        error: The API's answer.
        batch: Contacts in the refused batch.
        left: Contacts in it and after it.
        balance: Credits the organisation has now; None when that does not matter or is not known.
    """
    hint = (
        "This batch was not accepted and costs nothing; what was accepted before stays. "
        f"{left} contacts are left: another try of the task submits only those."
    )
    if balance is not None:
        hint += (
            f" The balance is {balance:g} credits now; this batch of {batch} contacts costs up to "
            f"{plan.worst_case(batch)}, all that are left up to {plan.worst_case(left)}."
        )
    return type(error)(replace(error.info, hint=f"{hint} {error.info.hint or ''}".rstrip()))


def named_rows(rows: list[int]) -> str:
    """Return the first row numbers and how many more there are."""
    named = ", ".join(str(row) for row in rows[:MAX_ROWS_NAMED])
    return f"{named} and {len(rows) - MAX_ROWS_NAMED} more" if len(rows) > MAX_ROWS_NAMED else named
