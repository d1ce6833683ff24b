"""The tables of a load in SQLAlchemy's terms, and DDL.

Nothing is reflected: the columns of a table are those of an empty query, because inspectors of some dialects fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from airflow_provider_cleanlist.warehouse import naming
from airflow_provider_cleanlist.warehouse.dialects import database_errors, database_of
from airflow_provider_cleanlist.warehouse.dialects.base import Database
from airflow_provider_cleanlist.warehouse.dialects.locks import NamedLock
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError
from airflow_provider_cleanlist.warehouse.plan import StagedColumn, TargetColumns, TargetPlan
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.sql.type_api import TypeEngine

PAGE, ROW = "_page", "_row"


def stage_table(spec: LoadSpec, columns: Sequence[StagedColumn], database: Database) -> sa.Table:
    """Return the staging table with these columns."""
    return sa.Table(
        spec.stage.name,
        sa.MetaData(),
        *(
            sa.Column(name, sa.Integer, primary_key=database.keys_stages, autoincrement=False)
            for name in (PAGE, ROW)
        ),
        *(sa.Column(column.staging, _type(database, column, staged=True)) for column in columns),
        schema=spec.stage.schema,
        prefixes=list(database.staging_prefixes),
        **database.table_options,
    )


def registry_table(spec: LoadSpec, database: Database) -> sa.Table:
    """Return the table of loads in flight."""
    types = database.types
    return sa.Table(
        spec.registry.name,
        sa.MetaData(),
        sa.Column("stage", sa.String(64), primary_key=True),
        sa.Column("list_id", types.text),
        sa.Column("target_table", types.text),
        sa.Column("attempt", sa.Integer),
        sa.Column("fingerprint", sa.String(32)),
        sa.Column("updated_at", sa.String(32)),
        sa.Column("checkpoint", types.document),
        schema=spec.registry.schema,
        **database.table_options,
    )


def target_table(spec: LoadSpec, plan: TargetPlan, database: Database, *, with_key: bool = False) -> sa.Table:
    """Return the target with the columns that the load writes, and with a primary key if the load merges.

    Args:
        spec: The load.
        plan: The target's columns.
        database: The database.
        with_key: Whether it has a primary key in every mode: the key within what the mode replaces.
    """
    scope = spec.scope if spec.mode in ("append", "snapshot") else ()
    key = tuple(dict.fromkeys((*scope, *plan.key)))
    types = {column.target: _type(database, column) for column in plan.columns}
    types |= {name: meta_type(database, name) for name in plan.meta}
    if with_key and naming.RUN_ID in key:
        types[naming.RUN_ID] = database.types.key
    columns = [sa.Column(name, types[name], autoincrement=False) for name in plan.written]
    keys = [sa.PrimaryKeyConstraint(*key)] if with_key or spec.mode == "merge" else []
    return sa.Table(
        spec.table.name,
        sa.MetaData(),
        *columns,
        *keys,
        schema=spec.table.schema,
        **database.table_options,
    )


def meta_type(database: Database, name: str) -> TypeEngine[Any]:
    """Return the type of one of the loader's own columns."""
    types = database.types
    return {
        naming.LIST_ID: types.key,
        naming.SYNCED_AT: types.timestamp,
        naming.RUN_ID: types.text,
        naming.DELETED_AT: types.timestamp,
        naming.SNAPSHOT_DATE: types.date,
    }[name]


def _type(database: Database, column: StagedColumn, *, staged: bool = False) -> TypeEngine[Any]:
    """Return the type of a field's column; text by which records are compared is compared exactly."""
    if column.is_key and column.type == "text":
        return database.types.key
    return database.types.staged(column.type) if staged else database.types.target(column.type)


def check_names(engine: Engine, spec: LoadSpec) -> None:
    """Refuse names that the database would truncate, or that cannot be quoted.

    Raises:
        LoadConfigurationError: A name is too long or holds a character that cannot be quoted.
    """
    longest = engine.dialect.max_identifier_length
    unquotable = database_of(engine).unquotable.get(engine.dialect.driver, "")
    places = [name for name in (spec.table.name, spec.table.schema, spec.stage.schema) if name]
    for name in places:
        if len(name.encode("utf-8", "surrogatepass")) > longest:
            raise LoadConfigurationError(
                f"The name {name!r} is longer than the {longest} bytes that the database allows."
            )
    for name in (*places, *filter(None, (spec.columns or {}).values())):
        if found := {*name} & {*unquotable}:
            raise LoadConfigurationError(
                f"The name {name!r} contains {min(found)!r}, which names on {engine.dialect.name} cannot have."
            )


