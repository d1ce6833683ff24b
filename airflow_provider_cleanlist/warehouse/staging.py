"""The staging table of a load, and its row in the table of loads in flight.

Rows and checkpoint are committed together, so a page is in the stage if and only if the checkpoint says so. The
checkpoint is in a row of the table of loads in flight, next to the staging tables. Each attempt at a load takes the row
over by incrementing ``attempt``; an attempt that finds a number other than its own can commit nothing any more. Nor can
one whose row was marked by another run, which has published the same list into the same table since it began to read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import tables
from airflow_provider_cleanlist.warehouse.dialects import database_errors, database_of
from airflow_provider_cleanlist.warehouse.dialects.base import RowStream
from airflow_provider_cleanlist.warehouse.dialects.locks import spellings
from airflow_provider_cleanlist.warehouse.errors import LoadError, StageLostError
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.plan import (
    DAMAGED,
    OUTDATED,
    Checkpoint,
    StageCounts,
    StagedColumn,
    StageRecord,
    decide_resume,
    staged_columns,
)
from airflow_provider_cleanlist.warehouse.spec import LoadSpec, is_stage_name
from airflow_provider_cleanlist.warehouse.tables import PAGE, apply_settings
from airflow_provider_cleanlist.warehouse.types import Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine, Transaction

log = logging.getLogger(__name__)

ABANDONED_AFTER = timedelta(hours=48)
"""A stage untouched for longer belongs to a run that was never retried; the next load drops it."""


def is_resumable(engine: Engine, spec: LoadSpec, now: datetime) -> bool:
    """Whether an earlier attempt at the same load, with the same arguments and source, left something to resume.

    Args:
        engine: The warehouse.
        spec: The load.
        now: The time, in UTC.

    Raises:
        LoadError: The database refuses.
    """
    tables.check_owners(engine, spec.registry, spec.stage)
    if tables.columns_of(engine, spec.registry) is None:
        return False
    spec = spec.into(tables.columns_of(engine, spec.table))
    return decide_resume(Stage(engine, spec).read_record(), spec, now) == "resume"


class Stage:
    """The staging table of one load, held by one attempt at it.

    Attributes:
        checkpoint: What is committed.
        table: The staging table.
        resumed: Whether an earlier attempt staged a part of the list.
    """

    def __init__(self, engine: Engine, spec: LoadSpec) -> None:
        self._engine = engine
        self._spec = spec
        self._database = database_of(engine)
        self._open_stream = self._database.stream_by_driver.get(engine.dialect.driver)
        self._registry = tables.registry_table(spec, self._database)
        self._attempt = 0
        self._fingerprint: str | None = spec.fingerprint
        """What the record holds as long as no other run has marked it; None if it does not matter."""
        self._existing: set[str] = set()
        self._waiting: list[Row] = []
        self._open: Transaction | None = None
        self._stream: RowStream | None = None
        self._reach(Checkpoint())
        self.resumed = False

    @classmethod
    def open(cls, engine: Engine, spec: LoadSpec, now: datetime) -> Stage:
        """Take over the stage that an earlier attempt at this load left, or begin a new one.

        Args:
            engine: The warehouse.
            spec: The load.
            now: The time, in UTC.

        Raises:
            LoadError: The database refuses, or another attempt takes the stage over at the same moment.
        """
        stage = cls(engine, spec)
        tables.check_owners(engine, spec.registry, spec.stage)
        tables.ensure_registry(engine, stage._registry)
        drop_abandoned(engine, spec, now)
        record = stage.read_record()
        decision = decide_resume(record, spec, now)
        if record is None:
            stage._insert_record(now)
        elif decision == "start":
            _log_discarded(record, spec)
            stage._take_over(record, Checkpoint(), now)
        else:
            stage._take_over(record, record.checkpoint, now)
            stage.resumed = decision == "published" or stage._is_intact()
            if not stage.resumed:
                log.warning("The staging table lost rows, so the list is read again from the start.")
                stage.restart(now)
            return stage
        tables.drop_table(engine, spec.stage)
        return stage

    def _reach(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._widen(staged_columns(self._spec, checkpoint.fields))

    def _widen(self, columns: Sequence[StagedColumn]) -> None:
        self._columns = tuple(columns)
        self.table = tables.stage_table(self._spec, columns, self._database)

    def read_record(self) -> StageRecord | None:
        """Return what the table of loads in flight says of this load; None if it has not begun."""
        where = self._registry.c.stage == self._spec.stage.name
        with self._errors("Reading the loads in flight"), self._engine.connect() as connection:
            row = connection.execute(sa.select(*self._registry.columns).where(where)).first()
        return None if row is None else StageRecord.of_row(row)

    def _take_over(self, record: StageRecord, checkpoint: Checkpoint, now: datetime) -> None:
        self._attempt = record.attempt
        # what was staged can become outdated at this very moment; to what begins anew it does not matter
        self._fingerprint = record.fingerprint if checkpoint.pages else None
        with self._errors("Taking over the staging table"), self._engine.begin() as connection:
            self.save(connection, checkpoint, now, attempt=record.next_attempt)
        self._attempt, self._fingerprint = record.next_attempt, self._spec.fingerprint
        self._reach(checkpoint)

    def _insert_record(self, now: datetime) -> None:
        values = {
            "stage": self._spec.stage.name,
            "list_id": self._spec.list_id,
            "target_table": str(self._spec.table),
            "attempt": 1,
            "fingerprint": self._spec.fingerprint,
            "updated_at": now.isoformat(timespec="seconds"),
            "checkpoint": Checkpoint().to_json(),
        }
        with self._errors("Recording the load"), self._engine.begin() as connection:
            connection.execute(self._registry.insert().values(values))
        self._attempt = 1

    def _is_intact(self) -> bool:
        """Delete rows beyond the checkpoint; return whether all others are there."""
        columns = tables.columns_of(self._engine, self._spec.stage)
        if columns is None:
            return False
        self._existing = set(columns)
        with self._errors("Resuming the staging table"), self._engine.begin() as connection:
            connection.execute(self.table.delete().where(self.table.c[PAGE] > self.checkpoint.pages))
            staged = connection.execute(sa.select(sa.func.count()).select_from(self.table)).scalar_one()
            return int(staged) == self.checkpoint.rows

    @property
    def is_open(self) -> bool:
        """Whether there is an uncommitted transaction, with rows on their way to the database."""
        return self._open is not None

    def add(self, rows: Sequence[Row], columns: Sequence[StagedColumn]) -> None:
        """Take rows for the next commit.

        Args:
            rows: Rows as ``RowMaker`` makes them; the commit fills up short ones with NULL.
            columns: Their columns. An open transaction must be committed before there is a new one.

        Raises:
            LoadError: The database refuses.
        """
        if self._columns != columns:
            self._widen(columns)
        if self._open_stream is None:
            self._waiting.extend(rows)
            return
        with self._writing() as transaction:
            if self._stream is None:
                self._stream = self._open_stream(transaction.connection, self.table)
            self._stream.write(rows)

    def commit(self, checkpoint: Checkpoint, now: datetime) -> None:
        """Commit the rows that were added, together with the checkpoint that covers them.

        Args:
            checkpoint: How far the load has come once they are committed.
            now: The time, in UTC.

        Raises:
            LoadError: The database refuses, or another attempt has taken the stage over.
        """
        with self._writing() as transaction:
            if self._stream is not None:
                self._stream.close()
                self._stream = None
            self._database.insert_rows(transaction.connection, self.table, self._filled(self._waiting))
            self.save(transaction.connection, checkpoint, now)
            transaction.commit()
        self.close()
        self._waiting = []
        self.checkpoint = checkpoint

    def _filled(self, rows: Sequence[Row]) -> list[Row]:
        width = len(self.table.columns)
        return [row if len(row) == width else row + (None,) * (width - len(row)) for row in rows]

    def close(self) -> None:
        """Discard rows that are not committed."""
        transaction, stream = self._open, self._stream
        self._open, self._stream = None, None
        if transaction is not None:
            if stream is not None:
                transaction.connection.invalidate()
            with suppress(sa.exc.SQLAlchemyError):  # a broken connection has been reported
                transaction.connection.close()

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        self._ensure_columns(self.table)
        with self._errors("Staging rows"):
            if self._open is None:
                self._open = self._engine.connect().begin()
                apply_settings(self._open.connection, self._database.staging_settings)
            yield self._open

    def _ensure_columns(self, table: sa.Table) -> None:
        names = [column.name for column in table.columns]
        if not self._existing:
            # once more, because reading took its time since the stage was dropped
            tables.check_owners(self._engine, self._spec.stage)
            tables.ensure_table(self._engine, table)
        elif missing := [name for name in names if name not in self._existing]:
            tables.ensure_columns(self._engine, table, missing)
        self._existing.update(names)

    def save(
        self, connection: Connection, checkpoint: Checkpoint, now: datetime, attempt: int | None = None
    ) -> None:
        """Record a checkpoint within a transaction.

        Args:
            connection: An open connection in a transaction.
            checkpoint: How far the load has come.
            now: The time, in UTC.
            attempt: Number of the attempt that takes the stage over, or that begins it anew.

        Raises:
            StageLostError: Another attempt has taken the stage over, or another run has marked it as outdated; the
                transaction must not be committed.
        """
        registry = self._registry
        mine = sa.and_(registry.c.stage == self._spec.stage.name, registry.c.attempt == self._attempt)
        if self._fingerprint is not None:
            mine = sa.and_(mine, registry.c.fingerprint == self._fingerprint)
        values: dict[str, object] = {
            "updated_at": now.isoformat(timespec="seconds"),
            "checkpoint": checkpoint.to_json(),
        }
        if attempt is not None:
            values |= {"attempt": attempt, "fingerprint": self._spec.fingerprint}
        if self._database.execute_counted(connection, registry.update().where(mine).values(values)) != 1:
            raise StageLostError(
                "Another attempt of this task has taken the load over, or another run has just loaded the same list "
                f"into {self._spec.table}, so this one stops."
            )

    def is_outdated(self) -> bool:
        """Whether another run has marked what this attempt read, and no other attempt has taken it over."""
        record = self.read_record()
        return record is not None and (record.attempt, record.fingerprint) == (self._attempt, OUTDATED)

    def count(self) -> StageCounts:
        """Count what is staged: rows, distinct records, distinct keys, rows without a key."""
        with self._errors("Counting the staged rows"), self._engine.begin() as connection:
            apply_settings(connection, self._database.count_settings)
            rows, records = self._count_groups(connection, (self._spec.id_field,))
            if self._spec.key_fields == (self._spec.id_field,):
                return StageCounts(rows, records, records)
            keys = [self.column(raw) for raw in self._spec.key_fields]
            empty = sa.or_(*(column.is_(None) for column in keys))
            query = sa.select(sa.func.count()).select_from(self.table).where(empty)
            without_key = int(connection.execute(query).scalar_one())
            _, distinct = self._count_groups(connection, self._spec.key_fields)
            return StageCounts(rows, records, distinct, without_key)

    def _count_groups(self, connection: Connection, fields: Sequence[str]) -> tuple[int, int]:
        """Return the number of rows and of distinct values of some fields."""
        size = sa.func.count().label("size")
        groups = (
            sa.select(size).select_from(self.table).group_by(*map(self.column, fields)).subquery("groups_")
        )
        query = sa.select(sa.func.sum(groups.c.size), sa.func.count()).select_from(groups)
        rows, distinct = connection.execute(query).one()
        return int(rows or 0), int(distinct)

    def column(self, raw: str) -> sa.Column[object]:
        """Return the staging column of a field."""
        return self.table.c[next(column.staging for column in self._columns if column.raw == raw)]

    def restart(self, now: datetime) -> None:
        """Discard what is staged, to read the list from its start.

        Args:
            now: The time, in UTC.

        Raises:
            LoadError: The database refuses, or another attempt has taken the stage over.
        """
        with self._errors("Emptying the staging table"), self._engine.begin() as connection:
            self.save(connection, Checkpoint(), now, attempt=self._attempt)
        tables.drop_table(self._engine, self._spec.stage)
        self._existing.clear()
        self._waiting = []
        self._reach(Checkpoint())
        self.resumed = False

    def claim(self, connection: Connection, now: datetime, report: Mapping[str, Any] | None = None) -> None:
        """Record that this load publishes, and mark what others have read of its list for its table before.

        They would bring old values back. Loads that publish wait for each other by the lock of the target, and of two
        only one can do this: it finds its own record as it left it.

        Args:
            connection: An open connection in the transaction that publishes.
            now: The time, in UTC.
            report: What the load reports, if all rows are written.

        Raises:
            StageLostError: As ``save`` does.
        """
        if self._spec.outdates_others:
            self._outdate_others(connection)
        self.save(connection, replace(self.checkpoint, report=report), now)

    def _outdate_others(self, connection: Connection) -> None:
        registry = self._registry
        default, table = connection.dialect.default_schema_name, self._spec.table
        names = spellings(table.name, table.schema, default)
        same_table = set(
            map(str.casefold, names)
        )  # two tables that differ in case only cost a reading, at most
        columns = (registry.c.stage, registry.c.list_id, registry.c.target_table)
        # before the own record is locked, so that loads into other tables cannot wait for each other in a circle
        for stage, list_id, target in connection.execute(sa.select(*columns)).all():
            is_same = list_id == self._spec.list_id and str(target).casefold() in same_table
            if is_same and stage != self._spec.stage.name:
                outdated = registry.update().where(registry.c.stage == stage).values(fingerprint=OUTDATED)
                connection.execute(outdated)

    def drop(self) -> None:
        """Remove the staging table and the record of the load, unless another attempt has taken them over."""
        record = self.read_record()
        if self._attempt and record is not None and record.attempt != self._attempt:
            return
        tables.drop_table(self._engine, self._spec.stage)
        mine = self._registry.c.stage == self._spec.stage.name
        with self._errors("Deleting the record of the load"), self._engine.begin() as connection:
            connection.execute(self._registry.delete().where(mine))

    def _errors(self, doing: str) -> AbstractContextManager[None]:
        return database_errors(self._engine, doing)


def _log_discarded(record: StageRecord, spec: LoadSpec) -> None:
    """Log why what an earlier attempt staged is of no use, if it staged anything."""
    if record.fingerprint == DAMAGED:
        log.warning("The record of an earlier attempt is damaged, so the list is read again from the start.")
    elif record.fingerprint == OUTDATED:
        log.info(
            "Another run has loaded the list into %s since %d rows were staged here, so these are discarded.",
            spec.table,
            record.checkpoint.rows,
        )
    elif record.checkpoint.pages and record.fingerprint != spec.fingerprint:
        log.info(
            "An earlier attempt staged %d rows with other arguments or from another source than the %s, so they "
            "are discarded.",
            record.checkpoint.rows,
            spec.source,
        )


def drop_abandoned(engine: Engine, spec: LoadSpec, now: datetime) -> None:
    """Drop the stages of loads that were never retried; the next load tries those that cannot be dropped."""
    registry = tables.registry_table(spec, database_of(engine))
    limit = (now - ABANDONED_AFTER).isoformat(timespec="seconds")
    old = sa.and_(registry.c.updated_at < limit, registry.c.stage != spec.stage.name)
    with database_errors(engine, "Looking for abandoned loads"), engine.connect() as connection:
        stages = connection.execute(sa.select(registry.c.stage).where(old)).scalars().all()
    for stage in filter(is_stage_name, stages):
        try:
            tables.drop_table(engine, TableName(stage, spec.stage.schema))
            with (
                database_errors(engine, "Deleting the record of an abandoned load"),
                engine.begin() as connection,
            ):
                connection.execute(registry.delete().where(sa.and_(old, registry.c.stage == stage)))
        except LoadError as error:
            log.warning("An abandoned staging table remains: %s", error)
