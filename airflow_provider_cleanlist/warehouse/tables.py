"""The tables of a load as SQLAlchemy sees them, and the DDL on them.

Nothing is reflected: what a table holds is read from the columns of an empty query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from airflow_provider_cleanlist.warehouse import dialects, naming
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError
from airflow_provider_cleanlist.warehouse.plan import ColumnPlan, TargetColumns
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.types import DOCUMENT, KEY_TEXT, TYPES, staged

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.sql.type_api import TypeEngine

PAGE, ROW = "_page", "_row"

META_TYPES: Mapping[str, TypeEngine[Any]] = {
    naming.LIST_ID: KEY_TEXT,
    naming.SYNCED_AT: TYPES["timestamp"],
    naming.RUN_ID: TYPES["text"],
    naming.DELETED_AT: TYPES["timestamp"],
    naming.SNAPSHOT_DATE: TYPES["date"],
}
_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}


def stage_column(spec: LoadSpec, number: int, raw: str) -> str:
    """Return the name of a field's staging column: by type and number, so that no field name can clash or harm."""
    return f"{spec.column_type(raw)}_{number}"


def stage_table(spec: LoadSpec, fields: Sequence[str], dialect: str) -> sa.Table:
    """Return the staging table for these fields."""
    columns = [
        sa.Column(stage_column(spec, number, raw), _type(spec, raw, staged(spec.column_type(raw))))
        for number, raw in enumerate(fields)
    ]
    return sa.Table(
        spec.stage.name,
        sa.MetaData(),
        sa.Column(PAGE, sa.Integer),
        sa.Column(ROW, sa.Integer),
        *columns,
        schema=spec.stage.schema,
        prefixes=list(dialects.stage_prefixes(dialect)),
        **_OPTIONS,
    )


def registry_table(spec: LoadSpec) -> sa.Table:
    """Return the table of loads in flight."""
    return sa.Table(
        spec.registry.name,
        sa.MetaData(),
        sa.Column("stage", sa.String(64), primary_key=True),
        sa.Column("list_id", TYPES["text"]),
        sa.Column("target_table", TYPES["text"]),
        sa.Column("attempt", sa.Integer),
        sa.Column("fingerprint", sa.String(32)),
        sa.Column("updated_at", sa.String(32)),
        sa.Column("checkpoint", DOCUMENT),
        schema=spec.registry.schema,
        **_OPTIONS,
    )


def target_table(spec: LoadSpec, plan: ColumnPlan) -> sa.Table:
    """Return the target with the columns that the load writes, keyed if the load merges."""
    types = {name: _type(spec, raw, TYPES[spec.column_type(raw)]) for raw, name in plan.columns.items()}
    types |= {name: META_TYPES[name] for name in plan.meta}
    columns = [sa.Column(name, types[name], autoincrement=False) for name in plan.written]
    key = [sa.PrimaryKeyConstraint(*plan.key)] if spec.mode == "merge" else []
    return sa.Table(spec.table.name, sa.MetaData(), *columns, *key, schema=spec.table.schema, **_OPTIONS)


