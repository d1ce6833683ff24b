"""The whole way of a contact, in scaled time: submit, wait, read the pages; against the least that the API demands.

    .venv/bin/python benchmarks/end_to_end.py

prints the table of docs/benchmarks.md, "End to end". ``BulkEnrichOperator`` and the hook run against the
sandbox in a process of its own. A window lasts 12 s instead of 60, workflows 18 s (median) instead of 90; minutes are
scaled back. Answers take as long as they do: for few contacts ``--window 30`` keeps their share small.
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

LIMIT, MEDIAN, SIGMA = 60, 90.0, 0.5
CONTACTS_PER_SUBMIT, LEADS_PER_PAGE = 250, 500
LIST_LOOKUP = "lead_list_index"
"""The one request that finds the list by its name; left out, for the transfer may be given the id."""


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
    """One run, in real seconds and requests.

    Attributes:
        scale: By how much time was shortened.
        seconds: From the operator's begin to the last page.
        requests: What the server was asked: moment, endpoint and status.
    """

    contacts: int
    scale: float
    seconds: float
    requests: tuple[tuple[float, str, int], ...]

    @property
    def floor(self) -> int:
        """The least requests: submits, one final status each, pages."""
        return 2 * math.ceil(self.contacts / CONTACTS_PER_SUBMIT) + math.ceil(self.contacts / LEADS_PER_PAGE)

    @property
    def bound(self) -> float:
        """Minutes that the least requests take at the allowance."""
        return self.floor / LIMIT

    def minutes(self, since: float, until: float) -> float:
        """Return a time in minutes as they would be unscaled."""
        return (until - since) * self.scale / 60

    def row(self) -> str:
        used, minutes = len(self.requests), self.minutes(0.0, self.seconds)
        first, last = self.requests[0][0], self.requests[-1][0]
        submitted = max(moment for moment, endpoint, _ in self.requests if endpoint == "enrich_bulk")
        waited = max(moment for moment, endpoint, _ in self.requests if endpoint == "enrich_status")
        return (
            f"| {self.contacts:,} | {self.floor} | {used} | {self.floor / used:.3f} | "
            f"{self.bound:.1f} | {minutes:.1f} | {minutes / self.bound:.3f} | "
            f"{used / (LIMIT * self.minutes(first, last)):.3f} | "
            f"{sum(status == 429 for *_, status in self.requests)} | "
            f"{self.minutes(first, submitted):.1f} + {self.minutes(submitted, waited):.1f} |"
        )


def run(contacts: int, window: float) -> Run:
    """Enrich and read so many contacts."""
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
    from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator

    options: dict[str, int | float | str] = {
        "requests-per-minute": LIMIT,
        "window-seconds": window,
        "seconds-to-complete": MEDIAN * window / 60,
        "set": f"duration_sigma={SIGMA}",
        "credits": 10_000_000,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        SandboxProcess(Path(folder), options) as sandbox,
    ):
        os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"] = sandbox.connection(
            requests_per_minute=LIMIT,
            window_seconds=window,
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
        operator = BulkEnrichOperator(
            task_id="t", contacts=people, wait_for_completion=True, deferrable=False, timeout=3600
        )
        started = time.monotonic()
        result = operator.execute(context)
        hook = CleanlistHook()
        managed = hook.find_lead_list("Extension Leads")
        assert managed is not None
        leads = sum(len(page.leads) for page in hook.iter_lead_pages(managed.list_id))
        seconds = time.monotonic() - started
        assert len(result["workflow_ids"]) == math.ceil(contacts / CONTACTS_PER_SUBMIT)
        assert result["summary"]["completed"] == len(result["workflow_ids"])
        assert leads == contacts
        print(json.dumps(sandbox.ledger()["requests_by_endpoint"]), file=sys.stderr)
        requests = tuple(
            (entry["time"], entry["endpoint"], entry["status"])
            for entry in sandbox.ask("/ledger/requests")
            if entry["endpoint"] != LIST_LOOKUP
        )
        return Run(contacts, 60 / window, seconds, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contacts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--window", type=float, default=12.0, help="seconds that stand for a minute (default: 12)"
    )
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    print(
        "| contacts | floor R | requests | R / requests | bound, min | took, min | took / bound | "
        "share of the allowance, first request to last | 429s | submit + wait, min |"
    )
    print("|---" * 10 + "|")
    for contacts in arguments.contacts:
        print(run(contacts, arguments.window).row(), flush=True)


if __name__ == "__main__":
    main()
