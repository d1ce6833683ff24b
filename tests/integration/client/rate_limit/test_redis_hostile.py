"""A Redis server whose values are huge, and one that is none: replies of other types, and replies that trickle."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_cleanlist.client.rate_limit import redis as module
from airflow_provider_cleanlist.client.rate_limit.core import GO, Budget, Decision, Priority, Verdict
from airflow_provider_cleanlist.client.rate_limit.file import MAX_FILE_BYTES
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter
from airflow_provider_cleanlist.client.rate_limit.redis import RedisRateLimiter

pytestmark = pytest.mark.integration

MB = 1024 * 1024
OK = b"+OK\r\n"
WATCHED = OK + OK
TIME = b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"
HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"
Serve = Callable[..., int]


def limiter_at(port: int) -> RedisRateLimiter:
    budget = Budget()
    return RedisRateLimiter(f"redis://127.0.0.1:{port}/0", "s", budget, MemoryRateLimiter(budget))


def ask(limiter: RedisRateLimiter) -> Decision:
    return limiter.reserve(Priority.WORK, waited=0.0, max_wait=900.0)


# --- values on a real server ---------------------------------------------------------------------------------------


def test_a_huge_value_is_damaged_and_costs_little(redis_server) -> None:
    limiter, client = limiter_at(redis_server.port), redis_server.client()
    assert ask(limiter) == GO
    [key] = client.keys()
    client.setrange(key, 64 * MB - 1, b"\0")
    tracemalloc.start()
    try:
        decision = ask(limiter_at(redis_server.port))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * MAX_FILE_BYTES
    assert (decision.verdict, decision.delay > 55) == (Verdict.WAIT, True)
    assert client.strlen(key) < 1000


@pytest.mark.parametrize(("appended", "is_read"), [(MAX_FILE_BYTES - 500, True), (MAX_FILE_BYTES, False)])
def test_what_is_behind_a_state_counts_up_to_the_limit(redis_server, appended: int, is_read: bool) -> None:
    limiter, client = limiter_at(redis_server.port), redis_server.client()
    ask(limiter)
    [key] = client.keys()
    client.append(key, b"\0" * appended)
    assert (limiter.peek() is not None) is is_read


def test_an_empty_value_is_none(redis_server) -> None:
    limiter, client = limiter_at(redis_server.port), redis_server.client()
    ask(limiter)
    [key] = client.keys()
    client.set(key, b"")
    assert ask(limiter_at(redis_server.port)) == GO


def test_a_value_of_another_type_is_damaged(redis_server, caplog: pytest.LogCaptureFixture) -> None:
    limiter, client = limiter_at(redis_server.port), redis_server.client()
    ask(limiter)
    [key] = client.keys()
    client.delete(key)
    client.rpush(key, b"x")
    assert ask(limiter_at(redis_server.port)).delay > 55
    assert caplog.text == ""


def test_an_account_that_may_not_read_is_an_outage(redis_server, caplog: pytest.LogCaptureFixture) -> None:
    client = redis_server.client()
    client.execute_command("ACL", "SETUSER", "default", "-getrange")
    assert ask(limiter_at(redis_server.port)) == GO
    assert "NoPermissionError: the account lacks a privilege" in caplog.text
    assert client.keys() == []


# --- replies of something else ---------------------------------------------------------------------------------------


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server with fixed replies and returns its port."""
    listeners: list[socket.socket] = []

    def answer(connection: socket.socket, reply: bytes, hello: bytes, *, trickles: bool) -> None:
        with contextlib.suppress(OSError), connection:
            while got := connection.recv(65_536):
                if b"WATCH" in got:
                    connection.sendall(reply)
                    while trickles:
                        connection.sendall(b"x")
                        time.sleep(0.02)
                elif b"HELLO" in got:
                    connection.sendall(hello)
                else:
                    connection.sendall(OK * max(1, got.count(b"SETINFO")))

    def accept(listener: socket.socket, reply: bytes, hello: bytes, trickles: bool) -> None:
        with contextlib.suppress(OSError):
            while True:
                arguments = (listener.accept()[0], reply, hello)
                threading.Thread(
                    target=answer, args=arguments, kwargs={"trickles": trickles}, daemon=True
                ).start()

    def run(reply: bytes, hello: bytes = HELLO, *, trickles: bool = False) -> int:
        listeners.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=accept, args=(listeners[-1], reply, hello, trickles), daemon=True).start()
        return int(listeners[-1].getsockname()[1])

    yield run
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    ("reply", "hello"),
    [
        (WATCHED + b"_\r\n_\r\n", HELLO),
        (WATCHED + b":1\r\n$0\r\n\r\n", HELLO),
        (WATCHED + b"*2\r\n_\r\n_\r\n$0\r\n\r\n", HELLO),
        (WATCHED + b"*2\r\n$400\r\n" + b"9" * 400 + b"\r\n$1\r\n1\r\n$0\r\n\r\n", HELLO),
        (WATCHED + b"*2\r\n$2\r\n-1\r\n$1\r\n1\r\n$0\r\n\r\n", HELLO),
        (WATCHED + TIME + b":5\r\n", HELLO),
        (WATCHED + TIME + b"_\r\n", HELLO),
        (WATCHED + TIME + b"*1\r\n:5\r\n", HELLO),
        (b"*1\r\n" * 20_000, HELLO),
        (b"HTTP/1.1 400\r\n\r\n", HELLO),
        (b"", b"+OK\r\n"),
        (b"", b":5\r\n"),
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ],
)
def test_a_reply_of_another_type_is_an_outage(serve: Serve, caplog, reply: bytes, hello: bytes) -> None:
    port = serve(reply, hello)
    with caplog.at_level(logging.WARNING):
        assert limiter_at(port).peek() is None
        assert ask(limiter_at(port)) == GO
    assert len(caplog.records) == 2
    assert "this host keeps a budget of its own" in caplog.records[0].getMessage()


