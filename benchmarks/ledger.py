"""What the ledger costs: 100,000 contacts submitted against a ledger that knows 10,000,000, on PostgreSQL.

    .venv/bin/python benchmarks/ledger.py [--known N] [--contacts N]

prints the table of benchmarks/results/ledger.md, "Ledger". A tenth of the contacts was submitted before, in other runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scripts")]
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
ORGANISATION = "6f0c8a52-7d27-4c1b-9f53-0d5f8e1a0001"
BATCH_SIZE = 250
ASKED_AT_ONCE = 500
FILL = (
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '512MB'",
    """
INSERT INTO cleanlist_batches (batch_id, organisation, dag_id, run_id, task_id, map_index, try_number, token,
    task_key, state, enrichment_type, contacts, worst_case_credits, workflow_id, note, submitted_at, changed_at)
SELECT md5('batch' || number), '{organisation}', 'dag' || mod(number, 50), 'scheduled__' || number / 400, 'enrich', -1,
    1, '', md5('task' || number / 400), 'accepted', 'partial', {size}, {size}, md5('workflow' || number), '',
    now() - mod(number, 365) * interval '1 day', now()
FROM generate_series(0, {batches} - 1) AS number
""",
    "ALTER TABLE cleanlist_contacts DROP CONSTRAINT cleanlist_contacts_pkey",  # they are made anew much faster
    "DROP INDEX cleanlist_contacts_person",
    """
