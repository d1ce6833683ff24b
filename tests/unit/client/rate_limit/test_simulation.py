"""The request budget in virtual time: many requesters, a network with jitter, and servers of every kind."""

import heapq
import itertools
import math
import random
from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.rate_limit.core import (
    Budget,
    BudgetState,
    Priority,
    Verdict,
    penalize,
    reserve,
)

HOUR = 3600.0


class FixedWindow:
    def __init__(self, limit, window, phase=None):
        self.limit, self.window, self.phase = limit, window, phase
        self.start, self.count = -math.inf, 0

    def wait(self, now):
        """Count a request, or return how long to stay away."""
        if now >= self.start + self.window:
            aligned = self.phase is not None
            self.start = (
                now
                if not aligned
                else math.floor((now - self.phase) / self.window) * self.window + self.phase
            )
            self.count = 0
        if self.count >= self.limit:
            return self.start + self.window - now
        self.count += 1
        return 0.0


class SlidingLog:
    def __init__(self, limit, window, *, count_refused=False):
        self.limit, self.window, self.count_refused, self.log = limit, window, count_refused, deque()

    def wait(self, now):
        while self.log and self.log[0] + self.window <= now:
            self.log.popleft()
        if len(self.log) < self.limit:
            self.log.append(now)
            return 0.0
        if self.count_refused:
            self.log.append(now)
        return self.log[-self.limit] + self.window - now


SERVERS = {
    "aligned": lambda limit, window=60.0, phase=17.3: FixedWindow(limit, window, phase),
    "first request": FixedWindow,
    "sliding": SlidingLog,
    "sliding, refused count": lambda limit, window=60.0: SlidingLog(limit, window, count_refused=True),
}


class World:
    """Requesters are generators that yield how long they sleep."""

    def __init__(self, server, budget=None, *, seed=1, network=0.2, wake=0.005):
        self.server, self.budget, self.network, self.wake = server, budget or Budget(), network, wake
        self.random = random.Random(seed)
        self.now = self.started = 1000.0
        self.state = BudgetState()
        self.queue, self.order = [], itertools.count()
        self.accepted, self.refused, self.waits, self.sent_while_blocked, self.asks = [], [], [], 0, 0

    def start(self, requester, delay=0.0):
        heapq.heappush(self.queue, (self.now + delay, next(self.order), requester))

    def run(self, seconds):
        end = self.now + seconds
        while self.queue and self.queue[0][0] <= end:
            self.now, _, requester = heapq.heappop(self.queue)
            delay = next(requester, None)
            if delay is not None:
                self.start(requester, delay)
        self.now = end

    def request(self, name, priority=Priority.WORK):
        """What protocol.exchange and a driver do together."""
        while True:
            yield from self._wait(name, priority)
            self.sent_while_blocked += self.now < self.state.blocked_until
            yield 0.02 + self.random.random() * self.network
            wait = self.server.wait(self.now)
            if not wait:
                self.accepted.append((self.now, name, priority))
                yield 0.1
                return
            self.refused.append(self.now)
            yield 0.02
            seconds = max(1.0, math.ceil(wait)) + self.random.random()
            self.state = penalize(self.state, self.budget, now=self.now, seconds=seconds)

    def _wait(self, name, priority):
        since, reservation = self.now, None
        while True:
            self.asks += 1
            self.state, decision = reserve(
                self.state,
                self.budget,
                now=self.now,
                priority=priority,
                waited=self.now - since,
                max_wait=math.inf,
                reservation=reservation,
            )
            if decision.verdict is Verdict.GO:
                self.waits.append((priority, name, self.now - since))
                return
            reservation = decision.reservation
            yield decision.delay + self.random.random() * self.wake

    def loop(self, name, priority=Priority.WORK, *, pause=0.0):
        while True:
            yield from self.request(name, priority)
            if pause:
                yield pause

    def strangers(self, per_second):
        while True:
            yield self.random.expovariate(per_second)
            self.server.wait(self.now)

    # What came of it

    def share(self, limit):
        """Part of a limit used since the first window."""
        since = self.started + self.budget.window
        count = sum(moment >= since for moment, _, _ in self.accepted)
        return count / (limit * (self.now - since) / self.budget.window)

    def refused_of_first(self, count):
        moments = sorted([*self.refused, *(moment for moment, _, _ in self.accepted)])
        return sum(moment <= moments[count - 1] for moment in self.refused)

    def waits_of(self, priority):
        return [seconds for kind, _, seconds in self.waits if kind is priority]

    def jain(self, priority=Priority.WORK):
        counts = list(Counter(name for _, name, kind in self.accepted if kind is priority).values())
        return sum(counts) ** 2 / len(counts) / sum(count**2 for count in counts)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("loops", [1, 9, 60])
def test_no_429_and_the_allowance_used(kind, loops):
    world = World(SERVERS[kind](60, 60.0))
    for name in range(loops):
        world.start(world.loop(name), world.random.random())
    world.run(HOUR)
    assert world.refused == []
    assert world.share(60) >= 0.98
    assert world.jain() >= 0.99


