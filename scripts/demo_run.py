"""What ``demo.py`` goes on with inside the demo's environment: sandbox, Airflow, one DAG run, a summary."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import _bootstrap
import demo
import demo_summary
import requests
from _bootstrap import Interrupted, Missing, StopSignals
from airflow_runner import AirflowProcessError, AirflowProcesses
from process_group import ProcessesLeftError, adopt_orphans, end_descendants
from sandbox_process import SandboxError, SandboxProcess

DAG_ID = "enrich_contacts_to_warehouse"
DAGS = _bootstrap.ROOT / "dags_examples"
TABLE = "cleanlist_leads"
RUN_TIMEOUT = 300.0
SANDBOX_OPTIONS: dict[str, int | float | str] = {"seconds-to-complete": 8, "credits": 20_000}
PROBLEMS = (
    AirflowProcessError,
    SandboxError,
    ProcessesLeftError,
    TimeoutError,
    requests.RequestException,
    sqlite3.Error,
)


class Progress:
    """Prints one line per event with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._states: dict[str, str] = {}

    def say(self, text: str) -> None:
        """Print a line."""
        print(f"[{time.monotonic() - self._start:4.0f} s] {text}", flush=True)

    def task_states(self, states: dict[str, str]) -> None:
        """Print the tasks whose state has changed."""
        changed = [
            f"{task} {state}" for task, state in states.items() if self._states.get(task, "none") != state
        ]
        self._states = states
        if changed:
            self.say("  " + ", ".join(changed))


def create_airflow(
    folder: Path, sandbox: SandboxProcess, port: int | None, signals: StopSignals, progress: Progress
) -> AirflowProcesses:
    """Return an Airflow, not started, with the example DAGs and connections to the sandbox and to an SQLite file."""
    version = importlib.metadata.version("apache-airflow-core")
    warehouse = {"conn_type": "sqlite", "host": str(folder / "warehouse.db")}
    connections = {"CLEANLIST_DEFAULT": sandbox.connection(), "WAREHOUSE": json.dumps(warehouse)}
    return AirflowProcesses(
        folder / "airflow",
        DAGS,
        env={f"AIRFLOW_CONN_{name}": value for name, value in connections.items()},
        port=port,
        database_template=folder / f"airflow-{version}-empty.db",
        sleep=signals.sleep,
        say=lambda text: progress.say(f"Airflow: {text}"),
    )


def run_demo(options: argparse.Namespace, signals: StopSignals, progress: Progress) -> int:
    """Start everything, run the DAG once, print what came of it and stop everything; return the exit code.

    Sandbox, Airflow's database and the table are new and empty each time, like the state of a fresh account.
    """
    folder = options.folder.resolve()
    shutil.rmtree(folder / "airflow", ignore_errors=True)
    (folder / "warehouse.db").unlink(missing_ok=True)
    with SandboxProcess(folder / "sandbox", SANDBOX_OPTIONS, sleep=signals.sleep) as sandbox:
        progress.say(f"Cleanlist: a local one on {sandbox.url}; nothing leaves this machine")
        airflow = create_airflow(folder, sandbox, options.port, signals, progress)
        with airflow:
            progress.say(f"Airflow: healthy, UI at {airflow.base_url}")
            credits = sandbox.credits()
            run_id, state = run_dag(airflow, progress)
            if state == "success":
                print(f"\n{summary(airflow, run_id, (credits, sandbox.credits()), folder / 'warehouse.db')}")
            else:
                print(
                    f"\nThe run {run_id} of {DAG_ID}: {state}.\n{failed_tasks(airflow, run_id)}",
                    file=sys.stderr,
                )
            if options.keep:
                keep(airflow, signals)
            else:
                print(
                    "To click around in Airflow after a run:\n  python3 scripts/demo.py --keep\n", flush=True
                )
    return 0 if state == "success" else 1


def run_dag(airflow: AirflowProcesses, progress: Progress) -> tuple[str, str]:
    """Trigger the example DAG, follow the run and return its id and state, ``unfinished`` when it takes too long."""
    airflow.api.wait_for_dag(DAG_ID)
    run_id = airflow.api.trigger_run(DAG_ID)
    progress.say(f"DAG {DAG_ID}: run {run_id}")
    try:
        state = airflow.api.wait_run(DAG_ID, run_id, RUN_TIMEOUT, progress.task_states)
    except TimeoutError:
        state = "unfinished"
    progress.say(f"DAG {DAG_ID}: {state}")
    return run_id, state


def summary(airflow: AirflowProcesses, run_id: str, credits: tuple[float, float], database: Path) -> str:
    """Return what came of a successful run."""
    enriched, waited, loaded = (
        airflow.api.xcom(DAG_ID, run_id, task_id) for task_id in ("enrich", "wait", "load")
    )
    table = demo_summary.read_table(database, TABLE)
    return demo_summary.render(
        demo_summary.figures(enriched, waited, loaded, credits), TABLE, table, database
    )


def failed_tasks(airflow: AirflowProcesses, run_id: str) -> str:
    """Return the end of the log of every task that has failed for good or waits for its next try."""
    parts = []
    for row in airflow.api.task_instances(DAG_ID, run_id):
        if row["state"] in ("failed", "up_for_retry"):
            log = airflow.api.task_log(DAG_ID, run_id, row["task_id"], row["try_number"], row["map_index"])
            lines = [line for line in log.splitlines() if "group::" not in line]
            parts += [f"--- end of the log of task {row['task_id']}:", *lines[-25:]]
    return "\n".join(parts)


def keep(airflow: AirflowProcesses, signals: StopSignals) -> None:
    """Leave everything running until a stop signal arrives."""
    print(f"Airflow stays at {airflow.base_url} (no password), DAG {DAG_ID}. Ctrl-C stops it.\n", flush=True)
    try:
        while True:
            signals.sleep(3600)
    except Interrupted:
        return


def main() -> int:
    """Run the demo; whatever happens, stop every process and look whether any is left."""
    options = demo.arguments()
    signals = StopSignals().install()
    adopt_orphans()
    progress = Progress()
    try:
        with demo.lock(options.folder):
            code = run_demo(options, signals, progress)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return _bootstrap.EXIT_MISSING
    except Interrupted as interrupted:
        progress.say(f"stopped by {interrupted}")
        code = _bootstrap.EXIT_INTERRUPTED
    except PROBLEMS as problem:
        print(f"\nThe demo has failed: {problem}", file=sys.stderr)
        code = 1
    end_descendants()
    progress.say("everything is stopped, no process is left")
    return code


if __name__ == "__main__":
    sys.exit(main())
