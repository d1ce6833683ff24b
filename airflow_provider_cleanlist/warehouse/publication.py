"""What is published, as SQL: which rows of the target are deleted, and which staged ones are written.

A merge updates rows in place, and only those in which something differs: rows of other tables can refer to them, and
columns that the load does not own keep their values. Every other mode deletes what the load replaces and inserts the
staged records, the last copy of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import naming, tables
from airflow_provider_cleanlist.warehouse.dialects.base import Database, Matches, StoredForm
from airflow_provider_cleanlist.warehouse.plan import StageCounts, TargetPlan
from airflow_provider_cleanlist.warehouse.spec import LoadSpec, OnMissing
from airflow_provider_cleanlist.warehouse.tables import PAGE, ROW

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.selectable import FromClause


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication: what is written where, and what it replaces.

    Args:
        spec: The load.
        plan: The target's columns.
        stage: The staging table.
        counts: What it holds.
        on_missing: What happens to rows of the list that were not read.
        now: The timestamp of the rows.
        database: The database.
        stored_forms: The target's columns that change values or compare texts in a way of their own, each with the SQL
            of what becomes of a value, ``{}``, in it.
        written_forms: Those that take a value only in a form of their own, each with its SQL.
    """

    spec: LoadSpec
    plan: TargetPlan
    stage: sa.Table
    counts: StageCounts
    on_missing: OnMissing
    now: datetime
    database: Database
    stored_forms: Mapping[str, str] = field(default_factory=dict)
    written_forms: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> sa.Table:
        """The target with the columns that are written."""
        return tables.target_table(self.spec, self.plan, self.database)

    def statements(self, *, into_empty: bool = False) -> list[tuple[str, Any]]:
        """Return the statements of the transaction in order, each with the name of its effect.

        The rows affected by those named ``removed`` are the rows that the load removes.

        Args:
            into_empty: Whether the target is known to be empty.
        """
        target, source = self.target, self.source()
        if into_empty:
            return [("inserted", self._insert(target, source))]
        if self.spec.updates_rows:
            return [
                *self._missing(target, ~self._staged(target)),
                *self._update(target, source),
                ("inserted", self._insert(target, source, skip_existing=True)),
            ]
        removed = target.delete().where(*self.replaced(target))
        return [("removed", removed), ("inserted", self._insert(target, source))]

    def removals(self) -> list[Any]:
        """Return the statements that remove rows."""
        return [statement for effect, statement in self.statements() if effect == "removed"]

    def _staging_names(self) -> dict[str, str]:
        return {column.target: column.staging for column in self.plan.columns}

    def source(self) -> FromClause:
        """Return the staged records, one for each key: the last row of the last page wins."""
        if self.counts.keys == self.counts.rows:
            return self.stage
        columns = self._staging_names().values()
        order = (self.stage.c[PAGE].desc(), self.stage.c[ROW].desc())
        rank = sa.func.row_number().over(partition_by=self._staged_key(), order_by=order).label("_rank")
        ranked = sa.select(*(self.stage.c[name] for name in columns), rank).subquery()
        return sa.select(*(ranked.c[name] for name in columns)).where(ranked.c["_rank"] == 1).subquery()

    @property
    def folds_staged_keys(self) -> bool:
        """Whether keys that differ where they are staged can be the same in the target."""
        return not self.stored_forms.keys().isdisjoint({*self.plan.key} & {*self._staging_names()})

    def count_keys(self) -> sa.Select[Any]:
        """Return the query that counts the staged keys that the target tells apart."""
        keys = sa.select(sa.literal(1).label("one")).select_from(self.stage).group_by(*self._staged_key())
        return sa.select(sa.func.count()).select_from(keys.subquery("keys_"))

    def _staged_key(self) -> list[ColumnElement[Any]]:
        names = self._staging_names()
        return [value for name, value in self._key_values(self.stage).items() if name in names]

    def _constants(self) -> dict[str, ColumnElement[Any]]:
        now = sa.literal(self.now, tables.meta_type(self.database, naming.SYNCED_AT))
        return {
            name: now if name == naming.SYNCED_AT else fixed_value(self.spec, name, self.database)
            for name in self.plan.meta
            if name != naming.DELETED_AT
        }

    def _insert(self, target: sa.Table, source: FromClause, *, skip_existing: bool = False) -> Any:
        values = self.values(source)
        rows = sa.select(*values.values())
        if skip_existing:
            rows = self._without_row(rows, source)
        return target.insert().from_select([*values], rows)

    def left_out(self) -> sa.Select[Any]:
        """Return the query that counts staged records without a row in the target."""
        return self._without_row(sa.select(sa.func.count()), self.source())

    def _without_row(self, query: sa.Select[Any], source: FromClause) -> sa.Select[Any]:
        """Narrow a query down to staged records without a row in the target."""
        old = self.target.alias("old")
        within = () if self.spec.mode == "merge" else in_scope(self.spec, old, self.database)
        same = sa.and_(self.same_key(old, source), *within)
        absent = old.c[self.plan.key[-1]].is_(None)
        return query.select_from(source.outerjoin(old, same)).where(absent)

    def _update(self, target: sa.Table, source: FromClause) -> list[tuple[str, Any]]:
        values = self.values(source)
        differences = self.differences(target, values)
        if not differences:
            return []
        fixed = self.plan.key
        if self.database.folds_keys:
            fixed = tuple(name for name in fixed if name in naming.META_COLUMNS)
        changed = {name: value for name, value in values.items() if name not in fixed}
        if naming.DELETED_AT in self.plan.meta:
            changed[naming.DELETED_AT] = sa.null()
        same_key = self.same_key(target, source)
        matches = Matches(target, source, changed, same_key, sa.or_(*differences))
        return [("updated", self.database.update(matches))]

    def differences(
        self, target: FromClause, values: Mapping[str, ColumnElement[Any]]
    ) -> list[ColumnElement[bool]]:
        """Return what makes a row of the target outdated; when and by which run it was written does not.

        Args:
            target: The target.
            values: What would be written to its columns.
        """
        differs = self.database.differs
        compared = {column.target: column.type for column in self.plan.columns}
        if not self.database.folds_keys:
            compared = {name: kind for name, kind in compared.items() if name not in self.plan.key}
        if naming.LIST_ID not in self.plan.key:
            compared[naming.LIST_ID] = "text"
        differences = [
            differs(target.c[name], self._stored(name, values[name]), kind) for name, kind in compared.items()
        ]
        if naming.DELETED_AT in self.plan.meta:
            differences.append(target.c[naming.DELETED_AT].is_not(None))
        if self.spec.newest_by is None or not differences:
            return differences
        at = next(column.target for column in self.plan.columns if column.raw == self.spec.newest_by)
        is_older = sa.or_(target.c[at].is_(None), target.c[at] <= self._stored(at, values[at]))
        return [sa.and_(is_older, sa.or_(*differences))]

    def values(self, source: FromClause) -> dict[str, ColumnElement[Any]]:
        """Return what is written to each column for a staged record."""
        types = self.database.types
        staged = {
            column.target: types.published(source.c[column.staging], column.type)
            for column in self.plan.columns
        }
        return {
            name: StoredForm(value, self.written_forms[name]) if name in self.written_forms else value
            for name, value in (staged | self._constants()).items()
        }

    def _stored(self, name: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what a value is once it is in a column of the target, and how it compares there."""
        form = self.stored_forms.get(name)
        return value if form is None else StoredForm(value, form)

    def staged_key_names(self) -> list[str]:
        """Return the names of the key's staging columns."""
        staging = self._staging_names()
        return [staging[name] for name in self.plan.key if name in staging]

    def _key_values(self, source: FromClause) -> dict[str, ColumnElement[Any]]:
        """Return what each column of the key is compared with: what is staged, or what all rows of the load have."""
        staging, constants = self._staging_names(), self._constants()
        return {
            name: self._stored(name, source.c[staging[name]] if name in staging else constants[name])
            for name in self.plan.key
        }

    def same_key(self, target: FromClause, source: FromClause) -> ColumnElement[bool]:
        """Whether a row of the target and a staged record have the same key."""
        return sa.and_(*(target.c[name] == value for name, value in self._key_values(source).items()))

    def _staged(self, target: sa.Table) -> ColumnElement[bool]:
        """Whether there is a staged record with the key of a row of the target."""
        staged = [name for name in self.plan.key if name in self._staging_names()]
        if len(staged) > 1 or self.database.plans_exists:  # not every database compares tuples
            return sa.exists().select_from(self.stage).where(self.same_key(target, self.stage))
        fixed = self._key_values(self.stage)
        found = sa.select(fixed.pop(staged[0])).select_from(self.stage)
        return sa.and_(
            *(target.c[name] == value for name, value in fixed.items()), target.c[staged[0]].in_(found)
        )

    def of_list(self, target: FromClause) -> ColumnElement[bool]:
        """Whether a row of the target belongs to the list."""
        return target.c[naming.LIST_ID] == self._constants()[naming.LIST_ID]

    def _missing(self, target: sa.Table, *gone: ColumnElement[bool]) -> list[tuple[str, Any]]:
        """Return what happens to rows of the list that were not read, which ``gone`` selects."""
        if self.on_missing == "keep":
            return []
        where = (self.of_list(target), *gone)
        if self.on_missing == "delete":
            return [("removed", target.delete().where(*where))]
        now = sa.literal(self.now, self.database.types.timestamp)
        alive = target.c[naming.DELETED_AT].is_(None)
        return [("removed", target.update().values({naming.DELETED_AT: now}).where(*where, alive))]

    def replaced(self, target: Any) -> Sequence[ColumnElement[bool]]:
        """Return the conditions of the rows that ``replace``, ``append`` and ``snapshot`` replace."""
        if self.spec.compares_keys:
            return (sa.or_(self.of_list(target), self._staged(target)),)
        return in_scope(self.spec, target, self.database)


def fixed_value(spec: LoadSpec, name: str, database: Database) -> ColumnElement[Any]:
    """Return what the spec alone says about one of the loader's columns."""
    values = {
        naming.LIST_ID: spec.list_id,
        naming.RUN_ID: spec.run_id,
        naming.SNAPSHOT_DATE: spec.snapshot_date,
    }
    return sa.literal(values[name], tables.meta_type(database, name))


def in_scope(spec: LoadSpec, target: Any, database: Database) -> list[ColumnElement[bool]]:
    """Return the conditions of the rows that a load in a scope of its own replaces."""
    return [target.c[name] == fixed_value(spec, name, database) for name in spec.scope]
