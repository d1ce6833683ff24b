"""How many files of the package somebody reads who follows a contact, a page or a wait from its start to its end.

Usage: files_passed.py [contact] [ledger] [page] [wait]; without a name, all of them. Each is one real run of an
operator or sensor against the sandbox on loopback, with calls of functions of the package traced in all threads:

- contact: a row of a CSV file becomes part of an accepted batch; the journal is a directory.
- ledger: the same with a ledger, in SQLite.
- page: a page of a list becomes rows of a table of the warehouse, in SQLite.
- wait: a task is deferred, its trigger waits for one workflow, the task returns what came of it.

Three figures for each. *Holding it*: files with a function that is given, returns or yields it, in any form (text or
bytes of the file or response, row, object, hash). *On its path*: these, and files with a function that was on the
stack at such a moment, which is what a debugger shows on the way. *Run at all*: files with any function that ran from
``execute`` to its end, such as those of the request budget. Bodies of modules and classes that are imported on the way
do not count, nor does the sandbox.
"""

# ruff: noqa: E402 - Airflow reads its environment when it is imported

from __future__ import annotations

import asyncio
import csv
import dataclasses
import json
import os
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

HOME = tempfile.TemporaryDirectory(prefix="cleanlist-files-")
os.environ |= {
    "AIRFLOW_HOME": HOME.name,
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
}

from airflow.providers.common.compat.sdk import TaskDeferred

import airflow_provider_cleanlist
from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.client.rate_limit.core import Budget
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter
from airflow_provider_cleanlist.client.results import WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.client.settings import build_settings
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.submission.ledger import person
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator
from airflow_provider_cleanlist.waiting.outcome import WaitOutcome
from airflow_provider_cleanlist.waiting.schedule import ProgressEstimate
from airflow_provider_cleanlist.waiting.tracker import WorkflowOutcome

PACKAGE = f"{Path(airflow_provider_cleanlist.__file__).parent}{os.sep}"
SANDBOX = f"{PACKAGE}sandbox{os.sep}"
DEEPEST = 5
"""Containers and objects within each other that are searched for the datum."""


