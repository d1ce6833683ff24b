"""Snowflake's own client takes the calls that are made to it; the service itself is absent."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects import snowflake

pytestmark = pytest.mark.warehouse
pytest.importorskip("fakesnow", reason="the warehouses' packages are not installed (nox session warehouses)")


def test_files_go_to_snowflake_as_its_function_takes_them(monkeypatch):
    from snowflake.connector import pandas_tools
    from snowflake.sqlalchemy.snowdialect import SnowflakeDialect

    written = create_autospec(pandas_tools.write_pandas)
    monkeypatch.setattr(pandas_tools, "write_pandas", written)
    monkeypatch.setattr(snowflake, "MIN_FILE_ROWS", 1)
    dialect = SnowflakeDialect(dbapi=SnowflakeDialect.import_dbapi())
    connection = SimpleNamespace(dialect=dialect, connection=SimpleNamespace(driver_connection="driver"))
    table = sa.Table(
        "t", sa.MetaData(), sa.Column("x", sa.Integer), sa.Column("Mixed", sa.Text), schema="db.s"
    )
    snowflake.SNOWFLAKE.insert_rows(connection, table, [(1, "a"), (None, "b")])
    (driver, frame, name), options = written.call_args
    assert (driver, name, options["database"], options["schema"]) == ("driver", "T", "DB", "S")
    assert list(frame.columns) == ["X", "Mixed"]
    assert options["quote_identifiers"] is True
