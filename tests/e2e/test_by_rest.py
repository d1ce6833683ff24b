"""What a user does in Airflow's interface, by REST: a connection made and tested, a run, its states, links and log."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import airflow_2
import pytest
from ports import free_port
from sandbox_process import API_KEY, SandboxProcess

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG_ID, TASK_ID = "pay_once", "enrich"
WRONG_KEY = "clapi_wrong_0123456789"
PEOPLE = 5


class Run(NamedTuple):
    """A run that has ended.

    Attributes:
        run_id: Its id.
        states: The states of its task on the way.
    """

    run_id: str
    states: list[str]


@pytest.fixture(scope="module")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A local Cleanlist that only these tests talk to."""
    with SandboxProcess(tmp_path_factory.mktemp("own_sandbox"), {"seconds-to-complete": 8}) as process:
        yield process


@pytest.fixture(scope="module")
def connection(airflow: AirflowProcesses, own_sandbox: SandboxProcess) -> str:
    """A connection made by REST."""
    body = {
        "connection_id": "made_by_rest",
        "conn_type": "cleanlist",
        "host": own_sandbox.url,
        "password": API_KEY,
        "extra": json.dumps({"requests_per_minute": 60}),
    }
    airflow.api.call("POST", "/connections", body)
    return "made_by_rest"


@pytest.fixture(scope="module")
def run(airflow: AirflowProcesses, connection: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An enrichment that waits in the triggerer, by that connection."""
    path = tmp_path_factory.mktemp("contacts") / "people.csv"
    urls = [f"https://www.linkedin.com/in/by-rest-{number}-example" for number in range(PEOPLE)]
    path.write_text("\n".join(["linkedin_url", *urls]))
    airflow.api.wait_for_dag(DAG_ID)
    states: list[str] = []
    conf = {"name": "by_rest", "connection": connection, "contacts": str(path), "wait": True}
    run_id = airflow.api.trigger_run(DAG_ID, conf)
    state = airflow.api.wait_run(DAG_ID, run_id, 240, lambda seen: states.append(seen[TASK_ID]))
    assert state == "success", airflow.api.task_log(DAG_ID, run_id, TASK_ID, 1)
    return Run(run_id, states)


@pytest.mark.skipif(
    not airflow_2.IS_INSTALLED, reason="later forms are drawn in the browser: test_browser.py"
)
def test_the_form_has_the_fields_of_a_connection(airflow: AirflowProcesses) -> None:
    page = airflow.api.page("/connection/add")
    assert re.search(r'<option[^>]*value="cleanlist"[^>]*>\s*Cleanlist\s*</option>', page)
    fields = set(re.findall(r'name="extra__cleanlist__(\w+)"', page))
    assert {"requests_per_minute", "timeout_seconds", "rate_limit_store"} <= fields
    described = re.search(r'id="field_behaviours"[^>]*>(.*?)<', page, re.DOTALL)
    behaviour = json.loads(html.unescape(described[1]))["cleanlist"]
    assert behaviour["relabeling"]["password"] == "API key"
    assert {"login", "schema"} <= set(behaviour["hidden_fields"])


def test_a_connection_shows_no_key(
    airflow: AirflowProcesses, connection: str, own_sandbox: SandboxProcess
) -> None:
    shown = airflow.api.call("GET", f"/connections/{connection}")
    assert shown["host"] == own_sandbox.url
    assert API_KEY not in json.dumps(shown)


def test_a_connection_is_tested(airflow: AirflowProcesses, own_sandbox: SandboxProcess) -> None:
    def ask(host: str, key: str) -> tuple[bool, str]:
        body = {"connection_id": "tried", "conn_type": "cleanlist", "host": host, "password": key}
        answer: dict[str, Any] = airflow.api.call("POST", "/connections/test", body)
        return answer["status"], answer["message"]

    assert ask(own_sandbox.url, API_KEY)[0] is True
    works, said = ask(own_sandbox.url, WRONG_KEY)
    assert works is False
    assert "key" in said
    assert WRONG_KEY not in said
    host = f"http://127.0.0.1:{free_port()}"
    works, said = ask(host, API_KEY)
    assert works is False
    assert said == f"Cleanlist cannot be reached: check the host and the network. Host: {host}."


def test_a_run_is_seen_waiting_in_the_triggerer_and_done(
    airflow: AirflowProcesses, run: Run, own_sandbox: SandboxProcess
) -> None:
    assert "deferred" in run.states
    assert run.states[-1] == "success"
    assert airflow.api.xcom(DAG_ID, run.run_id, TASK_ID)["contacts_submitted"] == PEOPLE
    assert own_sandbox.ledger()["contacts_submitted"] == PEOPLE


def test_the_task_has_links_into_the_portal_and_to_the_page(airflow: AirflowProcesses, run: Run) -> None:
    links = airflow.api.call("GET", f"/dags/{DAG_ID}/dagRuns/{run.run_id}/taskInstances/{TASK_ID}/links")
    place = f"dags/{DAG_ID}/runs/{quote(run.run_id, safe='')}/tasks/{TASK_ID}/plugin/cleanlist-task"
    page = {} if airflow_2.IS_INSTALLED else {"Credits and finds": f"{airflow.base_url}/{place}"}
    assert links.get("extra_links", links) == {"Cleanlist portal": "https://app.cleanlist.ai"} | page


def test_the_log_tells_what_happened_and_names_nobody(airflow: AirflowProcesses, run: Run) -> None:
    log = airflow.api.task_log(DAG_ID, run.run_id, TASK_ID, 1)
    assert f"{PEOPLE} contacts" in log
    assert "-example" not in log
    assert API_KEY not in log
