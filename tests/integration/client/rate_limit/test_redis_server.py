"""The budget on a Redis server: many processes, outages, lost data, clocks, passwords."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ports import free_port

from airflow_provider_cleanlist.client.rate_limit.core import (
    GO,
    Budget,
    Decision,
    Priority,
    Reservation,
    Verdict,
)
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter
from airflow_provider_cleanlist.client.rate_limit.redis import RedisKey, RedisRateLimiter

pytestmark = pytest.mark.integration

MINUTE = Budget()


def new(server, budget: Budget = MINUTE, **options) -> RedisRateLimiter:
    fallback = options.pop("fallback", None) or MemoryRateLimiter(budget, **options)
    return RedisRateLimiter(server.url, "organisation", budget, fallback)


def work(limiter, reservation: Reservation | None = None) -> Decision:
    return limiter.reserve(Priority.WORK, waited=0.0, max_wait=900.0, reservation=reservation)


def use_up(limiter) -> None:
    """Book a full allowance; every request but the first waits."""
    for _ in range(60):
        assert work(limiter).verdict in (Verdict.GO, Verdict.WAIT)


def test_hosts_share_the_allowance_whatever_their_clocks_say(redis_server) -> None:
    use_up(new(redis_server))
    for skew in (-600.0, 600.0):
        limiter = new(redis_server, clock=lambda skew=skew: time.monotonic() + skew)
        assert 60 < work(limiter).delay <= 61.5


def test_a_place_is_kept_on_the_server(redis_server) -> None:
    limiter = new(redis_server, Budget(1, 0.2))
    assert work(limiter) == GO
    decision = work(limiter)
    time.sleep(decision.delay)
    assert work(new(redis_server, Budget(1, 0.2)), decision.reservation) == GO


def test_bookings_that_all_slept_through_do_not_go_at_once(redis_server) -> None:
    limiter = new(redis_server, Budget(5, 2.0))
    reservations = [work(limiter).reservation for _ in range(20)][1:]
    time.sleep(3.0)
    began = time.monotonic()
    gone = [reservation for reservation in reservations if work(limiter, reservation) == GO]
    assert len(gone) <= 5 or time.monotonic() - began > 1.0


def test_a_429_stops_all_hosts(redis_server) -> None:
    new(redis_server).penalize(30.0)
    assert work(new(redis_server)).delay == pytest.approx(30.0, abs=0.5)


def test_eight_processes_use_the_allowance_and_never_more(
    redis_server,
    ask_from_processes: Callable[..., list[list[float]]],
    most_in_a_window: Callable[[list[float], float], int],
) -> None:
    budget = Budget(60, 3.0)
    answers = ask_from_processes(lambda: new(redis_server, budget), count=8, seconds=9.5)
    moments = sorted(moment for answer in answers for moment in answer)
    assert most_in_a_window(moments, budget.window) <= 60
    assert moments[180] - moments[0] <= 3 * budget.window / 0.9
    counts = [len(answer) for answer in answers]
    assert (
        min(counts) > 0
    )  # how evenly they share is measured in benchmarks/rate_limit.py, not on a busy machine


def test_nothing_is_left_of_a_budget_that_is_not_used(redis_server) -> None:
    client = redis_server.client()
    limiter = new(redis_server, Budget(5, 0.2))
    work(limiter)
    [key] = client.keys()
    assert key.startswith(b"cleanlist:budget:1:")
    assert b"organisation" not in key
    time.sleep(0.5)
    assert client.keys() == []


def test_what_429s_taught_outlives_the_window(redis_server) -> None:
    limiter = new(redis_server)
    for _ in range(3):
        limiter.penalize(1.0)
    assert redis_server.client().pttl(redis_server.client().keys()[0]) > 3 * 60_000


def test_an_outage_and_the_return_never_overdraw_the_window(
    redis_server,
    tmp_path: Path,
    ask_from_processes: Callable[..., list[list[float]]],
    most_in_a_window: Callable[[list[float], float], int],
) -> None:
    budget = Budget(40, 2.0)
    phases: list[float] = []

    def open_limiter() -> RedisRateLimiter:
        return new(
            redis_server, budget, fallback=FileRateLimiter(budget, "organisation", [tmp_path / "host"])
        )

    def meanwhile() -> None:
        time.sleep(3.0)
        redis_server.kill()
        phases.append(time.monotonic())
        time.sleep(5.0)
        redis_server.start()
        phases.append(time.monotonic())

    answers = ask_from_processes(open_limiter, count=6, seconds=14.0, meanwhile=meanwhile)
    moments = sorted(moment for answer in answers for moment in answer)
    jitter = 0.1 * budget.window  # a busy machine wakes one process late and the next one in time
    assert most_in_a_window(moments, budget.window - jitter) <= 40
    down, up = phases
    back = redis_server.client().keys()
    assert len(back) == 1
    assert sum(moment < down for moment in moments) >= 40
    assert sum(down <= moment < up for moment in moments) >= 40
    assert sum(moment >= up for moment in moments) >= 40


def test_an_outage_is_reported_once_and_so_is_its_end(redis_server, caplog) -> None:
    limiter = new(redis_server, Budget(600, 1.0))
    work(limiter)
    redis_server.kill()
    for _ in range(50):
        work(limiter)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "cannot be used (ConnectionError)" in caplog.text
    redis_server.start()
    time.sleep(0.2)
    for _ in range(50):
        work(limiter)
    assert len(caplog.records) == 2
    assert "can be used again" in caplog.text


def test_a_429_from_before_an_outage_holds_during_it(redis_server) -> None:
    limiter = new(redis_server)
    limiter.penalize(300.0)
    redis_server.kill()
    assert work(limiter).delay == pytest.approx(300.0, abs=1.0)


def test_a_429_during_an_outage_holds_after_it(redis_server) -> None:
    limiter = new(redis_server, Budget(60, 1.0))
    redis_server.kill()
    limiter.penalize(300.0)
    redis_server.start()
    time.sleep(0.2)
    assert work(limiter).delay == pytest.approx(300.0, abs=1.0)
    assert work(new(redis_server, Budget(60, 1.0))).delay == pytest.approx(300.0, abs=1.0)


def test_a_booking_on_the_server_is_worth_nothing_to_the_host(redis_server) -> None:
    budget = Budget(1, 5.0)
    limiter = new(redis_server, budget)
    assert work(limiter) == GO
    decision = work(limiter)
    redis_server.kill()
    again = work(limiter, decision.reservation)
    assert again.verdict is Verdict.WAIT
    assert 4.0 < again.delay <= budget.span  # the host's own clock: it may differ from the server's


def test_lost_data_is_noticed_and_the_log_held(redis_server) -> None:
    limiter = new(redis_server)
    assert work(limiter) == GO
    redis_server.client().flushall()
    assert 60 < work(limiter).delay <= 61
    assert 60 < work(new(redis_server)).delay <= 62


def test_lost_data_of_an_idle_process_stops_nobody(redis_server) -> None:
    limiter = new(redis_server, Budget(60, 0.1))
    assert work(limiter) == GO
    redis_server.client().flushall()
    time.sleep(0.2)
    assert work(limiter) == GO


@pytest.fixture
def step_clock(monkeypatch) -> Callable[[float], None]:
    """Return a function that sets the server's clock, as all limiters of this process see it."""
    steps, read = [0.0], RedisKey.read

    def read_with_step(key: RedisKey) -> tuple[bytes | None, float]:
        value, now = read(key)
        return value, now + steps[-1]

    monkeypatch.setattr(RedisKey, "read", read_with_step)
    return steps.append


