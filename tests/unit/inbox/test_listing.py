"""What is detected in an inbox, and how many listings that costs however many waits ask."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_provider_cleanlist.inbox.inbox import (
    MARKER_FOLDER_SECONDS,
    Inbox,
    InboxUnavailableError,
    marker_name,
)
from airflow_provider_cleanlist.inbox.listing import (
    FRESH_SECONDS,
    KEPT_SECONDS,
    SKEW_SECONDS,
    InboxListing,
    listing_of,
)

NOW = 1_780_000_500.0
"""In the middle of a folder."""
W, V = marker_name("w"), marker_name("v")


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
def listing(inbox: CountingInbox) -> InboxListing:
    return InboxListing(inbox)


def deliver(inbox: Inbox, workflow_id: str, now: float) -> None:
    inbox.store(marker_name(f"batch of {workflow_id}"), workflow_id, {}, now)


def test_five_hundred_waits_cost_the_listings_of_one(listing: InboxListing, inbox: CountingInbox) -> None:
    for second in range(60):
        for wait in range(500):
            listing.notified([W], NOW + second + wait / 500)
    assert inbox.listings <= 60 / FRESH_SECONDS + 1


def test_a_single_wait_detects_a_marker_at_once(listing: InboxListing, inbox: CountingInbox) -> None:
    assert listing.notified([W, V], NOW) == []
    deliver(inbox, "w", NOW)
    assert listing.notified([W, V], NOW + 1) == [W]
    assert listing.notified([V], NOW + 1) == []


@pytest.mark.parametrize("skew", [-SKEW_SECONDS + 1, SKEW_SECONDS - 1])
@pytest.mark.parametrize("second", [0, 30, 300, 570, 599])
def test_clocks_that_differ(listing: InboxListing, inbox: CountingInbox, second: int, skew: float) -> None:
    now = NOW // MARKER_FOLDER_SECONDS * MARKER_FOLDER_SECONDS + second
    deliver(inbox, "w", now + skew)
    assert listing.notified([W], now) == [W]
    assert inbox.listings <= 2


def test_a_wait_that_is_busy_for_a_while_misses_nothing(listing: InboxListing, inbox: CountingInbox) -> None:
    deliver(inbox, "w", NOW)
    for moment in range(0, int(KEPT_SECONDS), 60):
        listing.notified([V], NOW + moment)
    assert listing.notified([W], NOW + KEPT_SECONDS - 60) == [W]


@pytest.mark.parametrize("seconds", [90, 1800, 7200])
def test_a_clock_that_is_set_back(listing: InboxListing, inbox: CountingInbox, seconds: float) -> None:
    assert listing.notified([W], NOW) == []
    deliver(inbox, "w", NOW - seconds + 1)
    assert listing.notified([W], NOW - seconds + 2) == [W]


def test_a_marker_is_forgotten_after_an_hour(listing: InboxListing, inbox: CountingInbox) -> None:
    deliver(inbox, "w", NOW)
    for moment in range(0, 3 * int(KEPT_SECONDS), 60):
        listing.notified([V], NOW + moment)
    assert listing.notified([W], NOW + 3 * KEPT_SECONDS) == []


def test_a_failure_is_reported_to_all_and_nothing_is_missed(
    listing: InboxListing, inbox: CountingInbox
) -> None:
    listing.notified([W], NOW)
    inbox.fails = True
    for _ in range(3):
        with pytest.raises(InboxUnavailableError, match="no answer"):
            listing.notified([W], NOW + 1)
    assert inbox.listings == 2
    inbox.fails = False
    deliver(inbox, "w", NOW + 10)
    later = NOW + 3 * MARKER_FOLDER_SECONDS
    assert listing.notified([W], later) == [W]


def test_a_rest_of_days_does_not_list_days(listing: InboxListing, inbox: CountingInbox) -> None:
    listing.notified([W], NOW)
    listing.notified([W], NOW + 5 * 24 * 3600)
    assert inbox.listings <= 1 + KEPT_SECONDS / MARKER_FOLDER_SECONDS + 2


def test_a_listing_that_hangs_stops_no_other_wait(inbox: CountingInbox, monkeypatch) -> None:
    listing, under_way, go_on = InboxListing(inbox), threading.Event(), threading.Event()

    def hanging(since: float, now: float) -> frozenset[str]:
        under_way.set()
        go_on.wait(10)
        return frozenset([W])

    monkeypatch.setattr(inbox, "markers", hanging)
    first = threading.Thread(target=listing.notified, args=([W], NOW))
    first.start()
    assert under_way.wait(5)
    assert listing.notified([W], NOW + 5) == []
    go_on.set()
    first.join()
    assert listing.notified([W], NOW + 0.1) == [W]


def test_one_listing_per_inbox(tmp_path: Path) -> None:
    assert listing_of(f"file://{tmp_path}/a") is listing_of(f"file://{tmp_path}/a")
    assert listing_of(f"file://{tmp_path}/a") is not listing_of(f"file://{tmp_path}/b")
