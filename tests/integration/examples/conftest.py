"""All example DAGs, run once each in one Airflow home and one process, for all tests of this folder."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.sandbox.ledger import SandboxLedger
from airflow_provider_cleanlist.sandbox.server import SandboxServer

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "dags_examples"
GUIDES = HERE.parents[2] / "docs" / "howto"
CRM_ROWS = "SELECT id, first_name, email FROM crm_contacts ORDER BY id"
LOST_BATCHES = """
    UPDATE cleanlist_batches
    SET dag_id = 'submit_contacts', submitted_at = STRFTIME('%Y-%m-%d %H:%M:%f000', 'now', '-2 days')
"""
RUNS: tuple[dict[str, Any], ...] = (
    {"dag": "first_enrichment"},
    {"dag": "contacts_from_sql", "date": "2026-03-02"},  # run by hand, for the day before
    {"dag": "contacts_from_sql", "date": "2026-03-03"},
    {"dag": "contacts_from_sql"},  # without a logical date, for yesterday
    {"dag": "contacts_from_object_storage"},
    {"dag": "contacts_from_dataframe"},
    {"dag": "nightly_refresh", "date": "2026-03-01"},
    {"dag": "nightly_refresh", "date": "2026-03-02"},
    {"dag": "refresh_lead_lists"},
    {"dag": "refresh_when_changed"},
    {"dag": "credit_budget"},
    {"dag": "check_account"},
)
CRM = [
    ("Ada", "Before", "Earlier Ltd", "earlier.example", "2026-02-28 23:59:59"),
    ("Bo", "First", "First Day Ltd", "first-day.example", "2026-03-01 00:00:00"),
    ("Cy", "Also", "First Day Ltd", "first-day.example", "2026-03-01 23:59:59"),
    ("Di", "Second", "Second Day Ltd", "second-day.example", "2026-03-02 12:00:00"),
]
RECENT = [  # whose day, counted from today: one of these is yesterday, even if a run starts after midnight
    ("Ed", "Yesterday", "Recent Ltd", "recent.example", "-1 day"),
    ("Flo", "Today", "Recent Ltd", "recent.example", "0 days"),
]
FILE = [
    {"Vorname": "Eva", "Nachname": "Datei", "Firma": "Email Only GmbH"},
    {"Vorname": "Finn", "Nachname": "Datei", "Firma": "Email Only GmbH"},
    {"Vorname": "Gerd", "Nachname": "", "Firma": "Email Only GmbH"},
]
FRAME = """First Name,Last Name,Company,Lead Status
Hana,Frame,Email Only Ltd,NEW
Ivo,Frame,Email Only Ltd,NEW
Jo,Frame,Email Only Ltd,UNQUALIFIED
Solo,,Email Only Ltd,NEW
"""


def guide_text() -> str:
    """Return the guide of the example that writes back."""
    return (GUIDES / "write-back.md").read_text()


def guide_sql(name: str) -> list[str]:
    """Return the statements of a file that the guide makes."""
    (text,) = re.findall(rf"cat > {name} <<'END'\n(.*?)END\n", guide_text(), re.DOTALL)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def guide_rows(day: int) -> list[str]:
    """Return the rows of the CRM that the guide shows at the end of a day."""
    shown = re.findall(r"python show\.py\n(?:curl .*\n)?```\n```\n(.*?)```", guide_text(), re.DOTALL)
    return [line for line in shown[day - 1].splitlines() if line[0].isdigit()]


def write_back_runs(files: Path) -> list[dict[str, Any]]:
    """Return the two nights of the guide, in a CRM of its own with the ledger in it."""
    crm = json.dumps({"conn_type": "sqlite", "host": str(files / "write_back.db")})
    env = {"AIRFLOW_CONN_CRM": crm, "AIRFLOW__CLEANLIST__LEDGER_CONN_ID": "crm"}
    return [
        {
            "dag": "write_back",
            "date": f"2026-03-0{day}",
            "env": env,
            "before": {"crm": guide_sql(f"day-{day}.sql")},
            "after": {"crm": CRM_ROWS},
        }
        for day in (1, 2)
    ]


def lost_webhooks_run(files: Path) -> dict[str, Any]:
    """Return a run that finds what the two nights have submitted, as if their webhooks were two days late."""
    return {
        "dag": "lost_webhooks",
        "env": {
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(
                {"conn_type": "sqlite", "host": str(files / "write_back.db")}
            )
        },
        "before": {"warehouse": ["DELETE FROM enrichment_results", LOST_BATCHES]},
        "after": {"warehouse": "SELECT workflow_id, COUNT(*) FROM enrichment_results GROUP BY 1 ORDER BY 2"},
    }


@dataclass(frozen=True)
class Examples:
    """What came of the runs.

    Attributes:
        dags: ids of all DAGs in the folder.
        runs: each with its DAG, state, states of task instances, XComs and rows asked for, in order.
        warehouse: SQLite database behind the connection ``warehouse``.
        files: folder behind the variables that name files.
        ledger: what the sandbox was asked.
        log: what Airflow wrote.
    """

    dags: list[str]
    runs: list[dict[str, Any]]
    warehouse: Path
    files: Path
    ledger: SandboxLedger
    log: str

    def of(self, dag: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG."""
        return [run for run in self.runs if run["dag"] == dag]

    @staticmethod
    def returned(run: dict[str, Any], task: str, index: int = -1) -> Any:
        """Return what a task of a run has returned."""
        (value,) = (
            xcom["value"]
            for xcom in run["xcoms"]
            if (xcom["task"], xcom["key"], xcom["index"]) == (task, "return_value", index)
        )
        return value

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        with closing(sqlite3.connect(self.warehouse)) as connection:
            return connection.execute(sql).fetchall()


