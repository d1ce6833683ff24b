"""Sending requests with ``requests``, and the two drivers of the protocol's flow."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from airflow_provider_cleanlist._version import __version__
from airflow_provider_cleanlist.client import protocol
from airflow_provider_cleanlist.client.endpoints import Call
from airflow_provider_cleanlist.client.rate_limit.core import Decision, RateLimiter
from airflow_provider_cleanlist.client.settings import is_loopback

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 10.0
"""How long making a connection may take."""
ASYNC_LANES = 4
"""Threads that carry the requests of event loops."""
ANSWER_TIMEOUTS = 4
"""How many times ``timeout_seconds`` an answer may take to be complete."""
"""Least delay after which a request that missed its booked moment books another one."""
_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class _BearerAuth(AuthBase):
    """Sets the key; being an auth object it keeps ``requests`` from taking another one out of ``.netrc``."""

    api_key: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.api_key}"
        return request

    def __repr__(self) -> str:
        return "_BearerAuth(...)"


class SendObserver(Protocol):
    """Follows the sending of a credit-spending request, so that a crash leaves a record of it."""

    def sending(self) -> None:
        """The request leaves right after this returns."""

    def not_accepted(self) -> None:
        """The last sending was certainly not accepted; the request will be sent again later."""


class _Lanes:
    """The worker threads of one event loop, each lent to one request at a time, until that pauses or ends.

    A request gets its go from the budget in the very thread that sends it, so it leaves at that moment even while
    the server keeps other threads waiting; and a 429 stops everyone before anyone else gets the thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._free = asyncio.Semaphore(ASYNC_LANES)  # first come, first served
        self._idle = [ThreadPoolExecutor(1, thread_name_prefix="cleanlist-http") for _ in range(ASYNC_LANES)]

    async def take(self) -> ThreadPoolExecutor:
        await self._free.acquire()
        return self._idle.pop()

    def give_back(self, lane: ThreadPoolExecutor) -> None:
        self._idle.append(lane)
        self._free.release()

    def give_back_when_idle(self, lane: ThreadPoolExecutor) -> None:
        """Give a lane back whose request nobody waits for any more, once it has run to its end."""
        end = self.loop.run_in_executor(lane, _nothing)
        end.add_done_callback(lambda _: self.give_back(lane))


