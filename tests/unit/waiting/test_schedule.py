from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.waiting.schedule import REACH, STEEPEST, PollRule, ProgressEstimate

RULE = PollRule()
ages = st.floats(min_value=0.0, max_value=100_000.0)
durations = st.floats(min_value=0.01, max_value=100_000.0)
crowds = st.integers(min_value=1, max_value=5_000)
exponents = st.floats(min_value=1 / STEEPEST, max_value=STEEPEST)
checks = st.lists(st.tuples(st.floats(0.0, 1e5), st.integers(0, 400)), max_size=6)


def seen(*checks: tuple[float, int], total: int = 250) -> ProgressEstimate:
    estimate = ProgressEstimate()
    for age, processed in checks:
        estimate = estimate.after(age, processed, total)
    return estimate


def first(typical: float, in_flight: int, rule: PollRule = RULE) -> float:
    return rule.next_check(ProgressEstimate(), 1.0, typical, in_flight)


def gap(age: float, typical: float, in_flight: int, rule: PollRule = RULE) -> float:
    return rule.next_check(seen((age, 0)), 1.0, typical, in_flight) - age


class TestProgressEstimate:
    def test_one_check_foresees_the_end_of_even_progress(self):
        assert seen((60.0, 100)).end_age(1.0) == pytest.approx(150.0)

    @pytest.mark.parametrize(("exponent", "least_error"), [(0.5, 0.05), (1.0, 0.02), (2.0, 0.05)])
    def test_two_checks_show_how_progress_grows(self, exponent: float, least_error: float):
        estimate = seen(*((age, int(250 * (age / 100) ** exponent)) for age in (40.0, 70.0)))
        assert estimate.exponent == pytest.approx(exponent, rel=0.05)
        assert estimate.end_age(estimate.exponent or 0.0) == pytest.approx(100.0, rel=least_error)

    def test_what_other_workflows_show_serves_one_that_was_checked_once(self):
        assert seen((50.0, 62)).exponent is None
        assert seen((50.0, 62)).end_age(2.0) == pytest.approx(100.0, rel=0.01)

    def test_whole_contacts_hardly_make_even_progress_uneven(self):
        assert seen((5.0, 13), (60.0, 166)).exponent == pytest.approx(1.0, abs=0.02)

    def test_without_progress_or_without_counts_nothing_is_foreseen(self):
        assert seen((60.0, 0)).end_age(1.0) is None
        assert seen((60.0, 0), total=0).end_age(1.0) is None
        assert seen((60.0, 7), total=0).end_age(1.0) is None

    def test_a_workflow_is_stalled_until_it_goes_on(self):
        assert not seen((30.0, 100)).is_stalled
        assert seen((30.0, 100), (40.0, 100)).is_stalled
        assert not seen((30.0, 100), (40.0, 100), (50.0, 101)).is_stalled

    def test_a_stalled_workflow_keeps_the_exponent_and_is_measured_from_the_stall_on(self):
        stalled = seen((30.0, 75), (60.0, 150), (80.0, 150))
        assert stalled.exponent == seen((30.0, 75), (60.0, 150)).exponent
        assert stalled.after(90.0, 200, 250).exponent == pytest.approx(
            math.log(200.5 / 150.5) / math.log(90 / 80)
        )

    def test_progress_that_began_late_is_steep(self):
        assert (seen((5.0, 0), (60.0, 50)).exponent or 0.0) > 1.5
        assert seen((5.0, 0), (55.0, 0), (60.0, 50)).exponent == STEEPEST

    def test_checks_at_the_same_moment_and_counts_that_shrink_are_tolerated(self):
        estimate = seen((30.0, 75))
        assert estimate.after(30.0, 80, 250) == estimate
        assert estimate.after(20.0, 80, 250) == estimate
        assert estimate.after(40.0, 50, 250).is_stalled

    def test_all_contacts_processed_foresee_the_end_once(self):
        assert seen((80.0, 250)).end_age(1.0) == pytest.approx(80.0)
        assert seen((80.0, 250), (85.0, 250)).end_age(1.0) is None

    def test_a_total_out_of_all_proportion_is_tolerated(self):
        assert seen((80.0, 1), total=10**300).end_age(1 / STEEPEST) is None

    def test_more_processed_than_there_are_is_tolerated(self):
        assert seen((80.0, 300)).end_age(1.0) == pytest.approx(80.0)

    @given(checks, exponents)
    def test_whatever_was_seen_no_end_is_foreseen_before_the_last_check(
        self, checks: list[tuple[float, int]], exponent: float
    ):
        estimate = seen(*checks)
        end_age = estimate.end_age(exponent)
        assert end_age is None or estimate.age * (1 - 1e-9) <= end_age < math.inf

    @given(checks)
    def test_whatever_was_seen_the_exponent_is_believable(self, checks: list[tuple[float, int]]):
        exponent = seen(*checks).exponent
        assert exponent is None or 1 / STEEPEST <= exponent <= STEEPEST


