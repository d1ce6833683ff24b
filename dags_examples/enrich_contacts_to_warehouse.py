"""Enrich the contacts of a CRM export and load the results into the warehouse.

    contacts file -> enrich -> wait -> load -> summarise

Needs a connection ``cleanlist_default`` and a warehouse connection ``warehouse``. It is safe to retry and to clear: no
contact is submitted twice, and the table is exact after every run.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Asset, BaseHook, task

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

CONTACTS = os.environ.get("CONTACTS_PATH", str(Path(__file__).parent / "data" / "hubspot_contacts.csv"))
WAREHOUSE = "warehouse"
TABLE = "cleanlist_leads"

with DAG(
    dag_id="enrich_contacts_to_warehouse",
    description="Contacts file -> Cleanlist -> warehouse table",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    enrich = BulkEnrichOperator(
        task_id="enrich",
        contacts_path=CONTACTS,
        enrichment_type="full",
        on_invalid_contact="skip",
        max_credits=20_000,
    )

    wait = WorkflowSensor(task_id="wait", workflow_ids=enrich.output, timeout=2 * 60 * 60)

    load = LeadListToWarehouseOperator(
        task_id="load",
        list_name="Extension Leads",
        warehouse_conn_id=WAREHOUSE,
        table=TABLE,
        outlets=[Asset("cleanlist_leads")],
    )

    @task
    def summarise() -> dict[str, int]:
        """Query the table like any downstream ETL task would."""
        leads, emails, phones = (
            BaseHook.get_connection(WAREHOUSE)
            .get_hook()
            .get_first(
                f"SELECT COUNT(*), COUNT(email), COUNT(phone) FROM {TABLE}"  # noqa: S608  # a constant
            )
        )
        return {"leads": leads, "with_email": emails, "with_phone": phones}

    wait >> load >> summarise()
