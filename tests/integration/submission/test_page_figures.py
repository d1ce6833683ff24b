"""The page's queries on every database of a ledger: the same figures, with SELECT only, and in time."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from seeded_ledger import OpenTask, SeededTask, seed

from airflow_provider_cleanlist.page import database, queries
from airflow_provider_cleanlist.page.figures import EVERYTHING, PACE_DAYS, LedgerFigures, Scope
from airflow_provider_cleanlist.page.queries import Question
from airflow_provider_cleanlist.page.reading import read_ledger

if TYPE_CHECKING:
    from conftest import LedgerServer

TASKS = (SeededTask("crm", "enrich", "full", 40), SeededTask("events", "enrich", "partial", 30))
OPEN_TASKS = (
    OpenTask("crm", "r+1", "enrich", -1, "accepted", 5),
    OpenTask("events", "r+1", "enrich", 2, "unknown", 2),
    OpenTask("hidden", "r", "enrich", -1, "unknown", 3),
)
READABLE = frozenset({"crm", "events"})
READER = "page_reader"


@pytest.fixture
def contacts(server: LedgerServer, monkeypatch: pytest.MonkeyPatch) -> int:
    """A year in the ledger, which the page reads as a user that may do nothing else."""
    contacts = seed(server.administration.url, "org", datetime.now(UTC), TASKS, OPEN_TASKS)
    login = {}
    if server.kind == "mariadb":
        server.run(
            f"CREATE USER {READER}@'%'", f"GRANT SELECT ON {server.connection['schema']}.* TO {READER}@'%'"
        )
        login = {"login": READER}
    monkeypatch.setattr(database, "_kept", {})
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(server.connection | login))
    monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "ledger")
    yield contacts
    if server.kind == "mariadb":
        server.run(f"DROP USER {READER}@'%'")


def test_figures_are_those_of_the_rows(server: LedgerServer, contacts: int) -> None:
    figures = read_ledger(Question(EVERYTHING, 365, readable=READABLE), "")
    assert isinstance(figures, LedgerFigures)
    (row,) = server.query(
        "SELECT sum(contacts), sum(credits_spent), sum(emails_found), sum(phones_found), "
        "count(DISTINCT dag_id), count(DISTINCT enrichment_type) FROM cleanlist_batches"
    )
    total = figures.total
    found = total.contacts, total.credits_spent, total.emails_found, total.phones_found
    assert found == tuple(map(int, row[:4]))
    assert found[0] == contacts
    assert sum(sums.contacts for _, sums in figures.by_day) == contacts
    assert len(figures.by_day) > 250
    assert (len({dag_id for (dag_id, _), _ in figures.by_dag}), len(figures.types())) == tuple(row[4:])
    (progress,) = figures.in_flight.items
    assert (progress.place.dag_id, progress.ended, progress.workflows) == ("crm", 3, 5)
    assert [batch.place.map_index for batch in figures.unknown.items] == [2, 2]
    assert figures.unknown.hidden == 3
    of_task = read_ledger(Question(Scope("events", "r+1", "enrich", 2), 30, readable=READABLE), "")
    assert isinstance(of_task, LedgerFigures)
    assert of_task.total.contacts == 500


def test_the_pace_is_that_of_the_period_however_rarely_something_is_submitted(
    server: LedgerServer, contacts: int
) -> None:
    now = datetime.now(UTC)
    before, lately = (f"{now - timedelta(days=days):%Y-%m-%d %H:%M:%S}" for days in (200, 2))
    server.run(
        f"UPDATE cleanlist_batches SET credits_spent = NULL, submitted_at = '{before}'",
        f"UPDATE cleanlist_batches SET credits_spent = 60, submitted_at = '{lately}' "
        "WHERE batch_id = (SELECT newest FROM (SELECT max(batch_id) AS newest FROM cleanlist_batches) AS one)",
    )
    figures = read_ledger(Question(EVERYTHING, 30, readable=READABLE), "")
    assert isinstance(figures, LedgerFigures)
    assert figures.pace.per_day(now) == pytest.approx(60 / PACE_DAYS)


@pytest.mark.warehouse
@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_a_query_ends_in_time_on_mariadb(server: LedgerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL and SQLite: ``test_page_ledger.py``."""
    monkeypatch.setattr(queries, "STATEMENT_SECONDS", 1)
    begun = time.monotonic()
    with (
        pytest.raises(sa.exc.OperationalError, match="max_statement_time"),
        queries._reading(server.administration) as connection,
    ):
        connection.execute(sa.text("SELECT count(*) FROM seq_1_to_100000 a, seq_1_to_1000000 b"))
    assert 0.9 <= time.monotonic() - begun < 20
