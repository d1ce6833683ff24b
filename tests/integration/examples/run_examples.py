"""Run example DAGs with ``dag.test()`` in this process, and write down what came of them.

Usage: run_examples.py <folder of the examples> <runs.json> <result.json>. A run names a DAG and, if it matters, its
logical date, further environment variables (``env``), SQL to execute before it and a query to ask after it (``before``
and ``after``, by connection). Works on every Airflow that the provider supports.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def dags(folder: Path) -> dict[str, Any]:
    """Return the DAGs of all files of a folder by id, as Airflow registers them."""
    try:
        from airflow.sdk.definitions._internal.contextmanager import DagContext
    except ImportError:
        from airflow.models.dag import DagContext
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        DagContext.current_autoregister_module_name = module.__name__
        spec.loader.exec_module(module)
    DagContext.current_autoregister_module_name = None
    return {dag.dag_id: dag for dag, _ in DagContext.autoregistered_dags}


def xcoms(session: Any, run_id: str) -> list[dict[str, Any]]:
    from airflow.models import xcom

    model = getattr(xcom, "XComModel", None) or xcom.XCom
    rows = session.query(model.task_id, model.map_index, model.key, model.value)
    return [
        {"task": task, "index": index, "key": key, "value": parsed(value)}
        for task, index, key, value in rows.filter(model.run_id == run_id)
    ]


def parsed(value: Any) -> Any:
    """Return an XCom's value: Airflow stores JSON, and links to pages as plain text."""
    try:
        return json.loads(value) if isinstance(value, str | bytes) else value
    except json.JSONDecodeError:
        return value


def run_entry(dag: Any, entry: dict[str, Any]) -> dict[str, Any]:
    """Run a DAG with what is to be done before and asked afterwards."""
    from airflow.providers.common.compat.sdk import BaseHook

    os.environ.update(entry.get("env", {}))
    for conn_id, statements in entry.get("before", {}).items():
        with closing(BaseHook.get_connection(conn_id).get_hook().get_conn()) as connection:
            for statement in statements:  # not by the hook, which logs what it runs
                connection.cursor().execute(statement)
            connection.commit()
    happened = run(dag, entry.get("date"))
    rows = {
        conn_id: [list(row) for row in BaseHook.get_connection(conn_id).get_hook().get_records(query)]
        for conn_id, query in entry.get("after", {}).items()
    }
    return happened | {"rows": rows}


def run(dag: Any, logical_date: str | None) -> dict[str, Any]:
    from airflow.utils.session import create_session

    when = datetime.fromisoformat(logical_date).replace(tzinfo=UTC) if logical_date else None
    dag_run = dag.test(**execution_date(when))
    with create_session() as session:
        tasks = {
            f"{ti.task_id}[{ti.map_index}]": str(getattr(ti.state, "value", ti.state))
            for ti in dag_run.get_task_instances(session=session)
        }
        return {
            "dag": dag.dag_id,
            "state": str(getattr(dag_run.state, "value", dag_run.state)),
            "tasks": tasks,
            "xcoms": xcoms(session, dag_run.run_id),
        }


def execution_date(when: datetime | None) -> dict[str, Any]:
    """Return the argument of ``dag.test`` that sets the logical date, in Airflow 2 by its old name."""
    import airflow

    if when is None:
        return {}
    return {"execution_date" if airflow.__version__.startswith("2.") else "logical_date": when}


def main() -> None:
    folder, runs, result = map(Path, sys.argv[1:])
    found = dags(folder)
    happened = [run_entry(found[entry["dag"]], entry) for entry in json.loads(runs.read_text())]
    result.write_text(json.dumps({"dags": sorted(found), "runs": happened}, default=str))


if __name__ == "__main__":
    main()
