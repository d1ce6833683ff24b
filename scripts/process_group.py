"""Start a program in a session of its own, stop all of it, and prove that nothing of it is left."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
ORPHAN_GRACE = 1.0
KILL_PATIENCE = 10.0


class ProcessesLeftError(RuntimeError):
    """Processes survived SIGKILL; the text names them."""


class Process(NamedTuple):
    """One row of the process table. ``pid`` and ``started`` together identify a process for ever."""

    pid: int
    started: str
    parent: int
    group: int
    session: int
    zombie: bool


def processes() -> list[Process]:
    """Return the process table: from ``/proc`` where there is one, else from ``ps``."""
    proc = Path("/proc")
    return _proc_table(proc) if (proc / "self" / "stat").exists() else _ps_table()


def _proc_table(proc: Path) -> list[Process]:
    """List ``/proc`` again until nothing new appears.

    Every process that lives afterwards is in the table or below one that is: no program slips away by forking
    between being listed and being read.
    """
    rows: dict[str, Process | None] = {}
    while new := {entry.name for entry in proc.iterdir() if entry.name.isdigit()} - rows.keys():
        rows |= {name: _from_proc(proc / name) for name in new}
    return [row for row in rows.values() if row is not None]


def _ps_table() -> list[Process]:
    columns = [part for name in ("pid", "ppid", "pgid", "state", "lstart") for part in ("-o", f"{name}=")]
    listing = subprocess.run(["ps", "-A", *columns], capture_output=True, text=True, check=True).stdout
    return [_from_ps(line) for line in listing.splitlines()]


def _from_proc(entry: Path) -> Process | None:
    try:
        stat = (entry / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None  # ended since the folder was listed
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return Process(
        int(entry.name), fields[19], int(fields[1]), int(fields[2]), int(fields[3]), zombie=fields[0] in "ZX"
    )


def _from_ps(line: str) -> Process:
    pid, parent, group, state, started = line.split(maxsplit=4)
    try:
        session = os.getsid(int(pid))
    except (ProcessLookupError, PermissionError):
        session = 0
    return Process(int(pid), started, int(parent), int(group), session, zombie=state.startswith("Z"))


def with_descendants(roots: Iterable[Process], table: Sequence[Process]) -> set[Process]:
    """Return the given processes and everything below them in the tree."""
    children: dict[int, list[Process]] = {}
    for row in table:
        children.setdefault(row.parent, []).append(row)
    found: set[Process] = set()
    waiting = list(roots)
    while waiting:
        row = waiting.pop()
        if row not in found:
            found.add(row)
            waiting.extend(children.get(row.pid, []))
    return found


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, also of daemons with a session of their own.

    Linux only; elsewhere orphans are still recognised by their session, group and earlier place in the tree.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def living_descendants(pid: int) -> set[Process]:
    """Return every process below a process that has not ended (a zombie has)."""
    table = processes()
    children = [row for row in table if row.parent == pid]
    return {row for row in with_descendants(children, table) if not row.zombie}


def end_descendants() -> None:
    """Kill whatever this process has started and not ended, and come back when nothing of it lives.

    Raises:
        ProcessesLeftError: something survived SIGKILL for 10 s.
    """
    deadline = time.monotonic() + KILL_PATIENCE
    while left := living_descendants(os.getpid()):
        if time.monotonic() > deadline:
            raise ProcessesLeftError(f"still running after SIGKILL: {sorted(row.pid for row in left)}")
        for row in left:
            _send(row.pid, signal.SIGKILL)
        time.sleep(0.1)


@dataclass
class ProcessGroup:
    """A program, its children and their children.

    Args:
        name: for messages.
        command: program and arguments.
        log: file that receives standard output and error.
        env: the whole environment of the program.
        cwd: its working folder.
    """

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str]
    cwd: Path
    _leader: subprocess.Popen[bytes] | None = None
    _known: set[tuple[int, str]] = field(default_factory=set)
    _asked: bool = False
    _ended: float | None = None

    def start(self) -> None:
        """Start the program in a new session; terminal signals do not reach it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._asked, self._ended = False, None
        with self.log.open("ab") as output:
            self._leader = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the program, which is also its group and its session."""
        if self._leader is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._leader.pid

    def exit_code(self) -> int | None:
        """Return the program's exit code, or None while it runs."""
        return self._leader.poll() if self._leader else None

    def members(self) -> set[Process]:
        """Return all living processes of this group, its session, or ever seen below one of these."""
        if self._leader is None:
            return set()
        self._leader.poll()
        table = processes()
        own = (
            row
            for row in table
            if self.pid in (row.group, row.session) or (row.pid, row.started) in self._known
        )
        members = {row for row in with_descendants(own, table) if not row.zombie}
        self._known |= {(row.pid, row.started) for row in members}
        return members

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """Send a signal to every member at once, as a crash of the machine would."""
        for row in self.members():
            _send(row.pid, signal_number)

    def terminate(self) -> None:
        """Ask the program once to end, without waiting; a second SIGTERM makes Airflow drop its own clean-up."""
        self.members()  # remembers the tree before it falls apart
        if self._leader is not None and self.exit_code() is None and not self._asked:
            self._asked = True
            self._leader.terminate()

    def stop(self, grace: float = 10.0) -> None:
        """End the program and prove that it is gone; see ``stop_all``."""
        stop_all([self], grace)

    def patience_is_over(self, deadline: float) -> bool:
        """Say whether it is time for SIGKILL: the deadline is past, or the program ended and left children behind."""
        now = time.monotonic()
        if self.exit_code() is not None and self._ended is None:
            self._ended = now
        return now >= deadline or (self._ended is not None and now >= self._ended + ORPHAN_GRACE)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the program's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def stop_all(groups: Sequence[ProcessGroup], grace: float) -> None:
    """End several programs side by side: SIGTERM, patience, SIGKILL; come back when nothing of them lives.

    Args:
        groups: started or not.
        grace: seconds between SIGTERM and SIGKILL. Children that a program leaves behind get one second.

    Raises:
        ProcessesLeftError: something survived for 10 s after SIGKILL; everything else has ended.
    """
    for group in groups:
        group.terminate()
    deadline = time.monotonic() + grace
    while left := {group.name: members for group in groups if (members := group.members())}:
        if time.monotonic() > deadline + KILL_PATIENCE:
            pids = {name: sorted(row.pid for row in members) for name, members in left.items()}
            raise ProcessesLeftError(f"still running after SIGKILL: {pids}")
        for group in groups:
            if group.name in left and group.patience_is_over(deadline):
                group.kill()
        time.sleep(0.1)
    for group in groups:
        group.exit_code()


def _send(pid: int, signal_number: int) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return  # it has ended meanwhile
