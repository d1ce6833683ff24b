"""Whose contacts are submitted: the organisation that the API names for a key, asked for once.

The answer is remembered by a hash of host and key: in the ledger, or without one in a file of this user on this host,
so that a thousand mapped tasks do not ask a thousand times, and a changed key is asked about once.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airflow_provider_cleanlist.client.errors import ErrorInfo, UnexpectedResponseError
from airflow_provider_cleanlist.client.rate_limit.directories import (
    SharedDirectory,
    default_directories,
    opened_directory,
    replace_in,
)

if TYPE_CHECKING:
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

_LONGEST_FILE = 4096


class KeyMemory(Protocol):
    """Remembers which organisation a key belongs to: a ledger, or :class:`HostKeyMemory`."""

    def organisation_of_key(self, key_hash: str) -> str | None:
        """Return the organisation that a hash of host and key was found to belong to, or None if it is new."""

    def remember_key(self, key_hash: str, organisation: str, now: float) -> None:
        """Keep which organisation a hash of host and key belongs to."""


class HostKeyMemory:
    """Remembers keys in files of this user, beside the request budget of the host.

    A file that cannot be read or written, or belongs to somebody else, is treated as missing: then the API is asked.

    Args:
        directories: Where the files may be, best first.
    """

    def __init__(self, directories: list[Path] | None = None) -> None:
        self._directories = default_directories() if directories is None else directories

    def organisation_of_key(self, key_hash: str) -> str | None:
        """See :class:`KeyMemory`."""
        for directory in self._directories:
            with (
                suppress(OSError, ValueError, KeyError, TypeError, RecursionError),
                opened_directory(directory) as folder,
            ):
                document = json.loads(_read_own(folder, f"{key_hash}.organisation"))
                found = document["organisation"]
                # members of the directory's group can rename files
                if isinstance(found, str) and found and document["key_hash"] == key_hash:
                    return found
        return None

    def remember_key(self, key_hash: str, organisation: str, now: float) -> None:
        """See :class:`KeyMemory`."""
        content = json.dumps({"key_hash": key_hash, "organisation": organisation, "checked_at": now}).encode()
        for directory in self._directories:
            with suppress(OSError), opened_directory(directory) as folder:
                replace_in(folder, f"{key_hash}.organisation", content, mode=0o600)
                return


def _read_own(folder: SharedDirectory, name: str) -> str:
    """Return the text of a file, or an empty one unless it is a regular file of ours that only we may write."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder.descriptor)
    try:
        status = folder.check(file)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022 or status.st_size > _LONGEST_FILE:
            return ""
        return os.read(file, _LONGEST_FILE).decode()
    finally:
        os.close(file)


def organisation_of(hook: CleanlistHook, memory: KeyMemory, now: float) -> str:
    """Return the organisation that the connection's key belongs to.

    Args:
        hook: Access to the API.
        memory: Where the answer is remembered.
        now: Seconds since the epoch.

    Raises:
        CleanlistError: The API does not know the key, or does not answer.
        UnexpectedResponseError: The answer names no organisation; nothing is remembered.
        JournalError: The ledger cannot be read or written.
    """
    key_hash = hook.settings.key_hash
    organisation = memory.organisation_of_key(key_hash)
    if organisation is None:
        organisation = hook.validate_key().organization_id
        if not organisation:
            raise UnexpectedResponseError(
                ErrorInfo(
                    "validate the API key",
                    "its answer does not name the organisation",
                    hint="Without it nobody knows who has paid for what. Nothing was submitted in this attempt.",
                )
            )
        memory.remember_key(key_hash, organisation, now)
    return organisation
