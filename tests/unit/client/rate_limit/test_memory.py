"""The budget in memory, and what a process takes along when it changes logs."""

import threading

from airflow_provider_cleanlist.client.rate_limit.core import GO, Budget, Priority, Verdict
from airflow_provider_cleanlist.client.rate_limit.memory import LocalCooldown, MemoryRateLimiter, MemoryState


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def work(limiter, reservation=None):
    return limiter.reserve(Priority.WORK, waited=0.0, max_wait=900.0, reservation=reservation)


def test_a_request_waits_for_its_place_and_goes():
    clock = Clock()
    limiter = MemoryRateLimiter(Budget(1), clock)
    assert work(limiter) == GO
    decision = work(limiter)
    assert decision.delay == 61.0
    clock.now += 61.0
    assert work(limiter, decision.reservation) == GO


def test_bookings_that_all_slept_through_do_not_go_at_once():
    clock = Clock()
    limiter = MemoryRateLimiter(Budget(5), clock)
    reservations = [work(limiter).reservation for _ in range(20)][1:]
    clock.now += 90.0
    decisions = [work(limiter, reservation) for reservation in reservations]
    moments = sorted(
        decision.reservation.moment if decision.reservation else clock.now for decision in decisions
    )
    assert all(last - first >= 60.0 for first, last in zip(moments, moments[5:], strict=False))


def test_limiters_of_one_state_share_it():
    clock, state = Clock(), MemoryState()
    assert work(MemoryRateLimiter(Budget(1), clock, state)) == GO
    assert work(MemoryRateLimiter(Budget(1), clock, state)).verdict is Verdict.WAIT
    assert work(MemoryRateLimiter(Budget(1), clock)) == GO


def test_a_429_stops_and_a_hold_does_not_lower():
    clock = Clock()
    limiter = MemoryRateLimiter(Budget(2), clock)
    limiter.hold(10.0)
    assert work(limiter).delay == 10.0
    clock.now += 200.0
    limiter.penalize(20.0)
    assert work(limiter).delay == 20.0
    assert work(limiter).delay == 81.0


def test_threads_do_not_overdraw_it():
    limiter = MemoryRateLimiter(Budget(10, 1000.0))
    decisions = []

    def ask():
        decisions.extend(limiter.reserve(Priority.WORK, waited=0.0, max_wait=1e9) for _ in range(200))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moments = sorted(decision.reservation.moment for decision in decisions if decision.reservation)
    assert len(moments) == len(set(moments)) == 799


def test_a_cooldown_lasts_as_long_as_the_last_request_is_in_the_window():
    cooldown = LocalCooldown(Budget())
    assert cooldown.seconds(1000.0) == 0.0
    cooldown.sent(1000.0)
    assert cooldown.seconds(1010.0) == 51.0
    assert cooldown.seconds(1061.0) == 0.0


def test_a_cooldown_lasts_as_long_as_a_429_asked_for():
    cooldown = LocalCooldown(Budget())
    cooldown.stopped(1200.0)
    cooldown.sent(1000.0)
    cooldown.stopped(1100.0)
    assert cooldown.seconds(1050.0) == 150.0
