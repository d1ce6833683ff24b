"""The whole way of a contact, in scaled time: submit, wait, read the pages; against the least that the API demands.

    .venv/bin/python benchmarks/end_to_end.py

prints the table of docs/benchmarks.md, "End to end". ``BulkEnrichOperator`` and the hook run against the sandbox in a
process of its own. A window lasts 12 s instead of 60, workflows 18 s (median) instead of 90; minutes are scaled back.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from sandbox_process import SandboxProcess

LIMIT, WINDOW, MEDIAN, SIGMA = 60, 12.0, 90.0, 0.5
SCALE = 60 / WINDOW
CONTACTS_PER_SUBMIT, LEADS_PER_PAGE = 250, 500


class State:
    """A task state store in memory."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def get(self, key: str) -> Any:
        text = self._values.get(key)
        return None if text is None else json.loads(text)

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self._values[key] = json.dumps(value)


@dataclass(frozen=True)
class Run:
    """One run, in real seconds and requests."""

    contacts: int
    requests: int
    refused: int
    seconds: float
    submitted: float
    waited: float

    @property
    def floor(self) -> int:
        """The least requests: submits, one final status each, pages."""
        return 2 * math.ceil(self.contacts / CONTACTS_PER_SUBMIT) + math.ceil(self.contacts / LEADS_PER_PAGE)

    @property
    def bound(self) -> float:
        """Minutes that the least requests take at the allowance."""
        return self.floor / LIMIT

    def row(self) -> str:
        minutes = self.seconds * SCALE / 60
        return (
            f"| {self.contacts:,} | {self.floor} | {self.requests} | {self.floor / self.requests:.3f} | "
            f"{self.bound:.1f} | {minutes:.1f} | {minutes / self.bound:.3f} | "
            f"{self.requests / (LIMIT * minutes):.3f} | {self.refused} | "
            f"{self.submitted * SCALE / 60:.1f} + {self.waited * SCALE / 60:.1f} |"
        )


def run(contacts: int) -> Run:
    """Enrich and read so many contacts."""
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
    from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

    options: dict[str, int | float | str] = {
        "requests-per-minute": LIMIT,
        "window-seconds": WINDOW,
        "seconds-to-complete": MEDIAN / SCALE,
        "set": f"duration_sigma={SIGMA}",
        "credits": 10_000_000,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        SandboxProcess(Path(folder), options) as sandbox,
    ):
        os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"] = sandbox.connection(
            requests_per_minute=LIMIT,
            window_seconds=WINDOW,
            rate_limit_store="memory://",
            rate_limit_scope=sandbox.url,
        )
        people = [
            {"linkedin_url": f"https://www.linkedin.com/in/person-{number}"} for number in range(contacts)
        ]
        context: Any = {
            "ti": SimpleNamespace(
                dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, xcom_push=lambda **_: None
            ),
            "outlet_events": {},
            "task_state_store": State(),
        }
        started = time.monotonic()
        submit = BulkEnrichOperator(task_id="t", contacts=people)
        result = submit.execute(context)
        submitted = time.monotonic() - started
        wait = BulkEnrichOperator(
            task_id="t", contacts=people, wait_for_completion=True, deferrable=False, timeout=3600
        )
        summary = wait.execute(context)["summary"]
        waited = time.monotonic() - started - submitted
        hook = CleanlistHook()
        managed = hook.find_lead_list("Extension Leads")
        assert managed is not None
        leads = sum(len(page.leads) for page in hook.iter_lead_pages(managed.list_id))
        seconds = time.monotonic() - started
        assert (
            len(result["workflow_ids"]) == summary["completed"] == math.ceil(contacts / CONTACTS_PER_SUBMIT)
        )
        assert leads == contacts
        counts = sandbox.ledger()["requests_by_endpoint"]
        print(json.dumps(counts), file=sys.stderr)
        statuses = [(status, n) for by_status in counts.values() for status, n in by_status.items()]
        return Run(
            contacts=contacts,
            requests=sum(n for _, n in statuses),
            refused=sum(n for status, n in statuses if str(status) == "429"),
            seconds=seconds,
            submitted=submitted,
            waited=waited,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contacts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    print(
        "| contacts | floor R | requests | R / requests | bound, min | took, min | took / bound | "
        "share of the allowance | 429s | submit + wait, min |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for contacts in arguments.contacts:
        print(run(contacts).row(), flush=True)


if __name__ == "__main__":
    main()
