"""The exceptions that Airflow sees: which are retried, and that they survive their way through Airflow."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.exceptions import CleanlistError, to_airflow

INFO = errors.ErrorInfo(
    operation="read lead list 7",
    message="It is gone",
    status=404,
    code="not_found",
    retryable=False,
    retry_after=1.5,
    request_id="req_1",
    field_errors=(errors.FieldError(("body", "contacts", 7), "refused", 7),),
    hint="Look again.",
)

OURS = [
    it
    for name, it in vars(exceptions).items()
    if inspect.isclass(it) and it.__module__ == exceptions.__name__ and not name.startswith("_")
]


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {found for sub in kind.__subclasses__() for found in (sub, *subclasses(sub))}


CLIENT_ERRORS = sorted(
    (it for it in subclasses(errors.ApiError) if it.__module__ == errors.__name__), key=lambda it: it.__name__
)


@pytest.mark.parametrize("kind", CLIENT_ERRORS, ids=lambda kind: kind.__name__)
def test_only_what_time_may_heal_is_retried(kind: type[errors.ApiError]) -> None:
    heals = {
        errors.RateLimitedError,
        errors.ServerError,
        errors.TransportError,
        errors.UnexpectedResponseError,
    }
    assert isinstance(to_airflow(kind(INFO)), AirflowFailException) is (kind not in heals)


def test_everything_public_is_exported() -> None:
    assert set(exceptions.__all__) == {it.__name__ for it in OURS} | {"CleanlistError", "to_airflow"}


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_the_description_says_whether_airflow_retries(kind: type[Exception]) -> None:
    assert issubclass(kind, CleanlistError)
    assert issubclass(kind, AirflowException)
    fails_at_once = issubclass(kind, AirflowFailException | AirflowSensorTimeout)
    assert ("Not retried" in (kind.__doc__ or "")) is fails_at_once
    assert ("Retried" in (kind.__doc__ or "")) is not fails_at_once


@pytest.mark.parametrize("kind", CLIENT_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_has_its_airflow_twin(kind: type[errors.ApiError]) -> None:
    error = kind(INFO)
    twin = to_airflow(error)
    assert isinstance(twin, kind)
    assert isinstance(twin, AirflowException)
    assert isinstance(twin, errors.ApiError)
    assert twin.info == INFO
    assert str(twin) == str(error)
    nearest = [it for it in type(twin).__mro__ if it.__module__ == errors.__name__]
    assert nearest[0] is kind


def test_an_error_for_airflow_stays_as_it_is() -> None:
    error = exceptions.CleanlistNotFoundError(INFO)
    assert to_airflow(error) is error


def test_a_bad_argument_becomes_a_configuration_error() -> None:
    twin = to_airflow(errors.ConfigurationError("'' is not a valid id"))
    assert type(twin) is exceptions.CleanlistConfigurationError
    assert str(twin) == "This request was not sent to Cleanlist: '' is not a valid id."


@pytest.mark.parametrize("kind", [*CLIENT_ERRORS, *OURS], ids=lambda kind: kind.__name__)
def test_an_error_crosses_processes(kind: type[CleanlistError]) -> None:
    error = kind(INFO) if issubclass(kind, errors.ApiError) else kind("what happened")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert str(other) == str(error)
        assert getattr(other, "info", None) == getattr(error, "info", None)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_text_through_airflows_own_serialisation(kind: type[AirflowException]) -> None:
    error = kind(INFO) if issubclass(kind, errors.ApiError) else kind("what happened")
    path, args, kwargs = error.serialize()
    assert path == f"{exceptions.__name__}.{kind.__name__}"
    assert str(kind(*args, **kwargs)) == str(error)


def test_an_unknown_submission_says_so_first() -> None:
    lost = errors.SubmissionUnknownError(
        errors.ErrorInfo("submit the bulk enrichment", "no response arrived")
    )
    assert str(lost) == (
        "It is not known whether Cleanlist accepted the request to submit the bulk enrichment "
        "(no response arrived). If it was, its contacts are billed: do not repeat it blindly."
    )
    failed = errors.SubmissionUnknownError(
        errors.ErrorInfo("submit", "Internal error", status=500, hint="Ask.")
    )
    assert (
        str(failed)
        == "It is not known whether Cleanlist accepted the request to submit (HTTP 500: Internal error). Ask."
    )
