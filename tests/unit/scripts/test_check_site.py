"""What the check of the built documentation finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_site import problems

GOOD = (
    '<h1 id="top">A</h1><script src="_static/a.js"></script><a href="b.html#there">b</a><a href="#top">a</a>'
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<p id="there">B</p><a href="https://cleanlist.ai/x#y">elsewhere</a>')
    (tmp_path / "searchindex.js").touch()
    return tmp_path


def test_a_good_site_has_no_problems(site: Path) -> None:
    assert problems(site) == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "c.html loads https://cdn.example/x.js"),
        ('<img src="//cdn.example/x.svg">', "c.html loads //cdn.example/x.svg"),
        ('<link href="http://fonts.example/f.css">', "c.html loads http://fonts.example/f.css"),
        ('<a href="none.html">', "c.html links to none.html"),
        ('<a href="b.html#here">', "c.html links to b.html#here"),
        ('<a href="#here">', "c.html links to #here"),
    ],
)
def test_what_is_wrong_is_named(site: Path, html: str, problem: str) -> None:
    (site / "c.html").write_text(html)
    assert problems(site) == [problem]


def test_a_site_without_search_or_pages(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"no pages in {tmp_path}"]
    (tmp_path / "a.html").write_text("<p>")
    assert problems(tmp_path) == ["no search index"]
