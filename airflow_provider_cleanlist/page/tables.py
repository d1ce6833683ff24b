"""The numbers of the page as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from airflow_provider_cleanlist.page.figures import SUMS, LedgerFigures, OpenBatch, TaskPlace, values_of
from airflow_provider_cleanlist.submission.rejects import harmless

OTHER_DAGS = "other DAGs"
"""What stands for DAGs that the reader may not read, or that another Airflow runs."""
_PLACE = ("dag_id", "run_id", "task_id")
_DECIDED = ("decision", "decided_by", "decided_at")


def _days(figures: LedgerFigures, _: Collection[str]) -> Iterable[list[Any]]:
    yield ["day", *SUMS]
    yield from ([day.isoformat(), *values_of(sums)] for day, sums in figures.by_day)


def _dags(figures: LedgerFigures, readable: Collection[str]) -> Iterable[list[Any]]:
    yield ["dag_id", *SUMS]
    yield from ([dag_id or OTHER_DAGS, *values_of(sums)] for dag_id, sums in figures.dags(readable))


def _types(figures: LedgerFigures, _: Collection[str]) -> Iterable[list[Any]]:
    yield ["enrichment_type", *SUMS]
    yield from ([kind, *values_of(sums)] for kind, sums in figures.types())


def _workflows(figures: LedgerFigures, _: Collection[str]) -> Iterable[list[Any]]:
    yield [*_PLACE, "workflows", "workflows_ended", "contacts", "contacts_ended", "since"]
    for progress in figures.in_flight.items:
        counts = progress.workflows, progress.ended, progress.contacts, progress.contacts_ended
        yield [*_place(progress.place), *counts, progress.since.isoformat()]


def _unknown(figures: LedgerFigures, _: Collection[str]) -> Iterable[list[Any]]:
    yield [*_PLACE, "map_index", "contacts", "worst_case_credits", "submitted_at", *_DECIDED]
    yield from (_open_batch(batch) for batch in figures.unknown.items)


def _open_batch(batch: OpenBatch) -> list[Any]:
    counts = batch.place.map_index, batch.contacts, batch.worst_case_credits
    decided_at = batch.decided_at.isoformat() if batch.decided_at else ""
    decision = batch.decision, batch.decided_by, decided_at
    return [*_place(batch.place), *counts, batch.submitted_at.isoformat(), *decision]


def _place(place: TaskPlace) -> list[str]:
    return [place.dag_id, place.run_id, place.task_id]


TABLES: Mapping[str, Callable[[LedgerFigures, Collection[str]], Iterable[list[Any]]]] = {
    "days": _days,
    "dags": _dags,
    "types": _types,
    "workflows": _workflows,
    "unknown-outcomes": _unknown,
}
"""The tables by the names of their files."""


def as_csv(name: str, figures: LedgerFigures, readable: Collection[str]) -> str:
    """Return a table as CSV.

    Args:
        name: One of :data:`TABLES`.
        figures: The numbers.
        readable: DAGs that the reader may read.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(
        [harmless(value) if isinstance(value, str) else value for value in row]
        for row in TABLES[name](figures, readable)
    )
    return text.getvalue()
