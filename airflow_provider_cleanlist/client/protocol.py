"""The Cleanlist wire protocol without I/O: what an answer means and whether to send the request again.

:func:`interpret` is the only place that decides on retries. :func:`exchange` is the only flow: a generator that
yields effects (:class:`Slot`, :class:`Request`, :class:`Penalty`, :class:`Sleep`) and is sent their results, so that
a blocking and an asynchronous driver run the very same code.

A flow that goes on after it sent a credit-spending request knows that the request was not accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, TypeVar

from airflow_provider_cleanlist.client import answers, errors
from airflow_provider_cleanlist.client.rate_limit.core import Decision, Priority, Reservation, Verdict

T = TypeVar("T")

RATE_LIMIT_WINDOW_SECONDS = 60.0
"""Length of the API's rate limit window, in seconds."""
MIN_RATE_LIMIT_SECONDS = 1.0
"""Least pause after a 429."""
MAX_RETRY_AFTER_SECONDS = 120.0
"""Longest pause that an answer can ask for."""
MAX_BACKOFF_SECONDS = 30.0
"""Longest pause between two tries, before its jitter."""
DEFAULT_MAX_WAIT_SECONDS = 900.0
"""How long one request goes on waiting, for whatever reason."""


class Prefix(Enum):
    """Which of the two API surfaces a request goes to.

    Attributes:
        V1: The legacy public API, which also serves lead lists.
        V2: The current API.
    """

    V1 = "/api/v1/public"
    V2 = "/api/v2"


