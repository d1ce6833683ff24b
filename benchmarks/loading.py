"""How fast, and in how much memory, a list gets into a table: our loader beside what else there is.

    python benchmarks/loading.py --rows 50000 --database postgresql --results /tmp/loading.jsonl
    python benchmarks/loading.py --report /tmp/loading.jsonl

The first measures some cells, each in a fresh process, and adds them to a file; the second prints the tables of
benchmarks/results/loading.md. Times are compared within one run only: every run measures the database's own fastest way
beside the others. ``benchmarks/README.md`` tells what must be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scripts"))

import requests  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from airflow_runner import clean_environment  # noqa: E402
from loading_data import Data  # noqa: E402
from loading_report import report  # noqa: E402
from loading_servers import DATABASES, Database, count_rows, empty_target  # noqa: E402
from sandbox_process import API_KEY, SandboxProcess  # noqa: E402

MODES = ("merge", "replace", "append", "snapshot")
CELLS = (
    "copy",
    "parse",
    *MODES,
    "merge again",
    "replace again",
    "insert_rows",
    "xcom",
    "to_sql",
    "dlt",
    "readers",
    "http fetch",
    *(f"http {mode}" for mode in MODES),
    "http dlt rest_api",
    "slow fetch",
    "slow merge",
)
ANSWER_SECONDS = 0.05
NEVER_REFUSED = 100_000


class Bench:
    """Measures cells of one database and size.

    Args:
        database: Where the rows go.
        data: The pages.
        home: A folder for Airflow and dlt.
        sandbox: The API, for cells that go over HTTP.
    """

    def __init__(self, database: Database, data: Data, home: Path, sandbox: SandboxProcess | None) -> None:
        self._database = database
        self._data = data
        self._sandbox = sandbox
        self._environment = {
            **clean_environment(),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_WAREHOUSE": database.connection,
        }
        self._list_id = ""
        if sandbox is not None:
            self._environment["AIRFLOW_CONN_CLEANLIST_DEFAULT"] = sandbox.connection(
                requests_per_minute=NEVER_REFUSED, rate_limit_store="memory://"
            )
            self._list_id = make_list(sandbox, data.rows)

    def measure(self, cell: str) -> dict[str, Any] | None:
        """Measure one cell; None if the database has none such."""
        if cell in self._database.too_slow:
            return None
        self._database.settle()
        before, of_clients = self._database.cpu(), _cpu_of_children()
        result = self._measure(cell)
        if result is None or before is None:
            return result
        time.sleep(0.3)  # until the connections of the cell are closed
        after = self._database.cpu()
        client = result.get("cpu", _cpu_of_children() - of_clients)
        return result | {"cpu": client, "server_cpu": after - before}

    def _measure(self, cell: str) -> dict[str, Any] | None:
        how, _, rest = cell.partition(" ")
        if how == "http":
            return self._measure_http(rest)
        if how == "slow":
            with self._slow_answers():
                return self._measure_http(rest)
        if cell == "readers":
            return self._measure_readers()
        if rest != "again":
            empty_target(self._database)
        if cell == "copy":
            seconds = self._database.copy(self._data)
            return {"seconds": seconds, "rows": count_rows(self._database)[0]}
        if how in MODES:
            return self._run("ours", mode=how)
        if how == "dlt":
            return (
                self._run("dlt", "dlt_benchmark.leads", destination=self._database.dlt)
                if self._database.dlt
                else None
            )
        return self._run(how, table=None if how == "parse" else "leads")

    def _measure_http(self, cell: str) -> dict[str, Any] | None:
        empty_target(self._database)
        if cell == "fetch":
            return self._run("fetch", None, list_id=self._list_id)
        if cell in MODES:
            return self._run("operator", mode=cell, list_id=self._list_id)
        if self._database.dlt is None or self._sandbox is None:
            return None
        return self._run(
            "dlt_rest_api",
            "dlt_benchmark.leads",
            destination=self._database.dlt,
            url=self._sandbox.url,
            key=API_KEY,
            list_id=self._list_id,
        )

    @contextmanager
    def _slow_answers(self) -> Iterator[None]:
        """Let every page take as long as over a network."""
        assert self._sandbox is not None
        faults = f"{self._sandbox.url}/sandbox/faults"
        fault = {"kind": "delay", "endpoint": "lead_list_contents", "seconds": ANSWER_SECONDS, "times": None}
        requests.post(faults, json=fault, timeout=10).raise_for_status()
        try:
            yield
        finally:
            requests.delete(faults, timeout=10).raise_for_status()

    def _run(self, cell: str, table: str | None = "leads", **arguments: Any) -> dict[str, Any]:
        if table not in (None, "leads"):
            self._database.drop_dlt()
        command = [sys.executable, HERE / "loading_cells.py", cell, self._data.folder, str(self._data.rows)]
        done = subprocess.run(
            [*command, json.dumps(arguments)],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if result["rows"] not in (None, self._data.rows):
            raise RuntimeError(f"{cell} {arguments}: {result['rows']} rows instead of {self._data.rows}")
        if table and count_rows(self._database, table) != (self._data.rows, self._data.rows):
            raise RuntimeError(f"{cell} {arguments}: {count_rows(self._database, table)} rows in the table")
        return result | {"rows": self._data.rows}

    def _measure_readers(self) -> dict[str, Any]:
        """Look at a table of the same size all the time while every mode replaces it."""
        empty_target(self._database)
        self._run("ours", mode="merge")
        found: dict[str, Any] = {"seconds": 0.0, "rows": self._data.rows, "longest": {}, "states": {}}
        for mode in ("merge", "replace"):
            with Reader(self._database, self._data.rows) as reader:
                found["seconds"] += self._run("ours", mode=mode)["seconds"]
            found["longest"][mode], found["states"][mode] = reader.longest, len(reader.states)
            found.setdefault("looks", {})[mode] = reader.looks
            if len(reader.states) != 2:
                raise RuntimeError(f"A reader saw {reader.states} during {mode}")
        return found


class Reader:
    """Counts the rows and runs of a table again and again, and looks one lead up, in threads of their own.

    Attributes:
        states: What the counts were.
        longest: Seconds that the slowest look-up took.
        looks: How many look-ups there were.
    """

    def __init__(self, database: Database, rows: int) -> None:
        self._database = database
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._count), threading.Thread(target=self._look)]
        self.states: set[tuple[Any, ...]] = set()
        self.longest = 0.0
        self.looks = 0

    def __enter__(self) -> Reader:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _count(self) -> None:
        query = "SELECT count(*), min(_cleanlist_run_id), max(_cleanlist_run_id) FROM leads"
        for state in self._ask(query, 0.05):
            self.states.add(state)

    def _look(self) -> None:
        query = "SELECT email FROM leads WHERE lead_id = '00000007-5eed-4000-8000-000000000001'"
        started = time.perf_counter()
        for _ in self._ask(query + " AND _cleanlist_list_id = '5eed0000-0000-4000-8000-00000000a0a0'", 0.005):
            self.longest = max(self.longest, time.perf_counter() - started)
            self.looks += 1
            started = time.perf_counter()

    def _ask(self, query: str, pause: float) -> Iterator[tuple[Any, ...]]:
        engine = self._database.engine()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self._stop.is_set():
                yield tuple(connection.execute(sa.text(query)).one())
                self._stop.wait(pause)
        engine.dispose()


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def make_list(sandbox: SandboxProcess, rows: int) -> str:
    """Fill a list of the sandbox; return its id."""
    answer = requests.post(
        f"{sandbox.url}/sandbox/leads", json={"list_name": f"List of {rows}", "count": rows}, timeout=60
    )
    return str(answer.json()["list_id"])


@contextmanager
def sandbox_for(cells: Sequence[str], home: Path) -> Iterator[SandboxProcess | None]:
    """Run the API if a cell needs it."""
    if not any(cell.startswith(("http", "slow")) for cell in cells):
        yield None
        return
    with SandboxProcess(home / "sandbox", {"requests-per-minute": 1000 * NEVER_REFUSED}) as sandbox:
        yield sandbox


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--database", choices=DATABASES, default="postgresql")
    parser.add_argument("--cells", nargs="+", metavar="CELL", default=CELLS, help=f"of {', '.join(CELLS)}")
    parser.add_argument("--rounds", type=int, default=1, help="each round measures every cell once")
    parser.add_argument("--results", type=Path, help="add the figures to this file, one JSON object per line")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "cleanlist-loading")
    parser.add_argument("--report", type=Path, help="print the tables of such a file")
    arguments = parser.parse_args()
    if arguments.report:
        print(report([json.loads(line) for line in arguments.report.read_text().splitlines()]))
        return
    if unknown := set(arguments.cells) - set(CELLS):
        parser.error(f"no such cell: {', '.join(sorted(unknown))}")
    arguments.data.mkdir(exist_ok=True)
    data = Data(arguments.data, arguments.rows)
    data.make()
    run = f"{int(time.time())}-{os.getpid()}"
    results = []
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox_for(arguments.cells, Path(folder)) as sandbox,
        DATABASES[arguments.database].running(Path(folder)) as database,
    ):
        bench = Bench(database, data, Path(folder), sandbox)
        bench.measure("copy")  # a new server has files to make first
        for number in range(arguments.rounds):
            for cell in arguments.cells:
                result = bench.measure(cell)
                if result is None:
                    continue
                kind = {
                    "run": run,
                    "round": number,
                    "database": arguments.database,
                    "size": arguments.rows,
                    "cell": cell,
                }
                results.append(kind | result)
                print(json.dumps(results[-1]), file=sys.stderr, flush=True)
                if arguments.results:
                    with arguments.results.open("a") as file:
                        file.write(json.dumps(results[-1]) + "\n")
    print(report(results))


if __name__ == "__main__":
    main()