INSERT INTO cleanlist_contacts (batch_id, position, organisation, person)
SELECT md5('batch' || number / {size}), mod(number, {size}), '{organisation}', substr(md5('person' || number), 1, 24)
FROM generate_series(0, {known} - 1) AS number
""",
    "ALTER TABLE cleanlist_contacts ADD PRIMARY KEY (batch_id, position)",
    "CREATE INDEX cleanlist_contacts_person ON cleanlist_contacts (person)",
    "VACUUM ANALYZE",
    "CHECKPOINT",
)


@contextmanager
def filled_ledger(known: int) -> Iterator[Any]:
    """Yield a ledger that knows so many persons, as a task opens it."""
    from loading_servers import PostgreSQL

    from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase

    with tempfile.TemporaryDirectory() as folder, PostgreSQL.running(Path(folder)) as server:
        os.environ["AIRFLOW_CONN_LEDGER"] = server.connection
        database = LedgerDatabase.of_connection("ledger")
        values = {
            "organisation": ORGANISATION,
            "size": BATCH_SIZE,
            "batches": known // BATCH_SIZE,
            "known": known,
        }
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in FILL:
                started = time.perf_counter()
                connection.exec_driver_sql(statement.format(**values))
                name = " ".join(statement.split()[:4])
                print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        yield database, server
        database.engine.dispose()


def persons(contacts: int, known: int) -> list[bytes]:
    """Return the contacts' hashes in no order; a tenth is in the ledger."""
    import hashlib

    chance = random.Random(1)
    earlier = [
        bytes.fromhex(hashlib.md5(f"person{number}".encode()).hexdigest()[:24])
        for number in chance.sample(range(known), contacts // 10)
    ]
    found = earlier + [chance.randbytes(12) for _ in range(contacts - len(earlier))]
    chance.shuffle(found)
    return found


def memory() -> float:
    """Return the most memory that this process has had so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class Timed:
    """How long each call of something took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, action: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = action()
        self.seconds.append(time.perf_counter() - started)
        return found

    def __str__(self) -> str:
        middle, worst = statistics.median(self.seconds), max(self.seconds)
        calls = f"{len(self.seconds)} calls" if len(self.seconds) > 1 else "one call"
        return f"{sum(self.seconds):.2f} s in {calls}, median {1000 * middle:.1f} ms, longest {1000 * worst:.0f} ms"


def parts(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def measure(database: Any, server: Any, contacts: int, known: int) -> None:
    """Do what a run does with its ledger, and print what that took."""
    from journal import run_seconds

    from airflow_provider_cleanlist.client.enrichment import EnrichmentType
    from airflow_provider_cleanlist.submission.history import ContactHistory, OnUnknown, decide
    from airflow_provider_cleanlist.submission.ledger.journal import LedgerJournal
    from airflow_provider_cleanlist.submission.ledger.tasks import LedgerTask

    def is_due(history: ContactHistory) -> bool:
        return (
            decide(history, EnrichmentType.PARTIAL, OnUnknown.FAIL).enrichment_type is EnrichmentType.PARTIAL
        )

    def opened() -> Any:
        task = LedgerTask("crm_enrichment", "scheduled__2026-11-30", "enrich")
        return LedgerJournal(
            database, task, try_number=1, organisation=ORGANISATION, window=timedelta(days=400)
        )

    everybody = persons(contacts, known)
    opening, asking, intents, answers, again, new_rows, same_rows = (Timed() for _ in range(7))
    before, cpu, cpu_server = memory(), time.process_time(), server.cpu()
    journal = opening(opened)
    due: list[bytes] = []
    for part in parts(everybody, ASKED_AT_ONCE):
        histories = asking(lambda part=part: journal.histories(part))
        due += [person for person, history in zip(part, histories, strict=True) if is_due(history)]
    for number, part in enumerate(parts(due, BATCH_SIZE)):
        batch = intents(lambda part=part: journal.begin(part, "partial", time.time(), is_due))
        ids = [f"{number:08x}-0000-4000-8000-{position:012x}" for position in range(len(part))]
        answers(
            lambda batch=batch, ids=ids, number=number: journal.accept(batch, f"w{number}", ids, time.time())
        )
    cpu, cpu_server = time.process_time() - cpu, server.cpu() - cpu_server
    for timed in (new_rows, same_rows):
        timed(lambda: journal.keep_source_rows((f"C-{n}", person) for n, person in enumerate(everybody)))
    added = memory() - before
    reopened = again(opened)
    assert sum(batch.size for batch in reopened.batches) == len(due) == contacts - contacts // 10
    batches = len(intents.seconds)
    in_the_way = (sum(intents.seconds) + sum(answers.seconds)) / batches
    total = sum(sum(timed.seconds) for timed in (opening, asking, intents, answers))
    alone, kept = run_seconds(batches, journal=0.0), run_seconds(batches, journal=in_the_way)
    longer = kept - alone + sum(opening.seconds) + sum(asking.seconds)
    rows = [
        ("opening", opening),
        (f"histories, {ASKED_AT_ONCE} persons a query", asking),
        (f"intents of {BATCH_SIZE}", intents),
        ("answers, with task ids", answers),
        ("all of it", f"{total:.1f} s"),
        ("CPU of it", f"{cpu:.1f} s of the task, {cpu_server:.1f} s of the server"),
        (
            "run at 60 requests a minute",
            f"{alone:.1f} s without a ledger; longer by {longer:.1f} s, {100 * longer / alone:.1f} %, of which "
            f"{kept - alone:.1f} s after the first request",
        ),
        ("with id_column: source rows, new", new_rows),
        ("with id_column: source rows, the next night", same_rows),
        ("memory added at most", f"{added:.1f} MB (50 was asked)"),
        ("opening again, by a later attempt", f"{again}; {memory() - before - added:.1f} MB more"),
    ]
    with database.engine.connect() as connection:
        size = "SELECT pg_size_pretty(pg_database_size(current_database()))"
        rows.append(("the database", connection.execute(sa.text(size)).scalar()))
    print(f"| {contacts:,} contacts, {known:,} known | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    print(json.dumps({"load": os.getloadavg()}), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--known", type=int, default=10_000_000)
    parser.add_argument("--contacts", type=int, default=100_000)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    with filled_ledger(arguments.known) as (database, server):
        measure(database, server, arguments.contacts, arguments.known)


if __name__ == "__main__":
    main()
