"""A receiver behind a real socket, and a task that uses it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.webhooks.receiver import Receiver, build_app

SECRET = "the secret of these tests"


class ReceiverServer:
    """The receiver on a free port."""

    def __init__(self, inbox: Inbox) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            build_app(Receiver([SECRET], lambda: inbox), "/cleanlist"), lifespan="off", log_level="critical"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self.socket],), daemon=True)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> ReceiverServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self.socket.close()


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    path = f"file://{tmp_path}/inbox"
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", path)
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", SECRET)
    return Inbox.at(path)


@pytest.fixture
def receiver(inbox: Inbox) -> Iterator[ReceiverServer]:
    with ReceiverServer(inbox) as server:
        yield server


@pytest.fixture
def connect(
    cleanlist_sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SandboxServer]:
    def define(**extra: Any) -> SandboxServer:
        connection = json.loads(cleanlist_sandbox.connection_json())
        connection["extra"] |= {"max_retries": 0, "rate_limit_store": "memory://"} | extra
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
        cleanlist_sandbox.settings.allow_http_webhooks = True
        return cleanlist_sandbox

    return define


@pytest.fixture
def sandbox(connect: Callable[..., SandboxServer], receiver: ReceiverServer) -> SandboxServer:
    return connect(webhook_base_url=receiver.url)


class Task:
    """One task instance over several tries."""

    def __init__(self) -> None:
        self._state: dict[str, str] = {}
        self.tries = 0

    def get(self, key: str) -> Any:
        text = self._state.get(key)
        return None if text is None else json.loads(text)

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self._state[key] = json.dumps(value)

    def run(self, count: int = 20, **arguments: Any) -> dict[str, Any]:
        self.tries += 1
        contacts = [
            {"first_name": "Ines", "last_name": f"V{n}", "company_domain": "found-both.example"}
            for n in range(count)
        ]
        operator = BulkEnrichOperator(**{"task_id": "t", "contacts": contacts, "webhook": True, **arguments})
        ti = SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id="t",
            map_index=-1,
            try_number=self.tries,
            xcom_push=lambda **_: None,
        )
        return operator.execute({"ti": ti, "run_id": "r", "outlet_events": {}, "task_state_store": self})


@pytest.fixture
def task() -> Task:
    return Task()
