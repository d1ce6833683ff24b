"""The file of a ledger in SQLite: whoever may read it can lock it.

A reader whose transaction does not end keeps everybody from committing, and SQLite makes files as the umask lets it,
which on most hosts is readable for all users.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow_provider_cleanlist.durable_files import create_file

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

log = logging.getLogger(__name__)


def create_private(url: URL) -> None:
    """Create the file, closed to other users, unless it exists or the database is none in a file.

    Args:
        url: The database, to which nobody has connected yet: that would create the file.
    """
    file = _file_of(url)
    if file is not None:
        with suppress(OSError):  # SQLite says why
            create_file(file, "")


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
    """Return the file that connecting would create or open; None where it could not create one."""
    if url.get_backend_name() != "sqlite":
        return None
    database = url.database or ""
    if database.startswith("file:"):
        if url.query.get("mode", "rwc") != "rwc":
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
