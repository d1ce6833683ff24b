"""Do the tutorial as a new user would, from an empty folder, and write down what happened: docs/new-user-run.md.

Usage: new_user_run.py WHEEL VERSION=LOCK..., for instance ``3.3.2=requirements/demo.txt``. Every block of shell
commands in docs/tutorial.md runs as it stands, in one shell, and must print what the tutorial says; only the number of
Airflow's version is another, and the name of one option on Airflow 2. The wheel stands in for the package index, the
lock file for Airflow's constraints. Takes five minutes for each version, and the ports 8080 and 8300.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path

from process_group import ProcessGroup, adopt_orphans, end_descendants

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
PAGE = ROOT / "docs" / "new-user-run.md"
PATIENCE = 1200.0
MARK = "@@ block"


@dataclass(frozen=True)
class Block:
    """Shell commands of the tutorial.

    Attributes:
        section: heading that they stand below.
        commands: the commands, as they stand.
        printed: what the tutorial says that they print; empty where it shows nothing.
    """

    section: str
    commands: str
    printed: str = ""


@dataclass(frozen=True)
class Step:
    """A block that was run.

    Attributes:
        block: the block.
        output: what it wrote.
        seconds: how long it took.
    """

    block: Block
    output: str
    seconds: float


def blocks(page: str) -> list[Block]:
    """Return the shell commands of a page, in order, each with the output that the page shows below it."""
    found: list[Block] = []
    section = ""
    for heading, language, text in re.findall(
        r"^## ([^\n]+)$|^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    ):
        if heading:
            section = heading
        elif language == "bash":
            found.append(Block(section, text))
        elif not language and found and found[-1].section == section:
            found[-1] = replace(found[-1], printed=found[-1].printed + text)
    return found


def for_version(part: Block, version: str) -> Block:
    """Return a block as somebody with that version of Airflow types it."""
    commands = re.sub(r"(?<=apache-airflow==)[\d.]+", version, part.commands)
    if version.startswith("2."):
        commands = commands.replace("--logical-date", "--exec-date")
    return replace(part, commands=commands)


def comparable(output: str) -> list[str]:
    """Return the lines of an output without what differs from run to run: ids and the width of columns."""
    return [
        " ".join(re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>", line).split())
        for line in output.splitlines()
    ]


def differences(done: list[Step]) -> str:
    """Return what blocks printed and what the tutorial says, as far as they differ; empty if they do not."""
    return "\n".join(
        line
        for step in done
        for line in unified_diff(
            comparable(step.block.printed), comparable(step.output), "the tutorial", "this run", lineterm=""
        )
    )


def session(parts: list[Block]) -> str:
    """Return a script that runs the blocks in one shell, stops at the first failure and notes the times."""
    mark = f'printf "\\n{MARK} %s\\n" "$(date +%s.%N)"\n'
    return "set -eo pipefail\n" + mark + "".join(part.commands + mark for part in parts)


def steps(parts: list[Block], log: str) -> Iterator[Step]:
    """Tell what each block wrote and how long it took; blocks that never ended are left out."""
    pieces = re.split(rf"\n{MARK} ([\d.]+)\n", log)
    times, outputs = [float(text) for text in pieces[1::2]], pieces[2::2]
    for part, output, begun, ended in zip(parts, outputs, times, times[1:], strict=False):
        yield Step(part, output.strip("\n"), ended - begun)


def constraints(lock: Path) -> str:
    """Return the versions of a lock file without their hashes."""
    return "\n".join(re.findall(r"^[\w.\[\]-]+==[^\\\n]+", lock.read_text(), re.MULTILINE))


def environment(home: Path, wheel: Path, lock: Path) -> dict[str, str]:
    """Return the environment of somebody who has just logged in, with the wheel where pip finds it."""
    versions = home / "constraints.txt"
    versions.write_text(constraints(lock))
    machine = re.compile(r"LANG|PIP_|.*_PROXY|.*CERT|.*CA_BUNDLE", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if machine.match(name)}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).resolve().parent}:/usr/local/bin:/usr/bin:/bin",
        "PIP_CONSTRAINT": str(versions),
        "PIP_FIND_LINKS": f"{wheel.resolve().parent} {os.environ.get('PIP_FIND_LINKS', '')}",
    }


def run(parts: list[Block], env: dict[str, str], home: Path) -> list[Step]:
    """Run blocks in an empty folder.

    Raises:
        SystemExit: one of them failed or took too long.
    """
    folder = home / "empty"
    folder.mkdir()
    (home / "session.sh").write_text(session(parts))
    log = home / "session.log"
    group = ProcessGroup("tutorial", ["bash", str(home / "session.sh")], log, env, folder)
    group.start()
    end = time.monotonic() + PATIENCE
    while (code := group.exit_code()) is None and time.monotonic() < end:
        time.sleep(0.2)
    group.stop()
    done = list(steps(parts, log.read_text()))
    if code != 0 or len(done) != len(parts):
        raise SystemExit(
            f"Ended with {code} after {len(done)} of {len(parts)} blocks:\n{log.read_text()[-3000:]}"
        )
    return done


def section(version: str, done: list[Step], home: Path) -> str:
    """Return what happened, in Markdown."""
    rows = [
        f"| {number} | {step.block.section} | {step.seconds:.0f} s |" for number, step in enumerate(done, 1)
    ]
    to_table = sum(step.seconds for step in done[: table_block(done) + 1])
    total = sum(step.seconds for step in done)
    text = [
        f"## Airflow {version}",
        f"From the empty folder to the printed table: **{to_table:.0f} s**. All blocks: {total:.0f} s.",
        "\n".join(["| Block | Section | Time |", "|---|---|---|", *rows]),
    ]
    for number, step in enumerate(done, 1):
        text.append(f"Block {number}, {step.seconds:.1f} s:\n\n```bash\n{step.block.commands}```")
        if output := re.sub(r" +$", "", step.output, flags=re.MULTILINE):
            text[-1] += f"\n```\n{output.replace(str(home), '~')}\n```"
    return "\n\n".join(text)


def table_block(done: list[Step]) -> int:
    """Return the position of the block that prints the table."""
    return next(number for number, step in enumerate(done) if "FROM leads" in step.block.commands)


HEAD = """# The tutorial, as a new user runs it

