"""Check that built files are the release that a tag names: ``check_release.py v1.2.3 dist/*``.

Their version is the tag's, and the changelog says under it what is new, and when.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTION = "airflow_provider_cleanlist"


def version_problems(version: str, names: list[str]) -> list[str]:
    """Return what is wrong with the names of the built files."""
    expected = {f"{DISTRIBUTION}-{version}.tar.gz", f"{DISTRIBUTION}-{version}-py3-none-any.whl"}
    return [
        *(f"{name} is not built" for name in sorted(expected - set(names))),
        *(f"{name} is not of version {version}" for name in sorted(set(names) - expected)),
    ]


def changelog_problems(version: str, changelog: str) -> list[str]:
    """Return what is wrong with the changelog's section of a version."""
    dated = re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)
    return [] if dated else [f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'"]


def problems(tag: str, names: list[str], changelog: str) -> list[str]:
    """Return why files of these names are not the release of a tag."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+((a|b|rc)\d+)?", tag):
        return [f"the tag is {tag}; a release's tag is a v and the version, such as v1.2.3 or v1.2.3rc1"]
    version = tag.removeprefix("v")
    return version_problems(version, names) + changelog_problems(version, changelog)


def main(arguments: list[str]) -> int:
    """Print what is wrong, and return 1, or 0 when nothing is."""
    tag, *paths = arguments or [""]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = problems(tag, [Path(path).name for path in paths], changelog)
    print("\n".join(found) if found else f"{tag}: these files are its release")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
