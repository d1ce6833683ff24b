"""DAGs whose enrichment asks a person: what else happens to them is named by the run's ``conf``.

``conf``: ``connection``, ``paths`` (contacts files, one for each mapped task), ``ledger`` (a connection id or nothing),
``wait`` and ``deferrable``, ``timeout`` (seconds to decide), and ``killed``, where the worker dies in its first try:
``after the question`` or ``after the answer``.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator


def die_after(owner: Any, name: str) -> None:
    """Let the worker die as soon as a function has done its work."""
    work = getattr(owner, name)

    def work_and_die(*arguments: Any, **options: Any) -> None:
        work(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, work_and_die)


class AskingEnrichOperator(BulkEnrichOperator):
    """Enriches as told by the run's ``conf``."""

    def execute(self, context: Any) -> Any:
        self._follow(context)
        return super().execute(context)

    def execute_decided(self, context: Any, event: Any = None) -> Any:
        self._follow(context)
        return super().execute_decided(context, event)

    def _follow(self, context: Any) -> None:
        from airflow_provider_cleanlist.operators import required_action
        from airflow_provider_cleanlist.submission.submit import Submission

        conf = context["dag_run"].conf
        self.wait_for_completion, self.deferrable = conf.get("wait", False), conf.get("deferrable", False)
        if seconds := conf.get("timeout"):
            self.decision_timeout = timedelta(seconds=seconds)
        if context["ti"].try_number == 1 and (killed := conf.get("killed")):
            die_after(
                *{
                    "after the question": (required_action, "_write_question"),
                    "after the answer": (Submission, "take_answer"),
                }[killed]
            )


ARGUMENTS: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=1),
    "cleanlist_conn_id": "{{ dag_run.conf['connection'] }}",
    "ledger_conn_id": "{{ dag_run.conf.get('ledger', '') }}",
    "on_unknown_submission": "ask",
    "batch_size": 2,
    "poll_interval": 1,
}
RUNS: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 50,
    "max_active_tasks": 50,
    "default_args": ARGUMENTS,
}

for name in ("ask", "ask_tested"):
    with DAG(name, **RUNS):
        AskingEnrichOperator(task_id="enrich", contacts_path="{{ dag_run.conf['paths'][0] }}")

with DAG("ask_mapped", **RUNS):

    @task
    def files(**context: Any) -> list[str]:
        """Return the contacts files, one for each mapped task."""
        return list(context["dag_run"].conf["paths"])

    AskingEnrichOperator.partial(task_id="enrich").expand(contacts_path=files())
