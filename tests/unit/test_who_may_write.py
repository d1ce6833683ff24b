"""docs/security.md, "Who may write what": the modes are those of the code, and another user finds every door closed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_cleanlist.client.rate_limit.core import Budget, Priority
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter
from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.tokens import batch_name
from airflow_provider_cleanlist.page.balance import BalanceStore
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.submission.organisation import HostKeyMemory
from airflow_provider_cleanlist.submission.rejects import Rejects
from airflow_provider_cleanlist.submission.stored.stores import ObjectStorageJournalStore

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
NOBODY = 65534
GROUP = 54_321
SPELLINGS = ("", "file://", "local://")
"""How users write a local path where object storage is possible, too."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that all users may enter, unlike those of pytest, with a umask that takes nothing away."""
    folder = Path(tempfile.mkdtemp(prefix="cleanlist-modes-"))
    folder.chmod(0o755)
    umask = os.umask(0)
    yield folder
    os.umask(umask)
    shutil.rmtree(folder)


def ask(directory: Path) -> None:
    FileRateLimiter(Budget(), "scope", [directory]).reserve(Priority.WORK, waited=0.0, max_wait=60.0)


def private_budget(place: Path) -> Path:
    ask(place / ".cleanlist")
    return place / ".cleanlist"


def budget_directory(place: Path) -> list[Path]:
    return [private_budget(place)]


def budget(place: Path) -> list[Path]:
    return list(private_budget(place).glob("*.budget"))


def budget_of_a_group(place: Path) -> list[Path]:
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    ask(shared)
    return list(shared.glob("*.budget"))


def organisation(place: Path) -> list[Path]:
    directory = private_budget(place)
    HostKeyMemory([directory]).remember_key("0" * 24, "org", 1.0)
    return list(directory.glob("*.organisation"))


def write_inbox(place: Path) -> Path:
    for number, spelling in enumerate(SPELLINGS):
        inbox = Inbox.at(f"{spelling}{place}/new/{number}/inbox")
        inbox.announce("w", batch_name("s", "r", "0"))
        inbox.store(batch_name("s", "r", "0"), "w", {}, 1_780_000_000.0)
    return place / "new"


def write_journal(place: Path) -> Path:
    for number, spelling in enumerate(SPELLINGS):
        root = ObjectStoragePath(f"{spelling}{place}/state/{number}/journal")
        ObjectStorageJournalStore(root, ("d", "r", "t"), -1).write("key", {})
    return place / "state"


def folders(place: Path) -> list[Path]:
    roots = (write_inbox(place), write_journal(place))
    return [folder for root in roots for folder in (root, *root.rglob("*")) if folder.is_dir()]


def inbox_files(place: Path) -> list[Path]:
    return [path for path in write_inbox(place).rglob("*") if path.is_file()]


def journal_files(place: Path) -> list[Path]:
    return [path for path in write_journal(place).rglob("*") if path.is_file()]


def rejects(place: Path) -> list[Path]:
    for number, spelling in enumerate(SPELLINGS):
        with Rejects(f"{spelling}{place}/{number}.csv") as file:
            file.save()
    return list(place.glob("*.csv"))


def balance(place: Path) -> list[Path]:
    directory = private_budget(place)
    assert BalanceStore("scope", [directory]).claim(1_780_000_000.0)
    return list(directory.glob("*.balance"))


def ledger(place: Path) -> list[Path]:
    database = LedgerDatabase(sa.create_engine(f"sqlite:///{place}/ledger.db"), "'ledger'")
    database.introduce("org", 1.0)
    database.engine.dispose()
    return list(place.glob("ledger.db*"))


MADE: dict[str, Callable[[Path], list[Path]]] = {
    "Directory of the request budget, when the provider creates it": budget_directory,
    "Request budget, `*.budget`": budget,
    "Request budget in a directory that you gave to a group": budget_of_a_group,
    "Organisation of a key, `*.organisation`, without a ledger": organisation,
    "Local file of the credit balance (`*.balance`), beside the request budget": balance,
    "Folders of a local `webhook_inbox` or `journal_path`": folders,
    "Files of a local inbox": inbox_files,
    "Journal below a local `journal_path`": journal_files,
    "Local file of `rejects_path`": rejects,
    "Ledger in an SQLite file, when the provider creates it": ledger,
}


def documented() -> dict[str, int]:
    """Return the modes in the table by what has them."""
    (table,) = re.findall(
        r"\| What \| Owner and mode \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE.read_text(encoding="utf-8")
    )
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return {row[0]: int(found[1], 8) for row in rows if (found := re.search(r"`(0\d{3})`", row[1]))}


def test_every_mode_of_the_table_is_tested() -> None:
    assert documented().keys() == MADE.keys()


@pytest.mark.parametrize("what", MADE)
def test_the_mode_is_what_the_page_says(place: Path, what: str) -> None:
    made = MADE[what](place)
    assert made
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {documented()[what]}


def opened_by_nobody(paths: list[Path]) -> list[str]:
    """Return what another user can open, list or replace."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)

    def intrude() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        opened = []
        for path in paths:
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDONLY | os.O_CREAT):
                with contextlib.suppress(OSError):
                    os.close(os.open(path, flags))
                    opened.append(f"{path} {flags}")
            with contextlib.suppress(OSError):
                path.rename(path.with_name("stolen"))
                opened.append(f"{path} renamed")
        theirs.send(opened)

    child = multiprocessing.get_context("fork").Process(target=intrude)
    child.start()
    found: list[str] = ours.recv()
    child.join()
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user takes root")
@pytest.mark.parametrize("what", MADE)
def test_another_user_can_neither_read_nor_write_nor_replace_it(place: Path, what: str) -> None:
    assert opened_by_nobody(MADE[what](place)) == []
    open_file = place / "open"
    open_file.touch(mode=0o666)
    assert opened_by_nobody([open_file]) != []
