"""Whose results they are: from the ledger on SQLite into a warehouse on PostgreSQL; the sandbox is the judge."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistLoadError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.tokens import batch_name
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.submission.ledger import person
from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
    EnrichmentResultsToWarehouseOperator,
)
from airflow_provider_cleanlist.warehouse import loader

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]

MARKERS = ("found-both", "email-only", "risky-email", "nothing-found")
PERSON = "_cleanlist_person"


def people(count: int) -> list[dict[str, str]]:
    """Contacts by domain, by company and by profile in turn."""
    made: list[dict[str, str]] = []
    for n in range(count):
        marker, row = MARKERS[n % 4], {"crm_id": f"C-{n}"}
        match n % 3:
            case 0:
                row |= {
                    "first_name": "Ines",
                    "last_name": f"Vauban{n}",
                    "company_domain": f"{marker}.example",
                }
            case 1:
                row |= {"first_name": "Ines", "last_name": f"Vauban{n}", "company_name": f"{marker} GmbH"}
            case 2:
                row |= {"linkedin_url": f"https://www.linkedin.com/in/ines-vauban-{marker}-{n}"}
        made.append(row)
    return made


def person_of(row: dict[str, str]) -> str:
    return person({name: value for name, value in row.items() if name != "crm_id"})


@pytest.fixture(params=["sqlite", "postgresql"])
def warehouse(
    request: pytest.FixtureRequest, tmp_path: Path, set_connection: Callable[..., None]
) -> sa.engine.Engine:
    """A warehouse of its own, or the very file of the ledger."""
    if request.param == "sqlite":
        set_connection("warehouse", conn_type="sqlite", host=str(tmp_path / "ledger.db"))
        return sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")
    url = request.getfixturevalue("postgres_database")
    set_connection(
        "warehouse", conn_type="postgres", host=url.query["host"], schema=url.database, login=url.username
    )
    engine: sa.engine.Engine = request.getfixturevalue("open_postgres")("psycopg2")
    return engine


class Tasks:
    """Runs tasks of one DAG run."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server

    def _context(self, task_id: str, pushed: dict[str, Any], run_id: str) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id="crm",
            run_id=run_id,
            task_id=task_id,
            map_index=-1,
            try_number=1,
            max_tries=0,
            xcom_push=lambda key, value: pushed.update({key: value}),
        )
        return {"ti": ti, "run_id": run_id, "outlet_events": {}}

    def enrich(self, contacts: list[dict[str, str]], run_id: str = "r", **arguments: Any) -> dict[str, Any]:
        """Submit contacts, and return what goes to the load."""
        pushed: dict[str, Any] = {}
        operator = BulkEnrichOperator(
            task_id="enrich",
            contacts=contacts,
            enrichment_type="full",
            push_task_ids=True,
            batch_size=10,
            **({"id_column": "crm_id"} | arguments),
        )
        result = operator.execute(self._context("enrich", pushed, run_id))
        return {"workflow_ids": result["workflow_ids"], "task_ids": pushed["task_ids"]}

    def load(self, run_id: str = "r", **arguments: Any) -> dict[str, Any]:
        defaults = {"task_id": "load", "warehouse_conn_id": "warehouse", "table": "results"}
        operator = EnrichmentResultsToWarehouseOperator(**{**defaults, **arguments})
        return operator.execute(self._context("load", {}, run_id))

    def persons(self) -> dict[str, str]:
        """The person of each of the API's tasks, as the sandbox knows it."""
        found = {}
        for task_id, (workflow, position) in self.server.state.engine.tasks.items():
            contact = workflow.tasks[position].person
            names = ("linkedin_url", "first_name", "last_name", "company_name", "company_domain")
            found[task_id] = person({name: getattr(contact, name) for name in names})
        return found


@pytest.fixture
def ledger(tmp_path: Path, set_connection: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Path:
    set_connection("ledger", conn_type="sqlite", host=str(tmp_path / "ledger.db"))
    monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "ledger")
    return tmp_path / "ledger.db"


@pytest.fixture
def tasks(sandbox: SandboxServer) -> Tasks:
    return Tasks(sandbox)


