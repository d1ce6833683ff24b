"""More requests than the budget allows at once: submits and pages from all workers, status checks from the triggerer.

``conf``: ``contacts`` (paths, one for each mapped slice) and ``lists`` (names).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task, task_group

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

with DAG(
    "celery_load",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
):

    @task
    def of_conf(name: str, **context: Any) -> list[str]:
        """Return what the run was asked to work on."""
        return list(context["dag_run"].conf[name])

    @task_group
    def part(path: str) -> None:
        """Enrich one slice of the contacts and wait for it."""
        enrich = BulkEnrichOperator(task_id="enrich", contacts_path=path, batch_size=25)
        WorkflowSensor(task_id="wait", workflow_ids=enrich.output)

    contacts = of_conf.override(task_id="contacts")("contacts")
    lists = of_conf.override(task_id="lists")("lists")

    load = LeadListToWarehouseOperator.partial(
        task_id="load", warehouse_conn_id="warehouse", table="leads", page_size=25
    ).expand(list_name=lists)
    contacts >> load  # enrichments and loads begin together
    lists >> part.expand(path=contacts)
