"""Local files that survive crashes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Write a local file so that a crash, even of the machine, leaves the old or the new content.

    Args:
        path: The file; its folder exists.
        text: The new content, written as UTF-8.
    """
    with _written(path, text) as temporary:
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
    with _written(path, text) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
    _sync_folder(path)
    return True


@contextmanager
def _written(path: Path, text: str) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that holds the text, synced to disk; remove it afterwards."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
