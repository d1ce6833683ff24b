"""Runs against an API that echoes whatever it was sent: nothing that is written down holds any of it.

Searched are logs at DEBUG (urllib3's own too), results and pushes for XCom, rendered fields, links, asset events,
arguments and events of triggers, and exceptions with their causes. Looked for are the key, the webhook address, a
signed URL and every value of the contacts, also where they are encoded.
"""

from __future__ import annotations

import asyncio
import html
import json
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.tokens import batch_name
from airflow_provider_cleanlist.links import WorkflowLink
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)
from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator
from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger

pytestmark = pytest.mark.integration

KEY = "clapi_hostile-0123456789-abcdefghijklmnop"
SIGNATURE = "5f2c7be1a09d4e38"
SIGNED = f"https://files.northfold.example/export.csv?X-Amz-Signature={SIGNATURE}"
CONTACT = {
    "first_name": "Wilhelmina",
    "last_name": "Thørsson-Quigley",
    "company_name": "Quill & Sextant",
    "company_domain": "sextant.example",
    "linkedin_url": "https://www.linkedin.com/in/wilhelmina-tq-example",
    "email": "wilhelmina@sextant.example",
}
PERSONAL = ("wilhelmina", "thørsson", "th\\u00f8rsson", "quigley", "sextant")


class Hostile(ThreadingHTTPServer):
    """An API that answers as a script says, with ``ECHO`` replaced by what it knows.

    Attributes:
        script: Status, headers and body by the end of a request's path.
        encode: How it writes what it echoes.
        address: The webhook address that it was sent.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: dict[str, tuple[int, dict[str, str], Any]] = {}
        self.encode: Callable[[str], str] = str
        self.address = ""
        self.asked: list[str] = []

    def echo(self, body: dict[str, Any]) -> str:
        """Return what it was sent, and what it knows besides: a name alone can be told only where it was sent."""
        values = CONTACT.values() if "contacts" in body else (CONTACT["email"], CONTACT["linkedin_url"])
        address = self.address or "https://airflow.northfold.example/cleanlist/webhook/AR" + "aZ0-" * 17
        known = [address, KEY, f"Bearer {KEY}", SIGNED, *values]
        return "\x1b[31m" + " ".join(map(self.encode, known))

    def answer(self, path: str, sent: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        usual: dict[str, Any] = {
            "/enrich/bulk": {"workflow_id": "w-1", "status": "processing", "task_ids": ["t-1"]},
            "/enrich/status": {"status": "processing", "total": 1, "processed": 0},
            "/credits/balance": {"credits": 100_000},
            "/auth/validate-key": {"valid": True, "organization_id": "org-1"},
        }
        self.asked.append(path)
        end = next((end for end in [*self.script, *usual] if path.endswith(end)), "")
        status, headers, body = self.script.get(end) or (200, {}, usual.get(end, {}))
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        echo = self.echo(sent)
        inside = echo.encode() if isinstance(body, bytes) else json.dumps(echo)[1:-1].encode()
        headers = {name: value.replace("ECHO", quote(echo)) for name, value in headers.items()}
        return status, headers, raw.replace(b"ECHO", inside)


class _Handler(BaseHTTPRequestHandler):
    server: Hostile

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self.server.address = body.get("webhook_url", self.server.address)
        status, headers, raw = self.server.answer(urlsplit(self.path).path, body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = _answer  # noqa: N815  # the names that the base class calls

    def log_message(self, *_: object) -> None:
        """Say nothing: the test reads the log."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hostile]:
    server = Hostile()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    extra = {
        "max_retries": 0,
        "rate_limit_store": "memory://",
        "requests_per_minute": 100_000,
        "webhook_base_url": "https://airflow.northfold.example",
        "webhook_secret": "a secret of some length",
        "hash_secret": "pepper",
    }
    fields = {"conn_type": "cleanlist", "host": f"http://127.0.0.1:{server.server_port}", "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps({**fields, "extra": extra}))
    warehouse = {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(warehouse))
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}/inbox")
    yield server
    server.shutdown()
    server.server_close()


