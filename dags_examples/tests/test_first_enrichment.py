"""A test of a DAG against the sandbox: no key, no credits, no network, and outcomes of your choice.

``pip install 'airflow-provider-cleanlist[sandbox]'`` brings the fixture ``cleanlist_sandbox``. Airflow needs a database
(``airflow db migrate``) and the DAG in its DAGs folder (``AIRFLOW__CORE__DAGS_FOLDER``).
"""
# ruff: noqa: S101 - tests assert

from __future__ import annotations

import json
import runpy
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

DAG_FILE = Path(__file__).parents[1] / "first_enrichment.py"


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    """An empty warehouse behind the connection that the DAG names."""
    path = tmp_path / "warehouse.db"
    connection = json.dumps({"conn_type": "sqlite", "host": str(path)})
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection)
    return path


@pytest.fixture
def dag(cleanlist_sandbox, monkeypatch):
    """The DAG, with Cleanlist replaced by the sandbox."""
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", cleanlist_sandbox.connection_json())
    return runpy.run_path(str(DAG_FILE))["enrich"].dag


# [START happy]
@pytest.mark.cleanlist_sandbox(requests_per_minute=6000)
def test_four_people_are_loaded_and_paid_once(dag, cleanlist_sandbox, warehouse):
    run = dag.test()

    assert run.state == "success"
    assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}
    assert cleanlist_sandbox.ledger.credits_charged == 22
    with closing(sqlite3.connect(warehouse)) as connection:
        assert connection.execute("SELECT COUNT(*), COUNT(email) FROM leads").fetchone() == (4, 2)


# [END happy]


# [START poor]
@pytest.mark.cleanlist_sandbox(requests_per_minute=6000, credits=10)
def test_nothing_is_submitted_when_credits_do_not_suffice(dag, cleanlist_sandbox, warehouse):
    assert dag.test().state == "failed"
    assert cleanlist_sandbox.ledger.accepted_submits == []


# [END poor]


# [START fault]
@pytest.mark.cleanlist_sandbox(requests_per_minute=6000)
def test_a_workflow_that_fails_at_cleanlist_fails_the_run(dag, cleanlist_sandbox, warehouse):
    cleanlist_sandbox.faults.end_workflows("failed")

    assert dag.test().state == "failed"
    assert not warehouse.exists()


# [END fault]
