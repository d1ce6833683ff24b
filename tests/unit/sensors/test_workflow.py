from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import airflow.exceptions
import pytest
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.sensors.workflow import TIMEOUT_GRACE_SECONDS, WorkflowSensor, workflow_ids_of
from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger
from airflow_provider_cleanlist.waiting.outcome import (
    WaitOutcome,
    outcome_to_json,
)
from airflow_provider_cleanlist.waiting.tracker import Counts, WaitStatus

try:
    from airflow.sdk.exceptions import TaskDeferralTimeout
except ImportError:
    TaskDeferralTimeout = getattr(airflow.exceptions, "TaskDeferralTimeout", None)

EMPTY_SUMMARY = {
    "workflows": 0,
    "completed": 0,
    "failed": 0,
    "total": 0,
    "successful": 0,
    "failed_contacts": 0,
    "emails_found": 0,
    "phones_found": 0,
    "failed_workflow_ids": [],
    "credits_spent": 0,
}


class Ti:
    """As much of a task instance as the sensor asks."""

    dag_id, run_id, task_id, map_index = "d", "r", "wait", -1

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


@pytest.fixture
def context() -> dict[str, Any]:
    return {"ti": Ti()}


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "cleanlist", "password": "k", "host": "http://127.0.0.1:9"}
    connection["extra"] = {"max_retries": 0, "rate_limit_store": "memory://"}
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))


def sensor_for(workflow_ids: Any, **arguments: Any) -> WorkflowSensor:
    return WorkflowSensor(task_id="wait", workflow_ids=workflow_ids, **arguments)


def event_of(status: WaitStatus, **fields: Any) -> dict[str, Any]:
    completed, failed = fields.pop("completed", 2), fields.pop("failed_ids", ())
    arguments = {
        "failure_policy": "any",
        "workflows": 2,
        "ends": tuple(WorkflowEnd(f"done{number}", "completed", 195, 1) for number in range(completed))
        + tuple(WorkflowEnd(workflow_id, "failed", 0, 1) for workflow_id in failed),
        "not_found_ids": (),
        "running_ids": (),
        "running": 0,
        "counts": Counts(500, 400, 100, 390, 3),
    }
    return {**outcome_to_json(WaitOutcome(status=status, **(arguments | fields))), "passthrough": {}}


class Log:
    """Keeps what a task logs, on every version of Airflow."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def info(self, text: str, *values: Any) -> None:
        self.lines.append(text % values)


class Lazy(Sequence[Any]):
    """A sequence that is no list, like the output of mapped tasks."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]


class TestInput:
    @pytest.mark.parametrize(
        ("value", "ids"),
        [
            ("wf1", ["wf1"]),
            (" wf1 ", ["wf1"]),
            (["wf1", "wf2"], ["wf1", "wf2"]),
            (("wf1", "wf1"), ["wf1"]),
            ({"workflow_ids": ["wf1", "wf2"], "batches": 2}, ["wf1", "wf2"]),
            ([{"workflow_ids": ["wf1"]}, {"workflow_ids": ["wf2", "wf1"]}], ["wf1", "wf2"]),
            (Lazy({"workflow_ids": ["wf1"]}, {"workflow_ids": []}), ["wf1"]),
            ([["wf1"], ["wf2"]], ["wf1", "wf2"]),
            ("['wf1', 'wf2']", ["wf1", "wf2"]),
            ("{'workflow_ids': ['wf1'], 'batches': 1}", ["wf1"]),
            ([], []),
            ("", []),
            ("[]", []),
            (None, []),
            ("None", []),
            ({"workflow_ids": []}, []),
        ],
    )
    def test_ids_are_found_in_whatever_is_handed_over(self, value: Any, ids: list[str]):
        assert workflow_ids_of(value) == ids

    @pytest.mark.parametrize("value", [7, {"workflows": ["wf1"]}, [1], "['wf1'", b"wf1", [{"a": 1}]])
    def test_anything_else_is_refused(self, value: Any):
        with pytest.raises(exceptions.CleanlistConfigurationError, match="workflow_ids holds"):
            workflow_ids_of(value)

    def test_the_ids_are_templated(self):
        assert "workflow_ids" in WorkflowSensor.template_fields

    def test_an_output_of_another_task_makes_it_upstream(self):
        from airflow.providers.common.compat.sdk import DAG, task

        with DAG("d", schedule=None):

            @task
            def enrich() -> dict[str, Any]:
                return {}

            waiting = sensor_for(enrich())
        assert waiting.upstream_task_ids == {"enrich"}

    def test_nothing_succeeds_at_once(self, context: dict[str, Any]):
        for arguments in ({}, {"deferrable": False}, {"deferrable": False, "mode": "reschedule"}):
            assert sensor_for([], **arguments).execute(context) == EMPTY_SUMMARY

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [({"failure_policy": "some"}, "failure_policy"), ({"poll_interval": 0}, "poll_interval")],
    )
    def test_invalid_arguments_are_named(
        self, context: dict[str, Any], arguments: dict[str, Any], named: str
    ):
        with pytest.raises(exceptions.CleanlistConfigurationError, match=named):
            sensor_for(["wf1", "wf2"], **arguments).execute(context)

    def test_the_defaults_are_those_of_the_design(self):
        sensor = sensor_for("wf1")
        assert (sensor.deferrable, sensor.timeout, sensor.poll_interval, sensor.failure_policy) == (
            True,
            3600,
            None,
            "any",
        )


