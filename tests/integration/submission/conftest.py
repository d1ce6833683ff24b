"""A ledger's database, one after the other of every kind that can hold one."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.submission.ledger.journal import LedgerJournal
from airflow_provider_cleanlist.submission.ledger.tasks import LedgerTask

_NUMBERS = itertools.count(1)
ORGANISATION = "org-1"


class LedgerServer:
    """A database of one test's own, reached as the operator reaches it: by an Airflow connection.

    Attributes:
        kind: ``sqlite``, ``postgresql`` or ``mariadb``.
        connection: Its Airflow connection.
        administration: An engine that may do everything in it.
    """

    def __init__(
        self,
        kind: str,
        connection: dict[str, Any],
        administration: sa.engine.Engine,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.kind = kind
        self.connection = connection
        self.administration = administration
        self._monkeypatch = monkeypatch
        self._opened: list[LedgerDatabase] = []

    def open(self, name: str = "ledger", schema: str | None = None, **changed: Any) -> LedgerDatabase:
        """Open the ledger as another task would; parts of the connection may be changed."""
        connection = json.dumps({**self.connection, **changed})
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", connection)
        database = LedgerDatabase.of_connection(name, schema)
        database._sleep = lambda _: None
        self._opened.append(database)
        return database

    def journal(self, database: LedgerDatabase | None = None, **options: Any) -> LedgerJournal:
        """Open the journal of a task in it."""
        task = LedgerTask(
            options.pop("dag", "d"),
            options.pop("run", "r"),
            options.pop("task", "t"),
            options.pop("index", -1),
        )
        options = {"try_number": 1, "organisation": ORGANISATION} | options
        return LedgerJournal(database or self.open(), task, **options)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.administration.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(text))]

    def run(self, *statements: str) -> None:
        """Run statements, each committed."""
        with self.administration.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def end_session(self, connection: sa.engine.Connection) -> None:
        """Let the server end the session of a connection; SQLite has no sessions."""
        driver = connection.connection.dbapi_connection
        if self.kind == "postgresql":
            self.query(f"SELECT pg_terminate_backend({driver.info.backend_pid})")
        elif self.kind == "mariadb":
            self.run(f"KILL {driver.thread_id()}")

    def close(self) -> None:
        for database in self._opened:
            database.engine.dispose()
        self.administration.dispose()


def _sqlite(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, Any], sa.engine.Engine]]:
    path: Path = request.getfixturevalue("tmp_path") / "ledger.db"
    with closing(sqlite3.connect(path)):
        yield {"conn_type": "sqlite", "host": str(path)}, sa.create_engine(f"sqlite:///{path}")


def _postgresql(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, Any], sa.engine.Engine]]:
    connection = request.getfixturevalue("postgres_connection")
    yield connection, request.getfixturevalue("open_postgres")("psycopg2")


def _mariadb(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, Any], sa.engine.Engine]]:
    request.getfixturevalue("need")("MySQLdb")
    server = request.getfixturevalue("mariadb_server")
    name = f"ledger_{next(_NUMBERS)}"
    url = f"mysql+mysqldb://root@{server['host']}:{server['port']}"
    everything = sa.create_engine(url)
    with everything.begin() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield {**server, "conn_type": "mysql", "schema": name}, sa.create_engine(f"{url}/{name}")
    with everything.begin() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
    everything.dispose()


KINDS = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.warehouse)])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerServer]:
    """An empty database, one after the other of every kind."""
    for connection, engine in KINDS[request.param](request):
        found = LedgerServer(request.param, connection, engine, monkeypatch)
        yield found
        found.close()


@pytest.fixture
def identities() -> Callable[[int], list[bytes]]:
    """Make the hashes of so many persons."""
    return lambda count: [number.to_bytes(12, "big") for number in range(count)]
