"""What hundreds of deferred tasks cost a real triggerer: processor time, and how late its event loop is.

    .venv/bin/python benchmarks/triggerer.py

prints the table of docs/benchmarks.md, "Triggerer". A real ``airflow triggerer`` runs one trigger per task on workflows
that do not end, with the usual budget of 60 requests a minute, beside one without any trigger.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from airflow_runner import airflow_settings, clean_environment, free_port  # noqa: E402
from process_group import ProcessGroup, processes  # noqa: E402

from airflow_provider_cleanlist.client.client import CleanlistClient  # noqa: E402
from airflow_provider_cleanlist.client.enrichment import Contact  # noqa: E402
from airflow_provider_cleanlist.client.rate_limit.core import Budget  # noqa: E402
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter  # noqa: E402
from airflow_provider_cleanlist.client.settings import build_settings  # noqa: E402
from airflow_provider_cleanlist.sandbox.server import SandboxServer  # noqa: E402
from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger  # noqa: E402
from airflow_provider_cleanlist.waiting.wait import WaitRequest  # noqa: E402

HELPER = ROOT / "tests" / "integration" / "waiting" / "deferred_tasks.py"
LATE = 0.15
"""Airflow's watchdog sleeps 0.1 s and complains when it took longer than this: the loop was 50 ms late."""
STATUS = "enrich_status"


def submit(server: SandboxServer, workflows: int) -> list[str]:
    """Submit workflows without using up the allowance."""
    allowed, server.settings.requests_per_minute = server.settings.requests_per_minute, 1_000_000
    client = CleanlistClient(
        build_settings(server.url, server.api_key, {}), MemoryRateLimiter(Budget(1_000_000, 1.0))
    )
    people = [Contact(linkedin_url="https://www.linkedin.com/in/person")]
    ids = [client.submit_bulk_enrichment(people).workflow_id for _ in range(workflows)]
    server.settings.requests_per_minute = allowed
    server.state.limiter.reset()
    return ids


class Home:
    """An Airflow with a migrated database, a triggerer, and a process that defers tasks in it."""

    def __init__(self, path: Path, sandbox: SandboxServer) -> None:
        self._log = path / "triggerer.log"
        (path / "airflow.cfg").touch()
        self._env = (
            clean_environment()
            | airflow_settings(path, path / "dags", free_port(), "LocalExecutor", 2)
            | {
                "AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection_json(),
                "AIRFLOW__TRIGGERER__BLOCKED_MAIN_THREAD_WARNING_THRESHOLD": str(LATE),
            }
        )
        airflow = [sys.executable, "-m", "airflow"]
        subprocess.run([*airflow, "db", "migrate"], env=self._env, check=True, capture_output=True)
        self._group = ProcessGroup(
            "triggerer", [*airflow, "triggerer", "--skip-serve-logs"], self._log, self._env, path
        )
        self._helper = subprocess.Popen(
            [sys.executable, str(HELPER), str(path / "dags")],
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def start(self) -> None:
        self._group.start()

    def close(self) -> None:
        self._group.stop(3.0)
        assert self._helper.stdin is not None
        self._helper.stdin.close()
        self._helper.wait(20)

    def defer(self, workflow_ids: list[str]) -> None:
        now = time.time()
        requests = [
            WorkflowTrigger.of(
                WaitRequest("cleanlist_default", (workflow_id,), submitted_at=now, deadline=now + 3600)
            ).serialize()[1]
            for workflow_id in workflow_ids
        ]
        assert self._helper.stdin is not None
        self._helper.stdin.write(json.dumps({"do": "defer", "requests": requests}) + "\n")
        self._helper.stdin.flush()
        self._answer()

    def _answer(self) -> Any:
        assert self._helper.stdout is not None
        return json.loads(self._helper.stdout.readline())

    def cpu_seconds(self) -> float:
        """Processor time of the triggerer and its runner."""
        ticks = 0
        for row in processes():
            if row.session == self._group.pid:
                fields = Path(f"/proc/{row.pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def late_wakes(self) -> int:
        return self._log.read_text().count("async thread was blocked")


def measure(triggers: int, settle: float, seconds: float) -> str:
    with (
        tempfile.TemporaryDirectory() as folder,
        SandboxServer(seconds_to_complete=1e9, credits=10_000_000) as sandbox,
    ):
        home = Home(Path(folder), sandbox)
        try:
            if triggers:
                home.defer(submit(sandbox, triggers))
            home.start()
            time.sleep(settle)
            cpu, late = home.cpu_seconds(), home.late_wakes()
            asked = len(sandbox.ledger.requests(endpoint=STATUS))
            time.sleep(seconds)
            cpu, late = home.cpu_seconds() - cpu, home.late_wakes() - late
            asked = len(sandbox.ledger.requests(endpoint=STATUS)) - asked
            refused = len(sandbox.ledger.requests(status=429))
        finally:
            home.close()
    wakes = seconds / 0.1
    return (
        f"| {triggers} | {100 * cpu / seconds:.1f} % | {late} of {wakes:.0f} ({100 * late / wakes:.2f} %) | "
        f"{asked * 60 / seconds:.0f} | {refused} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triggers", type=int, nargs="+", default=[0, 500])
    parser.add_argument("--settle", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    print("| triggers | of one core | loop late by more than 50 ms | requests a minute | 429s |")
    print("|---|---|---|---|---|")
    for triggers in arguments.triggers:
        print(measure(triggers, arguments.settle, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
