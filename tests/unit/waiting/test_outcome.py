from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.results import WorkflowEnd, WorkflowStatus
from airflow_provider_cleanlist.waiting.outcome import (
    WaitOutcome,
    conclude,
    first_ids,
    killed_message,
    outcome_from_json,
    outcome_to_json,
    unwatched_message,
)
from airflow_provider_cleanlist.waiting.tracker import Counts, WaitStatus, WorkflowTracker

T0 = 1_700_000_000.0
MANY = [f"wf{number}" for number in range(30)]


def outcome_of(
    *, completed: int = 0, failed: int = 0, running: int = 0, policy: str = "any", **fields: object
) -> WaitOutcome:
    arguments = {
        "status": WaitStatus.FINISHED,
        "failure_policy": policy,
        "workflows": completed + failed + running,
        "ends": tuple(WorkflowEnd(workflow_id, "failed", 1, None) for workflow_id in MANY[:failed])
        + tuple(WorkflowEnd(f"done{number}", "completed", 90, 6) for number in range(completed)),
        "not_found_ids": (),
        "running_ids": tuple(MANY[:running][:20]),
        "running": running,
        "counts": Counts(250, 200, 50, 190, 12),
    }
    return WaitOutcome(**(arguments | fields))  # type: ignore[arg-type]


def info(**fields: object) -> errors.ErrorInfo:
    return errors.ErrorInfo("read the status of workflow wf1", "oops", **fields)  # type: ignore[arg-type]


class TestSummary:
    def test_it_has_exactly_the_documented_keys(self):
        assert conclude(outcome_of(completed=2, failed=1, policy="never")) == {
            "workflows": 3,
            "completed": 2,
            "failed": 1,
            "total": 250,
            "successful": 200,
            "failed_contacts": 50,
            "emails_found": 190,
            "phones_found": 12,
            "failed_workflow_ids": ["wf0"],
        }

    def test_an_outcome_is_what_the_tracker_saw(self):
        tracker = WorkflowTracker(["a", "b", "c"], submitted_at=T0, deadline=T0 + 9)
        tracker.on_status(
            WorkflowStatus("a", "completed", total=3, successful=2, failed=1, emails_found=2), T0 + 5
        )
        tracker.on_status(WorkflowStatus("b", "failed", total=4, phones_found=1), T0 + 5)
        outcome = WaitOutcome.of(tracker, WaitStatus.TIMED_OUT, "any")
        assert (outcome.completed, outcome.failed_ids, outcome.running_ids) == (1, ("b",), ("c",))
        assert outcome.counts == Counts(7, 2, 1, 2, 1)
        assert outcome.ends == (WorkflowEnd("a", "completed", 2, None), WorkflowEnd("b", "failed", None, 1))


class TestFailurePolicy:
    @pytest.mark.parametrize(
        ("policy", "completed", "failed", "raises"),
        [
            ("any", 3, 0, False),
            ("any", 2, 1, True),
            ("any", 0, 3, True),
            ("all", 2, 1, False),
            ("all", 0, 3, True),
            ("all", 0, 0, False),
            ("never", 0, 3, False),
        ],
    )
    def test_when_the_task_fails(self, policy: str, completed: int, failed: int, raises: bool):
        outcome = outcome_of(completed=completed, failed=failed, policy=policy)
        if not raises:
            assert conclude(outcome)["failed"] == failed
            return
        with pytest.raises(exceptions.CleanlistWorkflowFailedError, match="wf0") as caught:
            conclude(outcome)
        assert isinstance(caught.value, AirflowFailException)
        assert f"{failed} of {completed + failed}" in str(caught.value)

    def test_workflows_that_the_api_does_not_know_always_fail_it(self):
        with pytest.raises(exceptions.CleanlistNotFoundError, match="wf7") as caught:
            conclude(outcome_of(completed=1, policy="never", not_found_ids=("wf7",)))
        assert "organisation" in str(caught.value)


class TestTimeout:
    def test_the_message_names_twenty_that_continue_and_counts_the_rest(self):
        outcome = outcome_of(completed=2, running=25, status=WaitStatus.TIMED_OUT)
        with pytest.raises(exceptions.CleanlistWaitTimeoutError) as caught:
            conclude(outcome)
        text = str(caught.value)
        assert "25 of 27 workflows were still running" in text
        assert "wf19 and 5 more" in text
        assert "wf20" not in text
        for word in ("completes them", "cannot be cancelled", "bills", "keeps"):
            assert word in text

    def test_it_is_not_retried(self):
        assert issubclass(exceptions.CleanlistWaitTimeoutError, AirflowSensorTimeout)
        assert issubclass(exceptions.CleanlistWaitTimeoutError, exceptions.CleanlistError)


