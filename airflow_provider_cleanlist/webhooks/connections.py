"""Connections of the standalone receiver: how many there are at most, and how long each may take for its headers.

Idle connections cost a sender nothing and the receiver a file descriptor each, of which a process has 1,024 by default.
"""

from __future__ import annotations

import asyncio
import resource

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 500
"""Most connections at a time, or half of the file descriptors that the process may have."""
HEAD_SECONDS = 10.0
"""How long a connection may take to send the headers of its next request, in seconds."""


class BoundedProtocol(H11Protocol):
    """A connection that is closed when its headers do not arrive in time, or when another one needs its place.

    A new connection takes the place of the one that has waited longest for its headers. So those who hold connections
    without using them make room for those who send a request.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the connection, and wait for its first request.

        Args:
            transport: The connection.
        """
        if len(self.connections) >= most_connections():
            waiting = [other for other in self.connections if getattr(other, "_deadline", None) is not None]
            longest = min(waiting, key=lambda other: other._deadline.when(), default=None)  # type: ignore[union-attr]
            if longest is None:
                transport.abort()
            else:
                longest.transport.abort()
                self.connections.discard(longest)
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline.

        Args:
            exc: Why the connection was lost, if it was.
        """
        self._forget_deadline()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Handle what has arrived, and wait for the headers of the next request if none is being answered."""
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self._forget_deadline()
        elif self._deadline is None:
            self._expect_head()

    def _expect_head(self) -> None:
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def most_connections() -> int:
    """Return how many connections there may be at a time."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)
