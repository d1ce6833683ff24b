"""The example DAGs of the guides, each run as its guide says."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import guide_rows

if TYPE_CHECKING:
    from .conftest import Examples

OWN_TESTS = Path(__file__).parents[3] / "dags_examples" / "tests"
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]
ELSEWHERE = {
    "enrich_contacts_to_warehouse": "tests/e2e/test_example_dag.py",
    "submit_contacts": "tests/e2e/test_finished_by_webhook.py",
    "enrichment_finished": "tests/e2e/test_finished_by_webhook.py",
    "approve_costly_run": "tests/e2e/test_run_approved.py",
    "notifications": "tests/unit/test_example_notifications.py",
    "leads_to_marts": "tests/integration/examples/test_dbt_example.py",
}


def test_every_example_is_run(examples: Examples) -> None:
    assert set(examples.dags) - {run["dag"] for run in examples.runs} == set(ELSEWHERE)


def test_every_run_succeeds(examples: Examples) -> None:
    failed = [(run["dag"], run["tasks"]) for run in examples.runs if run["state"] != "success"]
    assert failed == []
    assert {state for run in examples.runs for state in run["tasks"].values()} == {"success"}


def test_the_tutorial_drops_the_duplicate_and_loads_four_people(examples: Examples) -> None:
    (run,) = examples.of("first_enrichment")
    enriched, waited = examples.returned(run, "enrich"), examples.returned(run, "wait")
    assert (enriched["contacts_submitted"], enriched["duplicates_dropped"]) == (4, 1)
    assert (waited["emails_found"], waited["phones_found"]) == (2, 2)
    assert examples.returned(run, "load")["rows_written"] == 4


def test_each_day_submits_the_contacts_of_its_own_day(examples: Examples) -> None:
    first, second, undated = examples.of("contacts_from_sql")
    assert examples.returned(first, "enrich")["contacts_submitted"] == 2
    assert examples.returned(second, "enrich")["contacts_submitted"] == 1
    assert examples.returned(undated, "enrich")["contacts_submitted"] == 1
    assert examples.query("SELECT COUNT(*), COUNT(DISTINCT task_id) FROM enriched_contacts") == [(4, 4)]


def test_a_file_from_object_storage_leaves_its_rejects_beside_it(examples: Examples) -> None:
    (run,) = examples.of("contacts_from_object_storage")
    enriched = examples.returned(run, "enrich")
    assert (enriched["contacts_submitted"], enriched["invalid_contacts"]) == (2, 1)
    with (examples.files / "contacts.jsonl.gz.rejects.csv").open(encoding="utf-8-sig") as file:
        (reject,) = csv.DictReader(file)
    assert (reject["row"], reject["reason"], reject["first_name"]) == ("3", "missing_name", "Gerd")


def test_a_frame_reaches_cleanlist_without_touching_xcom(examples: Examples) -> None:
    (run,) = examples.of("contacts_from_dataframe")
    enriched = examples.returned(run, "enrich")
    assert (enriched["contacts_submitted"], enriched["invalid_contacts"]) == (2, 1)
    assert "Hana" not in json.dumps(run["xcoms"])
    assert "Hana" not in examples.log


def test_the_history_has_a_copy_for_each_day(examples: Examples) -> None:
    days = examples.query(
        "SELECT _cleanlist_snapshot_date, COUNT(*) FROM leads_history GROUP BY 1 ORDER BY 1"
    )
    loaded = [examples.returned(run, "history")["rows_written"] for run in examples.of("nightly_refresh")]
    assert days == [("2026-03-01", loaded[0]), ("2026-03-02", loaded[1])]
    assert loaded[0] > 0


def test_one_mapped_task_for_each_list(examples: Examples) -> None:
    (run,) = examples.of("refresh_lead_lists")
    counts = [examples.returned(run, "load", index)["rows_written"] for index in range(2)]
    assert counts[1] == 7
    assert examples.returned(run, "count_rows") == sum(counts)


def test_a_watched_list_is_loaded_as_a_whole(examples: Examples) -> None:
    (run,) = examples.of("refresh_when_changed")
    (loaded,) = examples.query("SELECT COUNT(*) FROM watched_leads")
    assert examples.returned(run, "load")["rows_written"] == loaded[0] > 0


def test_the_budget_is_a_tenth_of_the_balance_and_the_cost_is_told(examples: Examples) -> None:
    (run,) = examples.of("credit_budget")
    assert 9_900 < examples.returned(run, "budget") < 10_000
    assert examples.returned(run, "spent") == {"at_most": 44, "spent": 22}


def test_the_account_is_found_through_a_secrets_backend(examples: Examples) -> None:
    (run,) = examples.of("check_account")
    assert 90_000 < examples.returned(run, "check", 0) < 100_000


def test_emails_are_written_back_as_the_guide_shows(examples: Examples) -> None:
    nights = examples.of("write_back")
    shown = [[" ".join(map(str, row)) for row in night["rows"]["crm"]] for night in nights]
    assert shown == [guide_rows(1), guide_rows(2)]
    assert [examples.returned(night, "enrich")["contacts_submitted"] for night in nights] == [4, 1]


def test_results_whose_webhook_was_lost_are_read_by_the_ledgers_task_ids(examples: Examples) -> None:
    (run,) = examples.of("lost_webhooks")
    loads = [examples.returned(run, "load", index) for index in range(2)]
    assert sorted((load["workflows"], load["from_tasks"]) for load in loads) == [(1, 1), (1, 4)]
    assert [rows for _, rows in run["rows"]["warehouse"]] == [1, 4]


def test_nobody_is_submitted_twice_within_a_run(examples: Examples) -> None:
    times = examples.ledger.times_submitted()
    twice = [count for count in times.values() if count > 1]
    assert len(times) == 4 + 4 + 2 + 2 + 5
    assert twice == [2] * 4, "the people of the tutorial, once by each of the two DAGs that read its file"


def test_logs_hold_no_contact(examples: Examples) -> None:
    for name in ("Lindqvist", "Okafor", "first-day.example", "Datei", "Ekberg", "email-only.example"):
        assert name not in examples.log


def test_the_example_of_a_dags_test_passes(airflow_env: dict[str, str], tmp_path: Path) -> None:
    options = (
        "-q",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        f"--rootdir={OWN_TESTS}",
        f"-c{os.devnull}",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(OWN_TESTS)],
        env=airflow_env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert "3 passed" in done.stdout