This page is the evidence for the [tutorial](tutorial.md): what its commands printed, and how long they took. Written by
`scripts/new_user_run.py`: an empty folder, a fresh virtual environment, the wheel built from this checkout, and every
block as it stands in the tutorial, pasted into one shell. The script stops when a block prints something else than the
tutorial says; ids and the width of columns do not count. Two cores, with other work running beside it.
"""


def with_section(page: str, version: str, text: str) -> str:
    """Return the page with one version's section replaced, or added at the end."""
    others = [
        part for part in re.split(r"\n(?=## )", page)[1:] if not part.startswith(f"## Airflow {version}\n")
    ]
    return "\n\n".join(part.strip("\n") for part in [HEAD, *others, text]) + "\n"


def main() -> int:
    """Run the tutorial on each version, write its section of the page, and compare what it printed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    adopt_orphans()
    wheel = Path(sys.argv[1])
    parts = blocks(TUTORIAL.read_text())
    for argument in sys.argv[2:]:
        version, _, lock = argument.partition("=")
        asked = [for_version(part, version) for part in parts]
        with tempfile.TemporaryDirectory(prefix="new-user-") as name:
            home = Path(name)
            try:
                done = run(asked, environment(home, wheel, ROOT / lock), home)
            finally:
                end_descendants()
            page = PAGE.read_text() if PAGE.exists() else HEAD
            PAGE.write_text(with_section(page, version, section(version, done, home)))
            if differs := differences(done):
                raise SystemExit(
                    f"Airflow {version} printed something else than the tutorial says:\n{differs}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
