"""Files on local disks and in object storage, opened the same way."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def open_file(location: str, mode: Literal["rb", "wb"]) -> IO[bytes]:
    """Open a file for reading or writing bytes.

    Args:
        location: A local path, or a URI that Airflow's ``ObjectStoragePath`` takes (``s3://connection@bucket/key``).
        mode: As for :func:`open`.

    Returns:
        The open file; a context manager, as every file.

    Raises:
        OSError: The file cannot be opened.
        ImportError: The package that opens files of the URI's scheme is not installed.
        ValueError: No installed package knows the URI's scheme.
    """
    if "://" not in location:
        return Path(location).open(mode)
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    opened: IO[bytes] = ObjectStoragePath(location).open(mode)  # type: ignore[no-untyped-call]
    return opened


def start_of(path: ObjectStoragePath, size: int) -> bytes | None:
    """Return the first bytes of a file that others may write, too; None if there is no file.

    Args:
        path: The file. A local one must be a regular file: a pipe would be waited for as long as its writer likes.
        size: How many bytes at most.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        if path.protocol not in ("file", "local"):
            with path.open("rb") as file:  # type: ignore[no-untyped-call]
                return bytes(file.read(size))
        descriptor = os.open(path.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            return opened.read(size)
    finally:
        os.close(descriptor)
