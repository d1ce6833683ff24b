"""Tries of one load by export, each in a process of its own: export_in_tries.py <list id>.

Starts a try for every line on stdin (the id of its run) and answers with its process id, and with its exit code when it
has ended. Forked, so that a try begins at once.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

from airflow.providers.postgres.hooks.postgres import PostgresHook  # noqa: F401
from airflow.providers.sqlite.hooks.sqlite import SqliteHook  # noqa: F401
from cryptography.fernet import Fernet  # noqa: F401  # loaded once for all tries

import airflow_provider_cleanlist.client.client  # noqa: F401  # loaded once for all tries
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator
from airflow_provider_cleanlist.warehouse import loader


def run(list_id: str, run_id: str) -> None:
    """Run one try."""
    operator = LeadListToWarehouseOperator(
        task_id="load",
        list_id=list_id,
        read="export",
        mode="merge",
        on_missing="delete",
        warehouse_conn_id="warehouse",
        table="leads",
    )
    ti = SimpleNamespace(dag_id="dag", task_id="load", map_index=-1, max_tries=9, xcom_push=lambda **_: None)
    assert loader.load.__kwdefaults__ is not None
    loader.load.__kwdefaults__["batch_rows"] = 1_000  # commits in the middle of a file that is quickly read
    operator.execute({"ti": ti, "run_id": run_id, "outlet_events": {}})


def main() -> None:
    """Serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                run(sys.argv[1], line.strip())
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        print(child, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


if __name__ == "__main__":
    main()
