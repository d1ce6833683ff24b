"""The tracker's contract, checked against worlds of workflows that live in virtual time."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.waiting.schedule import PollRule
from airflow_provider_cleanlist.waiting.tracker import (
    NOT_FOUND_GRACE_SECONDS,
    TOLERATED_ERRORS,
    Check,
    Counts,
    Idle,
    WaitStatus,
    WorkflowOutcome,
    WorkflowTracker,
)

RULE = PollRule()
T0 = 1_700_000_000.0
FAR = T0 + 1e9


def running(workflow_id: str, *, done: int | None = None, word: str = "processing") -> WorkflowStatus:
    total = None if done is None else 250
    return WorkflowStatus(workflow_id, word, total=total, processed=done)


def completed(workflow_id: str, **counts: int) -> WorkflowStatus:
    return WorkflowStatus(workflow_id, "completed", **counts)


def error_info(workflow_id: str, status: int | None = 500) -> errors.ErrorInfo:
    return errors.ErrorInfo(f"read the status of workflow {workflow_id}", "oops", status=status)


TRANSIENT = (errors.ServerError, errors.TransportError, errors.UnexpectedResponseError)
PERMANENT = (errors.AuthenticationError, errors.PermissionDeniedError, errors.BadRequestError)


@dataclass
class World:
    """Workflows by duration (infinite: never), and what the API answers.

    ``faults`` are the answers to the first looks at a workflow: an exception class, or a strange status word.
    """

    durations: dict[str, float]
    progress: str = "linear"
    faults: dict[str, list[type[errors.ApiError] | str]] = field(default_factory=dict)
    latency: float = 0.0
    submitted: dict[str, float] = field(default_factory=dict)

    def answer(self, workflow_id: str, now: float) -> WorkflowStatus | errors.ApiError:
        pending = self.faults.get(workflow_id)
        if pending:
            fault = pending.pop(0)
            return (
                running(workflow_id, word=fault) if isinstance(fault, str) else fault(error_info(workflow_id))
            )
        share = (now - self.submitted.get(workflow_id, T0)) / self.durations[workflow_id]
        if share >= 1:
            return completed(workflow_id, total=250, processed=250, successful=200, failed=50)
        shapes = {
            "linear": share,
            "concave": 1 - (1 - share) ** 2,
            "convex": share**2,
            "steps": int(5 * share) / 5,
            "begins late": max(0.0, (share - 0.4) / 0.6),
            "late": 0.0,
        }
        done = None if self.progress == "absent" else int(250 * shapes[self.progress])
        return running(workflow_id, done=done)


@dataclass
class Run:
    end: WaitStatus
    at: float
    looks: list[tuple[float, str]]

    def gaps(self, workflow_id: str) -> list[float]:
        times = [at for at, looked in self.looks if looked == workflow_id]
        return [later - earlier for earlier, later in pairwise(times)]


def run(tracker: WorkflowTracker, world: World, *, start: float = T0, most_looks: int = 5_000) -> Run:
    now, looks = start, []
    while True:
        step = tracker.next_step(now)
        if isinstance(step, WaitStatus):
            return Run(step, now, looks)
        if isinstance(step, Idle):
            assert step.until > now, "a rest that is over would spin"
            now = step.until
            continue
        looks.append((now, step.workflow_id))
        assert len(looks) < most_looks
        answer = world.answer(step.workflow_id, now)
        now += world.latency
        if isinstance(answer, WorkflowStatus):
            tracker.on_status(answer, now)
        else:
            tracker.on_error(step.workflow_id, answer, now)


def tracker_of(ids: list[str], *, deadline: float = FAR, **arguments: object) -> WorkflowTracker:
    return WorkflowTracker(ids, submitted_at=T0, deadline=deadline, **arguments)  # type: ignore[arg-type]


worlds = st.builds(
    World,
    durations=st.lists(st.floats(min_value=0.0, max_value=3000.0), min_size=1, max_size=25).map(
        lambda values: {f"wf{index}": max(value, 1e-3) for index, value in enumerate(values)}
    ),
    progress=st.sampled_from(["linear", "concave", "convex", "steps", "late", "absent"]),
    latency=st.sampled_from([0.0, 0.2, 3.0]),
)


class TestEnds:
    def test_nothing_to_wait_for_is_finished_at_once(self):
        assert tracker_of([]).next_step(T0) is WaitStatus.FINISHED

    @given(worlds)
    @settings(max_examples=30, deadline=None)
    def test_every_workflow_is_seen_to_its_end(self, world: World):
        tracker = tracker_of(list(world.durations))
        outcome = run(tracker, world)
        assert outcome.end is WaitStatus.FINISHED
        assert set(tracker.ended(WorkflowOutcome.COMPLETED)) == set(world.durations)
        assert tracker.counts == Counts(total=250, successful=200, failed=50) or len(world.durations) > 1
        assert tracker.counts.total == 250 * len(world.durations)

    @pytest.mark.parametrize("word", ["failed", "CANCELLED", "error", "Timed_Out"])
    def test_words_of_failure_end_a_workflow(self, word: str):
        tracker = tracker_of(["a"])
        tracker.on_status(running("a", word=word), T0 + 5)
        assert tracker.ended(WorkflowOutcome.FAILED) == ("a",)
        assert tracker.next_step(T0 + 5) is WaitStatus.FINISHED

    def test_an_id_given_twice_is_watched_once(self):
        assert tracker_of(["a", "b", "a"]).workflows == 2


class TestGaps:
    @given(worlds)
    @settings(max_examples=25, deadline=None)
    def test_never_two_looks_within_the_least_gap_nor_later_than_the_cap(self, world: World):
        world.latency = 0.0
        outcome = run(tracker_of(list(world.durations)), world)
        for workflow_id in world.durations:
            for gap in outcome.gaps(workflow_id):
                assert RULE.shortest_gap - 1e-6 <= gap <= RULE.longest_gap + 1e-6

    @given(worlds)
    @settings(max_examples=25, deadline=None)
    def test_the_first_look_comes_within_the_cap(self, world: World):
        world.latency = 0.0
        outcome = run(tracker_of(list(world.durations)), world)
        first = {workflow_id: at for at, workflow_id in reversed(outcome.looks)}
        assert max(first.values()) - T0 <= RULE.longest_gap

    @given(worlds, st.floats(min_value=20.0, max_value=400.0))
    @settings(max_examples=20, deadline=None)
    def test_a_fixed_interval_is_kept_exactly(self, world: World, interval: float):
        world.latency = 0.0
        outcome = run(tracker_of(list(world.durations), poll_interval=interval), world, most_looks=100_000)
        gaps = [gap for workflow_id in world.durations for gap in outcome.gaps(workflow_id)]
        assert all(gap == pytest.approx(interval, abs=1e-3) for gap in gaps)

    @given(worlds, st.lists(st.sampled_from([*TRANSIENT, "odd"]), max_size=TOLERATED_ERRORS))
    @settings(max_examples=25, deadline=None)
    def test_the_bounds_hold_after_errors_too(self, world: World, faults: list[object]):
        world.latency = 0.0
        world.faults = {workflow_id: list(faults) for workflow_id in world.durations}  # type: ignore[misc]
        outcome = run(tracker_of(list(world.durations)), world)
        assert outcome.end is WaitStatus.FINISHED
        for workflow_id in world.durations:
            for gap in outcome.gaps(workflow_id):
                assert RULE.shortest_gap - 1e-6 <= gap <= RULE.longest_gap + 1e-6

    def test_failed_looks_are_repeated_ever_more_rarely(self):
        world = World({"a": math.inf}, "absent", {"a": [errors.ServerError] * 5})
        gaps = run(tracker_of(["a"], deadline=T0 + 2000), world).gaps("a")[:4]
        assert gaps == sorted(gaps)
        assert gaps[3] >= 4 * gaps[0]

    @pytest.mark.parametrize("progress", ["linear", "concave", "convex", "steps", "begins late", "absent"])
    def test_a_lone_workflow_is_seen_within_five_seconds_on_average(self, progress: str):
        delays = []
        for duration in range(10, 1200, 3):
            outcome = run(tracker_of(["a"]), World({"a": float(duration)}, progress))
            delays.append(outcome.at - T0 - duration)
            assert most_in_a_minute(outcome) <= 12
        assert sum(delays) / len(delays) < 5.0

    @pytest.mark.parametrize("progress", ["linear", "concave", "convex", "steps", "begins late", "absent"])
    def test_ten_workflows_take_at_most_half_the_looks_of_fixed_ten_seconds(self, progress: str):
        ours = fixed = 0
        for seed in range(20):
            source = random.Random(seed)
            world = World({f"wf{i}": 90 * math.exp(source.gauss(0, 0.5)) for i in range(10)}, progress)
            ours += len(run(tracker_of(list(world.durations)), world).looks)
            fixed += len(run(tracker_of(list(world.durations), poll_interval=10.0), world).looks)
        assert ours <= fixed / 2


def most_in_a_minute(outcome: Run) -> int:
    times = [at for at, _ in outcome.looks]
    return max(sum(at <= other < at + 60 for other in times) for at in times)


class TestUndated:
    """A sensor does not know when its workflows were submitted."""

    @pytest.mark.parametrize("seconds_before", [2.0, 15.0, 40.0])
    def test_even_progress_is_seen_to_its_end_without_long_delays(self, seconds_before: float):
        durations = {f"wf{index}": 90.0 + 8 * index for index in range(10)}
        world = World(durations, submitted=dict.fromkeys(durations, T0 - seconds_before))
        outcome = run(tracker_of(list(durations), is_dated=False), world)
        last = {workflow_id: at for at, workflow_id in outcome.looks}
        delays = [last[name] - (T0 - seconds_before + seconds) for name, seconds in durations.items()]
        assert sum(delays) / len(delays) < 20.0
        assert len(outcome.looks) <= 4 * len(durations)


class TestOrder:
    def test_a_probe_goes_first_and_alone(self):
        world = World({f"wf{index}": 90.0 for index in range(20)})
        looks = run(tracker_of(list(world.durations)), world).looks
        assert looks[0] == (T0 + RULE.shortest_gap, "wf0")
        assert looks[1][0] > T0 + 2 * RULE.shortest_gap

    def test_while_nothing_is_known_a_fresh_probe_goes_at_twice_the_age_of_the_last(self):
        world = World({f"wf{index}": 90.0 for index in range(10)}, "absent")
        looks = run(tracker_of(list(world.durations)), world).looks
        assert looks[:4] == [(T0 + 5 * 2**index, f"wf{index}") for index in range(4)]

    @pytest.mark.parametrize(("others", "ages"), [(0, [8, 16]), (9, [14, 90]), (99, [104, 204])])
    def test_waits_for_one_workflow_each_look_early_too_unless_they_are_many(
        self, others: int, ages: list[float]
    ):
        tracker, looked, now = tracker_of(["a"]), [], T0
        while len(looked) < 2:
            step = tracker.next_step(now, others)
            if isinstance(step, Check):
                looked.append(now - T0)
                tracker.on_status(running("a"), now)
            else:
                assert isinstance(step, Idle)
                now = step.until
        assert looked == pytest.approx(ages, abs=1.0)

    def test_a_probe_that_could_not_be_asked_waits_as_others_do(self):
        world = World(dict.fromkeys("ab", 90.0), "absent", {"a": [errors.ServerError] * 5})
        looks = run(tracker_of(["a", "b"]), world).looks
        assert looks[:2] == [(T0 + 5, "a"), (T0 + 10, "b")]
        assert [at for at, workflow_id in looks if workflow_id == "a"][1] > T0 + 25

    def test_quick_workflows_make_the_others_due_sooner(self):
        slow = run(tracker_of([f"wf{i}" for i in range(20)]), World({f"wf{i}": 90.0 for i in range(20)}))
        quick = run(tracker_of([f"wf{i}" for i in range(20)]), World({f"wf{i}": 3.0 for i in range(20)}))
        assert quick.at - T0 < 20 < slow.at - T0

    def test_workflows_submitted_later_are_looked_at_later(self):
        ids = [f"wf{index}" for index in range(20)]
        world = World(dict.fromkeys(ids, 90.0), "absent")
        looks = run(tracker_of(ids, submitted_over=190.0), world).looks
        first = {workflow_id: at for at, workflow_id in reversed(looks)}
        assert first["wf19"] - first["wf1"] > 100

    def test_others_on_the_budget_make_looks_rarer(self):
        tracker = tracker_of(["a", "b", "c"])
        tracker.on_status(completed("a"), T0 + 90)
        for workflow_id in ("b", "c"):
            tracker.on_status(running(workflow_id), T0 + 90)
        alone, crowded = tracker.next_step(T0 + 90), tracker.next_step(T0 + 90, others=98)
        assert isinstance(alone, Idle)
        assert isinstance(crowded, Idle)
        assert crowded.until - T0 - 90 == pytest.approx(100.0)
        assert alone.until < crowded.until

    def test_a_clock_that_is_behind_the_submitter_does_no_harm(self):
        tracker = tracker_of(["a"])
        assert run(tracker, World({"a": 20.0}), start=T0 - 30).end is WaitStatus.FINISHED


class TestDeadline:
    @given(worlds, st.floats(min_value=0.0, max_value=2000.0))
    @settings(max_examples=30, deadline=None)
    def test_it_is_honoured_to_the_second(self, world: World, seconds: float):
        world.latency = 0.0
        world.durations = dict.fromkeys(world.durations, math.inf)
        outcome = run(tracker_of(list(world.durations), deadline=T0 + seconds), world)
        assert outcome.end is WaitStatus.TIMED_OUT
        assert outcome.at == T0 + seconds
        assert all(at < T0 + seconds for at, _ in outcome.looks)

    def test_every_workflow_is_looked_at_once_more_shortly_before(self):
        ids = [f"wf{index}" for index in range(5)]
        outcome = run(tracker_of(ids, deadline=T0 + 1000), World(dict.fromkeys(ids, math.inf), "absent"))
        last = {workflow_id: at for at, workflow_id in outcome.looks}
        assert min(last.values()) >= T0 + 1000 - 2 * RULE.shortest_gap

    def test_an_end_seen_in_the_last_look_counts(self):
        tracker = tracker_of(["a"], deadline=T0 + 30)
        tracker.on_status(completed("a"), T0 + 31)
        assert tracker.next_step(T0 + 31) is WaitStatus.FINISHED

    def test_a_deadline_in_the_past_ends_at_once(self):
        assert tracker_of(["a"], deadline=T0 - 1).next_step(T0) is WaitStatus.TIMED_OUT


class TestStrangeCounts:
    @pytest.mark.parametrize(
        "counts",
        [
            [{"total": 10, "processed": 1}, {"total": 10, "processed": -5}, {"total": 10, "processed": 1}],
            [{"total": 10, "failed": 1}, {"total": -10, "failed": 1}, {"total": 10, "failed": 2}],
            [{"total": 10, "progress": 10}, {"total": 10, "progress": -50}, {"total": 10, "progress": 20}],
        ],
    )
    def test_counts_below_zero_end_no_wait(self, counts: list[dict[str, int]]):
        tracker = tracker_of(["a"])
        for at, summary in enumerate(counts, 1):
            status = WorkflowStatus.parse("a", {"status": "processing", "summary": summary, **summary})
            assert tracker.on_status(status, T0 + 10 * at) is None
            step = tracker.next_step(T0 + 10 * at)
            assert isinstance(step, Check | Idle)
        assert tracker.running == ("a",)

    @settings(max_examples=60)
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["total", "processed", "successful", "failed", "progress"]),
                st.integers(-300, 300) | st.sampled_from([None, 2**31 - 1, 1 - 2**31, 1e300, "-1", 0.5]),
            ),
            max_size=8,
        )
    )
    def test_no_counts_do(self, bodies: list[dict[str, object]]):
        tracker = tracker_of(["a"])
        for at, body in enumerate(bodies, 1):
            tracker.on_status(WorkflowStatus.parse("a", {**body, "status": "processing"}), T0 + 10 * at)
            step = tracker.next_step(T0 + 10 * at)
            assert not isinstance(step, Idle) or math.isfinite(step.until)


class TestStrangeWords:
    @given(st.text(max_size=60))
    def test_an_unknown_word_means_running(self, word: str):
        tracker = tracker_of(["a"])
        status = running("a", word=word)
        tracker.on_status(status, T0 + 5)
        assert (tracker.running == ("a",)) == (status.state.value == "running")

    def test_each_is_reported_once(self):
        tracker, warnings = tracker_of(["a", "b"]), []
        for at, (workflow_id, word) in enumerate([("a", "Paused"), ("b", "paused "), ("a", "odd")]):
            warnings.append(tracker.on_status(running(workflow_id, word=word), T0 + at))
        assert warnings == [
            "Workflow a has the unknown status 'paused': treated as still running.",
            None,
            "Workflow a has the unknown status 'odd': treated as still running.",
        ]
        assert tracker.on_status(running("a", word="PAUSED"), T0 + 9) is None

    def test_of_a_long_one_only_the_beginning_is_looked_at(self):
        class Whole(str):
            def strip(self, *_: object) -> str:
                raise AssertionError("copied whole")

            lower = strip

        warning = tracker_of(["a"]).on_status(running("a", word=Whole(" Idle" + "x" * 5000)), T0)
        assert warning == (f"Workflow a has the unknown status 'idle{'x' * 36}': treated as still running.")

    def test_usual_words_are_not_reported(self):
        tracker = tracker_of(["a"])
        for word in ("processing", "Pending", "RUNNING", "queued", "in_progress", "In progress"):
            assert tracker.on_status(running("a", word=word), T0 + 5) is None

    @pytest.mark.parametrize("word", ["wrapping_up", ""])
    def test_with_all_contacts_processed_for_a_while_it_is_an_end(self, word: str):
        tracker = tracker_of(["a"])
        for seconds in (100, 110, 129):
            tracker.on_status(running("a", done=250, word=word), T0 + seconds)
        assert tracker.running == ("a",)
        warning = tracker.on_status(running("a", done=250, word=word), T0 + 130)
        assert tracker.ended(WorkflowOutcome.COMPLETED) == ("a",)
        assert warning == (
            f"Workflow a has the unknown status {word!r}, but all its contacts were processed 30 s ago: "
            "treated as completed."
        )

    @pytest.mark.parametrize(
        ("word", "done"), [("wrapping_up", 249), ("wrapping_up", None), ("processing", 250), ("queued", 250)]
    )
    def test_it_is_none_while_contacts_remain_or_the_word_says_that_it_runs(
        self, word: str, done: int | None
    ):
        tracker = tracker_of(["a"])
        for seconds in range(100, 1000, 50):
            tracker.on_status(running("a", done=done, word=word), T0 + seconds)
        assert tracker.running == ("a",)

    @pytest.mark.parametrize(
        ("word", "outcome"), [("error", WorkflowOutcome.FAILED), ("success", WorkflowOutcome.COMPLETED)]
    )
    def test_a_bare_word_for_an_end_counts_when_it_comes_again(self, word: str, outcome: WorkflowOutcome):
        tracker = tracker_of(["a", "b"])
        bare = WorkflowStatus.parse("a", {"status": word})
        assert tracker.on_status(bare, T0 + 100) == (
            f"The response about workflow a is nothing but the status {word!r}, which something on the way may have "
            "sent: the workflow has ended if that comes again."
        )
        assert tracker.on_status(bare, T0 + 129) is None
        assert tracker.running == ("a", "b")
        successor = tracker_of(["a", "b"])
        assert successor.restore(json.loads(json.dumps(tracker.snapshot())))
        assert successor.on_status(bare, T0 + 130) is None
        assert successor.ended(outcome) == ("a",)

    def test_a_bare_word_in_between_ends_nothing(self):
        tracker = tracker_of(["a"])
        for seconds, status in (
            (100, WorkflowStatus.parse("a", {"status": "error"})),
            (140, running("a", done=3)),
            (180, WorkflowStatus.parse("a", {"status": "error"})),
        ):
            tracker.on_status(status, T0 + seconds)
        assert tracker.running == ("a",)
        tracker.on_status(WorkflowStatus.parse("a", {"status": "error", "total": 250}), T0 + 181)
        assert tracker.ended(WorkflowOutcome.FAILED) == ("a",)

    @pytest.mark.parametrize("word", ["completed", "failed"])
    def test_the_words_of_the_documentation_need_nothing_else(self, word: str):
        tracker = tracker_of(["a"])
        tracker.on_status(WorkflowStatus.parse("a", {"status": word}), T0 + 100)
        assert tracker.running == ()

    def test_the_time_counts_anew_when_contacts_remain_again(self):
        tracker = tracker_of(["a"])
        for seconds, done in ((100, 250), (120, 200), (140, 250), (169, 250)):
            tracker.on_status(running("a", done=done, word="odd"), T0 + seconds)
        assert tracker.running == ("a",)
        tracker.on_status(running("a", done=250, word="odd"), T0 + 170)
        assert tracker.running == ()

    def test_a_successor_goes_on_counting(self):
        tracker, successor = tracker_of(["a", "b"]), tracker_of(["a", "b"])
        tracker.on_status(running("b", done=250, word="odd"), T0 + 100)
        assert successor.restore(json.loads(json.dumps(tracker.snapshot())))
        successor.on_status(running("b", done=250, word="odd"), T0 + 140)
        assert successor.running == ("a",)


class TestErrors:
    @pytest.mark.parametrize("kind", TRANSIENT)
    def test_five_in_a_row_are_tolerated_and_the_sixth_ends_the_wait(self, kind: type[errors.ApiError]):
        tracker = tracker_of(["a", "b"])
        for attempt in range(TOLERATED_ERRORS):
            tracker.on_error("a", kind(error_info("a")), T0 + 10 * attempt)
            assert not isinstance(tracker.next_step(T0 + 10 * attempt), WaitStatus)
        last = kind(error_info("a"))
        tracker.on_error("a", last, T0 + 100)
        assert tracker.next_step(T0 + 100) is WaitStatus.BROKEN
        assert tracker.error is last
        assert "workflow a" in str(last)

    def test_an_answer_starts_the_count_anew_and_workflows_count_apart(self):
        tracker = tracker_of(["a", "b"])
        for attempt in range(TOLERATED_ERRORS):
            for workflow_id in ("a", "b"):
                tracker.on_error(workflow_id, errors.ServerError(error_info(workflow_id)), T0 + attempt)
        tracker.on_status(running("a"), T0 + 10)
        tracker.on_error("a", errors.ServerError(error_info("a")), T0 + 20)
        assert not isinstance(tracker.next_step(T0 + 20), WaitStatus)

    def test_a_crowded_budget_is_no_error(self):
        tracker = tracker_of(["a"])
        for attempt in range(50):
            tracker.on_error("a", errors.RateLimitedError(error_info("a", 429)), T0 + attempt)
        assert not isinstance(tracker.next_step(T0 + 50), WaitStatus)

    @pytest.mark.parametrize("kind", PERMANENT)
    def test_what_waiting_cannot_heal_ends_the_wait(self, kind: type[errors.ApiError]):
        tracker = tracker_of(["a"])
        tracker.on_error("a", kind(error_info("a", 401)), T0)
        assert tracker.next_step(T0) is WaitStatus.BROKEN

    @pytest.mark.parametrize("kind", [*PERMANENT, errors.NotFoundError])
    def test_a_page_of_something_in_between_is_tolerated_like_a_failing_server(
        self, kind: type[errors.ApiError]
    ):
        tracker = tracker_of(["a"])
        info = replace(error_info("a", 403), is_foreign=True)
        for attempt in range(TOLERATED_ERRORS):
            tracker.on_error("a", kind(info), T0 + 1000 + 10 * attempt)
            assert not isinstance(tracker.next_step(T0 + 1000 + 10 * attempt), WaitStatus)
        tracker.on_error("a", kind(info), T0 + 2000)
        assert tracker.next_step(T0 + 2000) is WaitStatus.BROKEN

    @given(st.floats(min_value=0.0, max_value=NOT_FOUND_GRACE_SECONDS - 0.1))
    def test_a_workflow_may_be_unknown_at_first(self, age: float):
        tracker = tracker_of(["a"])
        tracker.on_error("a", errors.NotFoundError(error_info("a", 404)), T0 + age)
        assert tracker.running == ("a",)

    def test_later_it_has_an_end_of_its_own(self):
        world = World({"a": 200.0, "b": 90.0}, faults={"a": [errors.NotFoundError] * 99})
        tracker = tracker_of(["a", "b"])
        assert run(tracker, world).end is WaitStatus.FINISHED
        assert tracker.ended(WorkflowOutcome.NOT_FOUND) == ("a",)
        assert tracker.ended(WorkflowOutcome.COMPLETED) == ("b",)


class TestRequestsUnderWay:
    def test_a_workflow_is_not_named_again_before_its_answer(self):
        tracker, due = tracker_of(["a", "b"]), T0 + 200
        assert tracker.next_step(due) == Check("a")
        tracker.on_sent("a")
        assert tracker.next_step(due) == Check("b")
        tracker.on_sent("b")
        assert tracker.next_step(due) == Idle(FAR)
        tracker.on_error("a", errors.RateLimitedError(error_info("a", 429)), due)
        assert tracker.next_step(due) == Idle(due + RULE.shortest_gap)

    def test_there_is_one_probe_at_a_time(self):
        tracker = tracker_of(["a", "b"])
        assert tracker.next_step(T0 + 5) == Check("a")
        tracker.on_sent("a")
        assert isinstance(step := tracker.next_step(T0 + 20), Idle)
        assert step.until > T0 + 70
        tracker.on_status(running("a"), T0 + 21)
        assert tracker.next_step(T0 + 21) == Check("b")

    def test_an_older_answer_does_not_undo_what_a_webhook_told_meanwhile(self):
        tracker = tracker_of(["a"])
        tracker.on_sent("a")
        tracker.on_status(completed("a", total=250, successful=200, failed=50), T0 + 50)
        tracker.on_status(running("a", done=10), T0 + 51)
        assert tracker.counts.successful == 200
        assert tracker.next_step(T0 + 51) is WaitStatus.FINISHED

    def test_what_somebody_says_has_failed_is_checked_at_once_and_once(self):
        tracker = tracker_of(["a", "b"], poll_interval=600.0)
        tracker.on_status(running("b"), T0)
        tracker.on_status(running("a"), T0)
        assert tracker.next_step(T0 + 10) == Idle(T0 + 600)
        tracker.on_hint("a")
        assert tracker.next_step(T0 + 10) == Check("a")
        tracker.on_sent("a")
        assert tracker.next_step(T0 + 10) == Idle(T0 + 600)
        tracker.on_status(running("a"), T0 + 11)
        assert isinstance(step := tracker.next_step(T0 + 11), Idle)
        assert T0 + 11 < step.until < T0 + 600  # no webhook is to come for it any more
        assert tracker.ended(WorkflowOutcome.FAILED) == ()

    @pytest.mark.parametrize("error", [errors.NotFoundError, errors.ServerError, errors.AuthenticationError])
    def test_an_error_does_not_undo_an_end_that_a_webhook_told_meanwhile(self, error: type[errors.ApiError]):
        tracker = tracker_of(["a"])
        tracker.on_sent("a")
        tracker.on_status(completed("a"), T0 + 50)
        tracker.on_error("a", error(error_info("a")), T0 + 51)
        assert tracker.ended(WorkflowOutcome.COMPLETED) == ("a",)
        assert tracker.next_step(T0 + 51) is WaitStatus.FINISHED


class TestGoingOnElsewhere:
    @given(worlds, st.floats(min_value=0.0, max_value=1000.0))
    @settings(max_examples=25, deadline=None)
    def test_a_successor_does_not_look_at_what_had_ended(self, world: World, moved_after: float):
        ids = list(world.durations)
        first = tracker_of(ids, deadline=T0 + moved_after)
        run(first, world)
        successor = tracker_of(ids)
        assert successor.restore(first.snapshot())
        assert successor.running == first.running
        assert run(successor, world, start=T0 + moved_after).end is WaitStatus.FINISHED
        assert successor.counts.total == 250 * len(ids)
        if first.ended(WorkflowOutcome.COMPLETED):
            looked = tracker_of(ids)
            looked.restore(first.snapshot())
            later = {workflow_id for _, workflow_id in run(looked, world, start=T0 + moved_after).looks}
            assert not later & set(first.ended(WorkflowOutcome.COMPLETED))

    def test_a_snapshot_is_small(self):
        ids = [f"public_bulk_{index:036d}" for index in range(400)]
        tracker = tracker_of(ids)
        for workflow_id in ids:
            tracker.on_status(
                completed(workflow_id, total=250, successful=200, failed=50, emails_found=199), T0
            )
        assert len(str(tracker.snapshot())) < 20_000

    def test_what_was_learned_goes_along(self):
        first = tracker_of(["a", "b", "c"])
        first.on_status(completed("a"), T0 + 600)
        successor = tracker_of(["a", "b", "c"])
        successor.restore(first.snapshot())
        assert successor.typical == pytest.approx(first.typical, rel=0.5)

    @pytest.mark.parametrize(
        "snapshot",
        [
            {},
            {"of": "other", "done": [], "typical": 90.0},
            {"of": None, "done": None, "typical": None},
        ],
    )
    def test_what_cannot_be_used_is_ignored(self, snapshot: dict[str, object]):
        tracker = tracker_of(["a"])
        assert not tracker.restore(snapshot)
        assert tracker.running == ("a",)

    @pytest.mark.parametrize(
        "damage",
        [
            {"done": [[9, "completed", 1, 1, 0, 0, 0]]},
            {"done": [[0, "vanished", 1, 1, 0, 0, 0]]},
            {"done": [[0, "completed", 1]] * 2 + [["x"]]},
            {"done": 7},
            {"typical": "soon"},
        ],
    )
    def test_a_damaged_one_is_ignored_whole(self, damage: dict[str, object]):
        tracker = tracker_of(["a"])
        assert not tracker.restore({**tracker.snapshot(), **damage})
        assert tracker.running == ("a",)


class TestExpectedEnd:
    def test_it_is_unknown_until_something_tells(self):
        assert tracker_of(["a"]).expected_end(T0) is None

    def test_it_is_that_of_the_slowest(self):
        tracker = tracker_of(["a", "b"])
        tracker.on_status(running("a", done=125), T0 + 60)
        tracker.on_status(running("b", done=100), T0 + 60)
        assert tracker.expected_end(T0 + 60) == pytest.approx(T0 + 150)

    def test_it_never_lies_in_the_past(self):
        tracker = tracker_of(["a"])
        tracker.on_status(running("a", done=125), T0 + 60)
        assert tracker.expected_end(T0 + 500) == T0 + 500

    def test_it_never_lies_after_the_deadline(self):
        tracker = tracker_of(["a", "b"], deadline=T0 + 3600)
        tracker.on_status(completed("a"), T0 + 60)
        tracker.on_status(WorkflowStatus("b", "processing", total=1_000_000, processed=1), T0 + 600)
        assert tracker.expected_end(T0 + 600) == T0 + 3600
