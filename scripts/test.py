"""All tests on this machine with one command: ``python3 scripts/test.py [--fast] [pytest arguments]``.

Needs git and Python 3.11 or later. Creates the development environment ``.venv``, then runs pytest in it: unit,
integration and end-to-end tests, or with ``--fast`` the unit tests only.
"""

from __future__ import annotations

import os
import sys
from typing import Sequence  # noqa: UP035 - Python 3.8 must get as far as the message

import _bootstrap

SLOW = ("--ignore=tests/integration", "--ignore=tests/e2e")
SLOWEST_FIRST = ("tests/e2e", "tests/integration", "tests/unit")
IN_PARALLEL = ("-n", "3")
"""One more than a small machine has cores, because tests of real processes mostly wait."""


def pytest_arguments(argv: Sequence[str]) -> list[str]:
    """Return pytest's arguments for the arguments of this script: its own choice only when it got none."""
    fast = "--fast" in argv
    others = [argument for argument in argv if argument != "--fast"]
    if not others:
        others = [*IN_PARALLEL, *(SLOWEST_FIRST[-1:] if fast else SLOWEST_FIRST)]
    return [*SLOW, *others] if fast else others


def plan(signals: _bootstrap.StopSignals) -> list[str]:
    """Check the machine, set up the environment and return the command that runs the tests in it."""
    _bootstrap.check_machine("scripts/test.py")
    python = _bootstrap.prepare(_bootstrap.DEV, signals)
    os.chdir(_bootstrap.ROOT)
    return [str(python), "-m", "pytest", *pytest_arguments(sys.argv[1:])]


if __name__ == "__main__":
    sys.exit(_bootstrap.run_plan(plan))
