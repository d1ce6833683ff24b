"""What can go wrong with a submission, what that means for the money, and whether Airflow should retry."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.enrichment import EnrichmentType, worst_case_credits
from airflow_provider_cleanlist.contacts.errors import SourceError, SourceUnavailableError
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistDataError,
    CleanlistSourceUnavailableError,
    CleanlistStateCorruptError,
    CleanlistStateError,
    CleanlistStoppedError,
    to_airflow,
)
from airflow_provider_cleanlist.submission.history import IN_FLIGHT_SECONDS
from airflow_provider_cleanlist.wording import counted

MAX_ROWS_NAMED = 20
_NOT_KNOWN_HERE = (
    "This is try {try_number} of the task, and {place} knows no earlier attempt of it: they recorded elsewhere what "
    "they submitted, or nowhere, or failed before they could, or it was deleted, or replaced by an older backup. "
    "Nothing was submitted in this attempt. Check in the Cleanlist portal what they did. If they submitted nothing, or "
    "to pay again, clear the task with a new force_resubmit value: it submits all contacts. If they recorded it "
    "elsewhere, set [cleanlist] ledger_conn_id and journal_path as they were, and clear the task again."
)
OTHER_ORGANISATION = (
    "Another organisation: {what}. Continuing would leave out contacts that this organisation has never submitted. "
    "If it is a mapped task, give each organisation a task of its own: none may be mapped over several. Otherwise, "
    "give the connection a key of the first organisation again, or use a new force_resubmit value to submit all "
    "contacts for the second one. If a force_resubmit value has done that before, keep giving that value; the first "
    "organisation then needs a new DAG run."
)


class JournalError(Exception):
    """Base class of errors of the record of submissions."""


class JournalCorruptError(JournalError):
    """The record is damaged, so it cannot be determined what was paid."""


class JournalUnavailableError(JournalError):
    """The record cannot be read or written at present."""


class JournalTakenOverError(JournalError):
    """Another attempt of the task has taken over, and this one must not submit anything more."""


class JournalMissingError(JournalError):
    """What earlier attempts submitted is not recorded anywhere."""


class JournalConfigurationError(JournalError):
    """The journal cannot be used as configured; a retry would fail the same way."""


class JournalOrganisationError(JournalError):
    """This run and task has submitted contacts for another organisation."""


class WorkflowTakenError(JournalError):
    """Another batch became that workflow, so this one did not.

    Args:
        workflow_id: The workflow.
    """

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"another batch became workflow {workflow_id}")


class UndecidedError(Exception):
    """Nobody has decided about contacts of unknown outcome, and the user wants a person to be asked.

    Args:
        error: What fails the task if nobody can be asked.
        contacts: These contacts, by what was asked for.
        credits_to_resubmit: The least ``max_credits`` with which they can be submitted again; None if it allows that.
    """

    def __init__(
        self,
        error: errors.SubmissionUnknownError,
        contacts: Mapping[EnrichmentType, int],
        credits_to_resubmit: int | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.contacts = contacts
        self.credits_to_resubmit = credits_to_resubmit


@contextmanager
def submission_errors() -> Iterator[None]:
    """Turn every error of a submission into the exception that tells Airflow whether to retry."""
    try:
        yield
    except errors.ApiError as error:
        raise to_airflow(error) from None
    except SourceError as error:
        raise CleanlistDataError(f"Nothing was submitted in this attempt: {error}") from None
    except SourceUnavailableError as error:
        raise CleanlistSourceUnavailableError(f"Nothing was submitted in this attempt: {error}") from None
    except (JournalMissingError, JournalConfigurationError) as error:
        raise CleanlistConfigurationError(_sentence(str(error))) from None
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
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise CleanlistStateError(
            f"The worker's temporary directory {tempfile.gettempdir()} is full, where contacts are kept until they are "
            "sent. Nothing more was submitted. Free space there, or set TMPDIR to a larger directory."
        ) from error


_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _sentence(text: str) -> str:
    """Return a text as a sentence; one that begins with the name of an argument or option keeps it."""
    first, rest = (text[:1], text[1:]) if "_" in text.split(maxsplit=1)[0] else (text[:1].upper(), text[1:])
    return f"{first}{rest.removesuffix('.')}."


def unknown_outcome(
    contacts: Mapping[EnrichmentType, int], info: errors.ErrorInfo, is_resubmitted: bool = False
) -> errors.SubmissionUnknownError:
    """Return the error for a request of unknown outcome: what it may cost, and how to continue.

    Args:
        contacts: Contacts whose outcome is unknown, by what was asked for.
        info: What is known of the request.
        is_resubmitted: Whether it was the second one with contacts among these, as the user has wanted.
    """
    count, credits_at_most = sum(contacts.values()), worst_case_credits(contacts)
    words = "'skip'" if is_resubmitted else "'skip' or 'resubmit'"
    decision = f"{counted(count, 'contact')} may be billed: clear with on_unknown_submission={words}."
    cost = (
        f"It carried {counted(count, 'contact')}, some or all for the second time, because of "
        "on_unknown_submission='resubmit'; if both requests were accepted, the cost is up to "
        f"{counted(2 * credits_at_most, 'credit')}. Nothing was submitted a third time."
        if is_resubmitted
        else f"It carried {counted(count, 'contact')}; if it was accepted, the cost is up to "
        f"{counted(credits_at_most, 'credit')}. Nothing was submitted again."
    )
    again = "with on_unknown_submission='resubmit' to submit them again and perhaps pay twice, "
    hint = (
        f"{cost} Cleanlist charges only for what it finds, minutes later, so an unchanged balance "
        "does not show that nothing was accepted. Clear the task with on_unknown_submission='skip' to leave these "
        f"contacts out, {'' if is_resubmitted else again}or with a new force_resubmit value to start over with all "
        "contacts."
    )
    return errors.SubmissionUnknownError(replace(info, hint=hint, decision=decision))


def open_question(
    contacts: Mapping[EnrichmentType, int], info: errors.ErrorInfo
) -> errors.SubmissionUnknownError:
    """Return what notifiers tell about a request of unknown outcome that a person is asked about.

    Args:
        contacts: Contacts whose outcome is unknown, by what was asked for.
        info: What is known of the request.
    """
    count = counted(sum(contacts.values()), "contact")
    decision = f"{count} may be billed: decide in Airflow, Browse > Required Actions."
    hint = (
        f"It carried {count}; if it was accepted, the cost is up to "
        f"{counted(worst_case_credits(contacts), 'credit')}. Nothing was submitted again, and the task waits for an "
        "answer: skip these contacts, submit them again and perhaps pay twice, or stop."
    )
    return errors.SubmissionUnknownError(replace(info, hint=hint, decision=decision))


def unknown_elsewhere(
    contacts: Mapping[EnrichmentType, int], *, is_asked: bool
) -> errors.SubmissionUnknownError:
    """Return the error for contacts that another map index has submitted with an unknown outcome.

    Args:
        contacts: These contacts, by what was asked for.
        is_asked: Whether a person is asked about them there.
    """
    why = "another map index has submitted contacts of this input, and its answer was lost"
    error = unknown_outcome(contacts, errors.ErrorInfo("submit the bulk enrichment", why))
    if not is_asked:
        return error
    count = counted(sum(contacts.values()), "contact")
    decision = f"{count} may be billed: answer the question of the other map index, then clear this one."
    hint = (
        f"It carried {count} of this input; if it was accepted, the cost is up to "
        f"{counted(worst_case_credits(contacts), 'credit')}. Nothing was submitted again. A person is asked about them "
        "by that map index: answer there, in Airflow's Browse > Required Actions. Then clear this one, and it follows "
        "the answer."
    )
    return errors.SubmissionUnknownError(replace(error.info, hint=hint, decision=decision))


def moved_contacts(missing: int, pending: Mapping[EnrichmentType, int]) -> errors.SubmissionUnknownError:
    """Return the error for a mapped task whose record does not belong to its input, and how to continue.

    Args:
        missing: Contacts that this map index has submitted and that its input does not hold.
        pending: Contacts of its input that it has not submitted, by what is asked for.
    """
    why = (
        f"this map index has submitted {counted(missing, 'contact')} that its input does not hold, and the input holds "
        f"{counted(sum(pending.values()), 'other contact')}: the order of the mapping may have changed"
    )
    hint = (
        "Another map index may have submitted these; the cost is up to "
        f"{counted(worst_case_credits(pending), 'credit')}. Nothing was submitted in this attempt. Map over the list "
        "as it was, in the same order, and clear the task. To submit these contacts all the same, and perhaps pay "
        "twice, clear it with on_unknown_submission='resubmit'. A new DAG run pays again for all that this "
        "run has submitted. For later runs, configure a ledger ([cleanlist] ledger_conn_id) or [cleanlist] "
        "journal_path: it knows what every map index has submitted."
    )
    count = counted(sum(pending.values()), "contact")
    decision = f"{count} may be submitted twice: map over the list as it was, in the same order, then clear."
    info = errors.ErrorInfo("submit the bulk enrichment", why, hint=hint, decision=decision)
    return errors.SubmissionUnknownError(info)


def submitted_elsewhere(contacts: str, place: str) -> CleanlistStateError:
    """Return the error for contacts that another map index may be submitting, and whose outcome did not come.

    Args:
        contacts: How many.
        place: The other map indexes.
    """
    return CleanlistStateError(
        f"{contacts} of this task may be on the way in {place}, which recorded that it would submit them, and no "
        "outcome since. They were not submitted here; all others are settled. Another attempt looks again: it leaves "
        "them out if that request was accepted, and submits them if it was not. "
        f"{round(IN_FLIGHT_SECONDS / 60)} minutes after the request the outcome counts as unknown, and "
        "on_unknown_submission decides."
    )


def stopped(left: int) -> CleanlistStoppedError:
    """Return the error for a task that was asked to stop and did so between two requests.

    Args:
        left: Contacts that are left.
    """
    return CleanlistStoppedError(
        "The task was asked to stop, and did so between two requests. What was accepted before stays. "
        f"Another attempt of the task submits only the remaining {counted(left, 'contact')}."
    )


def refused_rows(read: ReadReport) -> SourceError:
    """Return the error for rows that cannot be looked up, by number.

    Args:
        read: What became of the rows of the source.
    """
    return SourceError(
        f"{read.refused_rows:,} of {counted(read.rows, 'row')} in {read.source} cannot be looked up. "
        + " ".join(f"{line}." for line in read.refusal_lines())
        + " Correct the rows, or set on_invalid_contact='skip' to submit the others."
    )


def refused_by_api(error: errors.ApiError, rows: list[int]) -> errors.ApiError:
    """Add to the API's refusal which contacts it concerns, and that the whole batch was refused with them.

    Args:
        error: The API's answer.
        rows: Rows of the refused contacts; none when the answer names no contact.
    """
    if rows:
        hint = (
            f"It refused {counted(len(rows), 'contact')} and with that the whole batch; nothing of it was accepted or "
            f"billed. Source rows: {named_rows(rows)}. Correct the source, or set on_invalid_contact='skip' to submit "
            "the others."
        )
    else:
        hint = (
            "The answer names no contact, so it is about the request as a whole, and leaving contacts out would not "
            "help; nothing of it was accepted or billed. Check enrichment_type and webhook_url."
        )
    return type(error)(replace(error.info, hint=hint))


def not_accepted(
    error: errors.ApiError,
    *,
    batch: Mapping[EnrichmentType, int],
    left: Mapping[EnrichmentType, int],
    balance: float | None,
) -> errors.ApiError:
    """Add to a refusal that ends the task what it means for the money.

    Args:
        error: The API's answer.
        batch: Contacts in the refused batch, by what was asked for.
        left: Contacts in it and after it, by what was asked for.
        balance: Credits the organisation has now; None when that does not matter or is not known.
    """
    hint = (
        "This batch was not accepted and costs nothing; what was accepted before stays. "
        f"Another attempt of the task submits only the remaining {counted(sum(left.values()), 'contact')}."
    )
    if balance is not None:
        hint += (
            f" The balance is {balance:,.10g} credits now; this batch of {counted(sum(batch.values()), 'contact')} "
            f"costs up to {worst_case_credits(batch):,}, all that are left up to {worst_case_credits(left):,}."
        )
    return type(error)(replace(error.info, hint=f"{hint} {error.info.hint or ''}".rstrip()))


def named_rows(rows: list[int]) -> str:
    """Return the first row numbers and how many more there are."""
    named = ", ".join(str(row) for row in rows[:MAX_ROWS_NAMED])
    return f"{named} and {len(rows) - MAX_ROWS_NAMED:,} more" if len(rows) > MAX_ROWS_NAMED else named


def not_known_here(try_number: int, place: str) -> JournalMissingError:
    """Return the error for a later attempt whose journal knows no earlier one.

    Args:
        try_number: Number of this attempt.
        place: What to call the journal's place.
    """
    return JournalMissingError(_NOT_KNOWN_HERE.format(try_number=try_number, place=place))


def other_organisation(recorded: str, now: str) -> str:
    """Return what is wrong when a journal belongs to another organisation.

    Args:
        recorded: The organisation in the journal.
        now: The one that the connection's key belongs to.
    """
    return (
        f"this run and task has submitted contacts for the organisation {recorded}, and the connection's key now "
        f"belongs to {now}"
    )
