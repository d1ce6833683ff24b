"""The sandbox's time: real, faster than real, or moved by hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the sandbox needs from a clock. Instants are seconds since the epoch."""

    @property
    def changed(self) -> threading.Condition:
        """Condition to wait on; notified when a waiter should check the time or its work again."""

    def now(self) -> float:
        """Return the current time, in seconds since the epoch."""

    def real_seconds(self, seconds: float) -> float:
        """Return how many of its own seconds a client has to wait for ``seconds`` of this clock.

        Args:
            seconds: Seconds of this clock.
        """

    def wait_timeout(self, instant: float) -> float | None:
        """Return the real seconds until ``instant``, or None when it comes only by a notification.

        Args:
            instant: Seconds since the epoch.
        """


class SystemClock:
    """Real time, or real time sped up; never runs backwards.

    Args:
        speed: Seconds of this clock per real second.

    Raises:
        ValueError: The speed is zero or negative.
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
        """Condition to wait on; notified when there is new work."""
        return self._changed

    def now(self) -> float:
        """Return the current time, in seconds since the epoch."""
        return self._epoch + (time.monotonic() - self._start) * self._speed

    def real_seconds(self, seconds: float) -> float:
        """Return how many real seconds ``seconds`` of this clock take.

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
    """A clock that stands still until a test moves it.

    Args:
        start: Initial time, in seconds since the epoch; by default 2026-06-14T09:20:00Z.
    """

    def __init__(self, start: float = 1_781_428_800.0) -> None:
        self._now = start
        self._changed = threading.Condition()

    @property
    def changed(self) -> threading.Condition:
        """Condition to wait on; notified by every ``advance`` and when there is new work."""
        return self._changed

    def now(self) -> float:
        """Return the current time, in seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake everything that waits for it.

        Args:
            seconds: How many seconds to move.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        if seconds < 0:
            raise ValueError(f"Time only moves forward, not by {seconds} s")
        with self._changed:
            self._now += seconds
            self._changed.notify_all()

    def real_seconds(self, seconds: float) -> float:
        """Return ``seconds``: a client that moves this clock counts in its seconds.

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
        suffix: How UTC is written.
    """
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S") + suffix
