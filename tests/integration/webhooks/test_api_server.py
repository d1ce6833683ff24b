"""A real Airflow API server with the plugin, receiving what the sandbox posts."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from airflow_provider_cleanlist.exceptions import CleanlistSubmissionUnknownError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.webhooks.inbox import Inbox
from airflow_provider_cleanlist.webhooks.tokens import batch_name, sign

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000),
]

START_SECONDS = 240.0
SECRET = "the secret of these tests"
ADD_ASSET = """
from airflow.models.asset import AssetModel
from airflow.utils.session import create_session
from airflow_provider_cleanlist.assets import MANAGED_LIST, lead_list_asset
asset = lead_list_asset(MANAGED_LIST)
with create_session() as session:
    session.add(AssetModel(name=asset.name, uri=asset.uri, group=asset.group))
"""


class ApiServer:
    """``airflow api-server`` on a database of its own, with what it logged."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.log = home / "api-server.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments], env=self._environment, check=True, capture_output=True, timeout=240
        )

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "airflow",
            "api-server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/api/v2/version", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)

    def stop(self) -> None:
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def events(self) -> list[dict]:
        with sqlite3.connect(self.home / "airflow.db") as database:
            return [
                json.loads(row[0])["cleanlist"] for row in database.execute("SELECT extra FROM asset_event")
            ]


@pytest.fixture
def api_server(tmp_path: Path, inbox: Inbox) -> Iterator[ApiServer]:
    home = tmp_path / "airflow"
    home.mkdir()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__API__WORKERS": "1",
    }
    server = ApiServer(home, environment)
    server.run("-m", "airflow", "db", "migrate")
    server.run("-c", ADD_ASSET)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def eventually(condition, seconds=40.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_webhooks_through_airflow(api_server, connect, task, inbox):
    sandbox = connect(webhook_base_url=api_server.url)
    # told three times each, cut, and before the answer of the submission was heard
    sandbox.settings.change(webhook_copies=3, webhook_results_limit=15)
    sandbox.faults.drop("enrich_bulk", after=True)
    with pytest.raises(CleanlistSubmissionUnknownError):
        task.run(60, batch_size=20)
    eventually(lambda: inbox.has(sandbox.ledger.accepted_submits[0].workflow_id))
    result = task.run(60, batch_size=20, wait_for_completion=True, deferrable=False)
    assert result["summary"]["completed"] == 3
    assert result["summary"]["emails_found"] == 60
    assert len(sandbox.ledger.accepted_submits) == 3
    assert sandbox.ledger.contacts_billed_twice() == {}
    assert sandbox.ledger.requests(endpoint="enrich_status") == []

    hook = CleanlistHook()
    for workflow_id in result["workflow_ids"]:
        eventually(lambda wanted=workflow_id: len(hook.list_webhook_deliveries(wanted)) == 3)
        assert {row.response_status_code for row in hook.list_webhook_deliveries(workflow_id)} == {200}
        assert inbox.payload(workflow_id)["results_truncated"] == 5

    eventually(lambda: len(api_server.events()) == 3)
    assert sorted(event["workflow_ids"][0] for event in api_server.events()) == sorted(result["workflow_ids"])
    assert {event["emails_found"] for event in api_server.events()} == {20}

    now = time.time()
    batch = batch_name("s", "r", "0")
    for token in (
        sign("somebody else's secret", batch, now + 60),
        sign(SECRET, batch, now - 1),
        "..%2f..%2fetc%2fpasswd",
    ):
        answer = httpx.post(f"{api_server.url}/cleanlist/webhook/{token}", json={"workflow_id": "w"})
        assert answer.status_code == 404
    assert not inbox.has("w")
    assert ".example" not in api_server.log.read_text()

    seconds = []
    with httpx.Client(base_url=api_server.url) as client:
        for number in range(50):
            token = sign(SECRET, batch_name("s", "r", str(number)), now + 60)
            body = {**inbox.payload(result["workflow_ids"][0]), "workflow_id": f"timed-{number}"}
            started = time.monotonic()
            assert client.post(f"/cleanlist/webhook/{token}", json=body).status_code == 200
            seconds.append(time.monotonic() - started)
    print(
        f"answered after {sorted(seconds)[25] * 1000:.0f} ms (median), {max(seconds) * 1000:.0f} ms at most"
    )
