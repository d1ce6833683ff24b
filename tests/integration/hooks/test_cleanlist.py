"""The hook against the sandbox and against servers that fail, through Airflow connections in the environment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client.export.csv_file import EXPORT_FIELDS
from airflow_provider_cleanlist.client.responses import MANAGED_LIST_NAMES
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]

TEO = {"first_name": "Teo", "last_name": "Lindqvist", "company_domain": "found-both.example", "email": None}


@pytest.fixture
def sandbox(cleanlist_sandbox: SandboxServer) -> SandboxServer:
    return cleanlist_sandbox


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CleanlistHook]:
    """Make a hook of a connection in the environment."""

    def make(host: str, key: str = "clapi_hook-secret-0123", **extra: Any) -> CleanlistHook:
        basis = {"max_retries": 0, "rate_limit_store": "memory://"}
        connection = {"conn_type": "cleanlist", "host": host, "password": key, "extra": {**basis, **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
        return CleanlistHook()

    return make


@pytest.fixture
def hook(sandbox: SandboxServer, use: Callable[..., CleanlistHook]) -> CleanlistHook:
    return use(sandbox.url, sandbox.api_key, requests_per_minute=100_000)


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    """Start a server that answers everything the same way, and return its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, body: bytes = b"{}", seconds: float = 0.0) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(seconds)
                with contextlib.suppress(OSError):  # the client may have given up
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# The test button


def test_the_test_button_with_a_good_connection(hook: CleanlistHook) -> None:
    assert hook.test_connection() == (True, "Connected to Cleanlist: the API key is valid.")


REFUSED = "Cleanlist refused the API key: it may be mistyped, expired or revoked."
STRANGE = "The host does not respond like Cleanlist: check the host."
DOWN = "Cleanlist is returning server errors at the moment: try again later."
MESSAGES = [
    (401, b'{"detail": "Not authenticated"}', REFUSED),
    (403, b'{"detail": "Not authenticated"}', REFUSED),
    (200, b'{"valid": false}', REFUSED),
    (200, b"{}", STRANGE),
    (200, b'{"status": "error"}', STRANGE),
    (403, b'{"detail": "no"}', "The API key is known, but its plan does not include API access."),
    (502, b"<html>bad gateway</html>", DOWN),
    (200, b"<html>hello</html>", STRANGE),
    (200, b"[]", STRANGE),
    (301, b"", STRANGE),
    (404, b"", STRANGE),
    (400, b"{}", STRANGE),
    (402, b"{}", STRANGE),
    (409, b"{}", STRANGE),
    (422, b"{}", STRANGE),
    (
        429,
        b'{"error": {"code": "x", "problem": "y", "retryable": false}}',
        "The request limit is used up at the moment, so the key was not checked: try again later.",
    ),
]


@pytest.mark.parametrize(("status", "body", "message"), MESSAGES)
def test_the_test_button_answers_in_fixed_words(
    use: Any, answering: Any, status: int, body: bytes, message: str
) -> None:
    host = answering(status, body)
    assert use(host).test_connection() == (False, f"{message} Host: {host}.")


