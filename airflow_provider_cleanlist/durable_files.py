"""Local files that survive crashes, and that nobody but this user and its group may read."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

FILE_MODE = 0o660
"""Mode of files, before the process's umask: many of them hold personal data."""
FOLDER_MODE = 0o770
"""Mode of folders, before the process's umask."""


def make_folder(folder: Path) -> None:
    """Create a folder and the missing ones above it, closed to other users; existing ones stay as they are.

    Args:
        folder: The folder.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def replace_file(path: Path, text: str) -> None:
    """Write a local file so that a crash, even of the machine, leaves the old or the new content.

    Args:
        path: The file; its folder exists.
        text: The new content, written as UTF-8.
    """
    with replaced_file(path) as file:
        file.write(text.encode())


@contextmanager
def replaced_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a local file in parts, so that a crash, even of the machine, leaves the old or the new content.

    Args:
        path: The file; its folder exists. A symbolic link is replaced, not followed.

    Yields:
        The new file, which takes the name when the context ends without an error.
    """
    with _written(path) as (temporary, file):
        yield file
        _sync(file)
        temporary.replace(path)
    _sync_folder(path)


def create_file(path: Path, text: str) -> bool:
    """Create a local file atomically; of several writers at the same time, one succeeds.

    Args:
        path: The file; its folder exists.
        text: The content, written as UTF-8.

    Returns:
        Whether the file was created; False if it existed.
    """
    with _written(path) as (temporary, file):
        file.write(text.encode())
        _sync(file)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
    _sync_folder(path)
    return True


@contextmanager
def _written(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield a new temporary file beside ``path`` and its open file; remove its name afterwards."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield temporary, file
    finally:
        temporary.unlink(missing_ok=True)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
