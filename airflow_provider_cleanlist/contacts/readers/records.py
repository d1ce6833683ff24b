"""The records of a delimited text: each is read strictly, or in one of the ways in which tools write it.

What a record is, functions without I/O tell: the header, labels or notes below it, another table's header, or totals.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any

from airflow_provider_cleanlist.contacts.errors import ColumnError, EmptyFileError, MalformedFileError
from airflow_provider_cleanlist.contacts.recognition import (
    fields_of_somebody,
    is_about_a_person,
    is_header_name,
    is_made_of_known_words,
    is_value,
    known_names,
    looks_like_data,
    recognise,
)
from airflow_provider_cleanlist.input_limits import LOOK_CHARACTERS, SHEET_COLUMNS, SOURCE_COLUMNS

_TOO_LARGE = "record too large"
_MOST_ATTEMPTS = 4  # at reading a record
_FEWEST_CELLS = 3  # filled ones of a row that is told from a line of text by them


class _Lines:
    """Lines that can be taken once more.

    Attributes:
        taken: The lines of the record that is being read.
        characters: How many characters they have.
        in_vain: How many characters were put back so far.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.taken: list[str] = []
        self.characters = 0
        self.in_vain = 0
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
        self.in_vain += self.characters
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
        self._check_effort()
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
        self._check_effort()
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

    def _check_effort(self) -> None:
        """Refuse a text in which too much was read in vain.

        As other tools write them, a failed attempt ends at the next cell in quotation marks, so all of them together
        read little more than the records themselves.
        """
        if self._lines.in_vain > LOOK_CHARACTERS + _MOST_ATTEMPTS * self.characters:
            raise MalformedFileError(
                f"Too many records above line {self._line} have a quotation mark that may be open as far as the end of "
                "the file. Enclose each cell that holds one in quotation marks, and double those inside it."
            )

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


HEADER_WITHIN = 20
"""How many records are searched for the header."""
LABELS_WITHIN = 2
"""How many records below the header may hold labels of its columns."""
_HEAD_RECORDS = 10_000  # with blank ones
_LONGEST_COUNT = 60  # characters
_MANY_NAMES = 5  # of another table's header, of which one is known then

_NOTE_WORDS = """
    bigint bool boolean char date datetime decimal double float int integer nvarchar number numeric str string text
    timestamp uuid varchar
    facoltativo facultatif facultativo mandatory obbligatorio obligatoire obligatorio obrigatorio opcional optional
    optionnel pflichtfeld required
"""
_HELP_WORDS = (
    r"e\.?\s?g\.|ex\.|ej\.|p\.\s?ex\.|p\.\s?ej\.|z\.\s?b\.|beispiel:|ejemplo:|example:|exemple:|for example|bitte|"
    "enter|fill in|geben sie|ihre?|ingrese|inserire|insert|introduzca|please|provide|saisir|saisissez|type|veuillez|"
    "votre|your|"
    "the (?:company|contact|customer|lead|person|prospect)"
)
_NOTE = re.compile(
    rf"[(\[<*\s]*(?:(?:{'|'.join(_NOTE_WORDS.split())})(?!\w)\s*(?:[^\w\s]|\Z)|(?:{_HELP_WORDS})\S*\s+\S)",
    re.IGNORECASE,
)
"""A cell that says what belongs into a column: its type, whether it is required, or how to fill it."""

_INTRODUCED = re.compile(r"\w\s*:\s")  # a list, by words in front of it

_TOTAL_WORDS = """
    amount average count gesamt gesamtsumme insgesamt razem somme subtotal subtotals sum suma summa summe toplam totaal
    total totale totali totals ukupno zwischensumme всего итого 合計 总计 小計 小计 합계
"""
_TOTALS = frozenset(_TOTAL_WORDS.split()) | {"grand total", "grand totals", "sous-total"}
_COUNT_WORDS = """
    anzahl|anzahl datensätze|datensätze|number of records|number of rows|record count|records|row count|rows|total count
    total records|total rows|zeilen
"""
_COUNTS = _TOTALS.union(*(line.strip().split("|") for line in _COUNT_WORDS.strip().splitlines()))
_COUNT_IN_CELL = re.compile(r"([^\d:(=]+?)\s*[:(=]\s*\d[\d.,\s]*[^\W\d]*\s*\)?|\(\d+ rows?\)", re.IGNORECASE)
_COUNTED = re.compile(
    r"[^\w\s]*\d[\d.,\s%]*(?:\s[^\W\d][\w-]*)?[^\w\s]*|of \w+|EUR|USD|GBP|CHF", re.IGNORECASE
)