def test_a_reply_that_trickles_is_an_outage(serve: Serve, caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXCHANGE_SECONDS", 0.3)
    port = serve(WATCHED + TIME + b"$500000000\r\n", trickles=True)
    assert ask(limiter_at(port)) == GO
    assert "this host keeps a budget of its own" in caplog.text


@pytest.mark.parametrize(
    ("begin", "rest"),
    [(b"$4000000000\r\n", b"x"), (b"+", b"x"), (b"-ERR ", b"x"), (b"*1000000000\r\n", b":1\r\n")],
)
def test_a_reply_without_end_is_an_outage_and_costs_little(caplog, begin: bytes, rest: bytes) -> None:
    """What the server can send until it is hung up on, buffers of the system included, bounds what is held."""
    sent = 0

    def flood(listener: socket.socket) -> None:
        nonlocal sent
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            while b"WATCH" not in (got := connection.recv(65_536)):
                connection.sendall(HELLO if b"HELLO" in got else OK * max(1, got.count(b"SETINFO")))
            connection.sendall(WATCHED + TIME + begin)
            while True:
                sent += connection.send(rest * 16_384)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=flood, args=(listener,), daemon=True)
        thread.start()
        assert ask(limiter_at(listener.getsockname()[1])) == GO
        thread.join(10)
    assert "cannot be used (InvalidResponse)" in caplog.text
    assert not thread.is_alive()
    assert MAX_FILE_BYTES < sent < 16 * MB


def test_tls_that_trickles_is_an_outage(caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXCHANGE_SECONDS", 0.3)
    is_closed = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection = listener.accept()[0]
        with contextlib.suppress(OSError), connection:
            connection.sendall(b"\x16\x03\x03\x40\x00")  # the head of a long TLS record
            for _ in range(500):
                connection.sendall(b"x")
                time.sleep(0.02)
            return
        is_closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=trickle, args=(listener,), daemon=True).start()
        budget = Budget()
        url = f"rediss://127.0.0.1:{listener.getsockname()[1]}/0"
        assert ask(RedisRateLimiter(url, "s", budget, MemoryRateLimiter(budget))) == GO
        assert "this host keeps a budget of its own" in caplog.text
        assert is_closed.wait(5)


def test_a_right_reply_is_none(serve: Serve, caplog) -> None:
    """The server above is taken for one if its replies are right."""
    assert limiter_at(serve(WATCHED + TIME + b"$0\r\n\r\n")).peek() is not None
    assert caplog.text == ""
