"""Sending requests with ``requests``: the blocking and the asynchronous driver of the protocol's flow."""

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
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from airflow_provider_cleanlist._version import __version__
from airflow_provider_cleanlist.client import errors, messages, protocol
from airflow_provider_cleanlist.client.environment import setting_at_fault
from airflow_provider_cleanlist.client.rate_limit.core import Decision, RateLimiter
from airflow_provider_cleanlist.client.receiving import (
    ACCEPTED_ENCODING,
    LongLinesError,
    ResponseDeadline,
    limit_for,
    read_body,
    watch_connections,
    within,
)
from airflow_provider_cleanlist.client.settings import is_loopback
from airflow_provider_cleanlist.input_limits import ERROR_SECONDS, RESPONSE_TIMEOUTS

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 10.0
"""How long opening a connection may take."""
THREADS_PER_LOOP = 4
"""Threads that send the requests of one event loop."""
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError)
"""What ``requests`` and ``urllib3`` raise; the texts can hold the address."""


@dataclass(frozen=True, slots=True)
class _BearerAuth(AuthBase):
    """Sets the key; as an auth object it keeps ``requests`` from using one from ``.netrc`` instead."""

    api_key: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.api_key}"
        return request

    def __repr__(self) -> str:
        return "_BearerAuth(...)"


class _Body(io.BytesIO):
    """The body of a request, which knows how much of it went out, even after something rewound it."""

    furthest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return part


class _Session(requests.Session):
    """A session that leaves redirects alone.

    ``allow_redirects=False`` does not do that: ``requests`` still reads the whole body of the redirect, decompressed,
    and rewinds that of the request.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class SendObserver(Protocol):
    """Is told when a credit-spending request is sent, so that a crash leaves a record of it."""

    def sending(self) -> None:
        """The request leaves right after this returns."""

    def not_accepted(self) -> None:
        """The request just sent was certainly not accepted; if it is sent again, that is announced again."""


class _Senders:
    """The threads of one event loop, each lent to one request at a time, until that pauses or ends.

    A request asks the budget in the very thread that then sends it, so it leaves at its moment even while the server
    keeps other threads waiting; and a 429 blocks the budget before another request gets the thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._free = asyncio.Semaphore(THREADS_PER_LOOP)  # first come, first served
        self._idle = [
            ThreadPoolExecutor(1, thread_name_prefix="cleanlist-http") for _ in range(THREADS_PER_LOOP)
        ]

    async def take(self) -> ThreadPoolExecutor:
        await self._free.acquire()
        return self._idle.pop()

    def give_back(self, sender: ThreadPoolExecutor) -> None:
        self._idle.append(sender)
        self._free.release()

    def give_back_when_idle(self, sender: ThreadPoolExecutor) -> None:
        """Give a thread back once its request has ended, although nobody waits for that any more."""
        end = self.loop.run_in_executor(sender, _nothing)
        end.add_done_callback(lambda _: self.give_back(sender))


