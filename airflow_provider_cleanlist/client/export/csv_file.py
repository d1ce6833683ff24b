"""The CSV file of an export, as it arrives: bytes become leads. Pure: no I/O.

The vendor does not say how the file is written. Accepted is what CSV writers agree on: UTF-8 with or without a byte
order mark, commas, cells in double quotes where they need them, and a header of column names or labels.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from airflow_provider_cleanlist.input_limits import EXPORT_COLUMNS, EXPORT_ROW_BYTES, FIELD_CHARACTERS
from airflow_provider_cleanlist.records import ColumnRecords

EXPORT_FIELDS = (
    "lead_id",
    "first_name",
    "last_name",
    "email",
    "title",
    "company",
    "domain",
    "linkedin_url",
    "phone",
    "location",
)
"""Fields of a lead in an export, unless its request names others. Columns of smart agents follow."""
_OTHER_NAMES = {
    "id": "lead_id",
    "job_title": "title",
    "company_name": "company",
    "company_domain": "domain",
    "linkedin": "linkedin_url",
    "linkedin_profile": "linkedin_url",
    "phone_number": "phone",
}
"""Other labels of these fields."""
_ONLY_IN_PAGES = ("full_name", "provider")
"""Documented fields of a lead that no export has: a column of this name is a smart agent's."""
_CELL_CHARACTERS = 131_072
"""The limit of Python's reader for one cell, unless the process changes it."""
_ASIDE = b"\0"
"""Stands for a cell that was put aside; rows that hold it themselves are left to Python's reader."""


_MARK = re.compile(rb'"[^"]*"|[,\r\n]')
_TOO_WIDE = f"it has more than {EXPORT_COLUMNS} columns"


class UnreadableExportError(Exception):
    """The file is not what its reader understands; the text names rows and columns by number, and no value."""


def fields_of(header: Sequence[str]) -> tuple[str, ...]:
    """Return the field of each column of a header: the documented one whose name or label it is, else the text itself.

    The column of a smart agent that is named like a documented field gets ``(smart agent)`` after its name. If it has
    the very name of a documented column, its place tells: after all of these.

    Args:
        header: The cells of the file's first row.

    Raises:
        UnreadableExportError: Two columns have the same name, and their places do not tell whose it is; one has none;
            or there are too many of them or of their characters.
    """
    if len(header) > EXPORT_COLUMNS:
        raise UnreadableExportError(_TOO_WIDE)
    if sum(map(len, header)) > FIELD_CHARACTERS:
        raise UnreadableExportError(
            f"its column names have more than {FIELD_CHARACTERS:,} characters together"
        )
    names = [cell.strip() for cell in header]
    documented = _documented_columns(names)
    taken = {*EXPORT_FIELDS, *(names[number] for number in documented)}
    fields = [documented.get(number) or _agents_name(name, taken) for number, name in enumerate(names)]
    for texts in (fields,) if _come_first(documented) else (names, fields):
        for number, text in enumerate(texts, start=1):
            if not text:
                raise UnreadableExportError(f"column {number} has no name")
            if texts.index(text) < number - 1:
                raise UnreadableExportError(
                    f"columns {texts.index(text) + 1} and {number} have the same name"
                )
    return tuple(fields)


def _documented_columns(names: Sequence[str]) -> dict[int, str]:
    """Return the documented field of each column that holds one, by the number of the column.

    In a header of names the exact name counts first, in one of labels any other spelling of several words; then the
    label of the name, then other labels; of several columns the first one, as those of smart agents come last.
    """
    has_names = _has_names(names)
    best: dict[str, tuple[bool, bool, int]] = {}
    for number, name in enumerate(names):
        form = _form(name)
        field = _OTHER_NAMES.get(form, form)
        if field in EXPORT_FIELDS:
            is_of_other_kind = name != field if has_names else name == field and "_" in name
            rank = (is_of_other_kind, form != field, number)
            best[field] = min(best.get(field, rank), rank)
    return {number: field for field, (_, _, number) in best.items()}


