"""The store for one host: a small file under an exclusive lock.

Every use opens, locks, reads, writes and closes the file, so a fork shares nothing, a kill releases the lock, and a
deleted file is noticed. Moments are on the monotonic clock, which all processes of a boot share and nobody sets; the
file names its boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from airflow_provider_cleanlist.client.rate_limit.core import Budget, BudgetState, hold
from airflow_provider_cleanlist.client.rate_limit.memory import (
    BaseRateLimiter,
    Change,
    MemoryRateLimiter,
    MemoryState,
    decode,
    encode,
    new_state,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

DIRECTORY_NAME = ".cleanlist"
"""Name of the directory that holds the files."""
TAKE_OVER_WINDOWS = 10
"""Windows for which a file written by another machine is left alone."""
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's clocks and the identity of its present boot.

    Attributes:
        boot: 16 bytes that differ for every boot of every machine.
        monotonic: Seconds since an arbitrary moment of this boot.
        wall: Seconds since the epoch.
    """

    boot: bytes
    monotonic: Callable[[], float]
    wall: Callable[[], float]


@cache
def this_machine() -> Machine:
    """Return this machine. Where the kernel has no boot id, a clock that runs backwards reveals a new boot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = b""
    return Machine(hashlib.blake2b(boot, digest_size=16).digest(), time.monotonic, time.time)


class _SharedDiskError(OSError):
    """Another machine uses the file, with a clock of its own."""


class FileRateLimiter(BaseRateLimiter):
    """A budget shared by all processes and users of this host.

    Args:
        budget: The allowance.
        scope: Name of the budget.
        directories: Candidates for the file's directory, best first; created if missing.
        fallback: The state to use, after one warning, when no directory works.
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
        """See :meth:`BaseRateLimiter.update`."""
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
        file = _open_locked(path, lambda: encode(new_state(), self._machine.boot))
        try:
            size = os.fstat(file).st_size
            state = self._checked(file, os.pread(file, size, 0))
            now = self.clock()
            if state.born != self._born and (seconds := self.cooldown.seconds(now)):
                state = hold(state, self.budget, now=now, seconds=seconds)
            state, answer = change(state, now)
            self._born = state.born
            data = encode(state, self._machine.boot)
            os.pwrite(file, data, 0)
            if size > len(data):
                os.ftruncate(file, len(data))
        finally:
            os.close(file)
        return answer

    def _checked(self, file: int, data: bytes) -> BudgetState:
        """Return the state in the file; an unusable one counts as a full window."""
        boot, state = decode(data)
        if state is not None and boot == self._machine.boot:
            return state
        if state is not None:
            age = self._machine.wall() - os.fstat(file).st_mtime
            if age < min(self._machine.monotonic() - 1, TAKE_OVER_WINDOWS * self.budget.window):
                raise _SharedDiskError("written by another machine a short time ago")
        return replace(new_state(), blocked_until=self._machine.monotonic() + self.budget.span)


def default_directories() -> list[Path]:
    """Return the candidates, best first, below Airflow's home, the user's runtime and the temporary directory."""
    home = os.path.expandvars(os.environ.get("AIRFLOW_HOME") or "~/airflow")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    parents = [Path(home).expanduser(), *([Path(runtime)] if runtime else []), Path(tempfile.gettempdir())]
    return [parent / DIRECTORY_NAME for parent in parents]


def _open_locked(path: Path, content: Callable[[], bytes]) -> int:
    """Open and lock the file that has this name at present; create it if there is none."""
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
    """Create the file together with its content, so that an empty file is always a damaged one.

    File and directory are open to all users of the host, who share the organisation's budget. In such a directory the
    kernel refuses to open another user's file with the flag that creates it, so opening and creating are two steps.
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
