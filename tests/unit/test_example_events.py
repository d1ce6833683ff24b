"""The example that is started by asset events, with events of all kinds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "dags_examples" / "enrichment_finished.py"
GENUINE = {"cleanlist": {"workflow_ids": ["w1", "w2"], "status": "completed"}}


@pytest.fixture(scope="module")
def finished_workflows() -> Any:
    spec = importlib.util.spec_from_file_location("enrichment_finished", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.finished_workflows.function


def events(*extras: object) -> dict[str, list[SimpleNamespace]]:
    return {"cleanlist://lists/managed": [SimpleNamespace(extra=extra) for extra in extras]}


def test_genuine_events(finished_workflows: Any) -> None:
    other = {"cleanlist": {"workflow_ids": ["w3"]}}
    assert finished_workflows(events(GENUINE, other)) == ["w1", "w2", "w3"]


@pytest.mark.parametrize(
    "by_hand",
    [
        None,
        {},
        {"cleanlist": None},
        {"cleanlist": "w"},
        {"cleanlist": {}},
        {"cleanlist": {"workflow_ids": None}},
        {"cleanlist": {"workflow_ids": 5}},
        {"cleanlist": {"workflow_ids": True}},
        {"cleanlist": {"workflow_ids": "public_bulk_2"}},
        {"cleanlist": {"workflow_ids": ["['x']", {"a": 1}, "", "x" * 300, "a\nb", None, 7]}},
        {"cleanlist": "{}"},
        "text",
        ["a"],
    ],
)
def test_an_event_made_by_hand_hides_no_genuine_one(finished_workflows: Any, by_hand: object) -> None:
    assert finished_workflows(events(by_hand, GENUINE, by_hand)) == ["w1", "w2"]
