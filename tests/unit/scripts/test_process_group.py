"""ProcessGroup against real processes: polite ones, stubborn ones, orphans and daemons."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import process_group
import pytest
from process_group import Process, ProcessGroup, living_descendants, processes, stop_all, with_descendants

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
"""


@pytest.fixture
def make_group(tmp_path):
    groups = []

    def make(code: str, name: str = "program") -> ProcessGroup:
        log = tmp_path / f"{name}{len(groups)}.log"
        group = ProcessGroup(
            name, [sys.executable, "-c", textwrap.dedent(code)], log, {"PATH": os.environ["PATH"]}, tmp_path
        )
        groups.append(group)
        return group

    yield make
    for group in groups:
        group.stop(grace=0)


def wait_for(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    return any(row.pid == pid and not row.zombie for row in processes())


def test_program_that_obeys_sigterm_ends_within_its_grace(make_group):
    group = make_group("import time; print('ready', flush=True); time.sleep(60)")
    group.start()
    wait_for(lambda: "ready" in group.log_tail())
    started = time.monotonic()
    group.stop(grace=30)
    assert time.monotonic() - started < 5
    assert group.exit_code() == -signal.SIGTERM
    assert group.members() == set()


def test_program_that_ignores_sigterm_is_killed_after_its_grace(make_group):
    group = make_group(STUBBORN)
    group.start()
    wait_for(lambda: "ready" in group.log_tail())
    group.stop(grace=0.3)
    assert group.exit_code() == -signal.SIGKILL
    assert group.members() == set()


def test_children_left_behind_by_an_obedient_program_are_killed(make_group):
    group = make_group(
        f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE)
        child.stdout.readline()
        print("child", child.pid, flush=True)
        time.sleep(60)
        """
    )
    group.start()
    wait_for(lambda: "child" in group.log_tail())
    child = int(group.log_tail().split()[1])
    assert {row.pid for row in group.members()} == {group.pid, child}
    started = time.monotonic()
    group.stop(grace=30)
    assert time.monotonic() - started < 10, "an ended program's orphans do not get the whole grace"
    assert not is_alive(child)


def test_orphans_are_found_after_their_parent_has_died(make_group):
    group = make_group(
        """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("child", child.pid, flush=True)
        """
    )
    group.start()
    wait_for(lambda: group.exit_code() == 0)
    child = int(group.log_tail().split()[1])
    assert {row.pid for row in group.members()} == {child}
    group.stop()
    assert not is_alive(child)


def test_child_with_a_session_of_its_own_is_found_also_after_its_parent_has_died(make_group):
    group = make_group(
        """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        print("child", child.pid, flush=True)
        time.sleep(60)
        """
    )
    group.start()
    wait_for(lambda: "child" in group.log_tail())
    child = int(group.log_tail().split()[1])
    assert child in {row.pid for row in group.members()}
    os.kill(group.pid, signal.SIGKILL)
    wait_for(lambda: group.exit_code() is not None)
    assert {row.pid for row in group.members()} == {child}
    group.stop()
    assert not is_alive(child)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_even_a_daemon_is_ended_once_orphans_are_adopted():
    """A daemon forks twice and takes a new session: group, session and parent no longer tell where it is from."""
    daemon = (
        "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\ntime.sleep(60)"
    )
    observer = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(Path(process_group.__file__).parent)!r})
from process_group import adopt_orphans, end_descendants, living_descendants
adopt_orphans()
subprocess.run([sys.executable, "-c", {daemon!r}], check=True)
while len(found := living_descendants(os.getpid())) != 1:
    time.sleep(0.05)
print(*(row.pid for row in found), flush=True)
end_descendants()
print(len(living_descendants(os.getpid())))
"""
    answer = subprocess.run(
        [sys.executable, "-c", observer], capture_output=True, text=True, check=True, timeout=30
    )
    daemon_pid, left = answer.stdout.split()
    assert left == "0"
    assert not is_alive(int(daemon_pid))


def test_sigterm_is_sent_once_however_often_stopping_is_asked_for(make_group):
    group = make_group(
        """
        import signal, time
        count = 0
        def count_up(*_):
            global count
            count += 1
        signal.signal(signal.SIGTERM, count_up)
        print("ready", flush=True)
        time.sleep(0.8)
        print("signals", count, flush=True)
        """
    )
    group.start()
    wait_for(lambda: "ready" in group.log_tail())
    group.terminate()
    time.sleep(0.1)
    group.terminate()
    group.stop(grace=10)
    assert "signals 1" in group.log_tail()


def test_stop_all_stops_side_by_side(make_group):
    groups = [make_group(STUBBORN, f"stubborn{number}") for number in range(3)]
    for group in groups:
        group.start()
    for group in groups:
        wait_for(lambda group=group: "ready" in group.log_tail())
    started = time.monotonic()
    stop_all(groups, grace=2.0)
    assert time.monotonic() - started < 6
    assert [group.exit_code() for group in groups] == [-signal.SIGKILL] * 3


def test_a_stopped_program_can_be_started_again(make_group):
    group = make_group("import time; print('ready', flush=True); time.sleep(60)")
    group.start()
    first = group.pid
    wait_for(lambda: "ready" in group.log_tail())
    group.stop()
    group.start()
    assert group.pid != first
    wait_for(lambda: group.log_tail().count("ready") == 2)
    started = time.monotonic()
    group.stop(grace=30)
    assert time.monotonic() - started < 5


def test_stopping_what_never_started_does_nothing(make_group):
    group = make_group("pass")
    group.stop()
    assert group.members() == set()
    assert group.exit_code() is None


def test_living_descendants_sees_grandchildren_and_no_zombies():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for(lambda: len(living_descendants(child.pid)) == 1)
        assert {row.pid for row in living_descendants(os.getpid())} >= {child.pid}
        (grandchild,) = living_descendants(child.pid)
        os.kill(grandchild.pid, signal.SIGKILL)
        wait_for(lambda: not is_alive(child.pid))
        assert child.pid not in {row.pid for row in living_descendants(os.getpid())}, "a zombie does not live"
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(processes, id="of this system"),
        pytest.param(
            process_group._ps_table,
            id="of systems without /proc",
            marks=pytest.mark.skipif(shutil.which("ps") is None, reason="no ps here"),
        ),
    ],
)
def test_process_table_tells_living_processes_from_ended_ones(table):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        rows = {row.pid: row for row in table()}
        mine, living = rows[os.getpid()], rows[child.pid]
        assert (mine.parent, mine.group, mine.session) == (os.getppid(), os.getpgid(0), os.getsid(0))
        assert (living.parent, living.session, living.zombie) == (os.getpid(), os.getsid(0), False)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        ended = {row.pid: row for row in table()}[child.pid]
        assert ended.zombie
        assert ended.started == living.started
    finally:
        child.kill()
        child.communicate()


def test_with_descendants_follows_the_tree_only():
    table = [
        Process(pid, "t", parent, pid, pid, zombie=False) for pid, parent in [(1, 0), (2, 1), (3, 2), (4, 1)]
    ]
    assert {row.pid for row in with_descendants([table[1]], table)} == {2, 3}
