"""The pure core of the request budget."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.rate_limit.core import (
    GO,
    Budget,
    BudgetState,
    Priority,
    Reservation,
    Verdict,
    allowed,
    hold,
    next_slot,
    penalize,
    reserve,
)

MINUTE = Budget()
START = BudgetState(born=7, epoch=7)
FOREVER = math.inf


def work(state, now, *, budget=MINUTE, max_wait=FOREVER, reservation=None):
    return reserve(
        state, budget, now=now, priority=Priority.WORK, waited=0.0, max_wait=max_wait, reservation=reservation
    )


def poll(state, now, *, waited=0.0, budget=MINUTE, max_wait=FOREVER, reservation=None):
    return reserve(
        state,
        budget,
        now=now,
        priority=Priority.POLL,
        waited=waited,
        max_wait=max_wait,
        reservation=reservation,
    )


def full(now=0.0, budget=MINUTE):
    """A state whose whole allowance was used just before ``now``."""
    grants = tuple(now - budget.gap * (budget.requests - i) for i in range(budget.requests))
    return replace(START, seen=now, grants=grants)


@pytest.mark.parametrize(("requests", "window"), [(0, 60.0), (-1, 60.0), (60, 0.0), (60, -1.0)])
def test_budget_needs_requests_and_time(requests, window):
    with pytest.raises(ValueError, match="at least 1 request"):
        Budget(requests, window)


def test_all_lengths_follow_the_window():
    assert (MINUTE.margin, MINUTE.span, MINUTE.gap, MINUTE.promotion) == (1.0, 61.0, 0.125, 120.0)
    scaled = Budget(60, 2.0)
    assert scaled.promotion == 4.0
    assert scaled.span == pytest.approx(2 + 1 / 30)


def test_first_request_goes_and_is_logged():
    state, decision = work(START, 100.0)
    assert decision == GO
    assert state.grants == (100.0,)


def test_requests_keep_the_least_gap():
    state, _ = work(START, 100.0)
    state, decision = work(state, 100.0)
    assert decision == (decision.__class__)(Verdict.WAIT, 0.125, Reservation(100.125, True, 7))
    assert state.grants == (100.0, 100.125)


def test_the_request_after_a_full_window_waits_for_the_first_to_leave_it():
    state = START
    for i in range(60):
        state, decision = work(state, 100.0 + i / 4)
        assert decision == GO
    _, decision = work(state, 120.0)
    assert decision.verdict is Verdict.WAIT
    assert decision.reservation.moment == 161.0


def test_a_booked_place_goes_at_its_moment_without_a_second_booking():
    state, decision = work(full(), 0.0)
    booked, reservation = state.grants, decision.reservation
    state, early = work(state, 1.0, reservation=reservation)
    assert (early.verdict, early.delay, early.reservation) == (
        Verdict.WAIT,
        reservation.moment - 1.0,
        reservation,
    )
    state, decision = work(state, reservation.moment, reservation=reservation)
    assert decision == GO
    assert state.grants[-1] == reservation.moment
    assert set(state.grants) <= set(booked)


def test_one_that_wakes_late_within_half_the_margin_keeps_its_moment():
    state, decision = work(full(), 0.0)
    state, _ = work(state, decision.reservation.moment + 0.5, reservation=decision.reservation)
    assert state.grants[-1] == decision.reservation.moment


def test_one_that_wakes_too_late_goes_at_once_where_there_is_room():
    state, first = work(full(), 0.0)
    state, second = work(state, 0.0)
    late = second.reservation.moment + 5.0
    state, decision = work(state, late, reservation=first.reservation)
    assert decision == GO
    assert first.reservation.moment not in state.grants
    assert state.grants[-1] == late
    assert list(state.grants) == sorted(state.grants)


def test_one_that_wakes_too_late_for_a_full_window_books_anew():
    state, first = work(full(), 0.0)
    for _ in range(100):
        state, _ = work(state, 0.0)
    tail, late = state.grants[-1], first.reservation.moment + 5.0
    state, decision = work(state, late, reservation=first.reservation)
    assert decision.verdict is Verdict.WAIT
    assert decision.reservation.moment > tail
    assert first.reservation.moment not in state.grants


def test_one_that_may_not_wait_for_another_moment_is_refused():
    state, first = work(full(), 0.0)
    for _ in range(100):
        state, _ = work(state, 0.0)
    state, decision = work(
        state, first.reservation.moment + 5.0, reservation=first.reservation, max_wait=10.0
    )
    assert decision.verdict is Verdict.REFUSED
    assert decision.delay > 10.0


def test_a_late_poll_that_books_anew_counts_as_the_last_poll():
    state, first = work(full(), 0.0)
    for _ in range(100):
        state, _ = work(state, 0.0)
    state, decision = poll(state, first.reservation.moment + 5.0, reservation=first.reservation)
    assert state.last_poll == decision.reservation.moment


def test_one_that_wakes_after_its_log_entry_is_gone_is_logged_all_the_same():
    state, decision = work(full(), 0.0)
    late = decision.reservation.moment + 1000.0
    state, decision = work(state, late, reservation=decision.reservation)
    assert decision == GO
    assert state.grants == (late,)


@pytest.mark.parametrize("asleep", [1.0, 30.0, 61.0, 90.0, 600.0])
def test_bookings_that_a_sleeping_host_missed_do_not_go_all_at_once(asleep):
    """A suspended laptop, a paused container: all sleep through their moments and wake together."""
    state, reservations = full(), []
    for _ in range(150):
        state, decision = work(state, 0.0)
        reservations.append(decision.reservation)
    now, sent, waiting = asleep, [], [(reservation.moment, reservation) for reservation in reservations]
    while waiting:
        due, reservation = min(waiting, key=lambda entry: entry[0])
        waiting.remove((due, reservation))
        now = max(now, due)
        state, decision = work(state, now, reservation=reservation)
        if decision == GO:
            sent.append(now)
        else:
            waiting.append((now + decision.delay, decision.reservation))
    assert len(sent) == 150
    assert all(later - first >= MINUTE.window - 1e-6 for first, later in zip(sent, sent[60:], strict=False))


def test_waiting_requests_keep_their_order():
    state, moments = full(), []
    for _ in range(200):
        state, decision = work(state, 0.0)
        moments.append(decision.reservation.moment)
    assert moments == sorted(moments)


def test_refused_says_how_long_the_queue_is_and_books_nothing():
    state, decision = work(full(), 0.0, max_wait=10.0)
    assert decision.verdict is Verdict.REFUSED
    assert decision.delay == pytest.approx(next_slot(full(), MINUTE, 0.0))
    assert state.grants == full().grants


def test_a_caller_with_a_smaller_budget_waits_for_its_own_limit():
    half = replace(START, seen=0.0, grants=tuple(i * 0.25 - 10.0 for i in range(40)))
    assert work(half, 0.0)[1] == GO
    _, decision = work(half, 0.0, budget=Budget(30))
    assert decision.reservation.moment == half.grants[10] + 61.0


# 429


def test_a_429_stops_everyone_for_the_full_time_and_lowers_by_one():
    state = penalize(full(), MINUTE, now=1.0, seconds=100.0)
    assert allowed(state, MINUTE) == 59
    assert work(state, 2.0)[1].reservation.moment == 101.0
    assert poll(state, 2.0, max_wait=98.0)[1].verdict is Verdict.REFUSED


def test_a_shorter_429_does_not_shorten_the_block():
    state = penalize(START, MINUTE, now=0.0, seconds=60.0)
    state = penalize(state, MINUTE, now=1.0, seconds=2.0)
    assert state.blocked_until == 60.0


def test_a_429_voids_all_bookings():
    state, decision = work(full(), 0.0)
    state = penalize(state, MINUTE, now=1.0, seconds=200.0)
    assert max(state.grants) <= 1.0
    state, again = work(state, decision.reservation.moment, reservation=decision.reservation)
    assert again.verdict is Verdict.WAIT
    assert again.reservation.moment == 201.0


def test_several_429s_of_one_block_lower_by_one_each():
    state = START
    for now in (0.0, 0.1, 0.2):
        state = penalize(state, MINUTE, now=now, seconds=60.0)
    assert state.lowered_by == 3


def test_windows_overdrawn_in_a_row_lower_by_twice_as_much_each():
    state, now, lowered = START, 0.0, []
    for _ in range(5):
        state = penalize(state, MINUTE, now=now, seconds=60.0)
        lowered.append(state.lowered_by)
        now = state.blocked_until + 30.0
    assert lowered == [1, 3, 7, 15, 31]


def test_a_clean_window_wins_one_back_and_ends_the_doubling():
    state = penalize(START, MINUTE, now=0.0, seconds=60.0)
    state = penalize(state, MINUTE, now=70.0, seconds=60.0)
    assert state.lowered_by == 3
    state, _ = work(state, 189.0)
    assert state.lowered_by == 3
    state, _ = work(state, 190.0)
    assert (state.lowered_by, state.step) == (2, 0)
    state = penalize(state, MINUTE, now=200.0, seconds=1.0)
    assert state.lowered_by == 3


def test_clean_windows_are_counted_from_the_last_one_won_back():
    state = replace(START, lowered_by=10, lowered_at=0.0)
    state, _ = work(state, 150.0)
    assert (state.lowered_by, state.lowered_at) == (8, 120.0)
    state, _ = work(state, 180.0)
    assert (state.lowered_by, state.lowered_at) == (7, 180.0)
    state, _ = work(state, 10_000.0)
    assert state.lowered_by == 0


def test_one_request_per_window_is_always_left():
    state, small = START, Budget(3)
    for now in range(10):
        state = penalize(state, small, now=float(now), seconds=1.0)
    assert allowed(state, small) == 1
    assert state.lowered_by == 2


def test_hold_stops_everyone_and_lowers_nothing():
    state, decision = work(full(), 0.0)
    state = hold(state, MINUTE, now=0.0, seconds=90.0)
    assert allowed(state, MINUTE) == 60
    assert work(state, 70.0, reservation=decision.reservation)[1].reservation.moment == 90.0


# Polls


def test_a_poll_goes_when_a_moment_is_free():
    state, decision = poll(START, 5.0)
    assert decision == GO
    assert (state.last_poll, state.poll_turn, state.grants) == (5.0, 5.0, (5.0,))


def test_polls_that_come_together_take_turns_at_the_pace_of_the_allowance():
    state, moments = START, []
    for _ in range(5):
        state, decision = poll(state, 0.0)
        moments.append(decision.reservation.moment if decision.reservation else 0.0)
    pace = 61 / 60
    assert moments == pytest.approx([0.0, pace, 2 * pace, 3 * pace, 4 * pace])


def test_turns_come_at_half_the_pace_while_work_is_booked_ahead():
    state, _ = work(full(), 0.0)
    state = replace(state, poll_turn=0.0)
    _, decision = poll(state, 0.0)
    assert decision.reservation.moment == pytest.approx(2 * 61 / 60)


def test_a_turn_is_no_booking_and_outlives_a_429():
    state, _ = poll(START, 0.0)
    state, decision = poll(state, 0.0)
    assert not decision.reservation.booked
    assert len(state.grants) == 1
    state = penalize(state, MINUTE, now=0.5, seconds=10.0)
    _, again = poll(state, 0.6, reservation=decision.reservation)
    assert again.reservation == decision.reservation


def test_a_poll_leaves_a_full_window_to_work_while_it_is_young():
    state, decision = poll(full(), 0.0)
    assert state.grants == full().grants
    assert not decision.reservation.booked
    _, decision = poll(
        state, decision.reservation.moment, waited=decision.delay, reservation=decision.reservation
    )
    assert decision == GO


def test_a_poll_that_just_misses_a_moment_keeps_its_turn():
    state = replace(full(), grants=tuple(moment - 52.6 for moment in full().grants))
    slot = next_slot(state, MINUTE, 0.0)
    assert 0 < slot < 61 / 60
    after, decision = poll(state, 0.0, reservation=Reservation(-1.0, False, 7))
    assert decision.reservation.moment == slot
    assert after.poll_turn == state.poll_turn


def test_a_poll_looks_in_four_times_a_window_and_takes_capacity_that_is_left_over():
    state = replace(START, poll_turn=500.0, last_poll=-1.0)
    state, decision = poll(state, 0.0)
    assert decision.reservation.moment > 500.0
    assert decision.delay == 15.0
    _, decision = poll(state, 15.0, waited=15.0, reservation=decision.reservation)
    assert decision == GO


def test_a_newcomer_does_not_overtake_polls_that_wait_for_their_turn():
    state = replace(START, poll_turn=10.0, last_poll=-3.0)
    _, decision = poll(state, 0.0)
    assert decision.verdict is Verdict.WAIT


def test_turns_that_nobody_takes_up_are_handed_out_anew():
    """A triggerer with hundreds of waiting polls was killed."""
    state = replace(START, poll_turn=500.0, last_poll=-3.1)
    state, decision = poll(state, 0.0, max_wait=10.0)
    assert decision == GO
    assert state.poll_turn == 0.0
    _, decision = poll(state, 0.5, reservation=Reservation(400.0, False, 7))
    assert decision.reservation.moment == pytest.approx(61 / 60)


def test_an_overdue_poll_books_like_work_at_its_turn():
    state = full()
    for _ in range(300):
        state, _ = work(state, 0.0)
    state, decision = poll(state, 0.0)
    assert decision.reservation.moment == pytest.approx(120.0)
    tail = state.grants[-1]
    state, decision = poll(state, 120.0, waited=120.0, reservation=decision.reservation)
    assert decision.reservation.booked
    assert decision.reservation.moment > tail
    assert state.last_poll == decision.reservation.moment


def test_a_turn_further_away_than_the_poll_may_wait_is_refused_and_not_handed_out():
    state = replace(START, poll_turn=500.0, last_poll=-1.0)
    after, decision = poll(state, 0.0, max_wait=100.0)
    assert decision.verdict is Verdict.REFUSED
    assert decision.delay > 500.0
    assert after.poll_turn == 500.0


def test_places_of_another_log_are_worth_nothing():
    state = full()
    for reservation in (Reservation(-1.0, True, 8), Reservation(-1.0, False, 8), Reservation(1e9, False, 8)):
        _, decision = poll(state, 0.0, reservation=reservation)
        assert decision.verdict is Verdict.WAIT
        assert decision.delay <= 60.0


# Clocks


def test_a_clock_set_back_costs_nothing_but_the_bookings():
    state, decision = work(full(), 0.0)
    after, again = work(state, -600.0, reservation=decision.reservation)
    assert again.delay == pytest.approx(decision.delay)
    assert again.reservation.stamp != decision.reservation.stamp
    assert after.born != state.born


def test_a_block_survives_a_clock_set_back():
    state = penalize(START, MINUTE, now=0.0, seconds=50.0)
    _, decision = work(state, -600.0)
    assert decision.delay == 50.0


asks = st.lists(
    st.tuples(
        st.floats(-5.0, 30.0),
        st.sampled_from(Priority),
        st.floats(0.0, 300.0),
        st.floats(0.0, 500.0),
        st.integers(0, 5),
    ),
    max_size=80,
)


@given(
    asks,
    st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 90.0)), max_size=4),
    st.integers(1, 20),
    st.sampled_from([2.0, 60.0]),
)
def test_no_span_of_the_log_ever_holds_more_than_the_allowance(steps, penalties, requests, window):
    budget = Budget(requests, window)
    state, now, reservations = START, 0.0, []
    penalties = list(penalties)
    for step, priority, waited, max_wait, back in steps:
        now += step * window / 60
        if penalties and step < 1.0:
            _, seconds = penalties.pop()
            state = penalize(state, budget, now=now, seconds=seconds)
        reservation = reservations[-back] if 0 < back <= len(reservations) else None
        before = state
        state, decision = reserve(
            state,
            budget,
            now=now,
            priority=priority,
            waited=waited,
            max_wait=max_wait,
            reservation=reservation,
        )
        limit = allowed(state, budget)
        assert list(state.grants) == sorted(state.grants)
        spans = zip(state.grants, state.grants[requests:], strict=False)
        assert all(last - first >= budget.span * (1 - 1e-12) for first, last in spans)
        moved = min(0.0, now - before.seen)  # a clock that is set back takes the log with it
        is_new = bool(state.grants) and state.grants[-1] not in [grant + moved for grant in before.grants]
        if is_new and len(state.grants) > limit:
            assert state.grants[-1] - state.grants[-1 - limit] >= budget.span * (1 - 1e-12)
        if decision.verdict is Verdict.GO:
            assert state.blocked_until <= now
        if decision.verdict is Verdict.REFUSED:
            assert decision.delay > max_wait
            assert len(state.grants) <= len(before.grants)
        if decision.verdict is Verdict.WAIT:
            assert decision.delay > 0
            reservations.append(decision.reservation)
