"""Write the emails that Cleanlist finds back into the CRM's own table, by the CRM's own ids, every night.

    rows without an email -> enrich -> load the results -> one UPDATE

Needs a connection ``crm`` to a PostgreSQL or SQLite database with the table ``crm_contacts``, and the ledger in the
same database: ``[cleanlist] ledger_conn_id = crm``. Nobody is paid twice within 90 days, an email that the CRM has is
never replaced, and every task can be retried, cleared and repeated at any time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)

with DAG(
    dag_id="write_back",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START enrich]
    enrich = BulkEnrichOperator(
        task_id="enrich",
        sql="""
            SELECT id, first_name, last_name, company AS company_name, website AS company_domain
            FROM crm_contacts
            WHERE email IS NULL OR email = ''
        """,
        sql_conn_id="crm",
        id_column="id",
        skip_submitted_within=timedelta(days=90),
        enrichment_type="partial",
        on_invalid_contact="skip",
        max_credits=5_000,
        push_task_ids=True,
        wait_for_completion=True,
        failure_policy="never",
        deferrable=True,
    )
    # [END enrich]

    # [START load]
    load = EnrichmentResultsToWarehouseOperator(
        task_id="load",
        workflow_ids=enrich.output,
        task_ids=enrich.output["task_ids"],
        warehouse_conn_id="crm",
        table="enrichment_results",
    )
    # [END load]

    # [START update]
    update = SQLExecuteQueryOperator(
        task_id="update",
        conn_id="crm",
        sql="""
            UPDATE crm_contacts
            SET email = found.email
            FROM (
                SELECT
                    s.source_id,
                    r.primary_email AS email,
                    ROW_NUMBER() OVER (
                        PARTITION BY s.source_id ORDER BY r._cleanlist_synced_at DESC, r.task_id
                    ) AS recency
                FROM enrichment_results r
                JOIN cleanlist_source_rows s ON s.person = r._cleanlist_person
                WHERE s.source = '{{ dag.dag_id }}/enrich'
                  AND r.primary_email_status IN ('verified', 'likely_valid')
            ) AS found
            WHERE found.recency = 1
              AND found.source_id = CAST(crm_contacts.id AS VARCHAR(200))
              AND (crm_contacts.email IS NULL OR crm_contacts.email = '')
        """,
    )
    # [END update]

    load >> update