@dataclasses.dataclass(frozen=True)
class Datum:
    """What is followed: texts and bytes that only it contains, and classes of which each object is one."""

    texts: tuple[str, ...] = ()
    raw: tuple[bytes, ...] = ()
    classes: tuple[type, ...] = ()

    def is_in(self, value: object, depth: int = DEEPEST) -> bool:
        """Return whether a value is the datum or holds it; objects that keep things to themselves hold nothing."""
        if isinstance(value, self.classes):
            return True
        if isinstance(value, str):
            return any(text in value for text in self.texts)
        if isinstance(value, bytes | bytearray | memoryview):
            content = bytes(value)
            return any(part in content for part in (*self.raw, *map(str.encode, self.texts)))
        if not depth:
            return False
        if isinstance(value, Mapping):
            return any(self.is_in(part, depth - 1) for part in (*value.keys(), *value.values()))
        if isinstance(value, list | tuple | set | frozenset):
            return any(self.is_in(part, depth - 1) for part in value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = (getattr(value, field.name, None) for field in dataclasses.fields(value))
            return any(self.is_in(part, depth - 1) for part in parts)
        return False


class Trace:
    """Files of the package whose functions ran, were on the datum's path, and held it; with these functions' names.

    It ends with the return of the function ``end``, if there is one.
    """

    def __init__(self, datum: Datum, end: str = "") -> None:
        self.ran: set[str] = set()
        self.on_path: set[str] = set()
        self.holders: dict[str, set[str]] = {}
        self.is_over = False
        self._datum = datum
        self._end = end

    @contextmanager
    def following(self) -> Iterator[None]:
        """Trace this thread and all that it starts."""
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def _call(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if self.is_over or _file(frame.f_code) is None or _is_importing(frame):
            return None
        frame.f_trace_lines = False
        self.ran.add(str(_file(frame.f_code)))
        self._look(frame, [frame.f_locals.get(name) for name in _parameters(frame.f_code)])
        return self._result

    def _result(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        if event == "return" and not self.is_over:
            self._look(frame, [argument])
            self.is_over = frame.f_code.co_qualname == self._end
        return self._result

    def _look(self, frame: FrameType, values: list[object]) -> None:
        if not self._datum.is_in(values, DEEPEST + 1):
            return
        self.holders.setdefault(str(_file(frame.f_code)), set()).add(frame.f_code.co_qualname)
        self.on_path |= {file for above in _stack(frame) if (file := _file(above.f_code))}


def _file(code: CodeType) -> str | None:
    """Return the file of the package that a function is in; None for others and for the sandbox."""
    path = code.co_filename
    if not path.startswith(PACKAGE) or path.startswith(SANDBOX):
        return None
    return path.removeprefix(PACKAGE)


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_importing(frame: FrameType) -> bool:
    """Return whether a function runs because a module is imported, or is the body of one."""
    return any(
        above.f_code.co_name == "<module>" and above.f_globals.get("__name__") != "__main__"
        for above in _stack(frame)
    )


def _parameters(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
    return code.co_varnames[:count]


def _connect(server: SandboxServer, folder: Path) -> None:
    """Let ``cleanlist_default`` lead to a sandbox, with the default kind of request budget: files of this host."""
    connection = json.loads(server.connection_json())
    connection["extra"]["rate_limit_store"] = f"file://{folder}/budget"
    (folder / "budget").mkdir(mode=0o700)
    os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"] = json.dumps(connection)


def _context() -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id="t",
        map_index=-1,
        try_number=1,
        max_tries=0,
        xcom_push=lambda **_: None,
    )
    return {"ti": ti, "run_id": "r", "outlet_events": {}}


def contact(server: SandboxServer, folder: Path) -> Trace:
    """Submit the contacts of a CSV file, with a journal in a directory."""
    os.environ["AIRFLOW__CLEANLIST__JOURNAL_PATH"] = f"{folder}/journal"
    return _submit(folder)


def ledger(server: SandboxServer, folder: Path) -> Trace:
    """Submit the contacts of a CSV file, with a ledger."""
    os.environ["AIRFLOW_CONN_LEDGER"] = json.dumps({"conn_type": "sqlite", "host": f"{folder}/ledger.db"})
    return _submit(folder, ledger_conn_id="ledger")


def _submit(folder: Path, **arguments: Any) -> Trace:
    people = [
        {"first_name": "Zofia", "last_name": name, "company_domain": "harborlight.example"}
        for name in ("Quxley", "Quaxley", "Quuxley")
    ]
    with (folder / "contacts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, people[0])
        writer.writeheader()
        writer.writerows(people)
    key = person(people[1])
    trace = Trace(Datum(("Quaxley", key), (bytes.fromhex(key),)), end="BatchRecorder.accepted")
    operator = BulkEnrichOperator(task_id="t", contacts_path=folder / "contacts.csv", **arguments)
    with trace.following():
        result = operator.execute(_context())
    assert trace.is_over
    assert result["contacts_submitted"] == len(people), result
    return trace


def page(server: SandboxServer, folder: Path) -> Trace:
    """Load a list of two pages."""
    leads = server.state.add_leads("Prospects", 20)
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(
        {"conn_type": "sqlite", "host": f"{folder}/warehouse.db"}
    )
    trace = Trace(Datum((leads.members.generated.row(3)["lead_id"],)))
    operator = LeadListToWarehouseOperator(
        task_id="t",
        list_name="Prospects",
        warehouse_conn_id="warehouse",
        table="leads",
        page_size=10,
        snapshot_date="2026-01-01",
    )
    with trace.following():
        operator.execute(_context())
    with sqlite3.connect(f"{folder}/warehouse.db") as database:
        assert database.execute("SELECT count(*) FROM leads").fetchone() == (20,)
    return trace


def wait(server: SandboxServer, folder: Path) -> Trace:
    """Wait, deferred, for a workflow that is still running at the first status checks."""
    server.settings.change(polls_to_complete=2, running_status="Enriching")
    settings = build_settings(server.url, server.api_key, {})
    client = CleanlistClient(settings, MemoryRateLimiter(Budget(1_000, 1.0)))
    people = [Contact(linkedin_url=f"https://www.linkedin.com/in/quxley-{number}") for number in range(40)]
    workflow_id = client.submit_bulk_enrichment(people).workflow_id
    classes = (WorkflowStatus, WorkflowState, WorkflowOutcome, ProgressEstimate, WaitOutcome)
    trace = Trace(Datum(("Enriching", '"total":40'), (), classes))
    sensor = WorkflowSensor(task_id="t", workflow_ids=workflow_id)

    async def event(trigger: Any) -> dict[str, Any]:
        (payload,) = [fired.payload async for fired in trigger.run()]
        return payload

    with trace.following():
        try:
            sensor.execute(_context())
        except TaskDeferred as deferred:
            payload = asyncio.run(event(deferred.trigger))
            summary = getattr(sensor, deferred.method_name)(_context(), payload, **(deferred.kwargs or {}))
    assert summary["completed"] == 1, summary
    return trace


JOURNEYS: dict[str, Callable[[SandboxServer, Path], Trace]] = {
    "contact": contact,
    "ledger": ledger,
    "page": page,
    "wait": wait,
}


def table(name: str, trace: Trace) -> Iterator[str]:
    """Yield the lines of a Markdown table: each file, what it is on the way, and its functions that held the datum."""
    counts = f"{len(trace.holders)} holding it, {len(trace.on_path)} on its path, {len(trace.ran)} run at all"
    yield f"### {name}: {counts}\n\n| File | | Functions that hold it |\n|---|---|---|"
    groups = (
        ("holds it", set(trace.holders)),
        ("on its path", trace.on_path - set(trace.holders)),
        ("runs", trace.ran - trace.on_path),
    )
    for kind, files in groups:
        for file in sorted(files):
            names = sorted(name.removesuffix(".<locals>") for name in trace.holders.get(file, ()))
            yield f"| `{file}` | {kind} | {', '.join(f'`{name}`' for name in names)} |"
    yield ""


def main() -> None:
    """Print a table for each journey."""
    for name in sys.argv[1:] or JOURNEYS:
        folder = Path(HOME.name) / name
        folder.mkdir()
        with SandboxServer(requests_per_minute=1_000, window_seconds=2, seconds_to_complete=0) as server:
            _connect(server, folder)
            trace = JOURNEYS[name](server, folder)
        print(*table(name, trace), sep="\n", flush=True)


if __name__ == "__main__":
    main()
