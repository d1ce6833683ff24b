"""Files on local disks and in object storage, opened the same way."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Literal


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
