"""What a wait knows of one workflow."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_cleanlist.enrichment.ends import Counts, Fate
from airflow_provider_cleanlist.enrichment.poll_rule import Pace


@dataclass(slots=True)
class Watched:
    """What is known of one workflow."""

    workflow_id: str
    submitted_at: float
    fate: Fate | None = None
    counts: Counts = field(default_factory=Counts)
    looked_at: float | None = None
    pace: Pace = field(default_factory=Pace)
    errors_in_a_row: int = 0
    due: float | None = None
    """A moment that overrides the schedule."""
    is_asked: bool = False
    """Whether an answer is awaited."""

    def age_at(self, moment: float) -> float:
        """Return the age in seconds, 0 at least: the clock that set ``submitted_at`` may be ahead."""
        return max(0.0, moment - self.submitted_at)