def rows(engine: sa.engine.Engine, table: str = "results") -> list[dict[str, Any]]:
    with engine.connect() as connection:
        query = sa.select(sa.text("*")).select_from(sa.table(table))
        return [dict(row) for row in connection.execute(query).mappings()]


def deliver(server: SandboxServer, path: Path, workflow_ids: list[str]) -> None:
    """Put into an inbox what the sandbox would post."""
    inbox = Inbox.at(f"file://{path}")
    server.settings.change(status_variant="results")
    for workflow_id in workflow_ids:
        results = list(CleanlistHook().get_workflow_status(workflow_id).results)
        payload = {
            "event": "enrichment.completed",
            "workflow_id": workflow_id,
            "status": "completed",
            "summary": {"total": len(results)},
            "results": results,
            "results_truncated": 0,
        }
        inbox.announce(workflow_id, batch_name("s", "r", workflow_id))
        inbox.store(batch_name("s", "r", workflow_id), workflow_id, payload, time.time())
    server.settings.change(status_variant="summary")


@pytest.mark.parametrize("way", ["tasks", "statuses", "webhooks"])
@pytest.mark.parametrize("ids", ["all", "shuffled", "missing", "empty", "short", "long"])
def test_every_row_has_its_person_whatever_the_task_ids(
    tasks: Tasks,
    ledger: Path,
    warehouse: sa.engine.Engine,
    ids: str,
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way == "tasks" and ids not in ("all", "shuffled"):
        pytest.skip("results cannot be read one by one without their task ids")
    tasks.server.settings.change(task_ids=ids)
    given = tasks.enrich(people(24))
    if way == "statuses":
        tasks.server.settings.change(status_variant="results")
    if way == "webhooks":
        monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}/inbox")
        deliver(tasks.server, tmp_path / "inbox", given["workflow_ids"])
    result = tasks.load(**given if way == "tasks" else {"workflow_ids": given["workflow_ids"]})
    loaded = {row["task_id"]: row[PERSON] for row in rows(warehouse)}
    assert loaded == tasks.persons()
    assert set(loaded.values()) == {person_of(contact) for contact in people(24)}
    assert (result["rows_written"], result["persons_unknown"]) == (24, 0)


def test_results_join_the_rows_of_the_source(tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine) -> None:
    tasks.server.settings.change(task_ids="shuffled")
    twice = people(3)[1] | {"crm_id": "D-1"}
    given = tasks.enrich([*people(24), twice])
    for _ in range(2):  # a second time changes nothing
        result = tasks.load(**given, source_rows_table="source_rows")
        assert result["source_rows"] == 25
        found = rows(warehouse, "source_rows")
        persons = {contact["crm_id"]: person_of(contact) for contact in [*people(24), twice]}
        assert {row["source_id"]: row["person"] for row in found} == persons
        assert {row["source"] for row in found} == {"crm/enrich"}
        assert len(found) == 25
    join = (
        f"SELECT s.source_id, r.prospect_last_name FROM results r JOIN source_rows s ON s.person = r.{PERSON} "
        "WHERE r.prospect_last_name LIKE 'Vauban%'"
    )
    with warehouse.connect() as connection:
        names = dict(connection.execute(sa.text(join)).all())
    expected = {row["crm_id"]: row["last_name"] for row in [*people(24), twice] if "last_name" in row}
    assert {source_id: name for source_id, name in names.items() if source_id in expected} == expected


