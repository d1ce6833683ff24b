"""A list by export into PostgreSQL: ours beside downloading it and loading it by hand, and beside other tools.

    python benchmarks/exports.py --rows 200000 --rounds 3 --results /tmp/exports.jsonl
    python benchmarks/exports.py --report /tmp/exports.jsonl

All cells of a run read the same file or the same pages, written beforehand, from a server that costs next to nothing
(``export_server.py``), into an empty table with the same columns, types and primary key. They take turns. By hand means
``curl`` into a file, then ``psql``: ``\\copy`` into the keyed table, or ``\\copy`` into an unlogged one and
``INSERT ... ON CONFLICT DO UPDATE`` from there, which is what a second load of the same list needs.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scripts"))

import requests  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from airflow_runner import clean_environment  # noqa: E402
from export_server import API_KEY  # noqa: E402
from loading_data import LIST_ID, Data  # noqa: E402
from loading_servers import PostgreSQL, count_rows, empty_target  # noqa: E402

NAMES = {
    "hand": "by hand: `curl`, `\\copy` into the table",
    "hand upsert": "by hand: `curl`, `\\copy`, `INSERT ... ON CONFLICT`",
    "export": '**ours, `read="export"`**',
    "pages": '**ours, `read="pages"`**',
    "dlt": "dlt `rest_api`, merge",
    "dlt export": "dlt, the export's CSV, merge",
    "dag": "`HttpOperator`, an XCom, `insert_rows` as `SQLInsertRowsOperator` calls it",
}


class Bench:
    """Measures cells.

    Args:
        database: Where the rows go.
        data: The files.
        url: The server of the files.
        home: A folder for Airflow and dlt.
    """

    def __init__(self, database: PostgreSQL, data: Data, url: str, home: Path) -> None:
        self._database = database
        self._data = data
        self._url = url
        self._home = home
        connection = {"conn_type": "cleanlist", "host": url, "password": API_KEY}
        limits = {"requests_per_minute": 100_000, "rate_limit_store": "memory://"}
        self._environment = {
            **clean_environment(),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_WAREHOUSE": database.connection,
            "AIRFLOW_CONN_CLEANLIST_DEFAULT": json.dumps({**connection, "extra": limits}),
        }

    def measure(self, cell: str) -> dict[str, Any]:
        """Measure one cell."""
        self._prepare()
        server, client = self._database.cpu(), _cpu_of_children()
        result = self._by_hand(upsert="upsert" in cell) if cell.startswith("hand") else self._run(cell)
        time.sleep(0.3)  # until the connections of the cell are closed
        result.setdefault("cpu", _cpu_of_children() - client)
        if self._visible(cell) != (self._data.rows, self._data.rows):
            raise RuntimeError(f"{cell}: {self._visible(cell)} rows in the table")
        asked = requests.get(f"{self._url}/count", timeout=60).json()
        return result | {"server_cpu": self._database.cpu() - server, "requests": asked}

    def _prepare(self) -> None:
        """Make an empty target, and forget what was before."""
        self._database.drop_dlt()
        shutil.rmtree(self._home / "benchmark", ignore_errors=True)
        empty_target(self._database)
        self._prepare_target()
        self._database.settle()
        requests.get(f"{self._url}/count", timeout=60)

    def _prepare_target(self) -> None:
        """Give the table the columns of an export, and the defaults that loading by hand relies on."""
        engine = self._database.engine()
        with engine.begin() as connection:
            connection.execute(
                sa.text(
                    "ALTER TABLE leads ADD domain text, DROP full_name, DROP provider, "
                    f"ALTER _cleanlist_list_id SET DEFAULT '{LIST_ID}', "
                    "ALTER _cleanlist_synced_at SET DEFAULT now(), ALTER _cleanlist_run_id SET DEFAULT 'by hand'"
                )
            )
        engine.dispose()

    def _by_hand(self, *, upsert: bool) -> dict[str, Any]:
        file = self._data.folder / "downloaded.csv"
        with self._data.export.open() as text:
            columns = text.readline().strip()
        started = time.perf_counter()
        authorization = f"Authorization: Bearer {API_KEY}"
        address = f"{self._url}/api/v2/export/csv/signed-url"
        body = json.dumps({"list_id": LIST_ID})
        asked = subprocess.run(
            ["curl", "-sf", "-H", authorization, "-H", "Content-Type: application/json", "-d", body, address],
            stdout=subprocess.PIPE,
            check=True,
        )
        subprocess.run(["curl", "-sf", "-o", file, json.loads(asked.stdout)["download_url"]], check=True)
        downloaded = time.perf_counter() - started
        if upsert:
            updates = ", ".join(f"{name} = excluded.{name}" for name in columns.split(",")[1:])
            script = [
                f"CREATE UNLOGGED TABLE staged AS SELECT {columns} FROM leads LIMIT 0",
                f"\\copy staged ({columns}) FROM '{file}' CSV HEADER",
                f"INSERT INTO leads ({columns}) SELECT {columns} FROM staged ON CONFLICT (_cleanlist_list_id, lead_id) "
                f"DO UPDATE SET {updates}, _cleanlist_synced_at = now(), _cleanlist_run_id = 'by hand'",
                "DROP TABLE staged",
            ]
        else:
            script = [f"\\copy leads ({columns}) FROM '{file}' CSV HEADER"]
        self._database.psql(script)
        seconds = time.perf_counter() - started
        file.unlink()
        return {"seconds": seconds, "rows": self._data.rows, "download": downloaded}

    def kill(self, cell: str, after: float) -> dict[str, Any]:
        """Kill a cell after so many seconds and run it again; return what readers found between, and what it took."""
        self._prepare()
        run_id = uuid.uuid4().hex
        killed = not self._run(cell, run_id, after)
        found = self._visible(cell)
        first = requests.get(f"{self._url}/count", timeout=60).json()
        again = self._run(cell, run_id)
        asked = requests.get(f"{self._url}/count", timeout=60).json()
        return {
            "cell": cell,
            "after": after,
            "killed": killed,
            "visible": found,
            "requests_before": first,
            "requests": asked,
            "seconds": again["seconds"],
            "rows": self._visible(cell),
        }

    def _visible(self, cell: str) -> tuple[int, int]:
        try:
            return count_rows(self._database, "dlt_benchmark.leads" if cell.startswith("dlt") else "leads")
        except sa.exc.ProgrammingError:  # there is no table
            return 0, 0

    def _run(self, cell: str, run_id: str = "", kill_after: float | None = None) -> dict[str, Any]:
        command = [sys.executable, HERE / "export_cells.py", cell, self._data.folder, str(self._data.rows)]
        arguments = {"url": self._url, "key": API_KEY, "destination": self._database.dlt, "run_id": run_id}
        process = subprocess.Popen(
            [*command, json.dumps(arguments)], env=self._environment, stdout=subprocess.PIPE, text=True
        )
        try:
            printed, _ = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {}
        if process.returncode:
            raise RuntimeError(f"{cell} ended with {process.returncode}")
        result: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return result


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def serving(data: Data) -> Iterator[str]:
    """Run the server of the files; yield its address."""
    command = [
        sys.executable,
        HERE / "export_server.py",
        data.folder,
        str(data.rows),
        str(int(data.random_ids)),
    ]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.communicate()


def report(results: Sequence[dict[str, Any]]) -> str:
    """Return a table of each size; ratios are the median of those within a round."""
    parts = []
    for size, ids in sorted({(r["size"], r["ids"]) for r in results}):
        found = [r for r in results if (r["size"], r["ids"]) == (size, ids)]
        parts.append(f"### {size:,} leads, ids in {'no ' if ids == 'random' else ''}order\n")
        parts.append(
            "| way | s | x by hand | x by hand with upsert | CPU s, client + server | peak RSS, MB | requests |"
        )
        parts.append("|---" * 7 + "|")
        parts += [line for cell in NAMES if (line := _line(cell, found))]
        parts.append("")
    return "\n".join(parts)


def _line(cell: str, found: Sequence[dict[str, Any]]) -> str:
    mine = [r for r in found if r["cell"] == cell]
    if not mine:
        return ""
    times = {(r["run"], r["round"], r["cell"]): r["seconds"] for r in found}
    ratios = []
    for base in ("hand", "hand upsert"):
        of = [(r["seconds"], times.get((r["run"], r["round"], base))) for r in mine]
        ratios.append(
            f"{median(own / other for own, other in of if other):.2f}" if any(o for _, o in of) else ""
        )
    cpu = " + ".join(f"{median(r[part] for r in mine):.1f}" for part in ("cpu", "server_cpu"))
    peaks = [r["peak"] / 1024 for r in mine if "peak" in r]
    counts = mine[-1]["requests"]
    asked = sum(count for kind, count in counts.items() if kind != "download")
    asked -= cell in ("export", "pages")  # a request before the clock starts imports the rest
    seconds = sorted(r["seconds"] for r in mine)
    spread = f"{median(seconds):.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f})"
    peak = f"{max(peaks):.0f}" if peaks else ""
    requests = f"{asked:,} + {counts.get('download', 0)}"
    return f"| {NAMES[cell]} | {spread} | {' | '.join(ratios)} | {cpu} | {peak} | {requests} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument(
        "--cells", nargs="+", choices=NAMES, metavar="CELL", default=["hand", "hand upsert", "export"]
    )
    parser.add_argument("--rounds", type=int, default=3, help="each round measures every cell once")
    parser.add_argument("--ordered-ids", action="store_true", help="ids that grow, instead of random UUIDs")
    parser.add_argument("--kill-after", type=float, help="kill each cell after so many seconds, run it again")
    parser.add_argument("--results", type=Path, help="add the figures to this file, one JSON object per line")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "cleanlist-loading")
    parser.add_argument("--report", type=Path, help="print the tables of such a file")
    arguments = parser.parse_args()
    if arguments.report:
        print(report([json.loads(line) for line in arguments.report.read_text().splitlines()]))
        return
    arguments.data.mkdir(exist_ok=True)
    data = Data(arguments.data, arguments.rows, random_ids=not arguments.ordered_ids)
    data.make()
    results = []
    kind = {
        "run": int(time.time()),
        "size": arguments.rows,
        "ids": "ordered" if arguments.ordered_ids else "random",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(data) as url,
        PostgreSQL.running(Path(folder)) as database,
    ):
        bench = Bench(database, data, url, Path(folder))
        if arguments.kill_after is not None:
            for cell in arguments.cells:
                print(json.dumps(bench.kill(cell, arguments.kill_after)), flush=True)
            return
        bench.measure("hand")  # a new server has files to make first
        for number in range(arguments.rounds):
            for cell in arguments.cells:
                load = Path("/proc/loadavg").read_text().split()[0]
                result = kind | {"round": number, "cell": cell, "load": float(load)} | bench.measure(cell)
                results.append(result)
                print(json.dumps(result), file=sys.stderr, flush=True)
                if arguments.results:
                    with arguments.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
    print(report(results))


if __name__ == "__main__":
    main()
