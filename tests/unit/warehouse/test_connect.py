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


class Refusing(Source):
    """A hook whose driver fails to connect with these words."""

    def __init__(self, url: str, error: Exception) -> None:
        super().__init__(url)
        self.error = error

    def get_conn(self):
        raise self.error

    def get_sqlalchemy_engine(self, engine_kwargs=None):
        return sa.create_engine(self.url, module=FakeDriver, **(engine_kwargs or {}))


class FakeDriver:
    """A driver that is only asked what its errors are called."""

    __name__ = "psycopg2"
    paramstyle = "pyformat"
    __version__ = "2.9"

    class Error(Exception):
        pass


POSTGRES = 'connection to server at "10.0.0.7", port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    ("scheme", "words", "expected"),
    [
        ("postgresql", f'{POSTGRES}password authentication failed for user "u"', LoadConfigurationError),
        ("postgresql", f'{POSTGRES}database "nodb" does not exist', LoadConfigurationError),
        ("postgresql", f'{POSTGRES}role "nobody" does not exist', LoadConfigurationError),
        ("postgresql", f'{POSTGRES}no pg_hba.conf entry for host "10.0.0.8"', LoadConfigurationError),
        ("postgresql", 'invalid sslmode value: "bogus"', LoadConfigurationError),
        ("postgresql", "bad value for connect_timeout: 'x'", LoadConfigurationError),
        (
            "postgresql",
            "failed to resolve host 'no.such.invalid': [Errno -2] Name or service not known",
            LoadConfigurationError,
        ),
        (
            "postgresql",
            "failed to resolve host 'db': [Errno -3] Temporary failure in name resolution",
            LoadError,
        ),
        ("postgresql", f"{POSTGRES}the database system is starting up", LoadError),
        ("postgresql", f"{POSTGRES}sorry, too many clients already", LoadError),
        ("postgresql", 'connection to server at "db", port 1 failed: Connection refused', LoadError),
        ("postgresql", "connection timeout expired", LoadError),
        ("mysql", (1045, "Access denied for user 'u'@'h' (using password: YES)"), LoadConfigurationError),
        ("mysql", (1049, "Unknown database 'nodb'"), LoadConfigurationError),
        ("mysql", (2005, "Unknown server host 'no.such.invalid' (-2)"), LoadConfigurationError),
        ("mysql", (2005, "Unknown server host 'db' (-3)"), LoadError),
        ("mysql", (2002, "Can't connect to server on '127.0.0.1' (115)"), LoadError),
        ("mysql", (1040, "Too many connections"), LoadError),
    ],
)
def test_a_connection_that_is_refused_for_good_is_not_tried_again(monkeypatch, scheme, words, expected):
    monkeypatch.setattr(FakeDriver, "__name__", {"postgresql": "psycopg2", "mysql": "MySQLdb"}[scheme])
    error = FakeDriver.Error(*((words,) if isinstance(words, str) else words))
    driver = {"postgresql": "psycopg2", "mysql": "mysqldb"}[scheme]
    with pytest.raises(LoadError, match="Cannot connect to warehouse 'warehouse': ") as caught:
        open_engine(Refusing(f"{scheme}+{driver}://u:hunter2@h/db", error), "warehouse")
    assert type(caught.value) is expected
    assert str(caught.value).endswith("every attempt would fail like this one.") == (
        expected is LoadConfigurationError
    )


def test_what_the_hook_itself_finds_invalid():
    def refuse(*_):
        raise ValueError("'sqlalchemy_scheme' must be 'postgresql', got: 'nope'")

    for name in ("get_conn", "get_sqlalchemy_engine"):
        source = Refusing("postgresql+psycopg2://h/db", ValueError())
        setattr(source, name, refuse)
        with pytest.raises(
            LoadConfigurationError, match=r"The hook of warehouse 'warehouse' cannot use .*'nope'"
        ):
            open_engine(source, "warehouse")
