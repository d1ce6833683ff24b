"""A person is asked about a lost answer in a real Airflow, and answers, waits, clears or marks; workers die.

``ASK_RUNS=1`` runs it, on the Airflow of the interpreter ``ASK_PYTHON``: nox session ``ask_runs``. The sandbox's ledger
tells who was submitted how often.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from airflow_api import AirflowApi
from airflow_runner import AirflowProcesses
from browser_scene import started_chromium
from sandbox_process import API_KEY, SandboxProcess
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_cleanlist.sandbox.people import Person, identity_of

if TYPE_CHECKING:
    from selenium import webdriver
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
    pytest.mark.skipif("ASK_RUNS" not in os.environ, reason="takes minutes: nox -s ask_runs"),
]
ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("ASK_PYTHON", sys.executable)
SKIP, RESUBMIT, STOP = "Skip these contacts", "Submit them again (may be billed twice)", "Stop"
SUBJECT = "Cleanlist: were these contacts accepted?"
CONTACTS = 6
LOST = {"kind": "drop", "endpoint": "enrich_bulk", "after": True}
"""The request is accepted, and its answer does not arrive."""
PARKED = ("awaiting_input", "deferred")
SETTLED_SECONDS = 7.0
"""Airflow may fail a task that is resumed sooner after it was parked."""
UNKNOWN = "CleanlistSubmissionUnknownError"


@dataclass
class Run:
    """A DAG run of its own, with a Cleanlist of its own that loses the answer for the second batch.

    Attributes:
        name: Of the run and its contacts.
        processes: The running Airflow.
        sandbox: Its Cleanlist.
        folder: For its contacts.
        dag: Which DAG.
    """

    name: str
    processes: AirflowProcesses
    sandbox: SandboxProcess
    folder: Path
    dag: str = "ask"
    api: AirflowApi = field(init=False)

    def __post_init__(self) -> None:
        self.api = AirflowApi(self.processes.base_url)

    def start(self, *, indexes: int = 1, skip: tuple[int, ...] = (1,), **conf: Any) -> None:
        """Start it, with so many contacts files; ``skip`` are the batches that are answered before each that is not."""
        for batches in skip:
            self.lose_answer(batches)
        self.dag = "ask_mapped" if indexes > 1 else "ask"
        paths = [self._contacts(index) for index in range(indexes)]
        connection = {
            "connection_id": f"cleanlist_{self.name}",
            "conn_type": "cleanlist",
            "host": self.sandbox.url,
            "password": API_KEY,
            "extra": json.dumps({"requests_per_minute": 6000}),
        }
        self.api.call("POST", "/connections", connection)
        conf |= {"connection": connection["connection_id"], "paths": paths}
        self.api.trigger_run(self.dag, conf, run_id=self.name)

    def lose_answer(self, skip: int) -> None:
        """Lose the answer to a batch, after so many that are answered."""
        url = f"{self.sandbox.url}/sandbox/faults"
        requests.post(
            url, json={**LOST, "skip": skip}, timeout=10, proxies={"no_proxy": "*"}
        ).raise_for_status()

    def _contacts(self, index: int) -> str:
        path = self.folder / f"{self.name}-{index}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["linkedin_url"], *([url] for url in self.urls(index))])
        return str(path)

    def urls(self, index: int = 0) -> list[str]:
        numbers = range(CONTACTS)
        return [f"https://www.linkedin.com/in/ask-{self.name}-{index}-{number}-example" for number in numbers]

    def question_path(self, index: int = -1) -> str:
        return f"/dags/{self.dag}/dagRuns/{self.name}/taskInstances/enrich/{index}/hitlDetails"

    def row(self, index: int = -1) -> dict[str, Any]:
        """Return the task instance as Airflow describes it."""
        rows = self.api.task_instances(self.dag, self.name)
        return next((row for row in rows if (row["task_id"], row["map_index"]) == ("enrich", index)), {})

    def wait_for_question(self, index: int = -1, timeout: float = 240) -> dict[str, Any]:
        """Return the question, once it has been open, and the task parked, for a while."""
        end, since = time.monotonic() + timeout, None
        while since is None or time.monotonic() < since + SETTLED_SECONDS:
            row, question = self.row(index), {}
            if row.get("state") in PARKED:
                question = self.api.call("GET", self.question_path(index))
            is_open = bool(question) and not question["response_received"]
            since = (since or time.monotonic()) if is_open else None
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}[{index}] asks nothing: {row.get('state')}\n{self.log()}")
            time.sleep(1.5)
        return question

    def answer(self, option: str, index: int = -1) -> None:
        body = {"chosen_options": [option], "params_input": {}}
        self.api.call("PATCH", self.question_path(index), body)

    def end(self, expected: str) -> None:
        """Wait for the run's end, which must be this one."""
        state = self.api.wait_run(self.dag, self.name, timeout=300)
        assert state == expected, self.log()

    def clear(self) -> None:
        self.api.clear(self.dag, self.name, ["enrich"])

    def log(self) -> str:
        """Return what all tries have written."""
        folder = (
            self.processes.home / "logs" / f"dag_id={self.dag}" / f"run_id={self.name}" / "task_id=enrich"
        )
        return "\n".join(path.read_text() for path in sorted(folder.rglob("attempt=*.log*")))

    def result(self, index: int = -1) -> dict[str, Any]:
        return dict(self.api.xcom(self.dag, self.name, "enrich", map_index=index))

    def times(self, index: int = 0) -> list[int]:
        """Return how often each contact was accepted, in the order of the source."""
        accepted = Counter(sent for row in self.sandbox.ask("/ledger/submits") for sent in row["identities"])
        return [accepted[identity_of(Person(linkedin_url=url))] for url in self.urls(index)]


