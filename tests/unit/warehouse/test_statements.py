"""Every statement of a load, as the dialect of each database writes it, compared with ``golden/<dialect>.sql``.

For databases that no test can run. ``GOLDEN=write pytest tests/unit/warehouse/test_statements.py`` writes the files
anew; read the difference before it is committed.
"""

from __future__ import annotations

import importlib
import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import tables
from airflow_provider_cleanlist.warehouse.dialects import DATABASES
from airflow_provider_cleanlist.warehouse.dialects.base import Database
from airflow_provider_cleanlist.warehouse.dialects.json_unnest import JsonUnnest
from airflow_provider_cleanlist.warehouse.dialects.locks import NamedLock, secret_query
from airflow_provider_cleanlist.warehouse.merge import merge_statement
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.plan import StageCounts, TargetColumns, plan_target, staged_columns
from airflow_provider_cleanlist.warehouse.publication import Publication
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

pytestmark = pytest.mark.warehouse

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = 'x\'; DROP TABLE "y" -- [z] :p ?'

DIALECTS = {
    "bigquery": ("sqlalchemy_bigquery", "BigQueryDialect"),
    "databricks": ("databricks.sqlalchemy", "DatabricksDialect"),
    "mssql": ("sqlalchemy.dialects.mssql.pymssql", "dialect"),
    "oracle": ("sqlalchemy.dialects.oracle.oracledb", "dialect"),
    "redshift": ("sqlalchemy_redshift.dialect", "RedshiftDialect_redshift_connector"),
    "snowflake": ("snowflake.sqlalchemy.snowdialect", "SnowflakeDialect"),
    "trino": ("trino.sqlalchemy.dialect", "TrinoDialect"),
}
TYPES = {
    "score": "float",
    "staff": "integer",
    "vip": "boolean",
    "hired": "date",
    "seen": "timestamp",
    "tags": "json",
}

MODES: dict[str, dict[str, Any]] = {
    "merge": {},
    "merge, duplicates, gone leads deleted": {"duplicates": True, "on_missing": "delete"},
    "merge, gone leads marked, columns of somebody else's": {"foreign": True, "on_missing": "soft_delete"},
    "merge by two fields": {"key": ("_cleanlist_list_id", "lead_id", "staff")},
    "replace": {"mode": "replace"},
    "replace in a table of people": {"mode": "replace", "key": ("lead_id",)},
    "replace the whole table": {"mode": "replace", "replace_scope": "table"},
    "append": {"mode": "append"},
    "snapshot": {"mode": "snapshot"},
}


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> Any:
    return dialect_of(request.param)


def dialect_of(database: str) -> Any:
    pytest.importorskip("fakesnow", reason="the files are of the versions in requirements/warehouses.txt")
    module, name = DIALECTS[database]
    found = getattr(importlib.import_module(module), name)
    made = found(dbapi=found.import_dbapi() if hasattr(found, "import_dbapi") else found.dbapi())
    if database == "mssql":
        made.server_version_info = (16, 0)
        made._setup_version_attributes()
    return made


def publication(
    database: Database,
    *,
    foreign: bool = False,
    duplicates: bool = False,
    odd: str = HOSTILE,
    **arguments: Any,
) -> Publication:
    columns = {"lead_id": None, "email": odd, **dict.fromkeys(TYPES)}
    spec = LoadSpec(
        list_id="L",
        load_id="load",
        run_id="dag/run",
        table=TableName("le ads", "Sales"),
        columns=columns,
        column_types=TYPES,
        snapshot_date=date(2026, 1, 1),
        **arguments,
    )
    fields = spec.initial_fields
    plan = plan_target(spec, fields, None)
    if foreign:
        plan = plan_target(spec, fields, TargetColumns((*plan.written, "owner")))
    stage = tables.stage_table(spec, staged_columns(spec, fields), database)
    return Publication(
        spec, plan, stage, StageCounts(10 + duplicates, 10, 10), spec.on_missing, NOW, database
    )


class Writer:
    """Collects statements with titles."""

    def __init__(self, dialect: Any) -> None:
        self.dialect = dialect
        self.parts: list[str] = []

    def add(self, title: str, *statements: Any) -> None:
        self.parts += [f"-- {title}", *(f"{self.text(statement)};" for statement in statements), ""]

    def text(self, statement: Any) -> str:
        text = statement if isinstance(statement, str) else str(statement.compile(dialect=self.dialect))
        return re.sub(r"[ \t]+\n", "\n", text.strip())


