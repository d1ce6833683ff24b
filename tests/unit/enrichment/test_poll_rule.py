from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.enrichment.poll_rule import Pace, PollRule

RULE = PollRule()
seconds = st.floats(min_value=0.0, max_value=100_000.0)
durations = st.floats(min_value=0.01, max_value=100_000.0)
crowds = st.integers(min_value=1, max_value=5_000)


def see(pace: Pace, age: float, done: int | None, *, last: float | None = None, lag: float = 0.0) -> Pace:
    return pace.seen(age, done, 250, last_age=last, lag=lag)


class TestPace:
    def test_a_first_look_foresees_the_end_from_the_submission(self):
        assert see(Pace(), 60.0, 100).end_age == pytest.approx(150.0)

    def test_speed_is_measured_between_looks(self):
        pace = see(see(Pace(), 60.0, 200), 70.0, 220, last=60.0)
        assert pace.end_age == pytest.approx(70.0 + 30 / 2.0)

    @pytest.mark.parametrize("done", [None, 0, 9])
    def test_too_little_progress_tells_nothing(self, done: int | None):
        assert see(Pace(), 60.0, done).end_age is None

    def test_a_small_workflow_needs_fewer_contacts_to_tell(self):
        assert Pace().seen(10.0, 4, 5, last_age=None, lag=0.0).end_age is None
        late = Pace(since_age=10.0, since_done=3)
        assert late.seen(20.0, 5, 5, last_age=10.0, lag=0.0).end_age == pytest.approx(20.0)

    def test_others_that_had_not_begun_put_off_the_start(self):
        assert see(Pace(), 60.0, 125, lag=40.0).end_age == pytest.approx(80.0)

    def test_a_start_seen_only_between_two_looks_gives_no_speed_yet(self):
        waiting = see(Pace(), 30.0, 0)
        begun = see(waiting, 60.0, 50, last=30.0, lag=30.0)
        assert begun.end_age is None
        assert see(begun, 70.0, 100, last=60.0, lag=30.0).end_age == pytest.approx(100.0)

    def test_an_end_that_did_not_come_counts_as_a_miss(self):
        pace = see(Pace(), 60.0, 125)
        assert see(pace, 119.0, 240, last=60.0).misses == 0
        assert see(pace, 120.0, 240, last=60.0).misses == 1

    def test_more_processed_than_there_are_is_tolerated(self):
        assert see(Pace(), 60.0, 300).end_age == pytest.approx(60.0)


class TestLearning:
    def test_without_observations_the_typical_duration_is_supposed(self):
        assert RULE.learned([]) == pytest.approx(90.0)

    def test_one_observation_outweighs_the_supposition(self):
        assert RULE.learned([720.0]) == pytest.approx(90 * 4)

    def test_many_observations_are_their_median(self):
        assert RULE.learned([10.0, 11.0, 12.0, 13.0]) == pytest.approx(12.0)

    def test_a_duration_of_zero_is_tolerated(self):
        assert RULE.learned([0.0]) > 0


class TestFirstLook:
    def test_alone_it_comes_after_a_few_seconds(self):
        assert RULE.first_delay(90.0, 1) == pytest.approx(6.75)

    def test_in_a_crowd_it_comes_when_a_typical_workflow_is_well_on_its_way(self):
        assert RULE.first_delay(90.0, 8) == RULE.first_delay(90.0, 1000) == pytest.approx(54.0)

    @given(durations, crowds)
    def test_it_stays_within_the_gaps(self, typical: float, crowd: int):
        assert RULE.smallest_gap <= RULE.first_delay(typical, crowd) <= RULE.largest_gap


