"""The DAG of the tutorial: a few contacts, what Cleanlist finds about them, a table."""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

with DAG(
    "first_enrichment",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=10)},  # a retry never pays twice
):
    enrich = BulkEnrichOperator(
        task_id="enrich",
        contacts_path=str(Path(__file__).parent / "data" / "first_contacts.csv"),
        enrichment_type="full",  # emails and phones
        max_credits=50,  # refuse to submit anything if it could cost more
    )
    wait = WorkflowSensor(task_id="wait", workflow_ids=enrich.output)
    load = LeadListToWarehouseOperator(
        task_id="load", list_name="Extension Leads", warehouse_conn_id="warehouse", table="leads"
    )
    wait >> load
