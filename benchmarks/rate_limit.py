"""The request budget under load: eight processes and an event loop against the sandbox, with and without a limiter.

    .venv/bin/python benchmarks/rate_limit.py

prints the tables of benchmarks/results/rate_limit.md. Needs redis-server on the path. Times are scaled: a
window is six seconds long instead of sixty, and so the margin for jitter a tenth of a second instead of a whole one.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.rate_limit import open_limiter
from airflow_provider_cleanlist.client.rate_limit.core import (
    GO,
    Budget,
    BudgetState,
    Decision,
    Priority,
    RateLimiter,
    Reservation,
    Verdict,
    reserve,
)
from airflow_provider_cleanlist.client.rate_limit.memory import BaseRateLimiter
from airflow_provider_cleanlist.client.settings import ClientSettings

LIMIT = 60
PROCESSES = 8
POLLS = 20
KEY = "clapi_benchmark_0123456789abcdef"
WINDOWS = ("aligned", "first_request", "sliding")
fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Target:
    """A running sandbox and a workflow in it that does not end."""

    url: str
    workflow_id: str
    window: float


@dataclass(frozen=True)
class Result:
    share: float
    refused_percent: float
    refused_of_first_1000: int
    requests: int
    jain: float
    polls: int


# Servers


@contextmanager
def sandbox(window: str, seconds: float, limit: int) -> Iterator[Target]:
    command = [sys.executable, "-m", "airflow_provider_cleanlist.sandbox", "--port", "0", "--key", KEY]
    command += ["--requests-per-minute", "100000", "--window-seconds", str(seconds)]
    command += ["--seconds-to-complete", "100000", "--set", f"window={window}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://[\d.:]+", line)))
        contact = {"first_name": "Mara", "last_name": "Okafor", "company_domain": "northfold.example"}
        answer = requests.post(
            f"{url}/api/v1/public/enrich/bulk",
            json={"enrichment_type": "partial", "contacts": [contact]},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=10,
        )
        workflow_id = answer.json()["workflow_id"]
        requests.post(f"{url}/sandbox/settings", json={"requests_per_minute": limit}, timeout=10)
        yield Target(url, workflow_id, seconds)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def far_away(url: str, seconds: float) -> Iterator[str]:
    """Lengthen the way to a server on loopback: every byte takes ``seconds``, in each direction."""
    port, ready = urlsplit(url).port, fork.SimpleQueue()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            asyncio.get_running_loop().call_later(seconds, writer.write, data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, forth), carry(back, writer))

    async def serve() -> None:
        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    process = fork.Process(target=lambda: asyncio.run(serve()))
    process.start()
    try:
        yield f"redis://127.0.0.1:{ready.get()}/0"
    finally:
        process.kill()
        process.join()


@contextmanager
def redis_server() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


# Clients: a function of (target, name of the run) gives what one loop does over and over


@dataclass(frozen=True)
class Loops:
    """Reads the balance; polls a workflow."""

    work: Callable[[], object]
    poll: Callable[[], Any]


class RetryAfterOnly:
    """No limiter: a loop goes ahead until it is told to wait, and then waits as long as it is told."""

    def __init__(self) -> None:
        self._until = 0.0

    def reserve(
        self, priority: Priority, *, waited: float, max_wait: float, reservation: Reservation | None = None
    ) -> Decision:
        delay = self._until - time.monotonic()
        return Decision(Verdict.WAIT, delay) if delay > 0 else GO

    def penalize(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)


def our_client(target: Target, run: str, limiter: RateLimiter) -> Loops:
    client = CleanlistClient(ClientSettings(api_key=KEY, host=target.url), limiter)
    return Loops(client.get_credit_balance, lambda: client.aget_workflow_status(target.workflow_id))


def with_store(store: str) -> Callable[[Target, str], Loops]:
    @cache
    def start(target: Target, run: str) -> Loops:
        return our_client(target, run, open_limiter(store, run, Budget(LIMIT, target.window)))

    return start


def without_limiter(target: Target, run: str) -> Loops:
    return our_client(target, run, RetryAfterOnly())


def urllib3_client(target: Target, run: str) -> Loops:
    session, thread = requests.Session(), ThreadPoolExecutor(1)
    retry = Retry(total=1000, backoff_factor=1, status_forcelist=[429])
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.headers["Authorization"] = f"Bearer {KEY}"

    def get(path: str, **params: str) -> None:
        answer = session.get(f"{target.url}/api/v1/public{path}", params=params, timeout=30)
        answer.raise_for_status()

    async def poll() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(thread, lambda: get("/enrich/status", workflow_id=target.workflow_id))

    return Loops(lambda: get("/credits/balance"), poll)


# Load


def warm_up(target: Target) -> None:
    """Let a process import what it imports at its first request: in scaled time that takes too long."""
    requests.get(f"{target.url}/sandbox", timeout=60)


def work(
    start: Callable[[Target, str], Loops], target: Target, run: str, end: float, out: SimpleQueue[int]
) -> None:
    warm_up(target)
    loops, done = start(target, run), 0
    while time.monotonic() < end:
        loops.work()
        done += time.monotonic() < end
    out.put(done)


def poll(start: Callable[[Target, str], Loops], target: Target, run: str, end: float) -> None:
    warm_up(target)

    async def keep_polling() -> None:
        loops = start(target, run)
        while time.monotonic() < end:
            await loops.poll()

    async def all_polls() -> None:
        await asyncio.gather(*(keep_polling() for _ in range(POLLS)))

    asyncio.run(all_polls())


def measure(
    start: Callable[[Target, str], Loops], window: str, *, seconds: float, windows: int, limit: int
) -> Result:
    """Run one client against one kind of window."""
    with sandbox(window, seconds, limit) as target:
        time.sleep(seconds)
        run, out = f"{time.time_ns()}", fork.SimpleQueue()
        end = time.monotonic() + (windows + 0.5) * seconds
        args = (start, target, run, end)
        processes = [fork.Process(target=work, args=(*args, out)) for _ in range(PROCESSES)]
        processes.append(fork.Process(target=poll, args=args))
        try:
            for process in processes:
                process.start()
            time.sleep(max(0.0, end - time.monotonic()))
            entries = requests.get(f"{target.url}/sandbox/ledger/requests?skip=1", timeout=60).json()
            counts = [out.get() for _ in range(PROCESSES)]
        finally:
            for process in processes:
                process.kill()
                process.join()
    admitted = [entry["time"] for entry in entries if entry["status"] == 200]
    backlog = admitted[limit:]  # after the first window, which may be a part of one
    whole = (len(backlog) - 1) // limit * limit
    refused = [entry["status"] == 429 for entry in entries]
    return Result(
        share=whole / limit * seconds / (backlog[whole] - backlog[0]),
        refused_percent=100 * sum(refused) / len(refused),
        refused_of_first_1000=sum(refused[:1000]),
        requests=len(refused),
        jain=sum(counts) ** 2 / len(counts) / sum(count**2 for count in counts),
        polls=sum(entry["status"] == 200 and entry["endpoint"] == "enrich_status" for entry in entries),
    )


def compare(
    clients: dict[str, Callable[[Target, str], Loops]], redis_url: str, seconds: float, windows: int
) -> None:
    print("| client | server's window | 429s, % | share of the allowance | Jain | polls, % | repeated, % |")
    print("|---|---|---|---|---|---|---|")
    for name, client in clients.items():
        for window in WINDOWS:
            transactions = Transactions(redis_url)
            result = measure(client, window, seconds=seconds, windows=windows, limit=LIMIT)
            begun, repeated = transactions.counts()
            admitted = result.requests * (1 - result.refused_percent / 100)
            print(
                f"| {name} | {window.replace('_', ' ')} | {result.refused_percent:.1f} | {result.share:.3f} "
                f"| {result.jain:.3f} | {100 * result.polls / admitted:.0f} "
                f"| {f'{100 * repeated / begun:.1f}' if begun else '-'} |",
                flush=True,
            )


def learn(clients: dict[str, Callable[[Target, str], Loops]], seconds: float, windows: int) -> None:
    print("| store | server's window | 429s of the first 1000 | 429s per 1000, all | requests |")
    print("|---|---|---|---|---|")
    for name, client in clients.items():
        for window in WINDOWS:
            result = measure(client, window, seconds=seconds, windows=windows, limit=LIMIT // 2)
            print(
                f"| {name} | {window.replace('_', ' ')} | {result.refused_of_first_1000} "
                f"| {10 * result.refused_percent:.0f} | {result.requests} |",
                flush=True,
            )


class Transactions:
    """How many transactions a Redis server has begun, and how many of them had to be repeated."""

    def __init__(self, url: str) -> None:
        self._server = redis.Redis.from_url(url)
        self._server.config_resetstat()

    def counts(self) -> tuple[int, int]:
        calls = self._server.info("commandstats")
        begun, ended, written = (
            calls.get(f"cmdstat_{command}", {}).get("calls", 0) for command in ("watch", "exec", "set")
        )
        return begun, ended - written


def ask_repeatedly(
    open_store: Callable[[], BaseRateLimiter], books: bool, out: SimpleQueue[list[float]]
) -> None:
    limiter, seconds = open_store(), []

    def ask(state: BudgetState, now: float) -> tuple[BudgetState, Decision]:
        state, decision = reserve(
            state, limiter.budget, now=now, priority=Priority.WORK, waited=0.0, max_wait=0.0
        )
        return replace(state) if books else state, decision

    for _ in range(LIMIT):
        limiter.reserve(Priority.WORK, waited=0.0, max_wait=1e9)
    for _ in range(1000):
        started = time.perf_counter()
        limiter.update(ask)
        seconds.append(time.perf_counter() - started)
    out.put(seconds)


def cost(stores: dict[str, str], redis_url: str) -> None:
    print("| store | processes | median, us | 99 %, us | repeated, % | read only: median, us | 99 %, us |")
    print("|---|---|---|---|---|---|---|")
    for name, store in stores.items():
        for count in (1, PROCESSES):
            figures: list[str] = []
            for books in (True, False):
                transactions, out = Transactions(redis_url), fork.SimpleQueue()
                scope = f"cost {time.time_ns()}"
                args = (lambda: open_limiter(store, scope, Budget(LIMIT)), books, out)  # noqa: B023 - at once
                processes = [fork.Process(target=ask_repeatedly, args=args) for _ in range(count)]
                for process in processes:
                    process.start()
                seconds = sorted(second for _ in processes for second in out.get())
                for process in processes:
                    process.join()
                figures += [f"{seconds[int(len(seconds) * part)] * 1e6:.0f}" for part in (0.5, 0.99)]
                if books:
                    begun, repeated = transactions.counts()
                    figures.append(f"{100 * repeated / begun:.0f}" if begun else "-")
            print(f"| {name} | {count} | {' | '.join(figures)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=("clients", "learning", "cost"), help="one table only")
    parser.add_argument("--clients", nargs="+", help="names of clients, for some rows of that table only")
    parser.add_argument("--window-seconds", type=float, default=6.0, help="length of a window (default: 6)")
    parser.add_argument("--windows", type=int, default=7, help="windows per client (default: 7)")
    parser.add_argument("--learning-windows", type=int, default=42, help="for a limit of 30 (default: 42)")
    options = parser.parse_args()
    if shutil.which("redis-server") is None:
        parser.error("redis-server is not installed (Debian package redis-server)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis_url:
        urls = {"file": Path(folder).as_uri(), "Redis": redis_url, "memory": "memory://"}
        stores = {name: with_store(urls[name]) for name in ("file", "Redis")}
        others = {
            "memory, one per process": with_store(urls["memory"]),
            "no limiter, Retry-After only": without_limiter,
            "requests with urllib3.Retry": urllib3_client,
        }
        if options.table in (None, "clients"):
            chosen = {
                name: client
                for name, client in (stores | others).items()
                if options.clients is None or name in options.clients
            }
            compare(chosen, redis_url, options.window_seconds, options.windows)
            print()
        if options.table in (None, "learning"):
            learn(stores, options.window_seconds, options.learning_windows)
            print()
        if options.table in (None, "cost"):
            with far_away(redis_url, 0.001) as near, far_away(redis_url, 0.01) as far:
                cost(urls | {"Redis, 2 ms there and back": near, "Redis, 20 ms": far}, redis_url)


if __name__ == "__main__":
    main()
