"""The real hooks, drivers and clients take the calls that are made to them; the services themselves are absent."""

from __future__ import annotations

import inspect
import io
import json
from datetime import UTC, date, datetime
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import bigquery, bulk, connect, dialects
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.plan import StageCounts, plan_columns
from airflow_provider_cleanlist.warehouse.publish import Publication
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.tables import stage_table
from airflow_provider_cleanlist.warehouse.types import DOCUMENT, KEY_TEXT, TYPES

pytestmark = pytest.mark.warehouse
pytest.importorskip("fakesnow", reason="the warehouses' packages are not installed (nox session warehouses)")

HOOKS = {
    "redshift": ("airflow.providers.amazon.aws.hooks.redshift_sql", "RedshiftSQLHook"),
    "databricks": ("airflow.providers.databricks.hooks.databricks_sql", "DatabricksSqlHook"),
    "mssql": ("airflow.providers.microsoft.mssql.hooks.mssql", "MsSqlHook"),
    "mysql": ("airflow.providers.mysql.hooks.mysql", "MySqlHook"),
    "oracle": ("airflow.providers.oracle.hooks.oracle", "OracleHook"),
    "snowflake": ("airflow.providers.snowflake.hooks.snowflake", "SnowflakeHook"),
    "trino": ("airflow.providers.trino.hooks.trino", "TrinoHook"),
    "gcpbigquery": ("airflow.providers.google.cloud.hooks.bigquery", "BigQueryHook"),
}
CONNECTIONS = {
    "mssql": {"host": "h", "login": "u", "password": "p", "port": 1433, "schema": "d"},
    "mysql": {"host": "h", "login": "u", "password": "p", "schema": "d"},
    "oracle": {"host": "h", "login": "u", "password": "p", "extra": {"service_name": "s"}},
    "redshift": {"host": "h", "login": "u", "password": "p", "port": 5439, "schema": "d"},
    "snowflake": {"login": "u", "password": "p", "schema": "s", "extra": {"account": "a", "database": "d"}},
    "trino": {"host": "h", "login": "u", "port": 8080, "schema": "catalog"},
    "databricks": {"host": "h", "password": "token", "extra": {"http_path": "/sql/1"}},
}
EXPECTED = {
    "mssql": ("mssql", "pymssql"),
    "mysql": ("mysql", "mysqldb"),
    "oracle": ("oracle", "oracledb"),
    "redshift": ("redshift", "redshift_connector"),
    "snowflake": ("snowflake", "snowflake"),
    "trino": ("trino", "rest"),
    "databricks": ("databricks", "databricks"),
}


def hook_class(name: str):
    module, attribute = HOOKS[name]
    return getattr(pytest.importorskip(module), attribute)


@pytest.fixture
def make_hook(monkeypatch):
    def make(name: str):
        cls = hook_class(name)
        fields = {"conn_type": cls.conn_type, **CONNECTIONS[name]}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
        return cls(**{cls.conn_name_attr: "warehouse"})

    return make


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_hooks_offer_what_is_asked_of_them(name):
    cls = hook_class(name)
    inspect.signature(cls.get_conn).bind(object())
    inspect.signature(cls.get_sqlalchemy_engine).bind(object(), {"hide_parameters": True})
    assert cls.conn_type == {"gcpbigquery": "gcpbigquery"}.get(name, name)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_hooks_lead_to_the_dialect_that_the_statements_are_for(make_hook, name):
    engine = connect._engine_of(make_hook(name), {"hide_parameters": True})
    assert (engine.dialect.name, engine.dialect.driver) == EXPECTED[name]
    assert engine.hide_parameters


def mysqldb():
    from MySQLdb.connections import Connection

    return Connection


def pymssql():
    from pymssql import Connection

    return Connection


def oracledb():
    from oracledb import Connection

    return Connection


def snowflake():
    from snowflake.connector import SnowflakeConnection

    return SnowflakeConnection


def trino():
    from trino.dbapi import Connection

    return Connection


@pytest.mark.parametrize(
    ("name", "connection"),
    [
        ("mysql", mysqldb),
        ("mssql", pymssql),
        ("oracle", oracledb),
        ("snowflake", snowflake),
        ("trino", trino),
    ],
)
def test_the_hooks_own_connections_are_used_and_do_not_commit_by_themselves(make_hook, name, connection):
    """The dialect works with connections of the same driver, prepared so that a load is a transaction."""
    engine = connect._engine_of(make_hook(name), {})
    cls = connection()
    assert cls.__module__.split(".")[0] == engine.dialect.dbapi.__name__.split(".")[0]
    assert name in connect._URL_LOSES_SETTINGS
    made = create_autospec(cls, instance=True)
    plain = connect._plain(made)
    if name in ("snowflake", "mssql"):
        plain.autocommit.assert_called_once_with(False)
    if name == "oracle":
        assert plain.autocommit is False
    if prepare := connect._SESSIONS.get(name):
        prepare(made)
        assert made.cursor.called


def test_files_go_to_snowflake_as_its_function_takes_them(monkeypatch):
    from snowflake.connector import pandas_tools
    from snowflake.sqlalchemy.snowdialect import SnowflakeDialect

    written = create_autospec(pandas_tools.write_pandas)
    monkeypatch.setattr(pandas_tools, "write_pandas", written)
    monkeypatch.setattr(bulk, "SNOWFLAKE_FILE_ROWS", 1)
    dialect = SnowflakeDialect(dbapi=SnowflakeDialect.import_dbapi())
    connection = SimpleNamespace(dialect=dialect, connection=SimpleNamespace(driver_connection="driver"))
    table = sa.Table(
        "t", sa.MetaData(), sa.Column("x", sa.Integer), sa.Column("Mixed", sa.Text), schema="db.s"
    )
    bulk.insert_rows(connection, table, [(1, "a"), (None, "b")])
    (driver, frame, name), options = written.call_args
    assert (driver, name, options["database"], options["schema"]) == ("driver", "T", "DB", "S")
    assert list(frame.columns) == ["X", "Mixed"]
    assert options["quote_identifiers"] is True


