"""No raw exception reaches a user: whatever arguments, connections, environments and answers a task meets.

Every public operator and sensor is built and executed with one hostile argument after the other, every public method of
the hook is called so, and every kind of answer that is no Cleanlist answer is given to all of them. What comes out is a
result, or an exception that the package documents.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_cleanlist import (
    BulkEnrichOperator,
    CleanlistHook,
    EnrichmentResultsToWarehouseOperator,
    LeadListToWarehouseOperator,
    WorkflowSensor,
)
from airflow_provider_cleanlist.exceptions import CleanlistError
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.waiting import tracker

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=1_000_000)]

PEOPLE = [{"first_name": "Ada", "last_name": "Park", "company_domain": "thistle.example"}]
DOCUMENTED = (CleanlistError, TaskDeferred, AirflowSkipException)
OF_AIRFLOW = {"task_id", "kwargs", "self"}
VALUES: dict[str, Any] = {
    "nothing": None,
    "word": "no such thing",
    "markup": "<b>'\"; DROP TABLE x --\0\u202e",
    "lone surrogate": "\ud800",
    "negative": -7,
    "not a number": float("nan"),
    "bytes": b"\xff\x00",
    "list of numbers": [1, 2],
    "mapping of nothing": {None: None},
    "time span": timedelta(days=-1),
    "object": object(),
    "exception": ValueError("boo"),
}


class Context(dict[str, Any]):
    """The context of a task instance of which nobody knows."""

    def __init__(self) -> None:
        store: dict[str, Any] = {}
        ti = SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id="t",
            map_index=-1,
            try_number=1,
            max_tries=0,
            start_date=datetime(2026, 1, 1, tzinfo=UTC),
            xcom_push=lambda key, value: None,
            task=SimpleNamespace(retries=0),
        )
        keep = SimpleNamespace(
            get=store.get, set=lambda key, value, retention=None: store.update({key: value})
        )
        dag_run = SimpleNamespace(run_after=datetime(2026, 1, 1, tzinfo=UTC), run_id="r")
        super().__init__(
            ti=ti, task_instance=ti, run_id="r", dag_run=dag_run, outlet_events={}, task_state_store=keep
        )


def enrich(**arguments: Any) -> Any:
    arguments = {"contacts": PEOPLE, "poll_interval": 1, "timeout": 0} | arguments
    if {"contacts_path", "sql"} & set(arguments):
        del arguments["contacts"]
    return BulkEnrichOperator(task_id="t", **arguments).execute(Context())  # type: ignore[arg-type]


def wait(**arguments: Any) -> Any:
    arguments = {"workflow_ids": ["wf_1"], "deferrable": False, "timeout": 0, "poke_interval": 1} | arguments
    return WorkflowSensor(task_id="t", **arguments).execute(Context())  # type: ignore[arg-type]


def load(**arguments: Any) -> Any:
    arguments = {"list_name": "Prospects", "warehouse_conn_id": "warehouse", "table": "leads"} | arguments
    if "list_id" in arguments:
        del arguments["list_name"]
    return LeadListToWarehouseOperator(task_id="t", **arguments).execute(Context())  # type: ignore[arg-type]


def results(**arguments: Any) -> Any:
    arguments = {"workflow_ids": ["wf_1"], "warehouse_conn_id": "warehouse", "table": "results"} | arguments
    return EnrichmentResultsToWarehouseOperator(task_id="t", **arguments).execute(Context())  # type: ignore[arg-type]


OPERATORS: dict[str, tuple[type, Callable[..., Any]]] = {
    "BulkEnrichOperator": (BulkEnrichOperator, enrich),
    "WorkflowSensor": (WorkflowSensor, wait),
    "LeadListToWarehouseOperator": (LeadListToWarehouseOperator, load),
    "EnrichmentResultsToWarehouseOperator": (EnrichmentResultsToWarehouseOperator, results),
}


def arguments_of(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in OF_AIRFLOW]


OF_OPERATORS = [
    (name, argument) for name, (kind, _) in OPERATORS.items() for argument in arguments_of(kind.__init__)
]
METHODS = {
    name: method
    for name, method in inspect.getmembers(CleanlistHook, inspect.isfunction)
    if not name.startswith("_")
    and name in vars(CleanlistHook)
    and not inspect.iscoroutinefunction(method)
    and arguments_of(method)
}
GOOD = {
    "contacts": PEOPLE,
    "list_id": "list",
    "name": "Prospects",
    "workflow_id": "wf_1",
    "task_id": "t_1",
    "lead_ids": ["lead_1"],
    "page_size": 10,
}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Point the connections to a host and a warehouse; Airflow logs nothing, relative paths lead to nowhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "w.db")})
    )
    logging.disable(logging.CRITICAL)

    def to(host: str, key: str = "clapi_key", **extra: Any) -> None:
        extra = {
            "max_retries": 0,
            "rate_limit_store": "memory://",
            "timeout_seconds": 3,
            "window_seconds": 0.02,
        } | extra
        connection = {"conn_type": "cleanlist", "host": host, "password": key, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))

    yield to
    logging.disable(logging.NOTSET)


def raw(run: Callable[[], Any]) -> str | None:
    """Return what is wrong with the exception that something raises; None if it raises none, or a documented one."""
    try:
        outcome = run()
        if inspect.isgenerator(outcome):
            list(outcome)
    except DOCUMENTED:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.fixture
def sandbox(
    cleanlist_sandbox: SandboxServer, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> SandboxServer:
    """A sandbox with one list, whose unknown workflows are not waited for."""
    monkeypatch.setattr(tracker, "NOT_FOUND_GRACE_SECONDS", 0.1)
    cleanlist_sandbox.state.add_leads("Prospects", 3)
    connect(cleanlist_sandbox.url, cleanlist_sandbox.api_key, requests_per_minute=100_000)
    return cleanlist_sandbox


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("operator", "argument"), OF_OPERATORS)
def test_an_argument_of_an_operator(operator: str, argument: str) -> None:
    run = OPERATORS[operator][1]
    found = {name: raw(lambda value=value: run(**{argument: value})) for name, value in VALUES.items()}
    assert {name: problem for name, problem in found.items() if problem} == {}


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("method", METHODS)
def test_an_argument_of_a_method_of_the_hook(method: str) -> None:
    hook = CleanlistHook()
    names = arguments_of(METHODS[method])
    good = {name: GOOD[name] for name in names if name in GOOD}
    found = {
        f"{argument}: {name}": raw(lambda call={**good, argument: value}: getattr(hook, method)(**call))
        for argument in names
        for name, value in VALUES.items()
    }
    assert {name: problem for name, problem in found.items() if problem} == {}


QUERIES = {
    "missing table": "SELECT * FROM absent",
    "missing column": "SELECT absent",
    "no SQL": "SELEC 1",
    "unbound": "SELECT ? AS email",
    "nothing but a byte order mark": "\ufeff",
    "no text": "SELECT x'ff00' AS email",
}
DATABASES = {
    "not there": {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x", "schema": "x"},
    "no file": {"conn_type": "sqlite", "host": "/no/such/directory/w.db"},
    "no SQL database": {"conn_type": "http", "host": "127.0.0.1"},
}


@pytest.mark.usefixtures("sandbox")
def test_a_source_query(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        name: raw(lambda sql=sql: enrich(sql=sql, sql_conn_id="warehouse")) for name, sql in QUERIES.items()
    }
    for name, connection in DATABASES.items():
        monkeypatch.setenv("AIRFLOW_CONN_SOURCE", json.dumps(connection))
        found[name] = raw(lambda: enrich(sql="SELECT 1 AS email", sql_conn_id="source"))
    assert {name: problem for name, problem in found.items() if problem} == {}


# Answers

BODIES = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "empty object": b"{}",
    "page": b"<html><body>welcome</body></html>",
    "bad UTF-8": b'{"id": "\xff\xfe"}',
    "NaN": b'{"credits": NaN, "total": Infinity}',
    "long number": b'{"credits": ' + b"9" * 5000 + b"}",
    "deep": b"[" * 100_000,
    "wrong types": json.dumps(
        {
            "valid": [],
            "credits": "many",
            "data": 5,
            "lists": "x",
            "leads": [5, None, []],
            "results": {"x": 1},
            "workflow_id": {},
            "status": [1],
            "total": "1e999",
            "next_cursor": {"c": 1},
        }
    ).encode(),
    "lists of wrong types": json.dumps(
        {
            name: [None, 1, "a", []]
            for name in ("data", "lists", "leads", "results", "tasks", "errors", "detail")
        }
    ).encode(),
    "error of wrong types": b'{"error": [1], "detail": [{"loc": 5, "msg": {}}, null, 3], "code": {}}',
}
STATUSES = (200, 422)
"""Not 429: a request waits until the limit is over, whatever the body says."""


@pytest.fixture
def answer() -> Iterator[Any]:
    """A server whose answer to everything can be set."""
    state = SimpleNamespace(status=200, body=b"{}", headers={})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(state.status)
            for name, value in {"Content-Length": str(len(state.body)), **state.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if state.status not in (204, 304):
                self.wfile.write(state.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()


def everything() -> dict[str, Callable[[], Any]]:
    """Return a call of every operator, and of every method of the hook with good arguments."""
    hook = CleanlistHook()
    calls: dict[str, Callable[[], Any]] = {name: run for name, (_, run) in OPERATORS.items()}
    for name, method in METHODS.items():
        call = {argument: GOOD[argument] for argument in arguments_of(method) if argument in GOOD}
        calls[name] = lambda name=name, call=call: getattr(hook, name)(**call)
    for name in ("validate_key", "get_credit_balance", "test_connection", "get_conn"):
        calls[name] = getattr(hook, name)
    return calls


@pytest.mark.parametrize("body", BODIES)
def test_an_answer(answer: Any, connect: Callable[..., None], body: str) -> None:
    connect(answer.url, requests_per_minute=100_000)
    answer.body = BODIES[body]
    problems = {}
    for answer.status in STATUSES:
        for name, run in everything().items():
            if problem := raw(run):
                problems[f"{answer.status} {name}"] = problem
    assert problems == {}


HEADERS = {
    "odd retry": {"Retry-After": "soon"},
    "retry of another time": {"Retry-After": "Wed, 31 Feb 9999 99:99:99 GMT"},
    "negative retry": {"Retry-After": "-1"},
    "redirect nowhere": {"Location": "http://[::1"},
    "unknown encoding": {"Content-Encoding": "br, gzip, what"},
    "no gzip at all": {"Content-Encoding": "gzip"},
    "unknown charset": {"Content-Type": "application/json; charset=no-such"},
    "too short": {"Content-Length": "1"},
    "odd rate limit": {"X-RateLimit-Remaining": "lots", "X-RateLimit-Reset": "never"},
}


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_of_an_answer(answer: Any, connect: Callable[..., None], headers: str) -> None:
    connect(answer.url, requests_per_minute=100_000)
    answer.headers = HEADERS[headers]
    answer.body = b'{"valid": true, "data": []}'
    problems = {}
    for answer.status in (200, 301):
        for name, run in everything().items():
            if problem := raw(run):
                problems[f"{answer.status} {name}"] = problem
    assert problems == {}


# Connections and environments

CONNECTIONS: dict[str, Any] = {
    "no host, no key": {"host": None, "password": None},
    "host with a path": {"host": "https://api.cleanlist.ai/somewhere"},
    "host in capitals with spaces": {"host": "  HTTPS://API.cleanlist.ai "},
    "no host at all": {"host": "http://"},
    "odd host": {"host": "http://[::1"},
    "host of other characters": {"host": "https://\u2603.example\n"},
    "key with a line break": {"password": "clapi\nx"},
    "port as text": {"port": "443"},
    "impossible port": {"port": 99_999_999},
    "extra as a list": {"extra": "[1]"},
    "extra that is no JSON": {"extra": "{"},
    "numbers as text": {"extra": {"requests_per_minute": "60", "max_retries": "0", "timeout_seconds": "1.5"}},
    "numbers that are none": {"extra": {"requests_per_minute": "many"}},
    "store that does not exist": {"extra": {"rate_limit_store": "ftp://nowhere"}},
    "Redis with odd words": {"extra": {"rate_limit_store": "redis://u:123/45secret@h?foo=1"}},
    "Redis that is not there": {"extra": {"rate_limit_store": "redis://127.0.0.1:1/0"}},
    "share of nothing": {"extra": {"rate_limit_share": 0}},
    "secret too short": {"extra": {"webhook_secret": "x", "webhook_base_url": "ftp://x"}},
}


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_connection(
    answer: Any, monkeypatch: pytest.MonkeyPatch, connect: Callable[..., None], connection: str
) -> None:
    connect(answer.url)
    answer.status, answer.body = 401, b'{"detail": "Not authenticated"}'
    fields = {"conn_type": "cleanlist", "host": answer.url, "password": "clapi_key"} | CONNECTIONS[connection]
    if isinstance(fields.setdefault("extra", {}), dict):
        fields["extra"] = {"max_retries": 0, "rate_limit_store": "memory://", "timeout_seconds": 1} | fields[
            "extra"
        ]
    if "cleanlist.ai" in str(fields["host"]) or fields["host"] is None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(fields))
    problems = {name: raw(run) for name, run in everything().items()}
    problems |= {f"webhook {name}": raw(lambda: enrich(webhook=True)) for name in ("submit",)}
    assert {name: problem for name, problem in problems.items() if problem} == {}


@pytest.mark.parametrize(
    "variables",
    [
        {"REQUESTS_CA_BUNDLE": "/no/such/bundle.pem"},
        {"SSL_CERT_FILE": "/no/such/bundle.pem"},
        {"HTTPS_PROXY": "::not a proxy::", "HTTP_PROXY": "::not a proxy::"},
        {"HTTP_PROXY": "socks5://127.0.0.1:1"},
        {"NETRC": "/proc/self/mem"},
        {"TMPDIR": "/no/such/directory"},
        {"HOME": "/no/such/directory"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_an_environment(
    answer: Any, monkeypatch: pytest.MonkeyPatch, connect: Callable[..., None], variables: dict[str, str]
) -> None:
    connect(answer.url, rate_limit_store="")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    problems = {name: raw(run) for name, run in everything().items()}
    assert {name: problem for name, problem in problems.items() if problem} == {}


def test_a_missing_connection_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    assert "AIRFLOW_CONN_NOWHERE" not in os.environ
    for _, run in OPERATORS.values():
        with pytest.raises(AirflowFailException, match="There is no connection 'nowhere'"):
            run(cleanlist_conn_id="nowhere")
