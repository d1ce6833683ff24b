"""Loads, each in a process of its own: loads_in_processes.py <warehouse url>.

Starts a load for every JSON line on stdin (``size``, ``note``, ``pause``, ``batch_rows``) and answers in lines: its
process id, the first lead of every page that it reads, what it did, and its exit code. It is forked off this process,
which has no threads, so that it begins at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg2  # noqa: F401  # loaded once for all

from airflow_provider_cleanlist.warehouse.loader import load
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

PAGE_ROWS = 500


@dataclass
class Page:
    records: list[dict[str, Any]]
    total: int
    cursor: str | None


def answer(**what: Any) -> None:
    """Write a line at once, so that a killed process has written it or has not."""
    os.write(sys.stdout.fileno(), (json.dumps(what) + "\n").encode())


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


def run(url: str, *, size: int, note: str, pause: float, batch_rows: int) -> None:
    def read(cursor: str | None) -> Iterator[Page]:
        for start in range(int(cursor or 0), size, PAGE_ROWS):
            answer(page=start)
            time.sleep(pause)
            end = min(start + PAGE_ROWS, size)
            leads = [make_lead(number, note) for number in range(start, end)]
            yield Page(leads, size, str(end) if end < size else None)

    spec = LoadSpec(list_id="L", load_id=f"{note} {size}", run_id="dag/run", table=TableName("leads"))
    engine = sa.create_engine(url, hide_parameters=True)
    report = load(engine, spec, read, batch_rows=batch_rows)
    answer(rows=report.rows_written, peak_kib=peak_kib())


def peak_kib() -> int:
    """Return the most memory that this process ever held."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def main() -> None:
    (url,) = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run(url, **json.loads(line))
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        answer(pid=child)
        answer(exit=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
