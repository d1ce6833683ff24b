"""How waits and workflows end, and the counts of their contacts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_cleanlist.client.results import WorkflowStatus


class WaitStatus(StrEnum):
    """Why a wait is over."""

    FINISHED = "finished"
    """Every workflow completed, failed, or is unknown to the API."""
    TIMED_OUT = "timed_out"
    """The deadline passed."""
    BROKEN = "broken"
    """A permanent error, or too many transient ones in a row."""


class WorkflowOutcome(StrEnum):
    """How a workflow ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The API does not know the workflow."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts for the contacts of one or more workflows; ``emails`` and ``phones`` are None where no response said."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    emails: int | None = None
    phones: int | None = None

    @classmethod
    def of(cls, status: WorkflowStatus) -> Counts:
        """Return the counts in a workflow's status."""
        return cls(
            status.total or 0,
            status.successful or 0,
            status.failed or 0,
            status.emails_found,
            status.phones_found,
        )

    def numbers(self) -> list[int | None]:
        """Return the counts in the order of the fields, to be stored as JSON."""
        return [self.total, self.successful, self.failed, self.emails, self.phones]

    def __add__(self, other: Counts) -> Counts:
        """Return the sums of the counts, as far as they are known."""
        return Counts(
            self.total + other.total,
            self.successful + other.successful,
            self.failed + other.failed,
            _sum(self.emails, other.emails),
            _sum(self.phones, other.phones),
        )


def _sum(mine: int | None, theirs: int | None) -> int | None:
    return theirs if mine is None else mine + (theirs or 0)
