from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import XCom

from airflow_provider_cleanlist.triggers.progress import SavedProgress

if TYPE_CHECKING:
    import pytest

TASK = SimpleNamespace(dag_id="d", task_id="wait", run_id="r", map_index=-1)
SNAPSHOT = {"of": "x", "done": [], "typical": 90.0}


def both(progress: SavedProgress) -> tuple[object, bool]:
    async def use() -> tuple[object, bool]:
        return await progress.load(), await progress.save(SNAPSHOT)

    return asyncio.run(use())


def test_outside_a_triggerer_nothing_is_kept():
    assert both(SavedProgress(None)) == (None, False)


def test_an_airflow_that_does_not_answer_does_no_harm():
    assert both(SavedProgress(TASK)) == (None, False)


def test_an_airflow_without_asynchronous_xcoms_does_no_harm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(XCom, "aset", raising=False)
    assert both(SavedProgress(TASK)) == (None, False)
