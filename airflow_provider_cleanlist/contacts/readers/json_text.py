"""JSON arrays and JSON lines: text in, objects out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_cleanlist.contacts.errors import MalformedFileError

MAX_OBJECT_CHARACTERS = 8 * 1024 * 1024

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def read_json_lines(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
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
        except RecursionError:
            raise MalformedFileError(f"Line {number} is nested too deeply.") from None
        yield number, _object(value, f"Line {number}")


def read_json_array(texts: Iterable[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the objects of one JSON array with their positions, counted from 1, holding one at a time.

    Raises:
        MalformedFileError: If the text is not one JSON array of objects.
    """
    window = _Window(iter(texts))
    if window.peek() != "[":
        raise MalformedFileError(
            "The file does not hold a JSON array of objects. Put one object per line into a .jsonl file instead."
        )
    window.skip()
    number = 0
    while window.peek() != "]":
        if number:
            window.expect(",")
        number += 1
        yield number, _object(window.decode(), f"Item {number} of the array")
    window.skip()
    if window.peek():
        raise MalformedFileError(f"Line {window.line}: there is text after the end of the JSON array.")


def _object(value: Any, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise MalformedFileError(f"{where} is not a JSON object but a {type(value).__name__}.")
    return value


class _Window:
    """The part of a text between what was decoded and what was read."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._text = ""
        self._position = 0
        self.line = 1

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

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise MalformedFileError(
                f"Line {self.line}: not JSON: expected {character!r} or the array's end."
            )
        self.skip()

    def decode(self) -> Any:
        """Return the next value."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                if len(self._text) - self._position > MAX_OBJECT_CHARACTERS or not self._read_on():
                    line = self.line + self._text.count("\n", self._position, error.pos)
                    raise MalformedFileError(f"Line {line}: not JSON: {error.msg}.") from None
            except RecursionError:
                raise MalformedFileError(f"Line {self.line}: nested too deeply.") from None
            else:
                self._advance(end)
                return value

    def _advance(self, position: int) -> None:
        self.line += self._text.count("\n", self._position, position)
        self._position = position

    def _read_on(self) -> bool:
        """Read more text, and return whether there was any."""
        more = next(self._texts, None)
        if more is None:
            return False
        self._text = self._text[self._position :] + more
        self._position = 0
        return True
