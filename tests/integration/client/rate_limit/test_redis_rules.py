"""The store on a real server decides like the pure core: both are asked the same, at the same moments."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from airflow_provider_cleanlist.client.rate_limit.core import (
    Budget,
    BudgetState,
    Decision,
    Priority,
    Reservation,
    Verdict,
    hold,
    penalize,
    reserve,
)
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter, decode
from airflow_provider_cleanlist.client.rate_limit.redis import RedisKey, RedisRateLimiter

pytestmark = pytest.mark.integration

BUDGETS = [Budget(), Budget(30), Budget(60, 2.0), Budget(1, 10.0), Budget(7, 3600.0)]


class Pair:
    """One state in the core, one on the server, one clock for both."""

    def __init__(self, server, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self._now = 1_790_000_000.0 + seed
        self._server = server.client()
        fallback = MemoryRateLimiter(BUDGETS[0], lambda: self._now)
        self._limiter = RedisRateLimiter(server.url, f"test {seed}", BUDGETS[0], fallback)
        read = RedisKey.read
        monkeypatch.setattr(RedisKey, "read", lambda key: (read(key)[0], self._now))
        self._limiter.hold(1e-6)
        self._state = self._stored()

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def _stored(self) -> BudgetState:
        [key] = self._server.keys()
        _, state = decode(self._server.get(key))
        assert state is not None
        return state

    def reserve(
        self,
        budget: Budget,
        priority: Priority,
        waited: float,
        max_wait: float,
        reservation: Reservation | None,
    ) -> tuple[Decision, Decision]:
        self._limiter.budget = budget
        actual = self._limiter.reserve(priority, waited=waited, max_wait=max_wait, reservation=reservation)
        self._state, expected = reserve(
            self._state,
            budget,
            now=self._now,
            priority=priority,
            waited=waited,
            max_wait=max_wait,
            reservation=reservation,
        )
        assert self._stored() == self._state
        return expected, actual

    def stop(self, budget: Budget, seconds: float, *, lower: bool) -> None:
        self._limiter.budget = budget
        (self._limiter.penalize if lower else self._limiter.hold)(seconds)
        change = penalize if lower else hold
        self._state = change(self._state, budget, now=self._now, seconds=seconds)


@pytest.mark.parametrize("seed", range(40))
def test_store_and_core_decide_the_same(redis_server, monkeypatch, seed: int) -> None:
    dice = random.Random(seed)
    pair = Pair(redis_server, monkeypatch, seed)
    budgets = dice.sample(BUDGETS, dice.choice([1, 1, 1, 2]))
    window = budgets[0].window
    pace = window / budgets[0].requests
    reservations: list[Reservation] = []
    verdicts = set()
    for _ in range(300):
        budget = dice.choice(budgets)
        step = dice.choice([0, 0, dice.random() * pace, dice.random() * pace, dice.random() * window])
        pair.pass_time(dice.choice([step] * 40 + [-dice.random() * 10 * window, dice.random() * 10 * window]))
        if dice.random() < 0.03:
            pair.stop(budget, dice.random() * 2 * window, lower=dice.random() < 0.8)
        reservation = dice.choice(reservations[-8:]) if reservations and dice.random() < 0.5 else None
        expected, actual = pair.reserve(
            budget,
            dice.choice(list(Priority)),
            dice.choice([0.0, dice.random() * 4 * window]),
            dice.choice([0.0, window, 1e9]),
            reservation,
        )
        assert actual == expected
        verdicts.add(actual.verdict)
        if actual.reservation is not None:
            reservations.append(actual.reservation)
    assert verdicts == set(Verdict)


@pytest.mark.parametrize("seed", range(10))
def test_they_decide_the_same_for_requests_that_wait_their_turn(redis_server, monkeypatch, seed: int) -> None:
    """Requests that really wait and come back reach states that random reservations seldom do."""
    dice = random.Random(seed)
    pair = Pair(redis_server, monkeypatch, seed)
    budget = dice.choice(BUDGETS)
    waiting: list[tuple[float, float, Priority, Reservation | None]] = [
        (0.0, 0.0, dice.choice(list(Priority)), None) for _ in range(30)
    ]
    now = 0.0
    for _ in range(600):
        waiting.sort(key=lambda entry: entry[0])
        due, since, priority, reservation = waiting.pop(0)
        late = dice.choice([0.0, dice.random() * budget.margin])
        pair.pass_time(max(0.0, due + late - now))
        now = max(now, due + late)
        expected, actual = pair.reserve(budget, priority, now - since, 1e9, reservation)
        assert actual == expected
        if actual.verdict is Verdict.GO:
            pause = dice.random() * budget.window
            waiting.append((now + pause, now + pause, dice.choice(list(Priority)), None))
            if dice.random() < 0.02:
                pair.stop(budget, budget.window / 2, lower=True)
        else:
            waiting.append((now + actual.delay, since, priority, actual.reservation))


def test_a_damaged_key_counts_as_a_full_window(redis_server) -> None:
    client = redis_server.client()
    limiter = RedisRateLimiter(redis_server.url, "organisation", Budget(), MemoryRateLimiter(Budget()))
    limiter.hold(1.0)
    [key] = client.keys()
    intact = client.get(key)
    damage: list[Callable[[], object]] = [
        lambda: client.set(key, b"\xc1nonsense"),
        lambda: client.set(key, b"\x93\x01\x02\x03"),
        lambda: client.set(key, intact[:-1]),
        lambda: (client.delete(key), client.lpush(key, "another type")),
    ]
    for do_damage in damage:
        do_damage()
        decision = limiter.reserve(Priority.WORK, waited=0, max_wait=900)
        assert decision.delay == pytest.approx(61.0)
        assert 0 < client.pttl(key) <= 125_000


def test_an_empty_key_counts_as_a_missing_one(redis_server) -> None:
    """A bounded read cannot tell them apart, and whoever can empty the key can delete it as well."""
    client = redis_server.client()
    limiter = RedisRateLimiter(redis_server.url, "organisation", Budget(), MemoryRateLimiter(Budget()))
    limiter.hold(900.0)
    [key] = client.keys()
    client.set(key, b"")
    assert limiter.reserve(Priority.WORK, waited=0, max_wait=900).verdict is Verdict.GO
