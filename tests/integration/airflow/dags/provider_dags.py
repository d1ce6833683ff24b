"""DAGs that use every operator in every way of running it, on every supported Airflow."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, AssetAlias, task, task_group

from airflow_provider_cleanlist import (
    BulkEnrichOperator,
    CleanlistHook,
    LeadListToWarehouseOperator,
    WorkflowSensor,
    lead_list_asset,
    table_asset,
)

CONTACTS = sorted(Path(os.environ["CONTACTS_FOLDER"]).glob("*.csv"))
LISTS = os.environ["LIST_IDS"].split()
RESCHEDULES = not version("apache-airflow").startswith("3.0.")
"""In ``dag.test()`` of 3.0 every rescheduled sensor breaks off: Airflow compares a date with a text."""
ALL_SHAPES = not version("apache-airflow").startswith(("3.0.", "3.1.", "3.2."))
"""Each task start of ``dag.test()`` takes many seconds before 3.3; these run on the oldest and the newest Airflow."""
START = datetime(2026, 1, 1, tzinfo=UTC)
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=0)}


def people(name: str, count: int) -> list[dict[str, str]]:
    return [
        {"first_name": "Zofia", "last_name": f"{name}{number}", "company_domain": "harborlight.example"}
        for number in range(count)
    ]


def members(name: str, count: int) -> list[dict[str, str]]:
    return [
        {"first_name": "Teodor", "last_name": f"{name}{number}", "company_domain": "stonemill.example"}
        for number in range(count)
    ]


with DAG("chain", schedule=None, start_date=START, default_args=RETRIES) as chain:
    enrich = BulkEnrichOperator(
        task_id="enrich",
        contacts=people("Chain", 7),
        batch_size=3,
        enrichment_type="{{ 'full' }}",
        outlets=[lead_list_asset("managed")],
        push_task_ids=True,
    )
    wait = WorkflowSensor(task_id="wait", workflow_ids=enrich.output, poll_interval=1)
    load = LeadListToWarehouseOperator(
        task_id="load",
        list_name="Extension Leads",
        warehouse_conn_id="warehouse",
        table="{{ dag.dag_id }}_leads",
        outlets=[table_asset("warehouse", "chain_leads")],
    )
    wait >> load

with DAG("mapped", schedule=None, start_date=START, default_args=RETRIES) as mapped:
    enrich = BulkEnrichOperator.partial(task_id="enrich", batch_size=2).expand(
        contacts_path=[str(path) for path in CONTACTS]
    )
    wait = WorkflowSensor.partial(task_id="wait", poll_interval=1).expand(workflow_ids=enrich.output)
    load = LeadListToWarehouseOperator.partial(
        task_id="load", warehouse_conn_id="warehouse", table="mapped_leads", outlets=[AssetAlias("loaded")]
    ).expand(list_id=LISTS)

    @task
    def ids_of(results: list[dict[str, list[str]]]) -> list[str]:
        """Gather what the mapped tasks returned."""
        return [workflow_id for result in results for workflow_id in result["workflow_ids"]]

    gathered = ids_of(enrich.output)
    all_at_once = WorkflowSensor(task_id="all_at_once", workflow_ids=gathered, poll_interval=1)

with DAG("waits", schedule=None, start_date=START) as waits:
    BulkEnrichOperator(
        task_id="deferred",
        contacts=people("Deferred", 2),
        wait_for_completion=True,
        deferrable=True,
        poll_interval=1,
        outlets=[lead_list_asset("managed")],
    )
    BulkEnrichOperator(
        task_id="blocking",
        contacts=people("Blocking", 2),
        wait_for_completion=True,
        deferrable=False,
        poll_interval=1,
    )
    BulkEnrichOperator(
        task_id="default", contacts=people("Default", 2), wait_for_completion=True, poll_interval=1
    )
    WorkflowSensor(
        task_id="poke",
        workflow_ids=[BulkEnrichOperator(task_id="one", contacts=people("One", 2)).output],
        deferrable=False,
        poll_interval=1,
    )
    if RESCHEDULES:
        WorkflowSensor(
            task_id="reschedule",
            workflow_ids=BulkEnrichOperator(task_id="other", contacts=people("Other", 2)).output,
            deferrable=False,
            mode="reschedule",
            poke_interval=1,
        )

with DAG("hopeless", schedule=None, start_date=START, default_args=RETRIES) as hopeless:
    BulkEnrichOperator(task_id="bad_key", contacts=people("Bad", 2), cleanlist_conn_id="bad_key")
    WorkflowSensor(task_id="no_such_workflow", workflow_ids="wf_none", poll_interval=1)
    LeadListToWarehouseOperator(
        task_id="no_such_list", list_name="Nowhere", warehouse_conn_id="warehouse", table="nothing"
    )

with DAG("hook", schedule=None, start_date=START) as hook:

    @task
    def read() -> dict[str, object]:
        """Use the hook as a Python task does."""
        hook = CleanlistHook()
        pages = list(hook.iter_lead_pages(LISTS[0], page_size=10))
        return {"works": hook.test_connection()[0], "leads": sum(len(page.leads) for page in pages)}

    read()

with DAG("shapes", schedule=None, start_date=START) as shapes:

    @task(show_return_value_in_logs=False)
    def one() -> list[dict[str, str]]:
        """Two contacts."""
        return members("One", 2)

    @task(show_return_value_in_logs=False)
    def single() -> dict[str, str]:
        """One contact, without a list around it."""
        return members("Single", 1)[0]

    @task(show_return_value_in_logs=False)
    def each(number: int) -> list[dict[str, str]]:
        """As many contacts as the number says."""
        return members(f"Each{number}x", number)

    @task(show_return_value_in_logs=False)
    def families() -> list[str]:
        """Names of families."""
        return ["Ash", "Birch", "Cedar"]

    def enriched(name: str, contacts: object) -> object:
        """Enrich contacts; return the reference to the result."""
        return BulkEnrichOperator(task_id=name, contacts=contacts).output

    ones, singles, mapped_lists, names = one(), single(), each.expand(number=[1, 2, 3]), families()
    all_results = [
        enriched("plain", ones),
        enriched("nested", [singles, ones]),
        enriched("mapped_output", mapped_lists),
        enriched("concatenated", ones.concat(mapped_lists)),
        enriched("through_a_function", names.map(lambda name: members(name, 1)[0])),
    ]
    enriched("zipped", ones.zip(ones))

    @task_group
    def for_each(chunk: object) -> None:
        """Enrich the contacts of one instance."""
        BulkEnrichOperator(task_id="in_a_group", contacts=chunk)

    for_each.expand(chunk=[members("GroupA", 2), members("GroupB", 3)])
    BulkEnrichOperator.partial(task_id="partial", contacts=ones).expand(enrichment_type=["phone_only"])
    WorkflowSensor(task_id="wait_for_all", workflow_ids=all_results, poll_interval="1")
    WorkflowSensor.partial(task_id="wait_partial", workflow_ids=all_results[0]).expand(poll_interval=[1])

DAGS = ("chain", "mapped", "waits", "hopeless", "hook") + (("shapes",) if ALL_SHAPES else ())
