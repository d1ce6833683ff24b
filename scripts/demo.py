"""The main job on this machine with one command: ``python3 scripts/demo.py``.

Needs git and Python 3.11 or later. Creates an environment in the checkout's ignored folder ``.demo``, then goes on
there with ``demo_run.py``: a local Cleanlist, a real Airflow, the example DAG on the example contacts, a summary.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import socket
import sys
from pathlib import Path
from typing import IO, Sequence  # noqa: UP035 - Python 3.8 must get as far as main

import _bootstrap

FOLDER = _bootstrap.ROOT / ".demo"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description="Run the example DAG in a real Airflow against a local Cleanlist."
    )
    parser.add_argument("--port", type=int, help="port of the Airflow UI (default: any free one)")
    parser.add_argument("--keep", action="store_true", help="keep Airflow running afterwards, until Ctrl-C")
    parser.add_argument(
        "--fresh", action="store_true", help="first remove everything that earlier runs have left"
    )
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where runs keep their files (default: .demo)"
    )
    return parser.parse_args(argv)


def check_port(port: int | None) -> None:
    """Raise ``Missing`` when something listens on the port that was asked for."""
    if port is None:
        return
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise _bootstrap.Missing(
                f"Port {port} cannot be used: {error}.\n"
                "Choose another with --port, or leave the option out: then any free port is taken."
            ) from None


def lock(folder: Path) -> IO[str]:
    """Return the folder's lock, held until the file is closed, or raise ``Missing`` when another run holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise _bootstrap.Missing(
            f"Another demo is running in {folder}. Stop it with Ctrl-C in its terminal, or wait for its end."
        ) from None
    return file


def clear(folder: Path) -> None:
    """Remove what runs have left in a folder, except for its lock."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "lock":
            entry.unlink()


def plan(signals: _bootstrap.StopSignals) -> list[str]:
    """Check the machine, set up the environment and return the command that goes on in it."""
    options = arguments()
    _bootstrap.check_machine("scripts/demo.py")
    check_port(options.port)
    with lock(options.folder):
        if options.fresh:
            clear(options.folder)
        python = _bootstrap.prepare(_bootstrap.DEMO, signals)
    return [str(python), str(_bootstrap.SCRIPTS / "demo_run.py"), *sys.argv[1:]]


if __name__ == "__main__":
    sys.exit(_bootstrap.run_plan(plan))