class TestLearning:
    def test_without_observations_the_typical_duration_is_assumed(self):
        assert RULE.learned([]) == 90.0

    def test_one_quick_workflow_is_believed_at_once(self):
        assert RULE.learned([5.0]) == 5.0

    def test_a_crowd_does_not_wait_for_one_slow_workflow(self):
        assert RULE.learned([600.0]) == 90.0
        assert RULE.learned([600.0, 700.0]) == 600.0

    def test_many_observations_are_their_median(self):
        assert RULE.learned([40.0, 41.0, 42.0] * 20) == pytest.approx(41.0, rel=0.02)

    @given(st.lists(durations, min_size=1, max_size=20))
    def test_it_lies_between_what_was_seen_and_what_was_assumed(self, seen: list[float]):
        low, high = sorted((RULE.typical, statistics.median(seen)))
        assert low <= RULE.learned(seen) <= high

    @given(st.lists(durations, max_size=20), durations)
    def test_a_longer_duration_never_makes_it_shorter(self, seen: list[float], duration: float):
        assert RULE.learned([*seen, duration]) <= RULE.learned([*seen, duration * 2])


class TestFirstCheck:
    def test_alone_it_comes_after_the_usual_gap(self):
        assert first(90.0, 1) == first(600.0, 1) == RULE.lone_gap

    def test_of_ten_workflows_it_comes_when_a_typical_one_ends(self):
        assert first(90.0, 10) == pytest.approx(90.0)
        assert first(20.0, 10) == pytest.approx(20.0)

    def test_of_few_it_comes_earlier_and_in_a_crowd_when_nearly_all_have_ended(self):
        assert first(90.0, 4) == pytest.approx(81.0, abs=0.1)
        assert first(90.0, 100) == pytest.approx(112.5)
        assert first(90.0, 1000) == pytest.approx(135.0)

    @given(durations, crowds)
    def test_it_stays_within_the_gaps(self, typical: float, crowd: int):
        assert RULE.shortest_gap <= first(typical, crowd) <= RULE.longest_gap

    @given(durations, st.integers(min_value=2, max_value=5_000))
    def test_more_workflows_never_make_it_earlier(self, typical: float, crowd: int):
        assert first(typical, crowd + 1) >= first(typical, crowd)


class TestGap:
    """The time between two checks of a workflow when nothing foresees its end."""

    def test_alone_ends_are_seen_within_five_seconds_on_average(self):
        assert gap(30.0, 90.0, 1) / 2 < 5.0

    def test_alone_that_holds_for_the_longest_workflows_too(self):
        assert gap(3600.0, 3600.0, 1) == RULE.lone_gap

    def test_alone_it_takes_at_most_twelve_requests_a_minute(self):
        assert 60 / RULE.shortest_gap <= 12

    def test_among_ten_half_the_checks_of_ten_seconds_are_enough(self):
        assert gap(100.0, 90.0, 10) >= 20.0

    def test_each_of_a_crowd_is_checked_once_in_as_long_as_the_budget_needs_for_all(self):
        assert gap(150.0, 90.0, 120) == pytest.approx(120.0)

    def test_after_a_probe_the_first_check_is_waited_for(self):
        assert 5.0 + gap(5.0, 90.0, 10) == pytest.approx(first(90.0, 10))

    @given(ages, durations, crowds)
    def test_it_stays_within_its_bounds(self, age: float, typical: float, crowd: int):
        assert RULE.shortest_gap - 1e-6 <= gap(age, typical, crowd) <= RULE.longest_gap + 1e-6

    @given(ages, durations, st.integers(min_value=2, max_value=5_000))
    def test_more_workflows_never_mean_closer_checks(self, age: float, typical: float, crowd: int):
        assert gap(age, typical, crowd + 1) >= gap(age, typical, crowd) - 1e-6


