"""A task context good enough for ``execute``, and a connection to the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer


class TaskState:
    """What survives the tries of one task instance."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str) -> Any:
        text = self.values.get(key)
        return None if text is None else json.loads(text)

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self.values[key] = json.dumps(value)


class FakeTask:
    """One task instance over several tries."""

    def __init__(self) -> None:
        self.state = TaskState()
        self.xcoms: dict[str, Any] = {}
        self.outlet_events: dict[Any, SimpleNamespace] = {}

    def _push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def context(self, *, try_number: int = 1, has_state_store: bool = True) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id="t",
            map_index=-1,
            try_number=try_number,
            xcom_push=self._push,
        )
        context = {"ti": ti, "outlet_events": self.outlet_events}
        return context | ({"task_state_store": self.state} if has_state_store else {})


@pytest.fixture
def task_instance() -> FakeTask:
    return FakeTask()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_connection(server: SandboxServer, **extra: Any) -> None:
        connection = json.loads(server.connection_json())
        connection["extra"] |= {"max_retries": 0, "rate_limit_store": "memory://"} | extra
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))

    return set_connection


@pytest.fixture
def enrich(
    cleanlist_sandbox: SandboxServer, connect: Callable[..., None], task_instance: Any
) -> Callable[..., Any]:
    """Run a task against this test's sandbox."""

    connect(cleanlist_sandbox)

    def run(try_number: int = 1, has_state_store: bool = True, **arguments: Any) -> dict[str, Any]:
        operator = BulkEnrichOperator(task_id="t", **arguments)
        context = task_instance.context(try_number=try_number, has_state_store=has_state_store)
        return operator.execute(context)  # type: ignore[no-any-return]

    return run
