"""The script that does the tutorial, and the tutorial as that script reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from new_user_run import (
    HEAD,
    TUTORIAL,
    Block,
    Step,
    blocks,
    constraints,
    differences,
    for_version,
    session,
    steps,
    with_section,
)

EXAMPLES = Path(__file__).parents[3] / "dags_examples"
PAGE = """# Title

## 1. First

Text.

```bash
echo one
```
```
not run
```

## 2. Second

```bash
echo two
false
```
"""


def test_blocks_of_shell_commands_with_their_headings_and_outputs() -> None:
    assert blocks(PAGE) == [
        Block("1. First", "echo one\n", "not run\n"),
        Block("2. Second", "echo two\nfalse\n"),
    ]


def test_an_output_belongs_to_the_block_above_it_in_its_section() -> None:
    other = "```\nno\n```\n"
    page = f"{other}## A\n\n{other}```bash\na\n```\nText.\n```\none\n```\n```python\nno\n```\n## B\n{other}"
    assert blocks(page) == [Block("A", "a\n", "one\n")]


@pytest.mark.parametrize(
    ("version", "commands"),
    [
        ("3.1.8", "pip install apache-airflow==3.1.8\nairflow dags trigger --logical-date 2026-03-02 x\n"),
        ("2.11.2", "pip install apache-airflow==2.11.2\nairflow dags trigger --exec-date 2026-03-02 x\n"),
    ],
)
def test_a_block_for_a_version_of_airflow(version: str, commands: str) -> None:
    written = "pip install apache-airflow==3.3.2\nairflow dags trigger --logical-date 2026-03-02 x\n"
    assert for_version(Block("a", written, "out"), version) == Block("a", commands, "out")


LOADED = "Loaded list af2b581c-b1c3-42c3-9913-68cd9c7ab31f: 4 rows"


@pytest.mark.parametrize(
    ("printed", "output", "same"),
    [
        ("load | success\n", "load    | success", True),
        (LOADED, LOADED.replace("af2b581c", "00000000"), True),
        ("", "", True),
        (LOADED, LOADED.replace("4 rows", "8 rows"), False),
        ("contacts 4\n", "contacts 4\ncontacts 8", False),
        ("contacts 4\n", "", False),
        ("", "a traceback", False),
    ],
)
def test_what_is_printed_is_compared_with_the_tutorial(printed: str, output: str, same: bool) -> None:
    assert (differences([Step(Block("a", "x\n", printed), output, 1.0)]) == "") is same


def run(parts: list[Block], tmp_path: Path) -> tuple[int, str]:
    (tmp_path / "session.sh").write_text(session(parts))
    done = subprocess.run(
        ["bash", tmp_path / "session.sh"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    return done.returncode, done.stdout


def test_blocks_share_a_shell_and_are_timed(tmp_path: Path) -> None:
    parts = [Block("a", "X=7\nsleep 0.2\n"), Block("b", 'echo "$X"\n')]
    code, log = run(parts, tmp_path)
    first, second = steps(parts, log)
    assert code == 0
    assert (first.output, second.output) == ("", "7")
    assert first.seconds >= 0.2 > second.seconds


def test_the_first_failure_ends_it(tmp_path: Path) -> None:
    parts = blocks(PAGE)
    code, log = run(parts, tmp_path)
    assert code != 0
    assert [step.block.section for step in steps(parts, log)] == ["1. First"]


def test_constraints_keep_versions_and_markers_but_no_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "a==1 \\\n    --hash=sha256:00\nb==2 ; python_version < '3.12' \\\n    --hash=sha256:11\n    # via a\n"
    )
    assert constraints(lock).split("\n") == ["a==1 ", "b==2 ; python_version < '3.12' "]


def test_a_section_is_replaced_and_others_are_kept() -> None:
    page = with_section(
        with_section(HEAD, "3.3.2", "## Airflow 3.3.2\n\nyesterday"), "2.11.2", "## Airflow 2.11.2\n\nx"
    )
    page = with_section(page, "3.3.2", "## Airflow 3.3.2\n\ntoday")
    assert "yesterday" not in page
    assert "today" in page
    assert page.count("## Airflow") == 2
    assert page.startswith(HEAD.rstrip("\n"))


@pytest.mark.parametrize("name", ["first_enrichment.py", "data/first_contacts.csv"])
def test_the_tutorial_writes_the_files_of_the_examples(name: str) -> None:
    written = TUTORIAL.read_text().partition(f"cat > airflow/dags/{name} <<'END'\n")[2].partition("END\n")[0]
    assert written == (EXAMPLES / name).read_text()


def test_the_tutorial_uses_the_key_of_the_sandbox() -> None:
    from airflow_provider_cleanlist.sandbox.state.accounts import DEFAULT_KEY

    assert f'"password": "{DEFAULT_KEY}"' in TUTORIAL.read_text()
