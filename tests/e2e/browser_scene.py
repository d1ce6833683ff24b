"""Chromium in front of a real Airflow, as the tests drive it.

``SCREENSHOTS=docs/images`` keeps the pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from chromium import MISSING, chromium, is_installed
from page_airflow import log_in
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from airflow_runner import AirflowProcesses
    from sandbox_process import SandboxProcess
    from selenium import webdriver
    from selenium.webdriver.remote.webelement import WebElement

PATIENCE_SECONDS = 150
"""How long a text is waited for: a busy machine takes minutes from a click to a task that waits."""


class Scene(NamedTuple):
    """What the tests look at."""

    browser: webdriver.Chrome
    airflow: AirflowProcesses
    sandbox: SandboxProcess

    def log_in(self, user: str | None) -> None:
        """Be a user, or nobody."""
        self.open("/api/v2/monitor/health")  # a cookie belongs to the page that is open
        self.browser.delete_all_cookies()
        if user is not None:
            token = log_in(self.airflow.base_url, user)
            self.browser.add_cookie({"name": "_token", "value": token, "path": "/"})

    def open(self, path: str) -> None:
        self.browser.get(self.airflow.base_url + path)

    def wait_for(self, css: str, text: str) -> WebElement:
        """Return the first element that a selector finds and that shows a text."""

        def look(_: object) -> WebElement | None:
            found = self.browser.find_elements(By.CSS_SELECTOR, css)
            return next(
                (element for element in found if element.is_displayed() and text in element.text), None
            )

        return WebDriverWait(self.browser, PATIENCE_SECONDS, ignored_exceptions=[Exception]).until(
            look, f"{css}: {text}"
        )

    def click(self, css: str, text: str) -> None:
        self.wait_for(css, text).click()

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Look into the frame that shows a plugin's page."""
        WebDriverWait(self.browser, 60).until(
            lambda browser: browser.find_elements(By.CSS_SELECTOR, "iframe"), "a frame"
        )
        self.browser.switch_to.frame(self.browser.find_element(By.CSS_SELECTOR, "iframe"))
        try:
            yield
        finally:
            self.browser.switch_to.default_content()

    def keep(self, name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            self.browser.save_screenshot(str(Path(folder) / f"{name}.png"))


@contextmanager
def started_chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start Chromium; where it is missing, skip the tests, but not in CI."""
    if not is_installed():
        pytest.fail(MISSING) if os.environ.get("CI") else pytest.skip(MISSING)
    with chromium(profile) as browser:
        yield browser
