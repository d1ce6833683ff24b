"""Webhooks: waiting with and without them, and a receiver under load whose store fails.

    python benchmarks/webhooks.py

Time runs ten times as fast as in production: 60 requests per 6 s, enrichments of 9 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
import uvicorn

from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError
from airflow_provider_cleanlist.inbox.tokens import batch_name, sign
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger
from airflow_provider_cleanlist.waiting.deliveries import safety_poll_interval
from airflow_provider_cleanlist.waiting.tracker import WorkflowTracker
from airflow_provider_cleanlist.webhooks.receiver import Receiver, build_app

SECRET = "the secret of this benchmark"
SPEED = 10
BACKOFF = (1, 2, 4, 8)


class FailingInbox(Inbox):
    """An inbox that refuses a share of what it is given."""

    share = 0.0

    def store(self, *given: Any) -> bool:
        if random.random() < self.share:
            raise InboxUnavailableError("no space left on device")
        return super().store(*given)


@contextmanager
def receiver(inbox: Inbox) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = build_app(Receiver([SECRET], lambda: inbox), "/cleanlist")
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical", access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def end_to_end(folder: Path, contacts: int, *, webhook: bool) -> str:
    """Submit, wait in the trigger, and return a row of the table."""
    inbox = FailingInbox.at(f"file://{folder}")
    os.environ["AIRFLOW__CLEANLIST__WEBHOOK_INBOX"] = f"file://{folder}" if webhook else ""
    os.environ["AIRFLOW__CLEANLIST__WEBHOOK_SECRET"] = SECRET
    sandbox = SandboxServer(
        requests_per_minute=60,
        window_seconds=60 / SPEED,
        seconds_to_complete=90 / SPEED,
        duration_sigma=0.3,
        allow_http_webhooks=True,
        credits=10**7,
    )
    seen: dict[str, float] = {}
    on_status = WorkflowTracker.on_status

    def noting(self: WorkflowTracker, status: Any, now: float) -> None:
        if status.status == "completed":
            seen.setdefault(status.workflow_id, time.time())
        on_status(self, status, now)

    with sandbox, receiver(inbox) as url:
        connection = json.loads(sandbox.connection_json())
        connection["extra"] |= {
            "webhook_base_url": url,
            "rate_limit_store": "memory://",
            "requests_per_minute": 60,
            "window_seconds": 60 / SPEED,
        }
        os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"] = json.dumps(connection)
        rows = [
            {"first_name": "A", "last_name": f"B{n}", "company_domain": "found-both.example"}
            for n in range(contacts)
        ]
        operator = BulkEnrichOperator(task_id="t", contacts=rows, webhook=webhook)
        ti = SimpleNamespace(
            dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, xcom_push=lambda **_: None
        )
        started = time.time()
        workflow_ids = operator.execute({"ti": ti, "run_id": "r", "outlet_events": {}})["workflow_ids"]
        submitted = time.time()
        WorkflowTracker.on_status = noting  # type: ignore[method-assign]
        try:
            trigger = WorkflowTrigger(
                cleanlist_conn_id="cleanlist_default",
                workflow_ids=workflow_ids,
                submitted_at=started,
                submitted_over=submitted - started,
                deadline=started + 600,
                poll_interval=safety_poll_interval(None, workflow_ids),
            )
            asyncio.run(first_event(trigger))
        finally:
            WorkflowTracker.on_status = on_status  # type: ignore[method-assign]
        ends = {workflow_id: end_of(sandbox, workflow_id) for workflow_id in workflow_ids}
        delays = [max(0.0, seen[workflow_id] - ends[workflow_id]) for workflow_id in workflow_ids]
        polls = len(sandbox.ledger.requests(endpoint="enrich_status"))
        total = max(seen.values()) - started
    name = "webhooks" if webhook else "polling"
    return (
        f"| {name} | {len(workflow_ids)} | {polls} | {statistics.mean(delays):.2f} | {percentile(delays, 0.95):.2f} "
        f"| {total:.1f} |"
    )


async def first_event(trigger: WorkflowTrigger) -> None:
    await anext(trigger.run())


def end_of(sandbox: SandboxServer, workflow_id: str) -> float:
    return float(sandbox.state.engine.workflows[workflow_id].completed_at or 0.0)


def storm(folder: Path, webhooks: int, failures: float) -> str:
    """Deliver workflows of 250 results within a minute, as Cleanlist would, and return a row of the table."""
    inbox, announcing = FailingInbox.at(f"file://{folder}"), Inbox.at(f"file://{folder}")
    inbox.share = failures
    results = [
        {
            "task_id": f"t{n}",
            "status": "completed",
            "primary_email": f"a{n}@b.example",
            "primary_email_status": "verified",
            "personal_phone_numbers": ["+12025550143"],
            "prospect": {"first_name": "A", "last_name": f"B{n}", "full_name": f"A B{n}"},
            "company": {"name": "B", "domain": "b.example"},
        }
        for n in range(250)
    ]
    seconds: list[float] = []
    attempts: list[int] = []

    def deliver(number: int) -> bool:
        time.sleep(max(0.0, begun + number * 50 / webhooks - time.monotonic()))
        batch = batch_name("s", "r", str(number))
        announcing.announce(f"w{number}", batch)
        token = sign(SECRET, batch, time.time() + 600)
        body = json.dumps({"event": "enrichment.completed", "workflow_id": f"w{number}", "results": results})
        for attempt in range(5):
            sent = time.monotonic()
            answer = requests.post(f"{url}/cleanlist/webhook/{token}", data=body, timeout=10)
            seconds.append(time.monotonic() - sent)
            if answer.ok:
                attempts.append(attempt + 1)
                return True
            if attempt < len(BACKOFF):
                time.sleep(BACKOFF[attempt])
        return False

    with receiver(inbox) as url, ThreadPoolExecutor(64) as senders:
        begun = time.monotonic()
        told = list(senders.map(deliver, range(webhooks)))
        took = time.monotonic() - begun
    lost = sum(
        not (ok and len((inbox.payload(f"w{n}") or {}).get("results", ())) == 250)
        for n, ok in enumerate(told)
    )
    median, slow = (percentile(seconds, share) * 1000 for share in (0.5, 0.99))
    return (
        f"| {webhooks} | {failures:.0%} | {took:.0f} | {lost} | {max(attempts)} | {median:.0f} | {slow:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--webhooks", type=int, default=1_000)
    parser.add_argument("--only", choices=["end-to-end", "storm"])
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory() as root:
        if options.only != "storm":
            print(
                "| Way | Workflows | Polls | Delay, mean (s) | Delay, p95 (s) | Until the last is seen (s) |"
            )
            print("|---|---|---|---|---|---|")
            for webhook in (True, False):
                row = end_to_end(Path(root) / str(webhook), options.contacts, webhook=webhook)
                print(row, flush=True)
        if options.only != "end-to-end":
            print(
                "\n| Webhooks | Store fails | Took (s) | Lost | Most attempts | Answer, median (ms) | p99 (ms) |"
            )
            print("|---|---|---|---|---|---|---|")
            print(storm(Path(root) / "storm", options.webhooks, 0.1))


if __name__ == "__main__":
    main()
