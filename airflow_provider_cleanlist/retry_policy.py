"""A retry policy for tasks that talk to Cleanlist, on Airflow 3.3 and later.

Without it Airflow's own rules apply, on every version: errors that a retry cannot fix fail the task at once, because of
their classes, and all others are retried after ``retry_delay``. The policy adds delays that fit the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistStateError

if TYPE_CHECKING:
    from airflow.sdk import RetryPolicy

RATE_LIMIT_DELAY = timedelta(seconds=60)
"""Length of the API's rate limit window."""

_PERMANENT = (
    errors.BadRequestError,
    errors.AuthenticationError,
    errors.InsufficientCreditsError,
    errors.PermissionDeniedError,
    errors.NotFoundError,
    errors.InvalidRequestError,
    errors.SubmissionUnknownError,
    errors.ConfigurationError,
)
_TEMPORARY = (errors.ServerError, errors.TransportError, CleanlistStateError)


@dataclass(frozen=True, slots=True)
class RetryAdvice:
    """Whether a failed task should be retried, and when.

    Attributes:
        retry: Whether to retry, as long as the task has retries left.
        delay: Time until the retry; None if there is none.
        reason: Why, for the task's log.
    """

    retry: bool
    delay: timedelta | None
    reason: str


def advise(
    error: BaseException, try_number: int, first_delay: timedelta, longest_delay: timedelta
) -> RetryAdvice | None:
    """Advise whether to retry a task after an error.

    Args:
        error: What ended the attempt.
        try_number: Number of the attempt, from 1.
        first_delay: Delay after the first failure of the API or of the network.
        longest_delay: Longest delay, whatever the API asks for.

    Returns:
        The advice, or None where the task's own settings decide.
    """
    asked = error.info.retry_after if isinstance(error, errors.ApiError) else None
    least = timedelta(seconds=min(asked or 0, longest_delay.total_seconds()))
    if isinstance(error, errors.RateLimitedError):
        delay = least or RATE_LIMIT_DELAY
        return RetryAdvice(
            True, min(delay, longest_delay), "The rate limit is exhausted: wait for its window."
        )
    if isinstance(error, _TEMPORARY):
        doubled = first_delay * 2 ** min(try_number - 1, 16)
        delay = min(max(doubled, least), longest_delay)
        return RetryAdvice(True, delay, "Probably temporary: wait longer after each attempt.")
    if isinstance(error, _PERMANENT):
        return RetryAdvice(False, None, "A retry would fail the same way.")
    return None


def cleanlist_retry_policy(
    *, first_delay: timedelta = timedelta(seconds=30), longest_delay: timedelta = timedelta(minutes=15)
) -> RetryPolicy:
    """Return a value for ``retry_policy=`` of any task that uses Cleanlist, through an operator or the hook.

    ===============================================  =========================================================
    Error                                            What happens, while the task has ``retries`` left
    ===============================================  =========================================================
    rate limit exhausted                             retry after the time the API asks for, else 60 seconds
    API or network failing, journal unavailable      retry after ``first_delay``, then twice as long each time
    key, credits, request, unknown submission        fail at once
    anything else                                    the task's own ``retry_delay`` applies
    ===============================================  =========================================================

    Args:
        first_delay: Delay after the first failure of the API or of the network.
        longest_delay: Longest delay, whatever the API asks for.

    Raises:
        CleanlistConfigurationError: Airflow is older than 3.3, which introduced retry policies.
    """
    return _policy_class()(first_delay, longest_delay)  # type: ignore[no-any-return]


@cache
def _policy_class() -> Any:
    """Return the class, which exists only where Airflow has its base."""
    try:
        from airflow.sdk import RetryDecision, RetryPolicy
    except ImportError:
        raise CleanlistConfigurationError(
            "cleanlist_retry_policy() needs Airflow 3.3 or later. Leave retry_policy= out: retries, retry_delay and "
            "retry_exponential_backoff work on every version, and errors that a retry cannot fix are not retried."
        ) from None

    class CleanlistRetryPolicy(RetryPolicy):
        """Follows :func:`advise`."""

        def __init__(self, first_delay: timedelta, longest_delay: timedelta) -> None:
            self.first_delay = first_delay
            self.longest_delay = longest_delay

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
        ) -> RetryDecision:
            advice = advise(exception, try_number, self.first_delay, self.longest_delay)
            if advice is None:
                return RetryDecision.default()
            if advice.retry:
                return RetryDecision.retry(advice.delay, advice.reason)
            return RetryDecision.fail(advice.reason)

    return CleanlistRetryPolicy
