"""The budget in a file, with real processes, users, kills and the real clock."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_cleanlist.client.rate_limit import file as file_store
from airflow_provider_cleanlist.client.rate_limit.core import GO, Budget, Decision, Priority, Verdict
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter

pytestmark = pytest.mark.integration

fork = multiprocessing.get_context("fork")
NOBODY = 65534
LONG = Budget(60, 1000.0)


def work(limiter: FileRateLimiter) -> Decision:
    return limiter.reserve(Priority.WORK, waited=0.0, max_wait=1e6)


def in_child(action: Callable[[], object]) -> object:
    """Do something in a forked process and return the result, or the exit code when there is none."""
    ours, theirs = fork.Pipe(duplex=False)

    def run() -> None:
        ours.close()
        theirs.send(action())

    child = fork.Process(target=run)
    child.start()
    theirs.close()
    with contextlib.suppress(EOFError):
        return ours.recv()
    child.join()
    return child.exitcode


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / ".cleanlist"


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that all users may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="cleanlist-budget-") as name:
        os.chmod(name, 0o1777)  # noqa: PTH101 - the same
        yield Path(name)


def test_eight_processes_use_the_allowance_and_never_more(
    directory: Path,
    ask_from_processes: Callable[..., list[list[float]]],
    most_in_a_window: Callable[[list[float], float], int],
) -> None:
    budget = Budget(60, 3.0)
    answers = ask_from_processes(
        lambda: FileRateLimiter(budget, "organisation", [directory]), count=8, seconds=9.5
    )
    moments = sorted(moment for answer in answers for moment in answer)
    assert most_in_a_window(moments, budget.window) <= 60
    assert moments[180] - moments[0] <= 3 * budget.window / 0.9
    counts = [len(answer) for answer in answers]
    assert (
        min(counts) > 0
    )  # how evenly they share is measured in benchmarks/rate_limit.py, not on a busy machine


@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("pwrite", "halfway"),
        *itertools.product(
            ["open", "fstat", "pread", "pwrite", "ftruncate", "close", "link", "mkdir"], ["before", "after"]
        ),
    ],
)
def test_a_kill_inside_the_critical_section_stops_nobody(directory: Path, call: str, when: str) -> None:
    owner = os if call != "mkdir" else Path
    real = getattr(owner, call)

    def deadly(*arguments: object, **options: object) -> object:
        if when == "halfway":
            file, data, at = arguments
            real(file, data[: len(data) // 2], at)
        if when == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def die() -> None:
        limiter = FileRateLimiter(LONG, "organisation", [directory])
        if call not in ("link", "mkdir"):
            for _ in range(20):
                work(limiter)
        if call == "ftruncate":
            file = next(directory.iterdir())
            file.write_bytes(file.read_bytes() + bytes(100))
        setattr(owner, call, deadly)
        work(limiter)

    assert in_child(die) == -signal.SIGKILL
    started = time.monotonic()
    decision = work(FileRateLimiter(LONG, "organisation", [directory]))
    assert time.monotonic() - started < 1.0
    assert decision.delay <= LONG.span
    if (call, when) == ("pwrite", "halfway"):
        assert decision.delay == pytest.approx(LONG.span, rel=0.01)
    elif call not in ("link", "mkdir"):
        assert decision.verdict is Verdict.WAIT
        assert decision.delay <= 22 * LONG.gap


def test_kills_at_random_moments_damage_nothing(directory: Path) -> None:
    def hammer() -> None:
        limiter = FileRateLimiter(LONG, "organisation", [directory])
        while True:
            limiter.reserve(Priority.WORK, waited=0.0, max_wait=0.0)

    processes = []
    for _ in range(40):
        processes.append(fork.Process(target=hammer))
        processes[-1].start()
        time.sleep(0.01)
        if len(processes) > 3:
            victim = processes.pop(random.randrange(len(processes)))
            victim.kill()
            victim.join()
    for process in processes:
        process.kill()
        process.join()
    started = time.monotonic()
    decision = work(FileRateLimiter(LONG, "organisation", [directory]))
    assert time.monotonic() - started < 1.0
    assert decision.delay <= LONG.span


def test_a_forked_process_shares_the_budget_of_its_parent(directory: Path) -> None:
    limiter = FileRateLimiter(Budget(2, 1000.0), "organisation", [directory])
    assert work(limiter) == GO
    assert in_child(lambda: work(limiter).delay) == pytest.approx(Budget(2, 1000.0).gap, rel=0.1)
    assert work(limiter).delay > 900


def _as(user: int, directory: Path) -> Decision:
    def ask() -> Decision:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        return work(FileRateLimiter(Budget(1, 1000.0), "organisation", [directory]))

    decision = in_child(ask)
    assert isinstance(decision, Decision)
    return decision


@pytest.mark.skipif(os.getuid() != 0, reason="becoming two users takes root")
@pytest.mark.parametrize("first", [0, NOBODY, 1000])
def test_two_users_share_one_file(open_directory: Path, first: int) -> None:
    directory = open_directory / ".cleanlist"
    assert _as(first, directory) == GO
    for user in (0, NOBODY, 1000):
        assert _as(user, directory).delay > 900
    assert len(list(directory.iterdir())) == 1
    assert stat.S_IMODE(next(directory.iterdir()).stat().st_mode) == 0o666


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user takes root")
def test_a_directory_of_somebody_else_is_passed_over(open_directory: Path) -> None:
    private = open_directory / "private"
    private.mkdir(mode=0o755)

    def ask() -> tuple[Decision, int]:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        directories = [private / ".cleanlist", open_directory / "other"]
        decision = work(FileRateLimiter(LONG, "organisation", directories))
        return decision, len(list((open_directory / "other").iterdir()))

    assert in_child(ask) == (GO, 1)
    assert list(private.iterdir()) == []


def test_the_file_may_be_deleted_at_any_time(
    directory: Path,
    ask_from_processes: Callable[..., list[list[float]]],
    most_in_a_window: Callable[[list[float], float], int],
) -> None:
    budget = Budget(40, 2.0)

    def delete() -> None:
        for _ in range(3):
            time.sleep(0.7)
            for file in directory.iterdir():
                file.unlink()

    answers = ask_from_processes(
        lambda: FileRateLimiter(budget, "organisation", [directory]), count=8, seconds=7.0, meanwhile=delete
    )
    moments = [moment for answer in answers for moment in answer]
    assert most_in_a_window(moments, budget.window) <= 40
    assert len(moments) >= 80


def test_the_lock_is_short(directory: Path) -> None:
    """Well below a millisecond, so that thousands of triggers may share it."""
    limiter = FileRateLimiter(Budget(60, 1000.0), "organisation", [directory])
    for _ in range(60):
        work(limiter)
    times = []
    for _ in range(500):
        started = time.perf_counter()
        limiter.reserve(Priority.WORK, waited=0.0, max_wait=0.0)
        times.append(time.perf_counter() - started)
    assert sorted(times)[250] < 0.0005
    assert file_store.this_machine().boot
