"""What rings in an inbox, and how many listings that costs however many waits listen."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_provider_cleanlist.webhooks.ear import FRESH_SECONDS, KEPT_SECONDS, SKEW_SECONDS, Ear, ear_of
from airflow_provider_cleanlist.webhooks.inbox import BELL_SECONDS, Inbox, InboxUnavailableError, bell_name

NOW = 1_780_000_500.0
"""In the middle of a folder."""
W, V = bell_name("w"), bell_name("v")


class CountingInbox(Inbox):
    """Counts listings of folders, and fails on demand."""

    listings = 0
    fails = False

    def _list(self, moment: float) -> list[str]:
        self.listings += 1
        if self.fails:
            raise InboxUnavailableError("no answer")
        return list(super()._list(moment))


@pytest.fixture
def inbox(tmp_path: Path) -> CountingInbox:
    made = CountingInbox.at(f"file://{tmp_path}")
    assert isinstance(made, CountingInbox)
    return made


@pytest.fixture
def ear(inbox: CountingInbox) -> Ear:
    return Ear(inbox)


def ring(inbox: Inbox, workflow_id: str, now: float) -> None:
    inbox.store(bell_name(f"batch of {workflow_id}"), workflow_id, {}, now)


def test_five_hundred_waits_cost_the_listings_of_one(ear: Ear, inbox: CountingInbox) -> None:
    for second in range(60):
        for wait in range(500):
            ear.rung([W], NOW + second + wait / 500)
    assert inbox.listings <= 60 / FRESH_SECONDS + 1


def test_a_bell_is_heard_at_once_by_a_single_wait(ear: Ear, inbox: CountingInbox) -> None:
    assert ear.rung([W, V], NOW) == []
    ring(inbox, "w", NOW)
    assert ear.rung([W, V], NOW + 1) == [W]
    assert ear.rung([V], NOW + 1) == []


@pytest.mark.parametrize("skew", [-SKEW_SECONDS + 1, SKEW_SECONDS - 1])
@pytest.mark.parametrize("second", [0, 30, 300, 570, 599])
def test_clocks_that_differ(ear: Ear, inbox: CountingInbox, second: int, skew: float) -> None:
    now = NOW // BELL_SECONDS * BELL_SECONDS + second
    ring(inbox, "w", now + skew)
    assert ear.rung([W], now) == [W]
    assert inbox.listings <= 2


def test_a_wait_that_is_busy_for_a_while_misses_nothing(ear: Ear, inbox: CountingInbox) -> None:
    ring(inbox, "w", NOW)
    for moment in range(0, int(KEPT_SECONDS), 60):
        ear.rung([V], NOW + moment)
    assert ear.rung([W], NOW + KEPT_SECONDS - 60) == [W]


def test_what_rang_is_forgotten_after_an_hour(ear: Ear, inbox: CountingInbox) -> None:
    ring(inbox, "w", NOW)
    for moment in range(0, 3 * int(KEPT_SECONDS), 60):
        ear.rung([V], NOW + moment)
    assert ear.rung([W], NOW + 3 * KEPT_SECONDS) == []


def test_a_failure_is_told_to_all_and_nothing_is_missed(ear: Ear, inbox: CountingInbox) -> None:
    ear.rung([W], NOW)
    inbox.fails = True
    for _ in range(3):
        with pytest.raises(InboxUnavailableError, match="no answer"):
            ear.rung([W], NOW + 1)
    assert inbox.listings == 2
    inbox.fails = False
    ring(inbox, "w", NOW + 10)
    later = NOW + 3 * BELL_SECONDS
    assert ear.rung([W], later) == [W]


def test_a_rest_of_days_does_not_list_days(ear: Ear, inbox: CountingInbox) -> None:
    ear.rung([W], NOW)
    ear.rung([W], NOW + 5 * 24 * 3600)
    assert inbox.listings <= 1 + KEPT_SECONDS / BELL_SECONDS + 2


def test_a_listing_that_hangs_stops_no_other_wait(inbox: CountingInbox, monkeypatch) -> None:
    ear, under_way, go_on = Ear(inbox), threading.Event(), threading.Event()

    def hanging(since: float, now: float) -> frozenset[str]:
        under_way.set()
        go_on.wait(10)
        return frozenset([W])

    monkeypatch.setattr(inbox, "bells", hanging)
    first = threading.Thread(target=ear.rung, args=([W], NOW))
    first.start()
    assert under_way.wait(5)
    assert ear.rung([W], NOW + 5) == []
    go_on.set()
    first.join()
    assert ear.rung([W], NOW + 0.1) == [W]


def test_one_ear_per_inbox(tmp_path: Path) -> None:
    assert ear_of(f"file://{tmp_path}/a") is ear_of(f"file://{tmp_path}/a")
    assert ear_of(f"file://{tmp_path}/a") is not ear_of(f"file://{tmp_path}/b")
