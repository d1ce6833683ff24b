"""Waits record in the organisation's ledger how workflows ended, in every mode; the sandbox is the judge."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from ports import free_port

from airflow_provider_cleanlist.exceptions import (
    CleanlistWaitTimeoutError,
    CleanlistWorkflowFailedError,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor

from .conftest import submit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, credits=100_000, seconds_to_complete=0),
]

ENDS = """
SELECT workflow_id, workflow_status, emails_found, phones_found, credits_spent FROM cleanlist_batches
WHERE ended_at IS NOT NULL
"""
COLUMNS = ("workflow_status", "emails_found", "phones_found", "credits_spent")
HERE: dict[str, Any] = {"deferrable": False}
MODES: list[dict[str, Any]] = [{}, HERE, HERE | {"mode": "reschedule"}]
"""Deferred (one workflow is checked before), in poke mode, in reschedule mode."""


class Tasks:
    """Runs tasks of one DAG run; a deferred one is resumed with its trigger's event."""

    def __init__(self, server: SandboxServer, path: Path) -> None:
        self.server = server
        self.path = path
        self.started: datetime | None = None
        """When the sensor was first rescheduled."""

    def context(self, task_id: str) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id=task_id,
            map_index=-1,
            try_number=1,
            start_date=self.started,
            xcom_push=lambda **_: None,
            get_first_reschedule_date=lambda _: self.started,
        )
        return {"ti": ti, "outlet_events": {}}

    def run(self, operator: Any) -> Any:
        context = self.context(operator.task_id)
        try:
            return operator.execute(context)
        except TaskDeferred as deferral:
            event = asyncio.run(anext(deferral.trigger.run())).payload
        return operator.resume_execution(
            "execute_complete", {"event": json.loads(json.dumps(event))}, context
        )

    def enrich(self, task_id: str = "enrich", contacts: int = 40, **arguments: Any) -> Any:
        people = [
            {"first_name": "Zofia", "last_name": f"Quxley{number}", "company_domain": "harborlight.example"}
            for number in range(contacts)
        ]
        arguments = {"enrichment_type": "full", "batch_size": 20} | arguments
        return self.run(BulkEnrichOperator(task_id=task_id, contacts=people, **arguments))

    def wait(self, workflow_ids: Any, **arguments: Any) -> Any:
        return self.run(WorkflowSensor(task_id="wait", workflow_ids=workflow_ids, **arguments))

    def ends(self) -> dict[str, dict[str, Any]]:
        """What the ledger says of workflows that ended."""
        connection = sqlite3.connect(self.path)
        rows = connection.execute(ENDS).fetchall()
        connection.close()
        return {workflow_id: dict(zip(COLUMNS, values, strict=True)) for workflow_id, *values in rows}

    def judge(self) -> dict[str, dict[str, Any]]:
        """What the sandbox says of all workflows."""
        found, now = {}, self.server.state.clock.now()
        for workflow_id, workflow in self.server.state.engine.workflows.items():
            counters = workflow.counters(now)
            emails, phones = counters.emails_found, counters.phones_found
            values = (workflow.ending, emails, phones, emails + 10 * phones)
            found[workflow_id] = dict(zip(COLUMNS, values, strict=True))
        return found


@pytest.fixture
def tasks(
    cleanlist_sandbox: SandboxServer,
    connect: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Tasks:
    path = tmp_path / "ledger.db"
    connect(cleanlist_sandbox)
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "ledger")
    return Tasks(cleanlist_sandbox, path)


