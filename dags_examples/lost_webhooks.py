"""Load the results of workflows whose webhook has not arrived: a daily companion of ``enrichment_finished``.

Needs a ledger in the warehouse's database: it has the workflows, and the task ids by which results are read. See
``docs/webhooks.md``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)

with DAG(
    dag_id="lost_webhooks",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START lost]
    find = SQLExecuteQueryOperator(
        task_id="find",
        conn_id="warehouse",
        sql="""
            SELECT b.workflow_id, c.api_task_id
            FROM cleanlist_batches b
            JOIN cleanlist_contacts c ON c.batch_id = b.batch_id
            WHERE b.dag_id = 'submit_contacts' AND b.state = 'accepted'
              AND b.submitted_at >= '{{ macros.datetime.utcnow() - macros.timedelta(days=7) }}'
              AND b.submitted_at < '{{ macros.datetime.utcnow() - macros.timedelta(days=1) }}'
              AND NOT EXISTS (SELECT 1 FROM enrichment_results r WHERE r.workflow_id = b.workflow_id)
            ORDER BY b.submitted_at, b.batch_id, c.position
        """,
    )

    @task
    def by_workflow(rows: list[tuple[str, str | None]]) -> list[dict[str, Any]]:
        """Return the arguments of each load: a workflow and its task ids."""
        task_ids: dict[str, list[str]] = {}
        for workflow_id, task_id in rows:
            task_ids.setdefault(workflow_id, []).extend([task_id] if task_id else [])
        loads = [
            {"workflow_ids": workflow, "task_ids": {workflow: ids}} for workflow, ids in task_ids.items()
        ]
        return loads[:1_000]  # Airflow maps over 1,024 at most; the next run takes the others

    # one task for each workflow: one that cannot be read does not hold up the others
    EnrichmentResultsToWarehouseOperator.partial(
        task_id="load", warehouse_conn_id="warehouse", table="enrichment_results"
    ).expand_kwargs(by_workflow(find.output))
    # [END lost]