def odd_name(dialect: Any) -> str:
    """Return a hostile name without the characters that are refused."""
    refused = DATABASES[dialect.name].unquotable.get(dialect.driver, "")
    return "".join(character for character in HOSTILE if character not in refused)


def statements_of(dialect: Any) -> str:
    """Return all statements of a load into a database, one below the other."""
    database, odd = DATABASES[dialect.name], odd_name(dialect)
    plain = publication(database, odd=odd)
    spec, stage, target = plain.spec, plain.stage, plain.target
    registry = tables.registry_table(spec, database)
    writer = Writer(dialect)
    for name, table in (("loads in flight", registry), ("staging table", stage), ("target", target)):
        writer.add(f"create: {name}", sa.schema.CreateTable(tables.as_stored(table, database)))
    new = tables.without_key(target).columns
    writer.add("add columns", *(tables.AddColumn(column, database.add_column) for column in new))
    if isinstance(database.insert, JsonUnnest):
        writer.add("stage: one document", database.insert.statement(stage))
    elif dialect.name != "bigquery":
        writer.add("stage: rows", stage.insert())
    mine = sa.and_(registry.c.stage == "s", registry.c.attempt == 1)
    writer.add("checkpoint", registry.update().where(mine).values(attempt=2, checkpoint="{}"))
    if isinstance(database.lock, NamedLock):
        writer.add(
            "lock",
            secret_query(registry).with_for_update(read=True),
            database.lock.statement(None, target, "secret", database.lock.seconds),
        )
    elif database.lock is not None:
        writer.add("lock", database.lock.statement(None, target, registry))
    for title, arguments in MODES.items():
        writer.add(f"publish: {title}", *published_by(publication(database, odd=odd, **arguments), dialect))
    writer.add("drop", sa.schema.DropTable(stage, if_exists=True))
    return "\n".join(writer.parts)


def published_by(publication: Publication, dialect: Any) -> list[Any]:
    statements = [statement for _, statement in publication.statements()]
    if publication.database.publishes_by_merge:
        return [merge_statement(publication)]
    if build_script := publication.database.build_script:
        return [build_script(dialect, publication.stage, publication.counts.rows, statements)[0]]
    try:
        for statement in statements:
            statement.compile(dialect=dialect)
    except (NotImplementedError, sa.exc.CompileError):
        return ["-- refused: SQLAlchemy has no UPDATE .. FROM for it"]
    return statements


def test_statements_are_the_golden_ones(dialect):
    path = GOLDEN / f"{dialect.name}.sql"
    written = statements_of(dialect)
    if os.environ.get("GOLDEN") == "write":
        path.write_text(written)
    assert written == path.read_text(), "statements changed; GOLDEN=write writes them anew"


def test_no_name_or_value_comes_out_of_its_place(dialect):
    """What is hostile stands within the quotes of a name, doubled where it is one of them, and never elsewhere."""
    quote, end = {"mssql": "[]", "databricks": "``", "bigquery": "``"}.get(dialect.name, '""')
    odd = odd_name(dialect)
    inside = odd.replace(end, end * 2)
    if dialect.paramstyle in ("format", "pyformat"):
        inside = inside.replace("%", "%%")
    text = re.sub(r"^-- .*$", "", statements_of(dialect), flags=re.MULTILINE)
    text = text.replace(f"{quote}{inside}{end}", "")
    assert 'DROP TABLE "y"' not in text
    assert "x';" not in text


def test_the_parameters_of_a_script_do_not_clash():
    published = publication(DATABASES["bigquery"], odd="e", duplicates=True, on_missing="soft_delete")
    statements = [statement for _, statement in published.statements()]
    build_script = published.database.build_script
    text, parameters = build_script(dialect_of("bigquery"), published.stage, 11, statements)
    used = set(re.findall(r"%\(([^:)]+)", text))
    assert used == set(parameters)
    assert sorted(map(str, set(parameters.values()))) == ["1", "2026-01-02 03:04:05+00:00", "L", "dag/run"]
