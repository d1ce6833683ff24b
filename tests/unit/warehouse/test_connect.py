from __future__ import annotations

import sqlite3
from importlib.util import find_spec

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.connect import open_engine
from airflow_provider_cleanlist.warehouse.dialects.sqlite import BUSY_TIMEOUT_SECONDS
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadError


class Source:
    """A hook by its URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get_conn(self):
        return sqlite3.connect(":memory:")

    def get_sqlalchemy_engine(self, engine_kwargs=None):
        return sa.create_engine(self.url, **(engine_kwargs or {}))


def test_an_engine_hides_parameters_and_waits_for_locks(tmp_path):
    engine = open_engine(Source(f"sqlite:///{tmp_path}/w.db"), "warehouse")
    assert engine.hide_parameters
    with engine.connect() as connection:
        timeout = connection.execute(sa.text("PRAGMA busy_timeout")).scalar()
    assert timeout == BUSY_TIMEOUT_SECONDS * 1000
    engine.dispose()


@pytest.mark.parametrize("url", ["nosuchdatabase://host/db", "no url at all"])
def test_a_database_without_dialect(url):
    with pytest.raises(LoadConfigurationError, match="'warehouse' has no usable SQLAlchemy dialect"):
        open_engine(Source(url), "warehouse")


def test_a_database_that_is_not_there(tmp_path):
    with pytest.raises(
        LoadError, match="Cannot connect to warehouse 'warehouse': unable to open database file"
    ):
        open_engine(Source(f"sqlite:///{tmp_path}/no/such/folder/w.db"), "warehouse")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_sqlite_database_in_memory_is_refused(url):
    with pytest.raises(LoadConfigurationError, match="vanishes with the task: give it the path of a file"):
        open_engine(Source(url), "warehouse")


def test_a_server_that_is_down():
    modern = find_spec("psycopg") and not sa.__version__.startswith("1.")
    driver = "psycopg" if modern else "psycopg2"
    source = Source(f"postgresql+{driver}://user:hunter2@127.0.0.1:1/db")
    source.get_conn = lambda: __import__(driver).connect("postgresql://user:hunter2@127.0.0.1:1/db")
    with pytest.raises(
        LoadError, match=r"Cannot connect to warehouse 'warehouse': .*[Cc]onnection refused"
    ) as caught:
        open_engine(source, "warehouse")
    assert "hunter2" not in str(caught.value)
