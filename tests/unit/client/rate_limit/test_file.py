"""The budget in a locked file: damage, deletion, boots, disks, clocks."""

import logging
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.rate_limit import file as file_store
from airflow_provider_cleanlist.client.rate_limit.core import GO, Budget, BudgetState, Priority, Verdict
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter, Machine
from airflow_provider_cleanlist.client.rate_limit.memory import decode, encode

MINUTE = Budget()


class FakeMachine:
    """A machine that was started at the epoch 1_000_000 and has run for ``uptime`` seconds."""

    def __init__(self, boot=b"a" * 16, uptime=1000.0):
        self.uptime, self.step = uptime, 0.0
        self.machine = Machine(boot, lambda: self.uptime, lambda: 1_000_000.0 + self.uptime + self.step)


@pytest.fixture
def here():
    return FakeMachine()


@pytest.fixture
def limiter(tmp_path, here):
    return new(tmp_path, here)


def new(directory, here, *, scope="organisation", budget=MINUTE):
    return FileRateLimiter(budget, scope, [directory / ".cleanlist"], machine=here.machine)


def work(limiter, *, max_wait=900.0, reservation=None):
    return limiter.reserve(Priority.WORK, waited=0.0, max_wait=max_wait, reservation=reservation)


def file_of(directory):
    return next((directory / ".cleanlist").glob("*.budget"))


def use_up(limiter, here):
    """Send a full allowance within seven seconds."""
    for _ in range(60):
        assert work(limiter) == GO
        here.uptime += 0.125


def test_processes_share_the_allowance(tmp_path, here, limiter):
    use_up(limiter, here)
    decision = work(new(tmp_path, here))
    assert decision.reservation.moment == pytest.approx(1061.0)


def test_bookings_that_all_slept_through_do_not_go_at_once(tmp_path, here, limiter):
    use_up(limiter, here)
    reservations = [work(limiter).reservation for _ in range(150)]
    here.uptime += 90.0
    decisions = [work(new(tmp_path, here), reservation=reservation) for reservation in reservations]
    moments = sorted(
        decision.reservation.moment if decision.reservation else here.uptime for decision in decisions
    )
    assert all(last - first >= 60.0 for first, last in zip(moments, moments[60:], strict=False))


def test_scopes_are_apart_and_their_names_are_hidden(tmp_path, here, limiter):
    use_up(limiter, here)
    other = "../../etc/some organisation"
    assert work(new(tmp_path, here, scope=other)) == GO
    names = [path.name for path in (tmp_path / ".cleanlist").iterdir()]
    assert len(names) == 2
    assert all(len(name) == 31 and name.endswith(".budget") for name in names)


def test_callers_with_different_budgets_share_one_log(tmp_path, here, limiter):
    for _ in range(40):
        work(limiter)
        here.uptime += 0.25
    assert work(limiter) == GO
    assert work(new(tmp_path, here, budget=Budget(30))).verdict is Verdict.WAIT


def test_a_429_stops_every_process(tmp_path, here, limiter):
    limiter.penalize(30.0)
    assert work(new(tmp_path, here)).delay == 30.0