def check_owners(engine: Engine, *own: naming.TableName) -> None:
    """Refuse tables of our own by which somebody else could act with our rights, before anything touches them.

    Args:
        engine: The warehouse.
        own: Tables of one schema; those that do not exist count as well.

    Raises:
        LoadConfigurationError: One is no table, or belongs to somebody who is not trusted with our rights.
    """
    find = database_of(engine).foreign_tables
    if find is None:
        return
    with database_errors(engine, "Finding the owners of the loader's tables"), engine.connect() as connection:
        found = find(connection, own[0].schema, [table.name for table in own])
    if found:
        raise LoadConfigurationError(
            f"The loader does not use {', '.join(found)} as a table of its own: what somebody else's table or "
            "view has in triggers, policies, defaults or functions would run with the rights of this connection. "
            "Nothing was written. Have it dropped; or, if a role of yours made it on PostgreSQL, name its schema "
            "(staging_schema) if that role owns it, or ALTER TABLE .. OWNER TO the connection's user, or to a role of "
            "which it is a member."
        )


def columns_of(engine: Engine, table: naming.TableName) -> TargetColumns | None:
    """Return the columns of a table or view; None if it does not exist."""
    database = database_of(engine)
    query = (
        sa.select(sa.text("*")).select_from(sa.table(table.name, schema=table.schema)).where(sa.text("1 = 0"))
    )
    with database_errors(engine, f"Reading the columns of {table}"):
        try:
            with engine.connect() as connection:
                # a cached query remembers the columns of last time
                uncached = connection.execution_options(compiled_cache=None)
                names = tuple(uncached.execute(query).keys())
                return TargetColumns(names, database.ignores_case)
        except sa.exc.DBAPIError as error:
            if database.errors.is_missing_table(error):
                return None
            raise


def as_stored(table: sa.Table, database: Database) -> sa.Table:
    """Return a table as it is created: without a primary key where none would be enforced."""
    return table if database.enforces_keys else without_key(table)


def without_key(table: sa.Table) -> sa.Table:
    """Return a table without its primary key, all of whose columns can be NULL."""
    columns = [sa.Column(column.name, column.type) for column in table.columns]
    return sa.Table(table.name, sa.MetaData(), *columns, schema=table.schema)


def ensure_table(
    engine: Engine, table: sa.Table, complete: Callable[[Connection, sa.Table], None] = lambda *_: None
) -> None:
    """Create a table unless it exists or another process creates it at the same moment.

    Args:
        engine: The warehouse.
        table: The table.
        complete: Called within the transaction that creates it.
    """
    name = naming.TableName(table.name, table.schema)
    if columns_of(engine, name) is not None:
        return
    stored = as_stored(table, database_of(engine))
    try:
        with _ddl(engine, f"Creating table {name}") as connection:
            connection.execute(sa.schema.CreateTable(stored))
            complete(connection, stored)
    except LoadError as error:
        if columns_of(engine, name) is None:
            if table.schema and isinstance(error, LoadConfigurationError) and not error.lacks_privilege:
                raise type(error)(
                    f"{error} The loader creates no schema: create {table.schema!r}, if there is none."
                ) from None
            raise


def ensure_registry(engine: Engine, registry: sa.Table) -> None:
    """Create the table of loads in flight, and what their lock rests on, unless it exists."""
    ensure_table(engine, registry)
    lock = database_of(engine).lock
    if isinstance(lock, NamedLock):
        with database_errors(engine, "Preparing the lock of the loads"):
            lock.prepare(engine, registry)


def ensure_columns(engine: Engine, table: sa.Table, names: Sequence[str]) -> None:
    """Add columns to a table unless it has them or another process adds them at the same moment."""
    columns = without_key(table).c
    clause = database_of(engine).add_column
    for name in names:
        where = naming.TableName(table.name, table.schema)
        try:
            _execute_ddl(engine, AddColumn(columns[name], clause), f"Adding column {name!r} to {where}")
        except LoadError:
            if name not in (columns_of(engine, where) or ()):
                raise


def drop_table(engine: Engine, table: naming.TableName) -> None:
    """Drop a table if it exists."""
    if_exists = database_of(engine).drop_if_exists
    if not if_exists and columns_of(engine, table) is None:
        return
    statement = sa.schema.DropTable(
        sa.Table(table.name, sa.MetaData(), schema=table.schema), if_exists=if_exists
    )
    _execute_ddl(engine, statement, f"Dropping table {table}")


def _execute_ddl(engine: Engine, statement: Any, doing: str) -> None:
    with _ddl(engine, doing) as connection:
        connection.execute(statement)


@contextmanager
def _ddl(engine: Engine, doing: str) -> Iterator[Connection]:
    with database_errors(engine, doing), engine.begin() as connection:
        apply_settings(connection, database_of(engine).ddl_settings)
        yield connection


def apply_settings(connection: Connection, settings: Sequence[str]) -> None:
    """Execute the statements that a transaction begins with."""
    for setting in settings:
        connection.execute(sa.text(setting))


class AddColumn(sa.schema.DDLElement):
    """``ALTER TABLE .. ADD COLUMN ..``, which SQLAlchemy lacks.

    Args:
        column: The column, of the table that gets it.
        clause: How the database spells ``ADD COLUMN``.
    """

    inherit_cache = False

    def __init__(self, column: sa.Column[Any], clause: str) -> None:
        self.column = column
        self.clause = clause


@compiles(AddColumn)
def _compile_add_column(element: AddColumn, compiler: Any, **_: Any) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} {element.clause} {compiler.get_column_specification(element.column)}"
