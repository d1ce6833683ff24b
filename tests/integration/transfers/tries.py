"""Tries of one task, each a process that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Tries:
    """Tries of one task, each a process that the helper forks for a line on its standard input.

    Args:
        helper: Name of the helper in this folder; it answers each line with a process id, then with an exit code.
        argument: Its argument.
        log: File for what it prints.
    """

    def __init__(self, helper: str, argument: str, log: Path) -> None:
        self._helper = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / helper), argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
        )

    def run(self, line: str = "", until: Callable[[], object] | None = None) -> int:
        """Run a try, kill it once ``until`` returns, and return its exit code."""
        assert self._helper.stdin is not None
        self._helper.stdin.write(f"{line}\n")
        self._helper.stdin.flush()
        self._process = self._answer()
        if until is not None:
            until()
            with suppress(ProcessLookupError):  # it has ended
                os.kill(self._process, signal.SIGKILL)
        return self._answer()

    def has_ended(self) -> bool:
        """Whether the last try that was begun has ended."""
        try:
            os.kill(self._process, 0)
        except ProcessLookupError:
            return True
        return False

    def close(self) -> None:
        """Let the helper end."""
        self._helper.communicate()

    def _answer(self) -> int:
        assert self._helper.stdout is not None
        return int(self._helper.stdout.readline())
