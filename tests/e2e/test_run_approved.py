"""The example DAG that asks a person: approved, rejected and cleared by REST, judged by the sandbox's ledger.

``APPROVAL_RUNS=1`` runs it: nox session ``approval_runs``.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses
    from sandbox_process import SandboxProcess

pytest.importorskip("airflow.providers.standard.operators.hitl", reason="Airflow asks people from 3.1 on")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),
    pytest.mark.skipif("APPROVAL_RUNS" not in os.environ, reason="takes minutes: nox -s approval_runs"),
]
DAG = "approve_costly_run"
PARKED = ("awaiting_input", "deferred")
SETTLED_SECONDS = 7.0
"""Airflow may fail a task that is resumed sooner after it was parked."""


def wait_for_questions(airflow: AirflowProcesses, run_ids: list[str]) -> list[dict[str, Any]]:
    """Return the questions of runs, once they have been open for a while."""
    deadline, parked_at = time.monotonic() + 120, None
    while parked_at is None or time.monotonic() < parked_at + SETTLED_SECONDS:
        states = [airflow.api.task_states(DAG, run_id) for run_id in run_ids]
        assert time.monotonic() < deadline, states
        if parked_at is None and all(state["approve"] in PARKED for state in states):
            parked_at = time.monotonic()
        time.sleep(0.5)
    return [airflow.api.call("GET", question_path(run_id)) for run_id in run_ids]


def question_path(run_id: str) -> str:
    return f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"


def answer(airflow: AirflowProcesses, run_id: str, option: str) -> None:
    airflow.api.call("PATCH", question_path(run_id), {"chosen_options": [option], "params_input": {}})


def submitted(sandbox: SandboxProcess) -> int:
    return int(sandbox.ledger()["contacts_submitted"])


def test_only_what_was_approved_is_sent(airflow: AirflowProcesses, sandbox: SandboxProcess) -> None:
    airflow.api.wait_for_dag(DAG)
    before = submitted(sandbox)
    approved, rejected, cleared = runs = [airflow.api.trigger_run(DAG) for _ in range(3)]
    questions = wait_for_questions(airflow, runs)
    assert {question["subject"] for question in questions} == {"Spend up to 44 Cleanlist credits?"}
    assert all("| 4 | 44 | " in question["body"] for question in questions)
    assert submitted(sandbox) == before

    answer(airflow, rejected, "Reject")
    airflow.api.clear(DAG, cleared, ["question"], downstream=True)
    assert airflow.api.wait_run(DAG, rejected, timeout=120) == "success"
    assert airflow.api.wait_run(DAG, cleared, timeout=120) == "failed"
    assert airflow.api.task_states(DAG, rejected)["enrich"] == "skipped"
    assert airflow.api.task_states(DAG, cleared)["question"] == "failed"
    assert submitted(sandbox) == before

    answer(airflow, approved, "Approve")
    assert airflow.api.wait_run(DAG, approved, timeout=120) == "success"
    assert airflow.api.xcom(DAG, approved, "enrich")["contacts_submitted"] == 4
    assert submitted(sandbox) == before + 4