def test_nobody_else_may_use_file_and_directory(tmp_path, limiter):
    work(limiter)
    assert stat.S_IMODE((tmp_path / ".cleanlist").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / ".cleanlist").iterdir()] == [file_of(tmp_path).name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: os.urandom(len(data)),
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: data[:-3] + b"\0\0\0",
    ],
    ids=["empty", "a few bytes", "one byte short", "noise", "one bit in the head", "the last grant"],
)
def test_a_damaged_file_counts_as_a_full_window(tmp_path, here, limiter, damage):
    work(limiter)
    path = file_of(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    decision = work(new(tmp_path, here))
    assert decision.delay == 61.0
    here.uptime += 61.0
    assert work(new(tmp_path, here), reservation=decision.reservation) == GO


def test_a_shrinking_log_leaves_nothing_behind(tmp_path, here, limiter):
    use_up(limiter, here)
    large = file_of(tmp_path).stat().st_size
    here.uptime += 100.0
    work(limiter)
    assert file_of(tmp_path).stat().st_size == large - 59 * 8


def test_a_deleted_file_is_replaced_and_held_for_what_was_sent(tmp_path, here, limiter):
    use_up(limiter, here)
    file_of(tmp_path).unlink()
    assert work(limiter).delay == pytest.approx(61.0 - 0.125)


def test_a_deleted_directory_comes_back(tmp_path, here, limiter):
    work(limiter)
    file_of(tmp_path).unlink()
    (tmp_path / ".cleanlist").rmdir()
    here.uptime += 100.0
    assert work(limiter) == GO
    assert file_of(tmp_path).exists()


def test_a_file_that_another_process_replaced_is_held_too(tmp_path, here, limiter):
    use_up(limiter, here)
    file_of(tmp_path).unlink()
    newcomer = new(tmp_path, here)
    assert work(newcomer) == GO
    work(limiter)
    assert work(newcomer).verdict is Verdict.WAIT


def test_a_deleted_file_does_not_void_a_429(tmp_path, here, limiter):
    limiter.penalize(500.0)
    file_of(tmp_path).unlink()
    assert work(limiter).delay == 500.0


def test_bookings_of_a_deleted_file_are_void(tmp_path, here, limiter):
    use_up(limiter, here)
    decision = work(limiter)
    file_of(tmp_path).unlink()
    here.uptime += decision.delay
    assert work(limiter, reservation=decision.reservation).verdict is Verdict.WAIT


def test_a_reboot_counts_as_a_full_window(tmp_path, here, limiter):
    work(limiter)
    os.utime(file_of(tmp_path), (1_000_000, 1_000_000))
    rebooted = FakeMachine(boot=b"b" * 16, uptime=10.0)
    rebooted.step = 5000.0
    assert work(new(tmp_path, rebooted)).delay == 61.0


def test_a_disk_shared_with_another_machine_is_left_to_it(tmp_path, here, limiter, caplog):
    work(limiter)
    os.utime(file_of(tmp_path), (1_000_900, 1_000_900))
    other = FakeMachine(boot=b"b" * 16)
    directories = [tmp_path / ".cleanlist", tmp_path / "own"]
    stranger = FileRateLimiter(MINUTE, "organisation", directories, machine=other.machine)
    assert work(stranger) == GO
    assert "Another machine" in caplog.text
    assert "Redis" in caplog.text
    assert len(list((tmp_path / "own").iterdir())) == 1
    assert work(limiter).delay == pytest.approx(0.125)


def test_a_disk_that_another_machine_has_left_is_taken_over(tmp_path, here, limiter):
    """As when a volume moves to another node of a cluster."""
    work(limiter)
    os.utime(file_of(tmp_path), (1_000_300, 1_000_300))
    other = FakeMachine(boot=b"b" * 16)
    decision = work(new(tmp_path, other))
    assert decision.delay == 61.0
    other.uptime += 61.0
    assert work(new(tmp_path, other), reservation=decision.reservation) == GO


@pytest.mark.parametrize("step", [-600.0, 600.0])
def test_a_step_of_the_wall_clock_changes_nothing(tmp_path, here, limiter, step):
    use_up(limiter, here)
    before = work(limiter)
    here.step = step
    after = work(new(tmp_path, here))
    assert after.delay == pytest.approx(before.delay + 0.125)


def test_where_there_is_no_boot_id_a_clock_that_runs_backwards_is_a_new_boot(tmp_path, here, limiter):
    use_up(limiter, here)
    expected = work(limiter).delay
    here.uptime = 5.0
    assert work(limiter).delay == pytest.approx(expected)


def test_a_place_where_nothing_can_be_written_is_passed_over(tmp_path, here):
    directories = [Path("/proc/cleanlist"), tmp_path / "no" / "such", tmp_path / "good"]
    limiter = FileRateLimiter(MINUTE, "organisation", directories, machine=here.machine)
    assert work(limiter) == GO
    assert len(list((tmp_path / "good").iterdir())) == 1


def test_memory_is_the_last_resort_with_one_warning(tmp_path, here, caplog):
    (tmp_path / "file").touch()
    limiter = FileRateLimiter(
        MINUTE, "organisation", [Path("/proc/cleanlist"), tmp_path / "file"], machine=here.machine
    )
    use_up(limiter, here)
    assert work(limiter).verdict is Verdict.WAIT
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "file:///a/writable/directory" in warnings[0].getMessage()


def test_a_disk_that_fails_later_hands_over_what_was_sent(tmp_path, here, limiter, monkeypatch):
    use_up(limiter, here)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_store.os, "pwrite", fail)
    assert work(limiter).delay == pytest.approx(61.0 - 0.125)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_what_is_no_regular_file_is_not_used(tmp_path, here, limiter, kind):
    work(limiter)
    path = file_of(tmp_path)
    path.unlink()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    {"symlink": lambda: path.symlink_to(victim), "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}[
        kind
    ]()
    other = FileRateLimiter(MINUTE, "organisation", [tmp_path / ".cleanlist"], machine=here.machine)
    assert work(other) == GO
    assert victim.read_text() == "precious"


def test_a_second_name_of_another_file_is_not_overwritten(tmp_path, here, limiter, caplog):
    work(limiter)
    path = file_of(tmp_path)
    path.unlink()
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)
    path.hardlink_to(precious)
    assert work(new(tmp_path, here)) == GO
    assert precious.read_text() == "precious"
    assert "hard link" in caplog.text


def test_a_huge_file_is_not_read(tmp_path, here, limiter):
    """Eight TiB without a block on the disk."""
    work(limiter)
    os.truncate(file_of(tmp_path), 8 << 40)
    assert work(new(tmp_path, here)).delay == 61.0
    assert file_of(tmp_path).stat().st_size < 1000


