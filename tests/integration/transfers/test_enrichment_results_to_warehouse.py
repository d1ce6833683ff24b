"""EnrichmentResultsToWarehouseOperator against the sandbox and real databases."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_cleanlist.client import protocol
from airflow_provider_cleanlist.client.results import EnrichmentResult, WorkflowStatus
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistServerError,
    CleanlistUnexpectedResponseError,
)
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.tokens import batch_name
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    CleanlistResultsNotReadyError,
    EnrichmentResultsToWarehouseOperator,
)
from airflow_provider_cleanlist.warehouse import loader
from airflow_provider_cleanlist.warehouse.staging import Stage

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]

STATUS = "enrich_status"
MARKERS = ("found-both", "email-only", "risky-email", "nothing-found")


def contacts(count: int) -> list[dict[str, str]]:
    return [
        {"first_name": "Ines", "last_name": f"Vauban{n}", "company_domain": f"{MARKERS[n % 4]}.example"}
        for n in range(count)
    ]


@pytest.fixture
def enrich(sandbox: SandboxServer) -> Callable[..., dict[str, list[str]]]:
    """Submit workflows of so many contacts and return their task ids."""

    def submit(*sizes: int) -> dict[str, list[str]]:
        hook = CleanlistHook()
        accepted = [hook.submit_bulk_enrichment(contacts(size), "full") for size in sizes]
        sandbox.ledger.clear()
        return {workflow.workflow_id: list(workflow.task_ids) for workflow in accepted}

    return submit


@pytest.fixture
def run_load(sandbox: SandboxServer) -> Callable[..., dict[str, Any]]:
    def run(
        given: dict[str, list[str]],
        run_id: str = "run",
        store: dict[str, Any] | None = None,
        max_tries: int = 0,
        **arguments: Any,
    ) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            "task_id": "load",
            "workflow_ids": list(given),
            "task_ids": given,
            "warehouse_conn_id": "warehouse",
            "table": "results",
        }
        operator = EnrichmentResultsToWarehouseOperator(**{**defaults, **arguments})
        ti = SimpleNamespace(
            dag_id="dag", task_id="load", map_index=-1, max_tries=max_tries, xcom_push=lambda **_: None
        )
        state = None if store is None else SimpleNamespace(get=store.get, set=store.__setitem__)
        context = {"ti": ti, "run_id": run_id, "outlet_events": {}, "task_state_store": state}
        return operator.execute(context)

    return run


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}/inbox")
    return Inbox.at(f"file://{tmp_path}/inbox")


def rows(engine: sa.engine.Engine, table: str = "results") -> list[dict[str, Any]]:
    with engine.connect() as connection:
        query = sa.select(sa.text("*")).select_from(sa.table(table))
        return [dict(row) for row in connection.execute(query).mappings()]


def deliver(sandbox: SandboxServer, inbox: Inbox, workflow_id: str, limit: int = 250) -> None:
    """Put into the inbox what the sandbox would post."""
    variant, sandbox.settings.status_variant = sandbox.settings.status_variant, "results"
    status = CleanlistHook().get_workflow_status(workflow_id)
    sandbox.settings.status_variant = variant
    sandbox.ledger.clear()
    payload = {
        "event": "enrichment.completed",
        "workflow_id": workflow_id,
        "status": "completed",
        "summary": {"total": len(status.results)},
        "results": list(status.results)[:limit],
        "results_truncated": max(0, len(status.results) - limit),
    }
    inbox.announce(workflow_id, batch_name("s", "r", workflow_id))
    inbox.store(batch_name("s", "r", workflow_id), workflow_id, payload, time.time())


def asked(sandbox: SandboxServer) -> int:
    return len(sandbox.ledger.requests(endpoint=STATUS))


@pytest.mark.parametrize("way", ["tasks", "answers", "webhooks", "truncated webhooks"])
def test_every_way_gives_the_same_table(sandbox, enrich, run_load, sqlite_warehouse, inbox, way):
    task_ids = enrich(12, 9)
    if way == "answers":
        sandbox.settings.status_variant = "results"
    if "webhooks" in way:
        for workflow_id in task_ids:
            deliver(sandbox, inbox, workflow_id, limit=4 if way.startswith("truncated") else 250)
    result = run_load(task_ids)
    counts = (result["from_webhooks"], result["from_workflows"], result["from_tasks"])
    requests = asked(sandbox)
    assert (counts, requests) == {
        "tasks": ((0, 0, 21), 22),
        "answers": ((0, 21, 0), 2),
        "webhooks": ((21, 0, 0), 0),
        "truncated webhooks": ((8, 0, 13), 14),
    }[way]
    assert result["rows_written"] == result["workflows"] + 19 == 21
    loaded = {row["task_id"]: row for row in rows(sqlite_warehouse)}
    assert set(loaded) == {task_id for ids in task_ids.values() for task_id in ids}
    for workflow_id, ids in task_ids.items():
        for number, task_id in enumerate(ids):
            check_row(loaded[task_id], workflow_id, MARKERS[number % 4], number)


def check_row(row: dict[str, Any], workflow_id: str, marker: str, number: int) -> None:
    assert row["workflow_id"] == workflow_id
    assert row["prospect_last_name"] == f"Vauban{number}"
    assert row["status"] == ("failed" if marker == "nothing-found" else "completed")
    expected = {"found-both": "verified", "email-only": "verified", "risky-email": "risky"}.get(marker)
    assert row["primary_email_status"] == expected
    assert (row["primary_email"] is not None) == (expected is not None)
    assert len(json.loads(row["phones"])) == (marker == "found-both")
    assert json.loads(row["other_emails"]) == []
    assert json.loads(row["raw"])["task_id"] == row["task_id"]
    if marker != "nothing-found":
        assert row["company_domain"] == f"{marker}.example"
    assert row["_cleanlist_list_id"] == "managed"


@pytest.mark.parametrize("mode", ["merge", "replace", "append", "snapshot"])
def test_a_rerun_of_the_same_dag_run_adds_nothing(sandbox, enrich, run_load, sqlite_warehouse, mode):
    task_ids = enrich(7)
    for _ in range(2):
        assert run_load(task_ids, mode=mode, snapshot_date="2026-01-31")["rows_written"] == 7
        assert len(rows(sqlite_warehouse)) == 7


def test_rows_of_earlier_runs_stay(sandbox, enrich, run_load, sqlite_warehouse):
    run_load(enrich(5))
    run_load(enrich(6), run_id="next")
    assert len(rows(sqlite_warehouse)) == 11


@pytest.mark.parametrize("variant", ["summary", "results"])
def test_a_task_id_too_many_for_each_workflow(sandbox, enrich, run_load, sqlite_warehouse, variant):
    sandbox.settings.change(task_ids="long", status_variant=variant)
    assert run_load(enrich(3, 2))["rows_written"] == 5


@pytest.mark.parametrize("mode", ["merge", "append", "snapshot"])
def test_a_forged_delivery_changes_no_row_of_another_workflow(
    sandbox, enrich, run_load, sqlite_warehouse, inbox, mode
):
    """Who has the address of one batch, and knows a task of another, delivers a result of that task."""
    (first, tasks), (second, _) = enrich(2, 2).items()
    arguments = {"task_ids": None, "mode": mode, "snapshot_date": "2026-01-31"}
    deliver(sandbox, inbox, first)
    run_load({first: []}, **arguments)
    before = [row["primary_email"] for row in rows(sqlite_warehouse)]
    forged = {"task_id": tasks[0], "status": "completed", "primary_email": "forged@evil.example"}
    payload = {"workflow_id": second, "status": "completed", "summary": {"total": 1}, "results": [forged]}
    inbox.announce(second, batch_name("s", "r", second))
    inbox.store(batch_name("s", "r", second), second, payload, time.time())
    if mode != "snapshot":  # which makes a day's rows anew
        run_load({second: []}, run_id="next", **arguments)
        found = {(row["workflow_id"], row["primary_email"]) for row in rows(sqlite_warehouse)}
        assert found == {*((first, email) for email in before), (second, "forged@evil.example")}
    run_load({first: [], second: []}, run_id="both", **arguments)
    emails = [row["primary_email"] for row in rows(sqlite_warehouse) if row["workflow_id"] == first]
    assert set(emails) == set(before)


def test_answers_of_other_shapes(sandbox, enrich, run_load, sqlite_warehouse):
    sandbox.settings.change(nested_task_result=True, answers="noisy")
    assert run_load(enrich(8))["rows_written"] == 8
    by_number = {row["prospect_last_name"]: row for row in rows(sqlite_warehouse)}
    assert by_number["Vauban0"]["primary_email_status"] == "verified"


def test_what_is_hidden_is_not_in_raw_either(sandbox, enrich, run_load, sqlite_warehouse):
    run_load(enrich(4), hash_columns=["primary_email"], exclude_columns=["phones"])
    (row, *_) = rows(sqlite_warehouse)
    assert not {"raw", "phones"} & set(row)
    assert len(row["primary_email"]) == 64


def test_types_and_modes_in_postgres(sandbox, enrich, run_load, postgres_warehouse):
    types = {"raw": "json", "phones": "json", "company_headcount": "integer"}
    first = enrich(8)
    for _ in range(2):
        assert run_load(first, column_types=types)["rows_written"] == 8
    assert run_load(enrich(4), run_id="next", mode="append", column_types=types)["rows_written"] == 4
    loaded = rows(postgres_warehouse)
    assert len(loaded) == 12
    for row in loaded:
        assert row["raw"]["task_id"] == row["task_id"]
        assert isinstance(row["phones"], list)
        assert isinstance(row["company_headcount"], int | None)
    assert any(row["phones"] for row in loaded)
    assert run_load(first, run_id="last", mode="replace", column_types=types)["rows_deleted"] == 12
    assert len(rows(postgres_warehouse)) == 8


# --- tries -----------------------------------------------------------------------------------------------------


def test_the_next_try_reads_no_finished_contact_again(sandbox, enrich, run_load, sqlite_warehouse):
    task_ids = enrich(20, 20)
    sandbox.faults.fail(STATUS, 500, skip=31)
    with pytest.raises(CleanlistServerError) as caught:
        run_load(task_ids)
    assert not isinstance(caught.value, AirflowFailException)
    assert "results" not in sa.inspect(sqlite_warehouse).get_table_names()
    assert run_load(task_ids)["rows_written"] == 40
    assert len(sandbox.ledger.requests(endpoint=STATUS, status=200)) == 41
    assert len(rows(sqlite_warehouse)) == 40


def test_other_workflows_on_the_next_try_are_read_from_the_start(sandbox, enrich, run_load, sqlite_warehouse):
    first, second = enrich(10), enrich(5)
    sandbox.faults.fail(STATUS, 500, skip=6)
    with pytest.raises(CleanlistServerError):
        run_load(first)
    run_load(second)
    assert {row["task_id"] for row in rows(sqlite_warehouse)} == set(next(iter(second.values())))


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("at", "killed_in"), [("_publish", loader), ("drop", Stage)])
@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_what_was_read_to_its_end_for_other_workflows_is_not_published(
    sandbox, enrich, run_load, sqlite_warehouse, monkeypatch, at, killed_in, mode
):
    def kill(*_: object, **__: object) -> None:
        raise Killed

    first, second = enrich(3), enrich(4)
    with monkeypatch.context() as patch:
        patch.setattr(killed_in, at, kill)
        with pytest.raises(Killed):
            run_load(first, mode=mode)
    assert run_load(second, mode=mode)["rows_written"] == 4
    assert set(next(iter(second.values()))) <= {row["task_id"] for row in rows(sqlite_warehouse)}


def test_whom_an_attempt_has_left_out_the_next_one_reads(
    sandbox, enrich, run_load, sqlite_warehouse, monkeypatch
):
    task_ids = enrich(5, 3)
    first, second = task_ids.values()
    task_result = CleanlistHook.get_task_result

    def running_or_lost(self, task_id):
        if task_id in second:
            raise CleanlistServerError("HTTP 500")
        return EnrichmentResult.parse({"task_id": task_id, "status": "processing"})

    with monkeypatch.context() as patch:
        patch.setattr(CleanlistHook, "get_task_result", running_or_lost)
        running = {"status": "processing", "total": 5}
        patch.setattr(CleanlistHook, "get_workflow_status", lambda _, one: WorkflowStatus.parse(one, running))
        with pytest.raises(CleanlistServerError):
            run_load(task_ids, on_unfinished="skip")
    assert CleanlistHook.get_task_result is task_result
    assert run_load(task_ids, on_unfinished="skip")["rows_written"] == 8
    assert {row["task_id"] for row in rows(sqlite_warehouse)} == {*first, *second}


def test_a_try_after_the_end_reads_nothing_and_a_cleared_task_everything(
    sandbox, enrich, run_load, sqlite_warehouse
):
    task_ids, store = enrich(10), {}
    first = run_load(task_ids, store=store, max_tries=2)
    before = asked(sandbox)
    second = run_load(task_ids, store=store, max_tries=2)
    assert {**second, "duration_seconds": 0} == {**first, "duration_seconds": 0}
    assert asked(sandbox) == before
    with sqlite_warehouse.begin() as connection:
        connection.execute(sa.text("DELETE FROM results"))
    assert run_load(task_ids, store=store, max_tries=3)["rows_written"] == 10
    assert asked(sandbox) == 2 * before
    assert len(rows(sqlite_warehouse)) == 10


@pytest.mark.parametrize(
    "change",
    [
        {"table": "others"},
        {"mode": "replace"},
        {"columns": ["status"]},
        {"columns": {"task_id": None, "workflow_id": None, "status": "state"}},
        {"key": ["task_id"]},
        {"warehouse_conn_id": "other"},
    ],
    ids=repr,
)
def test_another_load_of_the_same_task_is_not_the_one_that_is_done(
    sandbox, enrich, run_load, sqlite_warehouse, set_connection, tmp_path, change
):
    set_connection("other", conn_type="sqlite", host=str(tmp_path / "other.db"))
    task_ids, store = enrich(3), {}
    earlier = (
        {"columns": {"task_id": None, "workflow_id": None, "status": "word"}} if "columns" in change else {}
    )
    run_load(task_ids, store=store, **earlier)
    before = asked(sandbox)
    run_load(task_ids, store=store, **change)
    assert asked(sandbox) == 2 * before


# --- what cannot be read ---------------------------------------------------------------------------------------


def test_a_running_workflow(sandbox, enrich, run_load, sqlite_warehouse):
    sandbox.settings.seconds_to_complete = 600
    task_ids = enrich(4)
    with pytest.raises(CleanlistResultsNotReadyError, match=r"is still running.*WorkflowSensor") as caught:
        run_load(task_ids)
    assert not isinstance(caught.value, AirflowFailException)
    assert run_load(task_ids, on_unfinished="skip")["unfinished"] == 4


@pytest.mark.parametrize("running", [1, 4])
def test_a_task_that_is_said_to_run_again_leaves_its_row_as_it_is(
    sandbox, enrich, run_load, sqlite_warehouse, monkeypatch, running
):
    task_ids = enrich(4)
    run_load(task_ids)
    before = {
        row["task_id"]: (row["status"], row["primary_email"], row["phones"]) for row in rows(sqlite_warehouse)
    }
    (tasks,) = task_ids.values()
    lagging, task_result = tasks[-running:], CleanlistHook.get_task_result

    def result(self, task_id):
        said = {"task_id": task_id, "status": "processing", "primary_email": None}
        return EnrichmentResult.parse(said) if task_id in lagging else task_result(self, task_id)

    monkeypatch.setattr(CleanlistHook, "get_task_result", result)
    with pytest.raises(
        CleanlistResultsNotReadyError, match=r"has completed, but a task of it is still running"
    ) as caught:
        run_load(task_ids, run_id="next")
    assert not isinstance(caught.value, AirflowFailException)
    loaded = run_load(task_ids, run_id="next", on_unfinished="skip")
    assert (loaded["unfinished"], loaded["rows_written"]) == (running, 4 - running)
    after = {
        row["task_id"]: (row["status"], row["primary_email"], row["phones"]) for row in rows(sqlite_warehouse)
    }
    assert after == before


@pytest.mark.parametrize(
    "body", [{}, {"status": "failed", "error": "busy"}, {"success": False, "data": None}]
)
def test_a_response_that_says_nothing_of_a_task_leaves_its_row_as_it_is(
    sandbox, enrich, run_load, sqlite_warehouse, monkeypatch, body
):
    task_ids = enrich(4)
    run_load(task_ids)
    before = {row["task_id"]: (row["status"], row["primary_email"]) for row in rows(sqlite_warehouse)}
    with monkeypatch.context() as patch:
        read = protocol.Ok.mapping
        patch.setattr(protocol.Ok, "mapping", lambda ok: body if "primary_email" in read(ok) else read(ok))
        with pytest.raises(CleanlistUnexpectedResponseError, match="lacks required fields") as caught:
            run_load(task_ids, run_id="next", on_unfinished="skip")
    assert not isinstance(caught.value, AirflowFailException)
    assert {row["task_id"]: (row["status"], row["primary_email"]) for row in rows(sqlite_warehouse)} == before
    assert run_load(task_ids, run_id="next")["rows_written"] == 4


def test_an_inbox_that_cannot_be_opened(sandbox, enrich, run_load, sqlite_warehouse, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", "nowhere://inbox")
    task_ids = enrich(4)
    with pytest.raises(
        CleanlistResultsNotReadyError, match="Delivered results cannot be read: the inbox nowhere://inbox"
    ):
        run_load(task_ids)
    assert asked(sandbox) == 0


def test_no_way_says_which_to_switch_on(sandbox, enrich, run_load, sqlite_warehouse):
    task_ids = enrich(4)
    with pytest.raises(CleanlistConfigurationError) as caught:
        run_load(task_ids, task_ids=None)
    assert isinstance(caught.value, AirflowFailException)
    for hint in (
        "push_task_ids=True",
        "[cleanlist] webhook_inbox is not set",
        "0 of 4",
        next(iter(task_ids)),
    ):
        assert hint in str(caught.value)


def test_no_way_with_an_inbox_asks_for_the_deliveries(sandbox, enrich, run_load, sqlite_warehouse, inbox):
    sandbox.settings.allow_http_webhooks = True
    accepted = CleanlistHook().submit_bulk_enrichment(contacts(2), "partial", "http://127.0.0.1:9/hook")
    deadline = time.monotonic() + 10
    while not CleanlistHook().list_webhook_deliveries(accepted.workflow_id) and time.monotonic() < deadline:
        CleanlistHook().get_workflow_status(accepted.workflow_id)
        time.sleep(0.1)
    with pytest.raises(CleanlistConfigurationError, match="at the last attempt the receiver did not answer"):
        run_load({}, workflow_ids=accepted.workflow_id)
    with pytest.raises(CleanlistConfigurationError, match="submitted without webhook=True"):
        run_load({}, workflow_ids=list(enrich(3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_unfinished": "wait"}, "on_unfinished must be fail or skip"),
        ({"page_size": 0}, "page_size must be 1 to 500"),
        ({"task_ids": "[1"}, "task_ids must map"),
        ({"task_ids": {"w": "t"}}, "task_ids must map"),
        ({"task_ids": 7}, "task_ids must map"),
        ({"workflow_ids": {"no": 1}}, "workflow_ids holds"),
        ({"mode": "upsert"}, "mode='upsert' is not one of"),
        ({"exclude_columns": ["raw", " "]}, "exclude_columns holds a name that is empty here"),
        ({"hash_columns": "None"}, "hash_columns is empty here"),
        ({"staging_schema": ""}, "staging_schema is empty here"),
        (
            {"key": ["prospect_first_name"], "exclude_columns": ["prospect_first_name"]},
            "exclude_columns leaves",
        ),
        ({"warehouse_conn_id": "nowhere"}, "There is no connection 'nowhere'"),
    ],
)
def test_wrong_arguments_ask_nobody(sandbox, run_load, sqlite_warehouse, arguments, message):
    with pytest.raises(CleanlistConfigurationError, match=message):
        run_load({}, **arguments)
    assert sandbox.ledger.requests() == []


def test_no_workflows_make_an_empty_table(sandbox, run_load, sqlite_warehouse):
    assert run_load({})["rows_written"] == 0
    assert rows(sqlite_warehouse) == []


@pytest.mark.parametrize("argument", ["hash_columns", "exclude_columns"])
@pytest.mark.parametrize("name", ["email", "phone", "linkedin_url", "primary_emial", "_cleanlist_synced_at"])
def test_names_that_would_hide_nothing_are_refused(
    sandbox, enrich, run_load, sqlite_warehouse, argument, name
):
    given = enrich(1)
    with pytest.raises(
        CleanlistConfigurationError, match=f"^{argument} names '{name}', which no result has.*primary_email"
    ):
        run_load(given, **{argument: ["primary_email", name]})


@pytest.mark.parametrize(
    "names",
    [["Primary E-Mail", "phones"], ["prospect_shoe_size", "company-nickname"], ["_cleanlist_person"], []],
)
def test_names_that_may_hide_something_are_taken(sandbox, enrich, run_load, sqlite_warehouse, names):
    assert run_load(enrich(1), exclude_columns=names)["rows_written"] == 1


@pytest.mark.parametrize("nothing", [None, "None", "", [None], {"workflow_ids": None}, [[], None]])
def test_a_load_needs_workflows_or_an_empty_list(sandbox, enrich, run_load, sqlite_warehouse, nothing):
    run_load(enrich(3), mode="replace")
    for mode in ("replace", "merge"):
        with pytest.raises(CleanlistConfigurationError, match="workflow_ids holds nothing here"):
            run_load({}, workflow_ids=nothing, mode=mode)
    assert len(rows(sqlite_warehouse)) == 3
    for empty in ([], "[]", {"workflow_ids": []}, [[], {"workflow_ids": []}]):
        assert run_load({}, workflow_ids=empty, mode="replace")["rows_written"] == 0
    assert rows(sqlite_warehouse) == []


def test_a_failure_by_a_word_alone_deletes_no_row(sandbox, enrich, run_load, sqlite_warehouse, monkeypatch):
    given = enrich(3)
    run_load(given, mode="replace")
    with monkeypatch.context() as patch:
        patch.setattr(
            CleanlistHook,
            "get_workflow_status",
            lambda _, one: WorkflowStatus.parse(one, {"status": "error"}),
        )
        with pytest.raises(CleanlistResultsNotReadyError, match="says that it failed, and nothing else"):
            run_load(given, run_id="next", mode="replace", task_ids=None)
        assert len(rows(sqlite_warehouse)) == 3
        assert run_load(given, run_id="next", mode="merge", task_ids=None)["rows_read"] == 0
    assert len(rows(sqlite_warehouse)) == 3


@pytest.mark.parametrize("mode", ["merge", "append", "snapshot"])
def test_other_modes_without_workflows_leave_the_table(sandbox, enrich, run_load, sqlite_warehouse, mode):
    how = {"mode": mode, "snapshot_date": "2026-01-01"}
    run_load(enrich(3), **how)
    assert run_load({}, workflow_ids=[], **how)["rows_written"] == 0
    assert len(rows(sqlite_warehouse)) == 3


def test_lineage_leads_from_the_managed_list_to_the_table(sandbox, enrich, sqlite_warehouse):
    task_ids = enrich(4)
    operator = EnrichmentResultsToWarehouseOperator(
        task_id="load",
        workflow_ids=list(task_ids),
        task_ids=task_ids,
        warehouse_conn_id="warehouse",
        table="results",
    )
    ti = SimpleNamespace(dag_id="dag", task_id="load", map_index=-1)
    operator.execute({"ti": ti, "run_id": "run", "outlet_events": {}})
    lineage = operator.get_openlineage_facets_on_complete(None)
    assert [(item.namespace, item.name) for item in lineage.inputs] == [("cleanlist", "lists/managed")]
    (table,) = lineage.outputs
    assert table.name.endswith("results")
    assert table.outputFacets["outputStatistics"].rowCount == 4


def test_nothing_personal_is_said(sandbox, enrich, run_load, sqlite_warehouse, caplog):
    with caplog.at_level(logging.DEBUG):
        result = run_load(enrich(10))
    for row in rows(sqlite_warehouse):
        for value in (row["primary_email"], row["prospect_full_name"], row["prospect_last_name"]):
            assert value is None or value not in caplog.text + json.dumps(result)
