"""What travels between the client and the API: one request, and its response or the reason why there is none."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from pydantic_core import from_json

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.rate_limit.core import Priority
from airflow_provider_cleanlist.input_limits import JSON_DEPTH, RESPONSE, InputLimit

DEFAULT_MAX_WAIT_SECONDS = 900.0
"""How long one request may keep waiting, for whatever reason."""
POLL_MAX_WAIT_SECONDS = 600.0
"""Seconds that a status poll may wait for the request budget and before retries."""
PARSED_ON_LOOP_BYTES = 16 * 1024
"""Largest JSON that an event loop parses itself. What is larger is parsed on other threads, one at a time."""
_LOOP_TURN_SECONDS = 0.001


class Surface(Enum):
    """One of the two path prefixes below which the same host serves its API.

    Attributes:
        V1: The legacy public API, which also serves lead lists.
        V2: The current API.
    """

    V1 = "/api/v1/public"
    V2 = "/api/v2"


class Repeat(Enum):
    """What sending a request again does on the server."""

    SAFE = auto()
    """Nothing new: reads, renames, removals, and posts that the server recognises as the same."""
    DELETES = auto()
    """Nothing new, but it finds nothing any more if the first one was carried out."""
    SPENDS_CREDITS = auto()
    """Each accepted request may be billed: repeat only what was certainly not accepted."""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One HTTP request, complete except for host and key.

    Attributes:
        operation: What it does, as the verb phrase of error messages.
        method: HTTP method.
        surface: API surface.
        path: Path below the surface's prefix, already URL-encoded.
        params: Query parameters.
        body: JSON body, or None.
        repeat: What sending it again does on the server.
        priority: Its class in the shared request budget.
        max_wait: Seconds from the start of the call for which it may keep waiting, whether for the request budget, for
            a rate limit or before a retry.
        limit: How large a successful response may be.
        slow_seconds: Seconds that the server may need before it responds, where that is more than the usual timeout.
    """

    operation: str
    method: str
    surface: Surface
    path: str
    params: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    repeat: Repeat = Repeat.SAFE
    priority: Priority = Priority.WORK
    max_wait: float = DEFAULT_MAX_WAIT_SECONDS
    limit: InputLimit = RESPONSE
    slow_seconds: float = 0.0

    def __repr__(self) -> str:
        """Name the request without its body or parameters."""
        return f"Request({self.method} {self.surface.value}{self.path})"


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """One HTTP response.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case.
        body: Raw body, decompressed.
        received_at: Wall clock at arrival, seconds since the epoch.
        problem: Why the body was not read to its end; empty if it was.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    problem: str = ""

    def json(self) -> Any:
        """Return the decoded body, or None if it is not JSON or was not read to its end."""
        return None if self.problem else json_or_none(self.body)

    def __repr__(self) -> str:
        """Show status and size: bodies hold personal data."""
        return f"Response({self.status}, <{len(self.body)} bytes>)"


def json_or_none(body: bytes, depth: int = JSON_DEPTH) -> Any:
    """Return what a JSON document says, or None if it is not one or is nested too deeply.

    Args:
        body: The document.
        depth: How deeply it may be nested, at least 200.
    """
    with one_at_a_time() if len(body) > PARSED_ON_LOOP_BYTES else nullcontext():
        try:
            # twice as fast as json.loads, but refuses lone surrogates
            return from_json(body, cache_strings="keys")
        except ValueError:
            return _as_the_standard_library(body, depth)


class _Turn:
    """Whose turn it is to parse or write large JSON in this process."""

    lock = threading.RLock()

    @classmethod
    def renew(cls) -> None:
        """Forget the threads of the parent process, one of which may have had its turn."""
        cls.lock = threading.RLock()


os.register_at_fork(after_in_child=_Turn.renew)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep other threads from parsing or writing large JSON meanwhile; not for the thread of an event loop.

    A single call of the parser may hold the interpreter lock for some 60 ms. If several threads made such calls, an
    event loop would wait for all of them, so it gets its turn after each.
    """
    with _Turn.lock:
        try:
            yield
        finally:
            time.sleep(_LOOP_TURN_SECONDS)


def _as_the_standard_library(body: bytes, depth: int) -> Any:
    try:
        document = json.loads(body, parse_int=_whole_number, parse_float=_fraction)
    except (ValueError, RecursionError):
        return None
    return None if _is_deeper(document, depth) else document


# Thousands of long numbers take a third of a second. Other threads get their turn only where Python's code runs, so
# these are not ``int`` and ``float`` themselves.


def _whole_number(digits: str) -> int:
    return int(digits)


def _fraction(text: str) -> float:
    return float(text)


def _is_deeper(document: Any, depth: int) -> bool:
    """Whether lists and objects are nested more deeply; level by level, so that it needs no recursion."""
    level = [document]
    for _ in range(depth + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """The reason why there is no response.

    Attributes:
        sent: False if the server cannot have the whole request: the connection was never made, or was lost before the
            last part of the body went out.
        reason: What happened, without personal data and without secrets from addresses.
    """

    sent: bool
    reason: str


SendResult = Response | TransportFailure
"""The result of sending a request."""


def valid_id(value: str) -> str:
    """Return an id, if it cannot turn a request into another one, as an empty one and dots in a path do.

    Args:
        value: The id of a workflow, a task or a list.

    Raises:
        ConfigurationError: It can.
    """
    if not isinstance(value, str) or value.strip(". ") == "":
        raise errors.ConfigurationError(f"{value!r} is not a valid id")
    return value
