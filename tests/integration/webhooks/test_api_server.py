"""A real Airflow API server with the plugin, receiving what the sandbox posts, and a real triggerer that waits for it.

The inbox is on a storage that is reached through an Airflow connection in the metadata database only, as S3 is.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from ports import free_port

from airflow_provider_cleanlist.exceptions import CleanlistSubmissionUnknownError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.inbox.inbox import Inbox, marker_name
from airflow_provider_cleanlist.inbox.tokens import batch_name, sign
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.waiting.outcome import conclude, outcome_from_json

try:
    from airflow.sdk.io import attach
except ImportError:
    from airflow.io.store import attach

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000),
]

START_SECONDS = 240.0
SECRET = "the secret of these tests"
INBOX = "memory://inbox_store@cleanlist/inbox"
EMIT = Path(__file__).with_name("emit_events.py")
HELPER = Path(__file__).parents[1] / "waiting" / "deferred_tasks.py"
PREPARE = """
import sys
from airflow.models import Connection
from airflow.models.asset import AssetModel
from airflow.utils.session import create_session
from airflow_provider_cleanlist.assets import MANAGED_LIST, lead_list_asset
asset = lead_list_asset(MANAGED_LIST)
with create_session() as session:
    session.add(AssetModel(name=asset.name, uri=asset.uri, group=asset.group))
    session.add(Connection(conn_id="inbox_store", conn_type="generic", host=sys.argv[1]))
"""
STORAGE_PROVIDER = """
from airflow.providers.common.compat.sdk import BaseHook
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

schemes = ["memory"]

def get_provider_info():
    filesystems = ["storage_of_tests.fs"]
    return {"package-name": "storage-of-tests", "name": "s", "description": "d", "filesystems": filesystems}

def get_fs(conn_id, storage_options=None):
    return DirFileSystem(BaseHook.get_connection(conn_id).host, LocalFileSystem(auto_mkdir=True))
"""


def install_storage(folder: Path) -> None:
    """Write an Airflow provider of the storage that a process finds which has the folder in its ``PYTHONPATH``."""
    metadata = folder / "storage_of_tests-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "storage_of_tests").mkdir()
    (folder / "storage_of_tests" / "__init__.py").touch()
    (folder / "storage_of_tests" / "fs.py").write_text(STORAGE_PROVIDER)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: storage-of-tests\nVersion: 1.0\n")
    entry_point = "[apache_airflow_provider]\nprovider_info = storage_of_tests.fs:get_provider_info\n"
    (metadata / "entry_points.txt").write_text(entry_point)


class Process:
    """One component of Airflow in a process group of its own, and what it logged."""

    def __init__(self, home: Path, environment: dict[str, str], *command: str) -> None:
        self.log = home / f"{command[0]}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class ApiServer:
    """``airflow api-server`` on a database of its own."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.environment = environment
        self.port = free_port()
        arguments = ("--host", "127.0.0.1", "--port", str(self.port))
        self._process = Process(home, environment, "api-server", *arguments)
        self.log = self._process.log
        self.stop = self._process.stop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/api/v2/version", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self._process.is_running, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)

    def events(self) -> list[dict]:
        with sqlite3.connect(self.home / "airflow.db") as database:
            return [
                json.loads(row[0])["cleanlist"] for row in database.execute("SELECT extra FROM asset_event")
            ]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the connection ``inbox_store`` leads to."""
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory, storage: Path) -> Iterator[ApiServer]:
    home = tmp_path_factory.mktemp("airflow")
    (home / "airflow.cfg").touch()
    install_storage(home / "packages")
    environment = {
        **os.environ,
        "PYTHONPATH": str(home / "packages"),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CLEANLIST__WEBHOOK_INBOX": INBOX,
        "AIRFLOW__CLEANLIST__WEBHOOK_SECRET": SECRET,
    }
    for arguments in (["-m", "airflow", "db", "migrate"], ["-c", PREPARE, str(storage)]):
        command = [sys.executable, *arguments]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=240)
    server = ApiServer(home, environment)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture
def inbox(storage: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """The same inbox as seen from this process."""
    attach("memory", "inbox_store", fs=DirFileSystem(str(storage), LocalFileSystem(auto_mkdir=True)))
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", INBOX)
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", SECRET)
    return Inbox.at(INBOX)


class DeferredTasks:
    """Deferred tasks in Airflow's database, as ``tests/integration/waiting`` makes them."""

    def __init__(self, server: ApiServer) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HELPER), str(server.home / "dags")],
            env=server.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(server.home / "helper.log").open("w"),
            text=True,
        )
        self._answer()

    def ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def event(self, run_id: str) -> dict[str, Any] | None:
        event: dict[str, Any] | None = self.ask(do="look")[run_id]["event"]
        return event

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture
def deferred_tasks(api_server: ApiServer) -> Iterator[DeferredTasks]:
    helper = DeferredTasks(api_server)
    yield helper
    helper.close()


