"""Deferred tasks in Airflow's database, as a worker would have left them, for a real triggerer to pick up.

A process of its own, because Airflow reads its configuration once. Reads one JSON command per line from stdin and
answers each with one JSON line on stdout:

``{"do": "defer", "requests": [<arguments of WorkflowTrigger>, ...]}`` -> ``[<run id>, ...]``
``{"do": "look"}`` -> ``{<run id>: {"state", "event", "xcoms", "triggerer"}}``
``{"do": "set", "run_id": ..., "state": ...}`` changes a task as a user does in the UI; -> ``null``
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

DAG_ID, TASK_ID = "deferred", "wait"
DAG_FILE = f"""
import pendulum
from airflow.sdk import DAG

from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor

with DAG("{DAG_ID}", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):
    WorkflowSensor(task_id="{TASK_ID}", workflow_ids=[])
"""


def prepare(folder: Path) -> None:
    """Write the DAG and bring it into the database."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "deferred_dag.py").write_text(DAG_FILE)
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    for bundle in manager.get_all_dag_bundles():
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle.version)


def defer(requests: list[dict[str, Any]]) -> list[str]:
    """Create one deferred task per request."""
    import pendulum
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger

    run_ids = []
    with create_session() as session:
        known = session.query(DagRun).count()
        dag = SerializedDagModel.get_dag(DAG_ID, session=session)
        for number, request in enumerate(requests, known):
            moment = pendulum.datetime(2026, 1, 1) + timedelta(seconds=number)
            run = dag.create_dagrun(
                run_id=f"run_{number}",
                logical_date=moment,
                run_after=moment,
                data_interval=(moment, moment),
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                session=session,
            )
            trigger = Trigger.from_object(WorkflowTrigger(**request))
            session.add(trigger)
            session.flush()
            ti = run.get_task_instance(TASK_ID, session=session)
            ti.state = TaskInstanceState.DEFERRED
            ti.try_number = 1
            ti.start_date = pendulum.now("UTC")
            ti.trigger_id = trigger.id
            ti.next_method = "execute_complete"
            ti.next_kwargs = {}
            run_ids.append(run.run_id)
    return run_ids


def look() -> dict[str, Any]:
    """Describe all tasks."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        triggerers = dict(session.query(Trigger.id, Trigger.triggerer_id).all())
        xcoms: dict[str, dict[str, Any]] = {}
        for run_id, key, value in session.query(XComModel.run_id, XComModel.key, XComModel.value):
            xcoms.setdefault(run_id, {})[key] = value
        return {
            ti.run_id: {
                "state": ti.state,
                "event": (ti.next_kwargs or {}).get("event"),
                "xcoms": xcoms.get(ti.run_id, {}),
                "triggerer": triggerers.get(ti.trigger_id),
            }
            for ti in session.query(TaskInstance).filter(TaskInstance.dag_id == DAG_ID)
        }


def set_state(run_id: str, state: str) -> None:
    """Set a task's state as the API server does: the trigger loses its task."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        ti = session.query(TaskInstance).filter_by(dag_id=DAG_ID, run_id=run_id).one()
        ti.state, ti.trigger_id = state, None


def main() -> None:
    """Serve commands."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    prepare(Path(sys.argv[1]))
    print("null", file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        match command.pop("do"):
            case "defer":
                answer: Any = defer(**command)
            case "look":
                answer = look()
            case "set":
                answer = set_state(**command)
        print(json.dumps(answer, default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
