"""The tables of a load as SQLAlchemy sees them, and the DDL on them.

Nothing is reflected: what a table holds is read from the columns of an empty query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

from airflow_provider_cleanlist.warehouse import dialects, naming
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError
from airflow_provider_cleanlist.warehouse.plan import ColumnPlan, TargetColumns
from airflow_provider_cleanlist.warehouse.spec import ColumnType, LoadSpec

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.sql.type_api import TypeEngine

PAGE, ROW = "_page", "_row"

_TYPES: Mapping[ColumnType, TypeEngine[Any]] = {
    "text": sa.Text(),
    "integer": sa.BigInteger(),
    "float": sa.Float(53),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "timestamp": sa.DateTime(timezone=True),
    "json": sa.Text().with_variant(postgresql.JSONB(), "postgresql"),
}
META_TYPES: Mapping[str, TypeEngine[Any]] = {
    naming.LIST_ID: _TYPES["text"],
    naming.SYNCED_AT: _TYPES["timestamp"],
    naming.RUN_ID: _TYPES["text"],
    naming.DELETED_AT: _TYPES["timestamp"],
    naming.SNAPSHOT_DATE: _TYPES["date"],
}


def stage_column(spec: LoadSpec, number: int, raw: str) -> str:
    """Return the name of a field's staging column: by type and number, so that no field name can clash or harm."""
    return f"{spec.column_type(raw)}_{number}"


def stage_table(spec: LoadSpec, fields: Sequence[str], dialect: str) -> sa.Table:
    """Return the staging table for these fields."""
    columns = [
        sa.Column(stage_column(spec, number, raw), _TYPES[spec.column_type(raw)])
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
    )


def registry_table(spec: LoadSpec) -> sa.Table:
    """Return the table of loads in flight."""
    return sa.Table(
        spec.registry.name,
        sa.MetaData(),
        sa.Column("stage", sa.String(64), primary_key=True),
        sa.Column("list_id", sa.Text),
        sa.Column("target_table", sa.Text),
        sa.Column("attempt", sa.Integer),
        sa.Column("fingerprint", sa.String(32)),
        sa.Column("updated_at", sa.String(32)),
        sa.Column("checkpoint", sa.Text),
        schema=spec.registry.schema,
    )


def target_table(spec: LoadSpec, plan: ColumnPlan) -> sa.Table:
    """Return the target with the columns that the load writes, keyed if the load merges."""
    types = {name: _TYPES[spec.column_type(raw)] for raw, name in plan.columns.items()}
    types |= {name: META_TYPES[name] for name in plan.meta}
    columns = [sa.Column(name, types[name], autoincrement=False) for name in plan.written]
    key = [sa.PrimaryKeyConstraint(*plan.key)] if spec.mode == "merge" else []
    return sa.Table(spec.table.name, sa.MetaData(), *columns, *key, schema=spec.table.schema)


def check_name(engine: Engine, spec: LoadSpec) -> None:
    """Refuse a table name that the database would cut.

    Raises:
        LoadConfigurationError: The name is too long.
    """
    longest = engine.dialect.max_identifier_length
    for name in filter(None, (spec.table.name, spec.table.schema, spec.stage.schema)):
        if len(name.encode("utf-8", "surrogatepass")) > longest:
            raise LoadConfigurationError(
                f"The name {name!r} is longer than the {longest} bytes that the database takes."
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


def ensure_table(engine: Engine, table: sa.Table) -> None:
    """Create a table unless it exists, or somebody else creates it at this moment."""
    name = naming.TableName(table.name, table.schema)
    if columns_of(engine, name) is not None:
        return
    try:
        _execute_ddl(engine, sa.schema.CreateTable(table), f"Creating table {name}")
    except LoadError:
        if columns_of(engine, name) is None:
            raise


def ensure_columns(engine: Engine, table: sa.Table, names: Sequence[str]) -> None:
    """Add columns to a table unless it has them, or somebody else adds them at this moment."""
    for name in names:
        where = naming.TableName(table.name, table.schema)
        try:
            _execute_ddl(engine, AddColumn(table.c[name]), f"Adding column {name!r} to {where}")
        except LoadError:
            if name not in (columns_of(engine, where) or ()):
                raise


def drop_table(engine: Engine, table: naming.TableName) -> None:
    """Drop a table if it exists."""
    statement = sa.schema.DropTable(sa.Table(table.name, sa.MetaData(), schema=table.schema), if_exists=True)
    _execute_ddl(engine, statement, f"Dropping table {table}")


def _execute_ddl(engine: Engine, statement: Any, doing: str) -> None:
    with dialects.database_errors(engine, doing), engine.begin() as connection:
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
