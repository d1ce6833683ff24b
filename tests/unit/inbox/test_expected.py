"""Looks become rare where webhooks are to come, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cleanlist.inbox.expected import (
    SAFETY_POLL_SECONDS,
    expected,
    mark_expected,
    safety_poll_interval,
)

IDS = [f"w{n}" for n in range(20)]


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}/inbox")
    return tmp_path / "inbox"


def test_announced_workflows(inbox: Path) -> None:
    mark_expected(IDS)
    assert expected([*IDS, "another"]) == IDS
    assert safety_poll_interval(None, IDS) == SAFETY_POLL_SECONDS == 600
    mark_expected(IDS[:2])
    assert len(list((inbox / "announced").iterdir())) == 20


def test_what_the_user_says_counts(inbox: Path) -> None:
    mark_expected(IDS)
    assert safety_poll_interval(30, IDS) == 30


@pytest.mark.parametrize("ids", [[], ["another"], ["another", *IDS], [*IDS, "another"]])
def test_workflows_that_nobody_announced_are_polled(inbox: Path, ids: list[str]) -> None:
    mark_expected(IDS)
    assert safety_poll_interval(None, ids) is None


def test_without_an_inbox_everything_is_polled() -> None:
    mark_expected(IDS)
    assert expected(IDS) == []
    assert safety_poll_interval(None, IDS) is None


@pytest.mark.parametrize("path", ["nonsense://inbox", "file:///dev/null/inbox"])
def test_an_inbox_that_fails_costs_polls_and_says_so(path: str, monkeypatch, caplog) -> None:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", path)
    mark_expected(IDS)
    assert safety_poll_interval(None, IDS) is None
    assert "will cost status requests: the inbox" in caplog.text
