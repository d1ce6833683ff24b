"""Every link of the documentation leads somewhere: files, anchors, images. Addresses of other hosts are read only."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
FENCE = re.compile(r"^(```+|~~~+).*?^\1 *$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\]\\]|\\.)*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\[[^\]]+\]: +(\S+)", re.MULTILINE)
HTML = re.compile(r"<(?:img|a|source)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
INCLUDE = re.compile(r"^(?:```+|:::+)\{(?:literalinclude|include|image|figure)\} +(\S+)", re.MULTILINE)


def links(text: str) -> list[str]:
    """Return the targets of all links, images and includes outside code."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    return [target for pattern in (LINK, REFERENCE, HTML) for target in pattern.findall(prose)] + (
        INCLUDE.findall(text)
    )


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and the site make it."""
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page; a heading that comes again gets a number."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    found = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    found |= set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        name = slug(heading)
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frozenset(found)


def problem(page: Path, target: str) -> str | None:
    """Return what is wrong with a link, or None."""
    parts = urlsplit(target)
    if parts.scheme == "mailto":
        return None if "@" in parts.path else "no address"
    if parts.scheme or parts.netloc:
        is_web = parts.scheme in {"https", "http"} and re.fullmatch(
            r"[\w.-]+\.[a-z]{2,}(:\d+)?", parts.netloc
        )
        return None if is_web else "no web address"
    file = (page.parent / parts.path).resolve() if parts.path else page
    if not file.exists():
        return "no such file"
    if not file.is_relative_to(ROOT):
        return "outside the repository"
    if parts.fragment and file.suffix == ".md" and parts.fragment not in anchors(file):
        return "no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = links(page.read_text(encoding="utf-8"))
    wrong = {target: found for target in targets if (found := problem(page, target)) is not None}
    assert wrong == {}


def test_every_image_is_used() -> None:
    used = {(page.parent / target).resolve() for page in PAGES for target in links(page.read_text("utf-8"))}
    assert [path.name for path in sorted((ROOT / "docs" / "images").glob("*")) if path not in used] == []


def test_the_pages_have_links() -> None:
    assert sum(len(links(page.read_text(encoding="utf-8"))) for page in PAGES) > 100


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("security.md", None),
        ("security.md#secrets", None),
        ("#secrets", None),
        ("../README.md", None),
        ("images/data-flow.svg", None),
        ("https://docs.cleanlist.ai", None),
        ("mailto:somebody@example.com", None),
        ("securety.md", "no such file"),
        ("security.md#secretz", "no such heading"),
        (f"{'../' * 30}etc/hostname", "outside the repository"),
        ("https:/docs.cleanlist.ai", "no web address"),
        ("ftp://docs.cleanlist.ai", "no web address"),
        ("mailto:somebody", "no address"),
    ],
)
def test_what_is_wrong_with_a_link(target: str, found: str | None) -> None:
    assert problem(ROOT / "docs" / "security.md", target) == found


def test_links_in_every_spelling_and_none_in_code() -> None:
    text = (
        '[a](one.md) ![b](two.svg "B") [`c`](three.md#x) <img src="four.png">\n\n[d]: five.md\n'
        "`[no](code.md)`\n```md\n[no](fence.md)\n```\n```{literalinclude} six.py\n```\n"
    )
    assert sorted(links(text)) == sorted(["one.md", "two.svg", "three.md#x", "four.png", "five.md", "six.py"])


def test_anchors_of_headings() -> None:
    assert slug("What's `on_missing`? [See](x.md)") == "whats-on_missing-see"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.is_relative_to(ROOT / "docs") and "```{include}" not in page.read_text()],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_page_says_first_what_it_is_for(page: Path) -> None:
    beginning = re.match(r"# .+\n\n(?P<first>(?:.+\n)+)(?:\n(?P<second>(?:.+\n)+))?", page.read_text())
    assert beginning, "no title with a paragraph below it"
    assert re.search(r"\bThis (?:page|guide) \w", f"{beginning['first']}\n{beginning['second']}")
