"""BulkEnrichOperator against the sandbox: sources, results, journal, bad input."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, Asset, TaskDeferred

from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.exceptions import (
    CleanlistAuthenticationError,
    CleanlistConfigurationError,
    CleanlistDataError,
    CleanlistPermissionError,
    CleanlistStateCorruptError,
    CleanlistStateError,
    CleanlistStoppedError,
    CleanlistSubmissionUnknownError,
    CleanlistUnexpectedResponseError,
)
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.submission.journal import BatchRecorder
from airflow_provider_cleanlist.submission.organisation import HostKeyMemory

pytestmark = [
    pytest.mark.integration,
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, credits=1_000, seconds_to_complete=0),
]

SUBMIT = "enrich_bulk"


def people(count: int) -> list[dict[str, str]]:
    return [
        {"first_name": "Zofia", "last_name": f"Quxley{number}", "company_domain": "harborlight.example"}
        for number in range(count)
    ]


def test_the_result_counts_everything_and_names_nobody(enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
    rows = [
        *people(7),
        {"FIRST_NAME": " zofia ", "Last Name": "QUXLEY0", "Company Domain": "https://harborlight.example/"},
    ]
    result = enrich(
        contacts=[*rows, {"email": "only@harborlight.example"}], batch_size=3, on_invalid_contact="skip"
    )

    assert result == {
        "workflow_ids": [submit.workflow_id for submit in cleanlist_sandbox.ledger.accepted_submits],
        "enrichment_type": "partial",
        "contacts_read": 9,
        "contacts_submitted": 7,
        "duplicates_dropped": 1,
        "invalid_contacts": 1,
        "unknown_contacts": 0,
        "known_contacts": 0,
        "submitted_as": {"partial": 7},
        "batches": 3,
        "worst_case_credits": 7,
    }
    assert len(cleanlist_sandbox.ledger.times_submitted()) == 7


@pytest.mark.parametrize(
    "contacts",
    [
        people(3),
        tuple(people(3)),
        [Contact(**person) for person in people(3)],
        pd.DataFrame(people(3)),
    ],
    ids=["list", "tuple", "Contact", "DataFrame"],
)
def test_sources_in_memory(enrich: Any, contacts: Any) -> None:
    assert enrich(contacts=contacts)["contacts_submitted"] == 3


def test_a_file(enrich: Any, tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text("\n".join(json.dumps(person) for person in people(4)))
    assert enrich(contacts_path=str(path))["contacts_submitted"] == 4


@pytest.mark.parametrize("arguments", [{"encoding": "cp1250", "header_row": "2"}, {"encoding": "latin2"}])
def test_a_file_whose_encoding_and_header_are_known(
    enrich: Any, cleanlist_sandbox: SandboxServer, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(
        "a,b\nFirst Name,Last Name,Company\nDoda,Łuć,Quill\n", encoding=arguments["encoding"], newline=""
    )
    assert enrich(contacts_path=str(path), **arguments)["contacts_submitted"] == 1
    enrich(contacts=[{"first_name": "Doda", "last_name": "Łuć", "company": "Quill"}], force_resubmit="again")
    from_file, from_memory = cleanlist_sandbox.ledger.accepted_submits
    assert from_file.identities == from_memory.identities


def test_no_contact_at_all_is_no_error(enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
    assert enrich(contacts=[])["workflow_ids"] == []
    assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []


def test_a_second_try_submits_nothing_again(enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
    first = enrich(contacts=people(5), batch_size=2)
    second = enrich(try_number=2, contacts=list(reversed(people(6))), batch_size=3)
    assert second["contacts_submitted"] == 6
    assert second["workflow_ids"][:3] == first["workflow_ids"]
    assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}


def test_a_new_force_resubmit_value_starts_over_once(enrich: Any, cleanlist_sandbox: SandboxServer) -> None:
    enrich(contacts=people(2))
    for _ in range(2):
        enrich(contacts=people(2), force_resubmit="again")
    assert set(cleanlist_sandbox.ledger.times_submitted().values()) == {2}


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_template_that_renders_to_nothing_forces_nothing(
    enrich: Any, cleanlist_sandbox: SandboxServer, blank: str | None
) -> None:
    enrich(contacts=people(2))
    enrich(try_number=2, contacts=people(2), force_resubmit=blank)
    assert set(cleanlist_sandbox.ledger.times_submitted().values()) == {1}


def test_task_ids_are_pushed_on_request(enrich: Any, task_instance: Any) -> None:
    result = enrich(contacts=people(3), batch_size=2, push_task_ids=True)
    assert [len(task_instance.xcoms["task_ids"][workflow]) for workflow in result["workflow_ids"]] == [2, 1]


def test_a_later_try_pushes_the_task_ids_of_all_tries(enrich: Any, task_instance: Any) -> None:
    enrich(contacts=people(3))
    result = enrich(try_number=2, contacts=people(4), push_task_ids=True)
    assert [len(task_instance.xcoms["task_ids"][workflow]) for workflow in result["workflow_ids"]] == [3, 1]


def test_a_killed_task_says_which_workflows_go_on_and_sends_no_further_batch(
    enrich: Any,
    cleanlist_sandbox: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], str],
) -> None:
    real = BatchRecorder.accepted

    def accepted(self: BatchRecorder, answer: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        real(self, answer)

    monkeypatch.setattr(BatchRecorder, "accepted", accepted)
    running: list[BulkEnrichOperator] = []
    real_execute = BulkEnrichOperator.execute

    def execute(self: BulkEnrichOperator, context: Any) -> Any:
        running.append(self)
        return real_execute(self, context)

    monkeypatch.setattr(BulkEnrichOperator, "execute", execute)
    previous = signal.signal(signal.SIGTERM, lambda *_: running[0].on_kill())  # as Airflow's task runner
    try:
        with pytest.raises(CleanlistStoppedError, match="remaining 4 contacts") as caught:
            enrich(contacts=people(6), batch_size=2)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert not isinstance(caught.value, AirflowFailException)
    (submit,) = cleanlist_sandbox.ledger.accepted_submits
    assert f"(1: {submit.workflow_id})" in logged()


@pytest.mark.parametrize("arguments", [{}, {"timeout": None}])
def test_an_absent_timeout_waits_for_an_hour(enrich: Any, arguments: dict[str, None]) -> None:
    with pytest.raises(TaskDeferred) as deferral:
        enrich(contacts=people(1), wait_for_completion=True, deferrable=True, **arguments)
    assert deferral.value.trigger.request.deadline == pytest.approx(time.time() + 3600, abs=60)


def test_outlets_learn_what_came_about(enrich: Any, task_instance: Any) -> None:
    asset = Asset("contacts")
    task_instance.outlet_events[asset] = SimpleNamespace(extra={})
    enrich(contacts=people(2), outlets=[asset])
    assert task_instance.outlet_events[asset].extra["cleanlist"]["contacts_submitted"] == 2


def test_no_contact_field_reaches_log_result_or_state(
    enrich: Any, task_instance: Any, logged: Callable[[], str], cleanlist_sandbox: SandboxServer
) -> None:
    cleanlist_sandbox.faults.fail(SUBMIT, 500, skip=1)
    with pytest.raises(CleanlistSubmissionUnknownError) as caught:
        enrich(
            contacts=[*people(5), {"email": "quxley9@harborlight.example"}],
            batch_size=3,
            on_invalid_contact="skip",
        )
    log = logged()
    assert "It is not known" in str(caught.value)
    assert "5 contacts to enrich" in log
    seen = (log + repr(caught.value) + str(caught.value) + json.dumps(task_instance.state.values)).casefold()
    assert "quxley" not in seen
    assert "harborlight" not in seen
    assert cleanlist_sandbox.api_key not in seen


def test_a_key_whose_organisation_is_not_named_submits_nothing_until_it_is(
    enrich: Any, cleanlist_sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CleanlistHook, "validate_key", lambda _: SimpleNamespace(organization_id=None))
        patched.setattr(HostKeyMemory, "organisation_of_key", lambda *_: None)
        with pytest.raises(
            CleanlistUnexpectedResponseError, match="does not name the organisation"
        ) as caught:
            enrich(contacts=people(2))
    assert not isinstance(caught.value, AirflowFailException)
    assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []
    assert enrich(try_number=2, contacts=people(2))["contacts_submitted"] == 2


class TestJournal:
    def test_a_damaged_journal_stops(
        self, enrich: Any, task_instance: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        enrich(contacts=people(1))
        task_instance.state.values["cleanlist_journal.try0001.000000"] = '{"version": 1}'
        with pytest.raises(CleanlistStateCorruptError, match="Nothing more was submitted"):
            enrich(try_number=2, contacts=people(2))
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1

    def test_an_unreadable_journal_stops_and_is_retried(self, enrich: Any, task_instance: Any) -> None:
        def fail(key: str) -> None:
            raise ConnectionError("no API server")

        task_instance.state.get = fail
        with pytest.raises(CleanlistStateError) as caught:
            enrich(contacts=people(1))
        assert not isinstance(caught.value, AirflowFailException)

    def test_without_any_store_a_second_try_is_refused(
        self, enrich: Any, cleanlist_sandbox: SandboxServer
    ) -> None:
        assert enrich(has_state_store=False, contacts=people(1))["contacts_submitted"] == 1
        with pytest.raises(CleanlistConfigurationError, match=r"\[cleanlist\] journal_path"):
            enrich(has_state_store=False, try_number=2, contacts=people(2))
        assert len(cleanlist_sandbox.ledger.accepted_submits) == 1

    def test_a_directory_serves_where_airflow_has_no_store(
        self, enrich: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cleanlist_sandbox: SandboxServer
    ) -> None:
        monkeypatch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", f"file://{tmp_path}/journal")
        enrich(has_state_store=False, contacts=people(3), batch_size=2)
        result = enrich(has_state_store=False, try_number=2, contacts=people(5), batch_size=2)
        assert result["contacts_submitted"] == 5
        assert cleanlist_sandbox.ledger.contacts_submitted_twice() == {}
        written = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
        assert "quxley" not in written.casefold()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, CleanlistDataError, "exactly one of contacts, contacts_path and sql"),
        ({"contacts": [], "sql": "SELECT 1"}, CleanlistDataError, "exactly one"),
        ({"sql": "SELECT 1"}, CleanlistDataError, "sql_conn_id"),
        ({"contacts_path": "/nowhere/people.csv"}, CleanlistDataError, "/nowhere/people.csv"),
        ({"contacts_path": "people.xlsx"}, CleanlistDataError, r"\.csv"),
        (
            {"contacts": people(1), "enrichment_type": "all"},
            CleanlistConfigurationError,
            "partial, phone_only, full",
        ),
        ({"contacts": people(1), "batch_size": 251}, CleanlistConfigurationError, "1 to 250"),
        (
            {"contacts": people(1), "timeout": -1},
            CleanlistConfigurationError,
            "timeout must be 0 seconds to 10 years",
        ),
        ({"contacts": people(1), "on_invalid_contact": "ignore"}, CleanlistConfigurationError, "fail, skip"),
        (
            {"contacts": people(1), "on_unknown_submission": "?"},
            CleanlistConfigurationError,
            "fail, skip, resubmit",
        ),
        ({"contacts": people(1), "max_credits": "many"}, CleanlistConfigurationError, "max_credits"),
        (
            {"contacts_path": "x.csv", "header_row": "first"},
            CleanlistConfigurationError,
            "header_row must be",
        ),
        ({"contacts_path": "x.csv", "encoding": "utf-42"}, CleanlistDataError, "encoding='utf-42' is not"),
        ({"contacts": people(1), "encoding": "utf-8"}, CleanlistDataError, "for contacts_path only"),
        (
            {"contacts": [*people(1), {"email": "x@y.example"}]},
            CleanlistDataError,
            r"email_only: 1 \(row 2\)",
        ),
        ({"contacts": [{"email": "x@y.example"}]}, CleanlistDataError, "No usable columns"),
        ({"contacts": [{"colour": "blue"}]}, CleanlistDataError, "colour"),
        ({"contacts": people(1), "column_mapping": {"nope": "email"}}, CleanlistDataError, "nope"),
        ({"contacts": people(1), "column_mapping": {"first_name": "nope"}}, CleanlistDataError, "nope"),
    ],
)
def test_bad_arguments(
    enrich: Any,
    cleanlist_sandbox: SandboxServer,
    arguments: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    with pytest.raises(error, match=text) as caught:
        enrich(**arguments)
    assert isinstance(caught.value, AirflowFailException)
    assert cleanlist_sandbox.ledger.requests(endpoint=SUBMIT) == []


def test_a_wrong_key(enrich: Any, cleanlist_sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = json.loads(cleanlist_sandbox.connection_json()) | {"password": "clapi_wrong_0123456789"}
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
    with pytest.raises(CleanlistAuthenticationError, match="Check the API key") as caught:
        enrich(contacts=people(1))
    assert "clapi_wrong" not in str(caught.value)


def test_a_missing_scope(
    enrich: Any, cleanlist_sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = cleanlist_sandbox.state.accounts.add_key(scopes=("enrich:read",))
    connection = json.loads(cleanlist_sandbox.connection_json()) | {"password": key.secret}
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
    with pytest.raises(CleanlistPermissionError, match="scopes"):
        enrich(contacts=people(1))


def test_no_connection(enrich: Any) -> None:
    with pytest.raises(AirflowException, match="nowhere"):
        enrich(contacts=people(1), cleanlist_conn_id="nowhere")


def test_nobody_but_the_api_is_contacted(enrich, cleanlist_sandbox, monkeypatch):
    """No telemetry, no look-ups: every connection of a run goes to the connection's host."""
    contacted = set()
    connect = socket.socket.connect

    def note(connection: socket.socket, address: object) -> None:
        contacted.add(address)
        connect(connection, address)

    monkeypatch.setattr(socket.socket, "connect", note)
    enrich(contacts=[{"first_name": "Mara", "last_name": "Okafor", "company_name": "Thistle"}])
    assert {port for _, port in contacted} == {urlsplit(cleanlist_sandbox.url).port}
