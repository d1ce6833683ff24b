"""Connections that are held or keep the parser busy end or make room, and a genuine delivery is always taken."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import h11
import httpx
import pytest
import uvicorn

from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.tokens import batch_name, sign
from airflow_provider_cleanlist.webhooks.connections import MAX_CHUNKS, BoundedProtocol
from airflow_provider_cleanlist.webhooks.receiver import Receiver, build_app

from .conftest import SECRET

pytestmark = pytest.mark.integration

PAYLOAD = {"event": "enrichment.completed", "workflow_id": "w", "status": "completed", "results": []}
UNFINISHED = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
def serve(inbox: Inbox) -> Iterator[Callable[..., int]]:
    """Return a function that starts a receiver with limits of its own and returns its port."""
    started: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def run(**limits: float) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            build_app(Receiver([SECRET], lambda: inbox), "/cleanlist"),
            http=type("Limited", (BoundedProtocol,), {"drain_seconds": 0.02, **limits}),
            ws="none",
            lifespan="off",
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        started.append((server, thread, listener))
        return int(listener.getsockname()[1])

    yield run
    for server, thread, listener in started:
        server.should_exit = True
        thread.join(10)
        listener.close()


def connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    return connection


def address(port: int) -> str:
    token = sign(SECRET, batch_name("s", "r", "0"), time.time() + 60)
    return f"http://127.0.0.1:{port}/cleanlist/webhook/{token}"


def deliver(client: httpx.Client, port: int) -> httpx.Response:
    return client.post(address(port), json=PAYLOAD)


def hold_after_answer(connection: socket.socket) -> None:
    """Send a request whose body never ends, and a byte of it after the answer."""
    connection.sendall(UNFINISHED)
    assert connection.recv(1000).startswith(b"HTTP/1.1 404 ")
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"x")


def never_read(connection: socket.socket) -> None:
    """Send requests one after the other without reading an answer."""
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError, ConnectionError):
        for _ in range(50):
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 400)
    connection.settimeout(20)


def never_end_the_body(connection: socket.socket) -> None:
    """Send the headers of a genuine delivery only."""
    token = sign(SECRET, batch_name("s", "r", "1"), time.time() + 60)
    connection.sendall(UNFINISHED.replace(b"/x", f"/cleanlist/webhook/{token}".encode()))


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of a connection, and return whether it came."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65_536):
            pass
    return True


@pytest.mark.parametrize("attack", [hold_after_answer, never_read, never_end_the_body])
def test_a_held_connection_ends(serve, attack: Callable[[socket.socket], None]) -> None:
    port = serve(head_seconds=60.0, life_seconds=0.3)
    with connect(port) as connection:
        attack(connection)
        assert is_closed(connection)


@pytest.mark.parametrize("attack", [hold_after_answer, never_read, never_end_the_body])
def test_held_connections_make_room_for_a_delivery(serve, attack: Callable[[socket.socket], None]) -> None:
    port = serve(most=4, head_seconds=60.0, life_seconds=60.0)
    with contextlib.ExitStack() as held, httpx.Client(timeout=20) as client:
        for _ in range(8):
            attack(held.enter_context(connect(port)))
        assert deliver(client, port).status_code == 200


def test_those_that_wait_for_headers_go_before_those_that_are_answered(serve) -> None:
    port = serve(most=2, head_seconds=60.0, life_seconds=60.0)
    with connect(port) as answered, connect(port) as waiting, httpx.Client(timeout=20) as client:
        never_end_the_body(answered)
        with httpx.Client(timeout=20) as other:
            deliver(other, port)  # the headers above have arrived by now
        assert is_closed(waiting)
        assert deliver(client, port).status_code == 200
        answered.sendall(b"{}" + b" " * 98)
        assert answered.recv(100).startswith(b"HTTP/1.1 400 ")


def test_an_answer_of_200_keeps_the_connection_and_any_other_ends_it(serve) -> None:
    port = serve()
    with httpx.Client(timeout=20) as client:
        assert "connection" not in deliver(client, port).headers
        for answer in (
            client.get(f"http://127.0.0.1:{port}/"),
            client.post(f"http://127.0.0.1:{port}/cleanlist/webhook/x", content=b"x" * 100_000),
        ):
            assert (answer.status_code, answer.headers["connection"]) == (404, "close")


def test_a_delivery_begins_a_new_life_and_nothing_else_does(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    lives: list[object] = []
    restart = BoundedProtocol._restart_life

    def noting(protocol: BoundedProtocol) -> None:
        lives.append(protocol)
        restart(protocol)

    monkeypatch.setattr(BoundedProtocol, "_restart_life", noting)
    port = serve()
    with httpx.Client(timeout=20) as client:
        deliver(client, port)
        deliver(client, port)
        assert client.get(f"http://127.0.0.1:{port}/").status_code == 404
    assert len(lives) == 3
    assert len(set(map(id, lives))) == 1


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the lengths of the parts of bodies that are parsed, as they come."""
    lengths: list[int] = []
    next_event = h11.Connection.next_event

    def noting(connection: h11.Connection) -> object:
        event = next_event(connection)
        if connection.our_role is h11.SERVER and isinstance(event, h11.Data):
            lengths.append(len(event.data))
        return event

    monkeypatch.setattr(h11.Connection, "next_event", noting)
    return lengths


@pytest.mark.parametrize("path", ["/cleanlist/webhook/" + "A" * 70, "/x"])
def test_a_body_in_chunks_without_an_address_is_not_parsed(serve, parsed: list[int], path: str) -> None:
    port = serve()
    with connect(port) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + b"1\r\na\r\n" * 10_000
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 404 ")
        assert is_closed(connection)
    assert parsed == []


def test_a_body_in_more_chunks_than_any_sender_makes_is_refused(serve, parsed: list[int]) -> None:
    port = serve(life_seconds=60.0)
    with connect(port) as connection:
        request = (
            f"POST {httpx.URL(address(port)).path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(request.encode() + b"1\r\na\r\n" * (MAX_CHUNKS + 1) + b"0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert len(parsed) == MAX_CHUNKS + 1


def test_a_delivery_in_chunks_is_taken_and_keeps_its_connection(serve, inbox: Inbox) -> None:
    port = serve()
    body = json.dumps(PAYLOAD).encode()
    with httpx.Client(timeout=20) as client:
        for length in (1, 20, len(body)):
            parts = (body[start : start + length] for start in range(0, len(body), length))
            answer = client.post(address(port), content=parts)
            assert (answer.status_code, answer.headers.get("connection")) == (200, None)
    assert inbox.workflow_of(batch_name("s", "r", "0")) == "w"
