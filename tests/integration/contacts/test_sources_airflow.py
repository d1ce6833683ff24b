"""Sources that Airflow opens: ObjectStoragePath and connections."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from airflow_provider_cleanlist.contacts.errors import MalformedFileError, MissingFileError, SourceError
from airflow_provider_cleanlist.contacts.sources import FileSource, open_source
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError

pytestmark = pytest.mark.integration

ROWS = [
    {"linkedin_url": f"linkedin.com/in/person-{number}-example", "name": "Jürgen"} for number in range(3000)
]


def data(suffix: str, folder: Path) -> bytes:
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), folder / "table")
        return (folder / "table").read_bytes()
    if suffix == ".json":
        return json.dumps(ROWS).encode()
    if suffix == ".jsonl":
        return "\n".join(map(json.dumps, ROWS)).encode()
    return "\n".join(["linkedin_url,name", *(",".join(row.values()) for row in ROWS)]).encode("utf-16")


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_object_storage(tmp_path, suffix, gz):
    path = tmp_path / f"contacts{suffix}{gz}"
    path.write_bytes(gzip.compress(data(suffix, tmp_path)) if gz else data(suffix, tmp_path))
    source = open_source(contacts_path=f"file://{path}")
    assert [dict(row.values) for row in source.rows()] == ROWS
    assert [row.number for row in source.rows()] == list(range(1, len(ROWS) + 1))


def test_missing_object(tmp_path):
    with pytest.raises(MissingFileError, match=r"absent\.csv cannot be read: there is no such file"):
        list(FileSource(f"file://{tmp_path}/absent.csv").rows())


def test_broken_object(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"a": \n')
    with pytest.raises(MalformedFileError, match=rf"^file://{tmp_path}/c\.jsonl: Line 1"):
        list(FileSource(f"file://{tmp_path}/c.jsonl").rows())


@pytest.mark.parametrize("scheme", ["nothing", "s3"])
def test_a_file_system_that_is_not_installed(scheme):
    source = FileSource(f"{scheme}://key:SECRET@bucket/contacts.csv?token=SECRET")
    with pytest.raises(
        SourceError, match=rf"^{scheme}://bucket/contacts\.csv: no file system for {scheme}://"
    ) as caught:
        list(source.rows())
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in source.describe()


def test_query_on_a_connection(tmp_path, monkeypatch):
    with sqlite3.connect(tmp_path / "crm.db") as connection:
        connection.execute("CREATE TABLE crm (name TEXT)")
        connection.executemany("INSERT INTO crm VALUES (?)", [("Mara",), ("Teo",)])
    monkeypatch.setenv(
        "AIRFLOW_CONN_CRM", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "crm.db")})
    )
    source = open_source(sql="SELECT name FROM crm WHERE name <> ?", sql_conn_id="crm", parameters=["Teo"])
    assert [dict(row.values) for row in source.rows()] == [{"name": "Mara"}]


def test_a_connection_that_cannot_run_sql(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FILES", json.dumps({"conn_type": "cleanlist", "password": "SECRET"}))
    with pytest.raises(
        CleanlistConfigurationError, match=r"Connection 'files' is not a SQL database connection"
    ):
        open_source(sql="SELECT 1", sql_conn_id="files")


def test_a_connection_that_is_not_there():
    with pytest.raises(
        CleanlistConfigurationError,
        match=r"There is no connection 'nowhere': add it, or correct sql_conn_id\.",
    ):
        open_source(sql="SELECT 1", sql_conn_id="nowhere")
