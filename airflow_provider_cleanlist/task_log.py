"""The part of a task's logger that the provider uses, whether it is the standard library's or Airflow's own."""

from __future__ import annotations

from typing import Any, Protocol


class TaskLog(Protocol):
    """A logger. It receives counts and ids, never contacts."""

    def info(self, msg: Any, /, *args: Any) -> Any:
        """Log something ordinary."""

    def warning(self, msg: Any, /, *args: Any) -> Any:
        """Log something to look at."""

    def error(self, msg: Any, /, *args: Any) -> Any:
        """Log something to act on."""

    def log(self, level: int, msg: Any, /, *args: Any) -> Any:
        """Log something of a level of :mod:`logging`."""
