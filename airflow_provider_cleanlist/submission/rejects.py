"""The contacts that were not submitted, as a file for the user.

It holds contact fields, because the user asked for it by naming a path. Without a path there is no file.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Self

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS
from airflow_provider_cleanlist.durable_files import make_folder, replaced_file
from airflow_provider_cleanlist.exceptions import CleanlistRejectsFileError
from airflow_provider_cleanlist.storage import local_or_stored

REFUSED_BY_CLEANLIST = "refused_by_cleanlist"
"""Reason of a contact that the API refused with HTTP 422."""
UNKNOWN_OUTCOME = "unknown_outcome"
"""Reason of a contact that Cleanlist may or may not have accepted."""
REJECT_COLUMNS = ("row", "reason", *CONTACT_FIELDS)

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters by which spreadsheets take a value for a formula; the last ones are as wide as Chinese letters."""
_INNER_START = re.compile(r"""([;|\t\r\n][;|\s"]*+)([=+\-@\uff1d\uff0b\uff0d\uff20]?)""")
"""Where a formula would begin in a spreadsheet whose separator is a semicolon, a tab, a bar or a line break."""
_MEMORY_BYTES = 1024 * 1024


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula, also behind spaces, which some of them drop.

    Nor any part of it behind what another separator than the file's would end a cell with.

    Args:
        text: The text of the cell.
    """
    begin = len(text) - len(text.lstrip())
    if not text.startswith(FORMULA_STARTS) and not text.startswith(FORMULA_STARTS, begin):
        return _quoted_inside(text)
    return f"'{text[: begin + 1]}{_quoted_inside(text[begin + 1 :])}"


def _quoted_inside(text: str) -> str:
    return _INNER_START.sub(lambda found: f"{found[1]}'{found[2]}" if found[2] else found[1], text)


class Rejects:
    """Collects rows on the local disk and writes them to a file as CSV (UTF-8, one header line).

    Every save replaces the file. Use it as a context manager, or call :meth:`close`.

    Args:
        path: A local path, or a URI that Airflow's ``ObjectStoragePath`` takes.
        escape_formulas: Put an apostrophe before values that a spreadsheet would take for a formula.
    """

    def __init__(self, path: str, *, escape_formulas: bool = True) -> None:
        self._path = path
        self._escape_formulas = escape_formulas
        self._bytes = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, mode="w+b")  # noqa: SIM115
        self._text = io.TextIOWrapper(
            self._bytes, encoding="utf-8", errors="backslashreplace", newline="", write_through=True
        )
        self._csv = csv.writer(self._text)
        self._csv.writerow(REJECT_COLUMNS)
        self._count = 0
        self._saved: int | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, row: int, reason: str, values: Mapping[str, object]) -> None:
        """Add a contact as one line.

        Args:
            row: Its row in the source.
            reason: Why it was not submitted, as a code.
            values: Its values by contact field.
        """
        self._csv.writerow([row, reason, *(self._cell(values.get(name)) for name in CONTACT_FIELDS)])
        self._count += 1

    def _cell(self, value: object) -> str:
        text = "" if value is None else str(value)
        return harmless(text) if self._escape_formulas else text

    def save(self) -> None:
        """Write the file, unless it is already complete.

        Raises:
            CleanlistRejectsFileError: It cannot be written.
        """
        if self._saved == self._count:
            return
        self._bytes.seek(0)
        try:
            with self._open() as file:
                shutil.copyfileobj(self._bytes, file)
        except Exception as error:
            raise CleanlistRejectsFileError(
                f"rejects_path cannot be written: {type(error).__name__}. What was submitted is recorded: another "
                "attempt of the task submits only the rest."
            ) from error
        finally:
            self._bytes.seek(0, io.SEEK_END)
        self._saved = self._count

    def _open(self) -> AbstractContextManager[IO[bytes]]:
        path = local_or_stored(self._path)
        if not isinstance(path, Path):
            opened: IO[bytes] = path.open("wb")  # type: ignore[no-untyped-call]
            return opened
        make_folder(path.parent)
        # what somebody else may have put there is neither followed nor kept
        is_stream = path.is_char_device() or path.is_fifo()
        return (
            open(path, "wb", opener=_open_stream) if is_stream and _is_trusted(path) else replaced_file(path)
        )

    def close(self) -> None:
        """Release the disk space."""
        self._text.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_stream(path: str, flags: int) -> int:
    """Open a pipe or device; a pipe that nobody reads is an error, where the task would wait forever."""
    stream = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(stream, True)
    return stream


def _is_trusted(path: Path) -> bool:
    """Whether a path, and what it links to, belong to this user or root."""
    return {path.lstat().st_uid, path.stat().st_uid} <= {os.geteuid(), 0}