def test_a_server_clock_set_back_costs_nothing(redis_server, step_clock) -> None:
    limiter = new(redis_server)
    use_up(limiter)
    before = work(limiter).delay
    step_clock(-600)
    assert work(limiter).delay <= before + 1
    assert work(new(redis_server)).delay <= before + 1


def test_a_server_clock_set_forward_is_noticed_by_whoever_sent(redis_server, step_clock) -> None:
    limiter = new(redis_server)
    assert work(limiter) == GO
    step_clock(600)
    assert 60 < work(limiter).delay <= 61


def test_a_password_works_and_a_wrong_one_is_not_shown(start_redis, caplog) -> None:
    server = start_redis("--requirepass", "correct-horse")
    plain = server.url
    server.url = plain.replace("redis://", "redis://:correct-horse@")
    assert work(new(server)) == GO
    assert work(new(server)).verdict is Verdict.WAIT
    assert caplog.text == ""
    server.url = plain.replace("redis://", "valkey://:battery-staple@")
    assert work(new(server)) == GO
    assert "cannot be used (AuthenticationError)" in caplog.text
    assert "battery-staple" not in caplog.text


REFUSALS = {
    "a replica": (("REPLICAOF", "127.0.0.1", "1"), "ReadOnlyError: it is a replica"),
    "no memory": (("CONFIG", "SET", "maxmemory", "1"), "OutOfMemoryError: its memory is full"),
    "nothing": (("CONFIG", "SET", "maxmemory", "0"), None),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_a_server_refuses_is_named(redis_server, caplog, name) -> None:
    command, told = REFUSALS[name]
    redis_server.client().execute_command(*command)
    limiter = new(redis_server)
    work(limiter)
    assert (f"cannot be used ({told}" in caplog.text) is (told is not None)
    redis_server.client().execute_command("REPLICAOF", "NO", "ONE")
    redis_server.client().config_set("maxmemory", 0)
    limiter._reconnect_at = 0.0
    caplog.clear()
    work(limiter)
    assert ("can be used again" in caplog.text) is (told is not None)


def test_a_cluster_is_named(start_redis, caplog) -> None:
    server = start_redis("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    assert work(new(server)) == GO
    assert "cannot be used (ClusterDownError: it is a cluster, which is not supported)" in caplog.text


def test_the_privileges_that_the_guide_names_are_enough(redis_server, caplog) -> None:
    guide = (Path(__file__).parents[4] / "docs" / "rate-limits.md").read_text()
    (rule,) = re.findall(r"ACL SETUSER cleanlist on >password (\S.*)", guide)
    client, plain = redis_server.client(), redis_server.url
    client.execute_command("ACL", "SETUSER", "cleanlist", "on", ">password", *rule.split())
    redis_server.url = plain.replace("redis://", "redis://cleanlist:password@")
    assert work(new(redis_server)) == GO
    assert new(redis_server).peek() is not None
    assert caplog.text == ""
    client.execute_command("ACL", "SETUSER", "cleanlist", "-set")
    work(new(redis_server))
    assert "cannot be used (NoPermissionError: the account lacks a privilege" in caplog.text


@pytest.mark.parametrize(
    ("options", "works"),
    [
        ("ssl_cert_reqs=CERT_NONE", True),
        ("ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={certificate}", True),
        ("ssl_cert_reqs=required&ssl_ca_certs={certificate}", True),
        ("ssl_cert_reqs=CERT_REQUIRED", False),
    ],
)
def test_the_url_of_a_celery_installation(
    start_redis, certificate: Path, caplog, options: str, works: bool
) -> None:
    port = free_port()
    pem = str(certificate)
    files = ["--tls-cert-file", pem, "--tls-key-file", pem, "--tls-ca-cert-file", pem]
    server = start_redis("--tls-port", str(port), "--tls-auth-clients", "no", *files)
    server.url = f"rediss://127.0.0.1:{port}/0?{options.format(certificate=pem)}"
    assert [work(new(server, Budget(1))).verdict for _ in range(2)] == [
        Verdict.GO,
        Verdict.WAIT if works else Verdict.GO,
    ]
    assert ("cannot be used" in caplog.text) is not works


def test_a_server_that_hangs_is_left_after_a_second(redis_server) -> None:
    limiter = new(redis_server)
    assert work(limiter) == GO
    redis_server.client().execute_command("CLIENT", "PAUSE", "20000", "ALL")
    started = time.monotonic()
    work(limiter)
    assert time.monotonic() - started < 2.5
    started = time.monotonic()
    work(limiter)
    assert time.monotonic() - started < 0.5


def test_threads_share_a_limiter(redis_server) -> None:
    limiter = new(redis_server, Budget(10, 1000.0))
    decisions: list[Decision] = []

    def ask() -> None:
        decisions.extend(limiter.reserve(Priority.WORK, waited=0.0, max_wait=1e9) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moments = [decision.reservation.moment for decision in decisions if decision.reservation]
    assert len(moments) == len(set(moments)) == 199
