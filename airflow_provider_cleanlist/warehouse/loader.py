"""A whole load: read pages, stage them, publish them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.redaction import redacted
from airflow_provider_cleanlist.warehouse import tables
from airflow_provider_cleanlist.warehouse.dialects import database_errors, database_of
from airflow_provider_cleanlist.warehouse.errors import (
    CursorRefusedError,
    LoadConfigurationError,
    LoadDataError,
    LoadError,
    MissingKeyError,
    SourceInconsistentError,
    StageLostError,
)
from airflow_provider_cleanlist.warehouse.misfits import naming_columns
from airflow_provider_cleanlist.warehouse.plan import (
    TargetColumns,
    TargetPlan,
    check_counts,
    check_keys,
    plan_target,
    unfilled_columns,
)
from airflow_provider_cleanlist.warehouse.publication import Publication
from airflow_provider_cleanlist.warehouse.publish import check_writable, in_stored_forms, lock_target, publish
from airflow_provider_cleanlist.warehouse.reading import BATCH_ROWS, Pacing, ReadPages, StageWriter
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.staging import Stage
from airflow_provider_cleanlist.warehouse.values import RowMaker

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

log = logging.getLogger(__name__)

PAGES_AHEAD = 8
"""Pages that can wait in memory while earlier ones are written."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did.

    Attributes:
        rows_read: Rows read from the list, by all attempts together.
        rows_written: Distinct records of this load that the target now holds, changed or not.
        rows_removed: Rows of the target that ``on_missing`` deleted or marked, or that the replaced scope held.
        pages: Pages read, by all attempts together.
        columns_added: Columns that were added to an existing target.
    """

    rows_read: int
    rows_written: int
    rows_removed: int
    pages: int
    columns_added: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LoadReport:
        """Read what ``dataclasses.asdict`` made and JSON kept.

        Raises:
            ValueError: It is something else.
        """
        added: Any = values.get("columns_added")
        counts = [values.get(name) for name in cls.__slots__[:-1]]
        is_whole = isinstance(added, list) and len(values) == len(cls.__slots__)
        if is_whole and all(isinstance(name, str) for name in added) and all(type(n) is int for n in counts):
            return cls(**{**values, "columns_added": tuple(added)})
        raise ValueError("damaged")


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
    """Load a list into a table, exactly once however many attempts it takes.

    An attempt that fails leaves the target's rows as they were. The next attempt with the same ``spec.load_id``
    resumes after the last page that was committed to the staging table.

    Args:
        engine: The warehouse.
        spec: What to load.
        read_pages: Reads the records.
        utc_now: Returns the time, in UTC.
        clock: Returns seconds, for progress.
        batch_rows: Minimum number of rows per commit; pages are committed as a whole.
        pages_ahead: Pages that can wait in memory while earlier ones are written.
        before_cleanup: Called with the report before the load's own record of it is deleted.

    Returns:
        What the load did.

    Raises:
        LoadConfigurationError: Arguments, privileges or the target's columns do not fit.
        LoadDataError: The records do not fit.
        LoadError: The database failed, or the list changed while it was read and ``row_count_check="fail"``.
    """
    try:
        return _load(
            engine, spec, read_pages, Pacing(utc_now, clock, batch_rows, pages_ahead), before_cleanup
        )
    except LoadConfigurationError as error:
        if error.lacks_privilege:
            raise LoadConfigurationError(f"{error} {spec.privileges}") from None
        raise


def _load(
    engine: Engine,
    spec: LoadSpec,
    read_pages: ReadPages,
    pacing: Pacing,
    before_cleanup: Callable[[LoadReport], None],
) -> LoadReport:
    utc_now = pacing.utc_now
    tables.check_names(engine, spec)
    target = tables.columns_of(engine, spec.table)
    spec = spec.into(target)
    plan = plan_target(spec, RowMaker(spec, target=target).fields, target)
    if target is not None:
        check_writable(engine, spec, plan)
    stage = Stage.open(engine, spec, utc_now())
    report = _published(stage, utc_now)
    if report is None:
        try:
            report = _read_and_publish(engine, spec, stage, target, read_pages=read_pages, pacing=pacing)
        except StageLostError:
            if not stage.is_outdated():
                raise
            stage = Stage.open(engine, spec, utc_now())  # to begin anew, once
            report = _read_and_publish(engine, spec, stage, target, read_pages=read_pages, pacing=pacing)
    before_cleanup(report)
    stage.drop()
    return report


def _read_and_publish(
    engine: Engine,
    spec: LoadSpec,
    stage: Stage,
    target: TargetColumns | None,
    *,
    read_pages: ReadPages,
    pacing: Pacing,
) -> LoadReport:
    try:
        _read(stage, spec, target, read_pages, pacing)
        return _publish(engine, spec, stage, pacing.utc_now())
    except SourceInconsistentError:
        stage.drop()
        raise
    except LoadDataError:
        if spec.source_changes:  # a record that is corrected there has to be read again
            stage.drop()
        raise


def _published(stage: Stage, utc_now: Callable[[], datetime]) -> LoadReport | None:
    """Return the report of an earlier attempt that published the load; None if there was none."""
    if stage.checkpoint.report is None:
        return None
    try:
        report = LoadReport.from_dict(stage.checkpoint.report)
    except ValueError:
        log.warning("The record of an earlier attempt is damaged, so the list is read again from the start.")
        stage.restart(utc_now())
        return None
    log.info("An earlier attempt published this load; only cleaning up is left.")
    return report


def _read(
    stage: Stage, spec: LoadSpec, target: TargetColumns | None, read_pages: ReadPages, pacing: Pacing
) -> None:
    """Stage what is not staged yet: from the start if reading cannot resume after the checkpoint."""
    try:
        StageWriter(stage, spec, target, pacing).read(read_pages)
    except CursorRefusedError:
        log.warning(
            "Reading cannot resume after page %d, so the list is read again from the start.",
            stage.checkpoint.pages,
        )
        stage.restart(pacing.utc_now())
        StageWriter(stage, spec, target, pacing).read(read_pages)


def clean_up(engine: Engine, spec: LoadSpec) -> None:
    """Remove what a completed load may have left in the staging schema.

    Args:
        engine: The warehouse.
        spec: The load.
    """
    tables.check_owners(engine, spec.registry, spec.stage)
    Stage(engine, spec).drop()


def _publish(engine: Engine, spec: LoadSpec, stage: Stage, now: datetime) -> LoadReport:
    counts = stage.count()
    if counts.rows != stage.checkpoint.rows:
        stage.drop()
        raise LoadError(
            f"The staging table holds {counts.rows} rows, but {stage.checkpoint.rows} were written to it. Nothing was "
            "published; the next attempt reads the list again."
        )
    check_keys(counts, spec)
    verdict = check_counts(counts, stage.checkpoint.total, spec)
    if verdict.fail and verdict.is_short and spec.source == "export":
        raise SourceInconsistentError(
            f"{verdict.message} Nothing was written; the next attempt asks for a new export. read='pages' reads the "
            "list without one."
        )
    if verdict.fail:
        stage.drop()
        raise LoadError(f"{verdict.message} Nothing was written; the next attempt reads the list again.")
    if verdict.message:
        log.warning("%s", verdict.message)
    on_missing = spec.on_missing
    if on_missing != "keep" and not verdict.confirmed:
        log.warning(
            "Rows that are gone from the list are kept, because the count of the list is not confirmed."
        )
        on_missing = "keep"
    plan, added = _prepare_target(engine, spec, stage.checkpoint.fields)
    publication = Publication(spec, plan, stage.table, counts, on_missing, now, database_of(engine))
    with (
        naming_columns(engine, publication),
        database_errors(engine, f"Publishing into {spec.table}"),
        engine.begin() as connection,
    ):
        lock_target(connection, publication)
        forms = publication.database.written_forms(connection, publication.target)
        publication = in_stored_forms(connection, replace(publication, written_forms=forms))
        if not publication.database.has_transactions:  # what is written could not be taken back
            stage.claim(connection, now)
        removed = publish(connection, publication)
        report = LoadReport(
            stage.checkpoint.rows, publication.counts.keys, removed, stage.checkpoint.pages, added
        )
        stage.claim(connection, now, asdict(report))
    return report


def _prepare_target(
    engine: Engine, spec: LoadSpec, fields: Sequence[str]
) -> tuple[TargetPlan, tuple[str, ...]]:
    """Give the target every column that will be written; return the plan and what was added to an existing target."""
    database = database_of(engine)
    before = tables.columns_of(engine, spec.table)
    plan = plan_target(spec, fields, before)
    for name, columns in unfilled_columns(spec, plan, before).items():
        log.warning(
            "Nothing fills the column %s of %s: the list has, or had, several fields of that name, so %s. Name them "
            "apart in Cleanlist or with columns=, and drop the columns that you do not need.",
            name,
            spec.table,
            " and ".join(f"{redacted(column.raw)!r} goes into {column.target}" for column in columns),
        )
    if before is None:
        try:
            tables.ensure_table(engine, tables.target_table(spec, plan, database), database.complete_target)
        except MissingKeyError:
            if spec.mode == "merge":
                raise
            tables.ensure_table(engine, tables.target_table(spec, plan, database, with_key=True))
        plan = plan_target(spec, fields, tables.columns_of(engine, spec.table))
    # once more, because reading took its time: the table can be another one
    check_writable(engine, spec, plan)
    tables.ensure_columns(engine, tables.target_table(spec, plan, database), plan.added)
    return plan, () if before is None else plan.added