class Repeat(Enum):
    """What repeating a request does on the server, which decides when it may be repeated."""

    SAFE = auto()
    """Reads, renames, removals, and posts that the server recognises as the same."""
    DELETES = auto()
    """Safe, and finds nothing any more if it was already carried out."""
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
        max_wait: Seconds after the start of the call beyond which it does not go on waiting, whether for a slot,
            for a rate limit or before another try.
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
        sent: False if the server cannot have the whole request: the connection was never made, or was lost
            before the last part of the body went out.
        reason: What happened, without addresses' secrets or data.
    """

    sent: bool
    reason: str


Answer = Response | TransportFailure
"""What comes of a sending."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Effect: ask the request budget whether the request may go. Result: a :class:`.rate_limit.core.Decision`.

    Attributes:
        priority: Class of the request.
        since: Since when the request has been waiting, on the driver's monotonic clock.
        until: Until when it may wait, on the same clock.
        reservation: The reservation from the previous decision on this request.
    """

    priority: Priority
    since: float
    until: float
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class Penalty:
    """Effect: block the whole budget for so many seconds, because the server said 429.

    Attributes:
        seconds: Length of the block in seconds.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Effect: pause this request only.

    Attributes:
        seconds: Length of the pause in seconds.
    """

    seconds: float


Effect = Slot | Request | Penalty | Sleep
"""What a flow asks its driver to do."""


@dataclass(frozen=True, slots=True)
class Ok:
    """The request succeeded.

    Attributes:
        body: The decoded JSON object or array; an empty object for an empty answer.
        status: HTTP status.
    """

    body: Mapping[str, Any] | list[Any]
    status: int


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again later.

    Attributes:
        seconds: Pause before the next try, in seconds.
        blocks_everyone: Whether the whole budget must pause (429).
        error: What to raise if there is no time for another try.
    """

    seconds: float
    blocks_everyone: bool
    error: errors.ApiError


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up.

    Attributes:
        error: What to raise.
    """

    error: errors.ApiError


Outcome = Ok | RetryAfter | Fail
"""What an answer means."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How persistent the client is.

    Attributes:
        max_retries: Tries after the first one for transient failures; 429s do not count, only the request's
            ``max_wait`` bounds them.
        window_seconds: Length of the rate limit's window in seconds.
    """

    max_retries: int = 5
    window_seconds: float = RATE_LIMIT_WINDOW_SECONDS


def interpret(
    request: Request, answer: Answer, *, failures: int, policy: RetryPolicy, jitter: float
) -> Outcome:
    """Decide what an answer means: success, another attempt, or failure.

    Args:
        request: What was asked.
        answer: What came back, or how it failed.
        failures: Transient failures of this request so far, not counting this one and not counting 429s.
        policy: How persistent to be.
        jitter: A number in [0, 1) that spreads retries of many clients.

    Returns:
        The result, another attempt, or the end.
    """
    if isinstance(answer, TransportFailure):
        return _interpret_transport_failure(request, answer, failures, policy, jitter)
    if 200 <= answer.status < 300:
        return _interpret_success(request, answer)
    info = answers.error_info(request, answer)
    if answer.status == 429:
        return _interpret_rate_limit(info, policy, jitter)
    if answer.status >= 500:
        return _interpret_server_error(request, info, failures, policy, jitter)
    if answer.status == 404 and request.repeat is Repeat.DELETES and failures > 0:
        return Ok({}, answer.status)
    return Fail(answers.client_error(info))


def _interpret_transport_failure(
    request: Request, failure: TransportFailure, failures: int, policy: RetryPolicy, jitter: float
) -> Outcome:
    info = errors.ErrorInfo(request.operation, failure.reason)
    if failure.sent and request.repeat is Repeat.SPENDS_CREDITS:
        return Fail(errors.SubmissionUnknownError(info))
    error = errors.TransportError(info)
    if failures >= policy.max_retries:
        return Fail(error)
    return RetryAfter(_backoff(failures, jitter), blocks_everyone=False, error=error)


def _interpret_success(request: Request, answer: Response) -> Outcome:
    body = answers.json_or_none(answer.body) if answer.body.strip() else {}
    if isinstance(body, dict | list):
        return Ok(body, answer.status)
    return Fail(_unreadable(request, answer.status, "the answer is not a JSON object"))


def _interpret_rate_limit(info: errors.ErrorInfo, policy: RetryPolicy, jitter: float) -> Outcome:
    error = errors.RateLimitedError(info)
    if info.retryable is False:
        return Fail(error)
    asked = info.retry_after if info.retry_after is not None else policy.window_seconds
    seconds = min(MAX_RETRY_AFTER_SECONDS, max(MIN_RATE_LIMIT_SECONDS, asked))
    return RetryAfter(seconds + jitter, blocks_everyone=True, error=error)


def _interpret_server_error(
    request: Request, info: errors.ErrorInfo, failures: int, policy: RetryPolicy, jitter: float
) -> Outcome:
    if info.status != 503 and request.repeat is Repeat.SPENDS_CREDITS:
        return Fail(errors.SubmissionUnknownError(info))
    error = errors.ServerError(info)
    if info.retryable is False or failures >= policy.max_retries:
        return Fail(error)
    asked = min(MAX_RETRY_AFTER_SECONDS, info.retry_after or 0.0)
    return RetryAfter(max(asked, _backoff(failures, jitter)), blocks_everyone=False, error=error)


def _unreadable(request: Request, status: int, problem: str) -> errors.ApiError:
    """Return the error for a success that cannot be read: of a credit-spending request, all that matters is lost."""
    info = errors.ErrorInfo(request.operation, problem, status=status, hint=answers.HOST_HINT)
    if request.repeat is Repeat.SPENDS_CREDITS:
        return errors.SubmissionUnknownError(replace(info, hint=None))
    return errors.UnexpectedAnswerError(info)


def _backoff(failures: int, jitter: float) -> float:
    """Full seconds 1, 2, 4, ... up to 30, stretched by up to a half."""
    return min(MAX_BACKOFF_SECONDS, 2.0**failures) * (1 + jitter / 2)


def exchange(
    request: Request,
    parse: Callable[[Ok], T],
    policy: RetryPolicy,
    *,
    clock: Callable[[], float],
    jitter: Callable[[], float],
) -> Generator[Effect, Any, T]:
    """Run one request to its end: the flow that every driver executes.

    Args:
        request: What to ask.
        parse: Turns the successful answer into the result; raises ValueError if it cannot.
        policy: How persistent to be.
        clock: The driver's monotonic clock, in seconds.
        jitter: Source of numbers in [0, 1).

    Yields:
        Effects. A driver sends back what each effect's docstring names, else None.

    Raises:
        ApiError: When the request failed for good.
    """
    failures = 0
    deadline = clock() + request.max_wait
    while True:
        yield from _wait_for_slot(request, deadline, clock)
        answer: Answer = yield request
        outcome = interpret(request, answer, failures=failures, policy=policy, jitter=jitter())
        if isinstance(outcome, Ok):
            return _parsed(request, outcome, parse)
        if isinstance(outcome, Fail):
            raise outcome.error
        if outcome.blocks_everyone:
            yield Penalty(outcome.seconds)
        if clock() + outcome.seconds > deadline:
            raise outcome.error
        if not outcome.blocks_everyone:
            failures += 1
            yield Sleep(outcome.seconds)


def _wait_for_slot(
    request: Request, deadline: float, clock: Callable[[], float]
) -> Generator[Effect, Any, None]:
    slot = Slot(request.priority, clock(), deadline)
    while True:
        decision: Decision = yield slot
        if decision.verdict is Verdict.GO:
            return
        if decision.verdict is Verdict.REFUSED:
            raise errors.RateLimitedError(_queue_info(request, decision.delay))
        slot = replace(slot, reservation=decision.reservation)
        yield Sleep(decision.delay)


def _parsed(request: Request, outcome: Ok, parse: Callable[[Ok], T]) -> T:
    try:
        return parse(outcome)
    except ValueError:
        pass  # its text may quote the answer
    raise _unreadable(request, outcome.status, "the answer lacks what its contract promises")


def _queue_info(request: Request, seconds: float) -> errors.ErrorInfo:
    return errors.ErrorInfo(
        request.operation,
        f"the request budget is taken for the next {seconds:.0f} s, longer than this request may still wait "
        f"(its limit is {request.max_wait:.0f} s)",
        hint="Run fewer Cleanlist tasks at once, for instance with an Airflow pool, or let them start later.",
    )