class TestGap:
    def test_alone_ends_are_seen_within_five_seconds_on_average(self):
        assert RULE.gap(30.0, 90.0, 1, 1) / 2 < 5.0

    def test_alone_it_takes_at_most_twelve_requests_a_minute(self):
        assert 60 / RULE.smallest_gap <= 12

    def test_a_crowd_is_looked_at_once_in_as_long_as_the_budget_needs_for_all(self):
        assert RULE.gap(100.0, 90.0, 120, 120) == pytest.approx(120.0)

    def test_the_last_of_many_are_not_looked_at_much_closer(self):
        assert RULE.gap(100.0, 90.0, 1, 200) == pytest.approx(60.0)

    def test_quick_workflows_are_looked_at_closer(self):
        assert RULE.gap(5.0, 5.0, 10, 10) < RULE.gap(5.0, 90.0, 10, 10)

    def test_long_ones_are_looked_at_more_rarely(self):
        assert RULE.gap(3600.0, 3600.0, 10, 10) > RULE.gap(900.0, 900.0, 10, 10)

    @given(seconds, durations, crowds, crowds)
    def test_it_stays_within_its_bounds(self, age: float, typical: float, in_flight: int, company: int):
        assert RULE.smallest_gap <= RULE.gap(age, typical, in_flight, company) <= RULE.largest_gap

    @given(seconds, durations, crowds)
    def test_more_workflows_never_mean_closer_looks(self, age: float, typical: float, crowd: int):
        assert RULE.gap(age, typical, crowd + 1, crowd + 1) >= RULE.gap(age, typical, crowd, crowd)


class TestGapToAForeseenEnd:
    def test_in_company_the_next_look_comes_at_the_end(self):
        pace = Pace(since_age=60.0, since_done=100, end_age=150.0)
        assert RULE.gap_to_end(pace, 60.0, 90.0, 10, 10) == pytest.approx(90.0)

    def test_alone_it_comes_half_way(self):
        pace = Pace(since_age=60.0, since_done=100, end_age=150.0)
        assert RULE.gap_to_end(pace, 60.0, 90.0, 1, 1) == pytest.approx(45.0)

    def test_a_foresight_that_failed_is_trusted_by_half(self):
        pace = Pace(since_age=60.0, since_done=100, end_age=260.0, misses=1)
        assert RULE.gap_to_end(pace, 60.0, 90.0, 10, 10) == pytest.approx(100.0)

    def test_a_distant_end_foreseen_early_is_not_trusted_blindly(self):
        pace = Pace(since_age=20.0, since_done=10, end_age=5000.0)
        assert RULE.gap_to_end(pace, 20.0, 90.0, 10, 10) == pytest.approx(70.0)

    @given(seconds, durations, st.floats(min_value=0, max_value=1e6), st.integers(0, 5), crowds, crowds)
    def test_it_stays_within_its_bounds(
        self, age: float, typical: float, end_age: float, misses: int, in_flight: int, company: int
    ):
        pace = Pace(since_age=age, since_done=10, end_age=end_age, misses=misses)
        gap = RULE.gap_to_end(pace, age, typical, in_flight, company)
        assert RULE.smallest_gap <= gap <= RULE.largest_gap


class TestBudgets:
    def test_the_usual_budget_gives_the_defaults(self):
        assert PollRule.for_budget(60, 60.0) == RULE

    def test_times_follow_the_window(self):
        rule = PollRule.for_budget(60, 2.0)
        assert rule.typical == pytest.approx(3.0)
        assert rule.smallest_gap == pytest.approx(5 / 30)
        assert rule.gap(1.0, 3.0, 10, 10) == pytest.approx(RULE.gap(30.0, 90.0, 10, 10) / 30)

    def test_a_small_budget_makes_few_workflows_a_crowd(self):
        small = PollRule.for_budget(10, 60.0)
        assert small.gap(30.0, 90.0, 1, 1) == pytest.approx(RULE.gap(30.0, 90.0, 6, 6))

    def test_a_large_budget_makes_many_workflows_few(self):
        large = PollRule.for_budget(600, 60.0)
        assert large.gap(30.0, 90.0, 10, 10) == pytest.approx(RULE.gap(30.0, 90.0, 1, 1))

    @given(st.integers(1, 100_000), st.floats(min_value=0.01, max_value=3600))
    def test_every_budget_gives_a_usable_rule(self, requests: int, window: float):
        rule = PollRule.for_budget(requests, window)
        gap = rule.gap(rule.typical, rule.typical, 10, 10)
        assert 0 < rule.smallest_gap <= gap <= rule.largest_gap
        assert math.isfinite(gap)
