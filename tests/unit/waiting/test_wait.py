"""The flow of a wait, driven in virtual time, and its request."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.rate_limit.core import Priority
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.waiting.outcome import WaitOutcome, conclude
from airflow_provider_cleanlist.waiting.tracker import WaitStatus, WorkflowTracker
from airflow_provider_cleanlist.waiting.wait import (
    LONGEST_PAUSE_SECONDS,
    REPORT_EVERY_SECONDS,
    SAVE_EVERY_SECONDS,
    LogLine,
    Pause,
    Reply,
    SaveSnapshot,
    StatusCheck,
    WaitRequest,
    opening_line,
    progress_line,
    status_call,
    summary_of_event,
    watch,
)

T0 = 1_700_000_000.0


def request_for(*workflow_ids: str, seconds: float = 3600.0, **fields: Any) -> WaitRequest:
    arguments = {"cleanlist_conn_id": "c", "submitted_at": T0, "deadline": T0 + seconds} | fields
    return WaitRequest(workflow_ids=workflow_ids, **arguments)


@dataclass
class Wait:
    """What happened in a wait that was driven to its end, and when."""

    outcome: WaitOutcome
    end: float
    checks: list[tuple[float, str, float]] = field(default_factory=list)
    lines: list[tuple[float, int, str]] = field(default_factory=list)
    saved: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)


Results = Callable[[str, float], WorkflowStatus | errors.CleanlistError]


def drive(request: WaitRequest, results: Results, *, latency: float = 0.1) -> Wait:
    flow, now = watch(request, request.tracker()), T0
    wait = Wait(None, 0.0)  # type: ignore[arg-type]
    action = next(flow)
    while True:
        arrived: tuple[Any, ...] = ()
        if isinstance(action, Pause):
            assert action.seconds >= 0
            wait.pauses.append(action.seconds)
            now += action.seconds
        elif isinstance(action, StatusCheck):
            workflow_id = str(action.call.request.params["workflow_id"])
            wait.checks.append((now, workflow_id, action.call.request.max_wait))
            assert workflow_id == action.workflow_id
            arrived = ((workflow_id, results(workflow_id, now)),)
            now += latency
        elif isinstance(action, LogLine):
            wait.lines.append((now, action.level, action.text))
        elif isinstance(action, SaveSnapshot):
            wait.saved.append((now, action.snapshot))
        try:
            action = flow.send(Reply(now, results=arrived))
        except StopIteration as done:
            wait.outcome, wait.end = done.value, now
            return wait


def drive_with_slow_responses(request: WaitRequest, results: Results, latency: float) -> tuple[Wait, int]:
    """Drive a wait whose requests leave at once and get late responses; return it, and the most in flight at once."""
    flow, now, most = watch(request, request.tracker()), T0, 0
    wait = Wait(None, 0.0)  # type: ignore[arg-type]
    in_flight: list[tuple[float, str]] = []
    action = next(flow)
    while True:
        if isinstance(action, Pause):
            now = min([now + action.seconds, *(max(now, due) for due, _ in in_flight)])
        elif isinstance(action, StatusCheck):
            assert action.workflow_id not in [workflow_id for _, workflow_id in in_flight]
            wait.checks.append((now, action.workflow_id, 0.0))
            in_flight.append((now + latency, action.workflow_id))
            most = max(most, len(in_flight))
        elif isinstance(action, LogLine):
            wait.lines.append((now, action.level, action.text))
        arrived = tuple((one, results(one, now)) for due, one in in_flight if due <= now)
        in_flight = [(due, one) for due, one in in_flight if due > now]
        try:
            action = flow.send(Reply(now, results=arrived))
        except StopIteration as done:
            wait.outcome, wait.end = done.value, now
            return wait, most


def lasting(**durations: float) -> Results:
    def answer(workflow_id: str, now: float) -> WorkflowStatus:
        share = min(1.0, (now - T0) / durations[workflow_id])
        done = int(250 * share)
        return WorkflowStatus(
            workflow_id,
            "completed" if share == 1 else "processing",
            total=250,
            processed=done,
            successful=done,
            failed=0,
            emails_found=done,
        )

    return answer


class TestFlow:
    def test_a_wait_ends_with_all_its_workflows(self):
        wait = drive(request_for("a", "b"), lasting(a=30.0, b=50.0))
        assert conclude(wait.outcome)["completed"] == 2
        assert T0 + 50 <= wait.end < T0 + 60

    def test_nothing_to_wait_for_sends_nothing(self):
        wait = drive(request_for(), lasting())
        assert wait.outcome.status is WaitStatus.FINISHED
        assert not wait.checks

    def test_the_deadline_ends_it(self):
        wait = drive(request_for("a", "b", seconds=100.0), lasting(a=10.0, b=1e9), latency=0.0)
        assert wait.outcome.status is WaitStatus.TIMED_OUT
        assert wait.end == T0 + 100
        assert (wait.outcome.completed, wait.outcome.running_ids) == (1, ("b",))

    def test_a_request_waits_for_its_place_no_longer_than_the_deadline(self):
        wait = drive(request_for("a", seconds=100.0), lasting(a=1e9))
        assert all(max_wait <= T0 + 100 - at for at, _, max_wait in wait.checks)

    def test_the_schedule_is_consulted_again_after_half_a_minute(self):
        wait = drive(request_for("a", seconds=7200.0, poll_interval=500.0), lasting(a=1000.0))
        assert max(wait.pauses) <= LONGEST_PAUSE_SECONDS
        assert [at for at, _, _ in wait.checks] == pytest.approx([T0 + 500, T0 + 1000.1], abs=0.2)

    def test_a_persistent_error_breaks_it_and_names_the_workflow(self):
        def answer(workflow_id: str, now: float) -> errors.CleanlistError:
            info = errors.ErrorInfo(f"read the status of workflow {workflow_id}", "down", status=500)
            return exceptions.CleanlistServerError(info)

        wait = drive(request_for("a"), answer)
        assert wait.outcome.status is WaitStatus.BROKEN
        assert len(wait.checks) == 6
        with pytest.raises(exceptions.CleanlistServerError, match="workflow a"):
            conclude(wait.outcome)
        warnings = [text for _, level, text in wait.lines if level == logging.WARNING]
        assert len(warnings) == 5
        assert "The status will be checked again" in warnings[0]

    def test_slow_responses_do_not_hold_up_other_requests(self):
        ids = [f"wf{number}" for number in range(20)]
        wait, most = drive_with_slow_responses(request_for(*ids), lasting(**dict.fromkeys(ids, 60.0)), 3.0)
        assert conclude(wait.outcome)["completed"] == 20
        assert most > 4
        assert wait.end < T0 + 110

    def test_probes_do_not_go_together_while_the_first_has_no_response(self):
        def absent(workflow_id: str, now: float) -> WorkflowStatus:
            return WorkflowStatus(workflow_id, "completed" if now >= T0 + 300 else "processing")

        wait, _ = drive_with_slow_responses(request_for("a", "b", "c", "d"), absent, 4.0)
        assert [at - T0 for at, _, _ in wait.checks[:3]] == [5.0, 10.0, 20.0]

    def test_the_deadline_does_not_wait_for_responses(self):
        wait, _ = drive_with_slow_responses(request_for("a", seconds=60.0), lasting(a=1e9), 500.0)
        assert (wait.outcome.status, wait.end) == (WaitStatus.TIMED_OUT, T0 + 60)

    def test_a_strange_word_is_reported_once(self):
        strange = iter(["Paused", "paused", "paused"])

        def answer(workflow_id: str, now: float) -> WorkflowStatus:
            return WorkflowStatus(workflow_id, next(strange, "completed"))

        wait = drive(request_for("a"), answer)
        warnings = [text for _, level, text in wait.lines if level == logging.WARNING]
        assert len(warnings) == 1
        assert "'paused'" in warnings[0]

    def test_an_unknown_status_of_a_workflow_that_is_through_ends_it_with_a_warning(self):
        def answer(workflow_id: str, now: float) -> WorkflowStatus:
            done = min(250, int(now - T0))
            return WorkflowStatus(workflow_id, "wrapping_up", total=250, processed=done)

        wait = drive(request_for("a"), answer)
        assert conclude(wait.outcome)["completed"] == 1
        assert T0 + 280 <= wait.end < T0 + 300
        warnings = [text for _, level, text in wait.lines if level == logging.WARNING]
        assert [text.rpartition(": ")[2] for text in warnings] == [
            "treated as still running.",
            "treated as completed.",
        ]


class TestProgressLines:
    def test_they_come_soon_and_then_every_half_minute_at_most(self):
        wait = drive(request_for("a", "b", "c"), lasting(a=600.0, b=610.0, c=700.0))
        times = [at for at, _, _ in wait.lines]
        assert times[0] < T0 + 15
        before_the_end = [later - earlier for earlier, later in itertools.pairwise(times[:-1])]
        assert min(before_the_end) >= REPORT_EVERY_SECONDS

    def test_they_show_what_an_operator_wants_to_know(self):
        tracker = request_for("a", "b").tracker()
        tracker.on_status(
            WorkflowStatus("a", "failed", total=250, successful=100, failed=150, emails_found=90), T0 + 60
        )
        tracker.on_status(
            WorkflowStatus(
                "b", "processing", total=250, processed=125, successful=100, failed=25, phones_found=7
            ),
            T0 + 60,
        )
        line = progress_line(tracker, T0 + 60)
        assert line.startswith("1 of 2 workflows ended (1 failed), 375 of 500 contacts processed")
        assert "90 emails and 7 phones found" in line
        assert "expected end 2023-11-14 22:15:20 UTC" in line

    def test_without_counts_they_say_what_they_can(self):
        tracker = request_for("a").tracker()
        tracker.on_status(WorkflowStatus("a", "processing"), T0 + 60)
        assert progress_line(tracker, T0 + 60) == "0 of 1 workflow ended, 0 emails and 0 phones found."

    def test_the_opening_line_says_until_when(self):
        line = opening_line(1, T0 + 90, T0)
        assert line == "Waiting for 1 workflow, until 2023-11-14 22:14:50 UTC at the latest (90 s)."

    def test_without_workflows_it_says_so(self):
        assert opening_line(0, T0 + 90, T0) == "No workflows to wait for."


class TestSaving:
    def test_progress_is_saved_in_batches_and_soon(self):
        ids = [f"wf{number}" for number in range(20)]
        durations = {workflow_id: 60.0 + 5 * number for number, workflow_id in enumerate(ids)}
        wait = drive(request_for(*ids), lasting(**durations))
        times = [at for at, _ in wait.saved]
        assert len(times) > 3
        assert all(later - earlier >= SAVE_EVERY_SECONDS for earlier, later in itertools.pairwise(times))

    def test_every_end_is_saved_before_long(self):
        wait = drive(request_for("a", "b"), lasting(a=20.0, b=900.0))
        assert wait.saved[0][0] < T0 + 60
        assert len(wait.saved) == 1
        successor = request_for("a", "b").tracker()
        assert successor.restore(wait.saved[0][1])
        assert successor.running == ("b",)

    def test_a_lone_workflow_leaves_nothing_to_save(self):
        assert not drive(request_for("a"), lasting(a=200.0)).saved


class TestRequest:
    def test_its_arguments_are_plain_json(self):
        request = request_for("a", "b", poll_interval=5.0, submitted_over=3.0, failure_policy="all")
        again = WaitRequest(**json.loads(json.dumps(request.kwargs())))
        assert again == request

    def test_ids_are_kept_once(self):
        assert request_for("a", "b", "a").workflow_ids == ("a", "b")

    @pytest.mark.parametrize("interval", [0, 0.5, -3, float("nan")])
    def test_an_interval_below_a_second_is_refused(self, interval: float):
        with pytest.raises(exceptions.CleanlistConfigurationError, match="poll_interval"):
            request_for("a", poll_interval=interval)

    def test_an_unknown_policy_is_refused(self):
        with pytest.raises(exceptions.CleanlistConfigurationError, match="any, all, never"):
            request_for("a", failure_policy="some")

    def test_the_tracker_knows_the_order_of_submission(self):
        tracker = request_for("a", "b", submitted_over=100.0).tracker()
        assert isinstance(tracker, WorkflowTracker)
        assert tracker.workflows == 2


class TestCalls:
    def test_a_status_call_is_a_poll_with_the_time_that_is_left(self):
        call = status_call("a", 12.0)
        assert call.request.max_wait == 12.0
        assert call.request.priority is Priority.POLL

    def test_no_time_left_is_not_negative(self):
        assert status_call("a", -5.0).request.max_wait == 0.0


def test_an_event_becomes_the_summary(caplog: pytest.LogCaptureFixture):
    from airflow_provider_cleanlist.waiting.outcome import outcome_to_json

    wait = drive(request_for("a"), lasting(a=10.0))
    event = {**outcome_to_json(wait.outcome), "passthrough": {}}
    with caplog.at_level(logging.INFO):
        summary = summary_of_event(event, logging.getLogger("test"))
    assert summary["emails_found"] == 250
    assert "1 workflow ended, 250 emails" in caplog.text