class TestSensor:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("contacts", [20, 60])
    def test_completed_workflows(self, tasks: Tasks, mode: dict[str, Any], contacts: int) -> None:
        result = tasks.enrich(contacts=contacts)
        assert tasks.ends() == {}
        summary = tasks.wait(result, **mode)
        assert tasks.ends() == tasks.judge()
        assert len(tasks.ends()) == contacts / 20 == summary["completed"]
        spent = sum(end["credits_spent"] for end in tasks.ends().values())
        assert spent == tasks.server.ledger.credits_charged > 0
        assert summary["credits_spent"] == spent

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("contacts", [20, 60])
    def test_failed_workflows(self, tasks: Tasks, mode: dict[str, Any], contacts: int) -> None:
        tasks.server.faults.end_workflows("failed", processed=0.5)
        result = tasks.enrich(contacts=contacts)
        with pytest.raises(CleanlistWorkflowFailedError):
            tasks.wait(result, **mode)
        assert tasks.ends() == tasks.judge()
        statuses = sorted(end["workflow_status"] for end in tasks.ends().values())
        assert statuses == ["completed"] * (contacts // 20 - 1) + ["failed"]

    @pytest.mark.parametrize("soft_fail", [False, True])
    @pytest.mark.parametrize("mode", MODES)
    def test_after_a_timeout_those_that_ended(
        self, tasks: Tasks, mode: dict[str, Any], soft_fail: bool
    ) -> None:
        first = tasks.enrich(contacts=20)
        tasks.server.settings.change(seconds_to_complete=3600)
        second = tasks.enrich("second", contacts=20)
        # in reschedule mode the workflow that was submitted last is checked first
        ids = second["workflow_ids"] + first["workflow_ids"]
        tasks.started = datetime.now(UTC) - timedelta(minutes=1) if mode.get("mode") else None
        with pytest.raises(AirflowSkipException if soft_fail else CleanlistWaitTimeoutError):
            tasks.wait(ids, timeout=2.5, poll_interval=1.0, soft_fail=soft_fail, **mode)
        (done,) = first["workflow_ids"]
        assert tasks.ends() == {done: tasks.judge()[done]}

    def test_the_first_record_of_an_end_stays(self, tasks: Tasks) -> None:
        result = tasks.enrich(contacts=20)
        for _ in range(2):
            tasks.wait(result)
        assert tasks.ends() == tasks.judge()

    @pytest.mark.parametrize("mode", MODES)
    def test_what_cleanlist_does_not_tell_is_not_recorded_as_nothing(
        self, tasks: Tasks, mode: dict[str, Any]
    ) -> None:
        tasks.server.settings.change(status_variant="sparse")
        result = tasks.enrich(contacts=20)
        assert tasks.wait(result, **mode)["emails_found"] == 0
        (end,) = tasks.ends().values()
        assert tuple(end.values()) == ("completed", None, None, None)

    @pytest.mark.parametrize("mode", MODES)
    def test_workflows_that_are_not_in_the_ledger(self, tasks: Tasks, mode: dict[str, Any]) -> None:
        foreign = submit(tasks.server, 2)
        result = tasks.enrich(contacts=20)
        assert tasks.wait([*foreign, *result["workflow_ids"]], **mode)["completed"] == 3
        assert tasks.ends().keys() == set(result["workflow_ids"])

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize(("given", "is_configured"), [("ledger", False), (None, False), (None, True)])
    def test_its_own_ledger(
        self,
        tasks: Tasks,
        mode: dict[str, Any],
        given: str | None,
        is_configured: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        result = tasks.enrich(contacts=20)
        if not is_configured:
            monkeypatch.delenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID")
        tasks.wait(result, ledger_conn_id=given, **mode)
        assert tasks.ends() == (tasks.judge() if given == "ledger" or is_configured else {})

    def test_counts_that_the_first_wait_was_not_told_are_added_by_a_later_one(self, tasks: Tasks) -> None:
        tasks.server.settings.change(status_variant="sparse")
        result = tasks.enrich(contacts=20)
        tasks.wait(result)
        tasks.server.settings.change(status_variant="summary")
        tasks.wait(result)
        assert tasks.ends() == tasks.judge()


class TestOperator:
    @pytest.mark.parametrize("deferrable", [False, True])
    def test_completed_workflows_and_exact_credits_of_every_type(
        self, tasks: Tasks, deferrable: bool
    ) -> None:
        arguments = {"wait_for_completion": True, "deferrable": deferrable}
        assert tasks.enrich(contacts=40, **arguments)["credits_spent"] == tasks.server.ledger.credits_charged
        assert tasks.ends() == tasks.judge()
        result = tasks.enrich(contacts=60, enrichment_type="partial", **arguments)
        assert result["credits_spent"] == tasks.server.ledger.credits_charged
        assert result["submitted_as"] == {"full": 40, "partial": 20}
        assert result["workflow_ids"] == list(tasks.server.state.engine.workflows)
        spent = sum(end["credits_spent"] for end in tasks.ends().values())
        assert spent == tasks.server.ledger.credits_charged

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_its_own_ledger(
        self, tasks: Tasks, deferrable: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID")
        tasks.enrich(ledger_conn_id="ledger", wait_for_completion=True, deferrable=deferrable)
        assert tasks.ends() == tasks.judge() != {}

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_failed_workflows(self, tasks: Tasks, deferrable: bool) -> None:
        tasks.server.faults.end_workflows("cancelled")
        with pytest.raises(CleanlistWorkflowFailedError):
            tasks.enrich(wait_for_completion=True, deferrable=deferrable)
        assert sorted(end["workflow_status"] for end in tasks.ends().values()) == ["completed", "failed"]

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_finds_that_nobody_told_cost_nobody_knows_what(self, tasks: Tasks, deferrable: bool) -> None:
        tasks.server.settings.change(status_variant="sparse")
        assert tasks.enrich(wait_for_completion=True, deferrable=deferrable)["credits_spent"] is None


@pytest.mark.parametrize("trouble", ["unreachable", "missing", "damaged"])
class TestLedgerDown:
    @pytest.fixture(autouse=True)
    def _do_not_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_cleanlist.submission.ledger.database.RETRY_PAUSES", (0.0, 0.0))

    def break_ledger(self, trouble: str, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
        match trouble:
            case "unreachable":
                address = {"conn_type": "postgres", "host": "127.0.0.1", "port": free_port(), "login": "x"}
                monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(address))
            case "missing":
                monkeypatch.delenv("AIRFLOW_CONN_LEDGER")
            case "damaged":
                tasks.path.write_bytes(b"no database at all" * 100)

    @pytest.mark.parametrize("mode", MODES)
    def test_the_result_of_the_wait_stands_with_one_warning(
        self,
        tasks: Tasks,
        mode: dict[str, Any],
        trouble: str,
        monkeypatch: pytest.MonkeyPatch,
        logged: Callable[[], str],
    ) -> None:
        result = tasks.enrich(contacts=60)
        self.break_ledger(trouble, tasks, monkeypatch)
        assert tasks.wait(result, **mode)["completed"] == 3
        assert logged().count("How 3 workflows ended is not recorded in the ledger") == 1

    @pytest.mark.parametrize("mode", MODES)
    def test_failed_workflows_are_still_what_fails_the_task(
        self, tasks: Tasks, mode: dict[str, Any], trouble: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tasks.server.faults.end_workflows("failed")
        result = tasks.enrich(contacts=20)
        self.break_ledger(trouble, tasks, monkeypatch)
        with pytest.raises(CleanlistWorkflowFailedError):
            tasks.wait(result, **mode)
