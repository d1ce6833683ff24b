"""One run of all DAGs, in a process and an Airflow home of their own, for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.sandbox.ledger import SandboxLedger
from airflow_provider_cleanlist.sandbox.server import SandboxServer

HERE = Path(__file__).parent
PAGE = "https://portal.example"


@dataclass(frozen=True)
class Outcome:
    """What came of the runs.

    Attributes:
        runs: State, tasks and XComs by DAG.
        events: Asset events.
        complaints: Deprecation warnings that this package brought about.
        ledger: What the sandbox was asked.
        warehouse: SQLite database of the loads.
        lineage: Events that OpenLineage would have sent.
        log: What Airflow wrote.
    """

    runs: dict[str, Any]
    events: list[dict[str, Any]]
    complaints: list[str]
    ledger: SandboxLedger
    warehouse: Path
    lineage: list[dict[str, Any]]
    log: str

    def states(self, dag: str) -> dict[str, list[str]]:
        """Return the states of a run's task instances by task."""
        states: dict[str, list[str]] = {}
        for task in sorted(self.runs[dag]["tasks"], key=lambda task: task["index"]):
            states.setdefault(task["task"], []).append(task["state"])
        return states

    def links(self, dag: str) -> dict[str, list[str]]:
        """Return where the extra links of a run's tasks lead."""
        kept: dict[str, list[str]] = {}
        for xcom in self.runs[dag]["xcoms"]:
            if xcom["key"].startswith("_link_"):
                link = json.loads(xcom["value"]) if xcom["value"][0] == '"' else xcom["value"]
                kept.setdefault(xcom["task"], []).append(link)
        return kept or self.runs[dag]["links"]

    def xcom(self, dag: str, task: str, key: str = "return_value", index: int = -1) -> Any:
        """Return an XCom of a run."""
        (found,) = (
            xcom["value"]
            for xcom in self.runs[dag]["xcoms"]
            if (xcom["task"], xcom["key"], xcom["index"]) == (task, key, index)
        )
        return json.loads(found) if isinstance(found, str) else found


def airflow_environment(home: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return env | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        "AIRFLOW__CLEANLIST__PORTAL_WORKFLOW_URL": f"{PAGE}/w/{{workflow_id}}",
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(home / "lineage.jsonl"), "append": True}
        ),
    }


@pytest.fixture(scope="session")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    home = tmp_path_factory.mktemp("airflow")
    contacts = home / "contacts"
    contacts.mkdir()
    for number, count in enumerate((1, 2, 5)):
        rows = [f"Zofia,Mapped{number}x{row},harborlight.example" for row in range(count)]
        text = "\n".join(["first_name,last_name,company_domain", *rows])
        (contacts / f"{number}.csv").write_text(text)
    with SandboxServer(requests_per_minute=100_000, polls_to_complete=1) as sandbox:
        lists = [sandbox.state.add_leads(name, count) for name, count in (("A", 25), ("B", 12))]
        connection = json.loads(sandbox.connection_json())
        env = airflow_environment(home) | {
            "CONTACTS_FOLDER": str(contacts),
            "LIST_IDS": " ".join(entry.list_id for entry in lists),
            "AIRFLOW_CONN_CLEANLIST_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_BAD_KEY": json.dumps(connection | {"password": "clapi_wrong"}),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(home / "warehouse.db")}),
        }
        for command in (("db", "migrate"), ("dags", "reserialize")):  # the second one registers the assets
            subprocess.run(
                [sys.executable, "-m", "airflow", *command], env=env, check=True, capture_output=True
            )
        done = subprocess.run(
            [sys.executable, HERE / "run_dags.py", HERE / "dags" / "provider_dags.py", home / "result.json"],
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=1400,  # before 3.3 every task start builds Airflow's API anew, in 5 to 14 s
        )
        log = done.stdout + done.stderr
        assert done.returncode == 0, log[-5000:]
        result = json.loads((home / "result.json").read_text())
        lineage = [json.loads(line) for line in (home / "lineage.jsonl").read_text().splitlines()]
        yield Outcome(
            **result, ledger=sandbox.ledger, warehouse=home / "warehouse.db", lineage=lineage, log=log
        )
