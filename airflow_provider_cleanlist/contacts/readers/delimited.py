"""Delimited text (CSV): lines in, records out."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from airflow_provider_cleanlist.contacts.addresses import parse_linkedin_url
from airflow_provider_cleanlist.contacts.columns import source_columns
from airflow_provider_cleanlist.contacts.errors import MalformedFileError
from airflow_provider_cleanlist.contacts.readers.records import (
    HEADER_WITHIN,
    LABELS_WITHIN,
    RecordReader,
    are_notes,
    are_totals,
    better_header,
    contradicts,
    filled,
    find_header,
    has_value,
    is_count,
    is_second_header,
    may_be_header,
    names_columns,
    read_head,
    two_headers,
    words_of_no_row,
)
from airflow_provider_cleanlist.contacts.recognition import (
    count_recognised,
    header_key,
    is_about_a_person,
    is_nameless,
    is_value,
    with_groups,
)
from airflow_provider_cleanlist.contacts.report import Tally
from airflow_provider_cleanlist.input_limits import LOOK_CHARACTERS, SHEET_COLUMNS, SOURCE_COLUMNS

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""The delimiters that are detected, and their names for messages."""
MAX_CELL_CHARACTERS = 8 * 1024 * 1024
"""Longest cell; Python's own limit of 131,072 is less than what some exports have in a cell."""

_FOOTER_WITHIN = 20  # records
_FOOTER_CHARACTERS = 10_000
_NAME_CHARACTERS = 200
_SAMPLE_LINES = 50
_QUESTION_ID = re.compile(r'\{"ImportId":.*\}')  # the third header of Qualtrics
_FOOTER_START = re.compile(
    r"(?:created|downloaded|exported|generated|prepared|printed) (?:at|by|from|on)\b|filter(?:s|ed by):?\b"
    r"|confidential\b|copyright\b|\N{COPYRIGHT SIGN}",
    re.IGNORECASE,
)
_EXCEL_HINT = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)


