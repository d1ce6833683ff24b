"""The script decides like the pure core: both are asked the same, at the same moments, on a real server."""

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
from airflow_provider_cleanlist.client.rate_limit.redis import _decision, script_source

pytestmark = pytest.mark.integration

SERVER_CLOCK = "redis.call('TIME')"
GIVEN_CLOCK = "{ARGV[#ARGV - 1], ARGV[#ARGV]}"
BUDGETS = [Budget(), Budget(30), Budget(60, 2.0), Budget(1, 10.0), Budget(7, 3600.0)]


class Pair:
    """One state in the core, one on the server, one clock for both."""

    def __init__(self, client, seed: int) -> None:
        source = script_source()
        assert source.count(SERVER_CLOCK) == 1
        self._script = client.register_script(source.replace(SERVER_CLOCK, GIVEN_CLOCK))
        self._key = f"test:{seed}"
        self._micros = 1_790_000_000_000_000 + seed
        self._state = BudgetState(born=self._micros, epoch=self._micros)
        self.stop(BUDGETS[0], 0.0, lower=False)

    def pass_time(self, seconds: float) -> None:
        self._micros += round(seconds * 1e6)

    def _ask(self, command: str, budget: Budget, *arguments: object) -> list[bytes]:
        clock = divmod(self._micros, 1_000_000)
        values = [command, budget.requests, budget.window, *arguments, *clock]
        return self._script(keys=[self._key], args=values)

    @property
    def _now(self) -> float:
        seconds, micros = divmod(self._micros, 1_000_000)
        return seconds + micros / 1_000_000

    def reserve(
        self,
        budget: Budget,
        priority: Priority,
        waited: float,
        max_wait: float,
        reservation: Reservation | None,
    ) -> tuple[Decision, Decision]:
        shown = (
            (reservation.moment, int(reservation.booked), reservation.stamp) if reservation else (0, "", 0)
        )
        reply = self._ask("reserve", budget, priority.value, waited, max_wait, *shown)
        self._state, decision = reserve(
            self._state,
            budget,
            now=self._now,
            priority=priority,
            waited=waited,
            max_wait=max_wait,
            reservation=reservation,
        )
        assert int(float(reply[5])) == self._state.born
        assert float(reply[6]) == self._now
        return decision, _decision(reply)

    def stop(self, budget: Budget, seconds: float, *, lower: bool) -> None:
        self._ask("penalize" if lower else "hold", budget, seconds)
        change = penalize if lower else hold
        self._state = change(self._state, budget, now=self._now, seconds=seconds)


@pytest.mark.parametrize("seed", range(40))
def test_script_and_core_decide_the_same(redis_server, seed: int) -> None:
    dice = random.Random(seed)
    pair = Pair(redis_server.client(), seed)
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
def test_they_decide_the_same_for_requests_that_wait_their_turn(redis_server, seed: int) -> None:
    """Requests that really wait and come back reach states that random reservations seldom do."""
    dice = random.Random(seed)
    pair = Pair(redis_server.client(), seed)
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
    damage: list[Callable[[], object]] = [
        lambda: client.set("test:1", b"\xc1nonsense"),
        lambda: client.set("test:1", b""),
        lambda: client.set("test:1", b"\x93\x01\x02\x03"),
        lambda: (client.delete("test:1"), client.lpush("test:1", "another type")),
    ]
    for do_damage in damage:
        do_damage()
        script = client.register_script(script_source())
        reply = script(keys=["test:1"], args=["reserve", 60, 60.0, "work", 0, 900, 0, "", 0])
        decision = _decision(reply)
        assert decision.delay == pytest.approx(61.0)
        assert 0 < client.pttl("test:1") <= 125_000
