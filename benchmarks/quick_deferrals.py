"""How many attempts a scheduler fails whose tasks come back from the triggerer soon after they were deferred.

    .venv/bin/python benchmarks/quick_deferrals.py [--tasks 20] [--python PATH]

runs mapped tasks that wait ten times for a workflow that has ended, first with events as soon as there is one, then
held back as the provider does, and prints the figures of docs/waiting.md. ``--python``: that of another Airflow.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "scripts"), str(HERE)]

import requests  # noqa: E402
from airflow_runner import AirflowProcesses  # noqa: E402
from journal import database  # noqa: E402
from sandbox_process import API_KEY, SandboxProcess  # noqa: E402

DAG = "quick_deferrals"
ROUNDS = 10
"""Deferrals of each task, one after the other."""
FAILED_BY_AIRFLOW = ("state mismatch", "heartbeat timeout")


def play(airflow: AirflowProcesses, workflow_id: str, tasks: int, *, held: bool) -> str:
    """Run the tasks and return a line of what came of them."""
    started = time.monotonic()
    conf = {"tasks": tasks, "rounds": ROUNDS, "held": held, "workflow_id": workflow_id}
    run_id = airflow.api.trigger_run(DAG, conf, run_id=f"quick-{'held' if held else 'free'}")
    state = airflow.api.wait_run(DAG, run_id, timeout=3600)
    rows = [row for row in airflow.api.task_instances(DAG, run_id) if row["task_id"] == "wait"]
    events = {}
    for event in FAILED_BY_AIRFLOW:
        found = airflow.api.call("GET", "/eventLogs", dag_id=DAG, run_id=run_id, event=event, limit=1)
        events[event] = found["total_entries"]
    failed = sum(row["try_number"] - 1 for row in rows)
    lists = [airflow.api.xcom(DAG, run_id, "wait", map_index=row["map_index"]) for row in rows]
    away = [seconds for found in lists for seconds in found or ()]
    when, seconds = "held back" if held else "at once", time.monotonic() - started
    return (
        f"events {when}: {state}, {len(away)} deferrals, {failed} attempts failed {events}, "
        f"away for {min(away, default=0):.1f} to {max(away, default=0):.1f} s, in {seconds:.0f} s"
    )


def submit(sandbox: SandboxProcess) -> str:
    """Submit a workflow that ends at once, and return its id."""
    body = {"contacts": [{"linkedin_url": "https://www.linkedin.com/in/quick-example"}]}
    headers = {"Authorization": f"Bearer {API_KEY}"}
    url = f"{sandbox.url}/api/v1/public/enrich/bulk"
    answer = requests.post(url, json=body, headers=headers, timeout=30, proxies={"no_proxy": "*"})
    answer.raise_for_status()
    return str(answer.json()["workflow_id"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    version = [options.python, "-c", "import airflow; print(airflow.__version__)"]
    print(
        "Airflow",
        subprocess.run(version, capture_output=True, text=True, check=True).stdout.strip(),
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder, database() as url:
        home = Path(folder)
        with SandboxProcess(home / "sandbox", {"requests-per-minute": 60_000}) as sandbox:
            env = {
                "PYTHONPATH": str(HERE.parent),
                "AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection(requests_per_minute=60_000),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            }
            (home / "dags").mkdir()
            (home / "dags" / "quick.py").symlink_to(HERE / "dags" / "quick_deferrals.py")
            with AirflowProcesses(
                home / "airflow", home / "dags", env=env, python=options.python, parallelism=6
            ) as airflow:
                airflow.api.wait_for_dag(DAG, timeout=180)
                workflow_id = submit(sandbox)
                for held in (False, True):
                    print(play(airflow, workflow_id, options.tasks, held=held), flush=True)


if __name__ == "__main__":
    main()
