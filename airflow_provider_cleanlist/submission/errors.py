"""What can go wrong with a submission: what it means for the money, and whether Airflow should retry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import EnrichmentType
from airflow_provider_cleanlist.contacts.errors import SourceError
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistDataError,
    CleanlistStateCorruptError,
    CleanlistStateError,
    CleanlistStoppedError,
    to_airflow,
)
from airflow_provider_cleanlist.submission.credits import worst_case_credits
from airflow_provider_cleanlist.submission.journal import (
    JournalConfigurationError,
    JournalCorruptError,
    JournalError,
    JournalMissingError,
    JournalOrganisationError,
)
from airflow_provider_cleanlist.wording import counted

MAX_ROWS_NAMED = 20
OTHER_ORGANISATION = (
    "Another organisation: {what}. Going on would leave out contacts that this organisation has never submitted. Give "
    "the connection a key of the first organisation back, or a new force_resubmit value to submit all contacts for the "
    "second one."
)


@contextmanager
def submission_errors() -> Iterator[None]:
    """Raise whatever goes wrong as the exception that tells Airflow whether to retry."""
    try:
        yield
    except errors.ApiError as error:
        raise to_airflow(error) from None
    except SourceError as error:
        raise CleanlistDataError(f"Nothing was submitted in this attempt: {error}") from None
    except (JournalMissingError, JournalConfigurationError) as error:
        text = str(error)
        raise CleanlistConfigurationError(f"{text[:1].upper()}{text[1:].removesuffix('.')}.") from None
    except JournalOrganisationError as error:
        raise CleanlistConfigurationError(
            f"{OTHER_ORGANISATION.format(what=error)} Nothing was submitted in this attempt."
        ) from None
    except JournalCorruptError as error:
        raise CleanlistStateCorruptError(
            f"The record of what was submitted is damaged: {error}. Nothing more was submitted. Compare with the "
            "Cleanlist portal; then give a new force_resubmit value to start over with all contacts and pay for them "
            "again, or start a new DAG run with the contacts that are missing."
        ) from None
    except JournalError as error:
        raise CleanlistStateError(
            f"The record of what was submitted cannot be read or written: {error}. Nothing more was submitted."
        ) from error


def unknown_outcome(
    contacts: Mapping[EnrichmentType, int], info: errors.ErrorInfo
) -> errors.SubmissionUnknownError:
    """Say what an unknown outcome means for the money, and how to continue.

    Args:
        contacts: Contacts whose outcome is unknown, by what was asked for.
        info: What is known of the request.
    """
    hint = (
        f"It carried {sum(contacts.values())} contacts; if it was accepted, they cost up to "
        f"{worst_case_credits(contacts)} credits. "
        "They were not submitted again. Compare the credit balance in the Cleanlist portal, then clear the task with "
        "on_unknown_submission='skip' to leave these contacts out, with on_unknown_submission='resubmit' to submit "
        "them again and perhaps pay twice, or with a new force_resubmit value to start over with all contacts."
    )
    return errors.SubmissionUnknownError(replace(info, hint=hint))


def moved_contacts(missing: int, pending: Mapping[EnrichmentType, int]) -> errors.SubmissionUnknownError:
    """Say that a mapped task's record and its input do not belong together, and how to continue.

    Args:
        missing: Contacts that this map index has submitted and that its input does not hold.
        pending: Contacts of its input that it has not submitted, by what is asked for.
    """
    why = (
        f"this map index has submitted {counted(missing, 'contact')} that its input does not hold, and the input holds "
        f"{counted(sum(pending.values()), 'other contact')}: the order of the mapping may have changed"
    )
    hint = (
        f"Another map index may have submitted these; they cost up to {worst_case_credits(pending)} credits. Nothing "
        "was submitted in this attempt. A ledger ([cleanlist] ledger_conn_id) or [cleanlist] journal_path knows what "
        "every map index has submitted: configure one, and start a new DAG run. To submit these contacts all the "
        "same, and perhaps pay twice, clear the task with on_unknown_submission='resubmit'."
    )
    return errors.SubmissionUnknownError(errors.ErrorInfo("submit the bulk enrichment", why, hint=hint))


def stopped(left: int) -> CleanlistStoppedError:
    """Say that the task was asked to stop and did so between two requests.

    Args:
        left: Contacts that are left.
    """
    return CleanlistStoppedError(
        "The task was asked to stop, and did so between two requests. What was accepted before stays. "
        f"{left} contacts are left: another attempt of the task submits only those."
    )


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
    error: errors.ApiError, *, batch: int, cost: int, left: int, cost_left: int, balance: float | None
) -> errors.ApiError:
    """Say what a refusal that ends the task means for the money.

    Args:
        error: The API's answer.
        batch: Contacts in the refused batch.
        cost: Credits that the batch costs at most.
        left: Contacts in it and after it.
        cost_left: Credits that all of these cost at most.
        balance: Credits the organisation has now; None when that does not matter or is not known.
    """
    hint = (
        "This batch was not accepted and costs nothing; what was accepted before stays. "
        f"{left} contacts are left: another attempt of the task submits only those."
    )
    if balance is not None:
        hint += (
            f" The balance is {balance:g} credits now; this batch of {batch} contacts costs up to {cost}, all that are "
            f"left up to {cost_left}."
        )
    return type(error)(replace(error.info, hint=f"{hint} {error.info.hint or ''}".rstrip()))


def named_rows(rows: list[int]) -> str:
    """Return the first row numbers and how many more there are."""
    named = ", ".join(str(row) for row in rows[:MAX_ROWS_NAMED])
    return f"{named} and {len(rows) - MAX_ROWS_NAMED} more" if len(rows) > MAX_ROWS_NAMED else named