def skipped(run: Run) -> None:
    run.start()
    question = run.wait_for_question()
    assert question["subject"] == SUBJECT
    assert run.times() == [1, 1, 1, 1, 0, 0]
    run.answer(SKIP)
    run.end("success")
    assert run.times() == [1] * 6
    result = run.result()
    assert (result["contacts_submitted"], result["unknown_contacts"]) == (4, 2)
    assert "has decided at" in run.log()


def resubmitted(run: Run) -> None:
    run.start()
    run.wait_for_question()
    run.answer(RESUBMIT)
    run.end("success")
    assert run.times() == [1, 1, 2, 2, 1, 1]
    assert run.result()["contacts_submitted"] == 6


def answered_in_browser(run: Run) -> None:
    run.start()
    run.wait_for_question()
    with started_chromium(run.folder / "profile") as browser:
        browser.set_page_load_timeout(120)
        try:
            browser.get(run.processes.base_url)
            shown(browser, "body", "Required Actions")  # Airflow 3.1 forgets the address while it logs in
            browser.get(f"{run.processes.base_url}/required_actions?response_received=false")
            shown(browser, "td", SUBJECT)
            browser.get(f"{run.processes.base_url}/dags/ask/runs/{run.name}/tasks/enrich/required_actions")
            button = shown(browser, "button", SKIP)
        finally:
            if folder := os.environ.get("SCREENSHOTS"):
                browser.save_screenshot(str(Path(folder) / "decide-unknown-outcome.png"))
        button.click()
        wait_until(lambda: bool(run.api.call("GET", run.question_path())["response_received"]))
    run.end("success")
    assert run.times() == [1] * 6


def shown(browser: webdriver.Chrome, css: str, text: str) -> WebElement:
    """Return the first element that a selector finds and that shows a text, once there is one."""

    def found(_: object) -> WebElement | None:
        elements = browser.find_elements(By.CSS_SELECTOR, css)
        return next(
            (element for element in elements if element.is_displayed() and text in element.text), None
        )

    return WebDriverWait(browser, 180, ignored_exceptions=[WebDriverException]).until(found, f"{css}: {text}")


def stopped(run: Run) -> None:
    run.start()
    run.wait_for_question()
    run.answer(STOP)
    run.end("failed")
    assert "has decided to stop" in run.log()
    tries = run.row()["try_number"]
    run.clear()
    run.end("failed")
    assert run.row()["try_number"] == tries + 1  # it stops again and asks nobody
    assert run.times() == [1, 1, 1, 1, 0, 0]


