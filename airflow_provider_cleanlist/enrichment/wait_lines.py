"""What a wait writes to the log about itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.enrichment.ends import Fate
from airflow_provider_cleanlist.enrichment.outcome import counted

if TYPE_CHECKING:
    from airflow_provider_cleanlist.enrichment.polling import WorkflowTracker


def opening_line(workflows: int, deadline: float, now: float) -> str:
    """Return the line that a wait begins with.

    Args:
        workflows: Number of workflows.
        deadline: When it gives up, seconds since the epoch.
        now: Seconds since the epoch.
    """
    return (
        f"Waiting for {counted(workflows)}, "
        f"until {_clock_text(deadline)} at the latest ({max(0.0, deadline - now):.0f} s)."
    )


def progress_line(tracker: WorkflowTracker, now: float) -> str:
    """Return one line on how far a wait is.

    Args:
        tracker: Its schedule.
        now: Seconds since the epoch.
    """
    ended = tracker.workflows - tracker.in_flight
    counts = tracker.counts
    parts = [f"{ended}/{tracker.workflows} workflows ended"]
    if failed := len(tracker.ended(Fate.FAILED)):
        parts[0] += f" ({failed} failed)"
    if counts.total:
        parts.append(f"{counts.successful + counts.failed}/{counts.total} contacts seen as processed")
    parts.append(f"{counts.emails} emails and {counts.phones} phones found")
    end = tracker.expected_end(now)
    if tracker.running and end is not None:
        parts.append(f"expected end {_clock_text(end)}")
    return ", ".join(parts) + "."


def _clock_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
