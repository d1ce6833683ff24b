"""The end of an exchange that takes too long, wherever it hangs."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Any, Self


class Deadline:
    """Ends the connection of an exchange that takes too long, while the context lasts.

    A timeout of a socket is for one read or write, so a peer that moves a byte now and then would never meet it.

    Args:
        seconds: How long the exchange may take from the start of the context, in seconds.

    Attributes:
        is_over: Whether time was up before the end of the context.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._same: socket.socket | None = None

    def __enter__(self) -> Self:
        """Start."""
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._timer.cancel()
        self._keep(None)

    def watch(self, connected: Any) -> None:
        """Take the socket that is used for the exchange, instead of an earlier one.

        Args:
            connected: The socket.
        """
        same = None
        with contextlib.suppress(OSError):  # it may be closed
            # a descriptor of its own ends the connection even while TLS is being set up, which takes the socket over
            same = socket.socket(fileno=os.dup(connected.fileno()))
        self._keep(same)
        if self.is_over:
            self._end()

    def _keep(self, same: socket.socket | None) -> None:
        with self._lock:
            if self._same is not None:
                self._same.close()
            self._same = same

    def _end(self) -> None:
        self.is_over = True
        with self._lock, contextlib.suppress(OSError):
            if self._same is not None:
                self._same.shutdown(socket.SHUT_RDWR)
