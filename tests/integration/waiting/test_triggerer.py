"""Deferred tasks in a real triggerer: restarts, kills, many at once. No scheduler or API server is needed for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.waiting.outcome import conclude, outcome_from_json

from .conftest import AirflowHome, polls_of, request_for, submit

from process_group import ProcessGroup  # isort: skip

pytestmark = [pytest.mark.integration, pytest.mark.timeout(290)]
HELPER = Path(__file__).parent / "deferred_tasks.py"
LAG_THRESHOLD = 0.15
"""Airflow's watchdog sleeps for 0.1 s and complains beyond this: it was late by more than 50 ms."""


class Triggerer:
    """A real triggerer, and the deferred tasks in its database."""

    def __init__(self, home: AirflowHome, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        env = home.env | {
            "AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection_json(),
            "AIRFLOW__TRIGGERER__BLOCKED_MAIN_THREAD_WARNING_THRESHOLD": str(LAG_THRESHOLD),
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
        }
        self.log_file = home.path / "triggerer.log"
        self.logs = home.path / "logs"
        command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]
        self._group = ProcessGroup("triggerer", command, self.log_file, env, home.path)
        self._helper = subprocess.Popen(
            [sys.executable, str(HELPER), env["AIRFLOW__CORE__DAGS_FOLDER"]],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(home.path / "helper.log").open("w"),
            text=True,
        )
        self._answer()

    def start(self) -> None:
        self._group.start()

    def kill(self) -> None:
        """Kill it without warning."""
        self._group.stop(0.0)

    def close(self) -> None:
        self._group.stop(3.0)
        assert self._helper.stdin is not None
        self._helper.stdin.close()
        self._helper.wait(20)

    def ask(self, **command: Any) -> Any:
        assert self._helper.stdin is not None
        self._helper.stdin.write(json.dumps(command) + "\n")
        self._helper.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._helper.stdout is not None
        return json.loads(self._helper.stdout.readline())

    def defer(self, *workflows: list[str], seconds: float = 200.0, **passthrough: Any) -> list[str]:
        now = time.time()
        requests = [
            {
                **request_for(ids, seconds=seconds).kwargs(),
                "deferred_at": now,
                "passthrough": passthrough,
            }
            for ids in workflows
        ]
        run_ids: list[str] = self.ask(do="defer", requests=requests)
        return run_ids

    def tasks(self, run_ids: list[str]) -> list[dict[str, Any]]:
        state = self.ask(do="look")
        return [state[run_id] for run_id in run_ids]

    def wait_for(self, run_ids: list[str], happened: Callable[[dict[str, Any]], Any], seconds: float) -> None:
        give_up_at = time.monotonic() + seconds
        while not all(happened(task) for task in self.tasks(run_ids)):
            assert time.monotonic() < give_up_at, self.log_file.read_text()[-3000:]
            time.sleep(0.5)

    def wait_for_polls_of(self, workflow_ids: list[str], seconds: float) -> None:
        give_up_at = time.monotonic() + seconds
        while not all(polls_of(self.sandbox)[workflow_id] for workflow_id in workflow_ids):
            assert time.monotonic() < give_up_at, self.log_file.read_text()[-3000:]
            time.sleep(0.2)

    def wait_for_events(self, run_ids: list[str], seconds: float = 120.0) -> list[dict[str, Any]]:
        self.wait_for(run_ids, lambda task: task["event"], seconds)
        return [task["event"] for task in self.tasks(run_ids)]

    def task_log(self, run_id: str) -> str:
        return "".join(path.read_text() for path in sorted(self.logs.glob(f"*/run_id={run_id}/**/*.log")))


@pytest.fixture
def triggerer(
    new_airflow_home: Callable[[], AirflowHome], cleanlist_sandbox: SandboxServer
) -> Iterator[Triggerer]:
    running = Triggerer(new_airflow_home(), cleanlist_sandbox)
    yield running
    running.close()


@pytest.mark.cleanlist_sandbox(seconds_to_complete=25, duration_sigma=0.5, window_seconds=6)
def test_a_restarted_triggerer_goes_on_where_the_killed_one_was(triggerer: Triggerer):
    ids = submit(triggerer.sandbox, 12)
    run_ids = triggerer.defer(ids, seconds=200.0, batches=12)
    triggerer.start()
    triggerer.wait_for(run_ids, lambda task: task["xcoms"], 150)
    triggerer.kill()
    [task] = triggerer.tasks(run_ids)
    done = [ids[index] for index, *_ in task["xcoms"]["cleanlist_wait"]["done"]]
    polled = {workflow_id: polls_of(triggerer.sandbox)[workflow_id] for workflow_id in done}
    triggerer.start()
    [event] = triggerer.wait_for_events(run_ids, 150)
    summary = conclude(outcome_from_json(event))
    assert (summary["completed"], summary["total"]) == (12, 480)
    assert summary["emails_found"] == triggerer.sandbox.ledger.credits_charged
    assert event["passthrough"] == {"batches": 12}
    assert done
    assert {workflow_id: polls_of(triggerer.sandbox)[workflow_id] for workflow_id in done} == polled
    assert not triggerer.sandbox.ledger.requests(status=429)


@pytest.mark.cleanlist_sandbox(
    seconds_to_complete=20, duration_sigma=0.2, window_seconds=6, requests_per_minute=120
)
def test_many_tasks_at_once_then_kills_and_a_deadline(triggerer: Triggerer):
    sandbox = triggerer.sandbox
    ids = submit(sandbox, 100, contacts=5)
    sandbox.settings.seconds_to_complete = 1e9
    endless = submit(sandbox, 3, contacts=5)
    failed, cleared = triggerer.defer(endless[:2], endless[1:])
    triggerer.start()
    # Airflow builds its API inside the triggerer at the first request to it, which stalls everything once.
    triggerer.wait_for_polls_of(endless, 90)
    run_ids = triggerer.defer(*[[workflow_id] for workflow_id in ids])
    events = triggerer.wait_for_events(run_ids)
    assert all(conclude(outcome_from_json(event))["completed"] == 1 for event in events)
    assert not sandbox.ledger.requests(status=429)

    triggerer.ask(do="set", run_id=failed, state="failed")
    triggerer.ask(do="set", run_id=cleared, state="scheduled")
    [late] = triggerer.defer([endless[0]], seconds=3.0)
    [event] = triggerer.wait_for_events([late], 30)
    assert outcome_from_json(event).running_ids == (endless[0],)
    for run_id, workflows in ((failed, endless[:2]), (cleared, endless[1:])):
        line = f"No longer waiting for 2 workflows: {', '.join(workflows)}. Running workflows cannot be cancelled"
        assert line in triggerer.task_log(run_id)
    assert "Waiting for 2 workflows, until" in triggerer.task_log(failed)
