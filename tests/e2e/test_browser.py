"""Airflow's web interface in a real browser: the connection's form and test, a run, its log and links, the page.

``SCREENSHOTS=docs/images`` keeps the pictures. The page in every state, theme and width: ``test_page_sweep.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import page_checks
import pytest
import requests
from airflow_runner import AirflowProcesses
from browser_scene import Scene, started_chromium
from page_airflow import log_in, seed_year, with_ledger, with_users
from ports import free_port
from sandbox_process import API_KEY, SandboxProcess
from seeded_ledger import OpenTask
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG_ID = "first_enrichment"
EXAMPLES = Path(__file__).resolve().parents[2] / "dags_examples"
ASK = """
const [body, done] = arguments;
fetch("/api/v2/connections/test", {method: "POST", headers: {"Content-Type": "application/json"}, body: body})
    .then(answer => answer.json()).then(done);
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file behind the connection ``ledger``."""
    return tmp_path_factory.mktemp("ledger") / "ledger.db"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, ledger: Path) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("browser")
    sandbox = SandboxProcess(folder / "sandbox", {"seconds-to-complete": 12, "clock": "manual"})
    portal = f"{sandbox.url}/sandbox/ledger"
    env = {
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(folder / "warehouse.db")}),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CLEANLIST__PORTAL_LIST_URL": f"{portal}?list={{list_id}}",
        "AIRFLOW__CLEANLIST__PORTAL_WORKFLOW_URL": f"{portal}?workflow={{workflow_id}}",
    }
    env |= with_users(folder) | with_ledger(ledger)
    with (
        started_chromium(folder / "profile") as browser,
        sandbox,
        AirflowProcesses(folder / "airflow", EXAMPLES, env=env) as airflow,
    ):
        airflow.api.use_token(log_in(airflow.base_url, "admin"))
        scene = Scene(browser, airflow, sandbox)
        scene.log_in("admin")
        yield scene


def test_a_connection_is_made_in_the_form_and_shows_no_key(scene: Scene) -> None:
    scene.open("/connections")
    scene.wait_for("button", "Add Connection").click()
    scene.wait_for("[role=dialog]", "Connection ID")
    scene.browser.find_element(By.NAME, "connection_id").send_keys("cleanlist_default")
    choice = scene.browser.find_element(By.CSS_SELECTOR, "[role=dialog] input[role=combobox]")
    choice.send_keys("cleanlist")
    scene.wait_for("[role=option]", "leanlist")
    choice.send_keys(Keys.ENTER)
    scene.wait_for("[role=dialog]", "API key")
    host = scene.browser.find_element(By.NAME, "host")
    assert host.get_attribute("placeholder") == "https://api.cleanlist.ai"
    host.send_keys(scene.sandbox.url)
    key = scene.browser.find_element(By.NAME, "password")
    assert key.get_attribute("type") == "password"
    key.send_keys(API_KEY)
    scene.keep("connection-form")
    scene.wait_for("[role=dialog] button", "Extra Fields").click()
    scene.wait_for("[role=dialog]", "Requests per minute")
    scene.keep("connection-form-extras")
    scene.wait_for("[role=dialog] button", "Save").click()
    scene.wait_for("tr", "cleanlist_default")
    assert API_KEY not in scene.browser.page_source
    assert API_KEY not in json.dumps(scene.airflow.api.call("GET", "/connections/cleanlist_default"))


def test_a_connection_is_tested(scene: Scene) -> None:
    scene.open("/connections")
    scene.wait_for("button", "Add Connection")

    def ask(host: str, key: str) -> tuple[bool, str]:
        body = {"connection_id": "tried", "conn_type": "cleanlist", "host": host, "password": key}
        answer = scene.browser.execute_async_script(ASK, json.dumps(body))
        return answer["status"], answer["message"]

    good, said = ask(scene.sandbox.url, API_KEY)
    assert good, said
    bad, said = ask(scene.sandbox.url, "clapi_wrong_0123456789")
    assert not bad
    assert "key" in said
    assert "clapi_wrong_0123456789" not in said
    host = f"http://127.0.0.1:{free_port()}"
    nobody, said = ask(host, API_KEY)
    assert not nobody
    assert said == f"Cleanlist cannot be reached: check the host and the network. Host: {host}."


def test_the_page_of_a_ledger_that_nothing_has_written_to_says_so(scene: Scene) -> None:
    scene.open("/plugin/cleanlist")
    with scene.frame():
        scene.wait_for("section", "makes them")


@pytest.fixture(scope="module")
def run_id(scene: Scene) -> str:
    """A run that is started by clicks, seen while it waits, and has ended."""
    api = scene.airflow.api
    api.wait_for_dag(DAG_ID)
    scene.open(f"/dags/{DAG_ID}")
    scene.click("button", "Trigger")
    scene.wait_for("[role=dialog]", "Single Run")
    scene.click("[role=dialog] button", "Trigger")
    started = WebDriverWait(scene.browser, 60).until(
        lambda _: api.call("GET", f"/dags/{DAG_ID}/dagRuns")["dag_runs"]
    )
    run_id = str(started[0]["dag_run_id"])
    scene.open(f"/dags/{DAG_ID}/runs/{run_id}/tasks/wait")
    scene.wait_for("body", "Deferred")
    scene.keep("dag-run-deferred")
    advance = {"url": f"{scene.sandbox.url}/sandbox/clock", "json": {"advance": 60}}
    requests.post(**advance, timeout=10, proxies={"no_proxy": "*"}).raise_for_status()
    assert api.wait_run(DAG_ID, run_id, timeout=240) == "success"
    return run_id


def test_a_run_is_started_seen_waiting_and_done(scene: Scene, run_id: str) -> None:
    scene.open(f"/dags/{DAG_ID}/runs/{run_id}")
    scene.wait_for("body", "Success")
    shown = scene.browser.find_element(By.TAG_NAME, "body").text
    assert [task for task in ("enrich", "wait", "load") if task not in shown] == []
    scene.keep("dag-run")


@pytest.mark.parametrize(
    ("task_id", "said"), [("enrich", "to enrich"), ("wait", "workflow"), ("load", "rows")]
)
def test_the_log_of_a_task_tells_what_happened_and_names_nobody(
    scene: Scene, run_id: str, task_id: str, said: str
) -> None:
    scene.open(f"/dags/{DAG_ID}/runs/{run_id}/tasks/{task_id}")
    scene.wait_for("body", said)
    shown = scene.browser.find_element(By.TAG_NAME, "body").text
    contacts = (EXAMPLES / "data" / "first_contacts.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert not [name for line in contacts if (name := line.split(",")[1]) and name in shown]
    assert API_KEY not in scene.browser.page_source
    scene.keep(f"task-log-{task_id}")


@pytest.mark.parametrize(
    ("task_id", "what"), [("enrich", "workflow"), ("wait", "workflow"), ("load", "list")]
)
def test_the_link_into_the_portal_opens(scene: Scene, run_id: str, task_id: str, what: str) -> None:
    scene.open(f"/dags/{DAG_ID}/runs/{run_id}/tasks/{task_id}/details")
    link = scene.wait_for("a", "Cleanlist portal")
    scene.keep(f"task-links-{task_id}")
    page = scene.browser.current_window_handle
    link.click()
    WebDriverWait(scene.browser, 60).until(lambda browser: len(browser.window_handles) == 2)
    (opened,) = {*scene.browser.window_handles} - {page}
    scene.browser.switch_to.window(opened)
    try:
        scene.wait_for("body", "accepted_submits")
        address = scene.browser.current_url
    finally:
        scene.browser.close()
        scene.browser.switch_to.window(page)
    result = scene.airflow.api.xcom(DAG_ID, run_id, task_id)
    known = (
        [result["list_id"]]
        if what == "list"
        else scene.airflow.api.xcom(DAG_ID, run_id, "enrich")["workflow_ids"]
    )
    assert address in {f"{scene.sandbox.url}/sandbox/ledger?{what}={identifier}" for identifier in known}


def test_a_run_and_a_task_show_their_own_numbers(scene: Scene, run_id: str) -> None:
    submitted = scene.airflow.api.xcom(DAG_ID, run_id, "enrich")["contacts_submitted"]
    run = f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}"
    scene.open(f"{run}/tasks/enrich/details")
    of_task = scene.wait_for("a", "Credits and finds").get_attribute("href")
    of_run = f"{scene.airflow.base_url}{run}/plugin/cleanlist-run"
    assert of_task == f"{scene.airflow.base_url}{run}/tasks/enrich/plugin/cleanlist-task"
    for address in (of_run, of_task):
        scene.browser.get(address)
        with scene.frame():
            assert run_id in scene.wait_for("header", DAG_ID).text
            numbers = scene.wait_for("dl.numbers", "Contacts").text.splitlines()
            assert numbers[:3] == ["Contacts", f"{submitted}", "submitted"]
            assert scene.browser.find_elements(By.ID, "task") == []


@pytest.fixture(scope="module")
def year(scene: Scene, ledger: Path, run_id: str) -> None:
    """A year of submissions in the ledger, and a batch of unknown outcome of the run."""
    unknown = OpenTask(DAG_ID, run_id, "enrich", -1, "unknown", 1)
    assert seed_year(ledger, scene.sandbox, (unknown,)) > 1_000_000


@pytest.mark.usefixtures("year")
def test_everybody_can_use_the_page_of_a_year(scene: Scene) -> None:
    try:
        for dark in (False, True):
            page_checks.use_dark(scene.browser, dark=dark)
            scene.open("/cleanlist-page/?days=365")
            scene.wait_for("section", "Credits by day")
            texts, shapes = page_checks.lowest_contrasts(scene.browser)
            assert (texts >= 4.5, shapes >= 3) == (True, True), (dark, texts, shapes)
        days, requests_sent = page_checks.plots_and_tables(scene.browser)
        assert days[0] == days[1] > 1_000_000
        assert requests_sent[0] == requests_sent[1]
        controls, reached, visible = page_checks.reached_by_keyboard(scene.browser)
        assert controls == reached == visible > 10
        page_checks.use_phone(scene.browser, phone=True)
        assert not page_checks.scrolls_sideways(scene.browser)
        assert page_checks.broken_words(scene.browser) == []
    finally:
        page_checks.use_phone(scene.browser, phone=False)
        page_checks.use_dark(scene.browser, dark=False)


@pytest.mark.usefixtures("year")
def test_an_unknown_outcome_leads_to_its_task(scene: Scene, run_id: str) -> None:
    scene.open("/plugin/cleanlist")
    with scene.frame():
        assert "Nobody knows whether Cleanlist accepted" in scene.wait_for("p.alert", "Nobody knows").text
        scene.click("section[aria-labelledby=unknown] a", DAG_ID)
    WebDriverWait(scene.browser, 60).until(lambda browser: browser.current_url.endswith("/tasks/enrich"))
    scene.wait_for("body", run_id)


@pytest.mark.usefixtures("year")
@pytest.mark.parametrize(
    ("user", "status", "said"),
    [
        ("viewer", 200, "Credits by day"),
        ("nobody", 403, "You may not read this"),
        (None, 401, "You are not logged in"),
    ],
)
def test_who_may_not_read_dags_gets_nothing(scene: Scene, user: str | None, status: int, said: str) -> None:
    scene.log_in(user)
    try:
        scene.open("/cleanlist-page/")
        scene.wait_for("section", said)
        entry = "return performance.getEntriesByType('navigation')[0].responseStatus"
        assert scene.browser.execute_script(entry) == status
        assert (DAG_ID in scene.browser.page_source) == (user == "viewer")
    finally:
        scene.log_in("admin")


@pytest.mark.usefixtures("year")
def test_the_page_says_that_the_ledger_is_down(scene: Scene, ledger: Path) -> None:
    ledger.write_bytes(b"no database " * 1_000)
    scene.open("/plugin/cleanlist")
    with scene.frame():
        scene.click("nav a", "90 days")
        scene.wait_for("section", "The ledger cannot be read.")
        shown = scene.browser.find_element(By.TAG_NAME, "body").text
    assert "not a database" not in shown
    assert "Credits left" in shown
