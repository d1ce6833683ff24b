"""How far a load has come, in words."""

from __future__ import annotations

from airflow_provider_cleanlist.warehouse.checkpoint import Checkpoint

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Makes at most one line every 30 seconds.

    Args:
        now: The clock in seconds when reading starts.
        rows: Rows that earlier tries read.
    """

    def __init__(self, now: float, rows: int = 0) -> None:
        self._start = self._last = now
        self._rows_before = rows

    def line(self, at: Checkpoint, now: float) -> str | None:
        """Return a line if it is time for one, with the expected rest if the size of the list is known."""
        if now - self._last < SECONDS_BETWEEN_LINES:
            return None
        self._last = now
        rate = self._rate(at, now)
        size = f" of {at.total:,}" if at.total else ""
        line = f"{_count(at.pages, 'page')}, {at.rows:,}{size} rows read, {rate:,.0f} rows/s"
        if at.total and rate and at.total > at.rows:
            line += f", about {duration((at.total - at.rows) / rate)} left"
        return line

    def summary(self, at: Checkpoint, now: float) -> str:
        """Return the whole pass in words."""
        rate = self._rate(at, now)
        amount = f"{_count(at.pages, 'page')}, {_count(at.rows, 'row')}"
        return f"{amount} in {duration(now - self._start)} ({rate:,.0f} rows/s)"

    def _rate(self, at: Checkpoint, now: float) -> float:
        seconds = now - self._start
        return (at.rows - self._rows_before) / seconds if seconds > 0 else 0.0


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a duration for people: ``45 s``, ``12 min``, ``3 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
