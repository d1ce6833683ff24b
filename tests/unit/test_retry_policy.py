"""Which failures are retried when, and what Airflow's retry policy makes of it."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.retry_policy import advise, cleanlist_retry_policy

FIRST = timedelta(seconds=30)
LONGEST = timedelta(minutes=15)
HAS_POLICIES = find_spec("airflow.sdk") is not None and hasattr(import_module("airflow.sdk"), "RetryPolicy")

API_ERRORS = {
    errors.BadRequestError: False,
    errors.AuthenticationError: False,
    errors.InsufficientCreditsError: False,
    errors.PermissionDeniedError: False,
    errors.NotFoundError: False,
    errors.InvalidRequestError: False,
    errors.SubmissionUnknownError: False,
    errors.RateLimitedError: True,
    errors.ServerError: True,
    errors.TransportError: True,
    errors.UnexpectedResponseError: None,
}


def info(retry_after: float | None = None) -> errors.ErrorInfo:
    return errors.ErrorInfo("read", "no", retry_after=retry_after)


def all_subclasses(base: type) -> set[type]:
    return {sub for child in base.__subclasses__() for sub in {child, *all_subclasses(child)}}


def test_there_is_advice_on_every_error_of_the_api() -> None:
    assert {kind for kind in all_subclasses(errors.ApiError) if kind.__module__ == errors.__name__} == set(
        API_ERRORS
    )


@pytest.mark.parametrize(("kind", "retry"), API_ERRORS.items(), ids=str)
@pytest.mark.parametrize("inside_airflow", [False, True])
def test_what_is_retried(kind: type[errors.ApiError], retry: bool | None, inside_airflow: bool) -> None:
    error = exceptions.to_airflow(kind(info())) if inside_airflow else kind(info())
    advice = advise(error, 1, FIRST, LONGEST)
    assert (advice and advice.retry) == retry


def test_what_the_policy_fails_airflow_fails_too() -> None:
    for kind, retry in API_ERRORS.items():
        error = exceptions.to_airflow(kind(info()))
        assert isinstance(error, AirflowFailException) == (retry is False), kind


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, 60),
        (0, 60),
        (7, 7),
        (7.5, 7.5),
        (60, 60),
        (900, 900),
        (9000, 900),
        (99999999999999, 900),
        (9e307, 900),
    ],
)
def test_a_used_up_limit_waits_for_what_the_api_asks(retry_after: float | None, seconds: float) -> None:
    advice = advise(errors.RateLimitedError(info(retry_after)), 3, FIRST, LONGEST)
    assert advice
    assert advice.delay == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("try_number", "seconds"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (10_000, 900)],
)
def test_failures_that_pass_wait_twice_as_long_each_time(try_number: int, seconds: float) -> None:
    for error in (
        errors.ServerError(info()),
        errors.TransportError(info()),
        exceptions.CleanlistStateError("x"),
    ):
        advice = advise(error, try_number, FIRST, LONGEST)
        assert advice
        assert advice.delay == timedelta(seconds=seconds)


@pytest.mark.parametrize(("retry_after", "seconds"), [(10, 30), (45, 45), (5000, 900), (99999999999999, 900)])
def test_a_failing_api_that_asks_to_wait_is_obeyed(retry_after: float, seconds: float) -> None:
    advice = advise(errors.ServerError(info(retry_after)), 1, FIRST, LONGEST)
    assert advice
    assert advice.delay == timedelta(seconds=seconds)


@pytest.mark.parametrize("error", [ValueError("x"), exceptions.CleanlistLoadError("x"), KeyboardInterrupt()])
def test_other_errors_are_left_to_the_task(error: BaseException) -> None:
    assert advise(error, 1, FIRST, LONGEST) is None


@pytest.mark.skipif(HAS_POLICIES, reason="this Airflow has retry policies")
def test_without_retry_policies_the_error_says_what_to_do() -> None:
    with pytest.raises(CleanlistConfigurationError, match=r"needs Airflow 3\.3 or later.*retry_delay"):
        cleanlist_retry_policy()


@pytest.mark.skipif(not HAS_POLICIES, reason="Airflow has retry policies since 3.3")
class TestPolicy:
    def decide(self, error: BaseException, try_number: int = 1) -> tuple[str, timedelta | None]:
        policy = cleanlist_retry_policy(first_delay=timedelta(seconds=2), longest_delay=timedelta(seconds=50))
        decision = policy.evaluate(error, try_number, max_tries=3)
        return decision.action.value, decision.retry_delay

    def test_advice_becomes_a_decision(self) -> None:
        assert self.decide(errors.RateLimitedError(info(20))) == ("retry", timedelta(seconds=20))
        assert self.decide(errors.ServerError(info()), 3) == ("retry", timedelta(seconds=8))
        assert self.decide(errors.RateLimitedError(info())) == ("retry", timedelta(seconds=50))
        assert self.decide(errors.InsufficientCreditsError(info())) == ("fail", None)
        assert self.decide(ValueError("x")) == ("default", None)

    def test_it_is_what_operators_take(self) -> None:
        from airflow.sdk import RetryPolicy

        operator = BaseOperator(task_id="t", retry_policy=cleanlist_retry_policy())
        assert operator.has_retry_policy
        assert isinstance(operator.retry_policy, RetryPolicy)
