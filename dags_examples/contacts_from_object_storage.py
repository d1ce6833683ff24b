"""Enrich the contacts of a file on object storage: S3, Google Cloud Storage, Azure or any other that fsspec knows.

The address comes from the Airflow variable ``contacts_uri``, such as ``s3://aws_default@crm-exports/{{ ds }}.csv.gz``.
Rows that cannot be enriched are written next to it, with the reason.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

with DAG(
    dag_id="contacts_from_object_storage",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START enrich]
    enrich = BulkEnrichOperator(
        task_id="enrich",
        contacts_path="{{ var.value.contacts_uri }}",
        on_invalid_contact="skip",
        rejects_path="{{ var.value.contacts_uri }}.rejects.csv",
        max_credits=5_000,
        wait_for_completion=True,
        deferrable=True,
    )
    # [END enrich]

    load = LeadListToWarehouseOperator(
        task_id="load", list_name="Extension Leads", warehouse_conn_id="warehouse", table="leads_from_files"
    )
    enrich >> load
