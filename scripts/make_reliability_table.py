"""Write the tables in docs/reliability.md from the tests that show them.

Usage: make_reliability_table.py. Runs the fault tests, in a real Airflow and in-process: about a quarter of an hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
TESTS = (
    "tests/e2e/test_pay_once.py",
    "tests/e2e/test_ledger_runs.py",
    "tests/e2e/test_load_killed.py",
    "tests/integration/submission/test_pay_once.py",
)
AIRFLOW_COLUMNS = ("What goes wrong", "What happens", "Contacts billed twice", "Contacts lost")
LEDGER_COLUMNS = (
    "What happens to a run that has succeeded",
    "Contacts submitted at first",
    "New contacts",
    "Contacts submitted afterwards",
    "Submitted twice",
    "Lost",
)
LOAD_COLUMNS = ("Killed", "Committed pages read again", "Rows lost", "Rows doubled", "Rows stale")
RANDOM_COLUMNS = ("What struck", "Scenarios", "Finished", "Stopped for the user", "Billed twice", "Lost")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows))


def random_rows(happened: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Return a row for each kind of accident."""
    rows = []
    for name in sorted(happened, key=lambda name: (name == "any", name)):
        ends = [happened[name].get(end, 0) for end in ("finished", "stopped", "billed twice", "lost")]
        shown = "all scenarios" if name == "any" else name
        rows.append([shown, str(ends[0] + ends[1]), *map(str, ends)])
    return rows


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with each table between its pair of comments."""
    for name, text in tables.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = f"{head}{begin}\n{text}\n\n{end}{tail}"
    return page


def main() -> int:
    """Run the tests and rewrite the page.

    Returns:
        Exit status: that of the tests.
    """
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"CLEANLIST_RELIABILITY": folder, "LEDGER_RUNS": "1", "LOAD_KILLS": "all"}
        tests = subprocess.run([sys.executable, "-m", "pytest", "-q", *TESTS], cwd=ROOT, env=env, check=False)
        if tests.returncode == 0:
            airflow = json.loads(Path(folder, "real-airflow.json").read_text())
            happened = json.loads(Path(folder, "in-process.json").read_text())
            runs = json.loads(Path(folder, "ledger-runs.json").read_text())
            loads = json.loads(Path(folder, "loads.json").read_text())
            tables = {
                "real Airflow": table(AIRFLOW_COLUMNS, airflow),
                "ledger runs": table(LEDGER_COLUMNS, runs),
                "loads": table(LOAD_COLUMNS, loads),
                "random": table(RANDOM_COLUMNS, random_rows(happened)),
            }
            PAGE.write_text(with_tables(PAGE.read_text(), tables))
    return tests.returncode


if __name__ == "__main__":
    sys.exit(main())