class TestDeferral:
    def deferred(self, sensor: WorkflowSensor, context: dict[str, Any]) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as caught:
            sensor.execute(context)
        return caught.value

    def test_several_workflows_go_to_the_triggerer_without_a_request(self, context: dict[str, Any]):
        before = time.time()
        deferral = self.deferred(sensor_for(["wf1", "wf2"], timeout=600, poll_interval=20.0), context)
        trigger = deferral.trigger
        assert isinstance(trigger, WorkflowTrigger)
        assert trigger.request.workflow_ids == ("wf1", "wf2")
        assert trigger.request.poll_interval == 20.0
        assert not trigger.request.is_dated
        assert before + 600 <= trigger.request.deadline <= time.time() + 600
        assert deferral.method_name == "execute_complete"
        assert deferral.timeout == timedelta(seconds=600 + TIMEOUT_GRACE_SECONDS)

    def test_a_single_one_that_cannot_be_checked_now_goes_there_too(self, context: dict[str, Any]):
        assert isinstance(self.deferred(sensor_for("wf1"), context).trigger, WorkflowTrigger)

    def test_a_timeout_may_be_a_duration(self, context: dict[str, Any]):
        deferral = self.deferred(sensor_for(["wf1", "wf2"], timeout=timedelta(minutes=5)), context)
        assert deferral.trigger.request.deadline == pytest.approx(time.time() + 300, abs=5)  # type: ignore[attr-defined]

    @pytest.mark.parametrize(("timeout", "seconds"), [(None, 3600), ("0", 0), (0, 0)])
    def test_an_absent_timeout_is_the_default(self, context: dict[str, Any], timeout: Any, seconds: float):
        deferral = self.deferred(sensor_for(["wf1", "wf2"], timeout=timeout), context)
        assert deferral.trigger.request.deadline == pytest.approx(time.time() + seconds, abs=5)  # type: ignore[attr-defined]

    @pytest.mark.parametrize("argument", ["timeout", "poll_interval"])
    @pytest.mark.parametrize("nothing", ["None", "", " "])
    def test_a_number_that_is_an_empty_text_is_refused(self, argument: str, nothing: str):
        with pytest.raises(exceptions.CleanlistConfigurationError, match=f"^{argument} is empty here"):
            sensor_for(["wf1"], **{argument: nothing})

    @pytest.mark.parametrize("timeout", ["1h", "PT1H", [3600], True])
    def test_a_timeout_in_another_form_is_told_which_it_may_have(self, timeout: Any):
        with pytest.raises(
            exceptions.CleanlistConfigurationError,
            match=r"^timeout must be a timedelta or a number of seconds, not",
        ):
            sensor_for(["wf1"], timeout=timeout)


@pytest.mark.parametrize("deferrable", [True, False])
class TestNoWorkflows:
    @pytest.mark.parametrize("nothing", [None, "None", "", " ", [None], [""], {"workflow_ids": None}])
    def test_nothing_is_no_success(self, context: dict[str, Any], nothing: Any, deferrable: bool):
        with pytest.raises(exceptions.CleanlistConfigurationError, match=r"^workflow_ids holds nothing here"):
            sensor_for(nothing, deferrable=deferrable).execute(context)

    @pytest.mark.parametrize("empty", [[], "[]", {"workflow_ids": []}, [[], {"workflow_ids": []}]])
    def test_an_empty_list_is_one(self, context: dict[str, Any], empty: Any, deferrable: bool):
        assert sensor_for(empty, deferrable=deferrable).execute(context)["workflows"] == 0


