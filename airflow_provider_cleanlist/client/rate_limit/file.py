"""The store for one host: a small file under an exclusive lock.

Every use opens, locks, reads, writes and closes the file, so a fork shares nothing, a kill releases the lock, and a
deleted file is noticed. Moments are on the monotonic clock, which all processes of a boot share and nobody sets; the
file names its boot.

Nothing in the file is believed blindly: who may write to it, its size and its values are checked, and its lock is
waited for only so long (:mod:`.directories` says whose directories are used).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from airflow_provider_cleanlist.client.rate_limit.core import Budget, BudgetState, hold
from airflow_provider_cleanlist.client.rate_limit.directories import (
    SharedDirectory,
    UnsafePathError,
    opened_directory,
    replace_in,
    scope_hash,
)
from airflow_provider_cleanlist.client.rate_limit.memory import (
    BaseRateLimiter,
    Change,
    MemoryRateLimiter,
    MemoryState,
    decode,
    encode,
    is_plausible,
    new_state,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

TAKE_OVER_WINDOWS = 10
"""Windows for which a file written by another machine is left alone."""
LOCK_SECONDS = 5.0
"""How long to wait for the lock. Its holders need less than a millisecond."""
LOCK_RETRY_SECONDS = 60.0
"""Seconds after which a file whose lock was not to be had is tried again."""
MAX_FILE_BYTES = 1024 * 1024
"""Largest file that is read, unless the allowance needs more."""
_PEEKS = 3
"""How often a file is read without its lock, in case somebody is writing it."""
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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


class _LockHeldError(OSError):
    """Somebody holds the lock of the file, and has held it for as long as this process waited."""


class FileRateLimiter(BaseRateLimiter):
    """A budget shared by the processes of this host that may write to the file.

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
        self._name = f"{scope_hash(scope)}.budget"
        self._directories = tuple(directories)
        self._avoid_until: dict[Path, float] = {}
        self._largest = max(MAX_FILE_BYTES, 64 * 8 * budget.requests)
        self._born = 0
        self._memory = MemoryRateLimiter(budget, self._machine.monotonic, fallback)
        self._is_in_memory = False

    def update(self, change: Change[T]) -> T:
        """See :meth:`BaseRateLimiter.update`."""
        for directory in self._directories:
            avoid_until = self._avoid_until.get(directory, -math.inf)
            if time.monotonic() < avoid_until:
                continue
            patience = 0.0 if directory in self._avoid_until else LOCK_SECONDS
            try:
                answer = self._update_file(directory, change, patience)
            except OSError as error:
                self._avoid(directory, error)
                continue
            if self._avoid_until.pop(directory, None) is not None:
                log.warning("The Cleanlist request budget in %s can be used again.", directory)
            self._is_in_memory = False
            return answer
        return self._update_memory(change)

    def peek(self) -> tuple[BudgetState, float] | None:
        """See :meth:`BaseRateLimiter.peek`. Waits for no lock."""
        for directory in self._directories:
            with contextlib.suppress(OSError), opened_directory(directory) as folder:
                for _ in range(_PEEKS):
                    boot, state = decode(self._read(folder))
                    now = self.clock()
                    if state and boot == self._machine.boot and is_plausible(state, self.budget, now):
                        return state, now
        return None

    def _read(self, folder: SharedDirectory) -> bytes:
        """Return what the file holds; not all of it, perhaps, while somebody writes."""
        file = os.open(self._name, _READ_FLAGS, dir_fd=folder.descriptor)
        try:
            size = folder.check(file).st_size
            return os.pread(file, size, 0) if size <= self._largest else b""
        finally:
            os.close(file)

    def _avoid(self, directory: Path, error: OSError) -> None:
        """Pass a directory over: for a minute if its file is locked, else until the end of this process."""
        is_new = directory not in self._avoid_until
        seconds = LOCK_RETRY_SECONDS if isinstance(error, _LockHeldError) else math.inf
        self._avoid_until[directory] = time.monotonic() + seconds
        self._born = 0  # what is sent meanwhile is not in that file
        if not is_new:
            return
        if isinstance(error, _SharedDiskError):
            log.warning(
                "Another machine keeps its Cleanlist request budget in %s. Machines do not share a budget through a "
                "disk: set rate_limit_store of the connection to a Redis or Valkey URL.",
                directory,
            )
        elif isinstance(error, _LockHeldError):
            log.warning(
                "The Cleanlist request budget in %s has been locked for more than %g s, by %s. Until the lock is "
                "free, this process keeps the budget elsewhere and does not share it with those who use that file.",
                directory,
                LOCK_SECONDS,
                error,
            )
        elif isinstance(error, UnsafePathError):
            log.warning(
                "The Cleanlist request budget is not kept in %s: %s. Use a directory that belongs to this user or to "
                "root, and that nobody else or only a group may write to.",
                directory,
                error,
            )
        else:
            log.debug("The Cleanlist request budget cannot be kept in %s: %s", directory, error)

    def _update_memory(self, change: Change[T]) -> T:
        if not self._is_in_memory:
            self._is_in_memory = True
            self._memory.hold(self.cooldown.seconds(self.clock()))
            log.warning(
                "No directory can hold the Cleanlist request budget (tried: %s). This process does not share it with "
                "others, which may lead to refused requests and waiting times. Set rate_limit_store of the connection "
                "to file:///a/writable/directory.",
                ", ".join(map(str, self._directories))
                or "none, because there is neither a home nor a temporary one",
            )
        return self._memory.update(change)

    def _update_file(self, directory: Path, change: Change[T], patience: float) -> T:
        give_up_at = time.monotonic() + patience
        with opened_directory(directory, create=True) as folder:
            file, size = self._open_locked(folder, give_up_at)
            try:
                state = self._checked(file, os.pread(file, size, 0) if size <= self._largest else b"")
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
        now = self.clock()
        if state is not None and boot == self._machine.boot:
            if is_plausible(state, self.budget, now):
                return state
        elif state is not None:
            age = self._machine.wall() - os.fstat(file).st_mtime
            if age < min(now - 1, TAKE_OVER_WINDOWS * self.budget.window):
                raise _SharedDiskError("written by another machine a short time ago")
        return replace(new_state(), blocked_until=now + self.budget.span)

    def _open_locked(self, folder: SharedDirectory, give_up_at: float) -> tuple[int, int]:
        """Open and lock the file that has this name at present; create it if there is none. Return it and its size."""
        while True:
            try:
                file = os.open(self._name, _FLAGS, dir_fd=folder.descriptor)
            except FileNotFoundError:
                self._create(folder, give_up_at)
                continue
            try:
                _lock(file, give_up_at)
                status = folder.check(file)
                if status.st_nlink:
                    return file, status.st_size
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _create(self, folder: SharedDirectory, give_up_at: float) -> None:
        """Create the file together with its content, so that an empty file is always a damaged one.

        The lock of the directory lets only one process do so at a time.
        """
        _lock(folder.descriptor, give_up_at)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.stat(self._name, dir_fd=folder.descriptor, follow_symlinks=False)
                return
            replace_in(folder, self._name, encode(new_state(), self._machine.boot), folder.file_mode)
        finally:
            fcntl.flock(folder.descriptor, fcntl.LOCK_UN)


def _lock(file: int, give_up_at: float) -> None:
    """Take the exclusive lock of an open file or directory.

    Raises:
        _LockHeldError: It was not free until then. The text says who holds it.
    """
    pause = 0.0002
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                raise _LockHeldError(_lock_holder(file)) from None
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _lock_holder(file: int) -> str:
    """Return which process holds the lock of an open file, as far as the kernel says."""
    inode = str(os.fstat(file).st_ino)
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            match line.split():
                case [_, "FLOCK", _, _, process, place, *_] if place.rpartition(":")[2] == inode:
                    return f"process {process} of user {Path('/proc', process).stat().st_uid}"
    except OSError:
        pass
    return "a process that the system does not name"
