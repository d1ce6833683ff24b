"""JSON arrays, JSON lines and the answers of APIs: text in, objects out.

Objects inside an object become columns joined by dots: ``{"Account": {"Name": ...}}`` has a column ``Account.Name``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from airflow_provider_cleanlist.contacts.errors import ColumnError, MalformedFileError
from airflow_provider_cleanlist.contacts.recognition import (
    FULL_NAME,
    is_made_of_known_words,
    person_of,
    recognise,
)
from airflow_provider_cleanlist.input_limits import (
    FIELD_CHARACTERS,
    LOOK_CHARACTERS,
    SHEET_COLUMNS,
    SOURCE_NAME_CHARACTERS,
)

MAX_OBJECT_CHARACTERS = 8 * 1024 * 1024

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_FIRST_OBJECTS = 20
_MOST_LEVELS = 5
_LONGEST_OWN = 200  # characters; a longer name is not known
_NAMES = frozenset({"first_name", "last_name"})

Row = tuple[int, Mapping[str, object]]


def read_json_lines(lines: Iterable[str]) -> Iterator[Row]:
    """Yield the objects of JSON lines with their line numbers; blank lines are skipped.

    Raises:
        MalformedFileError: If a line is not JSON, or not an object.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise MalformedFileError(
                f"Line {number} is not JSON: {error.msg} (column {error.colno})."
            ) from None
        except ValueError:
            raise _long_number(number) from None
        except RecursionError:
            raise MalformedFileError(f"Line {number} is nested too deeply.") from None
        if type(value) is dict and line.count("{") == 1:  # fast: most lines hold no object but their own
            yield number, value
            continue
        yield number, flattened(_object(value, f"Line {number}"))


def read_json_array(
    texts: Iterable[str], is_usable: Callable[[Sequence[str]], bool] = lambda columns: True
) -> Iterator[Row]:
    """Yield the objects of one JSON array with their positions, counted from 1, holding one at a time.

    The text may also be an object that holds such an array at any place, as answers of APIs do: the one array of
    objects whose columns are usable.

    Args:
        texts: Pieces of the text.
        is_usable: Tells whether columns can identify a person.

    Raises:
        MalformedFileError: If the text is not one JSON array of objects, and holds none or several of them, or people
            outside of it.
    """
    window = _Window(iter(texts))
    if window.peek() == "[":
        yield from _rows(_items(window), "the array")
    else:
        yield from _ArraySearch(window, is_usable).rows()
    if window.peek():
        raise MalformedFileError(f"Line {window.line}: there is text after the end of the JSON array.")


def flattened(record: Mapping[str, object], levels: int = _MOST_LEVELS) -> Mapping[str, object]:
    """Return a record whose objects are replaced by their own values, under names joined by dots.

    Args:
        record: A record as JSON or Parquet hold it.
        levels: How deep to go; what is deeper stays an object.

    Raises:
        ColumnError: The names, which are longer the more is joined, take too much.
    """
    if dict not in map(type, record.values()):
        return record
    flat: dict[str, object] = {}
    characters = 0
    for name, value in record.items():
        if type(value) is dict and levels:
            for inner, part in flattened(value, levels - 1).items():
                characters += len(name) + len(inner)
                if characters > FIELD_CHARACTERS:
                    raise ColumnError(
                        "The names of objects inside an object have, joined by dots, more than "
                        f"{FIELD_CHARACTERS:,} characters. Leave out what names no person or company."
                    )
                flat.setdefault(f"{name}.{inner}", part)
        else:
            flat[name] = value
    return flat


def _items(window: _Window) -> Iterator[Any]:
    """Yield the values of the array that comes next."""
    window.skip()
    is_first = True
    while window.peek() != "]":
        if not is_first:
            window.expect(",", "the array's end")
        is_first = False
        yield window.decode()
    window.skip()


def _rows(items: Iterable[Any], where: str) -> Iterator[Row]:
    for number, value in enumerate(items, start=1):
        yield number, flattened(_object(value, f"Item {number} of {where}"))


class _ArraySearch:
    """Finds the array of contacts inside an object."""

    def __init__(self, window: _Window, is_usable: Callable[[Sequence[str]], bool]) -> None:
        self._window = window
        self._is_usable = is_usable
        self._found: str | None = None
        self._unusable: list[Row] = []
        self._has_empty_array = False
        self._own: dict[str, None] = {}
        self._has_people_elsewhere = False

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the array; without a usable one the first of the others, so that its columns are named."""
        if self._window.peek() == "{":
            yield from self._in_object("", _MOST_LEVELS)
        if self._found is None and not self._unusable and not self._has_empty_array:
            raise MalformedFileError(
                "The file does not hold a JSON array of objects. Put one object per line into a .jsonl file instead; "
                "pandas writes it with to_json(path, orient='records', lines=True)."
            )
        if self._found is None:
            yield from self._unusable
        elif self._has_people_elsewhere or self._names_a_person():
            raise MalformedFileError(
                f"The file names people outside of {self._found}, who would be left out. Put the array to read into a "
                "file of its own."
            )

    def _names_a_person(self) -> bool:
        """Return whether the object is a person itself, with an array of others inside."""
        known = recognise(tuple(self._own))
        return {
            name.field for column, name in known.items() if "." not in column or person_of(column)
        } >= _NAMES

    def _in_object(self, path: str, levels: int) -> Iterator[Row]:
        window = self._window
        window.skip()
        is_first = True
        while window.peek() != "}":
            if not is_first:
                window.expect(",", "the object's end")
            is_first = False
            name = f"{path}{window.decode()}"[:SOURCE_NAME_CHARACTERS]
            window.expect(":", "a value")
            if window.peek() == "[":
                yield from self._in_array(name)
            elif window.peek() == "{" and levels:
                yield from self._in_object(f"{name}.", levels - 1)
            else:
                window.decode()
                if len(self._own) < SHEET_COLUMNS and len(name) <= _LONGEST_OWN:
                    self._own[name] = None
        window.skip()

    def _in_array(self, name: str) -> Iterator[Row]:
        line = self._window.line
        items = _items(self._window)
        first = self._first(items)
        objects = [flattened(item) for item in first if isinstance(item, dict)]
        names = (name for name in chain.from_iterable(objects) if len(name) <= SOURCE_NAME_CHARACTERS)
        columns = list(dict.fromkeys(islice(names, SHEET_COLUMNS)))
        self._has_empty_array |= not first
        if len(objects) < len(first) or not objects or not self._is_usable(columns):
            self._unusable = self._unusable or list(enumerate(objects, start=1))
            fields = {known.field for known in recognise(columns).values()}
            self._has_people_elsewhere |= FULL_NAME in fields and bool(fields & {"company_name", "email"})
            for _ in items:  # the rest of it
                pass
            return
        shown = self._shown(name, line)
        if self._found is not None:
            raise MalformedFileError(
                f"The file holds several arrays of contacts: {self._found} and {shown}. Put the one to read into a "
                "file of its own."
            )
        self._found = shown
        yield from _rows(chain(first, items), shown)

    def _first(self, items: Iterator[Any]) -> list[Any]:
        """Return the first items, as many as are looked at."""
        begin = self._window.passed
        first = []
        for item in islice(items, _FIRST_OBJECTS):
            first.append(item)
            if self._window.passed - begin > LOOK_CHARACTERS:
                break
        return first

    @staticmethod
    def _shown(name: str, line: int) -> str:
        """Return an array's name for a message, or where it is: its keys may be data, such as people's names."""
        is_shown = len(name) <= _LONGEST_OWN and is_made_of_known_words(name)
        return repr(name) if is_shown else f"the array at line {line}"


def _long_number(line: int) -> MalformedFileError:
    digits = sys.get_int_max_str_digits()
    return MalformedFileError(f"Line {line} holds a number of more than {digits:,} digits.")


def _object(value: Any, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise MalformedFileError(f"{where} is not a JSON object but a {type(value).__name__}.")
    return value


class _Window:
    """The part of a text between what was decoded and what was read.

    Attributes:
        line: The line of what comes next.
    """

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._text = ""
        self._position = 0
        self.line = 1
        self._read = 0

    @property
    def passed(self) -> int:
        """How many characters are before what comes next."""
        return self._read - (len(self._text) - self._position)

    def peek(self) -> str:
        """Return the next character that is not white space, or an empty string at the end."""
        while True:
            self._advance(_SPACE.match(self._text, self._position).end())  # type: ignore[union-attr]
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_on():
                return ""

    def skip(self) -> None:
        self._position += 1

    def expect(self, character: str, otherwise: str) -> None:
        if self.peek() != character:
            raise MalformedFileError(f"Line {self.line}: not JSON: expected {character!r} or {otherwise}.")
        self.skip()

    def decode(self) -> Any:
        """Return the next value."""
        self.peek()
        while True:
            problem = None
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
                is_whole = not isinstance(value, int | float) or len(self._text) - end >= len("e+1")
            except json.JSONDecodeError as error:
                problem = error.msg, error.pos
                is_whole = False
            except ValueError:
                raise _long_number(self.line) from None
            except RecursionError:
                raise MalformedFileError(f"Line {self.line}: nested too deeply.") from None
            if is_whole or not self._read_as_much_again():
                break
        if problem is not None:
            message, position = problem
            line = self.line + self._text.count("\n", self._position, position)
            raise MalformedFileError(f"Line {line}: not JSON: {message}.")
        self._advance(end)
        return value

    def _advance(self, position: int) -> None:
        self.line += self._text.count("\n", self._position, position)
        self._position = position

    def _read_as_much_again(self) -> bool:
        """Double what is ahead, up to the limit, as decoding it anew takes linear time so. Return whether it grew."""
        ahead = len(self._text) - self._position
        return ahead <= MAX_OBJECT_CHARACTERS and self._read_on(min(ahead, MAX_OBJECT_CHARACTERS - ahead + 1))

    def _read_on(self, characters: int = 1) -> bool:
        """Read so many characters, and on to the end of a piece; return whether there were any."""
        pieces = [self._text[self._position :]]
        size = len(pieces[0])
        enough = size + max(1, characters)
        while size < enough and (piece := next(self._texts, None)) is not None:
            pieces.append(piece)
            size += len(piece)
        if len(pieces) == 1:
            return False
        self._read += size - len(pieces[0])
        self._text = "".join(pieces)
        self._position = 0
        return True
