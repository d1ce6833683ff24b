"""Files on local disks and in object storage, opened the same way."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def local_path(path: ObjectStoragePath) -> Path | None:
    """Return where a path is on a disk of this host, or one that is mounted like it; None for object storage.

    Args:
        path: The path, with ``file://`` before it or not.
    """
    return _in_home(path.path) if path.protocol in ("", "file", "local") else None


def local_or_stored(location: str) -> Path | ObjectStoragePath:
    """Return a location as a local path if it is one, however it is spelled.

    Args:
        location: A local path, or a URI that Airflow's ``ObjectStoragePath`` takes (``s3://connection@bucket/key``).

    Raises:
        ImportError: The package that opens files of the URI's scheme is not installed.
        ValueError: No installed package knows the URI's scheme.
    """
    if "://" not in location:
        return _in_home(location)
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path = ObjectStoragePath(location)
    return local_path(path) or path


def _in_home(path: str) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises for names like ~$contacts.csv


class NotARegularFileError(OSError):
    """A path leads to something else than a file with an end, such as a pipe."""


def open_file(location: str) -> IO[bytes]:
    """Open a file for reading bytes.

    Args:
        location: A local path, or a URI that Airflow's ``ObjectStoragePath`` takes (``s3://connection@bucket/key``).

    Returns:
        The open file; a context manager, as every file.

    Raises:
        OSError: The file cannot be opened, or it is a local one that is not regular: reading a pipe lasts as long as
            its writer likes.
        ImportError: The package that opens files of the URI's scheme is not installed.
        ValueError: No installed package knows the URI's scheme.
    """
    path = local_or_stored(location)
    if isinstance(path, Path):
        return _open_regular(path)
    opened: IO[bytes] = path.open("rb")  # type: ignore[no-untyped-call]
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
        local = local_path(path)
        with _open_regular(local) if local else path.open("rb") as file:  # type: ignore[no-untyped-call]
            return bytes(file.read(size))
    except FileNotFoundError:
        return None


def _open_regular(path: Path) -> IO[bytes]:
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
