"""The file of a ledger in SQLite: whoever may read it can lock it, and whoever may put files beside it can change it.

A reader whose transaction does not end keeps everybody from committing, and SQLite makes files as the umask lets it,
which on most hosts is readable for all users. A journal or log beside the file, whoever made it, is what SQLite takes
the pages of an interrupted transaction from: one that somebody planted replaces the ledger by what is in it.
"""

from __future__ import annotations

import logging
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow_provider_cleanlist.durable_files import create_file
from airflow_provider_cleanlist.submission.errors import JournalConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

log = logging.getLogger(__name__)


def prepare_file(url: URL) -> None:
    """Refuse a file beside which others may put a journal, or have; create one that is missing, closed to other users.

    Args:
        url: The database, to which nobody has connected yet: that would create the file, and use the journal.

    Raises:
        JournalConfigurationError: Other users of this host may create files beside it, or have created its journal.
    """
    file = _file_of(url)
    if file is None:
        return
    with suppress(OSError):  # SQLite says why
        _refuse_what_others_made(file)
        if url.query.get("mode", "rwc") == "rwc":
            create_file(file, "")


def _refuse_what_others_made(file: Path) -> None:
    folder = file.parent.stat()
    if folder.st_mode & stat.S_IWOTH:
        raise JournalConfigurationError(
            f"every user of this host may create files in {file.parent}, and with one of them replace the ledger "
            f"{file.name}: everybody would be paid for again. Close the directory (chmod o-w) and remove files beside "
            "the ledger that are not yours; or, while no task runs, move the ledger into a directory of its own and "
            "correct the connection"
        )
    trusted = {os.geteuid(), 0, folder.st_uid}
    with suppress(OSError):
        trusted.add(file.stat().st_uid)
    for name in (f"{file.name}-journal", f"{file.name}-wal"):
        with suppress(OSError):
            owner = (file.parent / name).lstat().st_uid
            if owner not in trusted and not (
                folder.st_mode & stat.S_IWGRP and _is_member(owner, folder.st_gid)
            ):
                raise JournalConfigurationError(
                    f"{file.parent / name} belongs to user {owner}, who is neither this user nor the owner of the "
                    "ledger or of its directory, and SQLite would change the ledger by it. Remove it, unless that user "
                    "runs your tasks: then give them the group of the directory"
                )


def _is_member(user: int, group: int) -> bool:
    """Return whether a user is in a group, as far as this host knows."""
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return False
    return group in os.getgrouplist(entry.pw_name, entry.pw_gid)


def warn_of_readers(url: URL, name: str) -> None:
    """Warn if other users of this host may read the file; it stays as it is, because somebody may want that.

    Args:
        url: The database.
        name: What to call the ledger.
    """
    file = _file_of(url)
    if file is not None and _is_open_to_all(file):
        log.warning(
            "Every user of this host may read the file of the ledger %s: they learn which ids were submitted, and can "
            "hold up all tasks. Close it: chmod o= %s",
            name,
            file,
        )


def _file_of(url: URL) -> Path | None:
    """Return the file that connecting would create or open; None where the database is in none."""
    if url.get_backend_name() != "sqlite":
        return None
    database = url.database or ""
    if database.startswith("file:"):
        if url.query.get("mode") == "memory":
            return None
        database = unquote(urlsplit(database).path)
    return None if database in ("", ":memory:") else Path(os.path.realpath(database))


def _is_open_to_all(file: Path) -> bool:
    """Return whether others may read a file, and enter all folders above it."""
    try:
        folders = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.parents)
        return folders and bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
