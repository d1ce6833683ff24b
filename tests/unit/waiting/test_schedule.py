from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.waiting.schedule import FLATTEST, STEEPEST, Pace, PollRule

RULE = PollRule()
seconds = st.floats(min_value=0.0, max_value=100_000.0)
durations = st.floats(min_value=0.01, max_value=100_000.0)
crowds = st.integers(min_value=1, max_value=5_000)


def first_delay(typical: float, in_flight: int) -> float:
    return RULE.outlook(typical, in_flight, in_flight).first_delay


def gap(age: float, typical: float, in_flight: int, company: int, rule: PollRule = RULE) -> float:
    return rule.outlook(typical, in_flight, company).gap(age)


def gap_to_end(end_age: float, age: float, in_flight: int, company: int, *, shape: float | None) -> float:
    return RULE.outlook(90.0, in_flight, company).gap_to_end(end_age, age, shape)


def looks(*seen: tuple[float, int]) -> Pace:
    pace = Pace()
    for age, done in seen:
        pace = pace.seen(age, done, 250)
    return pace


def end(pace: Pace, usual: float | None = None, typical: float = 90.0) -> float | None:
    return pace.end_age(usual, typical)


class TestPace:
    def test_one_look_foresees_the_end_of_even_progress(self):
        assert end(looks((60.0, 100))) == pytest.approx(150.0)

    def test_an_early_end_foreseen_by_one_look_may_come_sooner(self):
        assert end(looks((10.0, 90))) == pytest.approx(10 / 0.6)
        assert end(looks((10.0, 90)), typical=20.0) == pytest.approx(10 / 0.36)

    @pytest.mark.parametrize(("exponent", "least_error"), [(0.5, 0.05), (1.0, 0.02), (2.0, 0.05)])
    def test_two_looks_tell_the_shape_of_progress(self, exponent: float, least_error: float):
        pace = looks(*((age, int(250 * (age / 100) ** exponent)) for age in (40.0, 70.0)))
        assert end(pace) == pytest.approx(100.0, rel=least_error)

    def test_the_shape_of_others_serves_as_long_as_its_own_is_unknown(self):
        assert end(looks((50.0, 62)), usual=2.0) == pytest.approx(100.0, rel=0.01)

    def test_its_own_shape_goes_before_that_of_others(self):
        even = looks((30.0, 75), (60.0, 150))
        assert end(even, usual=3.0) == pytest.approx(100.0)

    def test_without_the_date_of_submission_even_progress_is_not_taken_for_slowing_progress(self):
        submitted_before = 20.0
        pace = looks(*((age, int(250 * (age + submitted_before) / 144)) for age in (5.0, 76.0)))
        assert (end(pace) or 0.0) > 160
        assert pace.end_age(None, 90.0, is_dated=False) == pytest.approx(124.0, rel=0.01)

    def test_without_the_date_of_submission_others_that_slow_down_are_no_example(self):
        pace = looks((50.0, 125))
        assert pace.end_age(0.5, 90.0) == pytest.approx(200.0)
        assert pace.end_age(0.5, 90.0, is_dated=False) == pytest.approx(100.0)
        assert pace.end_age(2.0, 90.0, is_dated=False) == pace.end_age(2.0, 90.0)

    def test_whole_contacts_do_not_make_even_progress_uneven(self):
        pace = looks((5.0, 13), (60.0, 166))
        assert end(pace) == 60.0 * 250 / 166

    @pytest.mark.parametrize("done", [0, 4])
    def test_too_little_progress_foresees_nothing(self, done: int):
        assert end(looks((60.0, done))) is None

    def test_a_stalled_workflow_foresees_nothing_until_it_goes_on(self):
        stalled = looks((30.0, 100), (40.0, 100))
        assert end(stalled) is None
        assert end(stalled.seen(50.0, 130, 250)) is not None

    def test_a_late_start_is_counted_from_the_last_look_that_saw_nothing(self):
        early, late = looks((5.0, 0), (60.0, 50)), looks((5.0, 0), (55.0, 0), (60.0, 50))
        assert (end(late) or 0.0) < (end(early) or 0.0)

    def test_few_further_contacts_keep_the_shape(self):
        pace = looks((30.0, 75), (60.0, 150))
        assert pace.seen(61.0, 152, 250).shape == pace.shape

    def test_looks_at_the_same_moment_and_counts_that_shrink_are_tolerated(self):
        pace = looks((30.0, 75))
        assert pace.seen(30.0, 80, 250) == pace
        assert end(pace.seen(40.0, 50, 250)) is None

    def test_more_processed_than_there_are_is_tolerated(self):
        assert end(looks((80.0, 300))) == pytest.approx(80.0)

    @given(
        st.lists(st.tuples(st.floats(0.0, 1e5), st.integers(0, 400)), max_size=6),
        st.one_of(st.none(), st.floats(FLATTEST, STEEPEST)),
        durations,
    )
    def test_whatever_was_seen_an_end_is_never_foreseen_before_the_last_look(
        self, seen: list[tuple[float, int]], usual: float | None, typical: float
    ):
        pace = looks(*seen)
        end_age = end(pace, usual, typical)
        assert end_age is None or pace.last_age - 1e-6 <= end_age < math.inf


