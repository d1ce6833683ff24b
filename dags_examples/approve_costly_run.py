"""Ask a person before a run spends credits: estimate, approval, enrichment. Needs Airflow 3.1 or later.

The question appears under *Browse > Required Actions*. See ``docs/howto/approve-costly-runs.md``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, task
from airflow.providers.standard.operators.hitl import ApprovalOperator

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

ENRICHMENT = {
    "contacts_path": str(Path(__file__).parent / "data" / "first_contacts.csv"),
    "enrichment_type": "full",
}

with DAG(
    dag_id="approve_costly_run",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["cleanlist", "example"],
    doc_md=__doc__,
):
    # [START approval]
    estimate = BulkEnrichOperator(task_id="estimate", estimate_only=True, **ENRICHMENT)

    @task(retries=0)
    def question(result: dict[str, Any], ti: Any = None) -> dict[str, Any]:
        """Return the figures of the question: once per run, because Airflow never changes a question's text."""
        if ti.try_number > 1:
            raise AirflowFailException(
                "This run may have asked already, with other figures: start a new run."
            )
        return dict(result["estimate"])

    figures = question(estimate.output)

    approve = ApprovalOperator(
        task_id="approve",
        subject="Spend up to {{ ti.xcom_pull(task_ids='question')['worst_case_credits'] }} Cleanlist credits?",
        body="{% set figures = ti.xcom_pull(task_ids='question') %}"
        "| Contacts | Credits at most | Balance |\n|---|---|---|\n"
        "| {{ figures['contacts'] }} | {{ figures['worst_case_credits'] }} | {{ figures['balance'] }} |",
    )

    enrich = BulkEnrichOperator(
        task_id="enrich",
        max_credits=figures["worst_case_credits"],
        retries=3,
        **ENRICHMENT,
    )
    figures >> approve >> enrich
    # [END approval]
