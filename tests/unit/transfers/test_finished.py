"""What a try learns of an earlier one that ended before Airflow knew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from airflow_provider_cleanlist.transfers.finished import FinishedLoad

RESULT = {"rows_written": 3}


def context(store: dict[str, Any] | None, max_tries: int = 2) -> Any:
    state = None if store is None else SimpleNamespace(get=store.get, set=store.__setitem__)
    return {"ti": SimpleNamespace(max_tries=max_tries), "task_state_store": state}


def test_a_later_try_learns_it():
    store: dict[str, Any] = {}
    assert FinishedLoad(context(store), "w", None).recall() is None
    FinishedLoad(context(store), "w", None).remember(RESULT)
    assert FinishedLoad(context(store), "w", None).recall() == RESULT


def test_other_loads_and_cleared_tasks_do_not():
    store: dict[str, Any] = {}
    FinishedLoad(context(store), "w", "merge").remember(RESULT)
    assert FinishedLoad(context(store), "w", "append").recall() is None
    assert FinishedLoad(context(store, max_tries=3), "w", "merge").recall() is None


def test_what_somebody_else_wrote_is_nothing():
    assert FinishedLoad(context({"cleanlist_load": ["?"]}), "w").recall() is None


def test_before_there_was_a_store_nothing_is_remembered():
    FinishedLoad(context(None), "w").remember(RESULT)
    assert FinishedLoad(context(None), "w").recall() is None
    assert FinishedLoad({"ti": None}, "w").recall() is None  # type: ignore[typeddict-item]