def out_of_time(run: Run) -> None:
    run.start(timeout=15)
    run.end("failed")
    assert "Nobody has decided within decision_timeout" in run.log()
    assert run.times() == [1, 1, 1, 1, 0, 0]
    run.clear()
    run.end("failed")
    assert run.log().count("Nobody has decided within decision_timeout") == 2
    assert run.times() == [1, 1, 1, 1, 0, 0]


def cleared(run: Run) -> None:
    run.start()
    run.wait_for_question()
    first = run.row()["try_number"]
    run.clear()
    wait_until(lambda: run.row()["try_number"] > first)
    run.wait_for_question()
    assert run.times() == [1, 1, 1, 1, 0, 0]
    run.answer(SKIP)
    run.end("success")
    assert run.times() == [1] * 6


def retried(run: Run) -> None:
    """Its worker dies right after the answer was recorded: the retry follows the answer and does not ask."""
    run.start(killed="after the answer", ledger="ledger")
    run.wait_for_question()
    run.answer(RESUBMIT)
    run.end("success")
    assert run.times() == [1, 1, 2, 2, 1, 1]
    assert run.log().count("Waiting as long as it takes for a decision") == 1
    assert run.row()["try_number"] >= 2


def marked_success(run: Run) -> None:
    run.start()
    run.wait_for_question()
    run.api.mark(run.dag, run.name, "enrich", "success")
    run.end("success")
    with suppressed_http_error():
        run.answer(RESUBMIT)  # the question stays answerable, or Airflow refuses: without effect
    time.sleep(15)
    assert run.row()["state"] == "success"
    assert run.times() == [1, 1, 1, 1, 0, 0]


def marked_failed(run: Run) -> None:
    run.start()
    run.wait_for_question()
    run.api.mark(run.dag, run.name, "enrich", "failed")
    run.end("failed")
    with suppressed_http_error():
        run.answer(RESUBMIT)
    time.sleep(15)
    assert run.row()["state"] == "failed"
    assert run.times() == [1, 1, 1, 1, 0, 0]
    run.clear()
    run.wait_for_question()  # nobody's word counts that no task has heard
    run.answer(SKIP)
    run.end("success")
    assert run.times() == [1] * 6


def worker_killed(run: Run) -> None:
    """Its worker dies between question and parking: the retry asks the same question."""
    run.start(killed="after the question")
    wait_until(lambda: run.row().get("try_number", 0) > 1)
    run.wait_for_question()
    run.answer(SKIP)
    run.end("success")
    assert run.times() == [1] * 6


def asked_twice(run: Run) -> None:
    run.start()
    run.wait_for_question()
    run.lose_answer(0)
    run.answer(SKIP)
    wait_until(lambda: run.log().count("Waiting as long as it takes for a decision") == 2)
    run.wait_for_question()
    assert run.times() == [1] * 6
    run.answer(RESUBMIT)
    run.end("success")
    assert run.times() == [1, 1, 1, 1, 2, 2]
    assert run.result()["unknown_contacts"] == 2


def mapped(run: Run) -> None:
    run.start(indexes=3, skip=(0, 0, 0), ledger="ledger")
    for index in range(3):
        run.wait_for_question(index)
    for index, option in enumerate((SKIP, RESUBMIT, SKIP)):
        run.answer(option, index)
    run.end("success")
    assert [run.times(index) for index in range(3)] == [[1] * 6, [2, 2, 1, 1, 1, 1], [1] * 6]
    assert [run.result(index)["unknown_contacts"] for index in range(3)] == [2, 0, 2]


def deferred(run: Run) -> None:
    run.start(wait=True, deferrable=True)
    run.wait_for_question()
    run.answer(SKIP)
    run.end("success")
    assert run.times() == [1] * 6
    assert "credits_spent" in run.result()


def waited_for(run: Run) -> None:
    run.start(wait=True)
    run.wait_for_question()
    run.answer(RESUBMIT)
    run.end("success")
    assert run.times() == [1, 1, 2, 2, 1, 1]
    assert run.result()["contacts_submitted"] == 6


def invalid(run: Run) -> None:
    """An option that the question does not have: refused by Airflow 3.3, and by the task below."""
    run.start()
    run.wait_for_question()
    with suppressed_http_error():
        run.answer("Buy everything")
        wait_until(lambda: "The answer cannot be used" in run.log())
    run.wait_for_question()
    assert run.times() == [1, 1, 1, 1, 0, 0]
    run.answer(SKIP)
    run.end("success")
    assert run.times() == [1] * 6


