"""Spend at most a share of the balance in a run, and note what it has really cost.

The Airflow variable ``cleanlist_budget`` holds the most credits that a run may cost; by default a tenth of the balance.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Variable, task

from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

with DAG(
    dag_id="credit_budget",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START budget]
    @task
    def budget() -> int:
        """Return the most credits that this run may cost."""
        tenth = int(CleanlistHook().get_credit_balance().credits) // 10
        return int(Variable.get("cleanlist_budget", tenth))

    enrich = BulkEnrichOperator(
        task_id="enrich",
        contacts_path=str(Path(__file__).parent / "data" / "first_contacts.csv"),
        enrichment_type="full",
        max_credits=budget(),
        wait_for_completion=True,
        deferrable=True,
    )
    # [END budget]

    # [START spent]
    @task
    def spent(result: dict[str, Any]) -> dict[str, Any]:
        """Return the estimate and the cost, for a dashboard or an alert."""
        return {"at_most": result["worst_case_credits"], "spent": result["credits_spent"]}

    spent(enrich.output)
    # [END spent]