@pytest.fixture
def start_triggerer(api_server: ApiServer) -> Iterator[Callable[[SandboxServer], Process]]:
    started: list[Process] = []

    def start(sandbox: SandboxServer) -> Process:
        environment = api_server.environment | {"AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection_json()}
        started.append(Process(api_server.home, environment, "triggerer", "--skip-serve-logs"))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def eventually(condition, seconds=40.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_webhooks_through_airflow(api_server, connect, task, inbox, storage):
    sandbox = connect(webhook_base_url=api_server.url)
    # told three times each, cut, and before the answer of the submission was heard
    sandbox.settings.change(webhook_copies=3, webhook_results_limit=15)
    sandbox.faults.drop("enrich_bulk", after=True)
    with pytest.raises(CleanlistSubmissionUnknownError):
        task.run(60, batch_size=20)
    (submitted,) = sandbox.ledger.accepted_submits
    kept = f"{marker_name(submitted.workflow_id)}-*"
    eventually(lambda: any((storage / "cleanlist" / "inbox" / "workflows").glob(kept)))
    assert inbox.payload(submitted.workflow_id) is None  # nobody knows yet which batch became it
    result = task.run(60, batch_size=20, wait_for_completion=True, deferrable=False)
    assert result["summary"]["completed"] == 3
    assert result["summary"]["emails_found"] == 60
    assert len(sandbox.ledger.accepted_submits) == 3
    assert sandbox.ledger.contacts_billed_twice() == {}
    # the batch that only a webhook settled is asked for: such a webhook says which workflow it became, and nothing else
    asked = len(sandbox.ledger.requests(endpoint="enrich_status"))
    assert asked in (1, 2)  # a busy machine may deliver one of the others late

    hook = CleanlistHook()
    for workflow_id in result["workflow_ids"]:
        eventually(lambda wanted=workflow_id: len(hook.list_webhook_deliveries(wanted)) == 3)
        assert {row.response_status_code for row in hook.list_webhook_deliveries(workflow_id)} == {200}
    announced = [each for each in result["workflow_ids"] if each != submitted.workflow_id]
    assert len(announced) == 2
    for workflow_id in announced:
        assert inbox.payload(workflow_id)["results_truncated"] == 5
    assert inbox.payload(submitted.workflow_id) is None  # contents are taken from whom a response named only

    eventually(lambda: len(api_server.events()) == 2)
    assert sorted(event["workflow_ids"][0] for event in api_server.events()) == sorted(announced)
    assert {event["emails_found"] for event in api_server.events()} == {20}

    now = time.time()
    batch = batch_name("s", "r", "0")
    for token in (
        sign("somebody else's secret", batch, now + 60),
        sign(SECRET, batch, now - 1),
        "..%2f..%2fetc%2fpasswd",
        "x/y",
    ):
        answer = httpx.post(f"{api_server.url}/cleanlist/webhook/{token}", json={"workflow_id": "w"})
        assert answer.status_code == 404
    assert inbox.payload("w") is None
    logged = api_server.log.read_text()
    assert ".example" not in logged
    assert "/cleanlist/webhook/***" in logged
    assert logged.count("/cleanlist/webhook/") == logged.count("/cleanlist/webhook/***")

    seconds = []
    with httpx.Client(base_url=api_server.url) as client:
        for number in range(50):
            token = sign(SECRET, batch_name("s", "r", str(number)), now + 60)
            body = {**inbox.payload(announced[0]), "workflow_id": f"timed-{number}"}
            started = time.monotonic()
            assert client.post(f"/cleanlist/webhook/{token}", json=body).status_code == 200
            seconds.append(time.monotonic() - started)
    print(
        f"answered after {sorted(seconds)[25] * 1000:.0f} ms (median), {max(seconds) * 1000:.0f} ms at most"
    )


def test_webhooks_get_through_after_the_store_failed_for_seconds(api_server, connect, task, inbox, storage):
    sandbox = connect(webhook_base_url=api_server.url)
    sandbox.settings.seconds_to_complete = 2
    (workflow_id,) = task.run(10)["workflow_ids"]
    folder = storage / "cleanlist" / "inbox"
    away = folder.rename(folder.with_name("away"))
    folder.touch()

    def answers() -> list[int | None]:
        return [row.response_status_code for row in CleanlistHook().list_webhook_deliveries(workflow_id)]

    try:
        eventually(lambda: len(answers()) == 2)
    finally:
        folder.unlink()
        away.rename(folder)
    eventually(lambda: answers()[-1] == 200)
    assert answers() == [503, 503, 200]
    assert len(inbox.payload(workflow_id)["results"]) == 10


def test_webhooks_get_through_to_a_triggerer_which_asks_nobody(
    api_server, connect, task, inbox, deferred_tasks, start_triggerer
):
    """The watcher finds the storage's connection in a real triggerer; the sandbox counts the status requests."""
    sandbox = connect(webhook_base_url=api_server.url)
    triggerer = start_triggerer(sandbox)

    def deferred(workflows: dict[str, Any]) -> str:
        with pytest.raises(TaskDeferred) as caught:
            WorkflowSensor(task_id="wait", workflow_ids=workflows).execute({"ti": _Ti()})
        (_, arguments) = caught.value.trigger.serialize()
        assert arguments["poll_interval"] == 600
        (run_id,) = deferred_tasks.ask(do="defer", requests=[arguments])
        return run_id

    def has_all(workflows: dict[str, Any]) -> bool:
        return all(inbox.payload(workflow_id) is not None for workflow_id in workflows["workflow_ids"])

    early = task.run(40, batch_size=20)
    eventually(lambda: has_all(early))
    before = deferred(early)
    eventually(lambda: deferred_tasks.event(before), 120)  # the triggerer is up

    sandbox.settings.seconds_to_complete = 6
    late = task.run(60, batch_size=20, force_resubmit="again")
    during = deferred(late)
    assert not has_all(late)
    eventually(lambda: has_all(late))
    delivered = time.monotonic()
    eventually(lambda: deferred_tasks.event(during))
    print(f"the event was in the database {time.monotonic() - delivered:.1f} s after the last webhook")
    for run_id, workflows in ((before, 2), (during, 3)):
        summary = conclude(outcome_from_json(deferred_tasks.event(run_id)))
        assert (summary["completed"], summary["emails_found"]) == (workflows, 20 * workflows)
    assert sandbox.ledger.requests(endpoint="enrich_status") == []
    assert "Webhook deliveries cannot be read" not in triggerer.log.read_text()


def test_events_of_one_moment_start_a_run_that_has_them_all(api_server):
    """Airflow by itself leaves those out that come while a run is about to be started."""
    command = [sys.executable, str(EMIT), str(api_server.home / "dags")]
    done = subprocess.run(command, env=api_server.environment, check=True, capture_output=True, timeout=120)
    assert json.loads(done.stdout.splitlines()[-1]) == [4, 0]


class _Ti:
    """As much of a task instance as a link needs."""

    def xcom_push(self, **_: object) -> None:
        """Forget it."""
