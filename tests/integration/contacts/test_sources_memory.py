"""Very many contacts in the memory of an Airflow task process; ``CONTACTS=1000000`` reads a million."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

pytestmark = pytest.mark.integration
CONTACTS = int(os.environ.get("CONTACTS", "100000"))

READ = """
import json, sys
from pathlib import Path
import airflow.sdk
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import open_source

def resident():
    # not ru_maxrss: that includes what the parent had resident when it started this process
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

before, report = resident(), ReadReport()
for _ in read_contacts(open_source(contacts_path=sys.argv[1]), report):
    pass
print(json.dumps({"before": before, "after": resident(), "accepted": report.accepted}))
"""


def read_in_a_process(path: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "AIRFLOW_HOME": str(path.parent)},
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_very_many_contacts(tmp_path):
    path = tmp_path / "contacts.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("LinkedIn URL,Notes\n")
        file.writelines(
            f"https://www.linkedin.com/in/person-{number}-example,Größe\n" for number in range(CONTACTS)
        )
    memory = read_in_a_process(path)
    assert memory["accepted"] == CONTACTS
    assert memory["after"] < 300
    assert memory["after"] - memory["before"] < 15 + 45 * CONTACTS / 1_000_000


def rows(count: int) -> Iterator[dict[str, str]]:
    """Contacts with long notes that do not compress."""
    rng = random.Random(7)
    for number in range(count):
        notes = rng.randbytes(500).hex()
        yield {"linkedin_url": f"linkedin.com/in/person-{number}-example", "notes": notes}


@pytest.mark.parametrize(("suffix", "megabytes"), [(".json", 30), (".jsonl", 30), (".parquet", 130)])
def test_forty_megabytes_in_other_formats(tmp_path, suffix, megabytes):
    path = tmp_path / f"contacts{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(list(rows(40_000))), path)
    else:
        start, between, end = ("[", ",\n", "]") if suffix == ".json" else ("", "\n", "")
        path.write_text(start + between.join(map(json.dumps, rows(40_000))) + end, encoding="utf-8")
    memory = read_in_a_process(path)
    assert memory["accepted"] == 40_000
    assert memory["after"] - memory["before"] < megabytes