class DelimitedFile:
    """One delimited text: its delimiter, its header and its records.

    The header is the first of the first 20 records that names columns (:func:`.records.names_columns`), or the next one
    if that one knows more or other names; if there is none, the first record that is not blank. The delimiter is one
    under which most records agree on a number of cells, then the one under which most column names of the header are
    known. Where two records may be the header, by one delimiter or by two, the text is refused: somebody may have typed
    names of columns into a form. Excel's first line ``sep=;`` is honoured.

    A text whose rows stand whole in the first cells, as Excel saves what it has not split, is read by what these hold.
    Quotation marks inside a quoted cell are doubled, or follow a backslash. Spaces may stand around quoted cells. In
    tab-separated text, a quotation mark that does not enclose the whole cell belongs to the value. Apostrophes that
    enclose every name of the header are quotation marks.

    Records are counted from the first line on, as a spreadsheet counts its rows, but from 0, so that the first row
    below a header on top is row 1.

    Args:
        lines: The text's lines, with their ends.
        header_row: Which record is the header, counted from 1; by default it is searched for.
        count_known: Returns how many of some names are known to be those of columns.

    Attributes:
        delimiter: The delimiter found.
        columns: The names in the header; repeated names get a number, as in ``Email (2)``, nameless columns their
            position, as in ``column 7``.
        has_groups: Whether the names hold those of groups, see :func:`..recognition.with_groups`.

    Raises:
        EmptyFileError: If there is no record at all.
        MalformedFileError: If quotation marks are not balanced, a record is too large, ``header_row`` names no record,
            two records may be the header, or nothing but blank lines is found as far as the header is searched for.
        ColumnError: If the header has more columns than are read, or longer names.
    """

    def __init__(
        self,
        lines: Iterator[str],
        *,
        header_row: int | None = None,
        count_known: Callable[[Iterable[str]], int] = count_recognised,
    ) -> None:
        if csv.field_size_limit() < MAX_CELL_CHARACTERS:
            csv.field_size_limit(MAX_CELL_CHARACTERS)
        count_known = _short_only(count_known)
        most = _SAMPLE_LINES + (header_row or 0)
        head = list(_first_lines(lines, most))
        if wrapping := _wrapping_delimiter(head, count_known):
            lines = _rows_in_cells(chain(head, lines), wrapping)
            head = list(_first_lines(lines, most))
        hint = _EXCEL_HINT.fullmatch(head[0]) if head else None
        skipped = 1 if hint else 0
        self.delimiter = hint[1] if hint else sniff_delimiter(head, header_row, count_known)
        quote = _quotation_mark(head[skipped:], self.delimiter, count_known)
        self._reader = RecordReader(
            chain(head[skipped:], lines), self.delimiter, quote, first_line=1 + skipped
        )
        records = enumerate(self._reader)
        self._count_known = count_known
        head_records = read_head(records, header_row, count_known, lambda: self._reader.characters)
        position = find_header(head_records, header_row, count_known)
        if header_row is None:
            self._reader.width = len(_whole_names(head_records[position][1], self.delimiter))
            position = better_header(head_records, position, records, count_known)
        self._header_number, self._header = head_records[position]
        self._lines_above = sum(map(has_value, (cells for _, cells in head_records[:position])))
        self._records = chain(head_records[position + 1 :], records)
        names = self._names()
        plain = source_columns(names)
        above = head_records[position - 1][1] if position and header_row is None else []
        self.columns = source_columns(with_groups(names, above))
        self.has_groups = self.columns != plain
        self._reader.width = len(self.columns)
        self._keys = list(map(header_key, plain))
        self._further_headers = Tally()
        self._totals = Tally()
        self._footer = Tally()

    def _names(self) -> list[str]:
        """Return the header's names, those whole again that it lacks quotation marks for, if the next record fits."""
        whole = _whole_names(self._header, self.delimiter)
        if len(whole) == len(self._header):
            return self._header
        self._reader.width = len(whole)
        following = next(self._records, None)
        if following is None:
            return self._header
        self._records = chain([following], self._records)
        return whole if len(following[1]) == len(whole) else self._header

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield number and cells of each record after the header; a blank line has no cells.

        Repetitions of the header are skipped, and so are further headers and notes directly below it, and totals. So
        is a footer: records with nothing but a first cell, after a blank one and before the end.

        Raises:
            MalformedFileError: Another header stands below the first.
        """
        held: list[tuple[range, list[str]]] = []
        is_after_blank = False
        words = words_of_no_row().union(filter(None, self._header))
        for number, cells in self._below_labels():
            if not has_value(cells):
                is_after_blank = True
                if held:
                    begin = number if has_value(held[-1][1]) else held.pop()[0].start
                    held.append((range(begin, number + 1), []))
                    continue
            elif not words.isdisjoint(cells) and self._is_no_row(
                number, cells
            ):  # fast: few rows hold such a word
                continue
            elif is_after_blank:
                if len(held) < _FOOTER_WITHIN and self._may_be_footer(cells, is_behind_another=bool(held)):
                    held.append((range(number, number + 1), cells))
                    continue
                is_after_blank = False
                yield from ((number, cells) for numbers, cells in held for number in numbers)
                held.clear()
            elif cells.count("") + 1 >= len(cells) and is_count(cells):  # fast: few rows hold a single cell
                self._totals.add(number)
                continue
            yield number, cells
        for numbers, cells in held:
            if has_value(cells):
                self._footer.add(numbers.start)
            else:
                yield from ((number, cells) for number in numbers)

    def _repeats_header(self, cells: Sequence[str]) -> bool:
        """Return whether a record is the header in another spelling, as joined files have it: every name of it."""
        if header_key(cells[0][:_NAME_CHARACTERS]) != self._keys[0]:
            return False
        keys = [header_key(cell) for cell in cells if len(cell) <= _NAME_CHARACTERS]
        return len(keys) > 1 and keys == self._keys and self._count_known(cells) > 1

    def _is_no_row(self, number: int, cells: Sequence[str]) -> bool:
        """Return whether a record is the header once more or adds others up, and note it."""
        if cells == self._header or self._repeats_header(cells):
            self._further_headers.add(number)
            return True
        if are_totals(cells):
            self._totals.add(number)
            return True
        if is_second_header(cells):
            raise MalformedFileError(
                f"Row {number} names columns, but not those of the header: another table starts there, or files with "
                "different columns were joined. Put each into a file of its own, or, if that row is the header of all "
                f"below it, give header_row={number + 1}."
            )
        return False

    def _below_labels(self) -> Iterator[tuple[int, list[str]]]:
        """Return the records below the header and the labels of its columns that some tools write below it."""
        for number, cells in islice(self._records, LABELS_WITHIN):
            if not self._is_label_line(cells):
                return chain([(number, cells)], self._records)
            self._further_headers.add(number)
        return self._records

    def _is_label_line(self, cells: Sequence[str]) -> bool:
        """Return whether a record speaks of columns: two known names in columns that are known, ids, or notes."""
        if any(map(_QUESTION_ID.fullmatch, cells)) or are_notes(cells):
            return True
        if not names_columns(self._header, self._count_known) or is_about_a_person(cells, self.columns):
            return False
        named = [
            cell
            for cell, name in zip(cells, self.columns, strict=False)
            if self._count_known([name]) and self._count_known([cell])
        ]
        return len(named) > 1 and not contradicts(self.columns, cells)

    def skipped_lines(self) -> list[str]:
        """Return log lines about the records that were skipped so far."""
        lines = []
        if self._lines_above:
            where = f"the header is row {self._header_number + 1} of the file"
            lines.append(f"Lines above the header skipped: {self._lines_above:,} ({where}).")
        if self._further_headers.count:
            lines.append(f"Further header lines skipped: {self._further_headers}.")
        if self._totals.count:
            lines.append(f"Totals skipped: {self._totals}.")
        if self._footer.count:
            lines.append(f"Footer lines skipped: {self._footer}.")
        return lines

    def _may_be_footer(self, cells: Sequence[str], *, is_behind_another: bool) -> bool:
        """Return whether a record may belong to a footer: its words, or one cell alone that holds a sentence.

        The sentence stands in the first column, or the first that has a name; a single word is part of a footer behind
        another record of it.
        """
        if max(map(len, cells)) > _FOOTER_CHARACTERS:
            return False
        if _FOOTER_START.match(cells[0].strip()):
            return True
        place = next(at for at, cell in enumerate(cells) if cell.strip())
        if len(self.columns) == 1 or has_value(cells[place + 1 :]) or not self._is_first(place):
            return False
        text = cells[place].strip()
        is_footer = len(cells) == 1 or " " in text or (is_behind_another and not is_value(text))
        return is_footer and parse_linkedin_url(text) is None

    def _is_first(self, place: int) -> bool:
        """Return whether no column with a name stands before a place."""
        return all(map(is_nameless, self.columns[:place]))


def _wrapping_delimiter(head: Sequence[str], count_known: Callable[[Iterable[str]], int]) -> str | None:
    """Return what stands behind the first cells, if a spreadsheet has put each row as a whole into these."""
    if not head or head[0][:1] != '"':
        return None
    for delimiter in DELIMITERS:
        records = [record for record in _sample(head, delimiter, strict=True) if has_value(record)]
        rows = [record[0] for record in records if not has_value(record[1:])]
        if len(rows) == len(records) and any(
            names_columns(names, count_known) for inner in DELIMITERS for names in _sample(rows, inner)
        ):
            return delimiter
    return None


def _rows_in_cells(lines: Iterator[str], delimiter: str) -> Iterator[str]:
    """Yield the lines that stand whole in the first cells. Further cells make a row longer than the header."""
    for cells in RecordReader(lines, delimiter, '"', first_line=1):
        yield from f"{delimiter.join(cells).rstrip(f'{delimiter} ')}\n".splitlines(keepends=True)


def _whole_names(header: Sequence[str], delimiter: str) -> list[str]:
    """Join what a delimiter in the brackets of an unquoted name has cut: ``Name (Last`` and ``First)``."""
    whole: list[list[str]] = []
    unclosed = 0
    for cell in header:
        if unclosed > 0:
            whole[-1].append(cell)
        else:
            whole.append([cell])
            unclosed = 0
        unclosed += cell.count("(") - cell.count(")")
    return list(map(delimiter.join, whole)) if unclosed <= 0 else list(header)


def _first_lines(lines: Iterator[str], most: int) -> Iterator[str]:
    """Yield the first lines, as many as are looked at."""
    characters = 0
    for line in islice(lines, most):
        yield line
        characters += len(line)
        if characters > LOOK_CHARACTERS:
            return


def _short_only(count_known: Callable[[Iterable[str]], int]) -> Callable[[Iterable[str]], int]:
    """Keep cells from being compared that are too long to be a name, or more than a source has columns."""

    def count(cells: Iterable[str]) -> int:
        short = dict.fromkeys(cell for cell in cells if len(cell) <= _NAME_CHARACTERS)
        return count_known(list(islice(short, SOURCE_COLUMNS + 1)))

    return count


def sniff_delimiter(
    head: Sequence[str],
    header_row: int | None = None,
    count_known: Callable[[Iterable[str]], int] = count_recognised,
) -> str:
    """Return the delimiter of a text that starts with these lines.

    Args:
        head: The first lines.
        header_row: Which record is the header, counted from 1, if that is known.
        count_known: Returns how many of some names are known to be those of columns.
    """
    samples = {delimiter: _sample(head, delimiter) for delimiter in DELIMITERS}
    splits = {delimiter: _split(records, header_row, count_known) for delimiter, records in samples.items()}
    found = max(DELIMITERS, key=splits.__getitem__)
    for delimiter, split in splits.items():
        if header_row is None and delimiter != found and split.position < splits[found].position:
            cells = samples[delimiter][split.position]
            is_sure = names_columns(cells, count_known) or (split.most_agree and split.known)
            if is_sure and may_be_header(cells, count_known):
                raise two_headers(split.position, splits[found].position)
    return found


def _quotation_mark(head: Sequence[str], delimiter: str, count_known: Callable[[Iterable[str]], int]) -> str:
    """Return what encloses cells: apostrophes if they enclose every name of the header, else quotation marks."""
    header = next((record for record in _sample(head, delimiter) if names_columns(record, count_known)), [])
    names = filled(header)
    return "'" if names and all(name[0] == name[-1] == "'" for name in names) else '"'


def _sample(head: Sequence[str], delimiter: str, *, strict: bool = False) -> list[list[str]]:
    records: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # a cell that the sample cuts off; the records before it count
        records.extend(
            record if len(record) <= SHEET_COLUMNS else []
            for record in csv.reader(head, delimiter=delimiter, skipinitialspace=True, strict=strict)
        )
    return records


@dataclass(frozen=True, slots=True, order=True)
class _Split:
    """How a text reads under one delimiter: the greater, the more plausible."""

    most_agree: bool = False
    known: int = 0
    agreeing: int = 0
    width: int = 0
    position: int = field(default=0, compare=False)


def _split(
    records: Sequence[list[str]], header_row: int | None, count_known: Callable[[Iterable[str]], int]
) -> _Split:
    candidates = [position for position, record in enumerate(records) if record][:HEADER_WITHIN]
    if header_row is not None:
        candidates = [header_row - 1] if header_row <= len(records) else []
    if not candidates:
        return _Split()
    header = next(
        (position for position in candidates if names_columns(records[position], count_known)), candidates[0]
    )
    width = len(records[header])
    rows = list(filter(None, records[header:]))
    agreeing = sum(len(record) == width for record in rows) if width > 1 else 0
    return _Split(agreeing * 2 > len(rows), count_known(records[header]), agreeing, width, header)
