"""The receiver as a process of its own: what it takes and logs, and how its secret is changed."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError

from .conftest import ReceiverServer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000),
]
OLD, NEW = "the secret before the change", "the secret after the change"


class Standalone:
    """``python -m airflow_provider_cleanlist.webhooks``."""

    def __init__(self, log: Path, secret: str, port: int) -> None:
        self.log = log
        environment = os.environ | {"AIRFLOW__CLEANLIST__WEBHOOK_SECRET": secret}
        command = [sys.executable, "-m", "airflow_provider_cleanlist.webhooks", "--port", str(port)]
        with log.open("w") as output:
            self._process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def wait_ready(self) -> None:
        line = re.compile(r"Receiving webhooks at (http://[\d.:]+)/cleanlist/webhook/<token>")
        deadline = time.monotonic() + 60
        while not (found := line.search(self.log.read_text())):
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.url = found[1]

    def stop(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)


@pytest.fixture
def start(tmp_path: Path, inbox: Inbox) -> Iterator[Callable[..., Standalone]]:
    started: list[Standalone] = []

    def begin(secret: str, port: int = 0) -> Standalone:
        started.append(Standalone(tmp_path / f"receiver-{len(started)}.log", secret, port))
        started[-1].wait_ready()
        return started[-1]

    yield begin
    for receiver in started:
        receiver.stop()


def eventually(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def last_answer(workflow_id: str) -> int | None:
    deliveries = CleanlistHook().list_webhook_deliveries(workflow_id)
    return deliveries[-1].response_status_code if deliveries else None


def test_it_receives_logs_no_address_and_ends_well(start, connect, task, inbox, monkeypatch):
    receiver = start(NEW)
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", NEW)
    sandbox = connect(webhook_base_url=receiver.url)
    result = task.run(60, batch_size=20, wait_for_completion=True, deferrable=False)
    assert result["summary"]["emails_found"] == 60
    assert sandbox.ledger.requests(endpoint="enrich_status") == []
    assert httpx.post(f"{receiver.url}/cleanlist/webhook/{'A' * 70}", json={}).status_code == 404
    assert receiver.stop() == 0
    logged = receiver.log.read_text()
    assert "A webhook request was answered with 404" in logged
    assert logged.count("webhook/") == logged.count("webhook/<token>") == 1
    assert "found-both" not in logged


def test_a_thousand_idle_connections_silence_nobody(start, monkeypatch, tmp_path):
    """More than the process has file descriptors; and each is closed when its headers take too long."""
    receiver = start(NEW)
    host, _, port = receiver.url.rpartition("/")[2].partition(":")
    idle = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        for number in range(1_100):
            idle.append(socket.create_connection((host, int(port)), timeout=20))
            if number % 2:
                idle[-1].sendall(b"POST /cleanlist/webhook/x HTTP/1.1\r\nHost: ")
        started = time.monotonic()
        with httpx.Client(base_url=receiver.url, timeout=20) as client:
            answers = [client.post(f"/cleanlist/webhook/{'A' * 70}", json={}).status_code for _ in range(20)]
        assert answers == [404] * 20
        assert time.monotonic() - started < 9
        for connection in idle:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
        assert 5 < time.monotonic() - started < 40
    finally:
        for connection in idle:
            connection.close()
    assert receiver.stop() == 0
    assert "Traceback" not in receiver.log.read_text()


def test_outsiders_do_not_write_the_log(start):
    """Neither by what is not HTTP nor by upgrades; what the receiver itself refuses is one line a minute."""
    receiver = start(NEW)
    host, _, port = receiver.url.rpartition("/")[2].partition(":")
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: %s\r\nConnection: upgrade\r\n\r\n"
    for request, status in ((b"\n!\r\n\r\n", 400), (upgrade % b"h", 404), (upgrade % b"websocket", 404)):
        for _ in range(10):
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(request)
                assert int(connection.recv(100).split()[1]) == status
    for _ in range(10):
        assert httpx.post(f"{receiver.url}/cleanlist/webhook/{'A' * 70}", json={}).status_code == 404
    assert receiver.stop() == 0
    lines = [line for line in receiver.log.read_text().splitlines() if line]
    assert len(lines) == 2, lines
    assert "A webhook request was answered with 404" in lines[1]


def test_a_secret_is_changed_without_losing_a_webhook(start, connect, task, inbox, monkeypatch):
    """As docs/webhooks.md says: receivers first, with both secrets; then workers."""

    def submit(secret: str, **arguments) -> list[str]:
        monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", secret)
        workflow_ids: list[str] = task.run(10, **arguments)["workflow_ids"]
        return workflow_ids

    before = start(OLD)
    sandbox = connect(webhook_base_url=before.url)
    sandbox.settings.seconds_to_complete = 15  # longer than a busy machine takes to start the next receiver
    under_way = submit(OLD)
    before.stop()
    start(f"{NEW},{OLD}", int(before.url.rpartition(":")[2]))
    under_way += submit(OLD, force_resubmit="a worker that was not restarted yet")
    under_way += submit(f"{NEW},{OLD}", force_resubmit="a worker that was")
    eventually(lambda: all(inbox.payload(workflow_id) is not None for workflow_id in under_way))
    for workflow_id in under_way:
        eventually(lambda wanted=workflow_id: last_answer(wanted) == 200)  # type: ignore[misc]


def test_a_store_that_fails_now_and_then_loses_nothing(connect, task, inbox, monkeypatch):
    """Every fourth delivery finds the store failing; Cleanlist's next attempts complete the inbox."""
    calls, store = itertools.count(1), Inbox.store

    def failing(*given: object) -> bool:
        if next(calls) % 4 == 0:
            raise InboxUnavailableError("no space left on device")
        return store(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(Inbox, "store", failing)
    with ReceiverServer(inbox) as receiver:
        sandbox = connect(webhook_base_url=receiver.url)
        result = task.run(300, batch_size=5, wait_for_completion=True, deferrable=False, timeout=60)
    assert (result["summary"]["completed"], result["summary"]["emails_found"]) == (60, 300)
    assert sandbox.ledger.requests(endpoint="enrich_status") == []
    attempts = [len(sandbox.state.webhooks.deliveries(one)) for one in result["workflow_ids"]]
    assert max(attempts) > 1


def test_a_signal_that_comes_as_soon_as_it_listens_ends_it_well(start):
    assert start(NEW).stop() == 0


def test_a_port_that_is_taken_ends_it(inbox):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "airflow_provider_cleanlist.webhooks", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}: [Errno 98] Address already in use" in done.stderr