def test_rows_of_two_organisations_with_the_same_ids_stay_apart(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine, set_connection: Callable[..., None]
) -> None:
    """One DAG with a run for each client: each has an account and a CRM of its own, and one ledger knows both."""
    accounts = tasks.server.state.accounts
    key = accounts.add_key(
        user=accounts.add_user("B", organization=accounts.add_organization("B", credits=1000))
    )
    connection = json.loads(os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"]) | {"password": key.secret}
    set_connection("client_b", **connection)
    ada, bob, zoe = (
        {name: text for name, text in people(9)[n].items() if name != "crm_id"} for n in (0, 1, 3)
    )
    mine = tasks.enrich([ada | {"crm_id": "7"}, bob | {"crm_id": "8"}], "client_a")
    tasks.enrich([bob | {"crm_id": "7"}, zoe | {"crm_id": "9"}], "client_b", cleanlist_conn_id="client_b")
    result = tasks.load("client_a", **mine, source_rows_table="source_rows")
    assert result["source_rows"] == 2
    found = {row["source_id"]: row["person"] for row in rows(warehouse, "source_rows")}
    assert found == {"7": person_of(ada), "8": person_of(bob)}


def test_source_rows_that_could_not_be_published_are_read_again(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that has become somebody else meanwhile must not get the email of the person whom it named before."""

    def kill(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    before, now = (contact for contact in people(24)[:2])
    given = tasks.enrich([before | {"crm_id": "7"}])
    with monkeypatch.context() as patch:
        patch.setattr(loader, "_publish", kill)
        with pytest.raises(RuntimeError, match="killed"):
            tasks.load(**given, source_rows_table="source_rows")
    given = tasks.enrich([now | {"crm_id": "7"}])
    tasks.load(**given, source_rows_table="source_rows")
    (row,) = rows(warehouse, "source_rows")
    assert row["person"] == person({name: now[name] for name in now if name != "crm_id"})


def test_the_documented_statement_writes_emails_back(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine
) -> None:
    documentation = (Path(__file__).parents[3] / "docs/enrichment-results.md").read_text()
    (statement,) = re.findall(r"```sql\n(UPDATE .*?);\n```", documentation, re.DOTALL)
    named = [contact | {"crm_id": str(n)} for n, contact in enumerate(people(24)) if "last_name" in contact]
    with warehouse.begin() as connection:
        connection.execute(sa.text("CREATE TABLE contacts (id INTEGER, last_name TEXT, email TEXT)"))
        for contact in named:
            row = {"id": int(contact["crm_id"]), "name": contact["last_name"]}
            connection.execute(sa.text("INSERT INTO contacts VALUES (:id, :name, NULL)"), row)
        connection.execute(sa.text("INSERT INTO contacts VALUES (99, 'Nobody', NULL), (100, 'Own', 'own@x')"))
    tasks.server.settings.change(task_ids="shuffled")
    for _ in range(2):
        tasks.load(**tasks.enrich(named), source_rows_table="source_rows")
        with warehouse.begin() as connection:
            connection.execute(sa.text(statement))
    loaded = rows(warehouse)
    assert {"risky", "verified"} <= {row["primary_email_status"] for row in loaded}
    good = ("verified", "likely_valid")
    results = {
        row["prospect_last_name"]: row["primary_email"] if row["primary_email_status"] in good else None
        for row in loaded
    }
    found = {row["last_name"]: row["email"] for row in rows(warehouse, "contacts")}
    assert found == results | {"Nobody": None, "Own": "own@x"}
    assert len({email for email in found.values() if email}) == 1 + sum(map(bool, results.values())) > 8
    name = next(name for name, email in results.items() if email)
    newest = ((None, "unknown", results[name]), ("new@x", "verified", "new@x"), ("bad@x", "invalid", None))
    for number, (email, status, expected) in enumerate(newest):
        columns = f"task_id, workflow_id, {PERSON}, _cleanlist_synced_at, primary_email, primary_email_status"
        copy = f"INSERT INTO results ({columns}) "
        values = f"'t{number}', workflow_id, {PERSON}, '209{number}-01-01', :email, '{status}'"
        with warehouse.begin() as connection:
            whose = {"email": email, "name": name}
            chosen = f"SELECT {values} FROM results WHERE prospect_last_name = :name"
            connection.execute(sa.text(copy + chosen), whose)
            connection.execute(sa.text("UPDATE contacts SET email = NULL WHERE last_name = :name"), whose)
            connection.execute(sa.text(statement))
        assert {row["last_name"]: row["email"] for row in rows(warehouse, "contacts")}[name] == expected


def test_rows_whose_person_changed_are_replaced(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine
) -> None:
    tasks.load(**tasks.enrich(people(1)), source_rows_table="source_rows")
    moved = people(4)[3] | {"crm_id": "C-0"}
    tasks.load(**tasks.enrich([moved]), source_rows_table="source_rows")
    found = rows(warehouse, "source_rows")
    assert [(row["source_id"], row["person"]) for row in found] == [("C-0", person_of(moved))]


def test_rows_that_become_somebody_known_or_nobody_do_not_keep_their_person(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine
) -> None:
    """Nobody is submitted, so no workflow leads to these rows."""
    known = people(4)[3]
    tasks.load(**tasks.enrich([*people(3), known]), source_rows_table="source_rows")
    nobody = {"crm_id": "C-1", "first_name": "Ines", "last_name": "Vauban1"}
    again = tasks.enrich(
        [known | {"crm_id": "C-0"}, nobody, known],
        run_id="next",
        on_invalid_contact="skip",
        skip_submitted_within=timedelta(days=1),
    )
    assert again["workflow_ids"] == []
    expected = {"C-0": person_of(known), "C-1": "", "C-2": person_of(people(3)[2]), "C-3": person_of(known)}
    assert tasks.load(**again, source_rows_table="source_rows", run_id="next")["source_rows"] == 3
    found = rows(warehouse, "source_rows")
    assert {row["source_id"]: row["person"] or "" for row in found} == expected


def test_many_source_rows_are_staged_page_by_page(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine
) -> None:
    contact = people(1)[0]
    given = tasks.enrich([contact | {"crm_id": f"C-{n}"} for n in range(1203)])
    assert tasks.load(**given, source_rows_table="source_rows")["source_rows"] == 1203
    assert len(rows(warehouse, "source_rows")) == 1203


def test_workflows_that_are_not_in_the_ledger_have_no_persons(
    tasks: Tasks,
    ledger: Path,
    warehouse: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = tasks.enrich(people(6))
    foreign = CleanlistHook().submit_bulk_enrichment(
        [{"first_name": "Ines", "last_name": "Fremd", "company_domain": "email-only.example"}], "full"
    )
    given["workflow_ids"] = [*given["workflow_ids"], foreign.workflow_id]
    given["task_ids"] = given["task_ids"] | {foreign.workflow_id: foreign.task_ids}
    with caplog.at_level(logging.INFO):
        result = tasks.load(**given, source_rows_table="source_rows")
    known = tasks.persons() | dict.fromkeys(foreign.task_ids)
    assert {row["task_id"]: row[PERSON] for row in rows(warehouse)} == known
    assert (result["persons_unknown"], result["source_rows"]) == (1, 6)
    printed = capsys.readouterr()
    log = caplog.text + printed.out + printed.err
    assert "The person of 1 result cannot be told" in log
    assert not any(word in log for word in ("Vauban", "Ines", "C-1", person_of(people(1)[0])))


@pytest.mark.parametrize("columns", [["primary_email"], {"primary_email": "email"}])
def test_the_person_is_there_whatever_columns_are_chosen(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine, columns: Any
) -> None:
    tasks.load(**tasks.enrich(people(2)), columns=columns)
    assert {row["task_id"]: row[PERSON] for row in rows(warehouse)} == tasks.persons()


def test_it_may_be_left_out(tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine) -> None:
    tasks.load(**tasks.enrich(people(2)), exclude_columns=[PERSON])
    assert PERSON not in rows(warehouse)[0]


def test_a_ledger_that_the_tasks_name_themselves(
    tasks: Tasks, ledger: Path, sqlite_warehouse: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID")
    given = tasks.enrich(people(4), ledger_conn_id="ledger")
    result = tasks.load(**given, ledger_conn_id="ledger", source_rows_table="source_rows")
    assert {row["task_id"]: row[PERSON] for row in rows(sqlite_warehouse)} == tasks.persons()
    assert (result["persons_unknown"], result["source_rows"]) == (0, 4)


class TestWithoutLedger:
    def test_there_is_no_such_column(self, tasks: Tasks, sqlite_warehouse: sa.engine.Engine) -> None:
        given = tasks.enrich(people(2), id_column=None)
        for empty in ("", "None"):
            with pytest.raises(CleanlistConfigurationError, match=r"^source_rows_table is empty here"):
                tasks.load(**given, source_rows_table=empty)
        result = tasks.load(**given, source_rows_table=None)
        assert (result["persons_unknown"], result["source_rows"]) == (0, 0)
        assert PERSON not in rows(sqlite_warehouse)[0]

    def test_source_rows_need_one(self, tasks: Tasks, sqlite_warehouse: sa.engine.Engine) -> None:
        given = tasks.enrich(people(2), id_column=None)
        with pytest.raises(CleanlistConfigurationError, match=r"^source_rows_table needs a ledger: set"):
            tasks.load(**given, source_rows_table="source_rows")
        assert not sa.inspect(sqlite_warehouse).get_table_names()


class TestBadLedger:
    def test_one_that_is_down_is_retried(
        self, tasks: Tasks, ledger: Path, sqlite_warehouse: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = tasks.enrich(people(2))
        monkeypatch.setattr("airflow_provider_cleanlist.submission.ledger.database.RETRY_PAUSES", (0.0,))
        address = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x"}
        monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(address))
        with pytest.raises(CleanlistLoadError, match="cannot be reached"):
            tasks.load(**given)

    def test_a_connection_that_is_missing(
        self, tasks: Tasks, ledger: Path, sqlite_warehouse: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = tasks.enrich(people(2))
        monkeypatch.delenv("AIRFLOW_CONN_LEDGER")
        with pytest.raises(CleanlistConfigurationError, match="no connection 'ledger'"):
            tasks.load(**given)

    def test_the_same_table_for_both(self, tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine) -> None:
        given = tasks.enrich(people(2))
        with pytest.raises(CleanlistConfigurationError, match="are both results"):
            tasks.load(**given, source_rows_table="results")


def test_a_load_that_failed_resumes_with_the_same_persons(
    tasks: Tasks, ledger: Path, sqlite_warehouse: sa.engine.Engine
) -> None:
    tasks.server.settings.change(task_ids="shuffled")
    given = tasks.enrich(people(20))
    tasks.server.faults.fail("enrich_status", 500, skip=7)
    with pytest.raises(Exception, match="500"):
        tasks.load(**given, source_rows_table="source_rows")
    tasks.load(**given, source_rows_table="source_rows")
    assert {row["task_id"]: row[PERSON] for row in rows(sqlite_warehouse)} == tasks.persons()
    connection = sqlite3.connect(ledger)
    (count,) = connection.execute("SELECT COUNT(*) FROM cleanlist_source_rows").fetchone()
    connection.close()
    assert count == len(rows(sqlite_warehouse, "source_rows")) == 20


def test_what_was_staged_with_another_ledger_is_read_again(
    tasks: Tasks,
    ledger: Path,
    sqlite_warehouse: sa.engine.Engine,
    tmp_path: Path,
    set_connection: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_connection("other", conn_type="sqlite", host=str(tmp_path / "other.db"))
    given = tasks.enrich(people(6))
    with monkeypatch.context() as patch:
        patch.setattr(loader, "_publish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tasks.load(**given, ledger_conn_id="other")
    assert tasks.load(**given)["persons_unknown"] == 0
    assert {row["task_id"]: row[PERSON] for row in rows(sqlite_warehouse)} == tasks.persons()


def test_without_a_total_the_ledger_says_how_many_results_there_are(
    tasks: Tasks, ledger: Path, warehouse: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tasks.enrich(people(4))
    (workflow_id,) = given["workflow_ids"]
    tasks.server.settings.change(status_variant="results")
    results = CleanlistHook().get_workflow_status(workflow_id).results

    def status(cut: int) -> Callable[..., WorkflowStatus]:
        body = {"status": "completed", "results": list(results)[cut:]}
        return lambda _, one: WorkflowStatus.parse(one, body)

    monkeypatch.setattr(CleanlistHook, "get_workflow_status", status(1))
    with pytest.raises(CleanlistConfigurationError, match="Only 3 of 4 results"):
        tasks.load(workflow_ids=workflow_id)
    assert tasks.load(**given)["from_tasks"] == 1
    monkeypatch.setattr(CleanlistHook, "get_workflow_status", status(0))
    assert tasks.load(workflow_ids=workflow_id)["rows_written"] == 4
