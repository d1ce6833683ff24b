"""Delimited text (CSV): lines in, records out."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from airflow_provider_cleanlist.contacts.errors import EmptyFileError, MalformedFileError
from airflow_provider_cleanlist.contacts.recognition import count_recognised

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""The delimiters that are detected, and their names for messages."""

_SAMPLE_LINES = 50
_EXCEL_HINT = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)


class DelimitedFile:
    """One delimited text: its delimiter, its header and its records.

    The delimiter is the one under which most column names are recognised, then the one under which the first
    records agree best on a number of cells. Excel's first line ``sep=;`` is honoured.

    Args:
        lines: The text's lines, with their ends.

    Attributes:
        delimiter: The delimiter found.
        columns: The names in the first record that is not blank; repeated names get a number, as in
            ``Email (2)``, nameless columns their position, as in ``column 7``.

    Raises:
        EmptyFileError: If there is no record at all.
        MalformedFileError: If quotation marks are not balanced.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        head = list(islice(lines, _SAMPLE_LINES))
        hint = _EXCEL_HINT.fullmatch(head[0]) if head else None
        self._skipped = 1 if hint else 0
        self.delimiter = hint[1] if hint else sniff_delimiter(head)
        self._reader = csv.reader(
            chain(head[self._skipped :], lines),
            delimiter=self.delimiter,
            skipinitialspace=True,
            strict=True,
        )
        self._records = self._read()
        header = next((record for record in self._records if any(map(str.strip, record))), None)
        if header is None:
            raise EmptyFileError("The file is empty: it holds neither a header nor any row.")
        self.columns = unique_names(header)

    def records(self) -> Iterator[list[str]]:
        """Yield the records after the header, each a list of cells; a blank line is an empty list."""
        return self._records

    def _read(self) -> Iterator[list[str]]:
        while True:
            start = self._reader.line_num
            try:
                record = next(self._reader, None)
            except csv.Error as error:
                raise MalformedFileError(self._explain(str(error), start + self._skipped + 1)) from None
            if record is None:
                return
            yield record

    def _explain(self, problem: str, line: int) -> str:
        if "unexpected end" in problem or "field larger" in problem:
            return (
                f"A quotation mark opened in the record at line {line} is never closed, or the cell is longer "
                f"than {csv.field_size_limit():,} characters."
            )
        return (
            f"The record at line {line} continues after a closing quotation mark. "
            "Quotation marks inside a quoted cell must be doubled."
        )


def sniff_delimiter(head: Sequence[str]) -> str:
    """Return the delimiter of a text that starts with these lines."""
    return max(DELIMITERS, key=lambda delimiter: _plausibility(head, delimiter))


def _plausibility(head: Sequence[str], delimiter: str) -> tuple[int, int, int]:
    reader = csv.reader(head, delimiter=delimiter, skipinitialspace=True)
    records: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # a cell that the sample cuts off; the records before it count
        records.extend(filter(None, reader))
    if not records:
        return (0, 0, 0)
    width = len(records[0])
    agreeing = sum(len(record) == width for record in records) if width > 1 else 0
    return (count_recognised(records[0]), agreeing, width)


def unique_names(header: Sequence[str]) -> tuple[str, ...]:
    """Return column names without repetition: ``Email``, ``Email (2)``; nameless ones get their position."""
    names: dict[str, None] = {}
    for position, cell in enumerate(header, start=1):
        base = cell.strip() or f"column {position}"
        name, repetition = base, 1
        while name in names:
            repetition += 1
            name = f"{base} ({repetition})"
        names[name] = None
    return tuple(names)