@given(
    st.integers(1, 40),
    st.sampled_from([2.0, 60.0]),
    st.integers(1, 12),
    st.integers(0, 12),
    st.floats(0.0, 1.0),
    st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_no_window_of_any_phase_sees_more_than_the_allowance(limit, window, loops, polls, pause, seed):
    budget = Budget(limit, window)
    world = World(
        SlidingLog(10**9, window), budget, seed=seed, network=budget.margin * 0.49, wake=budget.margin * 0.49
    )
    for name in range(loops):
        world.start(world.loop(name, pause=pause * world.random.random() * window))
    for name in range(polls):
        world.start(world.loop(name, Priority.POLL, pause=pause * window), world.random.random() * window)
    world.run(8 * window)
    arrivals = [moment for moment, _, _ in world.accepted]
    assert arrivals
    for first, last in zip(arrivals, arrivals[limit:], strict=False):
        assert last - first >= window


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("loops", [1, 9, 36])
def test_a_limit_of_30_is_learned(kind, loops):
    world = World(SERVERS[kind](30, 60.0))
    for name in range(loops):
        world.start(world.loop(name), world.random.random())
    world.run(2 * HOUR)
    assert world.refused_of_first(1000) < 30
    assert 1000 * len(world.refused) / len(world.accepted) < 30
    assert world.share(30) >= 0.96
    assert world.sent_while_blocked == 0


@pytest.mark.parametrize("kind", ["aligned", "first request", "sliding"])
@pytest.mark.parametrize("part", [0.2, 0.5])
def test_foreign_requests_are_learned(kind, part):
    world = World(SERVERS[kind](60, 60.0))
    for name in range(9):
        world.start(world.loop(name), world.random.random())
    world.start(world.strangers(part))
    world.run(2 * HOUR)
    assert 1000 * len(world.refused) / len(world.accepted) < 30
    assert world.share(60 * (1 - part)) >= 0.98
    assert world.sent_while_blocked == 0


def test_a_lower_limit_that_ends_is_forgotten():
    world = World(FixedWindow(30, 60.0))
    for name in range(9):
        world.start(world.loop(name), world.random.random())
    world.run(HOUR)
    world.server.limit = 60
    world.run(HOUR)
    world.accepted, world.refused, world.started = [], [], world.now
    world.run(HOUR)
    assert world.refused == []
    assert world.share(60) >= 0.98


@pytest.mark.parametrize("count", [100, 500])
def test_polls_alone_use_the_allowance_and_none_waits_much_longer_than_the_others(count):
    world = World(FixedWindow(60, 60.0))
    for name in range(count):
        world.start(world.loop(name, Priority.POLL, pause=30.0))
    world.run(2 * HOUR)
    waits = world.waits_of(Priority.POLL)
    assert world.share(60) >= 0.98
    assert max(waits) <= 1.5 * sum(waits) / len(waits)
    assert world.asks / (2 * HOUR) < 40


def test_work_keeps_half_of_the_allowance_from_a_crowd_of_polls():
    world = World(FixedWindow(60, 60.0))
    for name in range(9):
        world.start(world.loop(("work", name)))
    for name in range(500):
        world.start(world.loop(("poll", name), Priority.POLL, pause=30.0))
    world.run(2 * HOUR)
    work = len(world.waits_of(Priority.WORK))
    assert work >= 0.48 * len(world.waits)
    assert max(world.waits_of(Priority.WORK)) < 150
    assert world.jain(Priority.POLL) >= 0.99


def test_a_few_polls_cost_work_only_what_they_use():
    world = World(FixedWindow(60, 60.0))
    for name in range(9):
        world.start(world.loop(("work", name)))
    world.start(world.loop("poll", Priority.POLL, pause=10.0))
    world.run(2 * HOUR)
    assert len(world.waits_of(Priority.POLL)) >= 2 * HOUR / (10 + 120 + 61) - 1
    assert len(world.waits_of(Priority.WORK)) + len(world.waits_of(Priority.POLL)) == len(world.waits)
    assert world.share(60) >= 0.98


@pytest.mark.parametrize(("loops", "queue"), [(9, 61), (60, 122), (300, 366)])
def test_a_poll_never_starves_beyond_two_minutes_plus_its_turn(loops, queue):
    world = World(FixedWindow(60, 60.0))
    for name in range(loops):
        world.start(world.loop(("work", name)))
    for name in range(5):
        world.start(world.loop(("poll", name), Priority.POLL, pause=10.0))
    world.run(2 * HOUR)
    turn = 5 * 2 * 61 / 60
    assert max(world.waits_of(Priority.POLL)) <= 120 + turn + queue


def test_polls_that_died_while_they_waited_delay_nobody():
    world = World(FixedWindow(60, 60.0))
    for name in range(500):
        world.start(world.loop(name, Priority.POLL, pause=30.0))
    world.run(300.0)
    world.queue.clear()
    world.waits.clear()
    for name in range(5):
        world.start(world.loop(name, Priority.POLL, pause=10.0))
    world.run(600.0)
    assert max(world.waits_of(Priority.POLL)) < 20


def seconds_to_submit(poll_priority):
    """400 submits by eight loops, each workflow polled every 10 s until it is done."""
    world = World(FixedWindow(60, 60.0))
    left, done = list(range(400)), []

    def submits(name):
        while left:
            workflow = left.pop()
            yield from world.request(name)
            done.append(world.now)
            world.start(watch(workflow))

    def watch(workflow):
        done_at = world.now + world.random.lognormvariate(math.log(90), 0.5)
        while world.now < done_at:
            yield 10.0
            yield from world.request(workflow, poll_priority)

    for name in range(8):
        world.start(submits(name))
    world.run(2 * HOUR)
    assert world.refused == []
    assert len(done) == 400
    return done[-1] - world.started


def test_a_large_job_is_not_stopped_by_its_own_polls():
    alone = 400 * 61 / 60
    assert seconds_to_submit(Priority.POLL) < 1.6 * alone
    assert seconds_to_submit(Priority.WORK) > 2.5 * alone
