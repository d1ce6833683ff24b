from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from airflow.models.trigger import Trigger

from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.triggers.workflow import (
    WorkflowTrigger,
    hold_seconds,
    is_in_process,
)
from airflow_provider_cleanlist.waiting.wait import WaitRequest

T0 = 1_700_000_000.0


def request_for(*workflow_ids: str, **fields: object) -> WaitRequest:
    arguments = {"cleanlist_conn_id": "cleanlist_default", "submitted_at": T0, "deadline": T0 + 3600}
    return WaitRequest(workflow_ids=workflow_ids, **(arguments | fields))  # type: ignore[arg-type]


class TestSerialization:
    def test_arguments_are_ids_and_numbers_only(self):
        path, kwargs = WorkflowTrigger.of(request_for("a", "b", poll_interval=7.5)).serialize()
        assert path == "airflow_provider_cleanlist.triggers.workflow.WorkflowTrigger"
        assert set(kwargs) == {
            "cleanlist_conn_id",
            "workflow_ids",
            "submitted_at",
            "deadline",
            "submitted_over",
            "poll_interval",
            "failure_policy",
            "is_dated",
            "deferred_at",
            "passthrough",
        }
        assert json.loads(json.dumps(kwargs)) == kwargs

    def test_a_trigger_made_again_is_the_same(self):
        trigger = WorkflowTrigger.of(request_for("a", "b", failure_policy="all"), passthrough={"batches": 2})
        assert WorkflowTrigger(**trigger.serialize()[1]).serialize() == trigger.serialize()

    def test_it_survives_the_database(self):
        trigger = WorkflowTrigger.of(request_for("a", "b"), passthrough={"workflow_ids": ["a", "b"]})
        stored = Trigger.from_object(trigger)
        assert stored.classpath == trigger.serialize()[0]
        assert stored.kwargs == trigger.serialize()[1]

    def test_four_thousand_workflows_stay_small(self):
        ids = [f"public_bulk_{number:08d}-0000-4000-8000-000000000000" for number in range(4000)]
        assert len(json.dumps(WorkflowTrigger.of(request_for(*ids)).serialize()[1])) < 250_000

    def test_the_moment_of_deferral_is_noted(self):
        before = time.time()
        deferred_at = WorkflowTrigger.of(request_for("a")).deferred_at
        assert deferred_at is not None
        assert before <= deferred_at <= time.time()

    def test_the_deadline_is_absolute(self):
        trigger = WorkflowTrigger(**WorkflowTrigger.of(request_for("a")).serialize()[1])
        assert trigger.request.deadline == T0 + 3600


class TestOnKill:
    def killed(self, trigger: WorkflowTrigger) -> list[str]:
        said: list[str] = []
        trigger._log = SimpleNamespace(warning=said.append)  # type: ignore[assignment]
        asyncio.run(trigger.on_kill())
        return said

    def test_it_says_which_workflows_continue(self):
        trigger = WorkflowTrigger.of(request_for("wf1", "wf2"))
        trigger._tracker.on_status(WorkflowStatus("wf1", "completed"), T0 + 5)
        [line] = self.killed(trigger)
        assert line.startswith("No longer waiting for 1 workflow: wf2. Running workflows cannot be cancelled")

    def test_when_all_have_ended_it_says_nothing(self):
        trigger = WorkflowTrigger.of(request_for("wf1"))
        trigger._tracker.on_status(WorkflowStatus("wf1", "completed"), T0 + 5)
        assert self.killed(trigger) == []


@pytest.mark.parametrize(
    ("deferred_at", "now", "seconds"),
    [(100.0, 101.5, 8.5), (100.0, 110.0, 0.0), (100.0, 500.0, 0.0), (None, 101.0, 0.0), (200.0, 100.0, 10.0)],
    ids=["early", "on time", "restarted later", "unknown", "clocks differ"],
)
def test_no_event_within_ten_seconds_of_the_deferral(
    deferred_at: float | None, now: float, seconds: float
) -> None:
    assert hold_seconds(deferred_at, now) == seconds


@pytest.mark.parametrize(
    ("comms", "expected"), [(None, True), ("InProcessSupervisorComms", True), ("TriggerCommsDecoder", False)]
)
def test_without_a_supervisor_there_is_no_scheduler_to_wait_for(
    monkeypatch: pytest.MonkeyPatch, comms: str | None, expected: bool
) -> None:
    runner = pytest.importorskip("airflow.sdk.execution_time.task_runner")
    value = None if comms is None else type(comms, (), {})()
    monkeypatch.setattr(runner, "SUPERVISOR_COMMS", value, raising=False)
    assert is_in_process() is expected