@pytest.mark.parametrize(
    "forged",
    [
        {"blocked_until": float("inf")},
        {"blocked_until": float("nan")},
        {"blocked_until": 1e12},
        {"grants": (1000.0, float("inf"))},
        {"grants": (float("nan"),)},
        {"grants": (-float("inf"),)},
        {"grants": (1000.5, 1000.0)},
        {"seen": float("inf")},
        {"last_poll": float("nan")},
        {"poll_turn": 1e300},
        {"lowered_at": float("inf"), "lowered_by": 5},
        {"lowered_by": 5},
        {"lowered_by": 2**32 - 1, "lowered_at": 1000.0},
        {"epoch": 2**64 - 1},
        {"born": 2**64 - 1},
        {"step": 2**32 - 1},
    ],
)
def test_values_that_no_limiter_writes_count_as_a_full_window(tmp_path, here, limiter, forged):
    work(limiter)
    path = file_of(tmp_path)
    boot, state = decode(path.read_bytes())
    path.write_bytes(encode(replace(state, **forged), boot))
    other = new(tmp_path, here)
    assert work(other).delay == 61.0
    other.penalize(1.0)
    here.uptime += 61.0
    assert other.reserve(Priority.POLL, waited=0.0, max_wait=900.0) == GO


@pytest.mark.parametrize("kept", [{"blocked_until": 4600.0}, {"grants": (1000.0, 4600.0)}])
def test_an_hour_ahead_is_believed(tmp_path, here, limiter, kept):
    work(limiter)
    path = file_of(tmp_path)
    boot, state = decode(path.read_bytes())
    path.write_bytes(encode(replace(state, **kept), boot))
    assert work(new(tmp_path, here), max_wait=1e4).delay == pytest.approx(3600.0, abs=0.2)


def test_429s_in_every_window_of_an_hour_keep_the_file_usable(tmp_path, here, limiter):
    for _ in range(60):
        limiter.penalize(1.0)
        here.uptime += 59.0
    assert work(limiter) == GO


def test_threads_share_the_allowance(tmp_path):
    limiter = FileRateLimiter(Budget(20, 1000.0), "organisation", [tmp_path / ".cleanlist"])
    decisions = []

    def ask():
        decisions.extend(work(limiter, max_wait=10_000.0) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moments = sorted(decision.reservation.moment for decision in decisions if decision.reservation)
    assert len(moments) == len(set(moments)) == 199
    assert all(later - earlier >= 1000.0 for earlier, later in zip(moments, moments[20:], strict=False))


finite = st.floats(allow_nan=False)
states = st.builds(
    BudgetState,
    born=st.integers(0, 2**63),
    epoch=st.integers(0, 2**63),
    seen=finite,
    grants=st.lists(finite, max_size=100).map(tuple),
    blocked_until=finite,
    last_poll=finite,
    poll_turn=finite,
    lowered_by=st.integers(0, 100_000),
    lowered_at=finite,
    step=st.integers(0, 100_000),
)


@given(states, st.binary(max_size=20))
def test_what_is_written_is_read(state, tail):
    data = encode(state, b"b" * 16)
    assert decode(data + tail) == (b"b" * 16, state)


@given(states, st.data())
def test_every_damage_is_noticed(state, data):
    intact = encode(state, b"b" * 16)
    at = data.draw(st.integers(0, len(intact) - 1))
    damaged = bytearray(intact)
    damaged[at] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(damaged)) == (b"", None)
    assert decode(intact[:at]) == (b"", None)


def test_this_machine_has_a_boot_of_its_own():
    machine = file_store.this_machine()
    assert len(machine.boot) == 16


moments = st.floats() | st.floats(-2000, 5000)
foreign_states = st.builds(
    BudgetState,
    born=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**64 - 1),
    seen=moments,
    grants=st.lists(moments, max_size=70).map(tuple) | st.lists(st.floats(900, 2000)).map(sorted).map(tuple),
    blocked_until=moments,
    last_poll=moments,
    poll_turn=moments,
    lowered_by=st.integers(0, 2**32 - 1),
    lowered_at=moments,
    step=st.integers(0, 2**32 - 1),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300) | foreign_states, poll=st.booleans())
def test_whatever_is_in_the_file_requests_go_on(tmp_path, caplog, content, poll):
    """A file of any content: no raw error, no warning, and a request goes out within the wait of a day."""
    here = FakeMachine()
    folder = tmp_path / ".cleanlist"
    limiter = new(tmp_path, here)
    work(limiter)
    data = encode(content, b"a" * 16) if isinstance(content, BudgetState) else content
    file_of(tmp_path).write_bytes(data)
    limiter = new(tmp_path, here)
    limiter.penalize(1.0)
    priority, reservation = (Priority.POLL if poll else Priority.WORK), None
    for _ in range(1000):
        decision = limiter.reserve(priority, waited=0.0, max_wait=1e9, reservation=reservation)
        if decision.verdict is Verdict.GO:
            break
        here.uptime += decision.delay
        reservation = decision.reservation
    assert decision == GO
    assert here.uptime < 1000.0 + 2 * 86_400 + 200 * MINUTE.window
    assert [path.name for path in folder.iterdir()] == [file_of(tmp_path).name]
    assert not caplog.records
