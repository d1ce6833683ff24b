"""BulkEnrichOperator with the organisation's ledger: runs, DAGs, map indexes and days; the sandbox is the judge."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistCreditLimitError,
    CleanlistDataError,
    CleanlistStateError,
    CleanlistSubmissionUnknownError,
)
from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.submission.ledger import person

pytestmark = [
    pytest.mark.integration,
    pytest.mark.cleanlist_sandbox(requests_per_minute=100_000, credits=100_000, seconds_to_complete=0),
]

SUBMIT = "enrich_bulk"
WINDOW = timedelta(days=30)
TABLES = ("batches", "contacts", "source_rows", "attempts", "organisations", "keys", "ledger")
EXAMPLES = Path(__file__).parents[3] / "dags_examples" / "data"


def people(*numbers: int) -> list[dict[str, str]]:
    return [
        {
            "crm_id": f"C-{number}",
            "first_name": "Zofia",
            "last_name": f"Quxley{number}",
            "company_domain": "harborlight.example",
        }
        for number in numbers
    ]


class Runs:
    """Runs tasks of any DAG, run and map index that share a ledger."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server

    def __call__(
        self,
        contacts: Any,
        *,
        dag: str = "d",
        run: str = "r",
        index: int = -1,
        attempt: int = 1,
        **arguments: Any,
    ) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id=dag,
            run_id=run,
            task_id="t",
            map_index=index,
            try_number=attempt,
            xcom_push=lambda **_: None,
        )
        operator = BulkEnrichOperator(task_id="t", contacts=contacts, **arguments)
        return operator.execute({"ti": ti, "outlet_events": {}})  # type: ignore[no-any-return]

    def times(self) -> list[int]:
        """How often each person was submitted who was submitted at all."""
        return sorted(self.server.ledger.times_submitted().values())


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[Any]]:
    """Configure a ledger, and return what runs a query on it."""
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        connection = {"conn_type": "sqlite", "host": str(path)}
        engine = sa.create_engine(f"sqlite:///{path}")
    else:
        connection = request.getfixturevalue("postgres_connection")
        engine = request.getfixturevalue("open_postgres")("psycopg2")
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__CLEANLIST__LEDGER_CONN_ID", "ledger")

    def query(text: str) -> list[Any]:
        with engine.begin() as opened:
            result = opened.execute(sa.text(text))
            return [tuple(row) for row in result] if result.returns_rows else []

    return query


@pytest.fixture
def runs(cleanlist_sandbox: SandboxServer, connect: Callable[..., None]) -> Runs:
    connect(cleanlist_sandbox)
    return Runs(cleanlist_sandbox)


