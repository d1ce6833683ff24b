"""Transactions on a real Redis server: round trips, contention, processes that are killed in the middle."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.endpoints import get_credit_balance
from airflow_provider_cleanlist.client.rate_limit.core import (
    GO,
    Budget,
    Decision,
    Priority,
    Reservation,
    Verdict,
)
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter, decode
from airflow_provider_cleanlist.client.rate_limit.redis import CONTENTION_SECONDS, RedisKey, RedisRateLimiter
from airflow_provider_cleanlist.client.settings import ClientSettings
from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = pytest.mark.integration

fork = multiprocessing.get_context("fork")
SPARSE = Budget(12, 60.0)


def new(server, budget: Budget = Budget()) -> RedisRateLimiter:  # noqa: B008 - a frozen value
    return RedisRateLimiter(server.url, "organisation", budget, MemoryRateLimiter(budget))


def ask(limiter, priority: Priority = Priority.WORK, reservation: Reservation | None = None) -> Decision:
    return limiter.reserve(priority, waited=0.0, max_wait=900.0, reservation=reservation)


@pytest.fixture
def round_trips(monkeypatch) -> list[tuple[object, ...]]:
    """All packets of commands that are sent to servers from now on."""
    sent: list[tuple[object, ...]] = []
    send = RedisKey._send

    def note(key: RedisKey, *commands: tuple[object, ...]) -> list[object]:
        sent.append(tuple(command[0] for command in commands))
        return send(key, *commands)

    monkeypatch.setattr(RedisKey, "_send", note)
    return sent


@pytest.fixture
def contend(redis_server, monkeypatch) -> Callable[[int], None]:
    """Return a function after which somebody else changes the key in the middle of so many transactions."""
    left, read, client = [0], RedisKey.read, redis_server.client()

    def read_and_be_overtaken(key: RedisKey) -> tuple[bytes | None, float]:
        found = read(key)
        if left[0] > 0:
            left[0] -= 1
            name = client.keys()[0]
            client.set(name, client.get(name))
        return found

    monkeypatch.setattr(RedisKey, "read", read_and_be_overtaken)
    return lambda times: left.__setitem__(0, times)


def test_two_round_trips_for_a_booking_and_one_for_a_booked_request(redis_server, round_trips) -> None:
    limiter = new(redis_server, SPARSE)
    assert ask(limiter) == GO
    assert round_trips == [("UNWATCH", "WATCH", "TIME", "GETRANGE"), ("MULTI", "SET", "EXEC")]
    decision = ask(limiter)
    assert len(round_trips) == 4
    time.sleep(decision.delay)
    assert ask(limiter, reservation=decision.reservation) == GO
    assert len(round_trips) == 5


def test_a_poll_that_checks_before_its_turn_writes_nothing(redis_server, round_trips) -> None:
    limiter = new(redis_server)
    for _ in range(60):
        ask(limiter)
    turn = ask(limiter, Priority.POLL).reservation
    del round_trips[:]
    for _ in range(10):
        assert ask(limiter, Priority.POLL, turn).reservation == turn
    assert round_trips == [("UNWATCH", "WATCH", "TIME", "GETRANGE")] * 10


def test_who_was_overtaken_starts_over(redis_server, contend, round_trips) -> None:
    limiter = new(redis_server, SPARSE)
    ask(limiter)
    del round_trips[:]
    contend(3)
    decision = ask(limiter)
    assert decision.verdict is Verdict.WAIT
    assert decision.delay <= SPARSE.gap
    assert len(round_trips) == 8
    assert ask(new(redis_server, SPARSE)).delay > SPARSE.gap


def test_a_first_request_that_was_overtaken_holds_nobody(redis_server, monkeypatch) -> None:
    """A decision that was not stored is no request that this process has sent."""
    other, read, overtaken = new(redis_server), RedisKey.read, [False]

    def read_and_be_overtaken(key: RedisKey) -> tuple[bytes | None, float]:
        found = read(key)
        if not overtaken[0]:
            overtaken[0] = True
            assert ask(other) == GO
        return found

    monkeypatch.setattr(RedisKey, "read", read_and_be_overtaken)
    assert ask(new(redis_server)).delay <= Budget().gap


@pytest.mark.parametrize("step", ["read", "write"])
def test_a_connection_that_the_server_closes_is_no_outage(
    redis_server, monkeypatch, caplog, step: str
) -> None:
    limiter, client, real = new(redis_server), redis_server.client(), getattr(RedisKey, step)
    ask(limiter)
    closed: list[object] = []

    def close_first(*arguments: object) -> object:
        if not closed:
            closed.append(client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        return real(*arguments)

    monkeypatch.setattr(RedisKey, step, close_first)
    decision = ask(limiter)
    assert closed == [1]
    assert decision.verdict is Verdict.WAIT
    assert decision.delay <= Budget().gap
    assert caplog.text == ""


def test_persistent_contention_lets_nobody_go(redis_server, contend, caplog) -> None:
    limiter = new(redis_server, Budget(100_000, 60.0))
    caplog.set_level(logging.INFO)
    held = Reservation(time.time() - 1, booked=True, stamp=7)
    ask(limiter)
    contend(1_000_000)
    began = time.monotonic()
    decision = ask(limiter, reservation=held)
    assert CONTENTION_SECONDS <= time.monotonic() - began < 3 * CONTENTION_SECONDS
    assert decision.verdict is Verdict.WAIT
    assert decision.reservation == held
    assert 0 < decision.delay <= CONTENTION_SECONDS
    refused = limiter.reserve(Priority.WORK, waited=900.0, max_wait=0.0)
    assert refused.verdict is Verdict.REFUSED
    contend(0)
    assert ask(limiter) == GO
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_a_429_under_contention_is_not_lost(redis_server, contend) -> None:
    limiter = new(redis_server, Budget(60, 1.0))
    ask(limiter)
    contend(1_000_000)
    limiter.penalize(300.0)
    assert ask(limiter).delay == pytest.approx(299.0, abs=2.0)
    contend(0)
    time.sleep(0.2)
    assert ask(limiter).delay == pytest.approx(299.0, abs=2.0)
    assert ask(new(redis_server, Budget(60, 1.0))).delay == pytest.approx(299.0, abs=2.0)


@pytest.mark.parametrize("step", ["read", "write"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_inside_a_transaction_stops_nobody(redis_server, step: str, when: str) -> None:
    def die() -> None:
        limiter = new(redis_server)
        for _ in range(20):
            ask(limiter)
        real = getattr(RedisKey, step)

        def deadly(*arguments: object) -> None:
            if when == "after":
                real(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(RedisKey, step, deadly)
        ask(limiter)

    child = fork.Process(target=die)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    began = time.monotonic()
    decision = ask(new(redis_server))
    assert time.monotonic() - began < 1.0
    assert decision.verdict is Verdict.WAIT
    client = redis_server.client()
    _, state = decode(client.get(client.keys()[0]))
    assert state is not None
    assert len(state.grants) == (22 if (step, when) == ("write", "after") else 21)


def test_a_forked_process_has_a_connection_of_its_own(redis_server) -> None:
    limiter = new(redis_server, Budget(1000, 1000.0))
    ask(limiter)
    children = [fork.Process(target=lambda: [ask(limiter) for _ in range(100)]) for _ in range(4)]
    for child in children:
        child.start()
    for _ in range(100):
        ask(limiter)
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert ask(limiter).delay == pytest.approx(501 * Budget(1000, 1000.0).gap, abs=30.0)


@pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)
def test_an_event_loop_stays_free_while_its_requests_contend(
    redis_server, contend, cleanlist_sandbox: SandboxServer
) -> None:
    """Forty requests wait on a budget that others change all the time: only the threads of requests wait for it."""
    limiter = new(redis_server, Budget(100_000, 60.0))
    ask(limiter)
    client = CleanlistClient(
        ClientSettings(api_key=cleanlist_sandbox.api_key, host=cleanlist_sandbox.url), limiter
    )
    threads: list[str] = []
    lags: list[float] = []

    async def beat() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - began)

    async def all_requests() -> None:
        beats = asyncio.create_task(beat())
        requests = [asyncio.create_task(client.arun(get_credit_balance())) for _ in range(40)]
        await asyncio.sleep(1.5 * CONTENTION_SECONDS)
        threads.extend(thread.name for thread in threading.enumerate())
        assert not any(request.done() for request in requests)
        contend(0)
        await asyncio.gather(*requests)
        beats.cancel()

    contend(1_000_000)
    asyncio.run(all_requests())
    assert sum(name.startswith("cleanlist-http") for name in threads) == 4
    assert sorted(lags)[len(lags) * 9 // 10] < 0.2
    assert max(lags) < CONTENTION_SECONDS
