"""Mapped tasks that wait in the triggerer for a workflow that has ended, again and again: ``quick_deferrals.py``.

``conf``: ``workflow_id``, ``tasks``, ``rounds`` (deferrals of each), and ``held``, whether
events are held back as the provider does.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator, task


class QuickWaitOperator(BaseOperator):
    """Waits as the provider's operators do, several times, and returns the seconds from each deferral to its resume."""

    def __init__(self, *, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number

    def execute(self, context: Any) -> None:
        self._wait(context, [])

    def resume(self, context: Any, event: dict[str, Any]) -> list[float]:
        *away, since = event["passthrough"]["away"]
        away.append(time.time() - since)
        if len(away) < context["dag_run"].conf["rounds"]:
            self._wait(context, away)
        return away

    def _wait(self, context: Any, away: list[float]) -> None:
        from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger

        conf, now = context["dag_run"].conf, time.time()
        trigger = WorkflowTrigger(
            cleanlist_conn_id="cleanlist_default",
            workflow_ids=[conf["workflow_id"]],
            submitted_at=now,
            deadline=now + 600,
            poll_interval=1.0,
            deferred_at=now if conf["held"] else None,  # a trigger that does not know it fires at once
            passthrough={"away": [*away, now]},
        )
        self.defer(trigger=trigger, method_name="resume")


with DAG(
    "quick_deferrals",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_tasks=500,
    default_args={"retries": 20, "retry_delay": timedelta(seconds=1)},
):

    @task
    def numbers(**context: Any) -> list[int]:
        """Return a number for each task."""
        return list(range(context["dag_run"].conf["tasks"]))

    QuickWaitOperator.partial(task_id="wait").expand(number=numbers())
