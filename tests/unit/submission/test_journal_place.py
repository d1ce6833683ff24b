"""Which traces of earlier places bind an attempt, and what a damaged trace does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.submission.errors import (
    JournalCorruptError,
    JournalMissingError,
    JournalUnavailableError,
)
from airflow_provider_cleanlist.submission.journal import token_hash
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables
from airflow_provider_cleanlist.submission.stored.places import (
    PLACES_KEY,
    JournalPlace,
    PlaceTrace,
    places_that_count,
)

HERE, THERE = JournalPlace.at("ledger", "here"), JournalPlace.at("ledger", "there")
STATE = JournalPlace("task state")


class State:
    def __init__(self, **values: Any) -> None:
        self.values = values
        self.writes = 0

    def read(self, key: str) -> Any:
        return self.values.get(key)

    def write(self, key: str, value: dict[str, Any]) -> None:
        self.writes += 1
        self.values[key] = value


@pytest.mark.parametrize(
    ("token", "count"),
    [("", "abc"), ("new", ""), ("x", "bc"), ("y", "c")],
)
def test_a_token_counts_what_came_since_its_first_use(token: str, count: str) -> None:
    places = {name: JournalPlace.at("directory", name) for name in "abc"}
    traces = [(places["a"], ""), (places["b"], "x"), (places["c"], "y")]
    assert places_that_count(traces, token) == [places[name] for name in count]


def test_a_trace_is_left_once_for_each_place_and_token() -> None:
    state = State()
    for token in ("", "", "x", "x"):
        PlaceTrace(state, HERE, token).keep()
    assert state.writes == 2
    assert [entry["token"] for entry in state.values[PLACES_KEY]["places"]] == ["", token_hash("x")]


@pytest.mark.parametrize(
    ("before", "now", "text"),
    [
        (HERE, THERE, "in a ledger; this one would use another ledger"),
        (STATE, HERE, "in Airflow's task state store; this one would use a ledger"),
        (HERE, STATE, "in a ledger; this one would use Airflow's task state store"),
    ],
)
def test_another_place_is_named(before: JournalPlace, now: JournalPlace, text: str) -> None:
    state = State()
    PlaceTrace(state, before, "").keep()
    with pytest.raises(JournalMissingError, match=text):
        PlaceTrace(state, now, "")
    assert state.writes == 1


def test_who_has_submitted_in_two_places_is_told_how_to_go_on() -> None:
    """Each place alone says that the other one is missing; the value that started over in the second one does."""
    state = State()
    PlaceTrace(state, HERE, "").keep()
    PlaceTrace(state, THERE, "again").keep()
    for place, token in ((HERE, ""), (HERE, "again"), (THERE, "")):
        with pytest.raises(JournalMissingError, match="if one has done that before, keep giving that value"):
            PlaceTrace(state, place, token)
    assert PlaceTrace(state, THERE, "again").must_know


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        [],
        7,
        {"version": 2, "places": []},
        {"version": 1},
        {"version": 1, "places": [{}]},
        {"version": 1, "places": [{"kind": "elsewhere", "location": "", "token": ""}]},
        {"version": 1, "places": None},
    ],
)
def test_a_damaged_trace_is_not_taken_for_none(damaged: Any) -> None:
    with pytest.raises(JournalCorruptError, match=PLACES_KEY):
        PlaceTrace(State(**{PLACES_KEY: damaged}), HERE, "")


def test_a_state_that_cannot_be_read_stops() -> None:
    class Away(State):
        def read(self, key: str) -> Any:
            raise JournalUnavailableError("away")

    with pytest.raises(JournalUnavailableError):
        PlaceTrace(Away(), HERE, "")


def test_a_ledger_is_told_by_its_database_not_by_who_connects() -> None:
    def location(url: str, schema: str | None = None) -> str:
        database = LedgerDatabase.__new__(LedgerDatabase)
        parsed = sa.make_url(url)
        default = {"postgresql": "public", "mysql": parsed.database, "mariadb": parsed.database}
        name = parsed.get_backend_name()
        dialect = SimpleNamespace(name=name, default_schema_name=default[name])
        database.engine = SimpleNamespace(url=parsed, dialect=dialect)  # type: ignore[assignment]  # no driver needed
        database.tables = ledger_tables(schema)
        return database.location

    same = {
        location(url)
        for url in (
            "postgresql+psycopg2://a:secret@DB.example/x",
            "postgresql+psycopg://b@db.example:5432/x",
        )
    }
    assert len(same) == 1
    assert "secret" not in same.pop()
    assert len({location(f"postgresql+psycopg2://{rest}") for rest in ("h/x", "h/y", "i/x", "h:6432/x")}) == 4
    assert location("postgresql+psycopg2://h/x") != location("postgresql+psycopg2://h/x", "ledger")
    assert location("postgresql+psycopg2://h/x") == location("postgresql+psycopg2://h/x", "public")
    assert location("mysql+pymysql://h/x") == location("mariadb+pymysql://h:3306/x")
