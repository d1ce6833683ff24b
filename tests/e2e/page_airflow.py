"""Airflow with users of different rights, and a ledger that holds a year of submissions of its DAGs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import requests
from airflow_api import AirflowApi
from airflow_runner import COMPONENTS, AirflowProcesses
from seeded_ledger import OpenTask, SeededTask, seed

if TYPE_CHECKING:
    from sandbox_process import SandboxProcess

PASSWORDS = {name: f"password-of-{name}" for name in ("admin", "viewer", "nobody")}
USERS = "admin:admin,viewer:viewer,nobody:"
"""An administrator, one who may look, and one who may log in and nothing else."""
RUN_ID = "manual__2026-11-30T02:00:00+00:00"
"""With a plus sign, which Airflow 3.1 leaves as it is in the address of a plugin's page."""
TASKS = (
    SeededTask("crm_nightly", "enrich", "full", 1_600),
    SeededTask("event_leads", "enrich_files", "partial", 900),
    SeededTask("partner_lists", "enrich", "partial", 450),
    SeededTask("sales_calls", "enrich", "phone_only", 250),
    SeededTask("webinar_signups", "enrich", "full", 380),
    SeededTask("of_another_airflow", "enrich", "full", 300),
)
"""What is seeded: 1,000,000 contacts in a year."""
OPEN_TASKS = (
    OpenTask("webinar_signups", RUN_ID, "enrich", -1, "intent", 1),
    OpenTask("crm_nightly", RUN_ID, "enrich", -1, "accepted", 8),
    OpenTask("event_leads", RUN_ID, "enrich_files", 1, "accepted", 4),
)
UNKNOWN_TASKS = (
    OpenTask("sales_calls", RUN_ID, "enrich", -1, "unknown", 1),
    OpenTask("event_leads", RUN_ID, "enrich_files", 2, "unknown", 2),
)


def log_in(base_url: str, user: str) -> str:
    """Return a token of a user."""
    body = {"username": user, "password": PASSWORDS[user]}
    answer = requests.post(f"{base_url}/auth/token", json=body, timeout=60, proxies={"no_proxy": "*"})
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def with_users(home: Path) -> dict[str, str]:
    """Return the environment of an Airflow whose users log in."""
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS), encoding="utf-8")
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": USERS,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }


def with_ledger(ledger: Path) -> dict[str, str]:
    """Return the environment of an Airflow whose ledger is a SQLite file."""
    return {
        "AIRFLOW_CONN_LEDGER": json.dumps({"conn_type": "sqlite", "host": str(ledger)}),
        "AIRFLOW__CLEANLIST__LEDGER_CONN_ID": "ledger",
    }


def seed_year(ledger: Path, sandbox: SandboxProcess, open_tasks: tuple[OpenTask, ...]) -> int:
    """Seed a SQLite file with a year of the sandbox's organisation; return how many contacts that are."""
    answer = requests.post(
        f"{sandbox.url}/sandbox/organization", json={}, timeout=30, proxies={"no_proxy": "*"}
    )
    answer.raise_for_status()
    return seed(f"sqlite:///{ledger}", answer.json()["organization_id"], datetime.now(UTC), TASKS, open_tasks)


class PageAirflow(AirflowProcesses):
    """What shows the page: API server and DAG processor. The DAGs have a run each, which never starts.

    Args:
        home: Folder of everything.
        sandbox: The Cleanlist behind its connection.
        ledger: The SQLite file of its ledger.
        path: The path below which the API server is reached.
        python: The interpreter that Airflow is installed for.
    """

    commands: ClassVar[Mapping[str, tuple[str, ...]]] = {
        name: COMPONENTS[name] for name in ("api-server", "dag-processor")
    }
    health_names: ClassVar[tuple[str, ...]] = ("metadatabase", "dag_processor")

    def __init__(
        self, home: Path, sandbox: SandboxProcess, ledger: Path, path: str = "", python: str = sys.executable
    ) -> None:
        here = Path(__file__).resolve().parent
        env = with_users(home) | with_ledger(ledger)
        env |= {"AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection(), "PYTHONPATH": str(here.parents[1])}
        super().__init__(home / "airflow", here / "dags_page", env=env, python=python)
        self.base_url += path
        self.env["AIRFLOW__API__BASE_URL"] = self.base_url
        self.api = AirflowApi(self.base_url)

    def make_runs(self) -> None:
        """Make the runs that the ledger knows."""
        self.api.use_token(log_in(self.base_url, "admin"))
        for dag_id in sorted({task.dag_id for task in OPEN_TASKS + UNKNOWN_TASKS}):
            self.api.wait_for_dag(dag_id)
            self.api.trigger_run(dag_id, run_id=RUN_ID)
