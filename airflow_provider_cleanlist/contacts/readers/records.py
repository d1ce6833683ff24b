"""Lines of delimited text to records: each read strictly, or in one of the ways in which tools write it."""

from __future__ import annotations

import contextlib
import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from airflow_provider_cleanlist.contacts.errors import ColumnError, MalformedFileError
from airflow_provider_cleanlist.input_limits import LOOK_CHARACTERS, SHEET_COLUMNS, SOURCE_COLUMNS

_TOO_LARGE = "record too large"
_FEWEST_CELLS = 3  # filled ones of a row that is told from a line of text by them


class _Lines:
    """Lines that can be taken once more.

    Attributes:
        taken: The lines of the record that is being read.
        characters: How many characters they have.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.taken: list[str] = []
        self.characters = 0
        self._again: deque[str] = deque()
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        self.characters += len(line)
        if self.characters > LOOK_CHARACTERS and len(self.taken) > 1:
            raise csv.Error(_TOO_LARGE)
        return line

    def put_back(self) -> None:
        """Hand out once more what was taken."""
        self._again.extendleft(reversed(self.taken))
        self.forget()

    def forget(self) -> None:
        """Begin the next record."""
        self.taken.clear()
        self.characters = 0


class RecordReader:
    """Reads records strictly, and one that is not well-formed in each of the ways in which tools write them.

    Args:
        lines: The text's lines, with their ends.
        delimiter: What stands between cells.
        quote: What encloses them.
        first_line: The number of the first line, for messages.

    Attributes:
        width: Number of cells in the header; None before it is known.
        characters: How many characters the records so far have.
    """

    def __init__(self, lines: Iterator[str], delimiter: str, quote: str, first_line: int) -> None:
        self.width: int | None = None
        self.characters = 0
        self._quote = quote
        self._lines = _Lines(lines)
        self._line = first_line
        self._delimiter = delimiter
        blanks = " " if delimiter == "\t" else r" \t"
        self._space_after_quote = re.compile(rf'"[{blanks}]+(?={re.escape(delimiter)}|[\r\n]*\Z)')

    def __iter__(self) -> Iterator[list[str]]:
        reader = self._csv(self._lines)
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                record = self._reread(str(error))
                reader = self._csv(self._lines)
            if record is None:
                return
            if self.width not in (None, len(record)) and self._has_backslashed_quote():
                record = self._with_backslashes() or record
                reader = self._csv(self._lines)
            if len(record) > SHEET_COLUMNS:
                raise ColumnError(
                    f"The record at line {self._line} has {len(record):,} cells. At most {SOURCE_COLUMNS:,} columns "
                    f"with a name and {SHEET_COLUMNS:,} in all are read: leave columns out, or check the delimiter and "
                    "the quotation marks there."
                )
            if len(self._lines.taken) > 1 and self._holds_rows():
                raise MalformedFileError(
                    f"A quotation mark opened in the record at line {self._line} is closed in a later one: each of its "
                    "lines has as many cells as the header. Remove or double the quotation marks."
                )
            self._line += len(self._lines.taken)
            self.characters += self._lines.characters
            self._lines.forget()
            yield record

    def _holds_rows(self) -> bool:
        """Return whether each line of a record is a record of its own, which a stray quotation mark has joined."""
        lines = [line for line in self._lines.taken if line.strip()]
        return self.width is not None and len(lines) > 1 and all(map(self._is_row, lines))

    def _is_row(self, line: str) -> bool:
        """Return whether a line has as many cells as the header, three of them filled. Text has spaces after commas."""
        if line.count(self._delimiter) + 1 != self.width or f"{self._delimiter} " in line:
            return False
        return sum(any(map(str.isalnum, cell)) for cell in line.split(self._delimiter)) >= _FEWEST_CELLS

    def _csv(self, lines: Iterable[str], **dialect: Any) -> Iterator[list[str]]:
        return csv.reader(
            lines,
            delimiter=self._delimiter,
            quotechar=self._quote,
            skipinitialspace=True,
            strict=True,
            **dialect,
        )

    def _has_backslashed_quote(self) -> bool:
        return any(r"\"" in line for line in self._lines.taken)

    def _with_backslashes(self) -> list[str] | None:
        """Read the record once more, as one with backslashes before quotation marks, if it fits the header then."""
        lines = len(self._lines.taken)
        self._lines.put_back()
        with contextlib.suppress(csv.Error):
            record = next(self._csv(self._lines, escapechar="\\"))
            if len(record) == self.width:
                return record
        self._lines.put_back()
        for _ in islice(self._lines, lines):  # as they were read before
            pass
        return None

    def _reread(self, problem: str) -> list[str]:
        dialects: list[dict[str, Any]] = [{}]
        if self._has_backslashed_quote():
            dialects.insert(0, {"escapechar": "\\"})
        for dialect in dialects:
            self._lines.put_back()
            lines = (self._space_after_quote.sub('"', line) for line in self._lines)
            with contextlib.suppress(csv.Error):
                return next(self._csv(lines, **dialect))
        self._lines.put_back()
        record = self._literal_record() if self._delimiter == "\t" else None
        if record is None:
            raise MalformedFileError(self._explain(problem))
        return record

    def _literal_record(self) -> list[str] | None:
        """Return the cells of the next line, quotation marks included, unless one is open at the end of its cell."""
        cells = next(self._lines).rstrip("\r\n").split(self._delimiter)
        if any(cell.startswith('"') and cell.count('"') < 2 for cell in cells):
            return None
        return [_unquoted(cell) for cell in cells] if self.width in (None, len(cells)) else None

    def _explain(self, problem: str) -> str:
        if "unexpected end" in problem or "field larger" in problem:
            return (
                f"A quotation mark opened in the record at line {self._line} is never closed, or the cell is longer "
                f"than {csv.field_size_limit():,} characters."
            )
        if problem == _TOO_LARGE:
            return (
                f"The record at line {self._line} is longer than {LOOK_CHARACTERS:,} characters. Close the quotation "
                "mark that is open there, or leave large cells out."
            )
        return (
            f"The record at line {self._line} continues after a closing quotation mark. "
            "Quotation marks inside a quoted cell must be doubled."
        )


def _unquoted(cell: str) -> str:
    text = cell.strip(" ")
    return text[1:-1].replace('""', '"') if re.fullmatch(r'"(?:[^"]|"")*"', text) else cell