class TestWithinARun:
    @pytest.fixture(autouse=True)
    def _ledger(self, ledger: Any) -> None: ...

    def test_a_mapped_run_that_is_cleared_after_its_list_grew_pays_for_the_new_one_only(
        self, runs: Runs
    ) -> None:
        for index in range(3):
            runs(people(*range(10 * index, 10 * index + 10)), index=index)
        grown = people(99, *range(30))
        results = [runs(grown[10 * index : 10 * index + 10], index=index, attempt=2) for index in range(4)]
        assert runs.times() == [1] * 31
        assert [result["contacts_submitted"] for result in results] == [11, 10, 10, 0]

    def test_a_run_that_was_deleted_and_made_again_pays_nobody_twice(self, runs: Runs) -> None:
        first = runs(people(*range(5)))
        again = runs(people(*range(5)))  # try number 1 again: Airflow knows of nothing
        assert runs.times() == [1] * 5
        assert again["workflow_ids"] == first["workflow_ids"]

    def test_erased_people_still_count_as_submitted_and_against_max_credits(
        self, runs: Runs, ledger: Any
    ) -> None:
        runs(people(*range(10)), max_credits=10)
        erased = person({name: value for name, value in people(0)[0].items() if name != "crm_id"})
        ledger(f"DELETE FROM cleanlist_contacts WHERE person = '{erased}'")
        again = runs(people(*range(1, 10)), attempt=2, max_credits=10)
        assert (again["contacts_submitted"], again["worst_case_credits"]) == (10, 10)
        with pytest.raises(CleanlistCreditLimitError, match="for what was submitted before up to 10"):
            runs(people(*range(1, 11)), attempt=3, max_credits=10)

    def test_force_resubmit_starts_over_once(self, runs: Runs) -> None:
        runs(people(1, 2))
        for attempt in (2, 3):
            runs(people(1, 2), attempt=attempt, force_resubmit="again")
        assert runs.times() == [2, 2]

    @pytest.mark.parametrize("nothing", [None, "None", "", " ", "None "])
    def test_a_template_that_renders_as_nothing_is_no_word(self, runs: Runs, nothing: str | None) -> None:
        runs(people(1, 2))
        runs(people(1, 2), attempt=2, force_resubmit=nothing)
        assert runs.times() == [1, 1]

    def test_an_unknown_outcome_stops_the_next_attempt_and_every_map_index_that_meets_it(
        self, runs: Runs
    ) -> None:
        runs.server.faults.drop(SUBMIT, after=True)
        with pytest.raises(CleanlistSubmissionUnknownError):
            runs(people(1, 2), index=0)
        with pytest.raises(CleanlistSubmissionUnknownError):
            runs(people(1, 2), index=0, attempt=2)
        with pytest.raises(CleanlistSubmissionUnknownError):
            runs(people(2, 3), index=1)
        assert runs(people(4), index=2)["contacts_submitted"] == 1
        skipped = runs(people(2, 3), index=1, attempt=2, on_unknown_submission="skip")
        assert (skipped["unknown_contacts"], skipped["contacts_submitted"]) == (1, 1)
        assert runs.times() == [1] * 4

    def test_another_organisation_stops_by_name(self, runs: Runs, connect: Any) -> None:
        runs(people(1, 2))
        with SandboxServer(requests_per_minute=100_000) as other:
            connect(other)
            theirs = other.state.accounts.organization.organization_id
            with pytest.raises(CleanlistConfigurationError, match=theirs) as caught:
                runs(people(1, 2), attempt=2)
            assert "Another organisation" in str(caught.value)
            assert other.ledger.times_submitted() == {}
            assert runs(people(1, 2), attempt=3, force_resubmit="all")["contacts_submitted"] == 2
            assert len(other.ledger.times_submitted()) == 2


