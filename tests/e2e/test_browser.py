"""Airflow's web interface in a real browser: the connection's form and test, a run, its log and links.

``SCREENSHOTS=docs/images`` keeps the pictures.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import requests
from airflow_runner import AirflowProcesses, free_port
from sandbox_process import API_KEY, SandboxProcess
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG_ID = "first_enrichment"
EXAMPLES = Path(__file__).resolve().parents[2] / "dags_examples"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
ASK = """
const [body, done] = arguments;
fetch("/api/v2/connections/test", {method: "POST", headers: {"Content-Type": "application/json"}, body: body})
    .then(answer => answer.json()).then(done);
"""


class Scene(NamedTuple):
    """What the tests look at."""

    browser: webdriver.Chrome
    airflow: AirflowProcesses
    sandbox: SandboxProcess

    def open(self, path: str) -> None:
        self.browser.get(self.airflow.base_url + path)

    def wait_for(self, css: str, text: str) -> WebElement:
        """Return the first element that a selector finds and that shows a text."""

        def look(_: object) -> WebElement | None:
            found = self.browser.find_elements(By.CSS_SELECTOR, css)
            return next(
                (element for element in found if element.is_displayed() and text in element.text), None
            )

        return WebDriverWait(self.browser, 60, ignored_exceptions=[Exception]).until(look, f"{css}: {text}")

    def click(self, css: str, text: str) -> None:
        self.wait_for(css, text).click()

    def keep(self, name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            self.browser.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        reason = "needs Debian's chromium and chromium-driver"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    sandbox = SandboxProcess(folder / "sandbox", {"seconds-to-complete": 12, "clock": "manual"})
    portal = f"{sandbox.url}/sandbox/ledger"
    env = {
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(folder / "warehouse.db")}),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CLEANLIST__PORTAL_LIST_URL": f"{portal}?list={{list_id}}",
        "AIRFLOW__CLEANLIST__PORTAL_WORKFLOW_URL": f"{portal}?workflow={{workflow_id}}",
    }
    with (
        sandbox,
        AirflowProcesses(folder / "airflow", EXAMPLES, env=env) as airflow,
        webdriver.Chrome(options=options, service=Service(driver)) as browser,
    ):
        browser.set_page_load_timeout(60)
        browser.set_script_timeout(60)
        yield Scene(browser, airflow, sandbox)


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
