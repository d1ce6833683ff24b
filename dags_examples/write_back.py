"""Write the emails that Cleanlist finds back into the CRM's own table, by the CRM's own ids, every night.

    copy the rows without an email -> enrich -> load the results -> one UPDATE

Needs a connection ``crm`` to a PostgreSQL or SQLite database with the table ``crm_contacts``, and the ledger in the
same database: ``[cleanlist] ledger_conn_id = crm``. Nobody is paid twice within 90 days, an email that the CRM has is
never replaced, a row that changes meanwhile gets nobody else's email, and every task can be retried, cleared and
repeated at any time.
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
    # [START copy]
    copy = SQLExecuteQueryOperator(
        task_id="copy",
        conn_id="crm",
        sql=[
            """
            CREATE TABLE IF NOT EXISTS crm_contacts_read AS
            SELECT '{{ run_id }}' AS run_id, id, first_name, last_name, company, website
            FROM crm_contacts
            WHERE 1 = 0
            """,
            # A row without an id says that a run has copied, even if it found nothing to copy.
            "CREATE UNIQUE INDEX IF NOT EXISTS crm_contacts_read_once ON crm_contacts_read (run_id) WHERE id IS NULL",
            """
            DELETE FROM crm_contacts_read
            WHERE id IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM crm_contacts_read AS c WHERE c.run_id = '{{ run_id }}')
            """,
            """
            INSERT INTO crm_contacts_read
            SELECT *
            FROM (
                SELECT '{{ run_id }}' AS run_id, id, first_name, last_name, company, website
                FROM crm_contacts
                WHERE id IS NOT NULL AND (email IS NULL OR email = '')
                UNION ALL
                SELECT '{{ run_id }}', NULL, NULL, NULL, NULL, NULL
            ) AS found
            WHERE NOT EXISTS (SELECT 1 FROM crm_contacts_read AS c WHERE c.run_id = '{{ run_id }}')
            """,
        ],
    )
    # [END copy]

    # [START enrich]
    enrich = BulkEnrichOperator(
        task_id="enrich",
        sql="""
            SELECT id, first_name, last_name, company AS company_name, website AS company_domain
            FROM crm_contacts_read
            WHERE run_id = '{{ run_id }}' AND id IS NOT NULL
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
            FROM crm_contacts_read AS was
            JOIN (
                SELECT
                    s.source_id,
                    r.primary_email AS email,
                    r.primary_email_status AS status,
                    ROW_NUMBER() OVER (
                        PARTITION BY s.source_id ORDER BY b.submitted_at DESC, r.task_id
                    ) AS recency
                FROM enrichment_results r
                JOIN cleanlist_source_rows s ON s.person = r._cleanlist_person
                JOIN cleanlist_batches b ON b.workflow_id = r.workflow_id
                WHERE s.source = '{{ dag.dag_id }}/enrich'
                  AND r.primary_email IS NOT NULL
            ) AS found ON found.source_id = CAST(was.id AS TEXT)
            WHERE was.run_id = '{{ run_id }}'
              AND found.recency = 1
              AND found.status IN ('verified', 'likely_valid')
              AND crm_contacts.id = was.id
              AND (crm_contacts.email IS NULL OR crm_contacts.email = '')
              AND COALESCE(crm_contacts.first_name, '') = COALESCE(was.first_name, '')
              AND COALESCE(crm_contacts.last_name, '') = COALESCE(was.last_name, '')
              AND COALESCE(crm_contacts.company, '') = COALESCE(was.company, '')
              AND COALESCE(crm_contacts.website, '') = COALESCE(was.website, '')
        """,
    )
    # [END update]

    copy >> enrich
    load >> update