class Transport:
    """Sends requests to one host with one key, blocking or from an event loop.

    Safe to share between threads, event loops and forked processes.

    Args:
        host: Scheme and host of the API, without a path.
        api_key: The key; goes into the ``Authorization`` header and nowhere else.
        timeout: Seconds to wait for a response to begin and to continue; to be complete it may take four times as long.
        limiter: The shared request budget; no request leaves without its permission.
        limits: How persistent to be.
    """

    def __init__(
        self,
        host: str,
        api_key: str,
        *,
        timeout: float,
        limiter: RateLimiter,
        limits: protocol.RetryLimits,
    ) -> None:
        self._host = host
        self._auth = _BearerAuth(api_key)
        self.timeout = (min(CONNECT_TIMEOUT_SECONDS, timeout), timeout)
        self._limiter = limiter
        self._limits = limits
        # plain http is for this machine only, and so must not take the key to a proxy
        self._proxies = {"no_proxy": "*"} if is_loopback(urlsplit(host).hostname or "") else None
        self._local = threading.local()
        self._senders: list[_Senders] = []

    def run(self, call: protocol.Call[T], observer: SendObserver | None = None) -> T:
        """Make one call and return its result; sleeps while it waits.

        Args:
            call: The call.
            observer: Told right before each sending, and when a request was certainly not accepted.

        Raises:
            ApiError: The request failed for good.
            ConfigurationError: A setting of this machine keeps requests from leaving.
        """
        flow = self._flow(call)
        result: Any = None
        sent = False
        while True:
            step = _next_step(flow, result)
            if isinstance(step, _Done):
                return step.value
            if observer is not None:
                if isinstance(step, messages.Request):
                    observer.sending()
                elif sent:
                    observer.not_accepted()
                sent = isinstance(step, messages.Request)
            if isinstance(step, protocol.Sleep):
                time.sleep(step.seconds)
                result = None
            else:
                result = self._performed(step, observer)

    async def arun(self, call: protocol.Call[T], on_sending: Callable[[], None] | None = None) -> T:
        """Make one call from an event loop, which stays free while the call waits, and return its result.

        Args:
            call: The call.
            on_sending: Called right before each sending, when the request budget has let it through.

        Raises:
            ApiError: The request failed for good.
            ConfigurationError: A setting of this machine keeps requests from leaving.
        """
        senders = self._senders_of(asyncio.get_running_loop())
        sender: ThreadPoolExecutor | None = None
        flow = self._flow(call)
        result: Any = None
        try:
            while True:
                if sender is not None and _takes_long(result):
                    step = await senders.loop.run_in_executor(sender, _next_step, flow, result)
                else:
                    step = _next_step(flow, result)
                if isinstance(step, _Done):
                    return step.value
                if isinstance(step, protocol.Sleep):
                    if sender is not None:
                        senders.give_back(sender)
                        sender = None
                    await asyncio.sleep(step.seconds)
                    result = None
                    continue
                if sender is None:
                    sender = await senders.take()
                if on_sending is not None and isinstance(step, messages.Request):
                    on_sending()
                result = await senders.loop.run_in_executor(sender, self._perform, step)
        finally:
            if sender is not None:
                senders.give_back_when_idle(sender)

    def _flow(self, call: protocol.Call[T]) -> Generator[protocol.Step, Any, T]:
        return protocol.exchange(
            call,
            self._limits,
            clock=time.monotonic,
            jitter=random.random,
            secrets=(self._auth.api_key,),
        )

    def _performed(
        self, step: protocol.Slot | messages.Request | protocol.Penalty, observer: SendObserver | None
    ) -> Any:
        try:
            return self._perform(step)
        except errors.ConfigurationError:
            if observer is not None and isinstance(step, messages.Request):
                observer.not_accepted()  # it has not left
            raise

    def _perform(self, step: protocol.Slot | messages.Request | protocol.Penalty) -> Any:
        if isinstance(step, protocol.Slot):
            return self._reserve(step)
        if isinstance(step, protocol.Penalty):
            return self._limiter.penalize(step.seconds)
        return self._send(step)

    def _reserve(self, slot: protocol.Slot) -> Decision:
        now = time.monotonic()
        return self._limiter.reserve(
            slot.priority,
            waited=now - slot.since,
            max_wait=max(0.0, slot.until - now),
            reservation=slot.reservation,
        )

    def _send(self, request: messages.Request) -> messages.SendResult:
        # no variable holds the text: tools that report errors show the variables of each frame
        body = _Body(b"" if request.body is None else json.dumps(request.body).encode())
        size = body.getbuffer().nbytes
        try:
            # A kept connection may be closing at this very moment, which looks like a lost response.
            if request.repeat is messages.Repeat.SPENDS_CREDITS:
                with new_session() as session:
                    return self._receive(session, request, body if size else None)
            return self._receive(self._session(), request, body if size else None)
        except (*FAILURES, OSError, ValueError, RuntimeError) as error:
            if not body.furthest and (fault := setting_at_fault(error, self._host)):
                raise errors.ConfigurationError(fault) from None
            # requests reads the last part of the body when all before it has left; without it the request is incomplete
            return messages.TransportFailure(sent=body.furthest == size, reason=reason_of(error))

    def _receive(
        self, session: requests.Session, request: messages.Request, body: _Body | None
    ) -> messages.Response:
        seconds = max(RESPONSE_TIMEOUTS * self.timeout[1], request.slow_seconds)
        with ResponseDeadline(seconds) as deadline:
            try:
                response = self._exchange(session, request, body, deadline)
            except Exception:
                if not deadline.is_over:
                    raise
            if deadline.is_over:  # what looks like the end of the response is that of the connection
                raise requests.exceptions.ReadTimeout
            return response

    def _exchange(
        self,
        session: requests.Session,
        request: messages.Request,
        body: _Body | None,
        deadline: ResponseDeadline,
    ) -> messages.Response:
        with session.request(
            request.method,
            f"{self._host}{request.surface.value}{request.path}",
            params=dict(request.params),
            data=body,
            headers={"Content-Type": "application/json"} if body else None,
            auth=self._auth,
            timeout=self._timeout_of(request),
            proxies=self._proxies,
            allow_redirects=False,
            stream=True,
        ) as response:
            content, problem = read_body(
                lambda size: response.raw.read1(size, decode_content=False),
                response.headers.get("Content-Encoding", ""),
                limit_for(response.status_code, request.limit),
                within(ERROR_SECONDS) if response.status_code >= 300 else lambda: deadline.is_over,
            )
            return messages.Response(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=content,
                received_at=time.time(),
                problem=problem,
            )

    def _timeout_of(self, request: messages.Request) -> tuple[float, float]:
        return self.timeout[0], max(self.timeout[1], request.slow_seconds)

    def _session(self) -> requests.Session:
        """Return this thread's session; a forked process must not write to its parent's connections."""
        if getattr(self._local, "process", None) != os.getpid():
            self._local.session = new_session()
            self._local.process = os.getpid()
        session: requests.Session = self._local.session
        return session

    def _senders_of(self, loop: asyncio.AbstractEventLoop) -> _Senders:
        for senders in self._senders:
            if senders.loop is loop:
                return senders
        senders = _Senders(loop)
        self._senders = [known for known in self._senders if not known.loop.is_closed()] + [senders]
        return senders


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """The result of a flow, which ends with it."""

    value: T


