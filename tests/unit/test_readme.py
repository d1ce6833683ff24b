"""The README: its DAG is one, its links lead somewhere, its commands exist."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.contacts.reading import read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def code(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.skipif(find_spec("airflow.sdk") is None, reason="written for Airflow 3")
def test_the_minimal_dag_is_complete_and_short() -> None:
    (source,) = code(ROOT / "README.md", "python")
    assert len(source.splitlines()) < 30
    names: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), names)
    tasks = names["enrich"].dag.task_dict
    assert {task_id: task.downstream_task_ids for task_id, task in tasks.items()} == {
        "enrich": {"wait"},
        "wait": {"load"},
        "load": set(),
    }


def test_the_file_of_contacts_is_read(tmp_path: Path) -> None:
    (text,) = code(ROOT / "README.md", "csv")
    (tmp_path / "contacts.csv").write_text(text, encoding="utf-8")
    report = ReadReport()
    list(read_contacts(FileSource(tmp_path / "contacts.csv"), report))
    assert (report.accepted, report.refused, report.unused_columns) == (2, {}, ())


def test_the_two_commands_exist() -> None:
    commands = re.findall(r"python3 (scripts/\w+\.py)", "".join(code(ROOT / "README.md", "bash")))
    assert commands == ["scripts/demo.py", "scripts/test.py"]
    assert all((ROOT / command).is_file() for command in commands)


def test_files_to_start_reading_at_exist() -> None:
    package = ROOT / "airflow_provider_cleanlist"
    rows = re.findall(
        r"^\| `([a-z/ ]+/)` \| [^|]*\? ?[^|]*\| ([^|]+) \|$",
        PAGES[1].read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    named = {folder for folders, _ in rows for folder in folders.replace("/", "").split()}
    assert named == {path.parent.name for path in package.glob("*/__init__.py")}
    for folders, start in rows:
        for file in re.findall(r"`([\w/]+\.py)`", start):
            assert any((package / place / file).is_file() for place in (folders.split("/")[0], "."))


def test_files_to_open_for_a_change_hold_what_is_to_be_changed() -> None:
    package = ROOT / "airflow_provider_cleanlist"
    text = PAGES[1].read_text(encoding="utf-8").partition("| I want to ... |")[2].partition("\n\n")[0]
    rows = [row.split(" | ")[1] for row in text.splitlines()[2:]]
    named = [re.findall(r"`([^`]+)`", row) for row in rows]
    paths = [names[0] for names in named if "/" in names[0]]
    # a message can be anywhere, the sandbox's faults need no change, the limits stand right in the package
    assert len(paths) == len(rows) - 3
    for names in named:
        path = package / names[0]
        code = path.read_text(encoding="utf-8") if path.is_file() else ""
        assert path.exists() or "/" not in names[0]
        for name in names[1:] if path.exists() else ():
            assert re.search(rf"^(def |class )?{name.removesuffix('()')}\b", code, re.MULTILINE), names


def test_folders_name_modules_that_exist() -> None:
    for init in (ROOT / "airflow_provider_cleanlist").rglob("__init__.py"):
        offer = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
        for name in re.findall(r":\w+:`~?\.(\w+)", offer):
            assert (init.parent / name).is_dir() or (init.parent / f"{name}.py").is_file(), (init, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []
