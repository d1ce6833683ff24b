"""The time a sandbox lives in: real, faster than real, or moved by hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the sandbox asks of time. Instants are seconds since the epoch."""

    @property
    def changed(self) -> threading.Condition:
        """Notified whenever waiting for an instant may have to end early."""

    def now(self) -> float:
        """Return the present instant."""

    def real_seconds(self, seconds: float) -> float:
        """Return how long ``seconds`` of this clock last for a client, in its own seconds.

        Args:
            seconds: Seconds of this clock.
        """

    def wait_timeout(self, instant: float) -> float | None:
        """Return the real seconds until ``instant``, or None when only a notification can bring it.

        Args:
            instant: Seconds since the epoch.
        """


class SystemClock:
    """Real time, or real time sped up; never steps backwards.

    Args:
        speed: Seconds of this clock per real second.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"The speed of a clock must be positive, not {speed}")
        self._speed = speed
        self._epoch = time.time()
        self._start = time.monotonic()
        self._changed = threading.Condition()

    @property
    def changed(self) -> threading.Condition:
        """Notified by those who want a waiter to look again."""
        return self._changed

    def now(self) -> float:
        """Return the present instant."""
        return self._epoch + (time.monotonic() - self._start) * self._speed

    def real_seconds(self, seconds: float) -> float:
        """Return how long ``seconds`` of this clock last for a client.

        Args:
            seconds: Seconds of this clock.
        """
        return seconds / self._speed

    def wait_timeout(self, instant: float) -> float | None:
        """Return the real seconds until ``instant``.

        Args:
            instant: Seconds since the epoch.
        """
        return max(0.0, (instant - self.now()) / self._speed)


class ManualClock:
    """Time that stands still until a test moves it.

    Args:
        start: First instant, in seconds since the epoch; by default the full minute 2026-06-14T09:20:00Z.
    """

    def __init__(self, start: float = 1_781_428_800.0) -> None:
        self._now = start
        self._changed = threading.Condition()

    @property
    def changed(self) -> threading.Condition:
        """Notified by every ``advance``."""
        return self._changed

    def now(self) -> float:
        """Return the present instant."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move time forward and wake whoever waits for it.

        Args:
            seconds: By how many seconds.

        Raises:
            ValueError: Time would go back.
        """
        if seconds < 0:
            raise ValueError(f"Time only moves forward, not by {seconds} s")
        with self._changed:
            self._now += seconds
            self._changed.notify_all()

    def real_seconds(self, seconds: float) -> float:
        """Return ``seconds``: whoever moves the clock lives in its seconds.

        Args:
            seconds: Seconds of this clock.
        """
        return seconds

    def wait_timeout(self, instant: float) -> float | None:
        """Return zero when ``instant`` has come, else None.

        Args:
            instant: Seconds since the epoch.
        """
        return 0.0 if instant <= self._now else None


def iso(instant: float, suffix: str = "Z") -> str:
    """Return an instant as the API writes it: ISO 8601 in UTC, whole seconds.

    Args:
        instant: Seconds since the epoch.
        suffix: How it says UTC.
    """
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S") + suffix
