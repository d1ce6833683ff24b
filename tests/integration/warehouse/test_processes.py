"""Loads in processes of their own: killed at random moments, and measured."""

from __future__ import annotations

import multiprocessing
import random
import resource
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.loader import load
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

pytestmark = pytest.mark.integration

FORK = multiprocessing.get_context("fork")
KILLS = 24


def make_lead(number: int, note: str) -> dict[str, Any]:
    return {
        "lead_id": f"{number:08d}",
        "first_name": "Zoë",
        "last_name": "Müller-Straße",
        "email": f"z{number}@x.example",
        "company": "Brindle, Works & Söhne",
        "location": "Łódź, Poland",
        "linkedin_url": f"https://www.linkedin.com/in/{number}-example",
        "note": note * 60,
    }


def load_in_child(
    answers: Connection, url: str, size: int, note: str, pause: float, batch_rows: int, page
) -> None:
    def read(cursor: str | None) -> Iterator[Any]:
        for start in range(int(cursor or 0), size, 500):
            answers.send(start)
            time.sleep(pause)
            end = min(start + 500, size)
            yield page(
                [make_lead(n, note) for n in range(start, end)], size, str(end) if end < size else None
            )

    spec = LoadSpec(list_id="L", load_id=f"{note} {size}", run_id="dag/run", table=TableName("leads"))
    engine = sa.create_engine(url, hide_parameters=True)
    report = load(engine, spec, read, batch_rows=batch_rows)
    answers.send({"rows": report.rows_written, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})
    answers.close()


@pytest.fixture
def start(open_postgres, paged):
    """Start a load in a process of its own; return it and the end of the pipe that it answers through."""
    url = open_postgres().url.render_as_string(hide_password=False)
    page = type(next(iter(paged([[]])(None))))
    running = []

    def run(size: int, note: str, pause: float = 0, batch_rows: int = 10_000):
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=load_in_child, args=(theirs, url, size, note, pause, batch_rows, page))
        process.start()
        theirs.close()
        running.append((process, ours))
        return process, ours

    yield run
    for process, ours in running:
        process.kill()
        process.join(10)
        ours.close()


def answers_of(pipe: Connection) -> list[Any]:
    answers = []
    while True:
        try:
            answers.append(pipe.recv())
        except EOFError:
            return answers


def test_kill_9_at_random_moments_loses_and_doubles_nothing(start, open_postgres):
    """Two loads, one after the other; each try is killed until one comes through."""
    engine = open_postgres()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for note in ("a", "b"):
        committed = 0
        for kill in range(KILLS // 2 + 1):
            process, pipe = start(8_000, note, pause=0.02, batch_rows=1_500)
            if kill < KILLS // 2:
                time.sleep(dice.uniform(0, 0.25))
                process.kill()
            answers = answers_of(pipe)
            process.join(30)
            if answers and isinstance(answers[0], int):
                assert answers[0] == committed, "a committed page was read again"
            if process.exitcode == 0:
                break
            committed = committed_rows(engine)
        with engine.connect() as connection:
            counts = (
                "SELECT count(*), count(DISTINCT lead_id), min(left(note, 1)), max(left(note, 1)) FROM leads"
            )
            assert tuple(connection.execute(sa.text(counts)).one()) == (8_000, 8_000, note, note)
            tables = "SELECT relname FROM pg_class WHERE relname LIKE '\\_cleanlist\\_stage%'"
            assert connection.execute(sa.text(tables)).all() == []


def committed_rows(engine: sa.engine.Engine) -> int:
    query = "SELECT checkpoint::json ->> 'rows' FROM _cleanlist_loads"
    with engine.connect() as connection:
        try:
            return int(connection.execute(sa.text(query)).scalar() or 0)
        except sa.exc.ProgrammingError:
            return 0


def test_memory_does_not_grow_with_the_list(start):
    def run(size: int) -> dict[str, int]:
        _, pipe = start(size, "n")
        return answers_of(pipe)[-1]

    small, large = run(20_000), run(100_000)
    assert (small["rows"], large["rows"]) == (20_000, 100_000)
    assert large["kib"] - small["kib"] < 15 * 1024
