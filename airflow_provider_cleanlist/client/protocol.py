"""The Cleanlist wire protocol without I/O: what an answer means and whether to ask again.

:func:`judge` is the only place that decides on retries (contract section 2). :func:`exchange` is the only
flow: a generator that yields effects (:class:`Slot`, :class:`Request`, :class:`Penalty`, :class:`Sleep`) and is
sent their results, so that a blocking and an asynchronous driver run the very same code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeVar

from airflow_provider_cleanlist.client import answers, errors
from airflow_provider_cleanlist.client.rate_limit import Decision, Place, Priority, Verdict

T = TypeVar("T")

RATE_LIMIT_WINDOW_SECONDS = 60.0
MAX_RETRY_AFTER_SECONDS = 120.0
MAX_BACKOFF_SECONDS = 30.0
DEFAULT_MAX_WAIT_SECONDS = 900.0


class Prefix(Enum):
    """Which of the two API surfaces a request goes to (contract section 1.1)."""

    V1 = "/api/v1/public"
    V2 = "/api/v2"


class Repeat(Enum):
    """What repeating a request does on the server (contract section 2, columns of the retry table)."""

    SAFE = auto()
    """Reads, deletes, renames, and posts that the server recognises as the same."""
    SPENDS_CREDITS = auto()
    """Each accepted request may be billed: repeat only what was certainly not accepted."""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One HTTP request, ready to send but for host and key.

    Attributes:
        operation: What it does, as the verb phrase of error messages.
        method: HTTP method.
        prefix: API surface.
        path: Path below the prefix, already URL-encoded.
        params: Query parameters.
        body: JSON body, or None.
        repeat: What repeating it does on the server.
        priority: Its class in the shared request budget.
        max_wait: Seconds it may wait in all for slots, rate limits and pauses between tries.
    """

    operation: str
    method: str
    prefix: Prefix
    path: str
    params: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    repeat: Repeat = Repeat.SAFE
    priority: Priority = Priority.WORK
    max_wait: float = DEFAULT_MAX_WAIT_SECONDS

    def __repr__(self) -> str:
        """Name the request without its body or parameters."""
        return f"Request({self.method} {self.prefix.value}{self.path})"


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """One HTTP answer.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case.
        body: Raw body.
        received_at: Wall clock at arrival, seconds since the epoch.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float

    def __repr__(self) -> str:
        """Show status and size: bodies hold personal data."""
        return f"Response({self.status}, <{len(self.body)} bytes>)"


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """No answer came.

    Attributes:
        sent: False if the connection was never made, so that the server cannot have seen the request.
        reason: What happened, without addresses' secrets or data.
    """

    sent: bool
    reason: str


Answer = Response | TransportFailure


@dataclass(frozen=True, slots=True)
class Slot:
    """Effect: ask for a place in the request budget. Result: a :class:`.rate_limit.Decision`."""

    priority: Priority
    waited: float
    max_wait: float
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Penalty:
    """Effect: block the whole budget for so many seconds, because the server said 429."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Effect: pause this request only. Result: the monotonic time afterwards."""

    seconds: float


Effect = Slot | Request | Penalty | Sleep


@dataclass(frozen=True, slots=True)
class Ok:
    """The request succeeded; ``body`` is the decoded JSON object (empty for an empty answer)."""

    body: Mapping[str, Any] | list[Any]
    status: int


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again in ``seconds``; ``blocks_everyone`` when the whole budget must pause (429)."""

    seconds: float
    blocks_everyone: bool
    error: errors.ApiError


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up with ``error``."""

    error: errors.ApiError


