"""Enrich yesterday's new CRM contacts from a database, every day.

Each run reads only the contacts of its own day, so that the same DAG serves backfills: every run submits its own
contacts once, however often it is retried or cleared. A second run of the same day pays for them again: to repeat a
day, clear its run.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)

with DAG(
    dag_id="contacts_from_sql",
    # Airflow 2 gives "@daily" a data interval, Airflow 3 does not; this timetable does everywhere.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START enrich]
    enrich = BulkEnrichOperator(
        task_id="enrich",
        sql="""
            {% set day = data_interval_start | ds if data_interval_start is defined
                         else macros.ds_add(dag_run.run_after | ds, -1) %}
            SELECT first_name, last_name, company AS company_name, website AS company_domain
            FROM crm_contacts
            WHERE created_on >= '{{ day }}' AND created_on < '{{ macros.ds_add(day, 1) }}'
        """,
        sql_conn_id="crm",
        enrichment_type="partial",
        on_invalid_contact="skip",
        max_credits=5_000,
        push_task_ids=True,
        wait_for_completion=True,
        deferrable=True,
    )
    # [END enrich]

    # [START load]
    EnrichmentResultsToWarehouseOperator(
        task_id="load",
        workflow_ids=enrich.output,
        task_ids=enrich.output["task_ids"],
        warehouse_conn_id="warehouse",
        table="enriched_contacts",
    )
    # [END load]
