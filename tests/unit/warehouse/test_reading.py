from __future__ import annotations

import contextvars
import json
import threading
import time
from contextlib import closing
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.input_limits import PAGES_IN_MEMORY
from airflow_provider_cleanlist.warehouse import reading, values
from airflow_provider_cleanlist.warehouse.errors import LoadDataError
from airflow_provider_cleanlist.warehouse.loader import load
from airflow_provider_cleanlist.warehouse.plan import Checkpoint
from airflow_provider_cleanlist.warehouse.reading import (
    BATCH_ROWS,
    BATCH_SECONDS,
    Progress,
    duration,
    prefetch,
    should_commit,
)
from airflow_provider_cleanlist.warehouse.staging import Stage


def test_items_come_in_order():
    assert list(prefetch(iter(range(100)), ahead=3)) == list(range(100))


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ConnectionError("down")

    pages = prefetch(items(), ahead=3)
    assert next(pages) == 1
    with pytest.raises(ConnectionError, match="down"):
        next(pages)


def test_even_what_is_no_exception_is_passed_on():
    def items():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        next(prefetch(items(), ahead=1))


def test_at_most_so_many_items_wait():
    fetched = []

    def items():
        for number in range(50):
            fetched.append(number)
            yield number

    with closing(prefetch(items(), ahead=2)) as pages:
        next(pages)
        time.sleep(0.1)
        assert len(fetched) <= 1 + 2 + 1


def test_nothing_is_read_ahead_if_nothing_may_wait():
    items = iter(range(3))
    with closing(prefetch(items, ahead=0)) as pages:
        assert next(pages) == 0
        assert list(items) == [1, 2]


def test_fetching_goes_on_while_the_consumer_works():
    fetched = [threading.Event() for _ in range(4)]

    def items():
        for number, event in enumerate(fetched):
            event.set()
            yield number

    for number in prefetch(items(), ahead=4):
        assert all(event.wait(10) for event in fetched[: number + 2])  # the next one, too


def test_closing_ends_the_thread():
    with closing(prefetch(iter(range(10**9)), ahead=1)) as pages:
        next(pages)
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "cleanlist-prefetch"]
    thread.join(5)
    assert not thread.is_alive()


def test_the_thread_sees_the_context_of_its_consumer():
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    assert list(prefetch((variable.get() for _ in range(1)), ahead=1)) == ["mine"]


def test_silence_is_told_once_until_the_next_item():
    go_on = threading.Event()

    def items():
        yield 1
        go_on.wait(10)
        yield 2

    with closing(prefetch(items(), ahead=1, patience=0.01)) as pages:
        assert next(pages) == 1
        assert next(pages) is None
        go_on.set()
        assert next(pages) == 2
        assert list(pages) == []


def test_a_line_comes_every_thirty_seconds_at_most():
    progress = Progress(now=100.0)
    at = Checkpoint(pages=20, rows=10_000, total=100_000)
    assert progress.line(at, 129.0) is None
    assert progress.line(at, 130.0) == "20 pages, 10,000 of 100,000 rows read, 333 rows/s, about 4 min left"
    assert progress.line(at, 140.0) is None


def test_the_rate_is_that_of_this_try():
    progress = Progress(now=0.0, rows=50_000)
    line = progress.line(Checkpoint(pages=120, rows=56_000, total=60_000), 60.0)
    assert line == "120 pages, 56,000 of 60,000 rows read, 100 rows/s, about 40 s left"


@pytest.mark.parametrize("total", [None, 0, 500])
def test_nothing_is_expected_of_an_unknown_or_reached_total(total):
    line = Progress(now=0.0).line(Checkpoint(pages=1, rows=500, total=total), 50.0)
    assert "left" not in line
    assert line.endswith("10 rows/s")


