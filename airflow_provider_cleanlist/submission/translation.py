"""How errors of an enrichment reach Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.contacts.errors import SourceError
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistCreditLimitError,
    CleanlistDataError,
    CleanlistRejectsFileError,
    CleanlistStateCorruptError,
    CleanlistStateError,
    CleanlistStoppedError,
    to_airflow,
)
from airflow_provider_cleanlist.submission.journal import (
    JournalCorruptError,
    JournalError,
    JournalMissingError,
)
from airflow_provider_cleanlist.submission.options import CreditLimitError
from airflow_provider_cleanlist.submission.rejects import RejectsFileError
from airflow_provider_cleanlist.submission.submit import SubmissionStoppedError


@contextmanager
def as_airflow_errors() -> Iterator[None]:
    """Raise what goes wrong as the exception that tells Airflow whether to retry."""
    try:
        yield
    except errors.ApiError as error:
        raise to_airflow(error) from None
    except CreditLimitError as error:
        raise CleanlistCreditLimitError(str(error)) from None
    except SourceError as error:
        raise CleanlistDataError(f"Nothing was submitted in this try: {error}") from None
    except SubmissionStoppedError as error:
        raise CleanlistStoppedError(str(error)) from None
    except RejectsFileError as error:
        raise CleanlistRejectsFileError(
            f"{error}. What was submitted is recorded: another try of the task submits only the rest."
        ) from error
    except JournalMissingError as error:
        raise CleanlistConfigurationError(str(error)) from None
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
