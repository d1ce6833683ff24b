"""Refresh one lead list's tables every night: the leads as they are now, and one copy per day as history."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

with DAG(
    dag_id="nightly_refresh",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START current]
    current = LeadListToWarehouseOperator(
        task_id="current",
        list_name="Extension Leads",
        warehouse_conn_id="warehouse",
        table="leads",
        on_missing="soft_delete",
        outlets=[Asset("leads")],
    )
    # [END current]

    # [START history]
    history = LeadListToWarehouseOperator(
        task_id="history",
        list_name="Extension Leads",
        warehouse_conn_id="warehouse",
        table="leads_history",
        mode="snapshot",
    )
    # [END history]
