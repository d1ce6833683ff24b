"""Sending requests: one ``requests`` session per thread, and the two drivers of the protocol's flow."""

from __future__ import annotations

import asyncio
import io
import json
import random
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

import requests
from requests.auth import AuthBase

from airflow_provider_cleanlist import __version__
from airflow_provider_cleanlist.client import protocol
from airflow_provider_cleanlist.client.endpoints import Call
from airflow_provider_cleanlist.client.rate_limit import RateLimiter

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 10.0
ASYNC_THREADS = 4


@dataclass(frozen=True, slots=True)
class _BearerAuth(AuthBase):
    """Sets the key; being an auth object it keeps ``requests`` from taking another one out of ``.netrc``."""

    api_key: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.api_key}"
        return request

    def __repr__(self) -> str:
        return "_BearerAuth(...)"


class _WatchedBody(io.BytesIO):
    """A request body that knows whether its sending has begun.

    The connection is made and the headers are written before the first read. A request whose body was never read
    cannot have been accepted, whatever the error was.
    """

    started = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.started = True
        return super().read(size)


class SendObserver(Protocol):
    """Follows the sending of a credit-spending request, so that a crash leaves a record of it.

    A flow that goes on after such a request, to wait and try again, knows that it was not accepted.
    """

    def sending(self) -> None:
        """The request leaves right after this returns."""

    def not_accepted(self) -> None:
        """The last sending was certainly not accepted; the request will be sent again later."""


class Transport:
    """Sends requests to one host with one key, blocking or from an event loop.

    Args:
        host: Scheme and host of the API, without a path.
        api_key: The key; goes into the ``Authorization`` header and nowhere else.
        timeout: Seconds to wait for an answer to begin.
        limiter: The shared request budget; no request leaves without a place in it.
        policy: How persistent to be.
    """

    def __init__(
        self,
        host: str,
        api_key: str,
        *,
        timeout: float,
        limiter: RateLimiter,
        policy: protocol.RetryPolicy,
    ) -> None:
        self._host = host
        self._auth = _BearerAuth(api_key)
        self._timeout = (min(CONNECT_TIMEOUT_SECONDS, timeout), timeout)
        self._limiter = limiter
        self._policy = policy
        self._sessions = threading.local()

    def run(self, call: Call[T], observer: SendObserver | None = None) -> T:
        """Make one call and return its result; sleeps while it waits. Raises ``ApiError``.

        Args:
            call: The call.
            observer: Told right before each sending, and when it is certain that a sending was not accepted.
        """
        flow = self._flow(call)
        result: Any = None
        sent = False
        while True:
            try:
                effect = flow.send(result)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # the flow's own return value
            if observer is not None:
                if isinstance(effect, protocol.Request):
                    observer.sending()
                elif sent:
                    observer.not_accepted()
                sent = isinstance(effect, protocol.Request)
            if isinstance(effect, protocol.Sleep):
                time.sleep(effect.seconds)
                result = time.monotonic()
            else:
                result = self._perform(effect)

    async def arun(self, call: Call[T]) -> T:
        """Make one call from an event loop, which stays free while it waits. Raises ``ApiError``."""
        loop = asyncio.get_running_loop()
        flow = self._flow(call)
        result: Any = None
        while True:
            try:
                effect = flow.send(result)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # the flow's own return value
            if isinstance(effect, protocol.Sleep):
                await asyncio.sleep(effect.seconds)
                result = time.monotonic()
            else:
                result = await loop.run_in_executor(_threads(), self._perform, effect)

    def _flow(self, call: Call[T]) -> Generator[protocol.Effect, Any, T]:
        return protocol.exchange(
            call.request,
            call.parse,
            self._policy,
            started=time.monotonic(),
            jitter=random.random,
        )

    def _perform(self, effect: protocol.Slot | protocol.Request | protocol.Penalty) -> Any:
        if isinstance(effect, protocol.Slot):
            return self._limiter.reserve(
                effect.priority, waited=effect.waited, max_wait=effect.max_wait, place=effect.place
            )
        if isinstance(effect, protocol.Penalty):
            return self._limiter.penalize(effect.seconds)
        return self._send(effect)

    def _send(self, request: protocol.Request) -> protocol.Answer:
        body = None if request.body is None else _WatchedBody(json.dumps(request.body).encode())
        try:
            answer = self._session().request(
                request.method,
                f"{self._host}{request.prefix.value}{request.path}",
                params=dict(request.params),
                data=body,
                headers={"Content-Type": "application/json"} if body is not None else None,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return protocol.TransportFailure(sent=body is None or body.started, reason=_reason(error))
        return protocol.Response(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=answer.content,
            received_at=time.time(),
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = requests.Session()
            session.auth = self._auth
            session.headers["User-Agent"] = f"airflow-provider-cleanlist/{__version__}"
            session.headers["Accept"] = "application/json"
            self._sessions.session = session
        return session


_REASONS: tuple[tuple[type[requests.RequestException], str], ...] = (
    (requests.exceptions.ConnectTimeout, "the connection could not be made in time"),
    (requests.exceptions.ReadTimeout, "the answer did not come in time"),
    (requests.exceptions.SSLError, "the TLS connection failed"),
    (requests.exceptions.ProxyError, "the proxy refused the connection"),
    (requests.exceptions.ConnectionError, "the connection failed or was lost"),
    (requests.exceptions.ChunkedEncodingError, "the connection was lost in the middle of the answer"),
)


def _reason(error: requests.RequestException) -> str:
    """Describe a failure in fixed words: the original texts hold URLs with parameters."""
    return next((text for kind, text in _REASONS if isinstance(error, kind)), type(error).__name__)


@cache
def _threads() -> ThreadPoolExecutor:
    """Return this process's own threads: a hung server must not occupy those that others share."""
    return ThreadPoolExecutor(ASYNC_THREADS, thread_name_prefix="cleanlist-http")
