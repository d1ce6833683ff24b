"""From the staging table into the target, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import tables
from airflow_provider_cleanlist.warehouse.dialects import database_errors, database_of
from airflow_provider_cleanlist.warehouse.dialects.base import AS_IT_IS, count_affected
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError
from airflow_provider_cleanlist.warehouse.merge import merge_statement
from airflow_provider_cleanlist.warehouse.plan import TargetPlan
from airflow_provider_cleanlist.warehouse.publication import Publication, in_scope
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

log = logging.getLogger(__name__)


def lock_target(connection: Connection, publication: Publication) -> None:
    """Wait until no other load publishes into the target, and check it once more: it can be another one by now.

    Args:
        connection: An open connection at the beginning of the transaction that publishes.
        publication: What is published.

    Raises:
        LoadConfigurationError: The target does not fit any more, or rows would be deleted to which other tables refer.
        LoadError: Other loads hold the lock for too long.
    """
    database, target = publication.database, publication.target
    if database.lock is not None:
        database.lock.take(connection, target, tables.registry_table(publication.spec, database))
    database.check_target(connection, target)
    _check_references(connection, publication.spec, target)
    _check_filled(connection, publication)


def in_stored_forms(connection: Connection, publication: Publication) -> Publication:
    """Return a publication that compares keys as the target holds them.

    A column of the user's can round a number, cut spaces off or take two texts for the same. The database says what
    becomes of a value, by its own casts and collations: keys are compared, and records of one key found, in that form.

    Args:
        connection: An open connection in the transaction that publishes.
        publication: What is published.

    Returns:
        The publication, with the number of keys that the target tells apart.

    Raises:
        LoadConfigurationError: What becomes of a key is not known.
    """
    if not publication.spec.compares_keys:
        return publication
    forms = _stored_forms(connection, publication.plan, publication.target)
    _check_forms(publication.spec, publication.plan, forms)
    publication = _with_forms(publication, forms)
    if not publication.folds_staged_keys:
        return publication
    keys = connection.execute(publication.count_keys()).scalar_one()
    if keys < publication.counts.keys:
        log.warning(
            "%d of %d records have a key that %s takes for the same as another record's: of each such key, the record "
            "that was read last is loaded.",
            publication.counts.keys - keys,
            publication.counts.keys,
            publication.spec.table,
        )
    return replace(publication, counts=replace(publication.counts, keys=keys))


def _stored_forms(connection: Connection, plan: TargetPlan, target: sa.Table) -> dict[str, str | None]:
    """Return what columns of the target make of what is staged for them, as SQL, ``{}`` the value; None if unknown.

    Those that keep it as it is are left out.
    """
    database = database_of(connection)
    if database.stored_forms is None:
        return {}
    found: Mapping[str, str | None] = database.stored_forms(connection, target)
    if database.ignores_case:
        found = {name.lower(): form for name, form in found.items()}
    kinds = {column.target: column.type for column in plan.columns}
    forms: dict[str, str | None] = {}
    for name in plan.written:
        missing = AS_IT_IS if name in plan.added else None
        form = found.get(name.lower() if database.ignores_case else name, missing)
        if form == AS_IT_IS and kinds.get(name, "text") not in ("text", "json"):
            form = database.text_form
        if form != AS_IT_IS:
            forms[name] = form
    return forms


def _check_forms(spec: LoadSpec, plan: TargetPlan, forms: Mapping[str, str | None]) -> None:
    """Refuse a key of which it is not known what becomes of it in the target.

    Raises:
        LoadConfigurationError: There is such a column in the key, and the load compares keys.
    """
    unknown = [name for name in plan.key if name in forms and forms[name] is None]
    if unknown and spec.compares_keys:
        raise LoadConfigurationError(
            f"The type or collation of {' and '.join(unknown)} in {spec.table} makes of a key what the loader cannot "
            "foresee, so that records would be inserted beside the rows that they belong to, or mixed up. Nothing was "
            "written. Make it a column of text with the database's usual collation, or name other columns in key=."
        )


def _with_forms(publication: Publication, forms: Mapping[str, str | None]) -> Publication:
    return replace(publication, stored_forms={name: form for name, form in forms.items() if form is not None})


def publish(connection: Connection, publication: Publication) -> int:
    """Write the staged records into the target within the connection's transaction.

    Args:
        connection: An open connection in a transaction, which the caller commits.
        publication: What to write.

    Returns:
        Number of rows removed from the target: gone from the list, or in the scope that was replaced.

    Raises:
        LoadConfigurationError: Something of the target leaves out records.
        LoadError: The staging table is not as it was counted.
    """
    database = publication.database
    if database.has_transactions:
        return _publish_statements(connection, publication)
    removed = sum(count_affected(connection, removal) for removal in publication.removals())
    if database.build_script is None:
        connection.execute(merge_statement(publication))
    else:
        statements = [statement for _, statement in publication.statements()]
        text, parameters = database.build_script(
            connection.dialect, publication.stage, publication.counts.rows, statements
        )
        connection.exec_driver_sql(text, parameters)
    return removed


def _publish_statements(connection: Connection, publication: Publication) -> int:
    database = publication.database
    staged = connection.execute(sa.select(sa.func.count()).select_from(publication.stage)).scalar_one()
    if staged != publication.counts.rows:
        raise LoadError(
            f"The staging table holds {staged} rows instead of {publication.counts.rows}: the server lost some."
        )
    into_empty = _is_surely_empty(connection, publication)
    if publication.spec.compares_keys and database.analyze is not None and not into_empty:
        connection.execute(database.analyze(publication.stage, publication.staged_key_names()))
    removed = 0
    for name, statement in publication.statements(into_empty=into_empty):
        if name == "removed":
            removed += database.execute_counted(connection, statement)
        else:
            connection.execute(statement)
    _check_complete(connection, publication)
    return removed


def _check_complete(connection: Connection, publication: Publication) -> None:
    """Refuse what triggers or rules of the target made of the load, if records are not in it.

    Raises:
        LoadConfigurationError: Records are missing.
    """
    database, target = publication.database, publication.target
    if not database.may_leave_out_rows(connection, target):
        return
    publication = _with_forms(publication, _stored_forms(connection, publication.plan, target))
    if missing := connection.execute(publication.left_out()).scalar_one():
        raise LoadConfigurationError(
            f"A trigger, rule or condition of {publication.spec.table} left out {missing} of {publication.counts.keys} "
            "records. The target's rows are unchanged. Load into a table that takes them all, or change what leaves "
            "them out."
        )


def _is_surely_empty(connection: Connection, publication: Publication) -> bool:
    """Whether the target has no rows, and nobody else can write any."""
    lock = publication.database.lock
    if lock is None or not lock.excludes_writers:
        return False
    return not _has_rows(connection, publication.target)


def _has_rows(connection: Connection, table: sa.Table) -> bool:
    return connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None


def check_writable(engine: Engine, spec: LoadSpec, plan: TargetPlan) -> None:
    """Check, before anything is read, that rows of an existing target can be changed as the load will.

    Args:
        engine: The warehouse.
        spec: The load.
        plan: The target's columns.

    Raises:
        LoadConfigurationError: They cannot: it is a view, privileges are missing, a column is generated, rows cannot
            be told apart, or other tables refer to rows that would be deleted.
    """
    table = spec.table
    columns = [name for name in plan.written if name not in plan.added]
    target = sa.Table(table.name, sa.MetaData(), *(sa.Column(name) for name in columns), schema=table.schema)
    never = sa.text("1 = 0")
    statements: dict[str, Any] = {}
    if spec.deletes_rows:
        statements["deleted"] = target.delete().where(never)
    if spec.updates_rows and columns:
        statements["updated"] = target.update().values({column: column for column in target.c}).where(never)
    if columns:
        statements["inserted"] = target.insert().from_select([*columns], sa.select(*target.c).where(never))
    doing = f"Checking that rows of {table} can be {' and '.join(statements) or 'read'}"
    with database_errors(engine, doing), engine.connect() as connection:
        transaction = connection.begin()
        database_of(engine).check_target(connection, target)
        for statement in statements.values():
            connection.execute(statement)
        if set(spec.scope) <= {*columns}:
            _check_references(connection, spec, target)
        _check_key(connection, spec, plan, target)
        _check_forms(spec, plan, _stored_forms(connection, plan, target))
        transaction.rollback()


def _check_key(connection: Connection, spec: LoadSpec, plan: TargetPlan, target: sa.Table) -> None:
    """Refuse rows that the load would not find, because the columns it finds them by would be added to them empty.

    Raises:
        LoadConfigurationError: There are rows, and columns of the key are missing.
    """
    if (missing := _added_to_key(spec, plan)) and _has_rows(connection, target):
        # these may be rows of another load, which has added the columns since they were looked for
        present = tables.columns_of(connection.engine, spec.table) or ()
        if not all(name in present for name in missing):
            raise _not_found_by(spec, missing)


def _check_filled(connection: Connection, publication: Publication) -> None:
    """Refuse rows that are there by now, and would not be found: columns were added to the table while it was empty.

    Raises:
        LoadConfigurationError: A row is empty in one of these columns.
    """
    target = publication.target
    if missing := _added_to_key(publication.spec, publication.plan):
        empty = (
            sa.select(sa.literal(1)).where(sa.or_(*(target.c[name].is_(None) for name in missing))).limit(1)
        )
        if connection.execute(empty).first() is not None:
            raise _not_found_by(publication.spec, missing)


def _added_to_key(spec: LoadSpec, plan: TargetPlan) -> list[str]:
    """Return the columns that the target lacks of those by which the load finds rows."""
    if spec.mode not in ("merge", "replace"):
        return []
    return [name for name in (plan.key if spec.compares_keys else spec.scope) if name in plan.added]


def _not_found_by(spec: LoadSpec, missing: Sequence[str]) -> LoadConfigurationError:
    return LoadConfigurationError(
        f"{spec.table} has rows, but no column {' and '.join(missing)}, by which mode={spec.mode!r} finds them: "
        "each record would be inserted beside the row that it belongs to. Nothing was written. Name columns in "
        "key= that the table has, add what is missing and fill it in, or empty the table."
    )


def _check_references(connection: Connection, spec: LoadSpec, target: sa.Table) -> None:
    """Refuse to delete rows that another table refers to, which would fail or change that table.

    ``replace`` deletes rows by nature; ``append`` and ``snapshot`` when they repeat an earlier load.

    Raises:
        LoadConfigurationError: There is a foreign key, and rows would be deleted.
    """
    if spec.updates_rows:
        return
    database = database_of(connection)
    keys = database.referring_keys(connection, target)
    repeated = target.delete().where(*in_scope(spec, target, database))
    if keys and (spec.mode == "replace" or count_affected(connection, repeated)):
        raise LoadConfigurationError(
            f"mode={spec.mode!r} would delete rows of {spec.table} to which other tables refer: {', '.join(keys)}. "
            "Nothing was written. Use mode='merge', which updates rows in place, or drop the foreign key."
        )
