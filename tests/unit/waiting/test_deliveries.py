"""Detecting deliveries: before the wait, during it, and when the storage fails; and how rare polls become."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError, announce, marker_name
from airflow_provider_cleanlist.inbox.listing import InboxListing
from airflow_provider_cleanlist.waiting import deliveries as module
from airflow_provider_cleanlist.waiting.deliveries import (
    SAFETY_POLL_SECONDS,
    DeliveryWatcher,
    apause,
    pause,
    safety_poll_interval,
)
from airflow_provider_cleanlist.waiting.tracker import Check, WorkflowTracker

NOW = 1_780_000_000.0
DAY = 24 * 3600
BATCH, NEXT = marker_name("a batch"), marker_name("the next")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox.at(f"file://{tmp_path}")


@pytest.fixture
def watcher(inbox: Inbox) -> DeliveryWatcher:
    listing = InboxListing(inbox)
    return DeliveryWatcher(lambda: listing)


def deliver(inbox: Inbox, workflow_id: str, now: float, **payload: object) -> None:
    inbox.announce(workflow_id, marker_name(f"batch of {workflow_id}"))
    inbox.store(marker_name(f"batch of {workflow_id}"), workflow_id, {"status": "completed"} | payload, now)


def ids(ends: list) -> list[str]:
    return [status.workflow_id for status in ends]


def test_statuses_without_results(watcher: DeliveryWatcher, inbox: Inbox) -> None:
    assert watcher.finished(["w", "v"], NOW) == []
    deliver(inbox, "w", NOW + 1, status="failed", summary={"total": 3}, results=[{"email": "a@b"}])
    deliver(inbox, "v", NOW + 1, status=None, event="enrichment.completed")
    ends = {status.workflow_id: status for status in watcher.finished(["w", "v", "u"], NOW + 1)}
    assert {name: status.state.value for name, status in ends.items()} == {"w": "failed", "v": "completed"}
    assert (ends["w"].total, ends["w"].results) == (3, ())


def test_a_failure_only_has_the_api_asked(watcher: DeliveryWatcher, inbox: Inbox) -> None:
    """Whoever was submitted in a failed workflow may be submitted again, and anybody with the address can say so."""
    tracker = WorkflowTracker(["w", "v"], submitted_at=NOW, deadline=NOW + DAY, poll_interval=600.0)
    deliver(inbox, "w", NOW, status="failed")
    deliver(inbox, "v", NOW)
    pause(watcher, 0.0, tracker, lambda: NOW + 1)
    assert (tracker.running, tracker.next_step(NOW + 1)) == (("w",), Check("w"))
    assert watcher.finished(["w"], NOW + 2) == []


def test_what_came_days_before_the_wait_is_found(watcher: DeliveryWatcher, inbox: Inbox) -> None:
    """As after a task was cleared, or a triggerer started anew."""
    running = [f"w{n}" for n in range(50)]
    for workflow_id in running:
        deliver(inbox, workflow_id, NOW - 3 * DAY)
    found: list[str] = []
    for second in range(3):
        found += ids(watcher.finished([one for one in running if one not in found], NOW + second))
    assert found == running


def test_each_workflow_is_looked_up_once(watcher: DeliveryWatcher, inbox: Inbox, monkeypatch) -> None:
    looked_up: list[str] = []
    monkeypatch.setattr(inbox, "payload", looked_up.append)
    running = [f"w{n}" for n in range(50)]
    for second in range(100):
        watcher.finished(running, NOW + second)
    assert looked_up == running


def test_a_storage_that_fails_is_reported_once_and_read_again(
    watcher: DeliveryWatcher, inbox: Inbox, monkeypatch, caplog
) -> None:
    def failing(*_: object) -> None:
        raise InboxUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "markers", failing)
        assert [watcher.finished(["w"], NOW + second) for second in range(3)] == [[], [], []]
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "payload", failing)
        assert watcher.finished(["w"], NOW + 5) == []
    assert caplog.text.count("Webhook deliveries cannot be read at the moment: no answer") == 1
    deliver(inbox, "w", NOW)
    assert ids(watcher.finished(["w"], NOW + 10)) == ["w"]


def test_one_damaged_delivery_hides_no_other(
    watcher: DeliveryWatcher, inbox: Inbox, tmp_path: Path, caplog
) -> None:
    watcher.finished(["w", "v"], NOW)
    deliver(inbox, "w", NOW)
    deliver(inbox, "v", NOW)
    (tmp_path / f"workflows/{marker_name('w')}-{marker_name('batch of w')}.json").write_text("{")
    assert ids(watcher.finished(["w", "v"], NOW + 1)) == ["v"]
    for second in range(2, 9):
        assert watcher.finished(["w"], NOW + second) == []
    assert caplog.text.count("The webhook delivery of workflow w cannot be read") == 1


def test_what_is_not_announced_is_looked_up_again_but_not_each_second(
    watcher: DeliveryWatcher, inbox: Inbox, monkeypatch
) -> None:
    payload, looked_up = inbox.payload, []
    monkeypatch.setattr(inbox, "payload", lambda one: (looked_up.append(one), payload(one))[1])
    watcher.finished(["w"], NOW)
    inbox.store(BATCH, "w", {"status": "completed"}, NOW + 1)
    for second in range(1, 25):
        assert watcher.finished(["w"], NOW + second) == []
    assert len(looked_up) == 1 + 3
    inbox.announce("w", BATCH)
    assert [ids(watcher.finished(["w"], NOW + second)) for second in range(25, 32)].count(["w"]) == 1


def test_a_forged_delivery_does_not_hide_the_genuine_one(watcher: DeliveryWatcher, inbox: Inbox) -> None:
    watcher.finished(["w"], NOW)
    inbox.store(NEXT, "w", {"status": "failed"}, NOW)
    inbox.announce("w", BATCH)
    assert watcher.finished(["w"], NOW + 1) == []
    inbox.store(BATCH, "w", {"status": "completed"}, NOW + 2)
    ends = [status for second in range(2, 14) for status in watcher.finished(["w"], NOW + second)]
    assert {(status.workflow_id, status.state.value) for status in ends} == {("w", "completed")}


def test_an_inbox_that_cannot_be_opened(caplog) -> None:
    watcher = DeliveryWatcher(lambda: InboxListing(Inbox.at("nonsense://inbox")))
    assert watcher.finished(["w"], NOW) == []
    unsupported = "Unsupported filesystem|No filesystem registered for scheme nonsense"  # before Airflow 3.1
    assert re.search(f"the inbox nonsense://inbox: .*({unsupported})", caplog.text)


def test_no_inbox_no_watcher(monkeypatch) -> None:
    assert DeliveryWatcher.configured() is None
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", "nonsense://not-opened-yet")
    assert DeliveryWatcher.configured() is not None


# --- pauses ----------------------------------------------------------------------------------------------------


def tracker(*workflow_ids: str) -> WorkflowTracker:
    now = time.time()
    return WorkflowTracker(workflow_ids, submitted_at=now, deadline=now + 60)


@pytest.mark.parametrize("way", ["blocking", "asynchronous"])
def test_a_pause_ends_with_a_delivery(watcher: DeliveryWatcher, inbox: Inbox, way: str) -> None:
    watched, begun = tracker("w", "v"), time.monotonic()
    watcher.finished(["w", "v"], time.time())
    threading.Timer(0.3, deliver, (inbox, "w", time.time())).start()
    if way == "blocking":
        pause(watcher, 30, watched, time.time)
    else:
        asyncio.run(apause(watcher, 30, watched, time.time))
    assert time.monotonic() - begun < 2
    assert watched.running == ("v",)


@pytest.mark.parametrize("has_inbox", [True, False])
def test_a_pause_without_a_delivery_lasts(watcher: DeliveryWatcher, has_inbox: bool) -> None:
    for asynchronous in (True, False):
        begun, given = time.monotonic(), watcher if has_inbox else None
        if asynchronous:
            asyncio.run(apause(given, 0.3, tracker("w"), time.time))
        else:
            pause(given, 0.3, tracker("w"), time.time)
        assert time.monotonic() - begun >= 0.3


def test_a_storage_that_hangs_does_not_keep_the_wait_from_polling(monkeypatch) -> None:
    """Each pause goes on without it; what it says in the end is taken in."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    go_on = threading.Event()

    class Hanging(DeliveryWatcher):
        calls = 0

        def finished(self, running, now):
            self.calls += 1
            go_on.wait(10)
            return []

    watcher = Hanging(lambda: None)  # type: ignore[arg-type, return-value]

    async def pauses() -> float:
        begun = time.monotonic()
        for _ in range(3):
            await apause(watcher, 0.0, tracker("w"), time.time)
        took = time.monotonic() - begun
        go_on.set()
        await apause(watcher, 0.0, tracker("w"), time.time)
        return took

    assert 0.5 < asyncio.run(pauses()) < 5
    assert watcher.calls == 1


