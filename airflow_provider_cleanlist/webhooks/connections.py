"""Connections of the standalone receiver: how many there are at most, and how long each may take.

Connections that are held cost a sender nothing and the receiver a file descriptor each, of which a process has 1,024 by
default.
"""

from __future__ import annotations

import asyncio
import resource
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


class BoundedProtocol(H11Protocol):
    """A connection that is closed when its headers or all of it takes too long, or when another one needs its place.

    A new connection takes the place of the one that has waited longest for its headers, or, if none is waiting for
    them, of the oldest one. So those who hold connections without using them make room for those who send a request.
    Every answer but 200 ends its connection.

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

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app = _closing_unless_ok(self.app, self.drain_seconds)

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


def _closing_unless_ok(app: Any, drain_seconds: float) -> Any:
    """Return an ASGI application whose answers other than 200 end their connection, after the rest of the request."""

    async def closing(scope: Any, receive: Any, send: Any) -> None:
        is_body_left = scope["type"] == "http"

        async def receive_noting_end() -> Any:
            nonlocal is_body_left
            message = await receive()
            is_body_left = message.get("more_body", False)
            return message

        async def send_closing(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] != 200:
                with suppress(TimeoutError):
                    async with asyncio.timeout(drain_seconds):
                        while is_body_left:
                            await receive_noting_end()
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await app(scope, receive_noting_end, send_closing)

    return closing


def most_connections() -> int:
    """Return how many connections there may be at a time."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)
