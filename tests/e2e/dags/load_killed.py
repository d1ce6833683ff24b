"""A DAG whose load is killed at a step, and in a try, that the run's ``conf`` names.

``conf``: ``connection``, ``list_id``, ``table``, ``diary`` (a file that every step is noted in) and ``kills`` (by try:
``{"1": {"what": ..., "passing": 1}}``).
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

PAGE_ROWS, BATCH_ROWS = 50, 150


class Diary:
    """Notes each step of a try before it is done, and kills the process at one of them."""

    def __init__(self, path: str, attempt: int, kill: dict[str, Any] | None) -> None:
        self._path = Path(path)
        self._attempt = attempt
        self._kill = kill
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, what: str, **more: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"try": self._attempt, "what": what, **more}) + "\n")

    def reach(self, what: str, **more: Any) -> None:
        """Note a step; die here if it is the one."""
        with self._lock:
            self._passed[what] += 1
            passing = self._passed[what]
            self.note(what, passing=passing, **more)
            if self._kill == {"what": what, "passing": passing}:
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Follow the load that this process is about to run."""
        import sqlalchemy as sa

        from airflow_provider_cleanlist.client.transport import Transport
        from airflow_provider_cleanlist.warehouse import loader, staging
        from airflow_provider_cleanlist.warehouse.dialects.base import Database
        from airflow_provider_cleanlist.warehouse.dialects.postgresql import CopyStream

        send, publish, drop = Transport._send, loader.publish, staging.Stage.drop
        write, commit = CopyStream.write, staging.Stage.commit
        insert_rows = Database.insert_rows

        def send_here(transport: Any, request: Any) -> Any:
            if not request.path.endswith("/leads"):
                return send(transport, request)
            self.reach("ask for a page", cursor=dict(request.params).get("cursor"))
            answer = send(transport, request)
            self.reach("get a page")
            return answer

        def write_here(stream: Any, rows: Any) -> None:
            self.reach("write rows")
            write(stream, rows)
            self.reach("rows are written")

        def insert_rows_here(database: Any, connection: Any, table: Any, rows: Any) -> None:
            if rows:  # this driver takes no stream
                self.reach("write rows")
                insert_rows(database, connection, table, rows)
                self.reach("rows are written")

        def commit_here(*arguments: Any) -> None:
            commit(*arguments)
            self.reach("rows are committed")

        def publish_here(*arguments: Any) -> int:
            self.reach("publish")
            removed = publish(*arguments)
            self.reach("publication is complete")
            return removed

        def drop_here(stage: Any) -> None:
            self.reach("clean up")
            drop(stage)

        Transport._send = send_here
        CopyStream.write, staging.Stage.commit = write_here, commit_here
        Database.insert_rows = insert_rows_here
        loader.publish, staging.Stage.drop = publish_here, drop_here
        loader.load = functools.partial(loader.load, batch_rows=BATCH_ROWS)
        sa.event.listen(
            sa.engine.Engine,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, *_: self.reach(kind_of(statement)),
        )
        sa.event.listen(sa.engine.Engine, "commit", lambda _: self.reach("COMMIT"))


def kind_of(statement: str) -> str:
    """Return the verb of a statement and what it is about."""
    table = re.search("_cleanlist_stage_|_cleanlist_loads|_killed", statement)
    about = {"_cleanlist_stage_": "stage", "_cleanlist_loads": "loads", "_killed": "target"}
    return f"{statement.split(maxsplit=1)[0]} {about[table[0]] if table else ''}".strip()


def committed_pages(conn_id: str, list_id: str) -> int:
    """Return how many pages of a list are in a stage."""
    import sqlalchemy as sa

    from airflow_provider_cleanlist.transfers.base import open_warehouse

    engine = open_warehouse(conn_id)
    query = "SELECT checkpoint::json ->> 'pages' FROM _cleanlist_loads WHERE list_id = :list_id"
    try:
        with engine.connect() as connection:
            return int(connection.execute(sa.text(query), {"list_id": list_id}).scalar() or 0)
    except sa.exc.ProgrammingError:  # the first load of all makes the table
        return 0
    finally:
        engine.dispose()


class KilledLoadOperator(LeadListToWarehouseOperator):
    """Loads as told by the run's ``conf``, and dies at the step planned for this try."""

    def execute(self, context: Any) -> Any:
        conf, attempt = context["dag_run"].conf, context["ti"].try_number
        diary = Diary(conf["diary"], attempt, conf["kills"].get(str(attempt)))
        diary.note("begin", committed=committed_pages(self.warehouse_conn_id, self.list_id))
        diary.install()
        return super().execute(context)


with DAG(
    "load_killed",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=100,
    max_active_tasks=100,
):
    KilledLoadOperator(
        task_id="load",
        list_id="{{ dag_run.conf['list_id'] }}",
        cleanlist_conn_id="{{ dag_run.conf['connection'] }}",
        warehouse_conn_id="{{ dag_run.conf['warehouse'] }}",
        table="{{ dag_run.conf['table'] }}",
        on_missing="delete",
        page_size=PAGE_ROWS,
        retries=3,
        retry_delay=timedelta(seconds=1),
    )
