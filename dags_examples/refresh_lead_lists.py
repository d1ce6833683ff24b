"""Refresh the tables of several lead lists every night, one mapped task per list.

All mapped tasks share one request budget, so you can map as many lists as you like. Each list owns its rows of the
table: ``merge`` on (list, lead), and ``soft_delete`` for leads that have left the list.

Set the Airflow variable ``cleanlist_lists`` to a JSON array of list names to choose the lists; by default the DAG
refreshes the managed list, to which Cleanlist adds every enriched contact.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset, Variable, task

from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

with DAG(
    dag_id="refresh_lead_lists",
    description="Nightly refresh of several lead lists by dynamic task mapping",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START mapped]
    @task
    def lists_to_refresh() -> list[str]:
        """Return the names of the lists."""
        return Variable.get("cleanlist_lists", ["Extension Leads"], deserialize_json=True)

    @task
    def count_rows(results: list[dict[str, object]]) -> int:
        """Return how many rows the mapped tasks loaded in all."""
        return sum(int(str(result["rows_written"])) for result in results)

    load = LeadListToWarehouseOperator.partial(
        task_id="load",
        warehouse_conn_id="warehouse",
        table="cleanlist_list_members",
        on_missing="soft_delete",
        read="auto",  # a long list as one file instead of hundreds of pages
        outlets=[Asset("cleanlist_list_members")],
    ).expand(list_name=lists_to_refresh())

    count_rows(load.output)
    # [END mapped]