def has_value(cells: Iterable[str]) -> bool:
    """Return whether a record holds anything."""
    return any(map(str.strip, cells))


def filled(cells: Iterable[str]) -> list[str]:
    """Return what a record holds, without blank cells and white space around the others."""
    return [text for cell in cells if (text := cell.strip())]


def names_columns(cells: Sequence[str], count_known: Callable[[Iterable[str]], int]) -> bool:
    """Return whether a record may be the header: three of its names are known, or two and most others are names, too.

    A record with a URL, an address or a number is none, and neither is a person whose row says ``LinkedIn`` and
    ``Email`` in columns for sources and channels.
    """
    if any(map(is_value, cells)):
        return False
    known = count_known(cells)
    if known != 2:
        return known > 2
    texts = filled(cells)
    named = sum(
        count_known([text]) or is_header_name(text) or bool(fields_of_somebody(text)) for text in texts
    )
    return max(named, known) * 2 > len(texts)


def read_head(
    records: Iterator[tuple[int, list[str]]],
    header_row: int | None,
    count_known: Callable[[Iterable[str]], int],
    characters: Callable[[], int],
) -> list[tuple[int, list[str]]]:
    """Read records as far as the header may be; if it is searched for, the last of blank ones above all others.

    Args:
        records: Numbers and cells.
        header_row: Which record is the header, counted from 1; None if it is searched for.
        count_known: Returns how many of some names are known to be those of columns.
        characters: Returns how many characters were read.

    Raises:
        MalformedFileError: It is not within the characters that are looked at.
    """
    head: list[tuple[int, list[str]]] = []
    candidates = 0
    for number, cells in records:
        if header_row is None and not candidates:
            head.clear()
        head.append((number, cells))
        candidates += has_value(cells)
        if len(head) == header_row:
            break
        is_found = candidates == HEADER_WITHIN or names_columns(cells, count_known)
        is_far = characters() > LOOK_CHARACTERS
        if header_row is None and (is_found or (candidates and (is_far or len(head) > _HEAD_RECORDS))):
            break
        if is_far:
            raise MalformedFileError(
                f"The header is not within the first {LOOK_CHARACTERS:,} characters. Leave out what is above it."
            )
    return head


def find_header(
    head: Sequence[tuple[int, list[str]]],
    header_row: int | None,
    count_known: Callable[[Iterable[str]], int],
) -> int:
    """Return the position of the header among the first records.

    Raises:
        EmptyFileError: All of them are blank.
        MalformedFileError: There is no such record, or another above it may be the header as well.
    """
    positions = [position for position, (_, cells) in enumerate(head) if has_value(cells)]
    if not positions:
        raise EmptyFileError("The file is empty: it holds neither a header nor any row.")
    if header_row is None:
        named = (position for position in positions if names_columns(head[position][1], count_known))
        position = next(named, positions[0])
        for above in positions[: positions.index(position)]:
            _check_gives_way(head[above], head[position], count_known)
        return position
    if header_row - 1 not in positions:
        problem = "is blank" if header_row <= len(head) else "does not exist"
        raise MalformedFileError(f"header_row={header_row}: that row of the file {problem}.")
    return header_row - 1


def better_header(
    head: list[tuple[int, list[str]]],
    position: int,
    records: Iterator[tuple[int, list[str]]],
    count_known: Callable[[Iterable[str]], int],
) -> int:
    """Return the position of the header, if the record found only speaks of columns: ``Sorted by: Last Name, Company``.

    The next record that is not blank is the header instead if more of its names are known, or as many and one of them
    stands below the name of another field. Records read on the way are added to the first ones.

    Raises:
        MalformedFileError: Both may be the header.
    """
    found = head[position][1]
    known = count_known(found)
    if not names_columns(found, count_known):
        return position
    for record in islice(records, LABELS_WITHIN):
        head.append(record)
        if has_value(record[1]):
            count = count_known(record[1])
            knows_better = count > known or (count == known and contradicts(found, record[1]))
            is_row = is_about_a_person(record[1], found) or not names_columns(record[1], count_known)
            if is_row or not knows_better:
                return position
            _check_gives_way(head[position], record, count_known)
            return len(head) - 1
    return position


