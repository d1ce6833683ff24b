"""The callback of the example of notifications, with a notifier of the test's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.notifier import BaseNotifier

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client.errors import ErrorInfo

EXAMPLE = Path(__file__).parents[2] / "dags_examples" / "notifications.py"


class Kept(BaseNotifier):
    """Keeps what it was to send."""

    template_fields = ("message",)
    sent: list[str]

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def notify(self, context: Any) -> None:
        self.sent.append(self.message)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_notifications", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(Kept, "sent", [], raising=False)
    monkeypatch.setattr(module, "LogNotifier", Kept)
    return module


def context(error: Exception) -> dict[str, Any]:
    return {"exception": error, "run_id": "monday", "ti": SimpleNamespace(task_id="enrich"), "dag": None}


INFO = ErrorInfo("submit the bulk enrichment", "not enough credits", status=402)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (exceptions.CleanlistSubmissionUnknownError(INFO), "Decide: enrich of monday may have paid. "),
        (exceptions.CleanlistInsufficientCreditsError(INFO), "Credits: enrich of monday stopped. "),
        (exceptions.CleanlistCreditLimitError("44 credits"), "Credits: enrich of monday stopped. 44 credits"),
    ],
)
def test_stops_for_a_person_are_told_with_their_reason(example: ModuleType, error: Exception, told: str):
    example.tell_people(context(error))
    (message,) = Kept.sent
    assert message.startswith(told)
    assert message.endswith(str(error))


@pytest.mark.parametrize("error", [exceptions.CleanlistServerError(INFO), ValueError("other")])
def test_others_are_left_to_the_usual_alerts(example: ModuleType, error: Exception):
    example.tell_people(context(error))
    assert Kept.sent == []
