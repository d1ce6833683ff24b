"""Behind a real pgbouncer that pools by transaction, nothing that a session knows outlives one."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_cleanlist.contacts.readers.query import read_query
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.warehouse.connect import open_engine
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = pytest.mark.integration

PAGES = [[{"lead_id": f"{page}-{row}", "email": str(page)} for row in range(3)] for page in range(12)]


@pytest.fixture(params=[{}, {"sqlalchemy_scheme": "postgresql+psycopg"}], ids=["hook", "url"])
def hook(request, pgbouncer, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_POOLED", json.dumps({**pgbouncer, "extra": request.param}))
    return BaseHook.get_connection("pooled").get_hook()


def test_every_page_can_be_a_transaction_of_its_own(hook, make_spec, paged):
    engine = open_engine(hook, "pooled")
    broken = paged(PAGES, fails_before=9)
    with pytest.raises(ConnectionError):
        load(engine, make_spec(), broken, batch_rows=1)
    report = load(engine, make_spec(), paged(PAGES), batch_rows=1)
    assert (report.rows_read, report.rows_written, report.pages) == (36, 36, 12)
    again = load(engine, make_spec(load_id="again"), paged(PAGES), batch_rows=1)
    assert again.rows_written == 36
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM leads").scalar() == 36
    engine.dispose()


def test_the_ledger_works_behind_it(hook, pgbouncer):
    database = LedgerDatabase.of_connection("pooled")
    for number in range(20):
        database.introduce(f"organisation {number % 3}", float(number))
    with database.engine.connect() as connection:
        query = "SELECT count(*) FROM cleanlist_organisations"
        assert connection.exec_driver_sql(query).scalar() == 3
    database.engine.dispose()


def test_a_query_for_contacts_streams_through_it(hook):
    rows = list(read_query(hook, "SELECT n, 'x' AS name FROM generate_series(1, 5000) n", None))
    assert len(rows) == 5000
    assert rows[-1] == (("n", "name"), (5000, "x"))
