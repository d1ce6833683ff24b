"""The real hooks and drivers take the calls that are made to them; the services themselves are absent."""

from __future__ import annotations

import inspect
import json
from unittest.mock import create_autospec

import pytest

from airflow_provider_cleanlist.warehouse import connect
from airflow_provider_cleanlist.warehouse.dialects import DATABASES

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
    database = DATABASES[name]
    assert database.connects_by_hook
    made = create_autospec(cls, instance=True)
    database.adopt(made)
    if name in ("snowflake", "mssql"):
        made.autocommit.assert_called_once_with(False)
    if name == "oracle":
        assert made.autocommit is False
    database.prepare(made)
    assert made.cursor.called is (name in ("mysql", "oracle"))