def _has_names(names: Sequence[str]) -> bool:
    """Return whether a header has names or labels, as most fields of several words say: ``first_name``, ``First Name``.

    The others are the same in both but for letter case, and a smart agent may have any name.
    """
    spellings: dict[str, set[bool]] = {}
    for name in names:
        if "_" in (field := _form(name)) and field in EXPORT_FIELDS:
            spellings.setdefault(field, set()).add(name == field)
    exact = sum(True in found for found in spellings.values())
    return exact > 0 and exact >= sum(False in found for found in spellings.values())


def _come_first(documented: Mapping[int, str]) -> bool:
    """Return whether all documented columns begin the header, in the API's order: those after them are agents'."""
    return tuple(map(documented.get, range(len(EXPORT_FIELDS)))) == EXPORT_FIELDS


def _agents_name(name: str, taken: Container[str]) -> str:
    return f"{name} (smart agent)" if name in taken or _form(name) in _ONLY_IN_PAGES else name


def _form(label: str) -> str:
    return "_".join(label.replace("_", " ").replace("-", " ").split()).casefold()


class ExportParser:
    """Turns the bytes of a file into leads, wherever they are cut.

    Args:
        fields: Fields of the columns, if the header was read before; None begins with the header.
        at: Number of bytes of the file before the first one that is pushed.
        rows: Number of leads in these.

    Attributes:
        fields: Fields of the columns; None before the header is complete.
        at: Number of bytes that belong to rows returned so far, the header included.
        rows: Number of leads returned so far.
    """

    def __init__(self, fields: Sequence[str] | None = None, at: int = 0, rows: int = 0) -> None:
        self.fields = None if fields is None else tuple(fields)
        self.at = at
        self.rows = rows
        self._rest = b""
        self._quotes = 0  # before the end of the rest

    def push(self, data: bytes) -> Sequence[dict[str, Any]]:
        """Take bytes, and return the leads that are complete with them.

        Args:
            data: The next bytes of the file, cut anywhere.

        Raises:
            UnreadableExportError: The file cannot be read.
        """
        begin = len(self._rest)
        self._rest += data
        self._quotes += data.count(b'"')
        end = _end_of_rows(self._rest, begin, self._quotes)
        if len(self._rest) - end > EXPORT_ROW_BYTES:
            raise UnreadableExportError(f"row {self.rows + 1} is larger than {EXPORT_ROW_BYTES} bytes")
        block, self._rest = self._rest[:end], self._rest[end:]
        return self._leads(block)

    def end(self) -> list[dict[str, Any]]:
        """Return the last lead, if its row does not end in a line break.

        Raises:
            UnreadableExportError: The file ends in the middle of a row, or has not even a header.
        """
        block, self._rest = self._rest, b""
        leads = self._leads(block)
        if self.fields is None:
            raise UnreadableExportError("it is empty, even without a header")
        return [*leads]

    def _leads(self, block: bytes) -> Sequence[dict[str, Any]]:
        if not block:
            return []
        columns = self._columns(block)
        if self.fields is None:
            if not columns:
                return []
            self.fields = fields_of([column.pop(0) for column in columns])
        for column in columns:
            if "" in column:
                column[:] = [cell or None for cell in column]
        leads = ColumnRecords(dict(zip(self.fields, columns, strict=True)))
        if "lead_id" in self.fields and None in leads.columns["lead_id"]:
            row = self.rows + leads.columns["lead_id"].index(None) + 1
            raise UnreadableExportError(f"row {row} has no lead_id")
        self.at += len(block)
        self.rows += len(leads)
        return leads

    def _columns(self, block: bytes) -> list[list[Any]]:
        """Return the cells of whole rows by column; none if there is not even a header."""
        if self.at == 0:
            block = block.removeprefix(codecs.BOM_UTF8)
        known = None if self.fields is None else len(self.fields)
        if known is None and _is_too_wide(block):
            raise UnreadableExportError(_TOO_WIDE)
        try:
            if columns := columns_of_plain_csv(block, known):
                return columns
            text = block.decode()
        except UnicodeDecodeError:
            text = None
        if text is None:
            raise UnreadableExportError(f"it is not UTF-8 at row {self.rows + 1} or after it")
        rows = self._rows(text)
        if not rows:
            return [[] for _ in self.fields or ()]
        before = self.rows + (self.fields is not None)
        width = known or len(rows[0])
        for number, row in enumerate(rows):
            if len(row) != width:
                raise UnreadableExportError(f"row {before + number} has {len(row)} cells instead of {width}")
        return [list(column) for column in zip(*rows, strict=True)]

    def _rows(self, text: str) -> list[list[str]]:
        problem = ""
        try:
            return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        except csv.Error:  # its text can quote the file
            longest = max(map(len, text.split('"')))
            problem = " (a cell may be too long)" if longest > _CELL_CHARACTERS else ""
        raise UnreadableExportError(f"it is not CSV at row {self.rows + 1} or after it{problem}")


