"""Foreign text in messages: what others wrote, without personal data, secrets and control characters.

Every text that comes from outside (the API, its delivery log, a database driver) goes through :func:`redacted` or a
:class:`Redactor` before it reaches a log, an exception or a page.
"""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

from airflow_provider_cleanlist.input_limits import EXAMINED_CHARACTERS, QUOTED_CHARACTERS, normal_form

REDACTED = "<redacted>"
"""Replaces personal data and secrets."""

_DECODINGS = 4
"""How often a text may be encoded, one form around the other, and still be understood."""
_LONGEST_ARGUMENT = 100  # characters
_LONGEST_VALUE = 300
"""Characters by which a value is recognised; what follows a longer one goes with it."""
_PROFILE = r"linkedin[.\u3002]com[.\u3002]?(?::\d*)?[/\\?#][^\s\"'<>]*"
_IN_NUMBER = r"[\d ()\[\]./_\u00b7\u2010-\u2015\u2022\u2212\u2219\u22c5\u30fb-]"
"""What stands in a phone number: digits, and the dashes, dots and brackets that people write between them."""
# Linear: no alternative is tried in the middle of what it would match (lookbehinds), or it has a fixed start.
_SENSITIVE = re.compile(
    r"(?<![^\s@<>\"'(),;:])[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+"  # e-mail addresses
    rf"|(?<![^\s\"'<>])[^\s\"'<>]*{_PROFILE}|{_PROFILE}"
    rf"|\+[ (]{{0,2}}\d{_IN_NUMBER}{{6,}}\d"  # international phone numbers
    r"|clapi_[a-z0-9_-]+"  # API keys
    r"|(?<=\bbearer )[^\s\"'<>]+"
    r"|(?<=\bwebhook/)[^\s\"'<>/?#]+"
    r"|(?-i:A[Q-Za-f][A-Za-z0-9_-]{30,})",  # tokens of webhook addresses
    re.IGNORECASE,
)
_URL = re.compile(
    r"(?P<origin>(?:\b[a-z][a-z0-9+.-]{0,30}://|\bhttps?:[/\\]{1,3}|(?<![^\s\"'<>(=\[{,;|])//)"
    r"(?P<host>[\w.:\[\]-]*))(?P<rest>[^\s\"'<>]*)",
    re.IGNORECASE,
)
_PUBLIC_HOST = "docs.cleanlist.ai"
_WORD = re.compile(r"[^\W_]+")
_ESCAPE = re.compile(
    r"(?P<bytes>(?:%[0-9a-f]{2})+|(?:(?<!\\)\\+x[0-9a-f]{2})+)"  # of a URL, of Python or a shell
    r"|(?<!\\)\\+(?-i:U)(?P<wide>[0-9a-f]{8})"  # of Python
    r"|(?:%|(?<!\\)\\+)u(?:(?P<unit>[0-9a-f]{4})|\{(?P<point>[0-9a-f]{1,6})\})"  # of JSON, of JavaScript
    r"|(?<!\\)\\+/",
    re.IGNORECASE,
)
_BYTE = re.compile(r"[%x]([0-9a-f]{2})", re.IGNORECASE)
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that show as nothing although Unicode counts them as printable."""
_TERMINAL_SEQUENCE = re.compile(r"(?:\x1b\[|\x9b)[0-?]{0,50}[ -/]{0,5}[@-~]")
_ESCAPED_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})
_CUT = re.compile(r"[ \[('\"]{0,3}\.{3,}[ \])'\"]{0,3}")
"""Where something was left out; an ellipsis of one character has become three dots."""
_MOST_CUTS = 50
_SHORTEST_PART = 4  # characters of a value beside it
_LETTERS = str.maketrans(
    {"\u0131": "i", "\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00e6": "ae", "\u0153": "oe"}
)
"""Letters whose plain form no normal form knows."""
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_Span = tuple[int, int]


class Redactor:
    """Redacts texts that may contain values of one request; building one is dearer than using it.

    Args:
        *sent: What was sent, nested in any way: contacts, addresses, the API key. No text that occurs in it survives.
    """

    def __init__(self, *sent: Any) -> None:
        self._by_first_word: dict[str, set[str]] = defaultdict(set)
        self._wordless: set[str] = set()
        self._all: list[str] = []
        for text in _texts_in(sent):
            for value in _spellings(text):
                self._learn(value)

    def quoted(self, text: str) -> str:
        """Return one line of at most 500 characters without any value that was sent.

        Email addresses, LinkedIn profiles, international phone numbers, API keys, tokens of webhook addresses and all
        but the origin of URLs are removed whatever was sent. Values are found in any letter case, without their accents
        and where they are encoded (:func:`_decoded`). A single letter stays: it identifies nobody. Control characters
        go, too.

        Args:
            text: What somebody else wrote.
        """
        line = _one_line(text)
        parts = []
        at = 0
        for start, end in _merged([*_sensitive(line), *self._sent(line)]):
            if start >= QUOTED_CHARACTERS:
                break
            parts += [line[at:start], REDACTED]
            at = end
        return "".join([*parts, line[at:QUOTED_CHARACTERS]]).strip()

    def identifier(self, value: Any) -> str | None:
        """Return an identifier, such as an error code; None for anything that contains more than that.

        Args:
            value: What the API sent.
        """
        found = identifier_or_none(value)
        return found if found is not None and self.quoted(found) == found else None

    def _learn(self, value: str) -> None:
        folded = _folded(value)[0]
        self._all.append(folded)
        first = _WORD.search(folded)
        if first is None or not any(map(_is_cased_or_digit, first.group())):
            self._wordless.update({folded[:_LONGEST_VALUE]} - {""})
        else:
            self._by_first_word[first.group()].add(folded[first.start() : first.start() + _LONGEST_VALUE])

    def _sent(self, line: str) -> Iterator[_Span]:
        """Yield where values of the request are: not inside a longer word, so "Con" leaves "Contact" readable."""
        folded, origin = _folded(line)
        found = [
            (word.start(), word.start() + len(value), len(value))
            for word in _WORD.finditer(folded)
            for value in self._by_first_word.get(word.group(), ())
            if folded.startswith(value, word.start())
            and (len(value) == _LONGEST_VALUE or _ends_word(folded, word.start() + len(value)))
        ]
        for value in self._wordless:
            at = folded.find(value)
            while at >= 0:
                found.append((at, at + len(value), len(value)))
                at = folded.find(value, at + 1)
        found += self._beside_cuts(folded)
        for start, end, length in found:
            after = len(line) if length == _LONGEST_VALUE else origin[end - 1] + 1
            while after < len(line) and unicodedata.combining(line[after]):  # an accent of the last letter
                after += 1
            yield origin[start], after

    def _beside_cuts(self, folded: str) -> Iterator[tuple[int, int, int]]:
        """Yield where parts of values stand beside an ellipsis, as programs shorten what they show."""
        cuts = list(islice(_CUT.finditer(folded), _MOST_CUTS)) if "..." in folded else ()
        values = "\0".join(self._all) if cuts else ""

        def longest(part: Callable[[int], str], most: int) -> int:
            """Return how long a part can be so that it, like each shorter one, stands in a value."""
            lengths = range(1, min(most, _LONGEST_VALUE - 1) + 1)
            return bisect(lengths, 0, key=lambda length: part(length) not in values)

        for start, end in (cut.span() for cut in cuts):
            before = longest(lambda length: folded[start - length : start], start)  # noqa: B023
            after = longest(lambda length: folded[end : end + length], len(folded) - end)  # noqa: B023
            for begin, stop in ((start - before, start), (end, end + after)):
                if stop - begin >= _SHORTEST_PART:
                    yield begin, stop, stop - begin


def redacted(text: str, *sent: Any) -> str:
    """Return a foreign text as one line without personal data, secrets and control characters.

    Args:
        text: What somebody else wrote.
        *sent: What was sent before, nested in any way, as for :class:`Redactor`.
    """
    return Redactor(*sent).quoted(text)


def shown(argument: Any) -> str:
    """Return how an error shows an argument that is wrong: it may be a contact, a row or an output that slipped in.

    Args:
        argument: What the user's DAG gave.

    Returns:
        A short text, a number or a duration as Python spells it, redacted; the type of anything else.
    """
    if isinstance(argument, str | int | float | timedelta | None):
        with suppress(ValueError):  # a number of thousands of digits
            text = repr(argument)
            if len(text) <= _LONGEST_ARGUMENT:
                return redacted(text)
    return f"a value of type {type(argument).__name__}"


def identifier_or_none(value: Any) -> str | None:
    """Return an identifier, such as an error code; None for anything that could contain more than that.

    Args:
        value: What the API sent.
    """
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def _sensitive(line: str) -> Iterator[_Span]:
    for match in _SENSITIVE.finditer(line):
        yield match.span()
    for match in _URL.finditer(line):
        rest = match["rest"]
        if "@" in rest:
            yield match.span()  # a password, perhaps with a slash in it
        elif rest.strip("/.,;:!)]}") and (match["host"].lower() != _PUBLIC_HOST or "?" in rest):
            yield match.start("rest") + rest.startswith("/"), match.end()


def _merged(spans: list[_Span]) -> Iterator[_Span]:
    """Yield spans in order, those as one that overlap or touch."""
    start, end = -1, -1
    for next_start, next_end in sorted(spans):
        if next_start > end:
            if end >= 0:
                yield start, end
            start, end = next_start, next_end
        end = max(end, next_end)
    if end >= 0:
        yield start, end


def _spellings(value: str) -> Iterator[str]:
    line = _one_line(value)
    last_part = line.rstrip("/").rpartition("/")[2]
    escaped = value.translate(_ESCAPED_BREAKS)
    for text in {line, last_part, line if escaped == value else _one_line(escaped)}:
        if len(text) > 1:
            yield text


def _one_line(text: str) -> str:
    """Return a text decoded, on one line, without control characters, invisible ones and a value cut in two."""
    plain = _TERMINAL_SEQUENCE.sub("", _decoded(text[:EXAMINED_CHARACTERS]))
    line = " ".join(_INVISIBLE.sub("", plain).split())
    line = "".join(filter(str.isprintable, line))
    if len(text) > EXAMINED_CHARACTERS:
        line = line[: max(0, len(line) - _LONGEST_VALUE)]
    return line[: QUOTED_CHARACTERS + _LONGEST_VALUE]


def _decoded(text: str) -> str:
    """Return a text as it was before it was encoded for URLs, HTML, JSON, JavaScript or Python."""
    for _ in range(_DECODINGS):
        decoded = html.unescape(_ESCAPE.sub(_unescaped, normal_form("NFKC", text)))[:EXAMINED_CHARACTERS]
        # surrogates that belong together become one character, lone ones U+FFFD
        decoded = decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if decoded == text:
            break
        text = decoded
    return normal_form("NFKC", text)[:EXAMINED_CHARACTERS]


def _unescaped(match: re.Match[str]) -> str:
    if match["bytes"]:
        text = bytes.fromhex("".join(_BYTE.findall(match["bytes"]))).decode("utf-8", "surrogateescape")
        return "".join(_older_encoding(character) for character in text)
    point = int(match["wide"] or match["unit"] or match["point"] or "2f", 16)
    return chr(point) if point <= sys.maxunicode else ""


def _older_encoding(character: str) -> str:
    """Return what a byte that is not UTF-8 means in Western Europe."""
    if not "\udc80" <= character <= "\udcff":
        return character
    return bytes([ord(character) - 0xDC00]).decode("cp1252", "replace")


def _folded(text: str) -> tuple[str, list[int]]:
    """Return a text as values are compared, and for each of its characters the place in the original.

    Letter case, accents, pluses for spaces, and the backslashes in front of quotation marks make no difference.
    """
    folded = list(map(_plain_letters, text))
    origin = [index for index, characters in enumerate(folded) for _ in characters]
    return "".join(folded), origin


@lru_cache(maxsize=2048)
def _plain_letters(character: str) -> str:
    if character in "+\\":
        return " " if character == "+" else ""
    parts = normal_form("NFKD", character.casefold()).translate(_LETTERS)
    return "".join(part for part in parts if not unicodedata.combining(part))


def _is_cased_or_digit(character: str) -> bool:
    """Whether a script writes spaces between words, as far as its letter case tells; Chinese, say, does not."""
    return character.isdigit() or character.upper() != character.lower()


def _ends_word(text: str, end: int) -> bool:
    return end >= len(text) or _WORD.match(text, end) is None


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for nested in value.values():
            yield from _texts_in(nested)
    elif isinstance(value, list | tuple):
        for nested in value:
            yield from _texts_in(nested)