Outcome = Ok | RetryAfter | Fail


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How persistent the client is.

    Attributes:
        max_retries: Tries after the first one for transient failures; 429s do not count, only the request's
            ``max_wait`` bounds them.
        repeat_unknown_submissions: Repeat credit-spending requests whose outcome is unknown. Off unless the user
            has said so in words, because it can pay twice.
        window_seconds: Length of the rate limit's window.
    """

    max_retries: int = 5
    repeat_unknown_submissions: bool = False
    window_seconds: float = RATE_LIMIT_WINDOW_SECONDS


def judge(request: Request, answer: Answer, *, failures: int, policy: RetryPolicy, jitter: float) -> Outcome:
    """Decide what an answer means: the retry table of contract section 2.

    Args:
        request: What was asked.
        answer: What came back, or how it failed.
        failures: Transient failures of this request so far, not counting this one and not counting 429s.
        policy: How persistent to be.
        jitter: A number in [0, 1) that spreads retries of many clients.
    """
    if isinstance(answer, TransportFailure):
        return _judge_transport_failure(request, answer, failures, policy, jitter)
    if 200 <= answer.status < 300:
        return _judge_success(request, answer)
    info = answers.error_info(request, answer)
    if answer.status == 429:
        if info.retryable is False:
            return Fail(errors.RateLimitedError(info))
        seconds = min(MAX_RETRY_AFTER_SECONDS, max(1.0, _wait_of(info, policy.window_seconds)))
        return RetryAfter(seconds + jitter, blocks_everyone=True, error=errors.RateLimitedError(info))
    if answer.status >= 500:
        return _judge_server_error(request, info, failures, policy, jitter)
    if answer.status == 404 and request.method == "DELETE" and failures > 0:
        return Ok({}, answer.status)
    return Fail(answers.client_error(info))


def _judge_transport_failure(
    request: Request, failure: TransportFailure, failures: int, policy: RetryPolicy, jitter: float
) -> Outcome:
    info = errors.ErrorInfo(request.operation, failure.reason)
    if failure.sent and _outcome_matters(request, policy):
        return Fail(_unknown(info))
    if failures >= policy.max_retries:
        return Fail(errors.TransportError(info))
    return RetryAfter(_backoff(failures, jitter), blocks_everyone=False, error=errors.TransportError(info))


def _judge_success(request: Request, answer: Response) -> Outcome:
    if not answer.body.strip():
        return Ok({}, answer.status)
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    if isinstance(body, dict | list):
        return Ok(body, answer.status)
    info = errors.ErrorInfo(
        request.operation,
        "the answer is not a JSON object",
        status=answer.status,
        hint="Check the host of the connection: is it the Cleanlist API?",
    )
    if request.repeat is Repeat.SPENDS_CREDITS:
        return Fail(_unknown(info))
    return Fail(errors.UnexpectedAnswerError(info))


def _judge_server_error(
    request: Request, info: errors.ErrorInfo, failures: int, policy: RetryPolicy, jitter: float
) -> Outcome:
    if info.status != 503 and _outcome_matters(request, policy):
        return Fail(_unknown(info))
    if info.retryable is False or failures >= policy.max_retries:
        return Fail(errors.ServerError(info))
    wait = _backoff(failures, jitter)
    if info.retry_after is not None:
        wait = max(wait, min(MAX_RETRY_AFTER_SECONDS, info.retry_after))
    return RetryAfter(wait, blocks_everyone=False, error=errors.ServerError(info))


def _outcome_matters(request: Request, policy: RetryPolicy) -> bool:
    return request.repeat is Repeat.SPENDS_CREDITS and not policy.repeat_unknown_submissions


def _unknown(info: errors.ErrorInfo) -> errors.SubmissionUnknownError:
    return errors.SubmissionUnknownError(info)


def _backoff(failures: int, jitter: float) -> float:
    """Full seconds 1, 2, 4, ... up to 30, stretched by up to a half."""
    return min(MAX_BACKOFF_SECONDS, 2.0**failures) * (1 + jitter / 2)


def _wait_of(info: errors.ErrorInfo, window_seconds: float) -> float:
    return info.retry_after if info.retry_after is not None else window_seconds


def exchange(
    request: Request,
    parse: Callable[[Ok], T],
    policy: RetryPolicy,
    *,
    started: float,
    jitter: Callable[[], float],
) -> Generator[Effect, Any, T]:
    """Run one request to its end: the flow that every driver executes.

    Args:
        request: What to ask.
        parse: Turns the successful answer into the result; raises ValueError if it cannot.
        policy: How persistent to be.
        started: Monotonic time at the start of the call, on the clock that :class:`Sleep` answers with.
        jitter: Source of numbers in [0, 1).

    Yields:
        Effects. A driver sends back what each effect's docstring names.

    Raises:
        ApiError: When the request failed for good.
    """
    failures = 0
    deadline = started + request.max_wait
    now = started
    while True:
        now = yield from _wait_for_slot(request, now, deadline)
        answer: Answer = yield request
        outcome = judge(request, answer, failures=failures, policy=policy, jitter=jitter())
        if isinstance(outcome, Ok):
            return _parsed(request, outcome, parse)
        if isinstance(outcome, Fail):
            raise outcome.error
        if outcome.blocks_everyone:
            yield Penalty(outcome.seconds)
        else:
            failures += 1
        if now + outcome.seconds > deadline:
            raise outcome.error
        if not outcome.blocks_everyone:
            now = yield Sleep(outcome.seconds)


def _wait_for_slot(request: Request, now: float, deadline: float) -> Generator[Effect, Any, float]:
    asked_at = now
    place: Place | None = None
    while True:
        decision: Decision = yield Slot(request.priority, now - asked_at, max(0.0, deadline - now), place)
        if decision.verdict is Verdict.GO:
            return now
        if decision.verdict is Verdict.REFUSED:
            raise errors.RateLimitedError(_queue_info(request, decision.delay))
        place = decision.place
        now = yield Sleep(decision.delay)


def _parsed(request: Request, outcome: Ok, parse: Callable[[Ok], T]) -> T:
    try:
        return parse(outcome)
    except ValueError:
        pass
    info = errors.ErrorInfo(
        request.operation, "the answer lacks what its contract promises", status=outcome.status
    )
    if request.repeat is Repeat.SPENDS_CREDITS:
        raise errors.SubmissionUnknownError(info)
    raise errors.UnexpectedAnswerError(info)


def _queue_info(request: Request, seconds: float) -> errors.ErrorInfo:
    return errors.ErrorInfo(
        request.operation,
        f"the request budget is taken for the next {seconds:.0f} s, longer than the "
        f"{request.max_wait:.0f} s this request may wait",
        hint="Run fewer Cleanlist tasks at once, for instance with an Airflow pool, or let them start later.",
    )
