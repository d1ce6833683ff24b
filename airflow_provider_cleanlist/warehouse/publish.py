"""From the staging table into the target, in one transaction.

Every mode deletes what the load replaces and inserts the staged records, each once, the last copy of each. Only a
merge into a table with columns of somebody else's updates in place, so that those columns keep their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import bigquery, dialects, locks, merge, naming, tables, types
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError
from airflow_provider_cleanlist.warehouse.plan import ColumnPlan, StageCounts
from airflow_provider_cleanlist.warehouse.spec import LoadSpec, OnMissing
from airflow_provider_cleanlist.warehouse.tables import PAGE, ROW, stage_column

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.selectable import FromClause


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication, decided: what is written where, and what it replaces.

    Args:
        spec: The load.
        plan: The target's columns.
        stage: The staging table.
        counts: What it holds.
        on_missing: What becomes of the list's rows that were not read.
        now: The time that the rows are stamped with.
    """

    spec: LoadSpec
    plan: ColumnPlan
    stage: sa.Table
    counts: StageCounts
    on_missing: OnMissing
    now: datetime

    @property
    def target(self) -> sa.Table:
        """The target with the columns that are written."""
        return tables.target_table(self.spec, self.plan)

    @property
    def updates_in_place(self) -> bool:
        """Whether existing rows are updated rather than replaced, for the sake of columns of somebody else's."""
        return self.spec.mode == "merge" and bool(self.plan.foreign)

    @property
    def compares_keys(self) -> bool:
        """Whether rows of the target are found by the keys of the staged records."""
        spec = self.spec
        if spec.mode == "replace":
            return spec.replace_scope == "list" and naming.LIST_ID not in spec.key
        return spec.mode == "merge"

    def statements(self) -> list[tuple[str, Any]]:
        """Return the statements of the transaction in order, each with what it does.

        Those named ``removed`` tell by their row count how many rows are gone.
        """
        target, source = self.target, self.source()
        if self.updates_in_place:
            return [
                *self._missing(target, ~self._staged(target)),
                ("updated", self._update(target, source)),
                ("inserted", self._insert(target, source, skip_existing=True)),
            ]
        if self.spec.mode == "merge":
            replaced = [("replaced", target.delete().where(self._staged(target)))]
            replaced += self._missing(target)
        else:
            replaced = [("removed", target.delete().where(*self.scope(target)))]
        return [*replaced, ("inserted", self._insert(target, source))]

    def removals(self) -> list[Any]:
        """Return statements that would remove what the load removes, and could run before any other."""
        target = self.target
        if self.spec.mode == "merge":
            return [statement for _, statement in self._missing(target, ~self._staged(target))]
        return [target.delete().where(*self.scope(target))]

    def _stage_columns(self) -> dict[str, str]:
        return {
            name: stage_column(self.spec, number, raw)
            for number, (raw, name) in enumerate(self.plan.columns.items())
        }

    def source(self) -> FromClause:
        """Return the staged records, each key once: the last row of the last page wins."""
        columns = self._stage_columns()
        if self.counts.keys == self.counts.rows:
            return self.stage
        key = [self.stage.c[name] for name in self.staged_key_names()]
        order = (self.stage.c[PAGE].desc(), self.stage.c[ROW].desc())
        rank = sa.func.row_number().over(partition_by=key, order_by=order).label("_rank")
        ranked = sa.select(*(self.stage.c[name] for name in columns.values()), rank).subquery()
        chosen = (ranked.c[name] for name in columns.values())
        return sa.select(*chosen).where(ranked.c["_rank"] == 1).subquery()

    def _constants(self) -> dict[str, ColumnElement[Any]]:
        values = {
            naming.LIST_ID: self.spec.list_id,
            naming.SYNCED_AT: self.now,
            naming.RUN_ID: self.spec.run_id,
            naming.SNAPSHOT_DATE: self.spec.snapshot_date,
        }
        return {
            name: sa.literal(values[name], tables.META_TYPES[name])
            for name in self.plan.meta
            if name != naming.DELETED_AT
        }

    def _insert(self, target: sa.Table, source: FromClause, *, skip_existing: bool = False) -> Any:
        values = self.values(source)
        rows = sa.select(*values.values())
        if skip_existing:
            old = target.alias("old")
            absent = old.c[self.plan.key[-1]].is_(None)
            rows = rows.select_from(source.outerjoin(old, self.same_key(old, source))).where(absent)
        return target.insert().from_select([*values], rows)

    def _update(self, target: sa.Table, source: FromClause) -> Any:
        values = self.values(source)
        if naming.DELETED_AT in self.plan.meta:
            values[naming.DELETED_AT] = sa.null()
        changed = {name: value for name, value in values.items() if name not in self.plan.key}
        return target.update().values(changed).where(self.same_key(target, source))

    def values(self, source: FromClause) -> dict[str, ColumnElement[Any]]:
        """Return what is written into each column for a staged record."""
        kinds = {name: self.spec.column_type(raw) for raw, name in self.plan.columns.items()}
        staged = self._stage_columns().items()
        return {name: types.published(source.c[own], kinds[name]) for name, own in staged} | self._constants()

    def staged_key_names(self) -> list[str]:
        """Return the staged columns of the key."""
        columns = self._stage_columns()
        return [columns[name] for name in self.plan.key if name in columns]

    def staged_key(self, source: FromClause) -> ColumnElement[Any]:
        """Return a staged column of the key, which no record lacks."""
        return source.c[self.staged_key_names()[0]]

    def same_key(self, target: FromClause, source: FromClause) -> ColumnElement[bool]:
        """Whether a row of the target and a staged record have the same key."""
        columns, constants = self._stage_columns(), self._constants()
        return sa.and_(
            *(
                target.c[name] == (source.c[columns[name]] if name in columns else constants[name])
                for name in self.plan.key
            )
        )

    def _staged(self, target: sa.Table) -> ColumnElement[bool]:
        """Whether a row of the target is among the staged ones, by key."""
        columns, constants = self._stage_columns(), self._constants()
        fixed = [target.c[name] == constants[name] for name in self.plan.key if name in constants]
        names = [name for name in self.plan.key if name in columns]
        if len(names) > 1:  # not every database compares tuples
            same = (target.c[name] == self.stage.c[columns[name]] for name in names)
            return sa.and_(*fixed, sa.exists().where(*same))
        return sa.and_(*fixed, target.c[names[0]].in_(sa.select(self.stage.c[columns[names[0]]])))

    def of_list(self, target: FromClause) -> ColumnElement[bool]:
        """Whether a row of the target belongs to the list."""
        return target.c[naming.LIST_ID] == self._constants()[naming.LIST_ID]

    def _missing(self, target: sa.Table, *gone: ColumnElement[bool]) -> list[tuple[str, Any]]:
        """Return what happens to the list's rows that were not read; ``gone`` tells them from those that were."""
        if self.on_missing == "keep":
            return []
        where = (self.of_list(target), *gone)
        if self.on_missing == "delete":
            return [("removed", target.delete().where(*where))]
        now = sa.literal(self.now, tables.META_TYPES[naming.DELETED_AT])
        alive = target.c[naming.DELETED_AT].is_(None)
        return [("removed", target.update().values({naming.DELETED_AT: now}).where(*where, alive))]

    def scope(self, target: Any) -> Sequence[ColumnElement[bool]]:
        """Return the conditions of the rows that ``replace``, ``append`` and ``snapshot`` write anew."""
        constants = self._constants()
        whole_table = self.spec.replace_scope == "table"
        if self.spec.mode == "append":
            return self.of_list(target), target.c[naming.RUN_ID] == constants[naming.RUN_ID]
        if self.spec.mode == "snapshot":
            day = target.c[naming.SNAPSHOT_DATE] == constants[naming.SNAPSHOT_DATE]
            return (day,) if whole_table else (day, self.of_list(target))
        if whole_table:
            return ()
        if self.compares_keys:
            return (sa.or_(self.of_list(target), self._staged(target)),)
        return (self.of_list(target),)


