"""Remembering that a load is done until Airflow knows it, too."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

STATE_KEY = "cleanlist_load"
"""Key of the result in the task state store."""


class FinishedLoad:
    """The result of a load that an earlier try of the same task finished, kept in Airflow's task state store.

    A worker that is killed after publishing and before Airflow knows of the success is tried again, and must not read
    everything again. A task that was cleared is to load again: clearing raises the number of tries it may have. Before
    Airflow 3.3 there is no such store, and nothing is remembered.

    Args:
        context: Context of the task.
        *what: What makes it the same load.
    """

    def __init__(self, context: Context, *what: object) -> None:
        self._store: Any = context.get("task_state_store")
        self._of = ""
        if self._store is not None:
            told = repr((context["ti"].max_tries, *what))
            self._of = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def recall(self) -> dict[str, Any] | None:
        """Return the result of the load if it is done, else None."""
        found = None if self._store is None else self._store.get(STATE_KEY)
        if not isinstance(found, dict) or found.get("of") != self._of:
            return None
        result: dict[str, Any] = found["result"]
        return result

    def remember(self, result: dict[str, Any]) -> None:
        """Keep the result of the load.

        Args:
            result: Small JSON values, nothing personal.
        """
        if self._store is not None:
            self._store.set(STATE_KEY, {"of": self._of, "result": result})
