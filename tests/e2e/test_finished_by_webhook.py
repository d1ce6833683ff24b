"""The example DAG that no task waits for: webhook, asset event, DAG run, table, on a real scheduler and API server."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses
    from sandbox_process import SandboxProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SUBMIT, FINISHED = "submit_contacts", "enrichment_finished"


def status_requests(sandbox: SandboxProcess) -> int:
    return sum(sandbox.ledger()["requests_by_endpoint"].get("enrich_status", {}).values())


@pytest.fixture(scope="module")
def enriched(airflow: AirflowProcesses, sandbox: SandboxProcess) -> dict[str, Any]:
    """What the submitting task returned, after its webhooks have started runs that have ended."""
    for dag_id in (SUBMIT, FINISHED):
        airflow.api.wait_for_dag(dag_id)
    airflow.api.call("PATCH", f"/dags/{FINISHED}", {"is_paused": False})
    asked = status_requests(sandbox)
    run_id = airflow.api.trigger_run(SUBMIT)
    assert airflow.api.wait_run(SUBMIT, run_id, timeout=240) == "success"
    result = airflow.api.xcom(SUBMIT, run_id, "enrich")
    deadline = time.monotonic() + 240
    while set(loaded_workflows(airflow)) != set(result["workflow_ids"]):
        assert time.monotonic() < deadline, runs(airflow)
        time.sleep(0.5)
    return {**result, "status_requests": status_requests(sandbox) - asked}


def runs(airflow: AirflowProcesses) -> list[dict[str, Any]]:
    found = airflow.api.call("GET", f"/dags/{FINISHED}/dagRuns")["dag_runs"]
    return [run for run in found if run["state"] != "failed"]


def loaded_workflows(airflow: AirflowProcesses) -> list[str]:
    """Return the workflows that runs which ended well were started by."""
    done = [run["dag_run_id"] for run in runs(airflow) if run["state"] == "success"]
    return [one for run_id in done for one in airflow.api.xcom(FINISHED, run_id, "finished_workflows")]


def test_each_webhook_starts_one_run_or_shares_one(airflow, enriched):
    assert sorted(loaded_workflows(airflow)) == sorted(enriched["workflow_ids"])
    assert len(enriched["workflow_ids"]) > 1
    assert {run["run_type"] for run in runs(airflow)} == {"asset_triggered"}


def test_every_contact_is_in_the_table_once(enriched, warehouse: Path):
    with closing(sqlite3.connect(warehouse)) as connection:
        task_ids = [row[0] for row in connection.execute("SELECT task_id FROM enrichment_results")]
        workflows = {row[0] for row in connection.execute("SELECT workflow_id FROM enrichment_results")}
    assert len(task_ids) == len(set(task_ids)) == enriched["contacts_submitted"]
    assert workflows == set(enriched["workflow_ids"])


def test_no_request_was_made_for_results(airflow, enriched):
    assert enriched["status_requests"] == 0
    loads = [airflow.api.xcom(FINISHED, run["dag_run_id"], "load") for run in runs(airflow)]
    assert sum(load["from_webhooks"] for load in loads) == enriched["contacts_submitted"]


def test_addresses_are_in_no_log(airflow, enriched, webhook_inbox: Path):
    """The API server logs each request that it received, and not the secret part of its path."""
    logged = airflow.components["api-server"].log.read_text()
    assert "/cleanlist/webhook/***" in logged
    assert logged.count("/cleanlist/webhook/") == logged.count("/cleanlist/webhook/***")
    delivered = [json.loads(path.read_text()) for path in (webhook_inbox / "workflows").iterdir()]
    results = [result for one in delivered for result in one["payload"]["results"]]
    emails = [result["primary_email"] for result in results if result["primary_email"]]
    assert len(emails) > 100
    assert not [email for email in emails if email in logged]