class TestAcrossRuns:
    def test_nobody_is_paid_twice_within_the_window(self, runs: Runs, ledger: Any) -> None:
        runs(people(1, 2), skip_submitted_within=WINDOW)
        result = runs(people(3, 2, 1), dag="other", run="later", skip_submitted_within=WINDOW)
        assert (result["contacts_submitted"], result["known_contacts"]) == (1, 2)
        assert runs.times() == [1, 1, 1]

    def test_without_a_window_other_runs_do_not_count(self, runs: Runs, ledger: Any) -> None:
        runs(people(1))
        assert runs(people(1), run="later")["contacts_submitted"] == 1

    def test_only_the_missing_part_is_bought(self, runs: Runs, ledger: Any) -> None:
        runs(people(1, 2), enrichment_type="partial")
        runs(people(3), enrichment_type="phone_only", run="phones")
        result = runs(people(1, 2, 3, 4), enrichment_type="full", run="later", skip_submitted_within=WINDOW)
        assert result["submitted_as"] == {"full": 1, "phone_only": 2, "partial": 1}
        assert result["worst_case_credits"] == 11 + 20 + 1
        bought = ledger("SELECT enrichment_type, SUM(contacts) FROM cleanlist_batches GROUP BY 1 ORDER BY 1")
        assert [(kind, int(count)) for kind, count in bought] == [
            ("full", 1),
            ("partial", 3),
            ("phone_only", 3),
        ]
        everything = runs(
            people(1, 2, 3, 4), enrichment_type="full", run="last", skip_submitted_within=WINDOW
        )
        assert (everything["contacts_submitted"], everything["known_contacts"]) == (0, 4)

    def test_another_installation_with_the_same_ids_is_the_same_run(self, runs: Runs, ledger: Any) -> None:
        first = runs(people(1, 2), run="scheduled__2025-06-02")
        elsewhere = runs(people(1, 2, 3), run="scheduled__2025-06-02")
        assert elsewhere["workflow_ids"][: len(first["workflow_ids"])] == first["workflow_ids"]
        assert (elsewhere["contacts_submitted"], elsewhere["known_contacts"]) == (3, 0)
        assert runs.times() == [1, 1, 1]

    def test_an_unknown_outcome_of_another_run_counts_as_submitted(
        self, runs: Runs, ledger: Any, logged: Callable[[], str]
    ) -> None:
        runs.server.faults.drop(SUBMIT, after=True)
        with pytest.raises(CleanlistSubmissionUnknownError):
            runs(people(1, 2))
        result = runs(people(1, 2, 3), run="later", skip_submitted_within=WINDOW)
        assert (result["known_contacts"], result["unknown_contacts"]) == (2, 0)
        assert runs.times() == [1, 1, 1]
        assert "For 2 of them it is not known so far whether Cleanlist has accepted" in logged()

    def test_the_rest_of_an_unknown_outcome_of_another_run_is_submitted_with_a_word(
        self, runs: Runs, ledger: Any, logged: Callable[[], str]
    ) -> None:
        runs.server.faults.drop(SUBMIT, after=True)
        with pytest.raises(CleanlistSubmissionUnknownError):
            runs(people(1, 2))
        result = runs(people(1, 2, 3), run="later", enrichment_type="full", skip_submitted_within=WINDOW)
        assert result["submitted_as"] == {"phone_only": 2, "full": 1}
        text = logged()
        assert "2 contacts had been submitted for a part of this within skip_submitted_within" in text
        assert "of them it is not known" not in text
        runs(people(1, 2, 3), run="again", enrichment_type="full", skip_submitted_within=WINDOW)
        assert "For 2 of them it is not known so far" in logged()

    def test_a_request_of_another_run_that_is_on_its_way_counts_as_submitted(
        self, runs: Runs, ledger: Any, logged: Callable[[], str]
    ) -> None:
        runs(people(1), run="first")
        runs(people(2), run="second")
        ledger("UPDATE cleanlist_batches SET state = 'intent', workflow_id = NULL WHERE run_id = 'first'")
        result = runs(people(1, 2, 3), run="later", skip_submitted_within=WINDOW)
        assert (result["known_contacts"], result["contacts_submitted"]) == (2, 1)
        assert "For 1 of them it is not known so far" in logged()

    def test_a_refused_batch_counts_as_nothing(self, runs: Runs, ledger: Any) -> None:
        runs.server.faults.fail(SUBMIT, 502)
        with pytest.raises(Exception, match="502"):
            runs(people(1, 2), on_unknown_submission="fail")
        assert ledger("SELECT state FROM cleanlist_batches") == [("unknown",)]
        runs.server.faults.fail(SUBMIT, 503)
        with pytest.raises(Exception, match="503"):
            runs(people(5), run="second")
        assert runs(people(5), run="third", skip_submitted_within=WINDOW)["contacts_submitted"] == 1

    def test_a_static_force_resubmit_does_not_lift_the_window(self, runs: Runs, ledger: Any) -> None:
        runs(people(1), run="monday", force_resubmit="v2", skip_submitted_within=WINDOW)
        result = runs(people(1), run="tuesday", force_resubmit="v2", skip_submitted_within=WINDOW)
        assert result["known_contacts"] == 1
        assert runs.times() == [1]

    def test_the_window_may_be_configured(
        self, runs: Runs, ledger: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW__CLEANLIST__SKIP_SUBMITTED_WITHIN_DAYS", "0.5")
        runs(people(1))
        assert runs(people(1), run="later")["known_contacts"] == 1

    def test_the_log_says_how_many_were_left_out_and_what_that_saved(
        self, runs: Runs, ledger: Any, logged: Callable[[], str]
    ) -> None:
        runs(people(1, 2), enrichment_type="full")
        runs(people(1, 2), run="later", enrichment_type="full", skip_submitted_within=WINDOW)
        assert "Left out 2 contacts already submitted" in (text := logged())
        assert "saved at most 22 credits" in text
        assert "it is not known so far" not in text
        assert "Quxley" not in text

    def test_a_person_whom_the_source_names_again_is_submitted_once_whatever_deduplicate_says(
        self, runs: Runs, ledger: Any, logged: Callable[[], str]
    ) -> None:
        result = runs(people(1, 1, 2, 3, 1), batch_size=2, deduplicate=False)
        assert runs.times() == [1, 1, 1]
        assert result["contacts_submitted"] == 3
        text = logged()
        assert "deduplicate=False does not apply: with a ledger each person is submitted once." in text
        assert "Duplicates dropped: 2 (rows 2, 5)." in text


class TestSourceRows:
    def test_every_row_is_kept_duplicates_and_known_ones_too(self, runs: Runs, ledger: Any) -> None:
        runs(people(1, 2))
        double = people(2)[0] | {"crm_id": "D-2"}
        runs([*people(1, 2, 3), double], run="later", id_column="CRM ID", skip_submitted_within=WINDOW)
        rows = ledger("SELECT source, source_id, person FROM cleanlist_source_rows ORDER BY source_id")
        two = person({name: value for name, value in people(2)[0].items() if name != "crm_id"})
        assert [row[:2] for row in rows] == [("d/t", "C-1"), ("d/t", "C-2"), ("d/t", "C-3"), ("d/t", "D-2")]
        assert [row[2] for row in rows if row[2] == two] == [two, two]

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            ([people(1)[0] | {"crm_id": " "}], "1 .row 1. without an id"),
            ([people(1)[0] | {"crm_id": "x" * 201}], "1 .row 1. with an id of more than 200"),
            ([people(1)[0] | {"crm_id": "x" * 20_000}], "1 .row 1. with an id of more than 200"),
            ([people(1)[0], people(2)[0] | {"crm_id": "C-1"}], "1 .row 2. with an id that another row"),
        ],
    )
    def test_ids_that_cannot_be_used_stop_before_anything_is_sent(
        self, runs: Runs, ledger: Any, rows: list[Any], words: str
    ) -> None:
        with pytest.raises(CleanlistDataError, match=words) as caught:
            runs(rows, id_column="crm_id")
        assert "C-1" not in str(caught.value)
        assert runs.times() == []
        assert runs(rows, id_column="crm_id", on_invalid_contact="skip", attempt=2)[
            "contacts_submitted"
        ] == len(rows)

    def test_a_missing_column(self, runs: Runs, ledger: Any) -> None:
        with pytest.raises(CleanlistDataError, match="no column 'id'"):
            runs(people(1), id_column="id")
        assert runs.times() == []

    def test_no_personal_data_is_in_any_table(self, runs: Runs, ledger: Any) -> None:
        runs(people(1, 2), id_column="crm_id", force_resubmit="Zofia")
        text = repr([ledger(f"SELECT * FROM cleanlist_{table}") for table in TABLES])
        assert not any(word in text for word in ("Zofia", "Quxley", "harborlight", "clapi_"))

    @pytest.mark.parametrize(
        ("file", "encoding", "delimiter", "id_column"),
        [
            ("first_contacts.csv", "utf-8", ",", None),
            ("hubspot_contacts.csv", "utf-8-sig", ",", "Record ID"),
            ("salesforce_leads.csv", "cp1252", ";", "Lead ID"),
        ],
    )
    def test_nothing_of_the_example_files_is_in_any_table_but_the_ids(
        self, runs: Runs, ledger: Any, file: str, encoding: str, delimiter: str, id_column: str | None
    ) -> None:
        outcome = runs(
            None,
            contacts_path=EXAMPLES / file,
            id_column=id_column,
            on_invalid_contact="skip",
            enrichment_type="full",
        )
        found = {table: ledger(f"SELECT * FROM cleanlist_{table}") for table in TABLES}
        assert len(found["contacts"]) == outcome["contacts_submitted"] > 3
        assert bool(found["source_rows"]) == bool(id_column)
        with (EXAMPLES / file).open(newline="", encoding=encoding) as opened:
            rows = list(csv.DictReader(opened, delimiter=delimiter))
        cells = (cell for row in rows for cell in row.items() if cell[0] not in (id_column, None))
        values = {(value or "").strip().lower() for _, value in cells}
        words = {word for value in values for word in (value, *re.split(r"\W+", value)) if len(word) > 1}
        words = {word for word in words if not word.isdigit()}  # ids of batches are full of digits
        assert len(words) > 10
        kept = (cell for rows in found.values() for row in rows for cell in row)
        texts = {cell.lower() for cell in kept if isinstance(cell, str)}
        assert words.isdisjoint(texts)
        everything = "\n".join(texts)
        assert [word for word in words if len(word) > 5 and word in everything] == []


