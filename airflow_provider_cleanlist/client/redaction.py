"""Removing personal data from what the API says about a request, before it reaches a message or a log."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

REDACTED = "<redacted>"
"""Replaces personal data."""
MAX_MESSAGE_LENGTH = 500
"""Maximum number of characters quoted from the API."""
_PERSONAL = (
    r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+"  # e-mail addresses
    r"|[^\s\"'<>]*linkedin\.com/[^\s\"'<>]*"
    r"|\+\d[\d ().-]{6,}\d"  # international phone numbers
)
_LONGEST_PERSONAL = 300
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)


def redacted(text: str, contacts: Any) -> str:
    """Return one line of at most 500 characters without any value of ``contacts``.

    Email addresses, LinkedIn profiles and international phone numbers are removed whatever ``contacts`` contains.
    Values are found in any letter case, and in the spellings of JSON and URLs. A single letter stays: it identifies
    nobody.

    Args:
        text: What the API said.
        contacts: The contacts that were sent, nested in any way; None if there were none.
    """
    spellings = {
        spelled for value in _texts_in(contacts) for spelled in _spellings(value) if len(spelled) > 1
    }
    longest_first = sorted(spellings, key=len, reverse=True)
    # not inside a longer word: the name "Con" leaves "Contact" readable
    words = rf"(?<![^\W_])(?:{'|'.join(map(re.escape, longest_first))})(?![^\W_])"
    pattern = re.compile(f"{_PERSONAL}|{words}" if spellings else _PERSONAL, re.IGNORECASE)
    # a value that begins within the limit is matched to its end, so that no part of it remains
    reach = MAX_MESSAGE_LENGTH + max([_LONGEST_PERSONAL, *map(len, longest_first[:1])])
    line = _one_line(text)[:reach]
    parts = []
    at = 0
    for match in pattern.finditer(line):
        if match.start() >= MAX_MESSAGE_LENGTH:
            break
        parts += [line[at : match.start()], REDACTED]
        at = match.end()
    return "".join([*parts, line[at:MAX_MESSAGE_LENGTH]]).strip()


def identifier_or_none(value: Any) -> str | None:
    """Return an identifier, such as an error code; None for anything that could contain more than that.

    Args:
        value: What the API sent.
    """
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def _spellings(value: str) -> Iterator[str]:
    line = _one_line(value)
    yield line
    yield line.rstrip("/").rpartition("/")[2]
    for form in (value, line):
        yield json.dumps(form)[1:-1]
        yield quote(form)
        yield quote(form, safe="")


def _one_line(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for nested in value.values():
            yield from _texts_in(nested)
    elif isinstance(value, list | tuple):
        for nested in value:
            yield from _texts_in(nested)
