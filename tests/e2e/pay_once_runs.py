"""Enrichments that meet with accidents in a real Airflow: what is to happen, and how it is made to happen."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow_2
import requests
from sandbox_process import API_KEY, SandboxProcess

from airflow_provider_cleanlist.sandbox.people import Person, identity_of

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses

SUBMIT = "enrich_bulk"
FAST = {"requests_per_minute": 6000}
SANDBOXES: dict[str, list[dict[str, Any]]] = {
    "calm": [],
    "slow": [{"kind": "delay", "endpoint": SUBMIT, "seconds": 2.0, "times": None}],
    "dropping": [{"kind": "drop", "endpoint": SUBMIT, "after": True, "skip": 1}],
    "failing": [{"kind": "status", "endpoint": SUBMIT, "status": 500, "after": True, "skip": 1}],
    "storming": [{"kind": "status", "endpoint": SUBMIT, "status": 429, "retry_after": "1", "times": 6}],
    "poor": [{"kind": "status", "endpoint": SUBMIT, "status": 402, "skip": 2}],
}
"""Local Cleanlists, and what goes wrong with each."""


@dataclass(frozen=True)
class Scenario:
    """One DAG run.

    Attributes:
        name: Short and unique; part of its contacts' LinkedIn URLs.
        fault: What goes wrong, for people.
        troubles: Accidents by try: what, where, at which passing.
        tries: Tries that it takes in all, apart from those that Airflow 3 itself fails on a busy machine: when a task
            cannot be started in time, or when the report that a task was deferred is read after it was queued to go on.
        unknown: Contacts whose outcome the task calls unknown.
        user: What the user does each time the run has ended: ``clear``, or ``skip`` (set the argument, then clear).
        sandbox: Which Cleanlist it talks to.
        dag: Which DAG.
        contacts: Contacts in its source.
        batch_size: Contacts per request.
        people: Name in the contacts' URLs, for runs that share contacts; its own name otherwise.
        timeout_seconds: Of the connection.
        wait: Whether it waits in the triggerer.
        more: Contacts that join the source after the first try.
    """

    name: str
    fault: str
    troubles: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    tries: int = 2
    unknown: int = 0
    user: tuple[str, ...] = ()
    sandbox: str = "calm"
    dag: str = "pay_once"
    contacts: int = 25
    batch_size: int = 5
    people: str = ""
    timeout_seconds: float = 30
    wait: bool = False
    more: int = 0

    @property
    def identities(self) -> set[str]:
        """Its contacts, as the ledger of the sandbox calls them."""
        return {identity_of(Person(linkedin_url=url)) for url in self.urls(self.contacts + self.more)}

    def urls(self, count: int) -> list[str]:
        return [
            f"https://www.linkedin.com/in/{self.people or self.name}-{number}-example"
            for number in range(count)
        ]


KILLED = {1: ("SIGKILL", "after accepted", 2)}
SCENARIOS = (
    Scenario("before", "killed (SIGKILL) before the intent is written", {1: ("SIGKILL", "before intent", 2)}),
    Scenario("record", "killed while the intent is being written", {1: ("SIGKILL", "after intent", 2)}),
    Scenario(
        "intent",
        "killed after the intent, before the request",
        {1: ("SIGKILL", "before sending", 2)},
        tries=3,
        unknown=5,
        user=("skip",),
    ),
    Scenario(
        "post",
        "killed while the request is on its way",
        {1: ("SIGKILL", "on the way", 1)},
        tries=3,
        unknown=5,
        user=("skip",),
        sandbox="slow",
        contacts=10,
    ),
    Scenario(
        "answer",
        "killed after the answer, before it is written",
        {1: ("SIGKILL", "after the answer", 2)},
        tries=3,
        unknown=5,
        user=("skip",),
    ),
    Scenario(
        "between",
        "killed between two batches, in two attempts",
        {1: ("SIGKILL", "after accepted", 1), 2: ("SIGKILL", "after accepted", 2)},
        tries=3,
        wait=True,
    ),
    Scenario(
        "term",
        "SIGTERM to the task while the request is on its way",
        {1: ("SIGTERM", "on the way", 1)},
        sandbox="slow",
        contacts=10,
    ),
    Scenario(
        "worker",
        "SIGTERM to the worker while the request is on its way",
        {1: ("SIGTERM to the worker", "on the way", 1)},
        sandbox="slow",
        contacts=10,
    ),
    Scenario(
        "timeout",
        "Airflow's execution timeout while the request is on its way",
        {1: ("timeout", "on the way", 1)},
        sandbox="slow",
        contacts=10,
    ),
    Scenario("cleared", "cleared after success", {}, user=("clear",), wait=True),
    Scenario(
        "restart",
        "cleared while it runs",
        {1: ("clear", "after accepted", 2)},
        tries=1 if airflow_2.IS_INSTALLED else 2,  # Airflow 2 may let the running try come to its end
    ),
    Scenario(
        "zombie",
        "worker frozen, replaced by a new attempt, and thawed before its next intent",
        {1: ("SIGSTOP to the worker", "before intent", 2)},
    ),
    Scenario("order", "killed; the SQL query returns another order", KILLED, dag="pay_once_sql"),
    Scenario(
        "growth",
        "killed; the SQL query returns 10 % new rows",
        KILLED,
        dag="pay_once_sql",
        contacts=30,
        more=3,
    ),
    Scenario("twin-a", "two runs at the same time, same contacts; this one is killed", KILLED, people="twin"),
    Scenario(
        "twin-b", "two runs at the same time, same contacts; this one is not", {}, tries=1, people="twin"
    ),
    Scenario(
        "mapped",
        "three mapped tasks, same contacts; one of them killed",
        KILLED,
        dag="pay_once_mapped",
        contacts=15,
    ),
    Scenario(
        "drop",
        "connection dropped after acceptance",
        tries=2,
        unknown=5,
        user=("skip",),
        sandbox="dropping",
    ),
    Scenario("error", "HTTP 500 after acceptance", tries=2, unknown=5, user=("skip",), sandbox="failing"),
    Scenario(
        "late",
        "answer later than the timeout",
        tries=2,
        unknown=5,
        user=("skip",),
        sandbox="slow",
        contacts=5,
        timeout_seconds=1,
    ),
    Scenario("storm", "429 six times in a row", tries=1, sandbox="storming"),
    Scenario("poor", "402 in the middle", user=("clear",), sandbox="poor"),
)
ENDED = ("success", "failed")
FAILED_BY_AIRFLOW = ("state mismatch", "heartbeat timeout")
"""Events that Airflow 3 records when it fails a try itself, whatever the task did."""
NOT_STARTED = "state attribute is queued"
"""In the record of a try that Airflow failed before the task ran."""
TAKEN_OVER = (
    "Task exited with return code 0"
    if airflow_2.IS_INSTALLED
    else "another attempt of this task has taken over"
)
"""How the log of a try that was replaced ends. Airflow 2 is silent about its error when the task has ended already."""


@dataclass
class Outcome:
    """What came of a scenario.

    Attributes:
        states: How the run ended, each time.
        tries: Tries of the task instance with the most.
        failed_by_airflow: What Airflow 3 has recorded each time when it failed a try itself.
        results: What the task returned, by map index (-1 for none).
        first_log: What its first try wrote.
        logs: What all its tries, and the triggerer for them, wrote.
        waited_in_triggerer: Whether the triggerer wrote something.
    """

    states: list[str] = field(default_factory=list)
    tries: int = 0
    failed_by_airflow: list[str] = field(default_factory=list)
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    first_log: str = ""
    logs: list[str] = field(default_factory=list)
    waited_in_triggerer: bool = False


class Stage:
    """Airflow, the sandboxes and the sources of all scenarios.

    Args:
        airflow: The running Airflow.
        folder: For sources and sandboxes.
        database: SQLite file behind the connection ``people``.
    """

    def __init__(self, airflow: AirflowProcesses, folder: Path, database: Path) -> None:
        self._api = airflow.api
        self._logs = airflow.home / "logs"
        self._folder = folder
        self._database = database
        self._stack = ExitStack()
        self.sandboxes: dict[str, SandboxProcess] = {}
        self._run_ids: dict[str, str] = {}
        self.outcomes = {scenario.name: Outcome() for scenario in SCENARIOS}

    def __enter__(self) -> Stage:
        with ExitStack() as stack:
            options = {"requests-per-minute": 6000, "seconds-to-complete": 0}
            for name in SANDBOXES:
                process = SandboxProcess(self._folder / name, options)
                process.process.start()
                stack.callback(process.process.stop)
                self.sandboxes[name] = process
            for name, faults in SANDBOXES.items():
                self.sandboxes[name].wait_ready()
                for fault in faults:
                    self.tell(name, "/faults", fault)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def tell(self, sandbox: str, path: str, body: dict[str, Any]) -> None:
        """Post to a sandbox's admin side."""
        url = f"{self.sandboxes[sandbox].url}/sandbox{path}"
        requests.post(url, json=body, timeout=10, proxies={"no_proxy": "*"}).raise_for_status()

    def play(self, timeout: float) -> None:
        """Run all scenarios side by side until each has come to its end."""
        for dag in {scenario.dag for scenario in SCENARIOS}:
            self._api.wait_for_dag(dag, timeout=120)
        for scenario in SCENARIOS:
            self._connect(scenario)
        for scenario in SCENARIOS:
            self._begin(scenario)
        left = {scenario.name: list(scenario.user) for scenario in SCENARIOS}
        waiting = list(SCENARIOS)
        end = time.monotonic() + timeout
        while waiting:
            if time.monotonic() > end:
                raise TimeoutError(f"not at their end: {[scenario.name for scenario in waiting]}")
            for scenario in list(waiting):
                self._clear_if_asked(scenario)
                state = self._api.run_state(scenario.dag, self._run_ids[scenario.name])
                if state in ENDED:
                    self.outcomes[scenario.name].states.append(state)
                    if left[scenario.name]:
                        self._act(scenario, left[scenario.name].pop(0))
                    else:
                        waiting.remove(scenario)
            time.sleep(0.5)
        self._thaw_worker(timeout=60)
        for scenario in SCENARIOS:
            self._collect(scenario)

    def _connect(self, scenario: Scenario) -> None:
        connection = {
            "connection_id": f"cleanlist_{scenario.name}",
            "conn_type": "cleanlist",
            "host": self.sandboxes[scenario.sandbox].url,
            "password": API_KEY,
            "extra": json.dumps(FAST | {"timeout_seconds": scenario.timeout_seconds}),
        }
        self._api.call("POST", "/connections", connection)

    def _begin(self, scenario: Scenario) -> None:
        name = scenario.name
        troubles = {
            str(number): {"what": what, "point": point, "passing": passing}
            for number, (what, point, passing) in scenario.troubles.items()
        }
        conf = {
            "name": name,
            "connection": f"cleanlist_{name}",
            "batch_size": scenario.batch_size,
            "troubles": troubles,
            "mailbox": str(self._mailbox(scenario)),
            "wait": scenario.wait,
            "map_index": 1 if scenario.dag == "pay_once_mapped" else -1,
        }
        self._run_ids[name] = self._api.trigger_run(scenario.dag, conf | self._source(scenario))

    def _source(self, scenario: Scenario) -> dict[str, Any]:
        if scenario.dag == "pay_once_sql":
            rows = [
                (scenario.name, url, 1 if number < scenario.contacts else 2)
                for number, url in enumerate(scenario.urls(scenario.contacts + scenario.more))
            ]
            with closing(sqlite3.connect(self._database)) as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS people (scenario TEXT, linkedin_url TEXT, since_try INT)"
                )
                database.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
                database.commit()
            return {}
        path = self._folder / f"{scenario.name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(
                [["linkedin_url"], *([url] for url in scenario.urls(scenario.contacts))]
            )
        return {"paths": [str(path)] * 3} if scenario.dag == "pay_once_mapped" else {"contacts": str(path)}

    def _mailbox(self, scenario: Scenario) -> Path:
        return self._folder / f"{scenario.name}.pid"

    def _clear_if_asked(self, scenario: Scenario) -> None:
        mailbox = self._mailbox(scenario)
        if scenario.name == "restart" and mailbox.exists():
            mailbox.unlink()
            self._api.clear(scenario.dag, self._run_ids[scenario.name], ["enrich"])

    def _thaw_worker(self, timeout: float) -> None:
        """Let the frozen try go on, whose successor has ended, and wait until it has said something."""
        (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == "zombie")
        for process in self._mailbox(scenario).read_text().split():
            os.kill(int(process), signal.SIGCONT)
        end = time.monotonic() + timeout
        while TAKEN_OVER not in self._log_files(scenario)[0].read_text():
            if time.monotonic() > end:
                raise TimeoutError("the replaced try was not refused")
            time.sleep(0.5)

    def _act(self, scenario: Scenario, action: str) -> None:
        """Do what the user does when a run has ended."""
        if action == "skip":
            variable = {"key": f"on_unknown_{scenario.name}", "value": "skip"}
            self._api.call("POST", "/variables", variable)
        self._api.clear(scenario.dag, self._run_ids[scenario.name], ["enrich"])

    def _collect(self, scenario: Scenario) -> None:
        outcome, run_id = self.outcomes[scenario.name], self._run_ids[scenario.name]
        for row in self._api.task_instances(scenario.dag, run_id):
            if row["task_id"] == "enrich":
                index = row["map_index"]
                outcome.tries = max(outcome.tries, row["try_number"])
                outcome.results[index] = self._api.xcom(scenario.dag, run_id, "enrich", map_index=index)
        if not airflow_2.IS_INSTALLED:
            for event in FAILED_BY_AIRFLOW:
                found = self._api.call("GET", "/eventLogs", dag_id=scenario.dag, run_id=run_id, event=event)
                outcome.failed_by_airflow += [row["extra"] for row in found["event_logs"]]
        files = self._log_files(scenario)
        outcome.logs = [path.read_text() for path in files]
        outcome.waited_in_triggerer = any(".trigger." in path.name for path in files)
        outcome.first_log = outcome.logs[0]

    def _log_files(self, scenario: Scenario) -> list[Path]:
        folder = self._logs / f"dag_id={scenario.dag}" / f"run_id={self.run_id(scenario)}" / "task_id=enrich"
        return sorted(folder.rglob("attempt=*.log*"))

    def run_id(self, scenario: Scenario) -> str:
        """Return the id of a scenario's DAG run."""
        return self._run_ids[scenario.name]

    def submits(self, sandbox: str) -> dict[str, list[str]]:
        """Return the contacts of each workflow that a sandbox accepted."""
        return {
            row["workflow_id"]: row["identities"] for row in self.sandboxes[sandbox].ask("/ledger/submits")
        }

    def times_submitted(self, scenario: Scenario) -> Counter[str]:
        """Return how often each contact of a scenario was accepted, whoever submitted it."""
        accepted = Counter(sent for sent_in in self.submits(scenario.sandbox).values() for sent in sent_in)
        return Counter({sent: times for sent, times in accepted.items() if sent in scenario.identities})
