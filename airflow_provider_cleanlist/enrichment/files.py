"""Local files that survive crashes."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Write a local file so that a crash, even of the machine, leaves the old or the new content.

    Args:
        path: The file; its folder exists.
        text: The new content, written as UTF-8.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
