"""A sandbox, warehouses and a task context good enough for ``execute``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator


def _connection_variable(conn_id: str) -> str:
    return f"AIRFLOW_CONN_{conn_id.upper()}"


@pytest.fixture
def set_connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define an Airflow connection by its JSON fields."""

    def define(conn_id: str, **fields: Any) -> None:
        monkeypatch.setenv(_connection_variable(conn_id), json.dumps(fields))

    return define


@pytest.fixture
def sandbox(cleanlist_sandbox: SandboxServer, set_connection: Callable[..., None]) -> SandboxServer:
    """A sandbox that the connection ``cleanlist_default`` leads to."""
    connection = json.loads(cleanlist_sandbox.connection_json())
    connection["extra"] |= {"max_retries": 0, "rate_limit_store": "memory://", "hash_secret": "pepper"}
    set_connection("cleanlist_default", **connection)
    return cleanlist_sandbox


@pytest.fixture
def sqlite_warehouse(tmp_path: Path, set_connection: Callable[..., None]) -> sa.engine.Engine:
    """A SQLite file that the connection ``warehouse`` leads to."""
    set_connection("warehouse", conn_type="sqlite", host=str(tmp_path / "warehouse.db"))
    return sa.create_engine(f"sqlite:///{tmp_path}/warehouse.db")


@pytest.fixture
def postgres_warehouse(
    postgres_database: sa.engine.URL,
    open_postgres: Callable[[], sa.engine.Engine],
    set_connection: Callable[..., None],
) -> sa.engine.Engine:
    """A PostgreSQL database that the connection ``warehouse`` leads to."""
    set_connection(
        "warehouse",
        conn_type="postgres",
        host=postgres_database.query["host"],
        login=postgres_database.username,
        schema=postgres_database.database,
    )
    return open_postgres()


@pytest.fixture
def run_load(sandbox: SandboxServer) -> Callable[..., dict[str, Any]]:
    """Execute the operator as a try of one task instance; ``events`` collects what outlets get."""

    def run(events: dict[Any, Any] | None = None, run_id: str = "run", **arguments: Any) -> dict[str, Any]:
        defaults = {
            "task_id": "load",
            "warehouse_conn_id": "warehouse",
            "table": "leads",
            "list_name": "Prospects",
        }
        if "list_id" in arguments:
            del defaults["list_name"]
        operator = LeadListToWarehouseOperator(**{**defaults, **arguments})
        ti = SimpleNamespace(dag_id="dag", task_id="load", map_index=-1)
        return operator.execute({"ti": ti, "run_id": run_id, "outlet_events": events or {}})

    return run
