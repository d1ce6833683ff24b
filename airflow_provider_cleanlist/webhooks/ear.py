"""Hearing what rings in an inbox: one listing serves all waits of a process."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable

from airflow_provider_cleanlist.webhooks.inbox import Inbox, InboxUnavailableError

FRESH_SECONDS = 0.6
"""A listing serves all waits that ask within so long after its start."""
SKEW_SECONDS = 60.0
"""How far apart the clocks of receivers and listeners may be."""
KEPT_SECONDS = 3600.0
"""How long a wait may be busy with something else without missing a bell."""


class Ear:
    """Hears what rings in an inbox.

    It lists the folder of the present ten minutes, and within a minute of their beginning or end a second one, at most
    once in ``FRESH_SECONDS`` however many waits ask. After a failure or a rest it goes on where it stopped.

    Args:
        inbox: The inbox.
    """

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self._listing = threading.Lock()
        self._rung: dict[str, float] = {}
        self._tried_at = -math.inf
        self._heard_until: float | None = None
        self._error: InboxUnavailableError | None = None

    def rung(self, names: Iterable[str], now: float) -> list[str]:
        """Return those names that rang within the last hour.

        Whoever asks while another one's listing is under way gets what was heard before.

        Args:
            names: From ``bell_name``.
            now: Seconds since the epoch.

        Raises:
            InboxUnavailableError: The last listing failed.
        """
        if self._listing.acquire(blocking=False):
            try:
                if abs(now - self._tried_at) >= FRESH_SECONDS:
                    self._listen(now)
            finally:
                self._listing.release()
        if self._error is not None:
            raise self._error
        rung = self._rung
        return [name for name in names if name in rung]

    def _listen(self, now: float) -> None:
        self._tried_at = now
        since = now if self._heard_until is None else max(self._heard_until, now - KEPT_SECONDS)
        try:
            names = self.inbox.bells(since - SKEW_SECONDS, now + SKEW_SECONDS)
        except InboxUnavailableError as error:
            self._error = error
            return
        self._error, self._heard_until = None, now
        kept = {name: at for name, at in self._rung.items() if at >= now - KEPT_SECONDS}
        self._rung = kept | dict.fromkeys(names, now)


_ears: dict[str, Ear] = {}
_opening = threading.Lock()


def ear_of(path: str) -> Ear:
    """Return this process's ear at an inbox.

    Args:
        path: Local path or object storage URI of the inbox.

    Raises:
        InboxUnavailableError: The inbox cannot be opened.
    """
    with _opening:
        if path not in _ears:
            _ears[path] = Ear(Inbox.at(path))
        return _ears[path]