class TestErrors:
    def test_the_error_that_ended_the_wait_says_that_nothing_is_lost(self):
        tracker = WorkflowTracker(["wf1"], submitted_at=T0, deadline=T0 + 9)
        tracker.break_off(exceptions.CleanlistServerError(info(status=500, hint="Try later.")))
        with pytest.raises(exceptions.CleanlistServerError) as caught:
            conclude(WaitOutcome.of(tracker, WaitStatus.BROKEN, "any"))
        assert "workflow wf1" in str(caught.value)
        assert "Try later. The workflows themselves continue" in str(caught.value)


class TestJson:
    @pytest.mark.parametrize(
        "outcome",
        [
            outcome_of(completed=2, failed=1),
            outcome_of(running=25, status=WaitStatus.TIMED_OUT, policy="never"),
            outcome_of(not_found_ids=("wf7", "wf8")),
        ],
    )
    def test_a_round_trip_changes_nothing(self, outcome: WaitOutcome):
        assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome

    @pytest.mark.parametrize(
        "error",
        [
            exceptions.CleanlistAuthenticationError(info(status=401, request_id="req_1")),
            exceptions.CleanlistServerError(info(status=503, code="maintenance", hint="Wait.")),
            exceptions.CleanlistTransportError(info()),
            exceptions.CleanlistConfigurationError("There is no connection 'x': add it."),
        ],
    )
    def test_errors_arrive_as_what_they_were(self, error: errors.CleanlistError):
        event = json.loads(json.dumps(outcome_to_json(outcome_of(status=WaitStatus.BROKEN, error=error))))
        arrived = outcome_from_json(event).error
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)

    def test_every_error_of_the_provider_can_travel(self):
        kinds = [getattr(exceptions, name) for name in exceptions.__all__ if name.endswith("Error")]
        for kind in kinds:
            error = kind(info()) if issubclass(kind, errors.ApiError) else kind("text")
            arrived = outcome_from_json(
                outcome_to_json(outcome_of(status=WaitStatus.BROKEN, error=error))
            ).error
            assert type(arrived) is kind

    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_a_thousand_workflows_take_less_than_100_kb(self, status: str):
        ends = tuple(
            WorkflowEnd(f"public_bulk_7c1f6a52-0d5e-4b1b-9a77-2f0f4f4b{number:04}", status, 250, 250)
            for number in range(1000)
        )
        outcome = outcome_of(ends=ends, workflows=1000)
        types = {"enrichment_types": ["phone_only"] * 1000}
        assert len(json.dumps({**outcome_to_json(outcome), "passthrough": types})) < 100_000

    @pytest.mark.parametrize("event", [{}, {"status": "done"}, {"status": "finished", "error": {"type": 1}}])
    def test_a_foreign_event_is_refused_with_advice(self, event: dict[str, object]):
        with pytest.raises(exceptions.CleanlistStateError, match="clear the task"):
            outcome_from_json(event)
        assert issubclass(exceptions.CleanlistStateError, AirflowException)

    @pytest.mark.parametrize("status", list(WaitStatus))
    @pytest.mark.parametrize(
        ("key", "values"),
        [
            ("failure_policy", [None, "some", 1, []]),
            ("workflows", [None, "3", -1, 0.5, [], {}]),
            ("running", [None, "3", -1, 0.5, [], {}]),
            ("running_ids", [None, "wf1", 3, {}, [3], [None], [["wf1"]]]),
            ("not_found_ids", [None, "wf1", 3, {}, [3], [None], [["wf1"]]]),
            (
                "ends",
                [None, "wf1", [[]], [[{}, 0, 1, 1]], [["w", -1, 1, 1]], [["w", 2, 1, 1]], [["w", 0, "x", 1]]],
            ),
            ("counts", [None, [], [1, 2, 3], ["1"] * 5, [None] * 5, [1, 1, -1, 1, 1]]),
        ],
    )
    def test_values_of_other_types_are_refused(self, status: WaitStatus, key: str, values: list[object]):
        event = outcome_to_json(outcome_of(completed=1, running=2, status=status))
        outcome_from_json(event)
        for value in values:
            with pytest.raises(exceptions.CleanlistStateError, match="clear the task"):
                outcome_from_json({**event, key: value})


class TestMessages:
    def test_few_ids_are_listed_whole(self):
        assert first_ids(["a", "b"]) == "a, b"
        assert first_ids([]) == ""

    def test_killed(self):
        assert killed_message(["a"]).startswith(
            "No longer waiting for 1 workflow: a. Running workflows cannot be cancelled"
        )
        assert "2 workflows: a, b" in killed_message(["a", "b"])

    def test_unwatched(self):
        assert "30 workflows may still be running" in unwatched_message(MANY)
        assert "wf19 and 10 more" in unwatched_message(MANY)
