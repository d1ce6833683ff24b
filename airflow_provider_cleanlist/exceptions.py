"""What the provider raises inside Airflow. The class says whether Airflow should retry the task.

An error that a retry cannot heal is an ``AirflowFailException``: the task fails at once, whatever its ``retries``.
Every other one is an ``AirflowException`` and is retried. Each API error is also an instance of the class in
:mod:`airflow_provider_cleanlist.client.errors` that it mirrors, and everything is a :class:`CleanlistError`.
"""

from __future__ import annotations

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
    "CleanlistConflictError",
    "CleanlistCreditLimitError",
    "CleanlistDataError",
    "CleanlistError",
    "CleanlistInsufficientCreditsError",
    "CleanlistInvalidRequestError",
    "CleanlistLoadError",
    "CleanlistNotFoundError",
    "CleanlistPermissionError",
    "CleanlistProtectedListError",
    "CleanlistRateLimitedError",
    "CleanlistRejectsFileError",
    "CleanlistServerError",
    "CleanlistStateCorruptError",
    "CleanlistStateError",
    "CleanlistStoppedError",
    "CleanlistSubmissionUnknownError",
    "CleanlistTransportError",
    "CleanlistUnexpectedAnswerError",
    "CleanlistWaitTimeoutError",
    "CleanlistWorkflowFailedError",
    "to_airflow",
]


class CleanlistBadRequestError(errors.BadRequestError, AirflowFailException):
    """The request makes no sense to the API. Not retried."""


class CleanlistAuthenticationError(errors.AuthenticationError, AirflowFailException):
    """The API key was refused. Not retried."""


class CleanlistInsufficientCreditsError(errors.InsufficientCreditsError, AirflowFailException):
    """The balance does not cover the request. Not retried; clear the task after topping up."""


class CleanlistPermissionError(errors.PermissionDeniedError, AirflowFailException):
    """The plan or the key's scopes do not allow the request. Not retried."""


class CleanlistProtectedListError(errors.ProtectedListError, AirflowFailException):
    """The list is managed by Cleanlist. Not retried."""


class CleanlistNotFoundError(errors.NotFoundError, AirflowFailException):
    """No such workflow, task, list or folder. Not retried."""


class CleanlistConflictError(errors.ConflictError, AirflowFailException):
    """The request contradicts the state on the server. Not retried."""


class CleanlistInvalidRequestError(errors.InvalidRequestError, AirflowFailException):
    """The API refused fields of the request. Not retried."""


class CleanlistRateLimitedError(errors.RateLimitedError, AirflowException):
    """The request budget stayed exhausted for too long. Retried."""


class CleanlistServerError(errors.ServerError, AirflowException):
    """The API failed on its side. Retried."""


class CleanlistTransportError(errors.TransportError, AirflowException):
    """The API did not answer. Retried."""


class CleanlistUnexpectedAnswerError(errors.UnexpectedAnswerError, AirflowException):
    """The API answered against its contract. Retried."""


class CleanlistSubmissionUnknownError(errors.SubmissionUnknownError, AirflowFailException):
    """It is not known whether contacts were accepted, and so billed. Not retried: a user must decide."""


class CleanlistConfigurationError(CleanlistError, AirflowFailException):
    """An argument, a connection or a setting is wrong. Not retried."""


class CleanlistDataError(CleanlistError, AirflowFailException):
    """The input data cannot be used as it is. Not retried."""


class CleanlistCreditLimitError(CleanlistError, AirflowFailException):
    """The worst case costs more than the user allows or the balance covers. Nothing was submitted. Not retried."""


class CleanlistStateError(CleanlistError, AirflowException):
    """The record of earlier submissions cannot be read or written at present. Retried; never guessed."""


class CleanlistStateCorruptError(CleanlistError, AirflowFailException):
    """The record of earlier submissions is damaged. Not retried; never guessed."""


class CleanlistStoppedError(CleanlistError, AirflowException):
    """The worker asked the task to stop, and it did so between two requests. Retried: nothing is lost or unknown."""


class CleanlistRejectsFileError(CleanlistError, AirflowException):
    """The file of contacts that were not submitted cannot be written. Retried; a retry submits nothing twice."""


class CleanlistWorkflowFailedError(CleanlistError, AirflowFailException):
    """Workflows failed on Cleanlist's side. Not retried: the same workflows would stay failed."""


class CleanlistWaitTimeoutError(CleanlistError, AirflowSensorTimeout):
    """The wait for workflows timed out; they go on. Not retried, as every sensor's timeout; may skip the task."""


class CleanlistLoadError(CleanlistError, AirflowException):
    """The warehouse could not take the data; the target table is as it was. Retried."""


_AIRFLOW_CLASSES: dict[type[errors.ApiError], type[errors.ApiError]] = {
    errors.BadRequestError: CleanlistBadRequestError,
    errors.AuthenticationError: CleanlistAuthenticationError,
    errors.InsufficientCreditsError: CleanlistInsufficientCreditsError,
    errors.PermissionDeniedError: CleanlistPermissionError,
    errors.ProtectedListError: CleanlistProtectedListError,
    errors.NotFoundError: CleanlistNotFoundError,
    errors.ConflictError: CleanlistConflictError,
    errors.InvalidRequestError: CleanlistInvalidRequestError,
    errors.RateLimitedError: CleanlistRateLimitedError,
    errors.ServerError: CleanlistServerError,
    errors.TransportError: CleanlistTransportError,
    errors.UnexpectedAnswerError: CleanlistUnexpectedAnswerError,
    errors.SubmissionUnknownError: CleanlistSubmissionUnknownError,
}


def to_airflow(error: errors.CleanlistError) -> CleanlistError:
    """Return the error that tells Airflow whether to retry; one that does so already comes back as it is.

    Args:
        error: An error of the client.
    """
    if isinstance(error, AirflowException):
        return error
    if isinstance(error, errors.ApiError):
        return _AIRFLOW_CLASSES[type(error)](error.info)
    return CleanlistConfigurationError(f"Cleanlist was not asked: {error}.")
