"""The page *Browse > Cleanlist* in every state, theme and width, below a path, for everybody's eyes and hands.

``PAGE_SWEEP=1`` runs it: nox session ``page``. ``PAGE_PYTHON`` names the interpreter of another Airflow.
``SCREENSHOTS=docs/images`` keeps the pictures of the documentation.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import page_checks
import pytest
import sqlalchemy as sa
from browser_scene import Scene, started_chromium
from page_airflow import OPEN_TASKS, RUN_ID, UNKNOWN_TASKS, PageAirflow, seed_year
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_cleanlist.submission.ledger.set_up import set_up
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables

if TYPE_CHECKING:
    from sandbox_process import SandboxProcess

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif("PAGE_SWEEP" not in os.environ, reason="takes minutes: nox -s page"),
]

RUN = quote(RUN_ID, safe="")
OF_RUN = f"dag_id=crm_nightly&run_id={RUN}"
OF_MAPPED_TASK = f"dag_id=event_leads&run_id={RUN}&task_id=enrich_files&map_index=2"
STATES = [
    ("not_made", "days=7", "makes them"),
    ("empty", "days=7", "holds no submission of the last 7 days"),
    ("year", "days=7", "Credits by day"),
    ("year", "days=365", "Credits by day"),
    ("year", OF_RUN, "4 of 8"),
    ("unknown", "days=30", "Nobody knows"),
    ("unknown", OF_MAPPED_TASK, "Nobody knows"),
    ("down", "days=30", "cannot be read"),
    ("year", "dag_id=of_another_airflow", "You may not read this"),
]
PLACES = {
    "run": (f"/dags/crm_nightly/runs/{RUN}/plugin/cleanlist-run", "1,000 of 2,000"),
    "task": (f"/dags/crm_nightly/runs/{RUN}/tasks/enrich/plugin/cleanlist-task", "1,000 of 2,000"),
    "mapped": (f"/dags/event_leads/runs/{RUN}/tasks/enrich_files/mapped/2/plugin/cleanlist-task", "5,500"),
    "idle": (
        f"/dags/crm_nightly/runs/{RUN}/tasks/enrich_files/mapped/0/plugin/cleanlist-task",
        "whole DAG run",
    ),
}


class Ledger:
    """The file of the ledger, which takes any of a few states."""

    def __init__(self, folder: Path, sandbox: SandboxProcess) -> None:
        folder.mkdir()
        self.path = folder / "ledger.db"
        self._states = {name: folder / name for name in ("empty", "year", "unknown", "down")}
        engine = sa.create_engine(f"sqlite:///{self._states['empty']}")
        set_up(engine, ledger_tables(None), "'empty'")
        engine.dispose()
        self.contacts = seed_year(self._states["year"], sandbox, OPEN_TASKS)
        seed_year(self._states["unknown"], sandbox, OPEN_TASKS + UNKNOWN_TASKS)
        self._states["down"].write_bytes(b"no database " * 1_000)

    def become(self, state: str) -> None:
        """Take a state."""
        if state == "not_made":
            self.path.unlink(missing_ok=True)
        else:
            copy = self.path.with_suffix(".part")
            shutil.copyfile(self._states[state], copy)
            copy.replace(self.path)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxProcess) -> Ledger:
    return Ledger(tmp_path_factory.mktemp("page") / "ledger", sandbox)


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxProcess, ledger: Ledger
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("sweep")
    python = os.environ.get("PAGE_PYTHON", sys.executable)
    with (
        started_chromium(folder / "profile") as browser,
        PageAirflow(folder, sandbox, ledger.path, "/team/airflow", python) as airflow,
    ):
        airflow.make_runs()
        scene = Scene(browser, airflow, sandbox)
        scene.log_in("viewer")
        yield scene


def show(scene: Scene, address: str, said: str) -> None:
    """Open the page until it shows a text: what it has said in the last five seconds may still count."""

    def load(_: object) -> bool:
        scene.open(address)
        return said in scene.browser.find_element(By.TAG_NAME, "body").text

    WebDriverWait(scene.browser, 30).until(load, f"{address}: {said}")


def keep(scene: Scene, name: str, height: int | None = None) -> None:
    """Keep a picture, of a window of another height if it is given."""
    if not (folder := os.environ.get("SCREENSHOTS")):
        return
    if height is not None:
        size = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
        scene.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    picture = scene.browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "webp", "quality": 80})
    (Path(folder) / f"{name}.webp").write_bytes(base64.b64decode(picture["data"]))
    if height is not None:
        scene.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(("state", "query", "said"), STATES)
def test_everybody_can_use_it(scene: Scene, ledger: Ledger, state: str, query: str, said: str) -> None:
    ledger.become(state)
    found = []
    try:
        for dark in (False, True):
            for phone in (False, True):
                page_checks.use_dark(scene.browser, dark=dark)
                page_checks.use_phone(scene.browser, phone=phone)
                show(scene, f"/cleanlist-page/?{query}", said)
                assert not page_checks.scrolls_sideways(scene.browser)
                assert page_checks.broken_words(scene.browser) == []
                assert all(plot == table for plot, table in page_checks.plots_and_tables(scene.browser))
                texts, shapes = page_checks.lowest_contrasts(scene.browser)
                controls, reached, visible = page_checks.reached_by_keyboard(scene.browser)
                found.append((round(texts, 2), round(shapes, 2), controls, reached, visible))
    finally:
        page_checks.use_dark(scene.browser, dark=False)
        page_checks.use_phone(scene.browser, phone=False)
    print(
        f"\n{state} ?{query}: lowest contrast of texts, of shapes, controls, reached, with a visible focus: {found}"
    )
    assert min(texts for texts, *_ in found) >= 4.5
    assert min(shapes for _, shapes, *_ in found) >= 3
    assert all(controls == reached == visible for *_, controls, reached, visible in found)


@pytest.mark.parametrize("place", PLACES)
def test_a_run_and_a_task_show_their_own_numbers(scene: Scene, ledger: Ledger, place: str) -> None:
    ledger.become("unknown")
    path, said = PLACES[place]
    show(scene, "/cleanlist-page/?days=30", "Nobody knows")
    scene.open(path)
    with scene.frame():
        text = scene.wait_for("main", said).text
    assert "of_another_airflow" not in text
    if place == "mapped":
        keep(scene, "page-task")


def test_it_follows_airflows_theme_and_its_menu_and_links(scene: Scene, ledger: Ledger) -> None:
    ledger.become("unknown")
    show(scene, "/cleanlist-page/?days=90", "Nobody knows")
    for theme in ("dark", "light"):
        scene.browser.execute_script("localStorage.setItem('theme', arguments[0])", theme)
        scene.open("/")
        scene.click("button", "Browse")
        scene.click("[role=menuitem], a", "Cleanlist")
        with scene.frame():
            scene.click("nav a", "90 days")
            scene.wait_for("nav [aria-current]", "90 days")
            ground = "return getComputedStyle(document.body).backgroundColor"
            wanted = "rgb(17, 20, 24)" if theme == "dark" else "rgb(255, 255, 255)"
            assert scene.browser.execute_script(ground) == wanted
        keep(scene, "page-dark" if theme == "dark" else "page", height=1500)
    with scene.frame():
        scene.click("section[aria-labelledby=unknown] a", "enrich_files [2]")
    where = f"/team/airflow/dags/event_leads/runs/{RUN}/tasks/enrich_files/mapped/2"
    WebDriverWait(scene.browser, 60).until(
        lambda browser: browser.current_url.endswith((where, where.replace("%3A", ":").replace("%2B", "+")))
    )


def test_it_fits_a_phone_in_airflow(scene: Scene, ledger: Ledger) -> None:
    ledger.become("unknown")
    show(scene, "/cleanlist-page/?days=30", "Nobody knows")
    page_checks.use_phone(scene.browser, phone=True)
    try:
        scene.open("/plugin/cleanlist")
        with scene.frame():
            scene.wait_for("section", "Credits by day")
            assert not page_checks.scrolls_sideways(scene.browser)
            assert page_checks.broken_words(scene.browser) == []
        keep(scene, "page-phone")
    finally:
        page_checks.use_phone(scene.browser, phone=False)


@pytest.mark.parametrize(("user", "status"), [("nobody", 403), (None, 401)])
def test_others_are_refused(scene: Scene, user: str | None, status: int) -> None:
    scene.log_in(user)
    entry = "return performance.getEntriesByType('navigation')[0].responseStatus"
    try:
        for path in ("", "?days=7", f"?{OF_RUN}", "csv/days.csv", "page.css", "page.js"):
            scene.open(f"/cleanlist-page/{path}")
            assert (path, scene.browser.execute_script(entry)) == (path, status)
    finally:
        scene.log_in("viewer")
