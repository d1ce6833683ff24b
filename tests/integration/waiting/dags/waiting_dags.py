"""DAGs that wait in every way. The workflows' ids come in the environment, as a test has submitted them."""

from __future__ import annotations

import json
import os
from typing import Any

import pendulum
from airflow.sdk import DAG, dag, task

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor

IDS: dict[str, Any] = json.loads(os.environ.get("WORKFLOW_IDS", "{}"))
ALWAYS = {"schedule": None, "start_date": pendulum.datetime(2024, 1, 1, tz="UTC")}
CONTACTS = [{"linkedin_url": f"https://www.linkedin.com/in/operator-{index}"} for index in range(30)]


def waiting_dag(dag_id: str, workflow_ids: Any, **arguments: Any) -> DAG:
    with DAG(dag_id, **ALWAYS) as made:
        WorkflowSensor(task_id="wait", workflow_ids=workflow_ids, **arguments)
    return made


HERE = {"deferrable": False}
deferred = waiting_dag("deferred", IDS.get("deferred"))
deferred_one = waiting_dag("deferred_one", IDS.get("single", [None])[0])
ended_one = waiting_dag("ended_one", IDS.get("ended", [None])[0])
poked = waiting_dag("poked", IDS.get("poked"), **HERE)
rescheduled = waiting_dag("rescheduled", IDS.get("rescheduled"), **HERE, mode="reschedule", poke_interval=0.5)
nothing = waiting_dag("nothing", [])
timed_out_deferred = waiting_dag("timed_out_deferred", IDS.get("endless"), timeout=1)
timed_out_poked = waiting_dag("timed_out_poked", IDS.get("endless"), timeout=1, **HERE)
timed_out_rescheduled = waiting_dag(
    "timed_out_rescheduled", IDS.get("endless"), timeout=1, **HERE, mode="reschedule", poke_interval=0.5
)
timed_out_softly = waiting_dag("timed_out_softly", IDS.get("endless"), timeout=1, soft_fail=True)
failed = waiting_dag("failed", IDS.get("broken"))
failed_but_never_mind = waiting_dag("failed_but_never_mind", IDS.get("broken"), failure_policy="never")
failed_softly = waiting_dag("failed_softly", IDS.get("broken"), soft_fail=True, **HERE)


@dag(**ALWAYS)
def from_upstream() -> None:
    @task
    def enrich(workflow_id: str) -> dict[str, Any]:
        return {"workflow_ids": [workflow_id], "batches": 1}

    WorkflowSensor(task_id="wait", workflow_ids=enrich.expand(workflow_id=IDS.get("from_upstream", [])))
    WorkflowSensor.partial(task_id="wait_each").expand(workflow_ids=IDS.get("from_upstream", []))
    WorkflowSensor(task_id="wait_templated", workflow_ids=str(IDS.get("from_upstream", [])))


made_from_upstream = from_upstream()


@dag(**ALWAYS)
def operator() -> None:
    BulkEnrichOperator(
        task_id="here", contacts=CONTACTS, batch_size=10, wait_for_completion=True, deferrable=False
    )
    BulkEnrichOperator(
        task_id="deferred", contacts=CONTACTS, batch_size=10, wait_for_completion=True, deferrable=True
    )


made_operator = operator()
