"""How fast contacts are read, beside the reader of another checkout: CPU seconds and memory.

Usage: ``contact_reading.py OLDER [rows [repetitions]]``: OLDER is the folder of another checkout, as
``git worktree add --detach OLDER c3a72b0`` makes one. Each reading is a process of its own, and the two readers take
turns, so that what else the machine does meets both. Rows have twelve columns of invented people; what is measured is
reading, checking and comparing them, as an operator does before it sends anything. Also times the look at 10,000 rows,
``python -m airflow_provider_cleanlist.contacts``, from its start to its end.
"""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

THIS = Path(__file__).resolve().parent.parent
FORMATS = {"CSV": "csv", "JSON lines": "jsonl", "Parquet": "parquet"}
COLUMNS = (
    "Record ID",
    "First Name",
    "Last Name",
    "Email",
    "Phone Number",
    "Contact owner",
    "Lead Status",
    "LinkedIn URL",
    "Company",
    "Website URL",
    "City",
    "Create Date",
)
LOOKED_AT = 10_000
CHILD = """
import importlib.util, json, resource, sys
folder = "contacts" if importlib.util.find_spec("airflow_provider_cleanlist.contacts") else "enrichment"
package = "airflow_provider_cleanlist." + folder
sources = importlib.import_module(package + ".sources")
reading = importlib.import_module(package + ".reading")

def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

def megabytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

started = seconds()
report = reading.ReadReport()
for _ in reading.read_contacts(sources.FileSource(sys.argv[1]), report):
    pass
print(json.dumps([seconds() - started, megabytes(), report.accepted]))
"""


def records(rows: int) -> Iterator[dict[str, str]]:
    """Yield rows of invented people: one in four has a LinkedIn URL, one in twenty comes twice."""
    rng = random.Random(5)
    for number in range(rows):
        person = number if number % 20 else max(0, number - 7)
        first, last, company = f"Mara{person % 997}", f"Okafor{person % 9973}", f"Northfold {person % 2003}"
        profile = f"https://www.linkedin.com/in/{first}-{last}-{person}".lower() if person % 4 == 0 else ""
        cells = (
            str(10_000_000 + number),
            first,
            last,
            f"{first}.{last}@northfold{person % 2003}.example".lower(),
            f"+49 30 {rng.randrange(10**7):07}",
            "Teo Lindqvist",
            rng.choice(("New", "Open", "In progress")),
            profile,
            company,
            f"https://www.northfold{person % 2003}.example/",
            rng.choice(("Lisboa", "Graz", "Leeds")),
            "2026-11-03 10:21",
        )
        yield dict(zip(COLUMNS, cells, strict=True))


def write(folder: Path, rows: int) -> dict[str, Path]:
    """Write the people in every format."""
    import pyarrow
    from pyarrow import parquet

    paths = {name: folder / f"people.{suffix}" for name, suffix in FORMATS.items()}
    people = list(records(rows))
    with paths["CSV"].open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(people)
    with paths["JSON lines"].open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(person)}\n" for person in people)
    parquet.write_table(pyarrow.Table.from_pylist(people), paths["Parquet"])
    return paths


def environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


def measure(tree: Path, path: Path) -> list[float]:
    """Return CPU seconds, the most memory (MB), and how many contacts were accepted."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        env=environment(tree),
        cwd=path.parent,
        check=True,
        capture_output=True,
    )
    result: list[float] = json.loads(done.stdout)
    return result


def look_seconds(path: Path) -> float:
    """Return the CPU seconds of a look at a file, the start of Python included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "airflow_provider_cleanlist.contacts", str(path)]
    subprocess.run(command, env=environment(THIS), cwd=path.parent, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the tables."""
    older = Path(sys.argv[1]).resolve()
    rows, repetitions = (int(given) for given in (*sys.argv[2:], *("60000", "3")[len(sys.argv) - 2 :]))
    trees = {"older": older, "this": THIS}
    with tempfile.TemporaryDirectory() as folder:
        print(
            "| Format | Older, rows/s | This, rows/s | Ratio | Older, MB | This, MB |\n|---|---|---|---|---|---|"
        )
        for name, path in write(Path(folder), rows).items():
            found: dict[str, list[list[float]]] = {tree: [] for tree in trees}
            for repetition in range(repetitions):
                for tree in sorted(trees, reverse=bool(repetition % 2)):
                    found[tree].append(measure(trees[tree], path))
            assert found["older"][0][2] == found["this"][0][2]
            speed = {tree: rows / statistics.median(one[0] for one in found[tree]) for tree in trees}
            peak = {tree: max(one[1] for one in found[tree]) for tree in trees}
            print(
                f"| {name} | {speed['older']:,.0f} | {speed['this']:,.0f} | {speed['this'] / speed['older']:.2f} "
                f"| {peak['older']:.0f} | {peak['this']:.0f} |",
                flush=True,
            )
    with tempfile.TemporaryDirectory() as folder:
        looks = {
            name: statistics.median(look_seconds(path) for _ in range(repetitions))
            for name, path in write(Path(folder), LOOKED_AT).items()
        }
    print(
        f"\nA look at {LOOKED_AT:,} rows, CPU seconds:",
        ", ".join(f"{name} {seconds:.2f}" for name, seconds in looks.items()),
    )


if __name__ == "__main__":
    main()