class TestLearning:
    def test_without_observations_the_typical_duration_is_supposed(self):
        assert RULE.learned([], 1) == pytest.approx(90.0)

    def test_a_great_surprise_is_believed_at_once(self):
        assert RULE.learned([5.0], 1) < 7.5
        assert RULE.learned([1800.0], 1) > 1000

    def test_one_duration_near_the_supposed_one_changes_little(self):
        assert 90 < RULE.learned([120.0], 1) < 100

    def test_many_observations_are_their_median(self):
        assert RULE.learned([40.0, 41.0, 42.0] * 20, 1) == pytest.approx(41.0, rel=0.02)

    def test_a_crowd_does_not_wait_for_one_slow_workflow(self):
        assert 90 < RULE.learned([200.0], 100) < 105 < RULE.learned([200.0], 10)
        assert RULE.learned([200.0] * 100, 100) > 180

    def test_quick_ones_are_believed_at_once_in_a_crowd_too(self):
        assert RULE.learned([5.0], 100) < 7.5

    def test_a_duration_of_zero_is_tolerated(self):
        assert RULE.learned([0.0], 1) > 0

    @given(st.lists(durations, min_size=1, max_size=20))
    def test_it_lies_between_what_was_seen_and_what_was_supposed(self, seen: list[float]):
        low, high = sorted((RULE.typical, statistics.median(seen)))
        assert low * 0.999 <= RULE.learned(seen, 1) <= high * 1.001


class TestGuess:
    def test_between_two_looks_the_typical_duration_is_likeliest(self):
        assert RULE.guessed(60.0, 120.0, 90.0) == 90.0

    def test_else_the_middle(self):
        assert RULE.guessed(100.0, 120.0, 90.0) == 110.0

    def test_an_end_seen_by_the_first_look_came_before_it(self):
        assert RULE.guessed(None, 8.0, 90.0) == 6.0
        assert RULE.guessed(None, 120.0, 90.0) == 90.0


class TestFirstLook:
    def test_alone_it_comes_after_the_usual_gap(self):
        assert first_delay(90.0, 1) == first_delay(600.0, 1) == RULE.alone

    def test_among_several_it_comes_when_a_typical_workflow_is_nearly_done(self):
        assert first_delay(90.0, 4) == first_delay(90.0, 10) == pytest.approx(76.5)

    def test_in_a_crowd_it_comes_when_nearly_all_are_done(self):
        assert first_delay(90.0, 100) == first_delay(90.0, 1000) == pytest.approx(117.0)

    @given(durations, crowds)
    def test_it_stays_within_the_gaps(self, typical: float, crowd: int):
        assert RULE.smallest_gap <= first_delay(typical, crowd) <= RULE.largest_gap


class TestScouts:
    def test_each_is_looked_at_twice_as_late_as_the_one_before(self):
        assert [RULE.scout_age(scouts, 10) for scouts in range(4)] == [5.0, 10.0, 20.0, 40.0]

    def test_in_a_crowd_there_are_fewer(self):
        assert [RULE.scout_age(scouts, 100) for scouts in range(4)] == pytest.approx([5.0, 13.0, 33.8, 87.88])

    def test_any_number_of_them_is_tolerated(self):
        assert math.isfinite(RULE.scout_age(100_000, 100))

    def test_among_several_they_wait_for_the_others_afterwards(self):
        assert 10.0 + gap(10.0, 90.0, 10, 10) == pytest.approx(0.85 * first_delay(90.0, 10))


