"""Free TCP ports for servers that tests and the demo start as processes of their own."""

from __future__ import annotations

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
LOWEST = 15_000
HIGHEST = 32_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a TCP port that nothing listens on, and that the system gives to nobody who does not ask for it.

    Until the server that it is for has started, an outgoing connection or a listener on port 0 could get a port out of
    the system's own range. So it is one below that range, at random, because others look for one at the same time.
    """
    for port in random.sample(range(LOWEST, _end_of_range()), 100):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {LOWEST} on")


def _end_of_range() -> int:
    """Return the first port of the system's own range, if enough are below it."""
    try:
        first = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return HIGHEST
    return first if first > LOWEST + 1_000 else HIGHEST
