"""How far a load has come, and what the next try makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_cleanlist.warehouse.spec import LoadSpec

BATCH_ROWS = 10_000
BATCH_SECONDS = 30.0
RESUME_WITHIN = timedelta(hours=24)
"""A stage untouched for longer is read again from the start: its first pages are stale."""
ABANDONED_AFTER = timedelta(hours=48)
"""A stage untouched for longer belongs to a run that never came back, and is dropped by the next load."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a load has come: everything up to here is in the staging table.

    Attributes:
        pages: Pages staged; the number of the last one.
        rows: Rows staged.
        cursor: Cursor of the next page; None before the first and after the last.
        complete: Whether the last page is staged.
        total: Size of the list as the last page told it.
        fields: Raw field names by the number of their staging column.
        cleaned: Values that NUL or lone surrogates were removed from.
        report: What the load returned, once it is published.
    """

    pages: int = 0
    rows: int = 0
    cursor: str | None = None
    complete: bool = False
    total: int | None = None
    fields: tuple[str, ...] = ()
    cleaned: int = 0
    report: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        """Return the checkpoint as one JSON document."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, separators=(",", ":"))

    @classmethod
    def from_json(cls, document: str) -> Checkpoint:
        """Read what ``to_json`` wrote."""
        values = json.loads(document)
        return cls(**values | {"fields": tuple(values["fields"])})


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A row of the table of loads in flight."""

    stage: str
    attempt: int
    fingerprint: str
    updated_at: datetime
    checkpoint: Checkpoint


ResumeDecision = Literal["start", "resume", "published"]


def decide_resume(record: StageRecord | None, spec: LoadSpec, now: datetime) -> ResumeDecision:
    """Decide what becomes of the stage that an earlier try of the same load may have left.

    Returns:
        ``published`` if only the result is missing, ``resume`` to go on after the checkpoint, else ``start``.
    """
    if record is None or now - record.updated_at > RESUME_WITHIN:
        return "start"
    if record.checkpoint.report is not None:
        return "published"
    if record.fingerprint != spec.fingerprint or record.checkpoint.pages == 0:
        return "start"
    return "resume"


def should_commit(rows: int, seconds: float, batch_rows: int = BATCH_ROWS) -> bool:
    """Whether pages read so far are committed now: ``rows`` wait, the oldest for ``seconds``."""
    return rows >= batch_rows or (rows > 0 and seconds >= BATCH_SECONDS)