class TestGap:
    def test_alone_ends_are_seen_within_five_seconds_on_average(self):
        assert gap(30.0, 90.0, 1, 1) / 2 < 5.0

    def test_alone_that_holds_for_the_longest_workflows_too(self):
        assert gap(3600.0, 3600.0, 1, 1) == RULE.alone

    def test_alone_it_takes_at_most_twelve_requests_a_minute(self):
        assert 60 / RULE.smallest_gap <= 12

    def test_among_ten_half_the_looks_of_ten_seconds_are_enough(self):
        assert gap(100.0, 90.0, 10, 10) >= 20.0

    def test_a_crowd_is_looked_at_once_in_as_long_as_the_budget_needs_for_all(self):
        assert 120.0 <= gap(100.0, 90.0, 120, 120) <= 140.0

    def test_the_last_of_many_are_not_looked_at_much_closer(self):
        assert gap(100.0, 90.0, 1, 200) >= 0.75 * gap(100.0, 90.0, 200, 200)

    def test_quick_workflows_are_looked_at_closer(self):
        assert gap(5.0, 5.0, 10, 10) < gap(5.0, 90.0, 10, 10)

    def test_long_ones_are_looked_at_more_rarely(self):
        assert gap(3600.0, 3600.0, 10, 10) > gap(900.0, 900.0, 10, 10)

    @given(seconds, durations, crowds, crowds)
    def test_it_stays_within_its_bounds(self, age: float, typical: float, in_flight: int, company: int):
        assert RULE.smallest_gap <= gap(age, typical, in_flight, company) <= RULE.largest_gap

    @given(seconds, durations, crowds)
    def test_more_workflows_never_mean_closer_looks(self, age: float, typical: float, crowd: int):
        assert gap(age, typical, crowd + 1, crowd + 1) >= gap(age, typical, crowd, crowd)


class TestGapToAForeseenEnd:
    def test_in_company_the_next_look_comes_at_the_end(self):
        assert gap_to_end(150.0, 60.0, 10, 10, shape=1.0) == pytest.approx(90.0)

    def test_alone_it_comes_sooner(self):
        assert gap_to_end(150.0, 60.0, 1, 1, shape=1.0) == pytest.approx(54.0)

    def test_a_distant_end_is_not_trusted_blindly(self):
        assert gap_to_end(5000.0, 60.0, 10, 10, shape=1.0) == pytest.approx(180.0)

    def test_in_a_crowd_the_end_of_uneven_progress_is_let_pass(self):
        assert gap_to_end(150.0, 60.0, 100, 100, shape=1.0) == pytest.approx(90.0)
        assert gap_to_end(150.0, 60.0, 100, 100, shape=0.5) == pytest.approx(120.0)
        assert gap_to_end(150.0, 60.0, 100, 100, shape=2.0) == pytest.approx(120.0)
        assert gap_to_end(50.0, 10.0, 100, 100, shape=None) == pytest.approx(50.0)

    def test_in_a_crowd_one_look_is_trusted_no_more_than_none(self):
        assert gap_to_end(5000.0, 60.0, 100, 100, shape=None) == gap(60.0, 90.0, 100, 100)
        assert gap_to_end(5000.0, 60.0, 100, 100, shape=1.0) > gap(60.0, 90.0, 100, 100)

    def test_alone_one_look_is_trusted_least(self):
        assert gap_to_end(5000.0, 60.0, 1, 1, shape=None) == pytest.approx(60.0)

    @given(
        seconds,
        durations,
        st.floats(min_value=0, max_value=1e6),
        crowds,
        crowds,
        st.sampled_from([None, 0.4, 1.0, 3.0]),
    )
    def test_it_stays_within_its_bounds(
        self, age: float, typical: float, end_age: float, in_flight: int, company: int, shape: float | None
    ):
        outlook = RULE.outlook(typical, in_flight, company)
        seconds_left = outlook.gap_to_end(end_age, age, shape)
        assert RULE.smallest_gap <= seconds_left <= RULE.largest_gap


class TestBudgets:
    def test_the_usual_budget_gives_the_defaults(self):
        assert PollRule.for_budget(60, 60.0) == RULE

    def test_times_follow_the_window(self):
        rule = PollRule.for_budget(60, 2.0)
        assert rule.typical == pytest.approx(3.0)
        assert rule.smallest_gap == pytest.approx(5 / 30)
        assert gap(1.0, 3.0, 10, 10, rule=rule) == pytest.approx(gap(30.0, 90.0, 10, 10) / 30)

    def test_a_small_budget_makes_few_workflows_a_crowd(self):
        small = PollRule.for_budget(10, 60.0)
        assert gap(30.0, 90.0, 1, 1, rule=small) == pytest.approx(gap(30.0, 90.0, 6, 6))

    def test_a_large_budget_makes_many_workflows_few(self):
        large = PollRule.for_budget(600, 60.0)
        assert gap(30.0, 90.0, 10, 10, rule=large) == pytest.approx(gap(30.0, 90.0, 1, 1))

    @given(st.integers(1, 100_000), st.floats(min_value=0.01, max_value=3600))
    def test_every_budget_gives_a_usable_rule(self, requests: int, window: float):
        rule = PollRule.for_budget(requests, window)
        seconds = gap(rule.typical, rule.typical, 10, 10, rule=rule)
        assert 0 < rule.smallest_gap <= seconds <= rule.largest_gap
        assert math.isfinite(seconds)