class TestResumption:
    def test_a_finished_wait_returns_its_summary(self, context: dict[str, Any]):
        summary = sensor_for(["a", "b"]).execute_complete(context, event_of(WaitStatus.FINISHED))
        assert summary == {
            "workflows": 2,
            "completed": 2,
            "failed": 0,
            "total": 500,
            "successful": 400,
            "failed_contacts": 100,
            "emails_found": 390,
            "phones_found": 3,
            "failed_workflow_ids": [],
            "credits_spent": None,
        }

    @pytest.mark.parametrize(
        ("kind", "spent"), [("full", 410), ("partial", 390), ("phone_only", 20), ("none", 0)]
    )
    def test_a_result_tells_what_the_finds_cost(
        self, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kind: str, spent: int
    ):
        lines: list[str] = []
        monkeypatch.setattr(WorkflowSensor, "log", Log(lines))
        result = {"workflow_ids": ["done0", "done1"], "submitted_as": {kind: 500}}
        summary = sensor_for(result).execute_complete(context, event_of(WaitStatus.FINISHED))
        assert summary["credits_spent"] == spent
        assert f"Credits spent, from what was found: {spent}." in lines

    def test_what_cannot_be_told_is_none(self, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
        lines: list[str] = []
        monkeypatch.setattr(WorkflowSensor, "log", Log(lines))
        unsaid = (WorkflowEnd("done0", "completed", 195, 1), WorkflowEnd("done1", "completed", None, None))
        one = {"workflow_ids": ["done0", "done1"], "submitted_as": {"full": 500}}
        two = {"workflow_ids": ["done0", "done1"], "submitted_as": {"full": 250, "phone_only": 250}}
        for result, fields in ((one, {"ends": unsaid}), (two, {}), (["done0", "done1"], {})):
            event = event_of(WaitStatus.FINISHED, **fields)
            assert sensor_for(result).execute_complete(context, event)["credits_spent"] is None
        assert len(lines) == 3
        assert not any("Credits" in line for line in lines)

    def resume(self, sensor: WorkflowSensor, event: dict[str, Any], context: dict[str, Any]) -> Any:
        return sensor.resume_execution("execute_complete", {"event": event}, context)

    def test_a_timeout_names_what_continues(self, context: dict[str, Any]):
        event = event_of(WaitStatus.TIMED_OUT, completed=1, running_ids=("b",), running=1)
        with pytest.raises(AirflowSensorTimeout, match="1 of 2 workflows was still running: b"):
            self.resume(sensor_for(["a", "b"]), event, context)

    def test_failed_workflows_fail_the_task(self, context: dict[str, Any]):
        event = event_of(WaitStatus.FINISHED, completed=1, failed_ids=("b",))
        with pytest.raises(exceptions.CleanlistWorkflowFailedError, match="1 of 2 workflows failed"):
            self.resume(sensor_for(["a", "b"]), event, context)

    @pytest.mark.parametrize(
        "event",
        [
            event_of(WaitStatus.TIMED_OUT, running_ids=("b",), running=1),
            event_of(WaitStatus.FINISHED, failed_ids=("b",)),
        ],
    )
    def test_soft_failure_skips(self, event: dict[str, Any], context: dict[str, Any]):
        with pytest.raises(AirflowSkipException):
            self.resume(sensor_for(["a", "b"], soft_fail=True), event, context)

    @pytest.mark.skipif(
        TaskDeferralTimeout is None, reason="Airflow 2 does not tell timeouts of triggers apart"
    )
    def test_a_timeout_of_airflow_itself_says_as_much_as_is_known(
        self, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ):
        def time_out(*_: Any, **__: Any) -> None:
            raise TaskDeferralTimeout("timed out")

        sensor = sensor_for(["a", "b"])
        monkeypatch.setattr(WorkflowSensor, "execute_complete", time_out)
        with pytest.raises(
            exceptions.CleanlistWaitTimeoutError, match="2 workflows may still be running: a, b"
        ):
            self.resume(sensor, {}, context)
        with pytest.raises(AirflowSkipException):
            self.resume(sensor_for(["a", "b"], soft_fail=True), {}, context)
