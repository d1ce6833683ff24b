"""Run DAGs of a folder with ``dag.test()`` in this process: run_dags.py <result.json> <dag id>...

A process of its own, because Airflow reads its configuration once. Airflow's logs go to stdout as usual.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pendulum


def outcome(run: Any) -> dict[str, Any]:
    """Describe the tasks of a run."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        values = {
            (task_id, map_index): value
            for task_id, map_index, value in session.query(
                XComModel.task_id, XComModel.map_index, XComModel.value
            ).filter(
                XComModel.dag_id == run.dag_id,
                XComModel.run_id == run.run_id,
                XComModel.key == "return_value",
            )
        }
        return {
            f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id: {
                "state": str(ti.state),
                "value": values.get((ti.task_id, ti.map_index)),
            }
            for ti in run.get_task_instances(session=session)
        }


def main() -> None:
    """Run the DAGs named on the command line."""
    import waiting_dags
    from airflow.sdk import DAG

    dags = {value.dag_id: value for value in vars(waiting_dags).values() if isinstance(value, DAG)}
    result = {}
    for dag_id in sys.argv[2:]:
        print(f"=== {dag_id}", flush=True)
        result[dag_id] = outcome(dags[dag_id].test(logical_date=pendulum.now("UTC")))
    Path(sys.argv[1]).write_text(json.dumps(result, default=str))


if __name__ == "__main__":
    main()
