"""Nobody is paid for twice, whenever a task is killed: real tasks that share a ledger die by SIGKILL, over and over.

    .venv/bin/python benchmarks/ledger_kills.py [--kills N] [--people N] [--seconds N] [sqlite] [postgresql] [mariadb]

Each round, two tasks submit the same people in different orders with ``skip_submitted_within``: two runs, or two map
indexes of one run. They are killed at random moments and come back as a new attempt, until the round has had its kills.
The sandbox's own record judges: nobody may be submitted twice, and who was not submitted must be in a batch of unknown
outcome. One line of JSON is printed for each database; the exit code is 1 if anybody was paid for twice or lost.

``mariadb`` needs mariadbd and the packages of ``nox -s warehouses``. With LEDGER_CONNECTION, an Airflow connection as
JSON, an existing empty database is used instead.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scripts")]
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

KILLS_IN_A_ROUND = 12
BATCH_SIZE = 20
PRELOADED = [
    "airflow_provider_cleanlist.operators.bulk_enrich",
    "airflow_provider_cleanlist.submission.task",
    "airflow_provider_cleanlist.submission.ledger.journal",
    "airflow_provider_cleanlist.warehouse.connect",
    "airflow.providers.common.sql.hooks.sql",
]


def people(number_of_round: int, count: int) -> list[dict[str, str]]:
    """Return the contacts of a round: invented, and nobody else's."""
    prefix = f"person-{number_of_round}"
    return [
        {"linkedin_url": f"https://www.linkedin.com/in/{prefix}-{index}-example"} for index in range(count)
    ]


def run_task(connections: dict[str, str], task: dict[str, Any], result: Any) -> None:
    """Run one attempt of a task in this process."""
    os.environ.update(connections, AIRFLOW__CLEANLIST__LEDGER_CONN_ID="ledger")
    from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

    contacts = people(task["round"], task["people"])
    random.Random(repr([task["round"], task["number"], task["attempt"]])).shuffle(contacts)
    operator = BulkEnrichOperator(
        task_id="t",
        contacts=contacts,
        batch_size=BATCH_SIZE,
        on_unknown_submission="skip",
        skip_submitted_within=timedelta(days=30),
    )
    ti = SimpleNamespace(
        dag_id="d", run_id=task["run"], task_id="t", map_index=task["index"], try_number=task["attempt"]
    )
    found = operator.execute({"ti": ti, "outlet_events": {}})
    result.send({name: found[name] for name in ("contacts_submitted", "known_contacts", "unknown_contacts")})


class Attempts:
    """One task over its attempts: whenever it is killed, a new one begins."""

    def __init__(self, context: Any, connections: dict[str, str], task: dict[str, Any]) -> None:
        self._context = context
        self._connections = connections
        self._task = task | {"attempt": 0}
        self.result: dict[str, int] | None = None
        self._start()

    def _start(self) -> None:
        self._task["attempt"] += 1
        self._answers, sender = self._context.Pipe(duplex=False)
        self.process = self._context.Process(
            target=run_task, args=(self._connections, dict(self._task), sender)
        )
        self.process.start()
        sender.close()

    def kill(self) -> bool:
        """Kill the attempt that runs and begin a new one; return False if it had ended before."""
        self.process.kill()
        self.process.join()
        if self.process.exitcode == 0:
            self.finish()
            return False
        if self.process.exitcode != -9:
            raise RuntimeError(
                f"an attempt that was not killed failed with exit code {self.process.exitcode}"
            )
        self._start()
        return True

    def finish(self) -> None:
        """Wait until the task has succeeded."""
        if self.result is None:
            self.process.join(120)
            if self.process.exitcode != 0:
                self.process.kill()
                raise RuntimeError(f"the last attempt ended with {self.process.exitcode}")
            self.result = self._answers.recv()


class Judge:
    """Counts what happened to everybody, by the sandbox's record."""

    def __init__(self, engine: Any, server: Any) -> None:
        self._engine = engine
        self._server = server
        self.counts = {
            "rounds": 0,
            "kills": 0,
            "people": 0,
            "submitted": 0,
            "unknown": 0,
            "twice": 0,
            "lost": 0,
        }

    def note(self, number_of_round: int, count: int, kills: int, tasks: list[Attempts]) -> None:
        """Add a round."""
        import sqlalchemy as sa

        from airflow_provider_cleanlist.contacts.identity import identity, normalise
        from airflow_provider_cleanlist.sandbox.people import Person, identity_of

        query = sa.text(
            "SELECT c.person FROM cleanlist_contacts c JOIN cleanlist_batches b ON b.batch_id = c.batch_id "
            "WHERE b.state IN ('intent', 'unknown')"
        )
        with self._engine.connect() as connection:
            unknown = {row[0] for row in connection.execute(query)}
        times = self._server.ledger.times_submitted()
        contacts = people(number_of_round, count)
        submitted = [times[identity_of(Person(**contact))] for contact in contacts]
        self.counts["rounds"] += 1
        self.counts["kills"] += kills
        self.counts["people"] += count
        self.counts["submitted"] += sum(number > 0 for number in submitted)
        self.counts["twice"] += sum(number > 1 for number in submitted)
        for contact, number in zip(contacts, submitted, strict=True):
            is_unknown = identity(normalise(contact)).hex() in unknown
            self.counts["unknown"] += is_unknown
            self.counts["lost"] += not (number or is_unknown)
        # Each task accounts for everybody, so nobody is missing in what it tells its user.
        for task in tasks:
            assert task.result is not None
            told = sum(task.result.values())
            is_mapped = (
                task._task["index"] >= 0
            )  # what another map index submitted is not counted as one's own
            assert told == count or (is_mapped and told < count), task.result


