"""Loads in processes of their own: killed at random moments, and measured."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).with_name("loads_in_processes.py")
KILLS = 24


class Loads:
    """A process that runs one load after the other, each in a process of its own."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SCRIPT, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        size: int,
        note: str,
        *,
        pause: float = 0,
        batch_rows: int = 10_000,
        kill_after: float | None = None,
    ) -> list[dict[str, Any]]:
        """Run a load; return what it answered. The last answer tells its exit code."""
        what = {"size": size, "note": note, "pause": pause, "batch_rows": batch_rows}
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answers = [self._answer()]
        while "pid" not in answers[-1]:
            answers.append(self._answer())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):  # it has ended
                os.kill(answers[-1]["pid"], signal.SIGKILL)
        while "exit" not in answers[-1]:
            answers.append(self._answer())
        return answers

    def _answer(self) -> dict[str, Any]:
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def start(open_postgres) -> Iterator[Callable[[], Loads]]:
    """Start a process that loads into this test's database."""
    url = open_postgres("psycopg2").url.render_as_string(hide_password=False)
    started = []

    def begin() -> Loads:
        started.append(Loads(url))
        return started[-1]

    yield begin
    for loads in started:
        loads.stop()


def test_kill_9_at_random_moments_loses_and_doubles_nothing(start, open_postgres):
    """Two loads, one after the other; each try is killed until one comes through."""
    engine = open_postgres()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    loads = start()
    for note in ("a", "b"):
        committed = 0
        for kill in range(KILLS // 2 + 1):
            moment = dice.uniform(0, 0.25) if kill < KILLS // 2 else None
            answers = loads.run(8_000, note, pause=0.02, batch_rows=1_500, kill_after=moment)
            pages = [answer["page"] for answer in answers if "page" in answer]
            assert pages[:1] in ([], [committed]), "a committed page was read again"
            if answers[-1]["exit"] == 0:
                break
            assert answers[-1]["exit"] == -signal.SIGKILL
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
    def run(size: int) -> dict[str, Any]:
        *_, done, end = start().run(size, "n")
        assert end == {"exit": 0}
        return done

    small, large = run(20_000), run(100_000)
    assert (small["rows"], large["rows"]) == (20_000, 100_000)
    assert large["peak_kib"] - small["peak_kib"] < 15 * 1024
