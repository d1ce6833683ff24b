"""The page's queries on PostgreSQL and SQLite: what they may do, and how long they and the connecting take."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.page import database, queries
from airflow_provider_cleanlist.page.figures import EVERYTHING, LedgerFigures
from airflow_provider_cleanlist.page.queries import LedgerProblem, Question
from airflow_provider_cleanlist.page.reading import read_ledger
from airflow_provider_cleanlist.submission.ledger.set_up import set_up
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables

QUESTION = Question(EVERYTHING, 30)


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make an Airflow connection that of the ledger."""
    monkeypatch.setattr(database, "_kept", {})

    def to(**connection: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_PAGE_LEDGER", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "page_ledger")

    return to


@pytest.fixture
def postgres(
    open_postgres: Callable[..., sa.engine.Engine], configure: Callable[..., None]
) -> sa.engine.Engine:
    """An engine that may do everything in a ledger that the page reads as a user with SELECT only."""
    engine = open_postgres("psycopg2")
    set_up(engine, ledger_tables(None), "'ledger'")
    role = f"page_{engine.url.database}"
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO cleanlist_organisations VALUES ('org', now(), 0)"))
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
    configure(conn_type="postgres", host=engine.url.query["host"], schema=engine.url.database, login=role)
    yield engine
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP OWNED BY {role}"))
        connection.execute(sa.text(f"DROP ROLE {role}"))


def test_select_is_enough_and_no_connection_stays(postgres: sa.engine.Engine) -> None:
    for _ in range(2):
        found = read_ledger(QUESTION, "")
        assert isinstance(found, LedgerFigures)
        assert found.organisation == "org"
    query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'page_%'")
    end = time.monotonic() + 10
    with postgres.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.execute(query).scalar() and time.monotonic() < end:
            pass
        assert connection.execute(query).scalar() == 0


def test_an_engine_is_kept_until_its_connection_changes(
    postgres: sa.engine.Engine, configure: Callable[..., None], tmp_path: Path
) -> None:
    first = database.ledger_engine("page_ledger")
    assert database.ledger_engine("page_ledger") is first
    (tmp_path / "other.db").touch()
    configure(conn_type="sqlite", host=str(tmp_path / "other.db"))
    assert database.ledger_engine("page_ledger").dialect.name == "sqlite"
    assert read_ledger(QUESTION, "") is LedgerProblem.NOT_MADE


@pytest.mark.parametrize("later", [False, True])
def test_a_page_makes_no_sqlite_file(later: bool, configure: Callable[..., None], tmp_path: Path) -> None:
    """Also not where there was one."""
    file = tmp_path / "none.db"
    configure(conn_type="sqlite", host=str(file))
    if later:
        file.touch()
        assert read_ledger(QUESTION, "") is LedgerProblem.NOT_MADE
        file.unlink()
    assert read_ledger(QUESTION, "") is LedgerProblem.NOT_MADE
    assert not file.exists()


def test_without_the_right_to_select_the_ledger_was_reached(postgres: sa.engine.Engine) -> None:
    with postgres.begin() as connection:
        role = f"page_{postgres.url.database}"
        connection.execute(sa.text(f"REVOKE SELECT ON cleanlist_batches FROM {role}"))
    assert read_ledger(QUESTION, "") is LedgerProblem.UNREADABLE


def test_a_table_that_somebody_locks_is_late(
    postgres: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "STATEMENT_SECONDS", 1)
    with postgres.begin() as connection:
        connection.execute(sa.text("LOCK TABLE cleanlist_batches IN ACCESS EXCLUSIVE MODE"))
        assert read_ledger(QUESTION, "") is LedgerProblem.LATE
    assert isinstance(read_ledger(QUESTION, ""), LedgerFigures)


def test_the_page_cannot_write_on_postgresql(postgres: sa.engine.Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="read-only"), queries._reading(postgres) as connection:
        connection.execute(sa.text("DELETE FROM cleanlist_organisations"))


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("postgresql", "SELECT pg_sleep(30)"),
        ("sqlite", "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"),
    ],
)
def test_a_query_ends_in_time(
    kind: str,
    statement: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    engine = (
        sa.create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
        if kind == "sqlite"
        else request.getfixturevalue("open_postgres")("psycopg2")
    )
    monkeypatch.setattr(queries, "STATEMENT_SECONDS", 1)
    begun = time.monotonic()
    with (
        pytest.raises(sa.exc.OperationalError, match=r"interrupted|statement timeout"),
        queries._reading(engine) as connection,
    ):
        connection.execute(sa.text(statement))
    assert 0.9 <= time.monotonic() - begun < 10
    engine.dispose()


@pytest.mark.parametrize("more", [{}, {"extra": {"connect_timeout": 60}}])
def test_a_server_that_accepts_and_says_nothing_is_given_up(
    more: dict[str, object], configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        configure(conn_type="postgres", host="127.0.0.1", port=port, login="l", schema="s", **more)
        begun = time.monotonic()
        assert read_ledger(QUESTION, "") is LedgerProblem.UNREACHABLE
        assert time.monotonic() - begun < 15
