"""DAGs that enrich with a ledger, for runs that are cleared, robbed of their state, made again, or changed.

``conf``: ``name`` of the contacts in the table ``ledger_people``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseHook, task

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

SLICE = 5
PEOPLE = "SELECT linkedin_url FROM ledger_people WHERE name = '{{ dag_run.conf[\"name\"] }}' ORDER BY place"
RUNS: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "default_args": {
        "retries": 2,
        "retry_delay": timedelta(seconds=1),
        "sql_conn_id": "people",
        "cleanlist_conn_id": "cleanlist_ledger_runs",
        "ledger_conn_id": "ledger",
        "batch_size": 2,
    },
}

with DAG("ledger_plain", **RUNS):
    BulkEnrichOperator(task_id="enrich", sql=PEOPLE)

with DAG("ledger_type", **RUNS):
    BulkEnrichOperator(
        task_id="enrich", sql=PEOPLE, enrichment_type="{{ var.value.get('ledger_runs_type', 'partial') }}"
    )

with DAG("ledger_moved", **RUNS):
    BulkEnrichOperator(
        task_id="enrich", sql=PEOPLE, ledger_conn_id="{{ var.value.get('ledger_runs_ledger', '') }}"
    )

with DAG("ledger_mapped", **RUNS):

    @task
    def slices(**context: Any) -> list[dict[str, int]]:
        """Return the parameters of each mapped task's query: one for every five contacts."""
        hook = BaseHook.get_connection("people").get_hook()
        query = "SELECT COUNT(*) FROM ledger_people WHERE name = ?"
        (count,) = hook.get_first(query, parameters=(context["dag_run"].conf["name"],))
        return [{"offset": offset} for offset in range(0, count, SLICE)]

    BulkEnrichOperator.partial(task_id="enrich", sql=f"{PEOPLE} LIMIT {SLICE} OFFSET :offset").expand(
        parameters=slices()
    )
