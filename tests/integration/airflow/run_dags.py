"""Run DAGs with ``dag.test()`` in this process, and write down what came of them.

Usage: run_dags.py <file of DAGs> <result.json>. Works on every Airflow that the provider supports.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

OUR_PACKAGE = "/airflow_provider_cleanlist/"
PASSED_THROUGH = ("/airflow/", "<frozen ", "/importlib/", "/contextlib.py", "/functools.py")
AIRFLOW_2 = importlib.metadata.version("apache-airflow").startswith("2.")
complaints: list[str] = []
deferred: set[tuple[str, str]] = set()


def note_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Keep a deprecation that this package brought about, be it through several layers of Airflow."""
    if not issubclass(category, DeprecationWarning | FutureWarning | PendingDeprecationWarning):
        return
    for frame in reversed(traceback.extract_stack()[:-1]):
        if OUR_PACKAGE in frame.filename:
            complaints.append(f"{frame.filename}:{frame.lineno}: {category.__name__}: {message}")
            return
        if not any(part in frame.filename for part in PASSED_THROUGH) and frame.filename != warnings.__file__:
            return


def note_deferrals() -> None:
    """Remember which tasks are deferred."""
    from airflow.providers.common.compat.sdk import BaseOperator

    original = BaseOperator.defer

    def defer(self: Any, **arguments: Any) -> None:
        deferred.add((self.dag_id, self.task_id))
        original(self, **arguments)

    BaseOperator.defer = defer


def load(path: Path) -> ModuleType:
    """Import a file of DAGs."""
    spec = importlib.util.spec_from_file_location("provider_dags", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asset_events(session: Any) -> list[dict[str, Any]]:
    """Return the events of all runs so far."""
    try:
        from airflow.models.asset import AssetEvent, AssetModel
    except ImportError:
        from airflow.models.dataset import DatasetEvent as AssetEvent
        from airflow.models.dataset import DatasetModel as AssetModel
    id_column = getattr(AssetEvent, "asset_id", None) or AssetEvent.dataset_id
    rows = session.query(AssetModel.uri, AssetEvent.source_task_id, AssetEvent.extra).filter(
        AssetModel.id == id_column
    )
    return [{"uri": uri, "task": task_id, "extra": extra} for uri, task_id, extra in rows]


def xcoms(session: Any, run_id: str) -> list[dict[str, Any]]:
    """Return the XComs of a run."""
    from airflow.models import xcom

    model = getattr(xcom, "XComModel", None) or xcom.XCom
    rows = session.query(model.task_id, model.map_index, model.key, model.value).filter(
        model.run_id == run_id
    )
    return [
        {"task": task, "index": index, "key": key, "value": value if isinstance(value, str) else _text(value)}
        for task, index, key, value in rows
    ]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def links(dag: Any, tasks: Iterable[Any]) -> dict[str, list[str]]:
    """Return where the extra links of tasks lead, asked for as Airflow 2 does; Airflow 3 keeps the answer as XCom."""
    return {
        ti.task_id: [
            link.get_link(dag.get_task(ti.task_id), ti_key=ti.key)
            for link in getattr(dag.get_task(ti.task_id), "operator_extra_links", ())
        ]
        for ti in tasks
        if ti.map_index < 0
    }


def run(dag: Any) -> dict[str, Any]:
    """Run one DAG and describe the run."""
    from airflow.utils.session import create_session

    dag_run = dag.test()
    with create_session() as session:
        instances = dag_run.get_task_instances(session=session)
        tasks = [
            {
                "task": ti.task_id,
                "index": ti.map_index,
                "state": str(getattr(ti.state, "value", ti.state)),
                "try": ti.try_number,
            }
            for ti in instances
        ]
        return {
            "state": str(getattr(dag_run.state, "value", dag_run.state)),
            "tasks": tasks,
            "deferred": sorted(task for dag_id, task in deferred if dag_id == dag.dag_id),
            "xcoms": xcoms(session, dag_run.run_id),
            "links": links(dag, instances) if AIRFLOW_2 else {},
        }


def main() -> None:
    """Run every DAG of the file."""
    source, result = map(Path, sys.argv[1:])
    warnings.simplefilter("always")
    warnings.showwarning = note_warning
    note_deferrals()
    module = load(source)
    runs = {name: run(by_id(module)[name]) for name in module.DAGS}
    from airflow.utils.session import create_session

    with create_session() as session:
        events = asset_events(session)
    result.write_text(json.dumps({"runs": runs, "events": events, "complaints": complaints}, default=str))


def by_id(module: ModuleType) -> dict[str, Any]:
    """Return the DAGs of a file by id."""
    from airflow.providers.common.compat.sdk import DAG

    found = [value for value in vars(module).values() if isinstance(value, DAG)]
    return {dag.dag_id: dag for dag in found}


if __name__ == "__main__":
    main()