class Transport:
    """Sends requests to one host with one key, blocking or from an event loop.

    Safe to share between threads, event loops and forked processes.

    Args:
        host: Scheme and host of the API, without a path.
        api_key: The key; goes into the ``Authorization`` header and nowhere else.
        timeout: Seconds to wait for an answer to begin and to go on; to be complete it has four times as long.
        limiter: The shared request budget; no request leaves without its go-ahead.
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
        # plain http is for this machine only, and so must not take the key to a proxy
        self._proxies = {"no_proxy": "*"} if is_loopback(urlsplit(host).hostname or "") else None
        self._local = threading.local()
        self._lanes: list[_Lanes] = []

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
                result = None
            else:
                result = self._perform(effect)

    async def arun(self, call: Call[T], on_sending: Callable[[], None] | None = None) -> T:
        """Make one call from an event loop, which stays free while it waits, and return what its answer says.

        Args:
            call: The call.
            on_sending: Called right before each sending, when the budget has let the request go.
        """
        lanes = self._lanes_of(asyncio.get_running_loop())
        lane: ThreadPoolExecutor | None = None
        flow = self._flow(call)
        result: Any = None
        try:
            while True:
                try:
                    effect = flow.send(result)
                except StopIteration as done:
                    return done.value  # type: ignore[no-any-return]  # the flow's own return value
                if isinstance(effect, protocol.Sleep):
                    if lane is not None:
                        lanes.give_back(lane)
                        lane = None
                    await asyncio.sleep(effect.seconds)
                    result = None
                    continue
                if lane is None:
                    lane = await lanes.take()
                if on_sending is not None and isinstance(effect, protocol.Request):
                    on_sending()
                result = await lanes.loop.run_in_executor(lane, self._perform, effect)
        finally:
            if lane is not None:
                lanes.give_back_when_idle(lane)

    def _flow(self, call: Call[T]) -> Generator[protocol.Effect, Any, T]:
        return protocol.exchange(
            call.request, call.parse, self._policy, clock=time.monotonic, jitter=random.random
        )

    def _perform(self, effect: protocol.Slot | protocol.Request | protocol.Penalty) -> Any:
        if isinstance(effect, protocol.Slot):
            return self._reserve(effect)
        if isinstance(effect, protocol.Penalty):
            return self._limiter.penalize(effect.seconds)
        return self._send(effect)

    def _reserve(self, slot: protocol.Slot) -> Decision:
        now = time.monotonic()
        return self._limiter.reserve(
            slot.priority,
            waited=now - slot.since,
            max_wait=max(0.0, slot.until - now),
            reservation=slot.reservation,
        )

    def _send(self, request: protocol.Request) -> protocol.Answer:
        payload = b"" if request.body is None else json.dumps(request.body).encode()
        body = io.BytesIO(payload)
        try:
            # A kept connection may be closing at this very moment, which looks like a lost answer.
            if request.repeat is protocol.Repeat.SPENDS_CREDITS:
                with _new_session() as session:
                    return self._answer(session, request, body if payload else None)
            return self._answer(self._session(), request, body if payload else None)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # The last part of the body is read when all before it went out; without it the request is no request.
            return protocol.TransportFailure(sent=body.tell() == len(payload), reason=_reason(error))

    def _answer(
        self, session: requests.Session, request: protocol.Request, body: io.BytesIO | None
    ) -> protocol.Response:
        give_up_at = time.monotonic() + ANSWER_TIMEOUTS * self._timeout[1]
        with session.request(
            request.method,
            f"{self._host}{request.prefix.value}{request.path}",
            params=dict(request.params),
            data=body,
            headers={"Content-Type": "application/json"} if body else None,
            auth=self._auth,
            timeout=self._timeout,
            proxies=self._proxies,
            allow_redirects=False,
            stream=True,
        ) as answer:
            parts = []
            while part := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
                parts.append(part)
                if time.monotonic() > give_up_at:
                    raise requests.exceptions.ReadTimeout
            return protocol.Response(
                status=answer.status_code,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=b"".join(parts),
                received_at=time.time(),
            )

    def _session(self) -> requests.Session:
        """Return this thread's session; a forked process must not write to its parent's connections."""
        if getattr(self._local, "process", None) != os.getpid():
            self._local.session = _new_session()
            self._local.process = os.getpid()
        session: requests.Session = self._local.session
        return session

    def _lanes_of(self, loop: asyncio.AbstractEventLoop) -> _Lanes:
        for lanes in self._lanes:
            if lanes.loop is loop:
                return lanes
        lanes = _Lanes(loop)
        self._lanes = [known for known in self._lanes if not known.loop.is_closed()] + [lanes]
        return lanes


def _nothing() -> None:
    pass


def _new_session() -> requests.Session:
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.headers["User-Agent"] = f"airflow-provider-cleanlist/{__version__}"
    session.headers["Accept"] = "application/json"
    return session


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ConnectTimeout, "the connection could not be made in time"),
    (requests.exceptions.ReadTimeout, "the answer did not come in time"),
    (urllib3.exceptions.ReadTimeoutError, "the answer did not come in time"),
    (requests.exceptions.SSLError, "the TLS connection failed"),
    (requests.exceptions.ProxyError, "the proxy refused the connection"),
    (requests.exceptions.ConnectionError, "the connection failed or was lost"),
    (urllib3.exceptions.ProtocolError, "the connection was lost in the middle of the answer"),
    (urllib3.exceptions.DecodeError, "the answer could not be decompressed"),
)


def _reason(error: Exception) -> str:
    """Describe a failure in fixed words: the original texts hold URLs with parameters."""
    return next((text for kind, text in _REASONS if isinstance(error, kind)), type(error).__name__)
