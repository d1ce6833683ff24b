"""Publishing by one ``MERGE``, for databases whose transactions hold a single statement.

The statement's source has two kinds of rows: those to insert or update, in which ``_drop`` is NULL, and those whose
matches in the target are deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement

from airflow_provider_cleanlist.warehouse import naming
from airflow_provider_cleanlist.warehouse.publication import Publication
from airflow_provider_cleanlist.warehouse.spec import OnMissing

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.selectable import FromClause, Select

DROP = "_drop"


@dataclass(frozen=True, slots=True)
class _Action:
    """What happens to a row: DELETE, or an UPDATE or INSERT of columns."""

    verb: str
    values: Mapping[str, ColumnElement[Any]]
    condition: ColumnElement[bool] | None = None


class Merge(Executable, ClauseElement):
    """``MERGE INTO ..``, which SQLAlchemy lacks.

    Args:
        target: The target, as an alias.
        source: The source.
        on: Which rows match.
        matched: What happens to rows of the target that match; the first condition that holds decides.
        not_matched: What happens to rows of the source that match none.
    """

    inherit_cache = False
    supports_execution = True

    def __init__(
        self,
        target: Any,
        source: FromClause,
        on: ColumnElement[bool],
        matched: Sequence[_Action],
        not_matched: _Action,
    ) -> None:
        self.target, self.source, self.on = target, source, on
        self.matched, self.not_matched = matched, not_matched


@compiles(Merge)
def _compile_merge(element: Merge, compiler: Any, **options: Any) -> str:
    def sql(clause: Any) -> str:
        return str(compiler.process(clause, **options))

    def when(action: _Action, kind: str) -> str:
        condition = "" if action.condition is None else f" AND {sql(action.condition)}"
        quoted = [compiler.preparer.quote(name) for name in action.values]
        values = [sql(value) for value in action.values.values()]
        match action.verb:
            case "UPDATE":
                what = "UPDATE SET " + ", ".join(
                    f"{name} = {value}" for name, value in zip(quoted, values, strict=True)
                )
            case "INSERT":
                what = f"INSERT ({', '.join(quoted)}) VALUES ({', '.join(values)})"  # noqa: S608
            case verb:
                what = verb
        return f"WHEN {kind}{condition} THEN {what}"

    table = element.target.element
    lines = [
        f"MERGE INTO {compiler.preparer.format_table(table)} AS {compiler.preparer.quote(element.target.name)}",
        f"USING {compiler.process(element.source, asfrom=True, **options)}",
        f"ON {sql(element.on)}",
        *(when(action, "MATCHED") for action in element.matched),
        when(element.not_matched, "NOT MATCHED"),
    ]
    return "\n".join(lines)


def merge_statement(publication: Publication) -> Merge:
    """Return the statement that publishes, whatever the mode."""
    if publication.spec.updates_rows:
        return _by_key(publication, publication.on_missing)
    if publication.spec.compares_keys:
        return _by_key(publication, "delete")
    return _by_scope(publication)


def _by_key(publication: Publication, on_missing: OnMissing) -> Merge:
    """Update rows of the same key in place, to preserve columns this load does not own."""
    key, target = publication.plan.key, publication.target.alias("t")
    rows = _source(publication, None if on_missing == "keep" else _missing(publication, on_missing))
    gone = rows.c[DROP].is_not(None)
    matched = []
    if on_missing == "delete":
        matched.append(_Action("DELETE", {}, gone))
    elif on_missing == "soft_delete":
        now = sa.literal(publication.now, publication.database.types.timestamp)
        matched.append(_Action("UPDATE", {naming.DELETED_AT: now}, gone))
    incoming = {column.name: column for column in rows.c if column.name != DROP}
    updated: dict[str, Any] = {name: value for name, value in incoming.items() if name not in key}
    if naming.DELETED_AT in publication.plan.meta:
        updated[naming.DELETED_AT] = sa.null()
    if not publication.spec.updates_rows:
        matched.append(_Action("UPDATE", updated))
    elif differences := publication.differences(target, incoming):
        matched.append(_Action("UPDATE", updated, sa.or_(*differences).self_group()))
    on = sa.and_(*(target.c[name] == rows.c[name] for name in key))
    return Merge(target, rows, on, matched, _Action("INSERT", incoming, rows.c[DROP].is_(None)))


def _by_scope(publication: Publication) -> Merge:
    """Delete the rows within the scope and insert all staged ones; the join is by list, so that it is by equality."""
    target, old = publication.target.alias("t"), publication.target.alias("old")
    deletions = sa.select(_list_of(publication, old).label(DROP)).where(*publication.replaced(old)).distinct()
    rows = _source(publication, deletions)
    incoming = {column.name: column for column in rows.c if column.name != DROP}
    on = sa.and_(_list_of(publication, target) == rows.c[DROP], *publication.replaced(target))
    return Merge(
        target, rows, on, [_Action("DELETE", {})], _Action("INSERT", incoming, rows.c[DROP].is_(None))
    )


def _list_of(publication: Publication, table: FromClause) -> ColumnElement[Any]:
    return sa.func.coalesce(table.c[naming.LIST_ID], sa.literal("", publication.database.types.text))


def _missing(publication: Publication, on_missing: OnMissing) -> Select[Any]:
    """Return the keys of the list's rows that were not read."""
    old, staged = publication.target.alias("old"), publication.source().alias("staged")
    key = publication.plan.key
    absent = staged.c[publication.staged_key_names()[0]].is_(None)
    alive = [old.c[naming.DELETED_AT].is_(None)] if on_missing == "soft_delete" else []
    mark = sa.literal("", publication.database.types.text).label(DROP)
    rows = sa.select(*(old.c[name] for name in key), mark).distinct()
    return rows.select_from(old.outerjoin(staged, publication.same_key(old, staged))).where(
        publication.of_list(old), absent, *alive
    )


def _source(publication: Publication, deletions: Select[Any] | None) -> FromClause:
    """Return the statement's source: rows to write, and rows of the target to delete.

    It is empty if the stage is not as it was counted, because another attempt empties it meanwhile.
    """
    staged = publication.source()
    columns = {column.name: column.type for column in publication.target.columns}
    values = publication.values(staged)
    no_mark = sa.cast(sa.null(), publication.database.types.text).label(DROP)
    writes = sa.select(*(value.label(name) for name, value in values.items()), no_mark).select_from(staged)
    parts = [writes]
    if deletions is not None:
        gone = deletions.subquery("going")
        cells = [
            gone.c[name] if name in gone.c else sa.cast(sa.null(), columns[name]).label(name)
            for name in values
        ]
        parts.append(sa.select(*cells, gone.c[DROP]))
    counted = sa.select(sa.func.count()).select_from(publication.stage.alias("counted")).scalar_subquery()
    whole = counted == sa.literal(publication.counts.rows, sa.BigInteger())
    parts = [part.where(whole) for part in parts]
    return (sa.union_all(*parts) if len(parts) > 1 else parts[0]).subquery("s")
