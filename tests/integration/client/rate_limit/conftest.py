"""A Redis server of the tests' own, and processes that ask a limiter as fast as it lets them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from ports import free_port

from airflow_provider_cleanlist.client.rate_limit.core import Priority, RateLimiter, Verdict


class RedisServer:
    """A server on a free loopback port that can be stopped, killed and started again."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory, self._options = directory, options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._options]
        self._process = subprocess.Popen(
            ["redis-server", *arguments], cwd=self._directory, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                assert time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Start servers with further options; they end with the test."""
    if shutil.which("redis-server") is None:
        reason = "redis-server is not installed (Debian package redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    servers: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        servers.append(RedisServer(tmp_path, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def redis_server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """A server without a password."""
    return start_redis()


def _ask(open_limiter: Callable[[], RateLimiter], end: float, results: multiprocessing.SimpleQueue) -> None:
    limiter, moments = open_limiter(), []
    while time.monotonic() < end:
        since, reservation = time.monotonic(), None
        while True:
            waited = time.monotonic() - since
            decision = limiter.reserve(Priority.WORK, waited=waited, max_wait=60.0, reservation=reservation)
            if decision.verdict is Verdict.GO:
                moments.append(time.monotonic())
                break
            reservation = decision.reservation
            time.sleep(decision.delay)
    results.put(moments)


@pytest.fixture
def ask_from_processes() -> Iterator[Callable[..., list[list[float]]]]:
    """Return a function that lets several processes send for some seconds; it returns the moments of each."""
    fork = multiprocessing.get_context("fork")
    processes: list[multiprocessing.Process] = []

    def run(
        open_limiter: Callable[[], RateLimiter],
        *,
        count: int,
        seconds: float,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[list[float]]:
        results, end = fork.SimpleQueue(), time.monotonic() + seconds
        for _ in range(count):
            processes.append(fork.Process(target=_ask, args=(open_limiter, end, results)))
            processes[-1].start()
        meanwhile()
        return [results.get() for _ in range(count)]

    yield run
    for process in processes:
        process.kill()
        process.join()


@pytest.fixture
def most_in_a_window() -> Callable[[list[float], float], int]:
    """Return a function that counts the most requests in any window of a length."""

    def count(moments: list[float], window: float) -> int:
        moments, first, most = sorted(moments), 0, 0
        for last, moment in enumerate(moments):
            while moments[first] <= moment - window:
                first += 1
            most = max(most, last - first + 1)
        return most

    return count
