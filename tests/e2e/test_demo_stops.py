"""The demo stopped in the middle: nothing it has started is left, and it can be started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_group import Process, living_descendants, processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DEMO_RUN = Path(__file__).resolve().parents[2] / "scripts" / "demo_run.py"


def stop_at(folder: Path, line: str, signal_number: signal.Signals) -> tuple[int, str, set[Process]]:
    """Start the demo, send it a signal once it has said something.

    Returns:
        Its exit code, its output, and the processes that it had started by then.
    """
    output = folder / "output.txt"
    folder.mkdir(exist_ok=True)
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, str(DEMO_RUN), "--folder", str(folder)],
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 300
        while line not in output.read_text():
            assert demo.poll() is None, output.read_text()
            assert time.monotonic() < end, output.read_text()
            time.sleep(0.1)
        time.sleep(1)
        started = living_descendants(demo.pid)
        demo.send_signal(signal_number)
        return demo.wait(timeout=40), output.read_text(), started
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(timeout=40)


def still_alive(started: set[Process]) -> set[Process]:
    """Return the processes that live, those of their groups and sessions, and those below them."""
    pids = {row.pid for row in started}
    identities = {(row.pid, row.started) for row in started}
    return {
        row
        for row in processes()
        if not row.zombie
        and (
            (row.pid, row.started) in identities
            or row.group in pids
            or row.session in pids
            or row.parent in pids
        )
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.mark.parametrize(
    ("line", "signal_number", "least_processes"),
    [
        pytest.param(
            "creating Airflow's database", signal.SIGTERM, 2, id="SIGTERM while the database is created"
        ),
        pytest.param("wait deferred", signal.SIGINT, 8, id="Ctrl-C while a task is deferred"),
        pytest.param(
            "starting api-server", signal.SIGHUP, 5, id="terminal closed while Airflow starts, second run"
        ),
    ],
)
def test_stopped_demo_leaves_no_process(folder, line, signal_number, least_processes):
    code, output, started = stop_at(folder, line, signal_number)
    assert len(started) >= least_processes, "the test looked while something was running"
    assert code == 130, output
    assert f"stopped by {signal_number.name}" in output
    assert "no process is left" in output
    assert "Traceback" not in output
    assert still_alive(started) == set()
