"""Keeping a trigger's progress where a restarted triggerer finds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow.providers.common.compat.sdk import XCom

XCOM_KEY = "cleanlist_wait"
"""Key of the XCom."""


class TaskKey(Protocol):
    """What names a task instance.

    Attributes:
        dag_id: Its DAG.
        task_id: Its task.
        run_id: Its DAG run.
        map_index: Its index; -1 when the task is not mapped.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int


class SavedProgress:
    """Progress of one waiting task as an XCom of its own, where triggers may read and write XComs.

    Where Airflow has no asynchronous XCom access, and outside a triggerer, nothing is kept and a restarted trigger
    looks at all workflows again. Airflow removes the XCom when the task is tried anew.

    Args:
        task_instance: The task; None outside a triggerer.
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
        """Return what was kept, or None. Never raises: progress only saves requests."""
        if self._key is None:
            return None
        try:
            value = await XCom.aget_one(**self._key)
        except Exception:  # noqa: BLE001  # whatever keeps Airflow from answering
            return None
        return value if isinstance(value, Mapping) else None

    async def save(self, snapshot: Mapping[str, Any]) -> bool:
        """Keep a snapshot, and return whether that worked. Never raises.

        Args:
            snapshot: Small JSON values.
        """
        if self._key is None:
            return False
        try:
            await XCom.aset(value=dict(snapshot), **self._key)
        except Exception:  # noqa: BLE001  # whatever keeps Airflow from answering
            return False
        return True
