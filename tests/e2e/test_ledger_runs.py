"""Runs with a ledger in a real Airflow that are cleared, robbed of their state, deleted and made again, or changed.

``LEDGER_RUNS=1`` runs them: nox session ``ledger_runs``. The ledger of the sandbox tells who was submitted how often.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow_2
import pytest
import sqlalchemy as sa
from sandbox_process import API_KEY, SandboxProcess
from sqlalchemy.engine import make_url

from airflow_provider_cleanlist.sandbox.people import Person, identity_of

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif("LEDGER_RUNS" not in os.environ, reason="takes minutes: nox -s ledger_runs"),
]

MAPPED, STATE, AGAIN, TYPE, MOVED = "mapped", "state", "again", "type", "moved"
ENRICH = "enrich"
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


@dataclass
class Run:
    """A DAG run that succeeds, meets with something, and succeeds once more.

    Attributes:
        name: Of its contacts and of the run.
        dag: Which DAG.
        happens: What happens between, for people.
        contacts: Contacts at first.
        more: Contacts that join, in front of the others, before the second time.
        expected: How it has to end, each time.
        states: How it ended, each time.
        returned: What each task instance returned at last, by map index.
        tries: How many tries each has had, by map index.
        submitted_at_first: Contacts accepted when it had ended for the first time.
        tries_at_first: How many tries its task has had when it had ended for the first time; 0 if it is mapped.
        stop: The log of the last try when it had ended for the second time, if it had to stop.
        stop_try: The number of that try.
    """

    name: str
    dag: str
    happens: str
    contacts: int
    more: int = 0
    expected: tuple[str, ...] = ("success", "success")
    states: list[str] = field(default_factory=list)
    returned: dict[int, dict[str, Any]] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    submitted_at_first: int = 0
    tries_at_first: int = 0
    stop: str = ""
    stop_try: int = 0

    @property
    def run_id(self) -> str:
        return f"ledger-{self.name}"

    def urls(self, start: int, count: int) -> list[str]:
        numbers = range(start, start + count)
        return [f"https://www.linkedin.com/in/ledger-{self.name}-{number}-example" for number in numbers]

    @property
    def identities(self) -> set[str]:
        """Its contacts, as the ledger of the sandbox calls them."""
        return {identity_of(Person(linkedin_url=url)) for url in self.urls(0, self.contacts + self.more)}


RUNS = (
    Run(MAPPED, "ledger_mapped", "mapped; its list grew at the front; cleared", 15, more=2),
    Run(STATE, "ledger_plain", "its rows in the task state store were deleted; cleared", 10),
    Run(AGAIN, "ledger_plain", "deleted, and created again with the same run id", 10),
    Run(TYPE, "ledger_type", "`enrichment_type` changed from `partial` to `full`; cleared", 10),
    Run(
        MOVED,
        "ledger_moved",
        "ran without a ledger; one was configured, cleared: it stops; removed, cleared",
        10,
        expected=("success", "failed", "success"),
    ),
)
PARTS = {"partial": ("email",), "phone_only": ("phone",), "full": ("email", "phone")}
each_run = pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)


class Stage:
    """Airflow, a sandbox and the contacts."""

    def __init__(self, airflow: AirflowProcesses, sandbox: SandboxProcess, people: Path) -> None:
        self._api = airflow.api
        self._people = people
        self.sandbox = sandbox

    def play(self) -> None:
        """Let every run end, happen what is to happen, and end again, twice if need be; all of them side by side."""
        for key, value in (("ledger_runs_type", "partial"), ("ledger_runs_ledger", "")):
            self._api.call("POST", "/variables", {"key": key, "value": value})
        for run in RUNS:
            self._api.wait_for_dag(run.dag, timeout=120)
            self._add(run, run.urls(0, run.contacts), place=0)
            self._start(run)
        self._wait_for_ends(1)
        for run in RUNS:
            run.submitted_at_first = self.times_submitted(run).total()
            run.tries_at_first = self._tries(run).get(-1, 0)
        for run in RUNS:
            self._meddle(run)
        self._wait_for_ends(2)
        self._set("ledger_runs_ledger", "")
        for run in RUNS:
            if len(run.expected) > 2:
                run.stop_try = self._tries(run)[-1]
                run.stop = self._api.task_log(run.dag, run.run_id, ENRICH, run.stop_try)
                self._api.clear(run.dag, run.run_id, [ENRICH])
        self._wait_for_ends(3)
        for run in RUNS:
            run.tries = self._tries(run)
            for index in run.tries:
                run.returned[index] = self._api.xcom(run.dag, run.run_id, ENRICH, map_index=index)

    def times_submitted(self, run: Run) -> Counter[tuple[str, str]]:
        """Return how often each contact of a run was accepted, for an email and for a phone number."""
        return Counter(
            (sent, part)
            for row in self.sandbox.ask("/ledger/submits")
            for sent in row["identities"]
            if sent in run.identities
            for part in PARTS[row["enrichment_type"]]
        )

    def _add(self, run: Run, urls: list[str], place: int) -> None:
        rows = [(run.name, url, place + number) for number, url in enumerate(urls)]
        with closing(sqlite3.connect(self._people)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS ledger_people (name TEXT, linkedin_url TEXT, place INT)"
            )
            database.executemany("INSERT INTO ledger_people VALUES (?, ?, ?)", rows)

    def _start(self, run: Run) -> None:
        self._api.trigger_run(run.dag, {"name": run.name}, run_id=run.run_id)

    def _tries(self, run: Run) -> dict[int, int]:
        rows = self._api.task_instances(run.dag, run.run_id)
        return {row["map_index"]: row["try_number"] for row in rows if row["task_id"] == ENRICH}

    def _set(self, key: str, value: str) -> None:
        self._api.call("PATCH", f"/variables/{key}", {"key": key, "value": value})

    def _wait_for_ends(self, times: int) -> None:
        for run in RUNS:
            if len(run.expected) >= times:
                run.states.append(self._api.wait_run(run.dag, run.run_id, timeout=400))

    def _meddle(self, run: Run) -> None:
        if run.name == MAPPED:
            self._add(run, run.urls(run.contacts, run.more), place=-run.more)
            self._api.clear(run.dag, run.run_id, ["slices", ENRICH])
        elif run.name == STATE:
            path = f"/dags/{run.dag}/dagRuns/{run.run_id}/taskInstances/{ENRICH}/state-store"
            if not airflow_2.IS_INSTALLED:
                self._api.call("DELETE", path, all_map_indices="true")
            self._api.clear(run.dag, run.run_id, [ENRICH])
        elif run.name == TYPE:
            self._set("ledger_runs_type", "full")
            self._api.clear(run.dag, run.run_id, [ENRICH])
        elif run.name == MOVED:
            self._set("ledger_runs_ledger", "ledger")
            self._api.clear(run.dag, run.run_id, [ENRICH])
        else:
            self._api.call("DELETE", f"/dags/{run.dag}/dagRuns/{run.run_id}")
            self._start(run)


@pytest.fixture(scope="module")
def stage(
    airflow: AirflowProcesses,
    airflow_database: str,
    people_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """All runs, played to their last end, with a ledger on PostgreSQL."""
    url = make_url(airflow_database)
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE cleanlist_ledger"))
    server.dispose()
    options = {"requests-per-minute": 6000, "seconds-to-complete": 0}
    with SandboxProcess(tmp_path_factory.mktemp("ledger_runs"), options) as sandbox:
        ledger = {
            "connection_id": "ledger",
            "conn_type": "postgres",
            "host": url.query["host"],
            "login": url.username,
            "schema": "cleanlist_ledger",
        }
        cleanlist = {
            "connection_id": "cleanlist_ledger_runs",
            "conn_type": "cleanlist",
            "host": sandbox.url,
            "password": API_KEY,
            "extra": json.dumps({"requests_per_minute": 6000}),
        }
        for connection in (ledger, cleanlist):
            airflow.api.call("POST", "/connections", connection)
        stage = Stage(airflow, sandbox, people_database)
        stage.play()
        yield stage


@each_run
def test_it_ends_as_it_has_to(stage: Stage, run: Run) -> None:
    assert tuple(run.states) == run.expected
    assert run.submitted_at_first == run.contacts


@each_run
def test_everybody_is_submitted_once(stage: Stage, run: Run) -> None:
    times = stage.times_submitted(run)
    parts = ("email", "phone") if run.name == TYPE else ("email",)
    assert times == Counter((sent, part) for sent in run.identities for part in parts)
    billed = stage.sandbox.ask("/ledger/billing")["times_billed"]
    assert all(billed.get(sent, 0) <= 1 for sent in run.identities)


def test_a_changed_type_is_told_by_type(stage: Stage) -> None:
    (run,) = (run for run in RUNS if run.name == TYPE)
    result = run.returned[-1]
    assert result["submitted_as"] == {"partial": 10, "phone_only": 10}
    assert (result["contacts_submitted"], result["worst_case_credits"]) == (10, 110)


def test_a_journal_that_moved_is_told_to_the_user(stage: Stage) -> None:
    """The stop says why, and no retry followed it."""
    (run,) = (run for run in RUNS if run.name == MOVED)
    assert run.stop_try == run.tries_at_first + 1
    assert run.returned[-1]["contacts_submitted"] == 10
    assert (
        "no earlier attempt" in run.stop
        if airflow_2.IS_INSTALLED
        else "recorded what it submitted" in run.stop
    )


def test_every_task_instance_has_run_again(stage: Stage) -> None:
    """A cleared one has a second try; the fourth map index is new, and so is the run that was created again."""
    tries = {run.name: run.tries for run in RUNS}
    again = [tries[MAPPED][0], tries[MAPPED][1], tries[MAPPED][2], tries[STATE][-1]]
    assert min(again) == 2
    assert (tries[MAPPED][3], tries[AGAIN][-1]) == (1, 1)


def test_the_mapped_run_has_become_larger(stage: Stage) -> None:
    (run,) = (run for run in RUNS if run.name == MAPPED)
    assert sorted(run.returned) == [0, 1, 2, 3]
    assert [run.returned[index]["contacts_read"] for index in range(4)] == [5, 5, 5, 2]


@each_run
def test_every_task_instance_reports_all_of_its_contacts(stage: Stage, run: Run) -> None:
    assert sum(result["contacts_read"] for result in run.returned.values()) == len(run.identities)
    assert all(result["unknown_contacts"] == 0 for result in run.returned.values())


@pytest.mark.skipif(airflow_2.IS_INSTALLED, reason="the table is of Airflow 3.3")
def test_the_table_in_the_documentation_is_that_of_these_runs(stage: Stage) -> None:
    rows = [row_of(stage, run) for run in RUNS]
    if folder := os.environ.get("CLEANLIST_RELIABILITY"):
        Path(folder, "ledger-runs.json").write_text(json.dumps(rows, indent=1))
        return
    text = PAGE.read_text()
    missing = [row for row in rows if "| " + " | ".join(row) + " |" not in text]
    assert missing == [], "run scripts/make_reliability_table.py"


def row_of(stage: Stage, run: Run) -> list[str]:
    """Return what a run showed, as a row of the table in docs/reliability.md."""
    times = stage.times_submitted(run)
    later = times.total() - run.submitted_at_first
    twice = sum(count > 1 for count in times.values())
    lost = len(run.identities - {sent for sent, _ in times})
    return [run.happens, *map(str, (run.submitted_at_first, run.more, later, twice, lost))]
