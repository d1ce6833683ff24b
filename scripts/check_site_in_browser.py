"""Read the built documentation as somebody with a phone does, and use its search and its copy buttons.

Usage: check_site_in_browser.py <folder of the site>. Serves the folder on loopback and opens it in Chromium. On a
screen of 390 pixels no page scrolls sideways, and no identifier that fits into a line is broken over two. A search has
results, with excerpts from a server and without from files; a copy button copies its block. Ends with 0 and says so
where there is no Chromium.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from chromium import MISSING, chromium, is_installed
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from selenium import webdriver

WIDTH = 390
WIDER = "return document.documentElement.scrollWidth"
BROKEN = """
    return [...document.querySelectorAll("article :not(pre) > code")]
        .filter(code => /^[\\w.()]{1,36}$/.test(code.textContent) && code.getClientRects().length > 1)
        .map(code => code.textContent)
"""
SEARCHED = "return document.querySelectorAll('ul.search li').length"
EXCERPTS = "return document.querySelectorAll('ul.search li p.context').length"
LISTEN = """
    document.addEventListener("copy", () => { window.copied = getSelection().toString(); });
    return document.querySelector("button.copy");
"""
COPIED = """
    const button = document.querySelector("button.copy");
    return [button.textContent, window.copied, button.parentElement.querySelector("pre").textContent];
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder on a free port of loopback, and return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def phone() -> Iterator[webdriver.Chrome]:
    """Start Chromium with the screen of a phone."""
    with (
        tempfile.TemporaryDirectory(prefix="check-site-") as profile,
        chromium(Path(profile), timeout=30) as browser,
    ):
        screen = {"width": WIDTH, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        yield browser


def on_a_phone(browser: webdriver.Chrome, address: str, pages: list[str]) -> Iterator[str]:
    """Tell which pages scroll sideways or break identifiers."""
    for page in pages:
        browser.get(f"{address}/{page}")
        if (width := browser.execute_script(WIDER)) > WIDTH:
            yield f"{page} is {width} pixels wide"
        yield from (f"{page} breaks {code}" for code in browser.execute_script(BROKEN))


def searching(browser: webdriver.Chrome, address: str, *, excerpts: bool) -> Iterator[str]:
    """Tell what is wrong with the search."""
    browser.get(f"{address}/search.html?q=ledger")
    script = EXCERPTS if excerpts else SEARCHED
    try:
        WebDriverWait(browser, 10).until(lambda _: browser.execute_script(script) > 3)
    except Exception as error:  # noqa: BLE001  # whatever it is, the search does not do it
        yield f"no search results at {address} ({type(error).__name__})"


def copying(browser: webdriver.Chrome, address: str) -> Iterator[str]:
    """Tell what is wrong with the copy buttons."""
    browser.get(f"{address}/tutorial.html")
    browser.execute_script(LISTEN).click()
    label, text, code = browser.execute_script(COPIED)
    if label != "Copied" or text is None or text.strip() != code.strip():
        yield f"a copy button says {label!r} and copies {text!r}"


def main() -> int:
    """Print the problems, and how many pages were opened."""
    site = Path(sys.argv[1]).resolve()
    if not is_installed():
        print(f"not checked in a browser: {MISSING}")
        return 0
    pages = sorted(
        str(path.relative_to(site)) for path in site.rglob("*.html") if "_modules" not in path.parts
    )
    with phone() as browser, served(site) as address:
        found = [
            *on_a_phone(browser, address, pages),
            *searching(browser, address, excerpts=True),
            *searching(browser, site.as_uri(), excerpts=False),
            *copying(browser, address),
        ]
    for problem in found:
        print(problem)
    print(f"{len(pages)} pages in a browser, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
