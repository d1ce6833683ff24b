"""DAGs whose enrichment meets with an accident, at a point and in a try that the run's ``conf`` names.

``conf``: ``connection``, ``batch_size``, ``troubles`` (what happens, by try: ``{"1": {"what": ..., "point": ...,
"passing": 1}}``), ``mailbox`` (a file for process ids), and the source: ``contacts``, ``scenario`` or ``paths``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

SECONDS_ON_THE_WAY = 0.7
SUBMIT = "/enrich/bulk"
HAS_JOURNAL_PATH = "AIRFLOW__CLEANLIST__JOURNAL_PATH" in os.environ


class Trouble:
    """An accident at the n-th passing of a point of the submission."""

    def __init__(self, what: str, point: str, passing: int = 1, mailbox: str = "") -> None:
        self._strike: Callable[[], None] = {
            "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
            "SIGTERM to the worker": lambda: os.kill(os.getppid(), signal.SIGTERM),
            "SIGSTOP to the worker": self._stop_worker,
            "timeout": lambda: signal.setitimer(signal.ITIMER_REAL, 0.01),
            "clear": self._ask_to_be_cleared,
        }[what]
        self._point = point
        self._left = passing
        self._mailbox = Path(mailbox)

    def pass_by(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                self._strike()

    def _stop_worker(self) -> None:
        self._mailbox.write_text(f"{os.getppid()} {os.getpid()}")
        for process in (os.getppid(), os.getpid()):
            os.kill(process, signal.SIGSTOP)

    def _ask_to_be_cleared(self) -> None:
        self._mailbox.write_text(str(os.getpid()))
        threading.Event().wait(60)

    def install(self) -> None:
        """Put the accident into the code that this process is about to run."""
        from airflow_provider_cleanlist.client.transport import Transport
        from airflow_provider_cleanlist.submission.stored import stores as journal_stores

        stores = (journal_stores.TaskStateJournalStore, journal_stores.ObjectStorageJournalStore)
        store_class = stores[HAS_JOURNAL_PATH]
        write, send = store_class.write, Transport._send

        def write_here(store: Any, key: str, value: dict[str, Any]) -> None:
            kind = value.get("state", "header")
            self.pass_by(f"before {kind}")
            write(store, key, value)
            self.pass_by(f"after {kind}")

        def send_here(transport: Any, request: Any) -> Any:
            if request.path != SUBMIT:
                return send(transport, request)
            self.pass_by("before sending")
            on_the_way = threading.Timer(SECONDS_ON_THE_WAY, self.pass_by, ["on the way"])
            on_the_way.start()
            answer = send(transport, request)
            on_the_way.cancel()
            self.pass_by("after the answer")
            return answer

        store_class.write = write_here
        Transport._send = send_here


class TroubledEnrichOperator(BulkEnrichOperator):
    """Enriches as told by the run's ``conf``, and meets with the accident planned for this try."""

    def execute(self, context: Any) -> Any:
        conf, ti = context["dag_run"].conf, context["ti"]
        self.batch_size = conf.get("batch_size", 5)
        self.wait_for_completion = self.deferrable = conf.get("wait", False)
        trouble = conf.get("troubles", {}).get(str(ti.try_number))
        if trouble is not None and ti.map_index == conf.get("map_index", -1):
            Trouble(**trouble, mailbox=conf.get("mailbox", "")).install()
        return super().execute(context)


TRIES: dict[str, Any] = {
    "retries": 10,  # planned accidents take two; on a busy machine Airflow itself fails tries, see Scenario.tries
    "retry_delay": timedelta(seconds=1),
    "execution_timeout": timedelta(hours=1),
    "cleanlist_conn_id": "{{ dag_run.conf['connection'] }}",
    "on_unknown_submission": "{{ var.value.get('on_unknown_' ~ dag_run.conf['name'], 'fail') }}",
    "poll_interval": 1,
}
RUNS: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 50,
    "max_active_tasks": 50,
    "default_args": TRIES,
}

with DAG("pay_once", **RUNS):
    TroubledEnrichOperator(task_id="enrich", contacts_path="{{ dag_run.conf['contacts'] }}")

with DAG("pay_once_sql", **RUNS):
    TroubledEnrichOperator(
        task_id="enrich",
        sql="""
            SELECT linkedin_url FROM people
            WHERE scenario = '{{ dag_run.conf["name"] }}' AND since_try <= {{ ti.try_number }}
            ORDER BY random()
        """,
        sql_conn_id="people",
    )

with DAG("pay_once_mapped", **RUNS):

    @task
    def files(**context: Any) -> list[str]:
        """Return the contacts files, one for each mapped task."""
        return list(context["dag_run"].conf["paths"])

    TroubledEnrichOperator.partial(task_id="enrich").expand(contacts_path=files())
