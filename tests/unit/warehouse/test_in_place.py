"""A merge into SQLite changes rows in place; other modes refuse rows to which other tables refer."""

from __future__ import annotations

import sqlite3
from datetime import date

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.loader import load


@pytest.fixture
def execute(engine):
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))

    def run(*statements: str) -> list[tuple]:
        with engine.begin() as connection:
            for statement in statements:
                result = connection.execute(sa.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


@pytest.fixture
def load_leads(engine, make_spec, paged):
    calls = iter(range(1000))

    def run(*leads, **arguments):
        arguments.setdefault("load_id", f"load {next(calls)}")
        return load(engine, make_spec(known_fields=("lead_id", "email"), **arguments), paged([leads]))

    return run


LEADS = [{"lead_id": str(number), "email": f"{number}@x.example"} for number in range(3)]
KEY = ("lead_id",)
NOTES = "CREATE TABLE notes (id INTEGER, lead_id TEXT REFERENCES leads (lead_id) ON DELETE CASCADE)"


def test_triggers_see_what_changes_and_nothing_else(execute, load_leads):
    load_leads(*LEADS)
    execute("CREATE TABLE seen (what TEXT)")
    for event in ("INSERT", "UPDATE", "DELETE"):
        execute(
            f"CREATE TRIGGER t_{event} AFTER {event} ON leads BEGIN INSERT INTO seen VALUES ('{event}'); END"
        )
    load_leads(*LEADS, run_id="same")
    assert execute("SELECT * FROM seen") == []
    load_leads(LEADS[0], {"lead_id": "1", "email": None}, {"lead_id": "9"}, run_id="next")
    assert execute("SELECT * FROM seen ORDER BY 1") == [("INSERT",), ("UPDATE",)]
    load_leads(LEADS[0], on_missing="delete")
    assert execute("SELECT * FROM seen WHERE what = 'DELETE'") == [("DELETE",)] * 3


def test_a_changed_case_is_written_even_where_the_column_ignores_it(execute, load_leads):
    execute("CREATE TABLE leads (lead_id TEXT COLLATE NOCASE PRIMARY KEY, email TEXT COLLATE NOCASE)")
    load_leads(
        {"lead_id": "ann", "email": "a@x.example"}, {"lead_id": "bob", "email": "b"}, key=KEY, run_id="1"
    )
    execute(NOTES.replace("CASCADE", "CASCADE ON UPDATE CASCADE"), "INSERT INTO notes VALUES (1, 'ann')")
    load_leads(
        {"lead_id": "Ann", "email": "A@x.example"}, {"lead_id": "bob", "email": "B"}, key=KEY, run_id="2"
    )
    assert execute("SELECT lead_id, email, _cleanlist_run_id FROM leads ORDER BY 1") == [
        ("Ann", "A@x.example", "2"),
        ("bob", "B", "2"),
    ]
    assert execute("SELECT lead_id FROM notes") == [("ann",)]


@pytest.mark.parametrize("on_missing", ["keep", "delete"])
def test_of_leads_whose_keys_are_one_to_the_column_the_last_one_wins(execute, load_leads, on_missing):
    execute("CREATE TABLE leads (lead_id TEXT COLLATE NOCASE PRIMARY KEY, email TEXT)")
    leads = [{"lead_id": "abc", "email": "1"}, {"lead_id": "ABC", "email": "2"}]
    for run_id in ("first", "same"):
        load_leads(*leads, key=KEY, run_id=run_id, on_missing=on_missing)
    assert execute("SELECT lead_id, email, _cleanlist_run_id FROM leads") == [("ABC", "2", "first")]


def test_leads_whose_keys_the_column_tells_apart_are_two(execute, load_leads):
    execute("CREATE TABLE leads (lead_id TEXT PRIMARY KEY, email TEXT COLLATE NOCASE)")
    load_leads({"lead_id": "abc"}, {"lead_id": "ABC"}, key=KEY)
    assert execute("SELECT count(*) FROM leads") == [(2,)]


def test_a_column_that_the_database_computes_is_told_at_once(execute, load_leads):
    execute("CREATE TABLE leads (lead_id TEXT PRIMARY KEY, email TEXT AS (lower(lead_id)))")
    with pytest.raises(LoadConfigurationError, match=r'cannot (INSERT|UPDATE).* generated column "email"'):
        load_leads({"lead_id": "abc", "email": "x"}, key=KEY)


def test_columns_of_other_types_than_the_fields_do_not_count_as_changed(execute, load_leads):
    execute("CREATE TABLE leads (lead_id TEXT PRIMARY KEY, email JSON, score INTEGER, ratio TEXT)")
    leads = [{"lead_id": "1", "email": "7", "score": 2.0, "ratio": 0.1}]
    types = {"score": "float", "ratio": "float"}
    for run_id in ("first", "same"):
        load_leads(*leads, key=KEY, run_id=run_id, column_types=types)
    assert execute("SELECT _cleanlist_run_id FROM leads") == [("first",)]


@pytest.mark.parametrize(
    ("arguments", "first_is_refused"),
    [
        ({"mode": "replace"}, True),
        ({"mode": "replace", "replace_scope": "table"}, True),
        ({"mode": "append"}, False),
        ({"mode": "snapshot"}, False),
        ({"mode": "snapshot", "replace_scope": "table"}, False),
    ],
)
def test_rows_to_which_others_refer_are_not_deleted(
    engine, execute, load_leads, make_spec, paged, arguments, first_is_refused
):
    load_leads(*LEADS, key=KEY)
    execute("ALTER TABLE leads ADD COLUMN _cleanlist_snapshot_date DATE", NOTES)
    arguments = {**arguments, "run_id": "fresh", "snapshot_date": date(2026, 1, 2), "known_fields": ()}
    if not first_is_refused:
        load(engine, make_spec(load_id="first", **arguments), paged([[{"lead_id": "9"}]]))
        execute("INSERT INTO notes VALUES (2, '9')")
    execute("INSERT INTO notes VALUES (1, '1')")
    before = execute("SELECT * FROM notes")
    pages = paged([[{"lead_id": "9"}]])
    with pytest.raises(LoadConfigurationError, match=r"notes \(FOREIGN KEY \(lead_id\)\)"):
        load(engine, make_spec(load_id="again", **arguments), pages)
    assert pages.reads == []
    assert execute("SELECT * FROM notes") == before


def test_a_reference_that_comes_while_the_list_is_read_is_seen(engine, execute, load_leads, make_spec, paged):
    load_leads(*LEADS, key=KEY)

    def pages(cursor):
        yield from paged([LEADS[:1]])(cursor)
        execute(NOTES, "INSERT INTO notes VALUES (1, '2')")

    with pytest.raises(LoadConfigurationError, match="mode='replace' would delete rows of leads"):
        load(engine, make_spec(mode="replace", load_id="late"), pages, pages_ahead=0)
    assert execute("SELECT * FROM notes") == [(1, "2")]


def test_a_missing_lead_to_which_others_refer_fails_without_a_retry(execute, load_leads):
    load_leads(*LEADS, key=KEY)
    execute(NOTES.replace("ON DELETE CASCADE", ""), "INSERT INTO notes VALUES (1, '2')")
    with pytest.raises(LoadDataError, match="FOREIGN KEY constraint failed"):
        load_leads(LEADS[0], key=KEY, on_missing="delete")
    assert execute("SELECT count(*) FROM leads") == [(3,)]


def test_keys_that_are_not_enforced_refuse_nothing(engine, load_leads):
    load_leads(*LEADS, key=KEY)
    with engine.begin() as connection:
        connection.execute(sa.text(NOTES))
    assert load_leads(LEADS[0], mode="replace").rows_removed == 3


def test_a_table_that_is_empty_is_filled_only_while_nobody_else_can_write(engine, execute, load_leads):
    """Whoever writes between the look into the table and the INSERT would be written twice."""
    execute("CREATE TABLE leads (lead_id TEXT, email TEXT)")
    locked = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def write_too(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO leads") and "1 = 0" not in statement:
            with (
                sqlite3.connect(engine.url.database, timeout=0) as other,
                pytest.raises(sqlite3.OperationalError),
            ):
                other.execute("INSERT INTO leads (lead_id) VALUES ('1')")
            locked.append(statement)

    load_leads(*LEADS)
    assert len(locked) == 1
    assert execute("SELECT count(*) FROM leads") == [(3,)]
