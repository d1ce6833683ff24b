"""The pages for whoever runs it: every exception has its section, and every line to alert on is one that is logged."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from airflow_provider_cleanlist import exceptions

ROOT = Path(__file__).parents[2]
ON_CALL = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")
MONITORING = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
RAISED = sorted(
    name
    for name, kind in vars(exceptions).items()
    if name.startswith("Cleanlist") and name != "CleanlistError" and isinstance(kind, type)
)


def texts() -> str:
    """Return every text of the package, as the code has it, with gaps for values."""
    found = []
    for file in (ROOT / "airflow_provider_cleanlist").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%\S", "…", node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
    return "\n".join(found)


@pytest.mark.parametrize("name", RAISED)
def test_every_exception_has_a_section_for_the_person_on_call(name: str) -> None:
    (section,) = re.findall(rf"^### `{name}`\n\n(.*?)(?=^##|\Z)", ON_CALL, re.DOTALL | re.MULTILINE)
    assert "**Look at:**" in section or "**Do:**" in section


def test_the_lines_to_alert_on_are_logged() -> None:
    section = MONITORING.partition("## Lines of the log to alert on")[2]
    lines = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    known = texts()
    assert len(lines) > 5
    assert [line for line in lines if line not in known] == []
