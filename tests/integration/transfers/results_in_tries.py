"""Tries of one task that loads results, each in a process of its own: results_in_tries.py <task_ids.json>.

Starts a try for every line on stdin and answers with its process id, and with its exit code when it has ended. Forked,
so that a try begins at once. The task state store is a file beside the task ids, as Airflow's survives a killed worker.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook  # noqa: F401
from airflow.providers.sqlite.hooks.sqlite import SqliteHook  # noqa: F401

import airflow_provider_cleanlist.client.client
import airflow_provider_cleanlist.warehouse.loader  # noqa: F401  # loaded once for all tries
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)

AIRFLOW_NEEDS_SECONDS = 0.1
"""Between the end of ``execute`` and the moment when Airflow knows of the success."""


class StateStore:
    """The task state store in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Any:
        return json.loads(self._path.read_text()).get(key) if self._path.exists() else None

    def set(self, key: str, value: Any) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({key: value}))
        new.replace(self._path)


def run(folder: Path, task_ids: dict[str, list[str]]) -> None:
    """Run one try."""
    operator = EnrichmentResultsToWarehouseOperator(
        task_id="load",
        workflow_ids=list(task_ids),
        task_ids=task_ids,
        warehouse_conn_id="warehouse",
        table="results",
    )
    ti = SimpleNamespace(dag_id="dag", task_id="load", map_index=-1, max_tries=9, xcom_push=lambda **_: None)
    context = {
        "ti": ti,
        "run_id": "run",
        "outlet_events": {},
        "task_state_store": StateStore(folder / "state.json"),
    }
    result = operator.execute(context)
    time.sleep(AIRFLOW_NEEDS_SECONDS)
    (folder / "result.json").write_text(json.dumps(result))


def main() -> None:
    """Serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task_ids = Path(sys.argv[1])
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            run(task_ids.parent, json.loads(task_ids.read_text()))
            os._exit(0)
        print(child, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


if __name__ == "__main__":
    main()
