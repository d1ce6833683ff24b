"""Check that a wheel and an sdist hold what they must, and nothing else: ``check_dist.py dist/*``."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from email import message_from_string
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_cleanlist"
SDIST_MUST_HOLD = (
    "pyproject.toml",
    "noxfile.py",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "LICENSE",
    "PKG-INFO",
)
SDIST_FOLDERS = (PACKAGE, "benchmarks", "dags_examples", "docs", "requirements", "scripts", "tests")
"""What the tests and the documentation of an sdist need."""
METADATA_LINES = (
    "Name: airflow-provider-cleanlist",
    "Requires-Python: >=3.11",
    "License-Expression: Apache-2.0",
    "Description-Content-Type: text/markdown",
)
LINK = re.compile(
    r"\]\(\s*([^)\s]*)|<(?:a|img|source)\b[^>]*?\b(?:href|src)=\"([^\"]*)\"|^\[[^\]]+\]:\s+(\S+)",
    re.MULTILINE,
)


def package_files(root: Path = ROOT) -> set[str]:
    """Return the files of the package in the checkout, relative to it."""
    files = (path for path in (root / PACKAGE).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(root).as_posix() for path in files}


def wheel_problems(wheel: Path, expected: set[str]) -> list[str]:
    """Return what is wrong with a wheel: files missing or foreign, metadata, entry points."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
        texts = {
            name: archive.read(f"{info}/{name}").decode() if f"{info}/{name}" in names else ""
            for name in ("METADATA", "entry_points.txt")
        }
    problems = [f"missing: {name}" for name in sorted(expected - names)]
    problems += [f"foreign: {name}" for name in sorted(names - expected) if not name.startswith(f"{info}/")]
    problems += [
        f"METADATA lacks: {line}" for line in METADATA_LINES if line not in texts["METADATA"].splitlines()
    ]
    problems += description_problems(texts["METADATA"])
    for group in ("[apache_airflow_provider]", "[pytest11]"):
        if group not in texts["entry_points.txt"]:
            problems.append(f"entry_points.txt lacks: {group}")
    if f"{info}/licenses/LICENSE" not in names:
        problems.append("missing: the licence")
    return problems


def description_problems(metadata: str) -> list[str]:
    """Return what is wrong with the text that a package index shows: it is empty, or links lead nowhere there."""
    description = str(message_from_string(metadata).get_payload())
    targets = ["".join(groups) for groups in LINK.findall(description)]
    problems = [] if description.strip() else ["METADATA lacks: a description"]
    return problems + [
        f"the description links to a file: {target}"
        for target in targets
        if not target.startswith(("https://", "http://"))
    ]


def sdist_problems(names: Iterable[str], expected: set[str]) -> list[str]:
    """Return what is wrong with the names in an sdist, its top folder left out."""
    held = set(names)
    problems = [f"missing: {name}" for name in sorted((expected | set(SDIST_MUST_HOLD)) - held)]
    folders = {name.split("/")[0] for name in held if "/" in name}
    problems += [f"missing folder: {name}" for name in SDIST_FOLDERS if name not in folders]
    hidden = [name for name in sorted(held) if any(part.startswith(".") for part in name.split("/")[:-1])]
    return problems + [f"foreign: {name}" for name in hidden]


def check(path: Path) -> list[str]:
    """Return what is wrong with a wheel or an sdist."""
    if path.suffix == ".whl":
        return wheel_problems(path, package_files())
    with tarfile.open(path) as archive:
        names = [member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()]
    return sdist_problems(names, package_files())


def main(paths: list[str]) -> int:
    """Check every given file; print what is wrong."""
    suffixes = sorted(path.rpartition(".")[2] for path in paths)
    if suffixes != ["gz", "whl"]:
        print(f"One wheel and one sdist are expected, not {paths}")
        return 1
    problems = {path: check(Path(path)) for path in paths}
    for path, found in problems.items():
        print(f"{path}: {'complete' if not found else ''}", *found, sep="\n  " if found else "")
    return 1 if any(problems.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