def test_the_test_button_without_a_server(use: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    message = "Cleanlist cannot be reached: check the host and the network."
    host = f"http://127.0.0.1:{port}"
    assert use(host).test_connection() == (False, f"{message} Host: {host}.")


def test_an_error_of_key_or_host_names_the_connection(use: Any, answering: Any) -> None:
    for status, body in ((401, b'{"detail": "Not authenticated"}'), (200, b"<html>hello</html>")):
        host = answering(status, body)
        with pytest.raises(
            exceptions.CleanlistError, match=f"Used: connection 'cleanlist_default', host {host}\\."
        ):
            use(host, max_retries=0).validate_key()
    with pytest.raises(exceptions.CleanlistError) as caught:
        use(answering(402, b"{}")).validate_key()
    assert "Used:" not in str(caught.value)


def test_a_list_is_found_by_its_name_in_any_normal_form(sandbox: SandboxServer, use: Any) -> None:
    hook = use(sandbox.url, sandbox.api_key)
    composed, decomposed = "Caf\u00e9 leads", "Cafe\u0301 LEADS"
    expected = sandbox.state.add_leads(composed, 1).list_id
    assert [hook.find_lead_list(name).list_id for name in (composed, decomposed)] == [expected] * 2
    assert hook.find_lead_list("Cafe leads") is None


def test_the_test_button_names_a_setting_of_this_machine(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    assert use("https://127.0.0.1:9").test_connection() == (
        False,
        "This request was not sent to Cleanlist: the environment variable REQUESTS_CA_BUNDLE names a file of "
        "certificates that does not exist. Host: https://127.0.0.1:9.",
    )


@pytest.mark.parametrize(
    "error", [OSError(5, "user:hunter2"), RuntimeError("hunter2"), MemoryError("hunter2")]
)
def test_the_test_button_never_raises(use: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("airflow_provider_cleanlist.hooks.cleanlist._new_client", fail)
    works, message = use("http://127.0.0.1:9").test_connection()
    assert not works
    assert message.startswith(f"The connection could not be tested on this machine ({type(error).__name__})")
    assert message.endswith(" Host: http://127.0.0.1:9.")


def test_the_test_button_does_not_wait_for_ever(use: Any, answering: Any) -> None:
    started = time.monotonic()
    works, message = use(answering(200, seconds=3.0), timeout_seconds=0.3, max_retries=9).test_connection()
    assert not works
    assert message.startswith("Cleanlist cannot be reached: check the host and the network. Host: http://127")
    assert time.monotonic() - started < 3.0


def test_the_test_button_gives_up_on_a_long_rate_limit(sandbox: SandboxServer, use: Any) -> None:
    sandbox.faults.fail("validate_key", 429, times=None, retry_after="60")
    started = time.monotonic()
    works, message = use(sandbox.url, sandbox.api_key).test_connection()
    assert not works
    assert message.startswith("The request limit is used up")
    assert time.monotonic() - started < 5.0


# Every method once


def test_an_enrichment(hook: CleanlistHook, sandbox: SandboxServer) -> None:
    assert hook.validate_key().valid
    submitted = hook.submit_bulk_enrichment([TEO], enrichment_type="full")
    assert hook.get_workflow_status(submitted.workflow_id).status == "completed"
    assert len(hook.get_task_result(submitted.task_ids[0]).phones) == 1
    assert hook.list_webhook_deliveries(submitted.workflow_id) == []
    assert hook.get_credit_balance().credits == 100_000 - 11
    assert sandbox.ledger.contacts_submitted_twice() == {}


def test_lists(hook: CleanlistHook) -> None:
    made = hook.create_lead_list("Nordics", description="d")
    assert hook.create_lead_list("nordics").reused
    assert hook.get_lead_list(made.list_id).description == "d"
    assert hook.update_lead_list(made.list_id, description=None).description is None
    hook.submit_bulk_enrichment([TEO])
    managed = hook.find_lead_list("Extension Leads")
    assert managed is not None
    (page,) = hook.iter_lead_pages(managed.list_id)
    ids = [lead["lead_id"] for lead in page.leads]
    assert hook.add_leads(made.list_id, ids) == 1
    assert hook.remove_leads(made.list_id, ids) == 1
    hook.delete_lead_list(made.list_id)
    with pytest.raises(exceptions.CleanlistNotFoundError) as caught:
        hook.get_lead_list(made.list_id)
    assert isinstance(caught.value, AirflowFailException)
    assert pickle.loads(pickle.dumps(caught.value)).info == caught.value.info


def test_the_asynchronous_twins(hook: CleanlistHook) -> None:
    submitted = hook.submit_bulk_enrichment([TEO], enrichment_type="full")

    async def main() -> tuple[Any, Any, Any]:
        client = await hook.aget_conn()
        assert client is await hook.aget_conn()
        return (
            client,
            await hook.aget_workflow_status(submitted.workflow_id),
            await hook.aget_task_result(submitted.task_ids[0]),
        )

    client, status, result = asyncio.run(main())
    assert client is hook.get_conn()
    assert status == hook.get_workflow_status(submitted.workflow_id)
    assert result == hook.get_task_result(submitted.task_ids[0])


def test_settings_looked_up_on_an_event_loop_serve_everything_else(
    hook: CleanlistHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = asyncio.run(hook.aget_settings())
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)
    assert asyncio.run(hook.aget_settings()) is settings is hook.settings
    assert asyncio.run(hook.aget_conn()) is hook.get_conn()


def test_an_unusable_connection_on_an_event_loop(use: Any) -> None:
    with pytest.raises(exceptions.CleanlistConfigurationError, match="must use https"):
        asyncio.run(use("http://api.cleanlist.ai").aget_conn())


# Finding a list by name


def add_list(sandbox: SandboxServer, name: str, owner: Any = None, **fields: Any) -> str:
    made = sandbox.state.lists.add_list(name, owner or sandbox.state.accounts.user, 0.0, **fields)
    list_id: str = made.list_id
    return list_id


def test_a_list_is_found_by_its_exact_name_before_another_case(
    hook: CleanlistHook, sandbox: SandboxServer
) -> None:
    lower, upper = add_list(sandbox, "leads"), add_list(sandbox, "LEADS")
    for name, list_id in (("leads", lower), ("LEADS", upper)):
        found = hook.find_lead_list(name)
        assert found is not None
        assert found.list_id == list_id
    with pytest.raises(exceptions.CleanlistConfigurationError) as caught:
        hook.find_lead_list("Leads")
    assert "2 lead lists are named 'Leads': give list_id instead" in str(caught.value)
    assert lower in str(caught.value)
    assert upper in str(caught.value)


def test_letter_case_and_outer_blanks_do_not_matter(hook: CleanlistHook, sandbox: SandboxServer) -> None:
    list_id = add_list(sandbox, "Straße Nord")
    add_list(sandbox, "Straße")
    for name in ("straße nord", " STRASSE Nord ", "Straße Nord"):
        found = hook.find_lead_list(name)
        assert found is not None
        assert found.list_id == list_id


def test_a_list_that_does_not_exist(hook: CleanlistHook, sandbox: SandboxServer) -> None:
    add_list(sandbox, "other")
    assert hook.find_lead_list("leads") is None
    assert hook.find_lead_list("Extension Leads") is None


@pytest.mark.parametrize("actual", MANAGED_LIST_NAMES)
def test_the_managed_list_goes_by_either_name(
    hook: CleanlistHook, sandbox: SandboxServer, actual: str
) -> None:
    sandbox.settings.change(managed_list_name=actual)
    hook.submit_bulk_enrichment([TEO])
    for asked in (*MANAGED_LIST_NAMES, "extension leads", " default"):
        found = hook.find_lead_list(asked)
        assert found is not None
        assert found.name == actual


def test_a_list_seen_twice_while_lists_move_is_one_list(hook: CleanlistHook, sandbox: SandboxServer) -> None:
    for number in range(8):
        add_list(sandbox, f"list {number}")
    sandbox.settings.change(max_page_size=3, duplicate_rows=1)
    seen = [item.name for item in hook.iter_lead_lists()]
    assert len(seen) > len(set(seen)) == 8
    for name in set(seen):
        found = hook.find_lead_list(name)
        assert found is not None
        assert found.name == name


def test_a_list_that_slips_through_while_another_is_deleted_is_found(
    hook: CleanlistHook, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [add_list(sandbox, f"list {number}") for number in range(8)]
    sandbox.settings.change(max_page_size=3)
    newest_first = [item.name for item in hook.iter_lead_lists()]
    client, to_delete = hook.get_conn(), {newest_first[0]}
    send = client.run

    def run(call: Any, observer: Any = None) -> Any:
        page = send(call, observer)
        if call.request.path == "/lead-lists" and to_delete:
            number = int(to_delete.pop().removeprefix("list "))
            client.delete_lead_list(ids[number])
        return page

    monkeypatch.setattr(client, "run", run)
    found = hook.find_lead_list(newest_first[3])
    assert found is not None
    assert found.name == newest_first[3]
    assert not to_delete


# Data frames


def test_a_data_frame_holds_each_lead_once(hook: CleanlistHook, sandbox: SandboxServer) -> None:
    list_id = add_list(sandbox, "leads")
    sandbox.state.add_leads("leads", 1_200)
    sandbox.settings.change(duplicate_rows=2, max_page_size=100)
    frame = hook.get_leads_df(list_id)
    assert len(frame) == 1_200
    assert frame["lead_id"].is_unique
    assert list(frame.columns)[:3] == ["lead_id", "first_name", "last_name"]


def test_the_last_copy_of_a_lead_wins(use: Any, answering: Any) -> None:
    leads = [
        {"lead_id": "1", "email": None},
        {"lead_id": "2", "email": "b@x.example", "smart column": "x"},
        {"lead_id": "1", "email": "a@x.example"},
    ]
    frame = use(answering(200, json.dumps({"leads": leads}).encode())).get_leads_df("l")
    assert list(frame.columns) == ["lead_id", "email", "smart column"]
    assert frame["email"].to_list() == ["a@x.example", "b@x.example"]


def test_an_empty_list_is_an_empty_data_frame(use: Any, answering: Any) -> None:
    frame = use(answering(200, b'{"leads": []}')).get_leads_df("l")
    assert len(frame) == 0
    assert frame["lead_id"].to_list() == []


@pytest.mark.parametrize("leads", [0, 2])
def test_a_data_frame_of_an_export_has_its_columns_also_without_leads(
    hook: CleanlistHook, sandbox: SandboxServer, leads: int
) -> None:
    sandbox.settings.change(export_labels=True, smart_columns=["ICP Score"])
    list_id = sandbox.state.add_leads("leads", leads).list_id
    frame = hook.get_leads_df(list_id, read="export")
    assert list(frame.columns) == [*EXPORT_FIELDS, "ICP Score"]
    assert len(frame["lead_id"].to_list()) == leads


# Budgets and secrets


def test_hooks_of_several_threads_share_one_budget(sandbox: SandboxServer, use: Any) -> None:
    sandbox.settings.change(requests_per_minute=5, window_seconds=0.5)
    use(sandbox.url, sandbox.api_key, requests_per_minute=5, window_seconds=0.5, rate_limit_scope="threads")

    def work() -> None:
        for _ in range(3):
            CleanlistHook().get_credit_balance()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [entry.status for entry in sandbox.ledger.requests(endpoint="credits_balance")].count(200) == 15
    assert len(sandbox.ledger.requests(status=429)) <= 2  # a busy machine may be late by more than the margin


def test_failures_show_neither_key_nor_contacts(
    sandbox: SandboxServer, use: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    hook = use(sandbox.url, sandbox.api_key)
    sandbox.faults.drop("enrich_bulk", after=True)
    with pytest.raises(exceptions.CleanlistSubmissionUnknownError) as caught:
        hook.submit_bulk_enrichment([TEO])
    chain = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    written = chain + caplog.text
    assert sandbox.api_key not in written
    assert "Lindqvist" not in written
    assert "found-both" not in written
    assert sys.exc_info() == (None, None, None)


# The documentation


def test_the_examples_of_the_documentation_run(
    sandbox: SandboxServer, use: Callable[..., CleanlistHook]
) -> None:
    use(sandbox.url, sandbox.api_key, requests_per_minute=100_000, window_seconds=1)  # waits scale with it
    names: dict[str, Any] = {}
    docs = Path(__file__).parents[3] / "docs"
    for page in ("hook.md", "errors.md"):
        blocks = re.findall(r"```python\n(.*?)```", (docs / page).read_text(), re.DOTALL)
        assert blocks
        for number, block in enumerate(blocks, 1):
            exec(compile(block, f"{page}, example {number}", "exec"), names)
    assert names["result"].phones
    assert names["everyone"].name == "Extension Leads"
    assert sandbox.ledger.requests(endpoint="lead_list_delete", status=200)
    assert names["lead_list"].name == "Nordics"