class TestForeseenEnd:
    def test_in_company_the_next_check_comes_at_the_end(self):
        assert RULE.next_check(seen((60.0, 100)), 1.0, 90.0, 10) == pytest.approx(150.0)

    def test_in_a_crowd_too(self):
        assert RULE.next_check(seen((60.0, 100)), 1.0, 90.0, 100) == pytest.approx(150.0)
        assert RULE.next_check(seen((60.0, 90)), 2.0, 90.0, 100) == pytest.approx(100.0)

    def test_alone_it_comes_sooner(self):
        assert RULE.next_check(seen((60.0, 100)), 1.0, 90.0, 1) == pytest.approx(114.0)

    @pytest.mark.parametrize(("age", "due"), [(20.0, 90.0), (100.0, 250.0)])
    def test_a_distant_end_is_not_trusted_blindly(self, age: float, due: float):
        assert RULE.next_check(seen((age, 1)), 1.0, 90.0, 10) == pytest.approx(due)

    def test_what_a_probe_foresees_beyond_the_first_check_is_trusted_if_it_is_not_distant(self):
        assert RULE.next_check(seen((5.0, 10)), 1.0, 90.0, 10) == pytest.approx(125.0)

    def test_a_stalled_workflow_is_checked_as_one_without_counts(self):
        stalled = seen((40.0, 100), (60.0, 100))
        assert RULE.next_check(stalled, 1.0, 90.0, 10) == pytest.approx(60.0 + gap(100.0, 90.0, 10))
        assert RULE.next_check(stalled, 1.0, 90.0, 1) == pytest.approx(60.0 + RULE.lone_gap)

    def test_a_stalled_workflow_whose_end_is_near_is_checked_at_its_end(self):
        assert RULE.next_check(seen((80.0, 240), (90.0, 240)), 1.0, 90.0, 100) == pytest.approx(95.0)

    def test_one_that_only_does_not_end_is_checked_soon_once_and_then_as_others(self):
        assert RULE.next_check(seen((200.0, 250)), 1.0, 90.0, 100) == pytest.approx(205.0)
        assert RULE.next_check(seen((200.0, 250), (205.0, 250)), 1.0, 90.0, 100) == pytest.approx(305.0)

    @given(checks, exponents, durations, crowds)
    def test_it_stays_within_its_bounds(
        self, checks: list[tuple[float, int]], exponent: float, typical: float, crowd: int
    ):
        estimate = seen(*checks)
        due = RULE.next_check(estimate, exponent, typical, crowd)
        assert RULE.shortest_gap - 1e-6 <= due - estimate.age <= RULE.longest_gap + 1e-6

    @given(st.floats(1.0, 1e4), st.integers(1, 250), exponents, st.floats(1.0, 100.0), crowds)
    def test_it_never_comes_later_than_the_end_or_what_is_trusted(
        self, age: float, processed: int, exponent: float, typical: float, crowd: int
    ):
        estimate = seen((age, processed))
        due = RULE.next_check(estimate, exponent, typical, crowd)
        trusted = REACH * max(age, first(typical, crowd))
        latest = min(estimate.end_age(exponent) or math.inf, trusted)
        assert due <= max(latest, age + RULE.shortest_gap) * (1 + 1e-9)


class TestBudgets:
    def test_the_usual_budget_gives_the_defaults(self):
        assert PollRule.for_budget(60, 60.0) == RULE

    def test_times_follow_the_window(self):
        rule = PollRule.for_budget(60, 2.0)
        assert rule.typical == pytest.approx(3.0)
        assert rule.shortest_gap == pytest.approx(5 / 30)
        assert first(3.0, 10, rule) == pytest.approx(first(90.0, 10) / 30)
        assert gap(4.0, 3.0, 10, rule) == pytest.approx(gap(120.0, 90.0, 10) / 30)
        estimate = seen((2.0, 100))
        assert rule.next_check(estimate, 1.0, 3.0, 10) == pytest.approx(5.0)

    def test_a_small_budget_makes_few_workflows_a_crowd(self):
        small = PollRule.for_budget(10, 60.0)
        assert first(90.0, 1, small) == pytest.approx(first(90.0, 6))
        assert gap(100.0, 90.0, 1, small) == pytest.approx(gap(100.0, 90.0, 6))

    def test_a_large_budget_makes_many_workflows_few(self):
        large = PollRule.for_budget(600, 60.0)
        assert gap(30.0, 90.0, 10, large) == pytest.approx(gap(30.0, 90.0, 1))
        assert gap(200.0, 90.0, 100, large) == pytest.approx(gap(200.0, 90.0, 10))

    @given(st.integers(1, 100_000), st.floats(min_value=0.01, max_value=3600), crowds)
    def test_every_budget_gives_a_usable_rule(self, requests: int, window: float, crowd: int):
        rule = PollRule.for_budget(requests, window)
        seconds = gap(rule.typical, rule.typical, crowd, rule)
        assert 0 < rule.shortest_gap * (1 - 1e-9) <= seconds <= rule.longest_gap * (1 + 1e-9)
        assert math.isfinite(seconds)
