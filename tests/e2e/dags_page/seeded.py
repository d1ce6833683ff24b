"""DAGs whose submissions are seeded into a ledger: they are shown, and never run."""

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

for dag_id, enrichment_type in {
    "crm_nightly": "full",
    "event_leads": "partial",
    "partner_lists": "partial",
    "sales_calls": "phone_only",
    "webinar_signups": "full",
}.items():
    with DAG(dag_id, schedule=None) as dag:
        BulkEnrichOperator(task_id="enrich", contacts_path="contacts.csv", enrichment_type=enrichment_type)
        BulkEnrichOperator.partial(task_id="enrich_files", enrichment_type=enrichment_type).expand(
            contacts_path=["1.csv", "2.csv", "3.csv"]
        )
    globals()[dag_id] = dag
