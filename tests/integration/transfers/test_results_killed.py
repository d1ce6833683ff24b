"""Reading results one by one, killed with SIGKILL again and again at random moments.

``KILL_CONTACTS`` and ``KILL_TIMES`` make it larger; ``KILL_SEED`` repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.sandbox.server import SandboxServer

from .tries import Tries

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, credits=10**7),
]
CONTACTS = int(os.environ.get("KILL_CONTACTS", "300"))
TIMES = int(os.environ.get("KILL_TIMES", "8"))
AT_THE_END = 4
"""Kills after the last contact was read: while it is published, and until Airflow knows of it."""


def some_time_after(when: Callable[[], bool], seconds: float) -> Callable[[], None]:
    """Return what ends when so many seconds have passed since a condition holds."""

    def wait() -> None:
        while not when():
            time.sleep(0.001)
        time.sleep(seconds)

    return wait


@pytest.fixture
def tries(tmp_path: Path) -> Iterator[Callable[[dict[str, list[str]]], Tries]]:
    started: list[Tries] = []

    def start(task_ids: dict[str, list[str]]) -> Tries:
        path = tmp_path / "task_ids.json"
        path.write_text(json.dumps(task_ids))
        started.append(Tries("results_in_tries.py", str(path), tmp_path / "tries.log"))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(params=["sqlite", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> sa.engine.Engine:
    engine: sa.engine.Engine = request.getfixturevalue(f"{request.param}_warehouse")
    return engine


def submit(contacts: int) -> dict[str, list[str]]:
    hook = CleanlistHook()
    people = [
        {"first_name": "Ines", "last_name": f"V{n}", "company_domain": "found-both.example"}
        for n in range(contacts)
    ]
    batches = [people[start : start + 250] for start in range(0, contacts, 250)]
    accepted = [hook.submit_bulk_enrichment(batch, "full") for batch in batches]
    return {workflow.workflow_id: list(workflow.task_ids) for workflow in accepted}


def test_killed_at_any_moment(
    sandbox: SandboxServer, warehouse: sa.engine.Engine, tries: Any, tmp_path: Path
) -> None:
    """A kill costs one contact at most: the one whose answer was not in the warehouse yet."""
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().getrandbits(32)))
    chance = random.Random(seed)
    task_ids = submit(CONTACTS)
    sandbox.ledger.clear()
    reads = sandbox.ledger.task_reads
    running, endings = tries(task_ids), []
    for _ in range(TIMES):
        target = reads.total() + chance.randrange(2 * CONTACTS // (TIMES + 2))
        until = min(target, CONTACTS - 1)
        reached = some_time_after(lambda: reads.total() >= until, chance.uniform(0, 0.02))  # noqa: B023
        endings.append(running.run(until=reached))
    while len(reads) < CONTACTS or endings.count(-signal.SIGKILL) < TIMES + AT_THE_END:
        all_read = some_time_after(lambda: len(reads) == CONTACTS, chance.uniform(0, 0.2))
        endings.append(running.run(until=all_read))
        if endings[-1] == 0:
            break
    else:
        endings.append(running.run())
    kills = endings.count(-signal.SIGKILL)
    again = reads.total() - CONTACTS
    line = f"seed {seed}: {CONTACTS} contacts, {kills} kills, {again} contacts read again"
    print(line)
    assert set(endings) <= {-signal.SIGKILL, 0}, (line, (tmp_path / "tries.log").read_text()[-3000:])
    assert endings[-1] == 0, line
    assert again <= kills, line
    # besides, each try may ask one workflow whether its answer carries results
    questions = len(sandbox.ledger.requests(endpoint="enrich_status")) - reads.total()
    assert questions <= kills + 1 + again, line
    with warehouse.connect() as connection:
        loaded = connection.execute(sa.text("SELECT task_id FROM results")).scalars().all()
    assert sorted(loaded) == sorted(task_id for ids in task_ids.values() for task_id in ids), line
    tables = [name for name in sa.inspect(warehouse).get_table_names() if "stage" in name]
    assert tables == [], line
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["rows_written"] == CONTACTS, line
