"""A whole load: read pages, stage them, publish them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_cleanlist.warehouse import dialects, tables
from airflow_provider_cleanlist.warehouse.checkpoint import BATCH_ROWS, should_commit
from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError, LoadError
from airflow_provider_cleanlist.warehouse.plan import (
    ColumnPlan,
    TargetColumns,
    check_counts,
    check_keys,
    plan_columns,
)
from airflow_provider_cleanlist.warehouse.prefetch import prefetch
from airflow_provider_cleanlist.warehouse.progress import Progress
from airflow_provider_cleanlist.warehouse.publish import Publication, check_mergeable, check_writable, publish
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.staging import Stage
from airflow_provider_cleanlist.warehouse.values import RowMaker

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

log = logging.getLogger(__name__)

PAGES_AHEAD = 8
"""Pages that may wait in memory while earlier ones are written."""
QUIET_SECONDS = 0.2
"""What was written is committed when no page has come for so long."""


class Page(Protocol):
    """A page of records.

    Attributes:
        leads: Its records.
        total: Size of the whole list, if told.
        cursor: Cursor of the next page; None on the last one.
    """

    @property
    def leads(self) -> Sequence[Mapping[str, Any]]: ...  # noqa: D102
    @property
    def total(self) -> int | None: ...  # noqa: D102
    @property
    def cursor(self) -> str | None: ...  # noqa: D102


ReadPages = Callable[[str | None], Iterator[Page]]
"""Reads the pages of a list, from the given cursor on; None is the beginning."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did.

    Attributes:
        rows_read: Rows read from the list, by all tries together.
        rows_written: Distinct records now in the target.
        rows_removed: Rows of the target that ``on_missing`` removed or marked, or that a replaced scope held.
        pages: Pages read, by all tries together.
        columns_added: Columns that an existing target got.
    """

    rows_read: int
    rows_written: int
    rows_removed: int
    pages: int
    columns_added: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LoadReport:
        """Read what ``dataclasses.asdict`` made and JSON kept."""
        return cls(**{**values, "columns_added": tuple(values["columns_added"])})


def _utc_now() -> datetime:
    return datetime.now(UTC)


def load(
    engine: Engine,
    spec: LoadSpec,
    read_pages: ReadPages,
    *,
    utc_now: Callable[[], datetime] = _utc_now,
    clock: Callable[[], float] = time.monotonic,
    batch_rows: int = BATCH_ROWS,
    pages_ahead: int = PAGES_AHEAD,
    before_cleanup: Callable[[LoadReport], None] = lambda _: None,
) -> LoadReport:
    """Load a list into a table, exactly once however often it is tried.

    A try that fails leaves the target's rows as they were. The next try of the same ``spec.load_id`` goes on after
    the last page that was committed to the staging table.

    Args:
        engine: The warehouse.
        spec: What to load.
        read_pages: Where the records come from.
        utc_now: The time of day.
        clock: Seconds, for progress.
        batch_rows: Rows that are committed together, at least; whole pages.
        pages_ahead: Pages that may wait in memory while earlier ones are written.
        before_cleanup: Told what was done before the load's own record of it goes.

    Returns:
        What was done.

    Raises:
        LoadConfigurationError: Arguments, privileges or the target's columns do not fit.
        LoadDataError: The records do not fit.
        LoadError: The database failed, or the list changed while it was read and ``row_count_check="fail"``.
    """
    tables.check_names(engine, spec)
    target = tables.columns_of(engine, spec.table)
    plan = plan_columns(spec, RowMaker(spec, target=target).fields, target)
    if target is not None:
        check_writable(engine, spec.table, [name for name in plan.written if name in target])
    stage = Stage.open(engine, spec, utc_now())
    if stage.checkpoint.report is not None:
        log.info("An earlier try published this load; only cleaning up is left.")
        report = LoadReport.from_dict(stage.checkpoint.report)
    else:
        pacing = _Pacing(utc_now, clock, batch_rows, pages_ahead)
        try:
            _StageWriter(stage, spec, target, pacing).read(read_pages)
        except CursorRefusedError:
            log.warning(
                "The list cannot be read on from page %d, so it is read again.", stage.checkpoint.pages
            )
            stage.drop()
            stage = Stage.open(engine, spec, utc_now())
            _StageWriter(stage, spec, target, pacing).read(read_pages)
        report = _publish(engine, spec, stage, utc_now())
    before_cleanup(report)
    stage.drop()
    return report


def clean_up(engine: Engine, spec: LoadSpec) -> None:
    """Remove what a load that is done may have left beside its target.

    Args:
        engine: The warehouse.
        spec: The load.
    """
    Stage(engine, spec).drop()


@dataclass(frozen=True, slots=True)
class _Pacing:
    utc_now: Callable[[], datetime]
    clock: Callable[[], float]
    batch_rows: int
    pages_ahead: int


class _StageWriter:
    """Writes pages to the stage, a batch of them per transaction."""

    def __init__(self, stage: Stage, spec: LoadSpec, target: TargetColumns | None, pacing: _Pacing) -> None:
        self._stage = stage
        self._pacing = pacing
        self._maker = RowMaker(spec, stage.checkpoint.fields, target)
        self._cleaned_before = stage.checkpoint.cleaned
        self._at = stage.checkpoint
        self._uncommitted = 0
        self._oldest = pacing.clock()
        self._now = pacing.utc_now()
        self._progress = Progress(pacing.clock(), stage.checkpoint.rows)

    def read(self, read_pages: ReadPages) -> None:
        if self._at.complete:
            log.info("An earlier try read the whole list: %d pages, %d rows.", self._at.pages, self._at.rows)
            return
        if self._stage.resumed:
            log.info("Going on after page %d (%d rows).", self._at.pages, self._at.rows)
        pages = prefetch(read_pages(self._at.cursor), self._pacing.pages_ahead, QUIET_SECONDS)
        with closing(self._stage), closing(pages):
            try:
                for page in pages:
                    self._add(page) if page is not None else self._rest()
            except LoadError:
                raise
            except Exception:
                self._commit()
                raise
            self._at = replace(self._at, complete=True)
            self._commit()
        log.info("Read %s.", self._progress.summary(self._at, self._pacing.clock()))
        if self._at.cleaned:
            log.warning("Removed NUL characters or lone surrogates from %d values.", self._at.cleaned)

    def _rest(self) -> None:
        """Keep no transaction open while there is nothing to write."""
        if self._stage.is_open:
            self._commit()

    def _add(self, page: Page) -> None:
        self._now = self._pacing.utc_now()
        number = self._at.pages + 1
        rows = self._maker.rows(page.leads, number)
        if self._stage.is_open and self._maker.fields != self._at.fields:
            self._commit()
        if not self._uncommitted:
            self._oldest = self._pacing.clock()
        self._stage.add(rows, self._maker.fields)
        self._uncommitted += len(rows)
        self._at = replace(
            self._at,
            pages=number,
            rows=self._at.rows + len(rows),
            cursor=page.cursor,
            complete=page.cursor is None,
            total=self._at.total if page.total is None else page.total,
            fields=self._maker.fields,
            cleaned=self._cleaned_before + self._maker.cleaned,
        )
        if should_commit(self._uncommitted, self._pacing.clock() - self._oldest, self._pacing.batch_rows):
            self._commit()
        if line := self._progress.line(self._at, self._pacing.clock()):
            log.info("%s", line)

    def _commit(self) -> None:
        if self._at != self._stage.checkpoint:
            self._stage.commit(self._at, self._now)
            self._uncommitted = 0


def _publish(engine: Engine, spec: LoadSpec, stage: Stage, now: datetime) -> LoadReport:
    counts = stage.count()
    if counts.rows != stage.checkpoint.rows:
        stage.drop()
        raise LoadError(
            f"The staging table holds {counts.rows} rows, but {stage.checkpoint.rows} were written to it. Nothing was "
            "published; the next try reads the list again."
        )
    check_keys(counts, spec)
    verdict = check_counts(counts, stage.checkpoint.total, spec.row_count_check)
    if verdict.fail:
        stage.drop()
        raise LoadError(f"{verdict.message} Nothing was written; the next try reads the list again.")
    if verdict.message:
        log.warning("%s", verdict.message)
    on_missing = spec.on_missing
    if on_missing != "keep" and not verdict.confirmed:
        log.warning("Rows that are gone from the list stay as they are, because the count is not confirmed.")
        on_missing = "keep"
    plan, added = _prepare_target(engine, spec, stage.checkpoint.fields)
    publication = Publication(spec, plan, stage.table, counts, on_missing, now)
    check_mergeable(engine, publication)
    with dialects.database_errors(engine, f"Publishing into {spec.table}"), engine.begin() as connection:
        removed = publish(connection, publication)
        report = LoadReport(stage.checkpoint.rows, counts.keys, removed, stage.checkpoint.pages, added)
        stage.save(connection, replace(stage.checkpoint, report=asdict(report)), now)
    return report


def _prepare_target(
    engine: Engine, spec: LoadSpec, fields: Sequence[str]
) -> tuple[ColumnPlan, tuple[str, ...]]:
    """Give the target every column that will be written; return the plan and what an existing target got."""
    before = tables.columns_of(engine, spec.table)
    plan = plan_columns(spec, fields, before)
    if before is None:
        tables.ensure_table(engine, tables.target_table(spec, plan))
        plan = plan_columns(spec, fields, tables.columns_of(engine, spec.table))
    tables.ensure_columns(engine, tables.target_table(spec, plan), plan.added)
    return plan, () if before is None else plan.added