def may_be_header(cells: Sequence[str], count_known: Callable[[Iterable[str]], int]) -> bool:
    """Return whether a record above the one that was found may be the header as well.

    What else stands above a header repeats the names of groups, introduces a list (``Sorted by: Company``), or names no
    column.
    """
    texts = filled(cells)
    if len(set(texts)) < len(texts) or any(_INTRODUCED.search(text) or is_value(text) for text in texts):
        return False
    return count_known(texts) > 0


def two_headers(first: int, second: int) -> MalformedFileError:
    """Return the error for two records of which each may be the header: by the choice, rows become other people.

    Somebody may have typed names of columns into a form.

    Args:
        first: The number of the first record.
        second: The number of the other one.
    """
    return MalformedFileError(
        f"Rows {first + 1} and {second + 1} of the file both name columns. Give the one that is the header: "
        f"header_row={first + 1}, or header_row={second + 1}, which leaves out what is above it."
    )


def _check_gives_way(
    above: tuple[int, list[str]],
    below: tuple[int, list[str]],
    count_known: Callable[[Iterable[str]], int],
) -> None:
    """Refuse two records of which each may be the header. What stands above one has fewer cells, for the most part."""
    if len(filled(above[1])) >= len(filled(below[1])) and may_be_header(above[1], count_known):
        raise two_headers(above[0], below[0])


def contradicts(header: Sequence[str], cells: Sequence[str]) -> bool:
    """Return whether a cell names another field than the name above it, or a column that is no field of a contact.

    Args:
        header: The names.
        cells: A record below them.
    """
    above, below = recognise(list(dict.fromkeys(header))), recognise(list(dict.fromkeys(cells)))
    return any(
        above[upper].field != below[lower].field if lower in below else is_made_of_known_words(lower)
        for upper, lower in zip(header, cells, strict=False)
        if upper in above
    )


def is_second_header(cells: Sequence[str]) -> bool:
    """Return whether a record below the header names columns: those of another table, or the same in another order.

    Two of its cells (or one of five or more) are known names and all made of words of headers, or three are known and
    most made of them, and none looks like data.
    """
    texts = list(dict.fromkeys(filled(cells)))
    recognised = recognise(texts)
    if len(recognised) < (1 if len(texts) >= _MANY_NAMES else 2) or any(map(looks_like_data, texts)):
        return False
    named = sum(
        text in recognised or is_made_of_known_words(text) or bool(fields_of_somebody(text)) for text in texts
    )
    return named == len(texts) or (len(recognised) > 2 and named * 2 > len(texts))


def are_notes(cells: Sequence[str]) -> bool:
    """Return whether a record says what belongs into the columns: ``string,string``, ``(required)``, ``Enter ...``."""
    texts = filled(cells)
    notes = sum(_NOTE.match(text) is not None for text in texts)
    return notes > 1 and notes * 4 >= len(texts) * 3


def are_totals(cells: Sequence[str]) -> bool:
    """Return whether a record adds others up: a word for it first, then nothing but numbers and words for it."""
    first, *others = filled(cells) or [""]
    if first.rstrip(":").strip().casefold() not in _TOTALS or not any(map(str.isdigit, "".join(others))):
        return False
    return all(_COUNTED.fullmatch(cell) or cell.casefold() in _TOTALS for cell in others)


def is_count(cells: Sequence[str]) -> bool:
    """Return whether a record is a single cell that counts the rows: ``Grand Totals (3)``, ``Gesamt: 1``."""
    texts = filled(cells)
    found = _COUNT_IN_CELL.fullmatch(texts[0][:_LONGEST_COUNT]) if len(texts) == 1 else None
    return found is not None and (found[1] is None or found[1].casefold() in _COUNTS)


@cache
def words_of_no_row() -> frozenset[str]:
    """Return known names and words for totals in their usual spellings.

    A record without any of them is no :func:`is_second_header` and no :func:`are_totals`.
    """
    words = {known.name for known in known_names()} | _TOTALS | {f"{word}:" for word in _TOTALS}
    words |= {re.sub(r"[\s._-]+", joint, word) for word in words for joint in (" ", "_", "")}
    return frozenset(chain.from_iterable((word, word.lower(), word.upper(), word.title()) for word in words))