# --- BigQuery ----------------------------------------------------------------------------------------------------


@pytest.fixture
def client():
    from google.cloud.bigquery import Client
    from google.cloud.bigquery.table import RowIterator

    nothing = create_autospec(RowIterator, instance=True, total_rows=0, num_dml_affected_rows=None, schema=())
    nothing.__iter__.return_value = iter(())
    client = create_autospec(Client, instance=True)
    client.project = "project"
    client.location = "EU"
    client.query_and_wait.return_value = nothing
    return client


@pytest.fixture
def engine(client, monkeypatch):
    cls = hook_class("gcpbigquery")
    monkeypatch.setattr(cls, "get_client", create_autospec(cls.get_client, return_value=client))
    monkeypatch.setattr(cls, "project_id", "project")
    hook = object.__new__(cls)
    hook.location = "EU"
    engine = connect._engine_of(hook, {"hide_parameters": True})
    assert cls.get_client.call_args.kwargs == {"project_id": "project", "location": "EU"}
    return engine


def test_bigquery_is_reached_through_the_hooks_client(engine, client):
    assert (engine.dialect.name, engine.dialect.driver) == ("bigquery", "bigquery")
    connection = engine.dialect.connect(
        **engine.dialect.create_connect_args(engine.url)[1] | {"client": client}
    )
    assert connection._client is client


def sent(client) -> list[tuple[str, dict]]:
    """The queries that the client was given, each with its parameters by name."""
    return [
        (call.args[0], {p.name: (p.type_, p.value) for p in call.kwargs["job_config"].query_parameters})
        for call in client.query_and_wait.call_args_list
    ]


def test_bigquery_rows_go_by_a_load_job(engine, client):
    kinds = {"_page": sa.Integer(), "key": KEY_TEXT, "document": DOCUMENT, **TYPES}
    table = sa.Table("leads", sa.MetaData(), *(sa.Column(n, t) for n, t in kinds.items()), schema="data")
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    rows = [
        (1, "é", "d", 'a"\n', 2**62, 1.5, True, date(2026, 1, 2), moment, "{}"),
        (1, "k", *[None] * 8),
    ]
    bodies = []
    client.load_table_from_file.side_effect = lambda file, *_, **__: _read(bodies, file)
    with engine.connect() as connection:
        bulk.insert_rows(connection, table, rows)
    (call,) = client.load_table_from_file.call_args_list
    assert str(call.args[1]) == "project.data.leads"
    config = call.kwargs["job_config"].to_api_repr()["load"]
    assert config["sourceFormat"] == "NEWLINE_DELIMITED_JSON"
    assert config["writeDisposition"] == "WRITE_APPEND"
    assert config["createDisposition"] == "CREATE_NEVER"
    types = {field["name"]: field["type"] for field in config["schema"]["fields"]}
    assert types == {
        "_page": "INT64",
        "key": "STRING",
        "document": "STRING",
        "text": "STRING",
        "integer": "INT64",
        "float": "FLOAT64",
        "boolean": "BOOL",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
        "json": "JSON",
    }
    first, second = [json.loads(line) for line in bodies[0].decode().splitlines()]
    assert first == {
        "_page": "1",
        "key": "é",
        "document": "d",
        "text": 'a"\n',
        "integer": str(2**62),
        "float": "1.5",
        "boolean": True,
        "date": "2026-01-02",
        "timestamp": "2026-01-02T03:04:05.000006+00:00",
        "json": "{}",
    }
    assert second == {"_page": "1", "key": "k"}


class Job:
    def result(self):
        return self


def _read(bodies: list[bytes], file: io.BytesIO) -> Job:
    bodies.append(file.read())
    return Job()


@pytest.mark.parametrize(
    ("schema", "reference"),
    [("data", "project.data.t"), ("other.data", "other.data.t"), ("a:b.c.d", "a:b.c.d.t")],
)
def test_bigquery_tables_by_dataset_and_project(schema, reference):
    table = sa.Table("t", sa.MetaData(), schema=schema)
    assert str(bigquery._reference("project", table)) == reference


def test_bigquery_needs_a_dataset():
    with pytest.raises(LoadConfigurationError, match="BigQuery needs a dataset"):
        bigquery._reference("project", sa.Table("t", sa.MetaData()))


def test_bigquery_publishes_by_one_script(engine, client, monkeypatch):
    monkeypatch.setattr(dialects, "count_affected", lambda *_: 3)
    spec = LoadSpec(
        list_id="L'", load_id="x", run_id="r", table=TableName("leads", "data"), on_missing="delete"
    )
    plan = plan_columns(spec, spec.initial_fields, None)
    stage = stage_table(spec, spec.initial_fields, "bigquery")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    with engine.connect() as connection:
        removed = bigquery.publish(
            connection, Publication(spec, plan, stage, StageCounts(7, 7, 7), "delete", now)
        )
    assert removed == 3
    ((text, parameters),) = sent(client)
    assert text.count("BEGIN TRANSACTION;") == text.count("COMMIT TRANSACTION;") == 1
    assert "= 7 AS 'The staging table is not what was counted.'" in text
    assert set(parameters.values()) == {("STRING", "L'"), ("STRING", "r"), ("TIMESTAMP", now)}
    assert all(f"@`{name}`" in text for name in parameters)
    assert "%(" not in text
