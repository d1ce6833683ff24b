"""Connections of the standalone receiver: how many there are at most, and how long each may take.

Connections that are held cost a sender nothing and the receiver a file descriptor each, of which a process has 1,024 by
default.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 500
"""Most connections at a time, or half of the file descriptors that the process may have."""
HEAD_SECONDS = 10.0
"""How long a connection may take to send the headers of its next request, in seconds."""
LIFE_SECONDS = 30.0
"""How long a connection may live without a genuine delivery, in seconds; one takes 28 s at most."""
DRAIN_SECONDS = 1.0
"""How long a refused request may take to send the rest of its body, in seconds.

Who is still sending when the connection is closed does not see the answer.
"""
MAX_CHUNKS = 4096
"""Most chunks of a body that is sent in chunks, of which each costs the parser time, however short it is."""


class BoundedConnection(h11.Connection):
    """The parser of a connection, which parses a body only when it is wanted, and a limited number of chunks.

    So somebody without a valid address has no body parsed.

    Attributes:
        is_body_wanted: Whether the body of the request may be parsed.
    """

    is_body_wanted = False
    _chunks = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return what comes next in the request, or ``PAUSED`` before a body that is not wanted yet.

        Raises:
            h11.RemoteProtocolError: The request is invalid, or its body has too many chunks.
        """
        if self.their_state is h11.SEND_BODY and not self.is_body_wanted:
            return h11.PAUSED
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.is_body_wanted, self._chunks = False, 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            if self._chunks > MAX_CHUNKS:
                raise h11.RemoteProtocolError("too many chunks")
        return event


class BoundedProtocol(H11Protocol):
    """A connection that is closed when its headers or all of it takes too long, or when another one needs its place.

    A new connection takes the place of the one that has waited longest for its headers, or, if none is waiting for
    them, of the oldest one. So those who hold connections without using them make room for those who send a request.
    Every answer but 200 ends its connection, and what then is left of a body in chunks is not parsed.

    Args:
        *arguments: What uvicorn makes its protocols with.
        **options: The same, by name.

    Attributes:
        most: Most connections at a time; None for :func:`most_connections`.
        head_seconds: How long each request's headers may take, in seconds.
        life_seconds: How long the connection may live without an answer of 200, in seconds.
        drain_seconds: How long the rest of a refused body is waited for, in seconds.
    """

    most: int | None = None
    head_seconds = HEAD_SECONDS
    life_seconds = LIFE_SECONDS
    drain_seconds = DRAIN_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _end_of_life: asyncio.TimerHandle | None = None
    _is_refused = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn: BoundedConnection = BoundedConnection(h11.SERVER)
        self.app = self._limited(self.app)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the connection, and wait for its first request.

        Args:
            transport: The connection.
        """
        others = [other for other in self.connections if isinstance(other, BoundedProtocol)]
        if others and len(self.connections) >= (self.most or most_connections()):
            replaced = min(others, key=BoundedProtocol._rank)
            replaced.transport.abort()
            self.connections.discard(replaced)
        super().connection_made(transport)
        self._restart_life()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines.

        Args:
            exc: Why the connection was lost, if it was.
        """
        self._forget_deadline()
        if self._end_of_life is not None:
            self._end_of_life.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle what has arrived, unless it belongs to a refused body in chunks.

        Args:
            data: What has arrived.
        """
        if not self._is_refused:
            super().data_received(data)

    def handle_events(self) -> None:
        """Handle what has arrived, and wait for the headers of the next request if none is being answered."""
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self._forget_deadline()
        elif self._deadline is None:
            self._expect_head()

    def on_response_complete(self) -> None:
        """Begin a new life after an answer of 200, the only one after which the connection is still open."""
        if not self.transport.is_closing():
            self._restart_life()
        super().on_response_complete()

    def _rank(self) -> tuple[bool, float]:
        """Return what to sort connections by: those that wait for headers come first, then the oldest."""
        timer = self._deadline or self._end_of_life
        return self._deadline is None, timer.when() if timer is not None else 0.0

    def _expect_head(self) -> None:
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _restart_life(self) -> None:
        if self._end_of_life is not None:
            self._end_of_life.cancel()
        self._end_of_life = self.loop.call_later(self.life_seconds, self.transport.abort)

    def _limited(self, app: Any) -> Any:
        """Return an ASGI application whose bodies are parsed when it asks for them, and which ends what it refuses.

        Answers other than 200 end their connection, after the rest of the request.
        """

        async def limited(scope: Any, receive: Any, send: Any) -> None:
            is_body_left = scope["type"] == "http"

            async def receive_wanted() -> Any:
                nonlocal is_body_left
                if not self.conn.is_body_wanted:
                    self.conn.is_body_wanted = True
                    self.handle_events()
                message = await receive()
                is_body_left = message.get("more_body", False)
                return message

            async def send_closing(message: Any) -> None:
                if message["type"] == "http.response.start" and message["status"] != 200:
                    if is_body_left:
                        await self._drain(scope["headers"], receive_wanted)
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
                await send(message)

            await app(scope, receive_wanted, send_closing)

        return limited

    async def _drain(self, headers: Iterable[tuple[bytes, bytes]], receive: Callable[[], Any]) -> None:
        """Wait for the rest of a refused body, for a limited time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.drain_seconds):
                if any(name == b"transfer-encoding" for name, _ in headers):
                    self._is_refused = True
                    self.flow.resume_reading()
                    await asyncio.Event().wait()  # where the body ends only the parser would know
                while (await receive()).get("more_body", False):
                    pass


def most_connections() -> int:
    """Return how many connections there may be at a time."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)