def write_sources(folder: Path) -> None:
    """Write the contacts that the examples read."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "crm.db")) as connection, connection:
        connection.execute("CREATE TABLE crm_contacts (first_name, last_name, company, website, created_on)")
        noons = "SELECT ?, ?, ?, ?, DATE('now', ?) || ' 12:00:00'"
        connection.executemany("INSERT INTO crm_contacts VALUES (?, ?, ?, ?, ?)", CRM)
        connection.executemany(f"INSERT INTO crm_contacts {noons}", RECENT)
    lines = "\n".join(map(json.dumps, FILE))
    (folder / "contacts.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (folder / "export.csv").write_text(FRAME)


def plain_environment(home: Path) -> dict[str, str]:
    """Return an Airflow of its own that has the examples as its DAGs."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    return env | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }


def environment(home: Path, files: Path, sandbox: SandboxServer) -> dict[str, str]:
    """Return an Airflow of its own whose Cleanlist connection comes from a secrets backend."""
    secrets = home / "connections.json"
    secrets.write_text(json.dumps({"cleanlist_default": json.loads(sandbox.connection_json())}))
    return plain_environment(home) | {
        "AIRFLOW__CLEANLIST__JOURNAL_PATH": str(home / "journal"),
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(secrets)}),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(home / "warehouse.db")}),
        "AIRFLOW_CONN_CRM": json.dumps({"conn_type": "sqlite", "host": str(files / "crm.db")}),
        "AIRFLOW_VAR_CONTACTS_URI": f"file://{files}/contacts.jsonl.gz",
        "AIRFLOW_VAR_CONTACTS_FOLDER": f"file://{files}",
        "AIRFLOW_VAR_CLEANLIST_LISTS": '["Extension Leads", "Prospects"]',
    }


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's database as ``airflow db migrate`` makes it, to be copied."""
    home = tmp_path_factory.mktemp("database")
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=plain_environment(home), check=True, capture_output=True)
    return home / "airflow.db"


@pytest.fixture
def airflow_env(empty_database: Path, tmp_path: Path) -> dict[str, str]:
    """An Airflow for one test, with the examples as its DAGs and nothing else."""
    shutil.copy(empty_database, tmp_path)
    return plain_environment(tmp_path)


@pytest.fixture(scope="session")
def examples(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    home = tmp_path_factory.mktemp("examples")
    shutil.copy(empty_database, home)
    files = home / "files"
    write_sources(files)
    runs = [*RUNS, *write_back_runs(files), lost_webhooks_run(files)]  # the last ones change the environment
    (home / "runs.json").write_text(json.dumps(runs))
    command = [sys.executable, HERE / "run_examples.py", EXAMPLES, home / "runs.json", home / "result.json"]
    with SandboxServer(requests_per_minute=100_000) as sandbox:
        sandbox.state.add_leads("Prospects", 7)
        env = environment(home, files, sandbox)
        done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=1400)
        log = done.stdout + done.stderr
        assert done.returncode == 0, log[-5000:]
        result = json.loads((home / "result.json").read_text())
        yield Examples(**result, warehouse=home / "warehouse.db", files=files, ledger=sandbox.ledger, log=log)
