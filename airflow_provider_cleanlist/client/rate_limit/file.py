"""The budget of all processes of one host: a small file under an exclusive lock.

Every use opens the file, locks it, reads it, writes it and closes it. So a fork shares nothing, a kill releases the
lock, and a file that somebody deleted is noticed. Moments are on the monotonic clock, which all processes of a boot
share and nobody sets; the file names its boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from airflow_provider_cleanlist.client.rate_limit.core import Budget, BudgetState, hold
from airflow_provider_cleanlist.client.rate_limit.memory import (
    Change,
    LocalRateLimiter,
    MemoryRateLimiter,
    MemoryState,
    new_state,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

DIRECTORY_NAME = ".cleanlist"
"""Name of the directory that holds the budgets."""
TAKE_OVER_WINDOWS = 10
"""Windows for which a file that another machine wrote is left alone."""
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_MAGIC = b"CLRATE01"
_HEAD = struct.Struct("<8sI16sQQddddIdII")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine's clocks and the name of its present boot.

    Attributes:
        boot: 16 bytes that no other boot of any machine has.
        monotonic: Seconds since some moment of this boot.
        wall: Seconds since the epoch.
    """

    boot: bytes
    monotonic: Callable[[], float]
    wall: Callable[[], float]


@cache
def this_machine() -> Machine:
    """Return the machine we run on. Without the kernel's boot id, a clock that ran backwards tells a new boot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = b""
    return Machine(hashlib.blake2b(boot, digest_size=16).digest(), time.monotonic, time.time)


class _SharedDiskError(OSError):
    """Another machine uses the file, with a clock of its own."""


class FileRateLimiter(LocalRateLimiter):
    """A budget shared by all processes and users of this host.

    Args:
        budget: The allowance.
        scope: Name of the budget.
        directories: Where the file may be: the first one that works. Created when missing.
        fallback: The state to use, with one warning, when no directory works.
        machine: Clocks and boot of this machine.
    """

    def __init__(
        self,
        budget: Budget,
        scope: str,
        directories: Sequence[Path],
        fallback: MemoryState | None = None,
        machine: Machine | None = None,
    ) -> None:
        self._machine = machine or this_machine()
        super().__init__(budget, self._machine.monotonic)
        self._name = f"{hashlib.blake2b(scope.encode(), digest_size=12).hexdigest()}.budget"
        self._directories = list(directories)
        self._born = 0
        self._memory = MemoryRateLimiter(budget, self._machine.monotonic, fallback)

    def update(self, change: Change[T]) -> T:
        """See :meth:`LocalRateLimiter.update`."""
        while self._directories:
            directory = self._directories[0]
            try:
                return self._update_file(directory / self._name, change)
            except OSError as error:
                with contextlib.suppress(ValueError):  # another thread was faster
                    self._directories.remove(directory)
                    self._leave(directory, error)
        return self._memory.update(change)

    def _leave(self, directory: Path, error: OSError) -> None:
        log.debug("The Cleanlist request budget cannot be kept in %s: %s", directory, error)
        if isinstance(error, _SharedDiskError):
            log.warning(
                "Another machine keeps its Cleanlist request budget in %s. Machines do not share a budget through a "
                "disk: set rate_limit_store of the connection to a Redis or Valkey URL.",
                directory,
            )
        if not self._directories:
            self._memory.hold(self.cooldown.seconds(self.clock()))
            log.warning(
                "No directory can hold the Cleanlist request budget (the last one tried: %s, %s). Until the end of "
                "this process it is not shared with others, which may lead to refused requests and waiting times. "
                "Set rate_limit_store of the connection to file:///a/writable/directory.",
                directory,
                error.strerror or error,
            )

    def _update_file(self, path: Path, change: Change[T]) -> T:
        file = _open_locked(path, lambda: _encode(new_state(), self._machine.boot))
        try:
            size = os.fstat(file).st_size
            state = self._checked(file, os.pread(file, size, 0))
            now = self.clock()
            if state.born != self._born and (seconds := self.cooldown.seconds(now)):
                state = hold(state, self.budget, now=now, seconds=seconds)
            state, answer = change(state, now)
            self._born = state.born
            data = _encode(state, self._machine.boot)
            os.pwrite(file, data, 0)
            if size > len(data):
                os.ftruncate(file, len(data))
        finally:
            os.close(file)
        return answer

    def _checked(self, file: int, data: bytes) -> BudgetState:
        """Return the state in the file; one that cannot be used counts as a full window."""
        boot, state = _decode(data)
        if state is not None and boot == self._machine.boot:
            return state
        if state is not None:
            age = self._machine.wall() - os.fstat(file).st_mtime
            if age < min(self._machine.monotonic() - 1, TAKE_OVER_WINDOWS * self.budget.window):
                raise _SharedDiskError("written by another machine a short time ago")
        return replace(new_state(), blocked_until=self._machine.monotonic() + self.budget.span)


def default_directories() -> list[Path]:
    """Return where a host's budget may be kept, best first: Airflow's home, the user's runtime, the temporary one."""
    home = os.path.expandvars(os.environ.get("AIRFLOW_HOME") or "~/airflow")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    parents = [Path(home).expanduser(), *([Path(runtime)] if runtime else []), Path(tempfile.gettempdir())]
    return [parent / DIRECTORY_NAME for parent in parents]


def _open_locked(path: Path, content: Callable[[], bytes]) -> int:
    """Open and lock the file that has this name at present, creating it when there is none."""
    while True:
        try:
            file = os.open(path, _FLAGS)
        except FileNotFoundError:
            _create(path, content())
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("not a regular file")
            if status.st_nlink:
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _create(path: Path, content: bytes) -> None:
    """Make the file appear with its content at once, so that an empty file is always a damaged one.

    File and directory are open to all users of the host: they share the organisation's budget. A file of somebody
    else in such a directory must be opened without asking to create it, which the kernel would refuse.
    """
    _make_directory(path.parent)
    file, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        os.fchmod(file, 0o666)
        os.write(file, content)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.close(file)
        Path(temporary).unlink()


def _make_directory(directory: Path) -> None:
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
        directory.chmod(0o1777)


def _encode(state: BudgetState, boot: bytes) -> bytes:
    grants = struct.pack(f"<{len(state.grants)}d", *state.grants)
    head = _HEAD.pack(
        _MAGIC,
        0,
        boot,
        state.born,
        state.epoch,
        state.seen,
        state.blocked_until,
        state.last_poll,
        state.poll_turn,
        state.lowered_by,
        state.lowered_at,
        state.step,
        len(state.grants),
    )
    return head[:8] + zlib.crc32(head[12:] + grants).to_bytes(4, "little") + head[12:] + grants


def _decode(data: bytes) -> tuple[bytes, BudgetState | None]:
    """Return the boot and the state, or no state when the data is damaged."""
    if len(data) < _HEAD.size:
        return b"", None
    (
        magic,
        checksum,
        boot,
        born,
        epoch,
        seen,
        blocked,
        last_poll,
        turn,
        lowered_by,
        lowered_at,
        step,
        count,
    ) = _HEAD.unpack_from(data)
    end = _HEAD.size + 8 * count
    if magic != _MAGIC or len(data) < end or zlib.crc32(data[12:end]) != checksum:
        return b"", None
    grants = struct.unpack_from(f"<{count}d", data, _HEAD.size)
    return boot, BudgetState(
        born, epoch, seen, grants, blocked, last_poll, turn, lowered_by, lowered_at, step
    )
