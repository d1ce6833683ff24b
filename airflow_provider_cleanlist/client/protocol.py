"""The Cleanlist wire protocol without I/O: what a response means, and whether to send the request again.

:func:`interpret` is the only place that decides on retries. :func:`exchange` is the only flow: a generator that yields
steps (:class:`Slot`, :class:`Request`, :class:`Penalty`, :class:`Sleep`) and is sent their results, so that a blocking
and an asynchronous driver run the very same code.

A flow that continues after it sent a credit-spending request knows that the request was not accepted.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from airflow_provider_cleanlist.client import error_responses, errors
from airflow_provider_cleanlist.client.messages import Repeat, Request, Response, SendResult, TransportFailure
from airflow_provider_cleanlist.client.rate_limit.core import Decision, Priority, Reservation, Verdict
from airflow_provider_cleanlist.client.responses import id_or_none
from airflow_provider_cleanlist.input_limits import CURSOR_CHARACTERS, JSON_DEPTH, PAGES, weight

T = TypeVar("T")

RATE_LIMIT_WINDOW_SECONDS = 60.0
"""Length of the API's rate limit window, which is fixed, not sliding."""
MIN_RATE_LIMIT_SECONDS = 1.0
"""Shortest pause after a 429."""
MAX_RETRY_AFTER_SECONDS = 120.0
"""Longest pause that a response can ask for."""
MAX_BACKOFF_SECONDS = 30.0
"""Longest pause before a retry, without its jitter."""
_COHORT_HANDLE = "cl-task_"
"""How the API begins the handles that it takes, and gives, in place of other ids."""
_ANOTHER = "the response is about something else than what was asked for"
_CACHE_HINT = (
    "A cache or proxy on the way may have answered: see that it keeps none of Cleanlist's responses."
)


@dataclass(frozen=True, slots=True)
class Slot:
    """Step: ask the request budget whether the request may go. Result: a :class:`.rate_limit.core.Decision`.

    Attributes:
        priority: Class of the request.
        since: When the request began to wait, in seconds on the driver's monotonic clock.
        until: When it must stop waiting, on the same clock.
        reservation: The reservation from the previous decision on this request.
    """

    priority: Priority
    since: float
    until: float
    reservation: Reservation | None = None


@dataclass(frozen=True, slots=True)
class Penalty:
    """Step: block the whole budget for some time, because the server said 429.

    Attributes:
        seconds: Length of the block in seconds.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Step: pause this request only.

    Attributes:
        seconds: Length of the pause in seconds.
    """

    seconds: float


Step = Slot | Request | Penalty | Sleep
"""What a flow asks its driver to do."""


