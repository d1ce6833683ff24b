"""Loads by export, killed with SIGKILL again and again while the file streams: at random moments, or after a commit.

``EXPORT_KILLS`` (default 2) is the number of kills with and without ranges; ``KILL_SEED`` repeats a run. A sweep:
``EXPORT_KILLS=50 pytest tests/integration/transfers/test_export_killed.py -s``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.sandbox.server import SandboxServer

from .tries import Tries

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1800),
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000),
]
KILLS = int(os.environ.get("EXPORT_KILLS", "2"))
LEADS = 8_000
BYTES_PER_SECOND = 1_000_000
"""So slow that parts are committed while the file streams."""


@pytest.fixture
def tries(sandbox: SandboxServer, postgres_warehouse: sa.engine.Engine, tmp_path: Path) -> Iterator[Tries]:
    del postgres_warehouse
    prospects = sandbox.state.add_leads("Prospects", LEADS)
    started = Tries("export_in_tries.py", prospects.list_id, tmp_path / "tries.log")
    yield started
    started.close()


@pytest.mark.parametrize("ranges", [True, False])
def test_killed_while_the_file_streams(
    sandbox: SandboxServer, postgres_warehouse: sa.engine.Engine, tries: Tries, tmp_path: Path, ranges: bool
) -> None:
    """0 leads lost, doubled or stale, in as many loads as the kills take; the list changes between them."""
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().getrandbits(32)))
    chance = random.Random(seed)
    sandbox.settings.change(export_ranges=ranges, export_bytes_per_second=BYTES_PER_SECOND)
    kills = loads = attempts = staged = 0
    size = LEADS

    def some_time() -> None:
        time.sleep(chance.uniform(0.1, 1.8))

    def a_commit() -> None:
        """Wait for one more part to be committed, and then a moment."""
        nonlocal staged
        before, give_up_at = _staged_pages(postgres_warehouse), time.monotonic() + 60
        while not tries.has_ended() and _staged_pages(postgres_warehouse) in (0, before):
            assert time.monotonic() < give_up_at, (tmp_path / "tries.log").read_text()[-2000:]
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.3))
        staged += not tries.has_ended() and _staged_pages(postgres_warehouse) > 0

    while kills < KILLS:
        run_id, loads, size = f"run {loads}", loads + 1, size - 7
        sandbox.state.add_leads("Prospects", size)
        ending, of_this_load = -signal.SIGKILL, 0
        while ending != 0:
            patient = of_this_load >= 6 or kills >= KILLS
            ending = tries.run(run_id, None if patient else chance.choice((some_time, a_commit)))
            attempts += 1
            assert ending in (0, -signal.SIGKILL), (seed, (tmp_path / "tries.log").read_text()[-2000:])
            if ending:
                kills, of_this_load = kills + 1, of_this_load + 1
        with postgres_warehouse.connect() as connection:
            counts = "SELECT count(*), count(DISTINCT lead_id) FROM leads"
            assert tuple(connection.execute(sa.text(counts)).one()) == (size, size), seed
            stages = "SELECT relname FROM pg_class WHERE relname LIKE '\\_cleanlist\\_stage%'"
            assert connection.execute(sa.text(stages)).all() == [], seed
    statuses = [entry.status for entry in sandbox.ledger.requests(endpoint="export_download")]
    print(
        f"seed {seed}: ranges {ranges}, {kills} kills, {staged} of them surely after a part was committed, "
        f"{loads} loads, {attempts} attempts, {statuses.count(206)} resumed by range"
    )
    assert ranges or 206 not in statuses


def test_a_killed_load_resumes_by_range(
    sandbox: SandboxServer, postgres_warehouse: sa.engine.Engine, tries: Tries, tmp_path: Path
) -> None:
    """The killed attempt committed a part: the next one asks for the bytes after it, and for no new export."""
    sandbox.settings.change(export_ranges=True, export_bytes_per_second=BYTES_PER_SECOND)

    def committed() -> None:
        give_up_at = time.monotonic() + 60
        while not _staged_pages(postgres_warehouse):
            assert time.monotonic() < give_up_at, (tmp_path / "tries.log").read_text()[-2000:]
            time.sleep(0.02)

    assert tries.run("run", committed) == -signal.SIGKILL
    assert tries.run("run") == 0, (tmp_path / "tries.log").read_text()[-2000:]
    with postgres_warehouse.connect() as connection:
        counts = "SELECT count(*), count(DISTINCT lead_id) FROM leads"
        assert tuple(connection.execute(sa.text(counts)).one()) == (LEADS, LEADS)
    statuses = [entry.status for entry in sandbox.ledger.requests(endpoint="export_download")]
    assert statuses == [200, 206]
    assert len(sandbox.ledger.requests(endpoint="export_csv")) == 1


def _staged_pages(warehouse: sa.engine.Engine) -> int:
    """Return how many parts of a load are committed."""
    if not sa.inspect(warehouse).has_table("_cleanlist_loads"):
        return 0
    with warehouse.connect() as connection:
        checkpoint = connection.execute(sa.text("SELECT checkpoint FROM _cleanlist_loads")).scalar()
    return int(json.loads(checkpoint)["pages"]) if checkpoint else 0
