"""Prepare contacts with pandas, then enrich them.

The frame goes to a file that only this DAG reads, not through XCom: what a task returns is stored in Airflow's database
and shown in its UI, and contacts are personal data.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, Variable, task

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

with DAG(
    dag_id="contacts_from_dataframe",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START prepare]
    @task
    def prepare_contacts(run_id: str | None = None) -> str:
        """Clean a CRM export; return where the contacts are."""
        import pandas as pd  # here, so that the DAG file stays cheap to parse

        storage = ObjectStoragePath(Variable.get("contacts_folder"))
        with (storage / "export.csv").open("rb") as export:
            contacts = pd.read_csv(export, dtype=str)
        contacts = contacts[contacts["Lead Status"] != "UNQUALIFIED"]
        target = storage / f"{run_id}.csv"
        with target.open("w") as file:
            contacts[["First Name", "Last Name", "Company"]].to_csv(file, index=False)
        return str(target)

    enrich = BulkEnrichOperator(
        task_id="enrich",
        contacts_path=prepare_contacts(),
        on_invalid_contact="skip",  # somebody without a last name does not stop the others
        max_credits=5_000,
        wait_for_completion=True,
        deferrable=True,
    )
    # [END prepare]

    load = LeadListToWarehouseOperator(
        task_id="load", list_name="Extension Leads", warehouse_conn_id="warehouse", table="leads_from_pandas"
    )
    enrich >> load
