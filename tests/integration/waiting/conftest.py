"""Workflows in a sandbox to wait for, and the connection that leads to it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow_runner import airflow_settings, clean_environment
from ports import free_port

from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.client.rate_limit.core import Budget
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter
from airflow_provider_cleanlist.client.settings import build_settings
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.waiting.wait import WaitRequest

CHECKOUT = Path(__file__).resolve().parents[3]
STATUS = "enrich_status"


@dataclass(frozen=True)
class AirflowHome:
    """An Airflow of this session's own: its folder, and the environment that leads to it."""

    path: Path
    env: dict[str, str]


@pytest.fixture(scope="session")
def new_airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AirflowHome]:
    """Make homes with a migrated, empty database on SQLite, each in use by nobody."""
    made: list[AirflowHome] = []

    def make() -> AirflowHome:
        path = tmp_path_factory.mktemp("airflow")
        (path / "airflow.cfg").touch()
        settings = airflow_settings(path, path / "dags", free_port(), "LocalExecutor", 2)
        home = AirflowHome(path, clean_environment() | settings | {"PYTHONPATH": str(CHECKOUT)})
        if made:
            shutil.copyfile(made[0].path / "empty.db", path / "airflow.db")
        else:
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, env=home.env, check=True, capture_output=True, timeout=120)
            shutil.copyfile(path / "airflow.db", path / "empty.db")
        made.append(home)
        return home

    return make


@pytest.fixture(scope="module")
def airflow_home(new_airflow_home: Callable[[], AirflowHome]) -> AirflowHome:
    """An Airflow of this module's own."""
    return new_airflow_home()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the connection ``cleanlist_default`` lead to a sandbox."""

    def set_connection(server: SandboxServer, **extra: Any) -> None:
        connection = json.loads(server.connection_json())
        connection["extra"] |= {"rate_limit_store": "memory://", "rate_limit_scope": server.url} | extra
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))

    return set_connection


def submit(server: SandboxServer, workflows: int, contacts: int = 40) -> list[str]:
    """Submit workflows without using up the sandbox's allowance, and return their ids."""
    allowed, server.settings.requests_per_minute = server.settings.requests_per_minute, 1_000_000
    client = CleanlistClient(
        build_settings(server.url, server.api_key, {}), MemoryRateLimiter(Budget(1_000_000, 1.0))
    )
    people = [
        Contact(linkedin_url=f"https://www.linkedin.com/in/person-{index}") for index in range(contacts)
    ]
    ids = [client.submit_bulk_enrichment(people).workflow_id for _ in range(workflows)]
    server.settings.requests_per_minute = allowed
    server.state.limiter.reset()
    return ids


def polls_of(server: SandboxServer) -> dict[str, int]:
    """Return how often each workflow was polled."""
    return {workflow_id: workflow.polls for workflow_id, workflow in server.state.engine.workflows.items()}


def request_for(workflow_ids: list[str], *, seconds: float = 60.0, **fields: Any) -> WaitRequest:
    """Return a request to wait for workflows that were submitted just now."""
    now = time.time()
    arguments = {"cleanlist_conn_id": "cleanlist_default", "submitted_at": now, "deadline": now + seconds}
    return WaitRequest(workflow_ids=tuple(workflow_ids), **(arguments | fields))
