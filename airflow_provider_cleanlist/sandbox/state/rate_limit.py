"""The rate limit: pure counting, with the time passed in."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.settings import SandboxSettings


class Window(Protocol):
    """Counts the requests of an organisation or a key."""

    def wait(self, now: float) -> float:
        """Return the seconds until a request would be admitted; zero if it would be now."""

    def admit(self, now: float) -> None:
        """Count an admitted request."""

    def refuse(self, now: float) -> None:
        """Count a refused request, if refused ones count."""


@dataclass
class FixedWindow:
    """At most ``limit`` requests in each window of ``length`` seconds.

    Windows start at multiples of their length or, if not ``aligned``, with the first request after the previous
    window.
    """

    limit: int
    length: float
    aligned: bool = True
    start: float = -math.inf
    count: int = 0

    def wait(self, now: float) -> float:
        """Return the seconds until the current window ends, if it is full."""
        if now >= self.start + self.length or self.count < self.limit:
            return 0.0
        return self.start + self.length - now

    def admit(self, now: float) -> None:
        """Count a request, in a new window if the previous one is over."""
        if now >= self.start + self.length:
            self.start = math.floor(now / self.length) * self.length if self.aligned else now
            self.count = 0
        self.count += 1

    def refuse(self, now: float) -> None:
        """Do nothing: a fixed window does not count refused requests."""


@dataclass
class SlidingLog:
    """At most ``limit`` requests in any ``length`` seconds; refused ones count too with ``count_refused``."""

    limit: int
    length: float
    count_refused: bool = False
    log: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Return the seconds until the past ``length`` seconds hold fewer than ``limit`` requests."""
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


class RequestLimiter:
    """Applies the limits to every organisation and key; a change of settings starts new windows."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._rules: tuple[object, ...] = ()
        self._windows: dict[tuple[str, str], Window] = {}

    def check(self, organization_id: str, key_id: str, now: float) -> float:
        """Admit a request and count it, or refuse it.

        Returns:
            Zero if the request is admitted, else the seconds to wait, by the sandbox's clock.
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
        """Start counting anew."""
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
