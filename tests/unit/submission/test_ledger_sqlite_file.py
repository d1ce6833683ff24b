"""The file of a ledger in SQLite is closed to other users, who could read it and hold its lock."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.submission.errors import JournalError
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.warehouse.connect import open_engine

WARNING = "Every user of this host may read the file of the ledger 'ledger'"


@pytest.fixture(params=[0o022, 0])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def place(umask: int) -> Iterator[Path]:
    """A directory that all users may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="cleanlist-ledger-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def use(database: LedgerDatabase) -> None:
    database.introduce("org", 1.0)
    database.engine.dispose()


def test_the_file_that_a_connection_names(place, umask, monkeypatch, caplog):
    path = place / "a b%20.db"
    host = str(path).replace("%", "%25")
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": host}))
    use(LedgerDatabase.of_connection("ledger"))
    (made,) = place.iterdir()
    assert mode_of(made) == 0o660 & ~umask
    assert caplog.messages == []


@pytest.mark.parametrize(
    "url",
    ["{}/ledger.db", "file:{}/ledger.db?uri=true", "file://{}/ledger.db?mode=rwc&uri=true", "{}/link.db"],
)
def test_however_the_file_is_spelled(place, umask, url):
    (place / "link.db").symlink_to(place / "ledger.db")
    use(LedgerDatabase(sa.create_engine(f"sqlite:///{url.format(place)}"), "'ledger'"))
    assert mode_of(place / "ledger.db") == 0o660 & ~umask


@pytest.mark.parametrize("umask", [0o022], indirect=True)
@pytest.mark.parametrize(("folder", "warnings"), [(0o755, 1), (0o700, 0)])
def test_a_file_that_is_there_stays_and_is_warned_of_if_others_reach_it(
    place, umask, caplog, folder, warnings
):
    path = place / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    assert mode_of(path) == 0o644
    place.chmod(folder)
    use(LedgerDatabase(sa.create_engine(f"sqlite:///{path}"), "'ledger'"))
    assert mode_of(path) == 0o644
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * warnings
    assert all(message.startswith(WARNING) and str(path) in message for message in caplog.messages)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM mine").fetchone() == (0,)


@pytest.mark.parametrize("umask", [0o022], indirect=True)
@pytest.mark.parametrize(
    "url", ["file:{}/none.db?mode=ro&uri=true", "file:{}/none.db?mode=rw&uri=true", "{}/none/none.db"]
)
def test_nothing_is_made_where_sqlite_would_make_nothing(place, umask, url):
    engine = sa.create_engine(f"sqlite:///{url.format(place)}")
    with pytest.raises(JournalError):
        LedgerDatabase(engine, "'ledger'", sleep=lambda _: None)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("umask", [0o022], indirect=True)
def test_the_file_of_a_warehouse_is_its_users(place, umask):
    class Source:
        def get_sqlalchemy_engine(self, options):
            return sa.create_engine(f"sqlite:///{place}/warehouse.db", **options)

    open_engine(Source(), "warehouse").dispose()
    assert mode_of(place / "warehouse.db") == 0o644