def check_mergeable(engine: Engine, publication: Publication) -> None:
    """Refuse a merge that the database cannot do without losing what others keep in the target.

    Raises:
        LoadConfigurationError: The target has columns of somebody else's, and SQLAlchemy knows no ``UPDATE .. FROM``
            for the database.
    """
    if engine.dialect.name in merge.DIALECTS:
        return
    try:
        for _, statement in publication.statements():
            statement.compile(dialect=engine.dialect)
    except (NotImplementedError, sa.exc.CompileError):
        foreign = ", ".join(publication.plan.foreign)
        raise LoadConfigurationError(
            f"{publication.spec.table} has columns that this load does not write: {foreign}. A merge "
            f"would have to update rows in place, which SQLAlchemy {sa.__version__} cannot on {engine.dialect.name}. "
            "Nothing was written. Use mode='replace', or a table without these columns."
        ) from None


def publish(connection: Connection, publication: Publication) -> int:
    """Write the staged records into the target within the connection's transaction.

    Args:
        connection: An open connection in a transaction, which is committed by the caller.
        publication: What to write.

    Returns:
        Rows removed from the target: gone from the list, or of what was replaced.

    Raises:
        LoadError: The staging table is not what was counted.
    """
    if connection.dialect.name in merge.DIALECTS:
        return merge.publish(connection, publication)
    if connection.dialect.name == "bigquery":
        return bigquery.publish(connection, publication)
    locks.lock_table(connection, publication.target, tables.registry_table(publication.spec))
    staged = connection.execute(sa.select(sa.func.count()).select_from(publication.stage)).scalar_one()
    if staged != publication.counts.rows:
        raise LoadError(
            f"The staging table holds {staged} rows instead of {publication.counts.rows}: the server lost it."
        )
    if publication.compares_keys:
        names = publication.staged_key_names()
        dialects.gather_statistics(connection, publication.stage, names, publication.target)
    removed = 0
    for name, statement in publication.statements():
        if name == "removed":
            removed += dialects.execute_counted(connection, statement)
        else:
            connection.execute(statement)
    return removed


def check_writable(engine: Engine, table: naming.TableName, columns: Sequence[str]) -> None:
    """Try, before anything is read, whether rows of an existing target may be deleted and inserted.

    Raises:
        LoadConfigurationError: They may not: it is a view, privileges are missing, or the database makes a column.
    """
    target = sa.Table(table.name, sa.MetaData(), *(sa.Column(name) for name in columns), schema=table.schema)
    never = sa.text("1 = 0")
    doing = f"Checking that rows of {table} may be deleted and inserted"
    with dialects.database_errors(engine, doing), engine.connect() as connection:
        transaction = connection.begin()
        dialects.check_transactional(connection, target)
        connection.execute(target.delete().where(never))
        connection.execute(target.insert().from_select([*columns], sa.select(*target.c).where(never)))
        transaction.rollback()