def test_nothing_personal_is_logged(watcher: DeliveryWatcher, inbox: Inbox, caplog) -> None:
    with caplog.at_level(logging.DEBUG):
        deliver(inbox, "w", NOW, results=[{"primary_email": "teo@harborlight.example"}])
        watcher.finished(["w"], NOW)
    assert "harborlight" not in caplog.text


# --- safety polls ----------------------------------------------------------------------------------------------

IDS = [f"w{n}" for n in range(20)]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}/inbox")


@pytest.mark.usefixtures("configured")
def test_workflows_whose_webhooks_are_expected_are_rarely_polled() -> None:
    announce(dict.fromkeys(IDS, BATCH))
    assert safety_poll_interval(None, IDS) == SAFETY_POLL_SECONDS == 600


@pytest.mark.usefixtures("configured")
def test_what_the_user_says_counts() -> None:
    announce(dict.fromkeys(IDS, BATCH))
    assert safety_poll_interval(30, IDS) == 30


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("ids", [[], ["another"], ["another", *IDS], [*IDS, "another"]])
def test_one_workflow_without_a_webhook_keeps_the_usual_schedule(ids: list[str]) -> None:
    announce(dict.fromkeys(IDS, BATCH))
    assert safety_poll_interval(None, ids) is None


def test_without_an_inbox_everything_is_polled() -> None:
    announce(dict.fromkeys(IDS, BATCH))
    assert safety_poll_interval(None, IDS) is None


@pytest.mark.parametrize("path", ["nonsense://inbox", "file:///dev/null/inbox"])
def test_with_an_inbox_that_fails_everything_is_polled(path: str, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", path)
    assert safety_poll_interval(None, IDS) is None
