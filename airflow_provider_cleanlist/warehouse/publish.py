"""From the staging table into the target, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import naming, tables
from airflow_provider_cleanlist.warehouse.dialects import database_errors, database_of
from airflow_provider_cleanlist.warehouse.dialects.base import count_affected
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError
from airflow_provider_cleanlist.warehouse.merge import merge_statement
from airflow_provider_cleanlist.warehouse.publication import Publication

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine


def check_mergeable(engine: Engine, publication: Publication) -> None:
    """Refuse a merge that would lose values of columns this load does not own.

    Raises:
        LoadConfigurationError: The target has such columns, and SQLAlchemy has no ``UPDATE .. FROM`` for the database.
    """
    if publication.database.publishes_by_merge:
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
        connection: An open connection in a transaction, which the caller commits.
        publication: What to write.

    Returns:
        Number of rows removed from the target: gone from the list, or in the scope that was replaced.

    Raises:
        LoadError: The staging table is not as it was counted.
    """
    database = publication.database
    if database.build_script is None and not database.publishes_by_merge:
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
    database, target = publication.database, publication.target
    if database.lock is not None:
        database.lock.take(connection, target, tables.registry_table(publication.spec, database))
    staged = connection.execute(sa.select(sa.func.count()).select_from(publication.stage)).scalar_one()
    if staged != publication.counts.rows:
        raise LoadError(
            f"The staging table holds {staged} rows instead of {publication.counts.rows}: the server lost some."
        )
    if publication.compares_keys:
        _analyze_stage(connection, publication)
    removed = 0
    for name, statement in publication.statements():
        if name == "removed":
            removed += database.execute_counted(connection, statement)
        else:
            connection.execute(statement)
    return removed


def _analyze_stage(connection: Connection, publication: Publication) -> None:
    """Tell the planner what the stage holds, before it is compared with a target that is not empty."""
    analyze = publication.database.analyze
    if analyze is not None:
        any_row = sa.select(sa.literal(1)).select_from(publication.target).limit(1)
        if connection.execute(any_row).first() is not None:
            connection.execute(analyze(publication.stage, publication.staged_key_names()))


def check_writable(engine: Engine, table: naming.TableName, columns: Sequence[str]) -> None:
    """Check, before anything is read, that rows of an existing target can be deleted and inserted.

    Raises:
        LoadConfigurationError: They cannot: it is a view, privileges are missing, or a column is generated.
    """
    target = sa.Table(table.name, sa.MetaData(), *(sa.Column(name) for name in columns), schema=table.schema)
    never = sa.text("1 = 0")
    doing = f"Checking that rows of {table} can be deleted and inserted"
    with database_errors(engine, doing), engine.connect() as connection:
        transaction = connection.begin()
        database_of(engine).check_target(connection, target)
        connection.execute(target.delete().where(never))
        connection.execute(target.insert().from_select([*columns], sa.select(*target.c).where(never)))
        transaction.rollback()
