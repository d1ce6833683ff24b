"""Build dbt models whenever the leads have been loaded, then let another task use them.

Scheduled on the asset that ``enrich_contacts_to_warehouse`` updates: no sensor, no fixed time, no wait between the two
DAGs. dbt runs from a separate environment, because its dependencies often conflict with Airflow's; the environment
variable ``DBT_EXECUTABLE`` names its executable.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Asset, BaseHook, task

PROJECT = Path(__file__).parent / "dbt" / "leads"
DBT = os.environ.get("DBT_EXECUTABLE", "dbt")

with DAG(
    dag_id="leads_to_marts",
    schedule=[Asset("cleanlist_leads")],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):

    @task.bash
    def build_models() -> str:
        """Build and test the models."""
        folders = f"--project-dir {PROJECT} --profiles-dir {PROJECT} --target-path /tmp/dbt-leads"
        return f"{DBT} build {folders}"

    # [START etl]
    @task
    def coverage() -> dict[str, int]:
        """Query the model that dbt has built, as any later ETL task would."""
        warehouse = BaseHook.get_connection("warehouse").get_hook()
        return dict(warehouse.get_records("SELECT found, contacts FROM lead_coverage"))

    build_models() >> coverage()
    # [END etl]
