"""Set up a local Python environment from a lock file: what both README commands begin with.

Standard library only, and parsable by Python 3.8, so that an old interpreter gets a sentence and not a traceback.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterable, NamedTuple, Sequence  # noqa: UP035 - Python 3.8 must get as far as main

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
BOOTSTRAP_LOCK = ROOT / "requirements" / "bootstrap.txt"
OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 14)
STAMP = ".cleanlist-environment.json"
EXIT_MISSING = 2
EXIT_INTERRUPTED = 130
NETWORK_WORDS = ("resolve", "connect", "network", "timed out", "timeout", "unreachable", "dns error")


class Missing(Exception):  # noqa: N818
    """The machine lacks something; the text says what it is and how to get it."""


class Interrupted(Exception):  # noqa: N818
    """A stop signal (Ctrl-C, SIGTERM, SIGHUP) has arrived."""


class StopSignals:
    """Turn stop signals into a flag that is looked at between steps.

    An exception thrown by a signal handler can hit anywhere, also between the start of a process and the line
    that remembers it. A flag cannot, so nothing that was started is ever forgotten.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def install(self) -> StopSignals:
        """Handle SIGINT, SIGTERM and SIGHUP from now on; return this object."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)
        return self

    def _receive(self, number: int, _frame: object) -> None:
        self.received = signal.Signals(number)

    def check(self) -> None:
        """Raise ``Interrupted`` when a stop signal has arrived."""
        if self.received is not None:
            raise Interrupted(self.received.name)

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise ``Interrupted`` soon after a stop signal arrives."""
        end = time.monotonic() + seconds
        while True:
            self.check()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.2))


class Environment(NamedTuple):
    """A virtual environment: where it is, what is locked in it, how the project itself is put into it."""

    folder: Path
    lock: Path
    editable: bool

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"


DEMO = Environment(ROOT / ".demo" / "venv", ROOT / "requirements" / "demo.txt", editable=False)
DEV = Environment(ROOT / ".venv", ROOT / "requirements" / "dev.txt", editable=True)


def check_python(
    version: tuple[int, int], script: str, which: Callable[[str], str | None] = shutil.which
) -> None:
    """Raise ``Missing`` unless Airflow 3.3 and this project run on the interpreter's version, such as ``(3, 12)``."""
    if OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        return
    names = [f"python3.{minor}" for minor in range(NEWEST_PYTHON[1], OLDEST_PYTHON[1] - 1, -1)]
    found = next((name for name in names if which(name)), None)
    if found:
        advice = f"This machine has {found}: run  {found} {script}"
    else:
        advice = (
            "Install one with your system's package manager (apt install python3.12 python3.12-venv, "
            f"dnf install python3.12, brew install python@3.12), then run  python3.12 {script}"
        )
    raise Missing(f"Python 3.11 to 3.14 is needed; this is Python {version[0]}.{version[1]}.\n{advice}")


def check_modules(find: Callable[[str], object | None] = importlib.util.find_spec) -> None:
    """Raise ``Missing`` when this Python came without the modules that create environments."""
    absent = [name for name in ("venv", "ensurepip") if find(name) is None]
    if absent:
        raise Missing(
            f"This Python lacks the standard module {' and '.join(absent)}, which creates local environments.\n"
            f"Debian and Ubuntu package it apart: apt install python3.{sys.version_info[1]}-venv"
        )


