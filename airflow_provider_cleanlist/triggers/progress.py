"""Saving a trigger's progress for the time after a restart of the triggerer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow.providers.common.compat.sdk import XCom

XCOM_KEY = "cleanlist_wait"
"""Key of the XCom that holds the progress."""


class TaskKey(Protocol):
    """Identifies a task instance.

    Attributes:
        dag_id: Its DAG.
        task_id: Its task.
        run_id: Its DAG run.
        map_index: Its map index; -1 if the task is not mapped.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int


class SavedProgress:
    """The progress of one waiting task, saved as an XCom of the task.

    Without asynchronous access to XComs (older Airflow), and outside a triggerer, nothing is saved, and a restarted
    trigger checks all workflows again. Airflow deletes the XCom at the task's next attempt.

    Args:
        task_instance: The waiting task; None outside a triggerer.
    """

    def __init__(self, task_instance: TaskKey | None) -> None:
        self._key: dict[str, Any] | None = None
        if task_instance is not None and hasattr(XCom, "aset") and hasattr(XCom, "aget_one"):
            self._key = {
                "key": XCOM_KEY,
                "dag_id": task_instance.dag_id,
                "task_id": task_instance.task_id,
                "run_id": task_instance.run_id,
                "map_index": task_instance.map_index,
            }

    async def load(self) -> Mapping[str, Any] | None:
        """Return the saved snapshot, or None. Never raises: without it, the wait only costs more requests."""
        if self._key is None:
            return None
        try:
            value = await XCom.aget_one(**self._key)
        except Exception:  # noqa: BLE001  # Airflow's API may raise anything
            return None
        return value if isinstance(value, Mapping) else None

    async def save(self, snapshot: Mapping[str, Any]) -> bool:
        """Save a snapshot, and return whether that worked. Never raises.

        Args:
            snapshot: Plain JSON values.
        """
        if self._key is None:
            return False
        try:
            await XCom.aset(value=dict(snapshot), **self._key)
        except Exception:  # noqa: BLE001  # Airflow's API may raise anything
            return False
        return True