class Page(Protocol):
    """A page of records."""

    @property
    def records(self) -> Sequence[object]:
        """The records."""

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; None after the last one."""


class PageCursors:
    """The cursors of pages that are read one after the other; it refuses those that would never get to an end.

    Args:
        operation: What is read, for the error.
        start: Where the first page begins; None is the beginning.
        pages: How many pages there may be.
    """

    def __init__(self, operation: str, start: str | None = None, *, pages: int = PAGES) -> None:
        self._operation = operation
        self._seen = {_digest(start)}
        self._left = pages
        self._empty_pages = 0

    def after(self, page: Page) -> str | None:
        """Return where the page after this one begins; None if it is the last.

        Args:
            page: The page.

        Raises:
            UnexpectedResponseError: A cursor was repeated or is too long, empty pages keep coming, or there are too
                many pages.
        """
        cursor = page.cursor
        self._left -= 1
        self._empty_pages = 0 if page.records else self._empty_pages + 1
        if cursor is None:
            return None
        digest = _digest(cursor)
        problem = ""
        if len(cursor) > CURSOR_CHARACTERS or not _is_encodable(cursor):
            problem = f"a page cursor has more than {CURSOR_CHARACTERS:,} characters or invalid ones"
        elif digest in self._seen:
            problem = "a page cursor was repeated, so reading would never end"
        elif self._empty_pages == 2:
            problem = "empty pages kept coming, so reading would never end"
        elif self._left <= 0:
            problem = "there are too many pages, so reading might never end"
        if problem:
            raise errors.UnexpectedResponseError(errors.ErrorInfo(self._operation, problem, status=200))
        self._seen.add(digest)
        return cursor


def _is_encodable(text: str) -> bool:
    """Whether a text can be sent; half a surrogate pair, which JSON can spell, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(cursor: str | None) -> bytes:
    """Return what tells cursors apart: a hundred thousand of them are kept."""
    return hashlib.blake2b((cursor or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Ok:
    """The request succeeded.

    Attributes:
        body: The decoded JSON object or array; an empty object for an empty body.
        status: HTTP status.
        weight: About how much the body counts in memory, in bytes.
    """

    body: Mapping[str, Any] | list[Any]
    status: int
    weight: int = field(default=0, compare=False)

    def mapping(self) -> Mapping[str, Any]:
        """Return the body if it is an object.

        Raises:
            ValueError: It is an array.
        """
        if isinstance(self.body, Mapping):
            return self.body
        raise ValueError("not a JSON object")


def refuse_another(request: Request, ok: Ok, asked: str, *named: object) -> None:
    """Refuse a response about another workflow, task or list than the one that was asked for.

    Args:
        request: What was sent.
        ok: The response.
        asked: The id that was asked for.
        *named: What the response holds where it repeats this id. What cannot be an id, or is missing, names nothing.

    Raises:
        UnexpectedResponseError: The response names another one.
    """
    if not all(_may_be_same(asked, found) for found in map(id_or_none, named) if found is not None):
        info = errors.ErrorInfo(request.operation, _ANOTHER, status=ok.status, hint=_CACHE_HINT)
        raise errors.UnexpectedResponseError(info)


def _may_be_same(asked: str, named: str) -> bool:
    """Whether two ids may be of the same thing: a UUID has several spellings, and a handle stands for any other id."""
    if named == asked or any(one.startswith(_COHORT_HANDLE) for one in (asked, named)):
        return True
    number = _uuid(asked)
    return number is not None and number == _uuid(named)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One API call.

    Attributes:
        request: What to send.
        parse: Reads the successful response; raises ValueError if it cannot.
    """

    request: Request
    parse: Callable[[Ok], T]


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """The request may be sent again later.

    Attributes:
        seconds: Pause before the retry, in seconds.
        blocks_everyone: Whether the whole budget must pause (429).
        error: What to raise if there is no time for a retry.
    """

    seconds: float
    blocks_everyone: bool
    error: errors.ApiError


@dataclass(frozen=True, slots=True)
class Fail:
    """The request failed for good.

    Attributes:
        error: What to raise.
    """

    error: errors.ApiError


Outcome = Ok | RetryAfter | Fail
"""What the result of sending means."""


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How persistent the client is.

    Attributes:
        max_retries: Retries after transient failures; 429s do not count, only the request's ``max_wait`` bounds them.
        window_seconds: Length of the rate limit's window in seconds.
    """

    max_retries: int = 5
    window_seconds: float = RATE_LIMIT_WINDOW_SECONDS


def interpret(
    request: Request,
    result: SendResult,
    *,
    failures: int,
    limits: RetryLimits,
    jitter: float,
    secrets: Sequence[str] = (),
) -> Outcome:
    """Decide what the result of sending a request means.

    Args:
        request: What was sent.
        result: The response, or why there is none.
        failures: Transient failures of this request so far, not counting this one and not counting 429s.
        limits: How persistent to be.
        jitter: A number in [0, 1) that spreads the retries of many clients.
        secrets: What errors must not quote besides the request: the API key.

    Returns:
        Success, a retry, or failure.
    """
    if isinstance(result, TransportFailure):
        return _transport_failure(request, result, failures, limits, jitter)
    if 200 <= result.status < 300:
        return _success(request, result)
    info = error_responses.error_info(request, result, secrets)
    if result.status == 429:
        return _rate_limit(info, limits, jitter)
    if request.repeat is Repeat.SPENDS_CREDITS and not error_responses.is_refusal(result):
        return Fail(errors.SubmissionUnknownError(replace(info, hint=None)))
    # whether an informational response precedes success is not known, so it counts as one of the server's errors
    if result.status >= 500 or result.status < 200:
        return _server_error(info, failures, limits, jitter)
    if result.status == 404 and request.repeat is Repeat.DELETES and failures > 0:
        return Ok({}, result.status)
    return Fail(error_responses.client_error(info))


def _transport_failure(
    request: Request, failure: TransportFailure, failures: int, limits: RetryLimits, jitter: float
) -> Outcome:
    info = errors.ErrorInfo(request.operation, failure.reason)
    if failure.sent and request.repeat is Repeat.SPENDS_CREDITS:
        return Fail(errors.SubmissionUnknownError(info))
    error = errors.TransportError(info)
    if failures >= limits.max_retries:
        return Fail(error)
    return RetryAfter(_backoff(failures, jitter), blocks_everyone=False, error=error)


def _success(request: Request, response: Response) -> Outcome:
    if response.problem:
        return Fail(_unreadable(request, response.status, f"the response cannot be read: {response.problem}"))
    if response.headers.get("age", "").strip("0, "):
        # a cache that ignores what each request asks of it may hold the response to another key
        return Fail(
            _unreadable(request, response.status, "something on the way has kept the response", _CACHE_HINT)
        )
    body = response.json() if response.body.strip() else {}
    if isinstance(body, dict | list):
        return Ok(body, response.status, weight(response.body))
    problem = f"the response is not a JSON object, or is nested more than {JSON_DEPTH} deep"
    return Fail(_unreadable(request, response.status, problem))


def _rate_limit(info: errors.ErrorInfo, limits: RetryLimits, jitter: float) -> Outcome:
    error = errors.RateLimitedError(info)
    if info.retryable is False:
        return Fail(error)
    asked = info.retry_after if info.retry_after is not None else limits.window_seconds
    seconds = min(MAX_RETRY_AFTER_SECONDS, max(MIN_RATE_LIMIT_SECONDS, asked))
    return RetryAfter(seconds + jitter, blocks_everyone=True, error=error)


def _server_error(info: errors.ErrorInfo, failures: int, limits: RetryLimits, jitter: float) -> Outcome:
    error = errors.ServerError(info)
    if info.retryable is False or failures >= limits.max_retries:
        return Fail(error)
    asked = min(MAX_RETRY_AFTER_SECONDS, info.retry_after or 0.0)
    return RetryAfter(max(asked, _backoff(failures, jitter)), blocks_everyone=False, error=error)


def _unreadable(
    request: Request, status: int, problem: str, hint: str = error_responses.HOST_HINT
) -> errors.ApiError:
    """Return the error for an unreadable success: whether a credit-spending request was accepted is then unknown."""
    info = errors.ErrorInfo(request.operation, problem, status=status, hint=hint)
    if request.repeat is Repeat.SPENDS_CREDITS:
        return errors.SubmissionUnknownError(replace(info, hint=None))
    return errors.UnexpectedResponseError(info)


def _backoff(failures: int, jitter: float) -> float:
    """Return 1, 2, 4, ... up to 30 seconds, stretched by up to a half."""
    return min(MAX_BACKOFF_SECONDS, 2.0**failures) * (1 + jitter / 2)


def exchange(
    call: Call[T],
    limits: RetryLimits,
    *,
    clock: Callable[[], float],
    jitter: Callable[[], float],
    secrets: Sequence[str] = (),
) -> Generator[Step, Any, T]:
    """Run one call to its end: the flow that every driver executes.

    Args:
        call: What to send, and how to read the response.
        limits: How persistent to be.
        clock: The driver's monotonic clock, in seconds.
        jitter: Source of numbers in [0, 1).
        secrets: What errors must not quote besides the request: the API key.

    Yields:
        Steps. The driver sends back a :class:`.rate_limit.core.Decision` for a :class:`Slot`, the result of sending
        for a :class:`Request`, None for all others.

    Raises:
        ApiError: When the request failed for good.
    """
    request = call.request
    failures = 0
    deadline = clock() + request.max_wait
    while True:
        yield from _wait_for_slot(request, deadline, clock)
        result: SendResult = yield request
        outcome = interpret(
            request, result, failures=failures, limits=limits, jitter=jitter(), secrets=secrets
        )
        if isinstance(outcome, Ok):
            return _parsed(call, outcome)
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
) -> Generator[Step, Any, None]:
    slot = Slot(request.priority, clock(), deadline)
    while True:
        decision: Decision = yield slot
        if decision.verdict is Verdict.GO:
            return
        if decision.verdict is Verdict.REFUSED:
            raise errors.RateLimitedError(_queue_info(request, decision.delay))
        slot = replace(slot, reservation=decision.reservation)
        yield Sleep(decision.delay)


def _parsed(call: Call[T], outcome: Ok) -> T:
    try:
        return call.parse(outcome)
    except ValueError:
        pass  # its text may quote the response
    raise _unreadable(call.request, outcome.status, "the response lacks required fields")


def _queue_info(request: Request, seconds: float) -> errors.ErrorInfo:
    return errors.ErrorInfo(
        request.operation,
        f"the request budget is fully booked for the next {seconds:.0f} s, longer than this request may still wait "
        f"(its limit is {request.max_wait:.0f} s)",
        hint="Run fewer Cleanlist tasks at once, for instance with an Airflow pool, or start them later.",
    )