def test_summary():
    assert (
        Progress(now=0.0).summary(Checkpoint(pages=2, rows=1000), 4.0)
        == "2 pages, 1,000 rows in 4 s (250 rows/s)"
    )
    assert Progress(now=0.0).summary(Checkpoint(pages=1, rows=1), 1.0) == "1 page, 1 row in 1 s (1 rows/s)"
    assert Progress(now=0.0).summary(Checkpoint(), 0.0) == "0 pages, 0 rows in 0 s (0 rows/s)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "1 h 0 min"), (11_100, "3 h 5 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@dataclass
class Heavy:
    """A page that counts much in memory."""

    number: int
    weight: int
    total: int | None = None

    @property
    def records(self):
        return [{"lead_id": str(self.number)}] if self.number else [{"lead_id": None}]

    @property
    def cursor(self):
        return None if self.number == 6 else str(self.number)


@dataclass
class Wide:
    records: list
    cursor: str | None
    total: int = 31


def committed_pages(engine) -> int:
    with engine.connect() as connection:
        return json.loads(connection.execute(sa.text("SELECT checkpoint FROM _cleanlist_loads")).scalar())[
            "pages"
        ]


@pytest.mark.parametrize(
    ("weight", "uncommitted"),
    [
        (PAGES_IN_MEMORY, 0),
        (PAGES_IN_MEMORY // 2, 1),  # one is written while the next one is read
        (PAGES_IN_MEMORY // 4, 3),
        (1, 5),
    ],
)
def test_reading_waits_until_heavy_pages_are_in_the_database(engine, make_spec, weight, uncommitted):
    behind = []

    def pages(_):
        for number in range(1, 7):
            behind.append(number - 1 - committed_pages(engine))
            yield Heavy(number, weight)

    assert load(engine, make_spec(row_count_check="off"), pages).rows_written == 6
    assert max(behind) <= uncommitted
    assert weight > 1 or behind == [*range(6)]  # light ones are committed together


def test_a_reader_that_waits_for_room_ends_with_the_load(engine, make_spec):
    def pages(_):
        yield Heavy(1, PAGES_IN_MEMORY // 2 - 1)
        yield Heavy(0, PAGES_IN_MEMORY)  # without an id
        yield from (Heavy(number, PAGES_IN_MEMORY) for number in range(2, 6))

    with pytest.raises(LoadDataError, match="has no lead_id"):
        load(engine, make_spec(), pages)
    for thread in threading.enumerate():
        if thread.name == "cleanlist-prefetch":
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("crash_at", [None, 3, 7])
def test_a_wide_page_is_written_in_parts_and_counts_once_it_is_whole(
    engine, make_spec, monkeypatch, crash_at
):
    """Without parts, all its cells are in memory at once, however few values it has."""
    for module in (reading, values):
        monkeypatch.setattr(module, "CELLS", 300)
    fields = {f"f{number}": 1 for number in range(89)}
    leads = [{"lead_id": "0", **fields}, *({"lead_id": str(number)} for number in range(1, 30))]
    waiting, adds = [], []
    add = Stage.add

    def counted(stage, rows, columns):
        adds.append(len(rows))
        if len(adds) == crash_at:
            raise ConnectionError("down")
        add(stage, rows, columns)
        waiting.append(sum(map(len, stage._waiting)))

    def pages(cursor):
        if cursor is None:
            yield Wide([{"lead_id": "first"}], "2")
        yield Wide(leads, None)

    monkeypatch.setattr(Stage, "add", counted)
    if crash_at:
        with pytest.raises(ConnectionError):
            load(engine, make_spec(), pages)
        assert committed_pages(engine) == 1
    assert load(engine, make_spec(), pages).rows_written == 31
    assert max(waiting) <= 300 + 2 * 3
    assert len(adds) > 10


@pytest.mark.parametrize(
    ("rows", "seconds", "commit"),
    [
        (BATCH_ROWS, 0, True),
        (BATCH_ROWS - 1, 0, False),
        (1, BATCH_SECONDS, True),
        (1, BATCH_SECONDS - 1, False),
        (0, 10 * BATCH_SECONDS, False),
    ],
)
def test_when_pages_are_committed(rows, seconds, commit):
    assert should_commit(rows, seconds) is commit
