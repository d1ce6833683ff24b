"""The file of a ledger in SQLite is closed to other users, who could read it, hold its lock or plant a journal."""

from __future__ import annotations

import json
import logging
import os
import pwd
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.submission.errors import JournalConfigurationError, JournalError
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


OPEN = "every user of this host may create files in {}, and with one of them replace the ledger ledger.db: "


@pytest.mark.parametrize("umask", [0o022], indirect=True)
@pytest.mark.parametrize("mode", [0o777, 0o1777])
@pytest.mark.parametrize("url", ["{}/ledger.db", "file:{}/ledger.db?mode=rw&uri=true", "{}/mine/link.db"])
def test_a_directory_in_which_all_users_create_files_is_refused(place, umask, mode, url):
    (place / "mine").mkdir()
    (place / "mine" / "link.db").symlink_to(place / "ledger.db")
    place.chmod(mode)
    with pytest.raises(JournalConfigurationError) as caught:
        LedgerDatabase(sa.create_engine(f"sqlite:///{url.format(place)}"), "'ledger'")
    assert str(caught.value).startswith(OPEN.format(place))
    assert [path.name for path in place.iterdir()] == ["mine"]


@pytest.mark.parametrize("umask", [0o022], indirect=True)
def test_a_connection_to_such_a_directory_touches_nothing(place, umask, monkeypatch):
    path = place / "ledger.db"
    use(LedgerDatabase(sa.create_engine(f"sqlite:///{path}"), "'ledger'"))
    (place / "ledger.db-journal").write_bytes(b"planted")
    before = path.read_bytes()
    place.chmod(0o1777)
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    with pytest.raises(JournalConfigurationError, match="every user of this host may create files in"):
        LedgerDatabase.of_connection("ledger")
    assert (place / "ledger.db-journal").read_bytes() == b"planted"
    assert path.read_bytes() == before


@pytest.mark.parametrize("umask", [0o022], indirect=True)
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o2770, 0o1775])
def test_a_directory_of_a_group_and_a_journal_of_ours_are_used(place, umask, mode):
    place.chmod(mode)
    (place / "ledger.db-journal").touch()
    use(LedgerDatabase(sa.create_engine(f"sqlite:///{place}/ledger.db"), "'ledger'"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("umask", [0o022], indirect=True)
@pytest.mark.parametrize("kind", ["journal", "wal"])
@pytest.mark.parametrize(
    ("mode", "is_of_group", "owns", "is_trusted"),
    [
        (0o755, True, "", False),
        (0o775, False, "", False),
        (0o775, True, "", True),
        (0o755, False, "ledger.db", True),
        (0o755, False, ".", True),
    ],
)
def test_whose_journal_beside_the_ledger_is_used(place, umask, kind, mode, is_of_group, owns, is_trusted):
    other = pwd.getpwnam("nobody")
    path = place / f"ledger.db-{kind}"
    use(LedgerDatabase(sa.create_engine(f"sqlite:///{place}/ledger.db"), "'ledger'"))
    os.chown(place, 0, other.pw_gid if is_of_group else 0)
    if owns:
        os.chown(place / owns, other.pw_uid, -1)
    place.chmod(mode)
    path.touch()
    os.chown(path, other.pw_uid, -1)
    engine = sa.create_engine(f"sqlite:///{place}/ledger.db")
    if is_trusted:
        use(LedgerDatabase(engine, "'ledger'"))
        return
    with pytest.raises(JournalConfigurationError) as caught:
        LedgerDatabase(engine, "'ledger'")
    assert str(caught.value).startswith(
        f"{path} belongs to user {other.pw_uid}, who is neither this user nor "
    )
    assert path.exists()