def restarted(run: Run) -> None:
    run.start()
    run.wait_for_question()
    for name in ("scheduler", "triggerer"):
        run.processes.restart(name)
    run.processes.wait_healthy()
    run.wait_for_question()
    run.answer(SKIP)
    run.end("success")
    assert run.times() == [1] * 6
    assert run.row()["try_number"] == 1


def in_dag_test(run: Run) -> None:
    """``airflow dags test`` asks nobody: it fails by name and does not hang.

    The DAG is paused, so that the scheduler leaves the run alone.
    """
    run.lose_answer(1)
    path = run._contacts(0)
    conf = json.dumps({"connection": "cleanlist_in_dag_test", "paths": [path]})
    env = run.processes.env | {"AIRFLOW_CONN_CLEANLIST_IN_DAG_TEST": run.sandbox.connection()}
    command = [PYTHON, "-m", "airflow", "dags", "test", "ask_tested", "--conf", conf]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
    text = done.stdout + done.stderr
    assert "cannot ask anybody in dag.test()" in text, text[-3000:]
    assert UNKNOWN in text
    assert run.times() == [1, 1, 1, 1, 0, 0]


CASES: dict[str, Callable[[Run], None]] = {
    case.__name__: case
    for case in (
        skipped,
        resubmitted,
        answered_in_browser,
        stopped,
        out_of_time,
        cleared,
        retried,
        marked_success,
        marked_failed,
        worker_killed,
        asked_twice,
        mapped,
        deferred,
        waited_for,
        invalid,
        in_dag_test,
    )
}
DISTURBING: dict[str, Callable[[Run], None]] = {"restarted": restarted}
"""What is played when all others have ended."""


class suppressed_http_error:  # noqa: N801  # reads as what it is
    """A context in which Airflow may refuse a request."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, requests.HTTPError)


def wait_until(condition: Callable[[], bool], timeout: float = 240) -> None:
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come")
        time.sleep(1.5)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, airflow_database: str) -> Iterator[AirflowProcesses]:
    """An Airflow of the version to try, with a ledger; below 3.3 with a journal path as well."""
    folder = tmp_path_factory.mktemp("ask")
    env = {
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_CONN_LEDGER": json.dumps({"conn_type": "sqlite", "host": str(folder / "ledger.db")}),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_database,
    }
    if not has_task_state_store():
        env["AIRFLOW__CLEANLIST__JOURNAL_PATH"] = f"file://{folder / 'journal'}"
    dags = Path(__file__).parent / "dags_ask"
    with AirflowProcesses(folder / "airflow", dags, env=env, python=PYTHON, parallelism=4) as running:
        yield running


def has_task_state_store() -> bool:
    command = [PYTHON, "-c", "from airflow.sdk import NEVER_EXPIRE"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def outcomes(
    processes: AirflowProcesses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """All cases, played side by side to their end."""
    folder = tmp_path_factory.mktemp("cases")
    for dag in ("ask", "ask_mapped", "ask_tested"):
        processes.api.wait_for_dag(dag, timeout=180)
    chosen = os.environ.get("ASK_CASES", "").split() or [*CASES, *DISTURBING]
    options: dict[str, int | float | str] = {"requests-per-minute": 6000, "seconds-to-complete": 2}
    with ExitStack() as stack:
        runs = {}
        for name in chosen:
            sandbox = SandboxProcess(folder / name, options)
            sandbox.process.start()
            stack.callback(sandbox.process.stop)
            runs[name] = Run(name, processes, sandbox, folder)
        for run in runs.values():
            run.sandbox.wait_ready()
        done: dict[str, Future[None]] = {}
        for workers, cases in ((3, CASES), (1, DISTURBING)):
            with ThreadPoolExecutor(workers) as pool:
                played = {name: pool.submit(cases[name], run) for name, run in runs.items() if name in cases}
            done |= played
        yield done


@pytest.mark.parametrize("name", [*CASES, *DISTURBING])
def test_case(outcomes: dict[str, Future[None]], name: str) -> None:
    if name not in outcomes:
        pytest.skip("not chosen by ASK_CASES")
    outcomes[name].result()