def wait_for_submits(server: Any, more: int, running: list[Attempts]) -> None:
    """Wait until so many more batches were accepted, or a task has ended, for 30 s at most."""
    enough = len(server.ledger.accepted_submits) + more
    end = time.monotonic() + 30
    while len(server.ledger.accepted_submits) < enough and time.monotonic() < end:
        if not all(task.process.is_alive() for task in running):
            return
        time.sleep(0.01)


@contextmanager
def ledger_connection(kind: str) -> Iterator[str]:
    """Yield the Airflow connection of an empty database."""
    if given := os.environ.get("LEDGER_CONNECTION"):
        yield given
        return
    from loading_servers import MariaDB, PostgreSQL, SQLite

    servers = {"sqlite": SQLite, "postgresql": PostgreSQL, "mariadb": MariaDB}
    with tempfile.TemporaryDirectory() as folder, servers[kind].running(Path(folder)) as server:
        yield server.connection


def measure(kind: str, *, kills: int, count: int, seconds: float, seed: int) -> dict[str, Any]:
    """Run rounds until there were so many kills, or the time is over."""
    from airflow_provider_cleanlist.sandbox.server import SandboxServer

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    chance = random.Random(seed)
    limits = {"requests_per_minute": 100_000, "credits": 10_000_000, "seconds_to_complete": 0}
    warm_up = context.Process(
        target=print, args=("",), kwargs={"end": ""}
    )  # the imports are not on the clock
    warm_up.start()
    warm_up.join()
    with ledger_connection(kind) as connection, SandboxServer(**limits) as server:
        cleanlist = json.loads(server.connection_json())
        cleanlist["extra"] |= {"max_retries": 0, "rate_limit_store": "memory://"}
        connections = {
            "AIRFLOW_CONN_CLEANLIST_DEFAULT": json.dumps(cleanlist),
            "AIRFLOW_CONN_LEDGER": connection,
        }
        os.environ.update(connections)
        from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase

        judge = Judge(LedgerDatabase.of_connection("ledger").engine, server)
        end = time.monotonic() + seconds
        while judge.counts["kills"] < kills and time.monotonic() < end:
            number = judge.counts["rounds"]
            is_mapped = number % 2 == 1
            tasks = [
                Attempts(
                    context,
                    connections,
                    {
                        "round": number,
                        "people": count,
                        "number": task,
                        "run": f"r{number}" if is_mapped else f"r{number}-{task}",
                        "index": task if is_mapped else -1,
                    },
                )
                for task in range(2)
            ]
            killed = 0
            while killed < KILLS_IN_A_ROUND and judge.counts["kills"] + killed < kills:
                running = [task for task in tasks if task.result is None]
                if not running or time.monotonic() > end:
                    break
                if chance.random() < 0.8:  # else it may not have begun to submit
                    wait_for_submits(server, chance.randint(1, 6), running)
                time.sleep(chance.uniform(0.0, 0.4))  # the moment is what is random
                killed += chance.choice(running).kill()
            for task in tasks:
                task.finish()
            judge.note(number, count, killed, tasks)
    return {"database": kind, **judge.counts}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "databases", nargs="*", default=[], help="sqlite, postgresql, mariadb; the first two if none"
    )
    parser.add_argument("--kills", type=int, default=40, help="for each database")
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="for each database at most, and a last round"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    is_clean = True
    with tempfile.TemporaryDirectory() if "AIRFLOW_HOME" not in os.environ else nullcontext() as home:
        if home:
            os.environ["AIRFLOW_HOME"] = home
        for kind in arguments.databases or ["sqlite", "postgresql"]:
            found = measure(
                kind,
                kills=arguments.kills,
                count=arguments.people,
                seconds=arguments.seconds,
                seed=arguments.seed,
            )
            print(json.dumps(found | {"seed": arguments.seed}), flush=True)
            is_clean &= found["twice"] == found["lost"] == 0
    sys.exit(0 if is_clean else 1)


if __name__ == "__main__":
    main()
