"""Load a lead list whenever it has changed, and not when nothing has. Needs Airflow 3 and a running triggerer.

Every five minutes the triggerer asks Cleanlist for the list's counts. When one of them has changed, Airflow adds an
event to the asset and starts the DAG. See ``docs/howto/refresh-when-changed.md``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator
from airflow_provider_cleanlist.triggers.lead_list import CleanlistListTrigger

# [START watcher]
LIST = "Extension Leads"

changed = Asset(
    "cleanlist_extension_leads",
    watchers=[
        AssetWatcher(
            name="counts",
            trigger=CleanlistListTrigger(list_name=LIST, interval=timedelta(minutes=5)),
        )
    ],
)
# [END watcher]

# [START refresh]
with DAG(
    dag_id="refresh_when_changed",
    schedule=[changed],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    LeadListToWarehouseOperator(
        task_id="load",
        list_name=LIST,
        warehouse_conn_id="warehouse",
        table="watched_leads",
        on_missing="soft_delete",
    )
# [END refresh]