def _next_step(flow: Generator[protocol.Step, Any, T], result: Any) -> protocol.Step | _Done[T]:
    try:
        return flow.send(result)
    except StopIteration as done:
        return _Done(done.value)


def _takes_long(result: Any) -> bool:
    """Whether a response is read on the thread that received it. To quote an error takes longer than to parse it."""
    if not isinstance(result, messages.Response):
        return False
    return len(result.body) > messages.PARSED_ON_LOOP_BYTES or not 200 <= result.status < 300


def new_session() -> requests.Session:
    """Return a session that keeps no cookies, follows no redirect and can be ended by a deadline."""
    session = _Session()
    session.headers["User-Agent"] = f"airflow-provider-cleanlist/{__version__}"
    session.headers["Accept"] = "application/json"
    session.headers["Accept-Encoding"] = ACCEPTED_ENCODING
    # what a cache on the way keeps by address alone may be another key's: its organisation, its list
    session.headers["Cache-Control"] = "no-cache, no-store"
    watch_connections(session)
    return session


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ConnectTimeout, "the connection timed out"),
    (requests.exceptions.ReadTimeout, "the response did not arrive in time"),
    (urllib3.exceptions.ReadTimeoutError, "the response did not arrive in time"),
    (requests.exceptions.SSLError, "the TLS connection failed"),
    (requests.exceptions.ProxyError, "the proxy refused the connection"),
    (requests.exceptions.ConnectionError, "the connection failed or was lost"),
    (urllib3.exceptions.ProtocolError, "the connection was lost in the middle of the response"),
    (urllib3.exceptions.DecodeError, "the response could not be decompressed"),
    (LongLinesError, "the headers of the response, and other lines around its body, have more than 64 KB"),
    (ValueError, "the headers of the response could not be read"),
)


def reason_of(error: Exception) -> str:
    """Return what happened in fixed words: the original texts contain URLs with parameters.

    Args:
        error: What was raised.
    """
    return next((text for kind, text in _REASONS if isinstance(error, kind)), type(error).__name__)