def _type(spec: LoadSpec, raw: str, default: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of a field's column: text that tells records apart is compared exactly."""
    tells_apart = raw in (spec.id_field, *spec.key_fields)
    return KEY_TEXT if tells_apart and spec.column_type(raw) == "text" else default


def check_names(engine: Engine, spec: LoadSpec) -> None:
    """Refuse names that the database would cut, or that cannot be quoted for it.

    Raises:
        LoadConfigurationError: A name is too long or holds a character that cannot be quoted.
    """
    longest = engine.dialect.max_identifier_length
    unquotable = dialects.unquotable(engine.dialect.driver)
    places = [name for name in (spec.table.name, spec.table.schema, spec.stage.schema) if name]
    for name in places:
        if len(name.encode("utf-8", "surrogatepass")) > longest:
            raise LoadConfigurationError(
                f"The name {name!r} is longer than the {longest} bytes that the database takes."
            )
    for name in (*places, *filter(None, (spec.columns or {}).values())):
        if found := {*name} & unquotable:
            raise LoadConfigurationError(
                f"The name {name!r} holds {min(found)!r}, which has no place in names on {engine.dialect.name}."
            )


def columns_of(engine: Engine, table: naming.TableName) -> TargetColumns | None:
    """Return the columns of a table or view, None if there is none."""
    query = (
        sa.select(sa.text("*")).select_from(sa.table(table.name, schema=table.schema)).where(sa.text("1 = 0"))
    )
    with dialects.database_errors(engine, f"Reading the columns of {table}"):
        try:
            with engine.connect() as connection:
                fresh = connection.execution_options(compiled_cache=None)  # it holds the columns of last time
                names = tuple(fresh.execute(query).keys())
                return TargetColumns(names, dialects.ignores_case(engine.dialect.name))
        except sa.exc.DBAPIError as error:
            if dialects.is_missing_table(engine.dialect.name, error):
                return None
            raise


def as_stored(table: sa.Table, dialect: str) -> sa.Table:
    """Return a table as a database can create it: without a primary key where none is enforced."""
    return without_key(table) if dialects.is_keyless(dialect) else table


def without_key(table: sa.Table) -> sa.Table:
    """Return a table whose columns may all be NULL."""
    columns = [sa.Column(column.name, column.type) for column in table.columns]
    return sa.Table(table.name, sa.MetaData(), *columns, schema=table.schema)


def ensure_table(engine: Engine, table: sa.Table) -> None:
    """Create a table unless it exists, or somebody else creates it at this moment."""
    name = naming.TableName(table.name, table.schema)
    if columns_of(engine, name) is not None:
        return
    stored = as_stored(table, engine.dialect.name)
    try:
        _execute_ddl(engine, sa.schema.CreateTable(stored), f"Creating table {name}")
    except LoadError:
        if columns_of(engine, name) is None:
            raise


def ensure_columns(engine: Engine, table: sa.Table, names: Sequence[str]) -> None:
    """Add columns to a table unless it has them, or somebody else adds them at this moment."""
    columns = without_key(table).c
    for name in names:
        where = naming.TableName(table.name, table.schema)
        try:
            _execute_ddl(engine, AddColumn(columns[name]), f"Adding column {name!r} to {where}")
        except LoadError:
            if name not in (columns_of(engine, where) or ()):
                raise


def drop_table(engine: Engine, table: naming.TableName) -> None:
    """Drop a table if it exists."""
    knows_if = engine.dialect.name != "oracle"  # before 23ai
    if not knows_if and columns_of(engine, table) is None:
        return
    statement = sa.schema.DropTable(
        sa.Table(table.name, sa.MetaData(), schema=table.schema), if_exists=knows_if
    )
    _execute_ddl(engine, statement, f"Dropping table {table}")


def _execute_ddl(engine: Engine, statement: Any, doing: str) -> None:
    with dialects.database_errors(engine, doing), engine.begin() as connection:
        dialects.limit_lock_wait(connection)
        connection.execute(statement)


class AddColumn(sa.schema.DDLElement):
    """``ALTER TABLE .. ADD COLUMN ..``, which SQLAlchemy lacks."""

    inherit_cache = False

    def __init__(self, column: sa.Column[Any]) -> None:
        self.column = column


@compiles(AddColumn)
def _add_column(element: AddColumn, compiler: Any, **_: Any) -> str:
    return _alter_table(element, compiler, "ADD COLUMN")


@compiles(AddColumn, "mssql", "oracle")
def _add(element: AddColumn, compiler: Any, **_: Any) -> str:
    return _alter_table(element, compiler, "ADD")


def _alter_table(element: AddColumn, compiler: Any, verb: str) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} {verb} {compiler.get_column_specification(element.column)}"
