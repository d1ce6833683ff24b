"""Detecting new deliveries in an inbox: one listing serves all waits of a process."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable

from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError

FRESH_SECONDS = 0.6
"""How long a listing is reused, in seconds from its start."""
SKEW_SECONDS = 60.0
"""How far apart the clocks of receivers and waits may be, in seconds."""
KEPT_SECONDS = 3600.0
"""How long a wait may go without asking before it can miss a marker, in seconds."""


class InboxListing:
    """Lists the markers that deliveries leave in an inbox.

    It lists the folder of the current ten minutes, and a second one within a minute of their start or end, at most once
    in ``FRESH_SECONDS`` however many waits ask. After a failure or a break it resumes where it stopped.

    Args:
        inbox: The inbox.
    """

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self._listing = threading.Lock()
        self._notified: dict[str, float] = {}
        self._tried_at = -math.inf
        self._listed_until: float | None = None
        self._error: InboxUnavailableError | None = None

    def notified(self, names: Iterable[str], now: float) -> list[str]:
        """Return those names whose marker was detected within the last hour.

        A call while another thread is listing does not block: it returns what earlier listings found.

        Args:
            names: Names of markers, from :func:`.inbox.marker_name`.
            now: Seconds since the epoch.

        Raises:
            InboxUnavailableError: The last listing failed.
        """
        if self._listing.acquire(blocking=False):
            try:
                if abs(now - self._tried_at) >= FRESH_SECONDS:
                    self._list(now)
            finally:
                self._listing.release()
        if self._error is not None:
            raise self._error
        notified = self._notified
        return [name for name in names if name in notified]

    def _list(self, now: float) -> None:
        self._tried_at = now
        listed_until = now if self._listed_until is None else self._listed_until
        since = min(now, max(listed_until, now - KEPT_SECONDS))  # a clock may be set back
        try:
            names = self.inbox.markers(since - SKEW_SECONDS, now + SKEW_SECONDS)
        except InboxUnavailableError as error:
            self._error = error
            return
        self._error, self._listed_until = None, now
        kept = {name: at for name, at in self._notified.items() if at >= now - KEPT_SECONDS}
        self._notified = kept | dict.fromkeys(names, now)


_listings: dict[str, InboxListing] = {}
_opening = threading.Lock()


def listing_of(path: str) -> InboxListing:
    """Return this process's listing of an inbox.

    Args:
        path: Local path or object storage URI of the inbox.

    Raises:
        InboxUnavailableError: The inbox cannot be opened.
    """
    with _opening:
        if path not in _listings:
            _listings[path] = InboxListing(Inbox.at(path))
        return _listings[path]
