"""How waits and workflows end, and what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_cleanlist.client.results import WorkflowStatus


class WaitStatus(StrEnum):
    """Why a wait is over."""

    FINISHED = "finished"
    """Every workflow has an end: completed, failed, or unknown to the API."""
    TIMED_OUT = "timed_out"
    BROKEN = "broken"
    """An error that waiting cannot heal, or too many transient ones in a row."""


class WorkflowOutcome(StrEnum):
    """How a workflow ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The API does not know it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Contacts of one or more workflows; what the API does not tell counts as 0."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    emails: int = 0
    phones: int = 0

    @classmethod
    def of(cls, status: WorkflowStatus) -> Counts:
        """Return the counts of an answer."""
        return cls(
            status.total or 0,
            status.successful or 0,
            status.failed or 0,
            status.emails_found or 0,
            status.phones_found or 0,
        )

    def numbers(self) -> list[int]:
        """Return the counts in the order of the fields."""
        return [self.total, self.successful, self.failed, self.emails, self.phones]

    def __add__(self, other: Counts) -> Counts:
        """Add up."""
        return Counts(*(mine + theirs for mine, theirs in zip(self.numbers(), other.numbers(), strict=True)))