def digest(paths: Iterable[Path]) -> str:
    """Return one hash over the names and contents of files."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def wanted_stamp(environment: Environment) -> dict[str, str]:
    """Return what an up-to-date environment's stamp file holds."""
    sources = [ROOT / "pyproject.toml"]
    if not environment.editable:
        package = ROOT / "airflow_provider_cleanlist"
        sources += [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {
        "python": f"{sys.version} {sys.base_prefix}",
        "locks": digest([BOOTSTRAP_LOCK, environment.lock]),
        "project": digest(sources),
    }


def prepare(environment: Environment, signals: StopSignals, say: Callable[[str], None] = print) -> Path:
    """Create or update an environment so that it holds exactly the locked packages and this checkout.

    Args:
        environment: what to set up. A folder that something else made is installed into, never emptied.
        signals: checked while commands run; a command is killed with its children when one arrives.
        say: receives one line per step; silent when there is nothing to do.

    Returns:
        The environment's interpreter.

    Raises:
        Missing: a step failed; the text holds the end of its output and what to do.
        Interrupted: a stop signal arrived.
    """
    wanted = wanted_stamp(environment)
    stamp = environment.folder / STAMP
    found = json.loads(stamp.read_text()) if stamp.is_file() else {}
    if found == wanted and environment.python.exists():
        return environment.python
    started = time.monotonic()
    shown = environment.folder.relative_to(ROOT)
    if {**found, "project": wanted["project"]} != wanted or not environment.python.exists():
        say(f"Setting up {shown} (the first time, this downloads the locked packages)")
        _create(environment, stamp, signals)
    say(f"Installing this checkout into {shown}")
    uv = [str(environment.folder / "bin" / "uv"), "pip", "install", "--python", str(environment.python)]
    source = ["--editable", str(ROOT)] if environment.editable else ["--reinstall", str(ROOT)]
    _run([*uv, "--no-deps", "--no-build-isolation", *source], signals)
    stamp.write_text(json.dumps(wanted))
    say(f"Environment ready after {time.monotonic() - started:.0f} s")
    return environment.python


def _create(environment: Environment, stamp: Path, signals: StopSignals) -> None:
    """Make the virtual environment and install the locked packages, with uv for its speed."""
    ours = stamp.is_file()
    _run([sys.executable, "-m", "venv"] + (["--clear"] if ours else []) + [str(environment.folder)], signals)
    stamp.write_text("{}")
    python = str(environment.python)
    _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(BOOTSTRAP_LOCK)], signals)
    uv = [str(environment.folder / "bin" / "uv"), "pip", "install", "--python", python]
    _run([*uv, "--require-hashes", "-r", str(environment.lock)], signals, _index_of_pip(python))


def _index_of_pip(python: str) -> dict[str, str]:
    """Return the environment variables that make uv use the index pip is configured for, which uv does not read."""
    if "UV_DEFAULT_INDEX" in os.environ:
        return {}
    command = [python, "-m", "pip", "config", "get", "global.index-url"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    index = os.environ.get("PIP_INDEX_URL") or answer.stdout.decode().strip()
    return {"UV_DEFAULT_INDEX": index} if index else {}


def _run(command: Sequence[str], signals: StopSignals, extra_env: dict[str, str] | None = None) -> None:
    """Run a command in a session of its own, so that stopping it stops its children too."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
    env.update(extra_env or {})
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            cwd=str(ROOT),
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                signals.sleep(0.1)
        except Interrupted:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        output.seek(0)
        if process.returncode != 0:
            raise Missing(explain(command, output.read().decode(errors="replace")))


def explain(command: Sequence[str], output: str) -> str:
    """Return what to tell the user about a set-up command that failed."""
    tail = "\n".join("    " + line for line in output.strip().splitlines()[-15:])
    advice = "The lines above name the cause; the command can be repeated at any time."
    if any(word in output.lower() for word in NETWORK_WORDS):
        advice = (
            "The Python packages could not be downloaded. Check the network connection; behind a proxy set "
            "HTTPS_PROXY, with a package mirror set PIP_INDEX_URL and UV_DEFAULT_INDEX. Then repeat the command."
        )
    return f"Setting up failed in: {' '.join(command[:6])}\n{tail}\n{advice}"


def check_machine(script: str) -> None:
    """Raise ``Missing`` when this Python cannot do what the script, named as a user types it, begins with."""
    check_python(sys.version_info[:2], script)
    check_modules()


def run_plan(plan: Callable[[StopSignals], Sequence[str]]) -> int:
    """Carry out a plan and replace this process by the command it returns.

    Args:
        plan: checks and sets up; receives the stop signals and returns a command line.

    Returns:
        An exit code, only when something is missing (2) or a stop signal arrived (130).
    """
    signals = StopSignals().install()
    try:
        command = plan(signals)
        signals.check()
    except (Missing, OSError) as problem:
        print(problem, file=sys.stderr)
        return EXIT_MISSING
    except Interrupted:
        print("Stopped while setting up; the next run starts over.", file=sys.stderr)
        return EXIT_INTERRUPTED
    sys.stdout.flush()
    # Or else each of Airflow's processes would compile all of Airflow.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.execv(command[0], list(command))
