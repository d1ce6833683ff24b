"""BigQuery's own hook and client take the calls that are made to them; the service itself is absent."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from unittest.mock import create_autospec

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import connect, publish
from airflow_provider_cleanlist.warehouse.dialects import bigquery
from airflow_provider_cleanlist.warehouse.dialects.bigquery import BIGQUERY
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.plan import StageCounts, plan_target, staged_columns
from airflow_provider_cleanlist.warehouse.publication import Publication
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.tables import stage_table

pytestmark = pytest.mark.warehouse
pytest.importorskip("fakesnow", reason="the warehouses' packages are not installed (nox session warehouses)")

KINDS = ("text", "integer", "float", "boolean", "date", "timestamp", "json")


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
    cls = pytest.importorskip("airflow.providers.google.cloud.hooks.bigquery").BigQueryHook
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
    types = BIGQUERY.types
    columns = {"_page": sa.Integer(), "key": types.key, "document": types.document}
    columns |= {kind: types.target(kind) for kind in KINDS}
    table = sa.Table("leads", sa.MetaData(), *(sa.Column(n, t) for n, t in columns.items()), schema="data")
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    rows = [
        (1, "é", "d", 'a"\n', 2**62, 1.5, True, date(2026, 1, 2), moment, "{}"),
        (1, "k", *[None] * 8),
    ]
    bodies = []
    client.load_table_from_file.side_effect = lambda file, *_, **__: _read(bodies, file)
    with engine.connect() as connection:
        BIGQUERY.insert_rows(connection, table, rows)
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
    monkeypatch.setattr(publish, "count_affected", lambda *_: 3)
    spec = LoadSpec(
        list_id="L'", load_id="x", run_id="r", table=TableName("leads", "data"), on_missing="delete"
    )
    plan = plan_target(spec, spec.initial_fields, None)
    stage = stage_table(spec, staged_columns(spec, spec.initial_fields), BIGQUERY)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    with engine.connect() as connection:
        removed = publish.publish(
            connection, Publication(spec, plan, stage, StageCounts(7, 7, 7), "delete", now, BIGQUERY)
        )
    assert removed == 3
    ((text, parameters),) = sent(client)
    assert text.count("BEGIN TRANSACTION;") == text.count("COMMIT TRANSACTION;") == 1
    assert "= 7 AS 'The staging table is not what was counted.'" in text
    assert set(parameters.values()) == {("STRING", "L'"), ("STRING", "r"), ("TIMESTAMP", now)}
    assert all(f"@`{name}`" in text for name in parameters)
    assert "%(" not in text