class TestEstimate:
    def test_it_says_what_a_run_would_cost_and_sends_nothing(self, runs: Runs, ledger: Any) -> None:
        runs(people(1), enrichment_type="partial")
        result = runs(
            people(1, 2, 3),
            run="later",
            enrichment_type="full",
            batch_size=1,
            skip_submitted_within=WINDOW,
            estimate_only=True,
        )
        assert result["estimate"] == {
            "contacts": 3,
            "batches": 3,
            "worst_case_credits": 32,
            "balance": 100_000.0 - runs.server.ledger.credits_charged,
        }
        assert (result["contacts_submitted"], result["workflow_ids"]) == (0, [])
        assert runs.times() == [1]

    def test_it_needs_no_ledger(self, runs: Runs) -> None:
        assert runs(people(1, 2), estimate_only=True)["estimate"]["worst_case_credits"] == 2
        assert runs.times() == []

    def test_it_logs_what_was_read(self, runs: Runs, logged: Callable[[], str]) -> None:
        runs([*people(1, 2), {"first_name": "Mara"}], estimate_only=True, on_invalid_contact="skip")
        lines = logged()
        assert "Read 3 rows from contacts: 2 contacts to enrich." in lines
        assert "missing_name: 1 (row 3)" in lines


class TestBadSettings:
    @pytest.mark.parametrize("arguments", [{"skip_submitted_within": WINDOW}, {"id_column": "crm_id"}])
    def test_what_needs_a_ledger_says_so(self, runs: Runs, arguments: dict[str, Any]) -> None:
        with pytest.raises(CleanlistConfigurationError, match="needs a ledger"):
            runs(people(1), **arguments)
        assert runs.times() == []

    @pytest.mark.parametrize("window", [timedelta(0), timedelta(days=-1), 30, "30"])
    def test_a_window_that_is_none(self, runs: Runs, ledger: Any, window: Any) -> None:
        with pytest.raises(CleanlistConfigurationError, match="skip_submitted_within must be a timedelta"):
            runs(people(1), skip_submitted_within=window)

    @pytest.mark.parametrize("days", ["0", "-3", "many", "nan", "1e99"])
    def test_a_configured_window_that_is_none(
        self, runs: Runs, ledger: Any, monkeypatch: pytest.MonkeyPatch, days: str
    ) -> None:
        monkeypatch.setenv("AIRFLOW__CLEANLIST__SKIP_SUBMITTED_WITHIN_DAYS", days)
        with pytest.raises(CleanlistConfigurationError, match="positive number of days"):
            runs(people(1))

    def test_a_connection_that_is_missing(self, runs: Runs) -> None:
        with pytest.raises(CleanlistConfigurationError, match="no connection 'nowhere'"):
            runs(people(1), ledger_conn_id="nowhere")

    def test_a_connection_of_another_kind(self, runs: Runs) -> None:
        with pytest.raises(CleanlistConfigurationError, match="not a SQL database connection"):
            runs(people(1), ledger_conn_id="cleanlist_default")

    def test_a_database_that_is_down(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        connection = {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": 1,
            "login": "x",
            "password": "s3cret",
        }
        monkeypatch.setenv("AIRFLOW_CONN_DOWN", json.dumps(connection))
        with pytest.raises(CleanlistStateError, match="'down' cannot be reached") as caught:
            runs(people(1), ledger_conn_id="down")
        assert "s3cret" not in str(caught.value)
        assert runs.times() == []


def test_a_file_that_cannot_be_written(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    runs(people(1), ledger_conn_id="ledger")
    uri = {"conn_type": "sqlite", "host": f"file:{path}", "extra": {"mode": "ro"}}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(uri))
    with pytest.raises((CleanlistConfigurationError, CleanlistStateError)):
        runs(people(2), ledger_conn_id="ledger")
    assert runs.times() == [1]


def test_tables_of_a_newer_version(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    runs(people(1), ledger_conn_id="ledger")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE cleanlist_ledger SET version = 7")
    with pytest.raises(CleanlistConfigurationError, match="version 7, and this release knows version 2"):
        runs(people(2), ledger_conn_id="ledger")
    assert runs.times() == [1]


def test_another_organisation_stops_by_name_without_a_ledger_too(
    runs: Runs, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", f"file://{tmp_path}")
    runs(people(1, 2))
    with SandboxServer(requests_per_minute=100_000) as other:
        connect(other)
        with pytest.raises(CleanlistConfigurationError, match="Another organisation"):
            runs(people(1, 2), attempt=2)
        assert other.ledger.times_submitted() == {}


def test_a_cleared_mapped_run_with_a_directory_pays_for_the_new_one_only(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", f"file://{tmp_path}")
    for index in range(3):
        runs(people(*range(10 * index, 10 * index + 10)), index=index)
    grown = people(99, *range(30))
    for index in range(4):
        runs(grown[10 * index : 10 * index + 10], index=index, attempt=2)
    assert runs.times() == [1] * 31


def test_without_a_ledger_deduplicate_false_submits_every_row(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CLEANLIST__JOURNAL_PATH", str(tmp_path))
    assert runs(people(1, 1, 2, 1), batch_size=2, deduplicate=False)["contacts_submitted"] == 4
    assert runs.times() == [1, 3]
