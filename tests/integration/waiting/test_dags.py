"""The sensor, and the operator's own waiting, through Airflow itself: ``dag.test()`` on SQLite."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.sandbox.server import SandboxServer

from .conftest import CHECKOUT, AirflowHome, polls_of, submit

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]
FOLDER = Path(__file__).parent
DAGS = (
    "deferred",
    "deferred_one",
    "ended_one",
    "poked",
    "rescheduled",
    "nothing",
    "timed_out_deferred",
    "timed_out_poked",
    "timed_out_rescheduled",
    "timed_out_softly",
    "failed",
    "failed_but_never_mind",
    "failed_softly",
    "from_upstream",
    "operator",
)


class Runs:
    """What came of the DAGs: states, returned values, and what was logged."""

    def __init__(self, tasks: dict[str, dict[str, Any]], log: str) -> None:
        self._tasks = tasks
        self._logs = dict(re.findall(r"=== (\w+)\n(.*?)(?==== |\Z)", log, re.DOTALL))

    def state(self, dag_id: str, task: str = "wait") -> str:
        return str(self._tasks[dag_id][task]["state"]).rpartition(".")[2].lower()

    def value(self, dag_id: str, task: str = "wait") -> Any:
        return self._tasks[dag_id][task]["value"]

    def log(self, dag_id: str) -> str:
        return str(self._logs[dag_id])


@pytest.fixture(scope="module")
def ids() -> dict[str, list[str]]:
    return {}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(window_seconds=2, requests_per_minute=200, credits=10_000) as server:
        yield server


@pytest.fixture(scope="module")
def runs(sandbox: SandboxServer, ids: dict[str, list[str]], airflow_home: AirflowHome) -> Runs:
    ids["ended"] = submit(sandbox, 1, contacts=5)
    sandbox.settings.seconds_to_complete = 1e9
    ids["endless"] = submit(sandbox, 2, contacts=5)
    sandbox.settings.seconds_to_complete = 0
    sandbox.faults.end_workflows("failed", times=1)
    ids["broken"] = submit(sandbox, 2, contacts=5)
    sandbox.settings.polls_to_complete = 2
    for name in ("deferred", "poked", "rescheduled", "from_upstream"):
        ids[name] = submit(sandbox, 3, contacts=5)
    ids["single"] = submit(sandbox, 1, contacts=5)
    sandbox.settings.change(polls_to_complete=0, seconds_to_complete=1)
    env = airflow_home.env | {
        "AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection_json(),
        "AIRFLOW__CORE__DAGS_FOLDER": str(FOLDER / "dags"),
        "PYTHONPATH": os.pathsep.join([str(FOLDER / "dags"), str(CHECKOUT)]),
        "WORKFLOW_IDS": json.dumps(ids),
    }
    result = airflow_home.path / "runs.json"
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run_dags.py"), str(result), *DAGS],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return Runs(json.loads(result.read_text()), done.stdout)


@pytest.mark.parametrize("dag_id", ["deferred", "poked", "rescheduled"])
def test_every_mode_waits_and_returns_the_summary(runs: Runs, dag_id: str):
    assert runs.state(dag_id) == "success"
    summary = runs.value(dag_id)
    assert (summary["workflows"], summary["completed"], summary["total"]) == (3, 3, 15)
    assert set(summary) == {
        "workflows",
        "completed",
        "failed",
        "total",
        "successful",
        "failed_contacts",
        "emails_found",
        "phones_found",
        "failed_workflow_ids",
        "credits_spent",
    }


def test_a_single_workflow_is_deferred_only_if_it_goes_on(runs: Runs):
    assert runs.state("deferred_one") == runs.state("ended_one") == "success"
    assert runs.value("deferred_one")["total"] == runs.value("ended_one")["total"] == 5
    assert "running trigger in line" in runs.log("deferred_one")
    assert "running trigger in line" not in runs.log("ended_one")


def test_nothing_to_wait_for_succeeds(runs: Runs):
    assert runs.state("nothing") == "success"
    assert runs.value("nothing")["workflows"] == 0


@pytest.mark.parametrize("dag_id", ["timed_out_deferred", "timed_out_poked", "timed_out_rescheduled"])
def test_a_timeout_fails_and_names_what_continues(runs: Runs, ids: dict[str, list[str]], dag_id: str):
    assert runs.state(dag_id) == "failed"
    first, second = ids["endless"]
    assert f"2 of 2 workflows were still running: {first}, {second}. Running workflows" in runs.log(dag_id)


def test_no_workflow_is_polled_more_often_than_needed(
    runs: Runs, sandbox: SandboxServer, ids: dict[str, list[str]]
):
    assert runs
    polls = polls_of(sandbox)
    for name in ("deferred", "poked", "rescheduled", "single", "from_upstream"):
        needed, most = (3, 3) if name != "from_upstream" else (3, 5)
        assert all(needed <= polls[workflow_id] <= most for workflow_id in ids[name])


def test_a_soft_timeout_skips(runs: Runs):
    assert runs.state("timed_out_softly") == "skipped"


def test_failed_workflows_fail_skip_or_do_not_matter(runs: Runs, ids: dict[str, list[str]]):
    assert runs.state("failed") == "failed"
    assert f"1 of 2 workflows failed at Cleanlist: {ids['broken'][0]}" in runs.log("failed")
    assert runs.state("failed_but_never_mind") == "success"
    assert runs.value("failed_but_never_mind")["failed_workflow_ids"] == [ids["broken"][0]]
    assert runs.state("failed_softly") == "skipped"


def test_ids_come_from_mapped_tasks_mapping_and_templates(runs: Runs):
    assert runs.value("from_upstream")["workflows"] == 3
    assert [runs.value("from_upstream", f"wait_each[{index}]")["workflows"] for index in range(3)] == [1] * 3
    assert runs.value("from_upstream", "wait_templated")["workflows"] == 3


def test_the_operator_waits_by_the_same_ways(runs: Runs):
    for task in ("here", "deferred"):
        assert runs.state("operator", task) == "success"
        result = runs.value("operator", task)
        assert len(result["workflow_ids"]) == 3
        assert result["summary"]["completed"] == 3
        assert result["summary"]["total"] == result["contacts_submitted"] == 30


def test_progress_is_logged_and_no_contact_is(runs: Runs):
    assert "Waiting for 3 workflows, until" in runs.log("deferred")
    assert "3 of 3 workflows ended, 15 of 15 contacts processed" in runs.log("poked")
    assert not any("operator-1" in runs.log(dag_id) for dag_id in DAGS)


def test_nothing_was_refused_for_want_of_budget(runs: Runs, sandbox: SandboxServer):
    assert runs
    assert not sandbox.ledger.requests(status=429)
