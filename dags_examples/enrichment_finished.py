"""Load results as soon as Cleanlist delivers them: no task waits, and no request is sent.

``submit_contacts`` submits and ends. When Cleanlist's webhook arrives, Airflow's API server adds an event to the asset
of the managed list, which starts ``enrichment_finished``; that loads the delivered results from the inbox. See
``docs/webhooks.md`` for the settings.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_cleanlist.assets import MANAGED_LIST, lead_list_asset
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)

CONTACTS = Path(__file__).parent / "data" / "hubspot_contacts.csv"

with DAG(
    dag_id="submit_contacts",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["cleanlist", "example"],
):
    BulkEnrichOperator(
        task_id="enrich",
        contacts_path=str(CONTACTS),
        on_invalid_contact="skip",
        max_credits=10_000,
        webhook=True,
    )

with DAG(
    dag_id="enrichment_finished",
    schedule=[lead_list_asset(MANAGED_LIST)],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):

    @task
    def finished_workflows(triggering_asset_events: Any = None) -> list[str]:
        """Return the ids of the workflows in this run's events; what was made by hand and is no id is left out."""
        events = [event for events in triggering_asset_events.values() for event in events]
        extras = [event.extra for event in events if isinstance(event.extra, dict)]
        finished = [extra["cleanlist"] for extra in extras if isinstance(extra.get("cleanlist"), dict)]
        named = [ids for workflows in finished if isinstance(ids := workflows.get("workflow_ids"), list)]
        return [
            workflow_id
            for ids in named
            for workflow_id in ids
            if isinstance(workflow_id, str) and re.fullmatch(r"[\w.:-]{1,200}", workflow_id)
        ]

    EnrichmentResultsToWarehouseOperator(
        task_id="load",
        workflow_ids=finished_workflows(),
        warehouse_conn_id="warehouse",
        table="enrichment_results",
    )
