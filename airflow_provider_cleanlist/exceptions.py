"""What the provider raises in Airflow tasks. The class decides whether Airflow retries the task.

An error that a retry cannot fix is an ``AirflowFailException``: the task fails at once, whatever its ``retries``. Every
other one is an ``AirflowException``, so the task is retried. Each error of the API is also an instance of the class in
:mod:`airflow_provider_cleanlist.client.errors` that it mirrors, and all are :class:`CleanlistError`.
"""

from __future__ import annotations

from dataclasses import replace

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.errors import CleanlistError

__all__ = [
    "CleanlistAuthenticationError",
    "CleanlistBadRequestError",
    "CleanlistConfigurationError",
    "CleanlistCreditLimitError",
    "CleanlistDataError",
    "CleanlistError",
    "CleanlistInsufficientCreditsError",
    "CleanlistInvalidRequestError",
    "CleanlistLoadError",
    "CleanlistNotFoundError",
    "CleanlistPermissionError",
    "CleanlistRateLimitedError",
    "CleanlistRejectsFileError",
    "CleanlistServerError",
    "CleanlistSourceUnavailableError",
    "CleanlistStateCorruptError",
    "CleanlistStateError",
    "CleanlistStoppedError",
    "CleanlistSubmissionUnknownError",
    "CleanlistTransportError",
    "CleanlistUnexpectedResponseError",
    "CleanlistWaitTimeoutError",
    "CleanlistWorkflowFailedError",
    "to_airflow",
]


class CleanlistBadRequestError(errors.BadRequestError, AirflowFailException):
    """The API rejected the request. Not retried."""


class CleanlistAuthenticationError(errors.AuthenticationError, AirflowFailException):
    """The API key was refused. Not retried."""


class CleanlistInsufficientCreditsError(errors.InsufficientCreditsError, AirflowFailException):
    """The balance does not cover the request. Not retried; clear the task after topping up."""


class CleanlistPermissionError(errors.PermissionDeniedError, AirflowFailException):
    """The plan or the key's scopes do not allow the request, or Cleanlist manages the list itself. Not retried."""


class CleanlistNotFoundError(errors.NotFoundError, AirflowFailException):
    """There is no such workflow, task, list or folder. Not retried."""


class CleanlistInvalidRequestError(errors.InvalidRequestError, AirflowFailException):
    """The API rejected fields of the request. Not retried."""


class CleanlistRateLimitedError(errors.RateLimitedError, AirflowException):
    """The request budget was exhausted for too long. Retried."""


class CleanlistServerError(errors.ServerError, AirflowException):
    """The API failed. Retried."""


class CleanlistTransportError(errors.TransportError, AirflowException):
    """The API did not respond. Retried."""


class CleanlistUnexpectedResponseError(errors.UnexpectedResponseError, AirflowException):
    """The API's response lacks what it should contain, or is about something else. Retried."""


class CleanlistSubmissionUnknownError(errors.SubmissionUnknownError, AirflowFailException):
    """It is not known whether contacts were accepted, and so billed. Not retried: a user must decide."""


class CleanlistConfigurationError(CleanlistError, AirflowFailException):
    """An argument, a connection or a setting is invalid. Not retried."""


class CleanlistDataError(CleanlistError, AirflowFailException):
    """The input data cannot be used as it is. Not retried."""


class CleanlistCreditLimitError(CleanlistError, AirflowFailException):
    """The worst case costs more than the user allows or the balance covers. Nothing was submitted. Not retried."""


class CleanlistStateError(CleanlistError, AirflowException):
    """The record of earlier submissions cannot be read or written at the moment. Retried; it is never guessed."""


class CleanlistStateCorruptError(CleanlistError, AirflowFailException):
    """The record of earlier submissions is damaged. Not retried; it is never guessed."""


class CleanlistStoppedError(CleanlistError, AirflowException):
    """The worker stopped the task, which ended between two requests. Retried: nothing is lost or unknown."""


class CleanlistSourceUnavailableError(CleanlistError, AirflowException):
    """The contacts cannot be read at the moment. Retried: nothing was submitted in this attempt."""


class CleanlistRejectsFileError(CleanlistError, AirflowException):
    """The file of contacts that were not submitted cannot be written. Retried; a retry submits nothing twice."""


class CleanlistWorkflowFailedError(CleanlistError, AirflowFailException):
    """Workflows failed on Cleanlist's side. Not retried: the same workflows would stay failed."""


class CleanlistWaitTimeoutError(CleanlistError, AirflowSensorTimeout):
    """The wait timed out; the workflows continue. Not retried, like every sensor timeout; may skip the task."""


class CleanlistLoadError(CleanlistError, AirflowException):
    """The warehouse did not accept the data; the target table is unchanged. Retried."""


_AIRFLOW_CLASSES: dict[type[errors.ApiError], type[errors.ApiError]] = {
    errors.BadRequestError: CleanlistBadRequestError,
    errors.AuthenticationError: CleanlistAuthenticationError,
    errors.InsufficientCreditsError: CleanlistInsufficientCreditsError,
    errors.PermissionDeniedError: CleanlistPermissionError,
    errors.NotFoundError: CleanlistNotFoundError,
    errors.InvalidRequestError: CleanlistInvalidRequestError,
    errors.RateLimitedError: CleanlistRateLimitedError,
    errors.ServerError: CleanlistServerError,
    errors.TransportError: CleanlistTransportError,
    errors.UnexpectedResponseError: CleanlistUnexpectedResponseError,
    errors.SubmissionUnknownError: CleanlistSubmissionUnknownError,
}


_OF_THE_CONNECTION = (
    errors.AuthenticationError,
    errors.PermissionDeniedError,
    errors.TransportError,
    errors.UnexpectedResponseError,
)
"""Errors that may come from a wrong key or host, so that their text names the connection."""


def to_airflow(error: errors.CleanlistError, connection: str = "") -> CleanlistError:
    """Return the exception for Airflow that mirrors an error of the client; one for Airflow is returned as it is.

    Args:
        error: An error of the client.
        connection: Which connection and host were used, for errors that may come from them.
    """
    if isinstance(error, AirflowException):
        return error
    if isinstance(error, errors.ApiError):
        named = connection if isinstance(error, _OF_THE_CONNECTION) else ""
        return _AIRFLOW_CLASSES[type(error)](replace(error.info, connection=named))
    return CleanlistConfigurationError(f"This request was not sent to Cleanlist: {error}.")