def _is_too_wide(header: bytes) -> bool:
    """Return whether the first row has too many cells, without making an object of each."""
    commas = 0
    for mark in _MARK.finditer(header.lstrip(b"\r\n")):
        if mark[0] in (b"\r", b"\n"):
            return False
        commas += mark[0] == b","
        if commas >= EXPORT_COLUMNS:
            return True
    return False


def columns_of_plain_csv(data: bytes, width: int | None = None) -> list[list[str]] | None:
    """Return the cells of CSV by column, in a fraction of the time of Python's reader, which takes a row at a time.

    What is between quotation marks is put aside, so that every comma and line break that is left separates cells.

    Args:
        data: Whole rows, in UTF-8.
        width: Cells in each row; None takes as many as the first one has.

    Returns:
        The columns, or None if the rows are not as plain as programs write them: of other widths or of one cell, with
        marks within a cell that has none around it, with carriage returns alone, with very long cells, without a line
        break at the end. Python's reader decides then.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    if _ASIDE in data or data.count(b'"') % 2 or not data.endswith(b"\n"):
        return None
    cells, between = _put_aside(data)
    begun, ended = {part[-1:] for part in between[:-1]}, {part[:1] for part in between[1:]}
    rest = _ASIDE.join(between).replace(b"\r\n", b"\n")
    if not begun <= {b"", b",", b"\n"} or not ended <= {b",", b"\n", b"\r"} or b"\r" in rest:
        return None
    width = width or rest.count(b",", 0, rest.index(b"\n")) + 1
    # every line break is in front of the first cell of the row after it, if all rows have this width
    flat = rest[:-1].replace(b"\n", b",\n").split(b",")
    first = b"".join(flat[::width]).split(b"\n")
    if width == 1 or len(flat) != len(first) * width or len(first) != rest.count(b"\n"):
        return None
    flat[::width] = first
    if cells:
        following = iter(cells).__next__
        flat = [following() if cell == _ASIDE else cell for cell in flat]
    if max(map(len, flat)) > _CELL_CHARACTERS:
        return None
    return [_ASIDE.join(flat[number::width]).decode().split("\0") for number in range(width)]


def _put_aside(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return what is between quotation marks, and what is before, between and after these cells."""
    parts = data.split(b'"')
    inside, outside = parts[1::2], parts[::2]
    if b"" not in outside[1:]:
        return inside, outside
    cells, between, cell = [], [outside[0]], []
    for part, after in zip(inside, outside[1:], strict=False):
        cell.append(part)
        if after:  # else the mark is doubled, and the cell goes on
            cells.append(b'"'.join(cell))
            between.append(after)
            cell = []
    return cells, between


def missing_fields(wanted: Sequence[str], lead: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Return which of some fields an export does not have, in order.

    Args:
        wanted: The fields.
        lead: Fields that it has.
    """
    return [field for field in wanted if field not in lead]


def _end_of_rows(data: bytes, begin: int, marks: int) -> int:
    """Return where the last complete row ends: after the last line break that is not inside quotes.

    A quotation mark inside quotes is doubled, so a break is outside if the marks before it are even in number.

    Args:
        data: The bytes after the last complete row.
        begin: Where to begin, as no row ends before.
        marks: How many marks there are up to the end of these bytes, from the beginning of any row on.
    """
    end = len(data)
    while (at := data.rfind(b"\n", begin, end)) >= 0:
        marks -= data.count(b'"', at, end)
        if marks % 2 == 0:
            return at + 1
        end = at
    return 0