class Written:
    """Everything that a run leaves behind, as text."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.errors: list[BaseException] = []

    def keep(self, *values: Any) -> None:
        self.texts += [value if isinstance(value, str) else repr(value) for value in values]

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.keep("".join(traceback.format_exception(error)), error, error.args, str(pickle.dumps(error)))
        seen: BaseException | None = error
        while seen is not None:  # also what "from None" hides
            self.keep(str(seen), vars(seen))
            seen = seen.__cause__ or seen.__context__

    def run(self, operator: Any, **context: Any) -> None:
        state: dict[str, Any] = {}
        store = SimpleNamespace(
            get=state.get, set=lambda key, value, retention=None: state.update({key: value})
        )
        outlets: dict[Any, SimpleNamespace] = {}
        ti = SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id=operator.task_id,
            map_index=-1,
            try_number=1,
            max_tries=0,
            xcom_push=lambda **pushed: self.keep(pushed),
        )
        given = {"ti": ti, "run_id": "r", "outlet_events": outlets, "task_state_store": store, **context}
        try:
            self.keep(operator.execute(given))
        except TaskDeferred as deferred:
            self.keep(deferred.trigger.serialize())
        except Exception as error:
            self.fail(error)
        self.keep(state, {key: vars(value) for key, value in outlets.items()})
        self.keep(*(getattr(operator, name) for name in operator.template_fields if name != "contacts"))
        self.keep(vars(WorkflowLink()))


def expect_webhook() -> None:
    inbox = Inbox.configured()
    assert inbox is not None
    inbox.announce("w-1", batch_name("s", "r", "0"))


def everything_of(written: Written, log: str) -> str:
    return "\n".join([*written.texts, log])


def enrich(written: Written, **arguments: Any) -> None:
    operator = BulkEnrichOperator(
        task_id="t", contacts=[dict(CONTACT)], webhook=True, max_credits=100, **arguments
    )
    written.run(operator)


def wait_for_webhook(written: Written) -> None:
    expect_webhook()
    wait(written)


def wait(written: Written) -> None:
    written.run(WorkflowSensor(task_id="t", workflow_ids=["w-1"], deferrable=False, timeout=1))


def defer(written: Written) -> None:
    expect_webhook()
    trigger = WorkflowTrigger(
        cleanlist_conn_id="cleanlist_default",
        workflow_ids=["w-1"],
        submitted_at=time.time(),
        deadline=time.time() + 0.5,
    )
    written.keep(trigger.serialize())

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    written.keep(event)
    sensor = WorkflowSensor(task_id="t", workflow_ids=["w-1"], deferrable=True)
    try:
        written.keep(sensor.execute_complete({}, event))
    except Exception as error:
        written.fail(error)


def load_results(written: Written) -> None:
    expect_webhook()
    written.run(
        EnrichmentResultsToWarehouseOperator(
            task_id="t",
            workflow_ids=["w-1"],
            warehouse_conn_id="warehouse",
            table="results",
        )
    )


def load_list(written: Written) -> None:
    written.run(
        LeadListToWarehouseOperator(
            task_id="t", list_name="Prospects", warehouse_conn_id="warehouse", table="leads"
        )
    )


BULK, STATUS, LISTS = "/enrich/bulk", "/enrich/status", "/lead-lists"
ENTRY = {"loc": ["body", "contacts", 0, "ECHO"], "msg": "ECHO", "type": "ECHO", "input": "ECHO"}
ENVELOPE = {"code": "ECHO", "problem": "ECHO", "cause": "ECHO", "fix": "ECHO", "request_id": "ECHO"}
DELIVERIES = [
    {"attempt": 1, "status": "ECHO", "response_status_code": 404, "error_message": "to ECHO failed"}
]
STRANGE = {"status": "ECHO", "total": 1, "processed": 0, "message": "ECHO"}
Run = Callable[[Written], None]
Answer = tuple[int, dict[str, str], Any]
CASES: dict[str, tuple[Run, dict[str, Answer]]] = {
    "400": (enrich, {BULK: (400, {}, {"detail": "refused: ECHO"})}),
    "402": (enrich, {BULK: (402, {}, {"error": ENVELOPE})}),
    "422": (enrich, {BULK: (422, {}, {"detail": [ENTRY] * 3})}),
    "a redirect": (enrich, {BULK: (302, {"Location": "https://x.example/ECHO"}, b"ECHO")}),
    "an error page": (enrich, {BULK: (500, {"X-Echo": "ECHO"}, b"<html>ECHO</html>")}),
    "broken JSON": (enrich, {BULK: (200, {}, b'{"workflow_id": "ECHO"')}),
    "an echo as id": (enrich, {BULK: (200, {}, {"workflow_id": "ECHO"})}),
    "an echo beside the id": (
        enrich,
        {BULK: (200, {}, {"workflow_id": "w-1", "message": "ECHO", "status": "ECHO", "task_ids": ["ECHO"]})},
    ),
    "balance": (enrich, {"/credits/balance": (403, {}, {"detail": "ECHO"})}),
    "organisation": (enrich, {"/auth/validate-key": (500, {}, {"detail": "ECHO"})}),
    "wait: unknown status": (wait, {STATUS: (200, {}, STRANGE)}),
    "wait: delivery log": (wait_for_webhook, {"/webhooks/deliveries": (200, {}, DELIVERIES)}),
    "wait: delivery log refused": (wait_for_webhook, {"/webhooks/deliveries": (404, {}, {"detail": "ECHO"})}),
    "wait: failing": (wait, {STATUS: (400, {}, {"detail": "ECHO"})}),
    "wait: refused": (wait, {STATUS: (401, {}, b"<p>ECHO")}),
    "trigger: unknown status": (defer, {STATUS: (200, {}, STRANGE)}),
    "trigger: refused": (defer, {STATUS: (403, {}, {"error": ENVELOPE})}),
    "results: none": (
        load_results,
        {STATUS: (200, {}, {"status": "completed"}), "/webhooks/deliveries": (200, {}, DELIVERIES)},
    ),
    "results: refused": (load_results, {STATUS: (400, {}, {"detail": "ECHO"})}),
    "list: similar names": (
        load_list,
        {LISTS: (200, {}, {"lists": [{"list_id": "l-1", "name": "Prospect ECHO"}]})},
    ),
    "list: refused": (load_list, {LISTS: (403, {}, b"ECHO")}),
    "leads: refused": (
        load_list,
        {
            LISTS: (200, {}, {"lists": [{"list_id": "l-1", "name": "Prospects"}]}),
            "/leads": (422, {}, {"detail": [ENTRY]}),
        },
    ),
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL twice": lambda text: quote(quote(text, safe=""), safe="").lower(),
    "JSON": lambda text: json.dumps(json.dumps(text)),
}


connected: list[object] = []
"""Addresses that this process has looked up or connected to."""


def note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        connected.append(arguments[1])
    elif event == "socket.getaddrinfo":
        connected.append(arguments[:2])


sys.addaudithook(note_connection)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("case", CASES)
def test_nothing_that_is_written_down_holds_what_the_api_echoes(
    api: Hostile, logged: Callable[[], str], case: str, encode: Callable[[str], str]
) -> None:
    run, api.script = CASES[case]
    api.encode = encode
    written = Written()
    connected.clear()
    run(written)
    assert set(connected) == {api.server_address}  # and nobody else
    log = logged()
    for end in api.script:
        assert any(path.endswith(end) for path in api.asked), everything_of(written, log)
    assert 'HTTP/1.1" ' in log  # urllib3's own lines are among what is searched
    everything = everything_of(written, log)
    for _ in range(3):
        assert "\x1b" not in everything
        found = [
            secret
            for secret in (KEY, api.address.rpartition("/")[2] or "aZ0-aZ0-", SIGNATURE, *PERSONAL)
            if secret.lower() in everything.lower()
        ]
        assert not found, everything
        everything = html.unescape(unquote(everything))


def test_the_search_would_find_what_it_looks_for(api: Hostile) -> None:
    api.script = {BULK: (400, {}, {"detail": "ECHO"})}
    written = Written()
    enrich(written)
    assert api.address.startswith("https://airflow.northfold.example/cleanlist/webhook/A")
    text = json.loads(api.answer(BULK, {"contacts": []})[2])["detail"]
    assert all(secret in text for secret in (KEY, api.address, SIGNATURE))
    assert written.errors
    assert "<redacted>" in "".join(written.texts)
