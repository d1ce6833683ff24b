"""Look over the built documentation: it works offline and every link within it leads somewhere.

Usage: check_site.py <folder of the site>. Links to other hosts are allowed, loading anything from them is not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src", "object": "data"}


@dataclass
class Page(HTMLParser):
    """What a page loads, where it leads and where links into it can lead."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down one element."""
        values = {name: value for name, value in attrs if value}
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loads.append(values[LOADED[tag]])


def read(site: Path) -> dict[Path, Page]:
    """Return the pages of a site by file."""
    pages: dict[Path, Page] = {}
    for file in sorted(site.rglob("*.html")):
        pages[file] = Page()
        pages[file].feed(file.read_text(encoding="utf-8"))
    return pages


def is_elsewhere(address: str) -> bool:
    """Tell whether an address names a host."""
    return bool(urlsplit(address).netloc)


def broken(page: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Tell whether a link of a page leads to a file or an anchor that does not exist."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return True
    return target in pages and bool(parts.fragment) and unquote(parts.fragment) not in pages[target].anchors


def problems(site: Path) -> list[str]:
    """Return what is wrong with a site, one line each."""
    pages = read(site.resolve())
    found = [] if (site / "searchindex.js").is_file() else ["no search index"]
    for file, page in pages.items():
        name = file.relative_to(site.resolve())
        found += [f"{name} loads {address}" for address in page.loads if is_elsewhere(address)]
        found += [f"{name} links to {link}" for link in page.links if broken(file, link, pages)]
    return found if pages else [f"no pages in {site}"]


def main() -> int:
    """Print the problems, and how many pages were looked at."""
    site = Path(sys.argv[1])
    found = problems(site)
    for problem in found:
        print(problem)
    print(f"{len(read(site))} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
