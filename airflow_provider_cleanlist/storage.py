"""Files on local disks and in object storage, opened the same way."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def is_local(path: ObjectStoragePath) -> bool:
    """Return whether a path is on a disk of this host, or mounted like one.

    Args:
        path: The path.
    """
    return path.protocol in ("file", "local")


class NotARegularFileError(OSError):
    """A path leads to something else than a file with an end, such as a pipe."""


def open_file(location: str, mode: Literal["rb", "wb"]) -> IO[bytes]:
    """Open a file for reading or writing bytes.

    Args:
        location: A local path, or a URI that Airflow's ``ObjectStoragePath`` takes (``s3://connection@bucket/key``).
        mode: As for :func:`open`.

    Returns:
        The open file; a context manager, as every file.

    Raises:
        OSError: The file cannot be opened, or it is a local one that is not regular: reading a pipe lasts as long as
            its writer likes.
        ImportError: The package that opens files of the URI's scheme is not installed.
        ValueError: No installed package knows the URI's scheme.
    """
    if "://" not in location:
        return _open_regular(location) if mode == "rb" else Path(location).open(mode)
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path = ObjectStoragePath(location)
    if mode == "rb" and is_local(path):
        return _open_regular(path.path)
    opened: IO[bytes] = path.open(mode)  # type: ignore[no-untyped-call]
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
        with _open_regular(path.path) if is_local(path) else path.open("rb") as file:  # type: ignore[no-untyped-call]
            return bytes(file.read(size))
    except FileNotFoundError:
        return None


def _open_regular(path: str) -> IO[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError("it is not a regular file")
        if not stat.S_ISREG(kind):
            raise NotARegularFileError("it is not a regular file")
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise
