"""Answers of hostile servers, and the two ways in which they are asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cleanlist.client import endpoints
from airflow_provider_cleanlist.client.messages import Surface

WHOAMI = endpoints.whoami(Surface.V2)
BEGIN = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
FAILED = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /x\r\n"


def blocking(client: Any) -> Any:
    return client.run(WHOAMI)


def on_a_loop(client: Any) -> Any:
    return asyncio.run(client.arun(WHOAMI))


ways = pytest.mark.parametrize("ask", [blocking, on_a_loop], ids=["blocking", "on a loop"])


def sends(head: bytes, *parts: bytes, again: bytes = b"", pause: float = 0.0) -> Callable[[Any], None]:
    """Answer with parts, then with ``again`` until the client hangs up."""

    def behave(peer: Any) -> None:
        peer.read_request()
        try:
            peer.sock.sendall(head + b"\r\n" + b"".join(parts))
            while again:
                peer.sock.sendall(again)
                time.sleep(pause)
        except OSError:
            pass

    return behave
