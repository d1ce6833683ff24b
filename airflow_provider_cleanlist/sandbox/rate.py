"""The rate limit of contract section 2: pure counting, time passed in."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.settings import RetryAfterForm, Settings


class Window(Protocol):
    """Counts the requests of one organisation or key."""

    def wait(self, now: float) -> float:
        """Return the seconds until a request would be admitted; zero when it would be now."""

    def admit(self, now: float) -> None:
        """Count an admitted request."""

    def refuse(self, now: float) -> None:
        """Take note of a refused request."""


@dataclass
class FixedWindow:
    """At most ``limit`` requests in each window of ``length`` seconds.

    Windows start at multiples of their length, or, when not ``aligned``, with the first request that finds
    no window open.
    """

    limit: int
    length: float
    aligned: bool = True
    start: float = -math.inf
    count: int = 0

    def wait(self, now: float) -> float:
        """Return the seconds until the window in force ends, if it is full."""
        if now >= self.start + self.length or self.count < self.limit:
            return 0.0
        return self.start + self.length - now

    def admit(self, now: float) -> None:
        """Count a request, opening a window when none is in force."""
        if now >= self.start + self.length:
            self.start = math.floor(now / self.length) * self.length if self.aligned else now
            self.count = 0
        self.count += 1

    def refuse(self, now: float) -> None:
        """Refused requests leave a fixed window as it is."""


@dataclass
class SlidingLog:
    """At most ``limit`` requests in any ``length`` seconds; refused ones count too if told so."""

    limit: int
    length: float
    count_refused: bool = False
    log: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Return the seconds until fewer than ``limit`` requests lie in the window behind."""
        while self.log and self.log[0] + self.length <= now:
            self.log.popleft()
        if len(self.log) < self.limit:
            return 0.0
        return self.log[len(self.log) - self.limit] + self.length - now

    def admit(self, now: float) -> None:
        """Log an admitted request."""
        self.log.append(now)

    def refuse(self, now: float) -> None:
        """Log a refused request, if refused ones count."""
        if self.count_refused:
            self.log.append(now)


class RateLimiter:
    """Applies the limits in force to every organisation and key; changed settings start new windows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules: tuple[object, ...] = ()
        self._windows: dict[tuple[str, str], Window] = {}

    def check(self, organization_id: str, key_id: str, now: float) -> float:
        """Count a request, or refuse it.

        Returns:
            Zero when the request is admitted, else the seconds of the clock to wait.
        """
        settings = self._settings
        rules = (
            settings.requests_per_minute,
            settings.requests_per_minute_per_key,
            settings.window_seconds,
            settings.window,
            settings.count_refused,
        )
        if rules != self._rules:
            self._rules = rules
            self._windows.clear()
        windows = [self._window("organization", organization_id, settings.requests_per_minute)]
        if settings.requests_per_minute_per_key is not None:
            windows.append(self._window("key", key_id, settings.requests_per_minute_per_key))
        wait = max(window.wait(now) for window in windows)
        for window in windows:
            if wait:
                window.refuse(now)
            else:
                window.admit(now)
        return wait

    def reset(self) -> None:
        """Forget every request counted so far."""
        self._windows.clear()

    def _window(self, kind: str, name: str, limit: int) -> Window:
        window = self._windows.get((kind, name))
        if window is None:
            settings = self._settings
            if settings.window == "sliding":
                window = SlidingLog(limit, settings.window_seconds, settings.count_refused)
            else:
                window = FixedWindow(limit, settings.window_seconds, settings.window == "aligned")
            self._windows[kind, name] = window
        return window


def retry_after_header(form: RetryAfterForm, seconds: float, now: float) -> str | None:
    """Write a ``Retry-After`` header.

    Args:
        form: How to write it.
        seconds: Seconds to wait, as the client counts them.
        now: The present instant, for the HTTP date.

    Returns:
        The value of the header, or None to leave the header out.
    """
    match form:
        case "seconds":
            return str(max(1, math.ceil(seconds)))
        case "decimal":
            return f"{seconds:.3f}"
        case "date":
            return formatdate(math.ceil(now + seconds), usegmt=True)
        case "zero":
            return "0"
        case "negative":
            return "-5"
        case "garbage":
            return "in a while"
        case "missing":
            return None
