"""The budget in a file, with real processes, users, kills and the real clock."""

from __future__ import annotations

import contextlib
import fcntl
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
GROUP = 54_321
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user takes root")
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
            ["open", "fstat", "pread", "pwrite", "ftruncate", "close", "rename", "mkdir"], ["before", "after"]
        ),
    ],
)
def test_a_kill_inside_the_critical_section_stops_nobody(directory: Path, call: str, when: str) -> None:
    real = getattr(os, call)

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
        if call not in ("rename", "mkdir"):
            for _ in range(20):
                work(limiter)
        if call == "ftruncate":
            file = next(directory.iterdir())
            file.write_bytes(file.read_bytes() + bytes(100))
        setattr(os, call, deadly)
        work(limiter)

    assert in_child(die) == -signal.SIGKILL
    started = time.monotonic()
    decision = work(FileRateLimiter(LONG, "organisation", [directory]))
    assert time.monotonic() - started < 1.0
    assert decision.delay <= LONG.span
    if (call, when) == ("pwrite", "halfway"):
        assert decision.delay == pytest.approx(LONG.span, rel=0.01)
    elif call not in ("rename", "mkdir"):
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


def as_user(user: int, action: Callable[[], object], group: int | None = None) -> object:
    """Do something as another user, in a forked process."""

    def run() -> object:
        os.setgroups([])
        os.setgid(user if group is None else group)
        os.setuid(user)
        return action()

    return in_child(run)


def _as(user: int, directory: Path, group: int | None = None) -> Decision:
    decision = as_user(
        user, lambda: work(FileRateLimiter(Budget(1, 1000.0), "organisation", [directory])), group
    )
    assert isinstance(decision, Decision)
    return decision


@needs_root
@pytest.mark.parametrize("first", [0, NOBODY, 1000])
def test_users_of_a_common_group_share_one_file(open_directory: Path, first: int) -> None:
    directory = open_directory / "shared"
    directory.mkdir()
    os.chown(directory, 0, GROUP)
    directory.chmod(0o2770)
    assert _as(first, directory, GROUP) == GO
    for user in (0, NOBODY, 1000):
        assert _as(user, directory, GROUP).delay > 900
    assert len(list(directory.iterdir())) == 1
    status = next(directory.iterdir()).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, GROUP)


@needs_root
def test_the_directory_of_one_user_is_closed_to_the_others(open_directory: Path) -> None:
    directory = open_directory / ".cleanlist"
    assert _as(NOBODY, directory) == GO
    assert as_user(1000, lambda: os.access(directory, os.R_OK | os.X_OK)) is False
    assert _as(1000, directory) == GO  # in memory, as the directory is not its own
    assert _as(NOBODY, directory).delay > 900


@needs_root
@pytest.mark.parametrize("plant", ["its own directory", "a directory for all", "a link to its own"])
def test_a_directory_that_a_neighbour_has_prepared_is_not_used(
    open_directory: Path, plant: str, caplog: pytest.LogCaptureFixture
) -> None:
    def prepare() -> None:
        directory = open_directory / ".cleanlist"
        trap = open_directory / "trap" if plant == "a link to its own" else directory
        trap.mkdir()
        trap.chmod(0o1777 if plant == "a directory for all" else 0o755)
        if trap != directory:
            directory.symlink_to(trap)

    as_user(NOBODY, prepare)
    directories = [open_directory / ".cleanlist", open_directory / "next"]
    assert work(FileRateLimiter(LONG, "organisation", directories)) == GO
    assert not list((open_directory / ".cleanlist").iterdir())
    assert len(list((open_directory / "next").iterdir())) == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "is not kept in" in warnings[0]


def test_a_lock_that_is_held_for_ever_stops_nobody(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(file_store, "LOCK_RETRY_SECONDS", 0.2)
    limiter = FileRateLimiter(LONG, "organisation", [directory, tmp_path / "next"])
    assert work(limiter) == GO
    holding, gone = fork.Pipe(duplex=False)

    def hold() -> None:
        file = os.open(next(directory.iterdir()), os.O_RDONLY)
        fcntl.flock(file, fcntl.LOCK_EX)
        gone.send(os.getpid())
        signal.pause()

    child = fork.Process(target=hold)
    child.start()
    holder = holding.recv()
    try:
        started = time.monotonic()
        decision = work(limiter)
        assert 0.3 <= time.monotonic() - started < 2.0
        assert decision.delay == pytest.approx(LONG.span, rel=0.01)  # for what was sent by the first file
        assert f"by process {holder} of user {os.getuid()}" in caplog.text
        started = time.monotonic()
        for _ in range(20):
            work(limiter)
        assert time.monotonic() - started < 0.2  # nobody waits for that lock again
    finally:
        child.kill()
        child.join()
    deadline = time.monotonic() + 10
    while "can be used again" not in caplog.text and time.monotonic() < deadline:
        work(limiter)
        time.sleep(0.05)
    assert caplog.text.count("can be used again") == 1
    assert caplog.text.count("has been locked") == 1


@needs_root
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
