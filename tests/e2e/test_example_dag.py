"""The example DAG in a real Airflow: what it submits, loads and says about people."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sandbox_process import API_KEY, SandboxProcess

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG_ID = "enrich_contacts_to_warehouse"
TASKS = ("enrich", "wait", "load", "summarise")


@pytest.fixture(scope="module")
def run_id(airflow: AirflowProcesses) -> str:
    """A run of the example DAG that has ended."""
    airflow.api.wait_for_dag(DAG_ID)
    run_id = airflow.api.trigger_run(DAG_ID)
    state = airflow.api.wait_run(DAG_ID, run_id, timeout=240)
    states = airflow.api.task_states(DAG_ID, run_id)
    logs = "\n".join(
        airflow.api.task_log(DAG_ID, run_id, task, 1)
        for task in TASKS
        if states[task] not in ("none", "success")
    )
    assert state == "success", f"{states}\n{logs}"
    return run_id


@pytest.fixture(scope="module")
def xcoms(airflow: AirflowProcesses, run_id: str) -> dict[str, dict[str, object]]:
    """What each task has returned."""
    return {task: airflow.api.xcom(DAG_ID, run_id, task) for task in TASKS}


@pytest.fixture(scope="module")
def rows(run_id: str, warehouse: Path) -> list[sqlite3.Row]:
    """The table that the run has filled."""
    with closing(sqlite3.connect(warehouse)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT * FROM cleanlist_leads").fetchall()


def test_wait_went_through_the_triggerer(airflow, run_id):
    (log,) = (airflow.home / "logs").glob(f"*/run_id={run_id}/task_id=wait/*.trigger.*.log")
    assert re.search("Trigger fired event|fired: TriggerEvent", log.read_text())


def test_each_contact_is_submitted_and_billed_once(run_id, xcoms, sandbox: SandboxProcess):
    ledger = sandbox.ledger()
    assert ledger["contacts_submitted"] == xcoms["enrich"]["contacts_submitted"] > 0
    assert ledger["accepted_submits"] == xcoms["enrich"]["batches"] == len(xcoms["enrich"]["workflow_ids"])
    assert ledger["contacts_submitted_twice"] == 0
    assert ledger["contacts_billed_twice"] == 0
    assert 0 < ledger["credits_charged"] <= xcoms["enrich"]["worst_case_credits"]


def test_no_request_was_refused_or_failed(run_id, sandbox: SandboxProcess):
    statuses = {status for row in sandbox.ledger()["requests_by_endpoint"].values() for status in row}
    assert statuses <= {"200", "201", "202"}


def test_contacts_read_are_accounted_for(xcoms):
    enriched = xcoms["enrich"]
    parts = ("contacts_submitted", "duplicates_dropped", "invalid_contacts")
    assert enriched["contacts_read"] == sum(enriched[part] for part in parts)
    assert all(enriched[part] > 0 for part in parts), "the example file holds duplicates and unusable rows"


def test_wait_reports_what_was_found(xcoms):
    waited = xcoms["wait"]
    assert waited["workflows"] == waited["completed"] == xcoms["enrich"]["batches"]
    assert (waited["failed"], waited["failed_workflow_ids"]) == (0, [])
    assert waited["total"] == xcoms["enrich"]["contacts_submitted"]
    assert waited["emails_found"] > 0


def test_table_holds_each_lead_once(xcoms, rows):
    loaded = xcoms["load"]
    assert len(rows) == loaded["rows_written"] == loaded["rows_read"] == xcoms["enrich"]["contacts_submitted"]
    assert len({row["lead_id"] for row in rows}) == len(rows)
    assert {row["_cleanlist_list_id"] for row in rows} == {loaded["list_id"]}


def test_table_holds_the_emails_and_phones_that_were_found(xcoms, rows):
    assert sum(row["email"] is not None for row in rows) == xcoms["wait"]["emails_found"]
    assert sum(row["phone"] is not None for row in rows) == xcoms["wait"]["phones_found"]


def test_personal_data_and_the_key_stay_out_of_airflow(airflow, run_id, rows):
    """No email, phone, profile or full name of anyone in the table, in logs, XComs or rendered fields."""
    said = [json.dumps(airflow.api.task_instances(DAG_ID, run_id), ensure_ascii=False)]
    for task in TASKS:
        entries = airflow.api.call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries")
        said += [
            json.dumps(airflow.api.xcom(DAG_ID, run_id, task, entry["key"]), ensure_ascii=False)
            for entry in entries["xcom_entries"]
        ]
    logs = [path.read_text(errors="replace") for path in (airflow.home / "logs").rglob("*.log")]
    assert len(logs) >= len(TASKS)
    text = "\n".join(said + logs)
    assert "contacts_submitted" in text, "the text searched does hold what the tasks said"
    secrets = {API_KEY} | {row[column] for row in rows for column in ("email", "phone", "linkedin_url")}
    secrets |= {
        f"{row['first_name']} {row['last_name']}" for row in rows if row["first_name"] and row["last_name"]
    }
    found = [secret for secret in secrets - {None} if secret in text]
    assert found == []
