"""Taking personal data out of what the API says about a request, before it reaches a message or a log."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

REDACTED = "<redacted>"
MAX_MESSAGE_LENGTH = 500
_MAX_SCANNED_LENGTH = 50_000
_PERSONAL = re.compile(
    r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+"  # e-mail addresses
    r"|\S*linkedin\.com/\S*"
    r"|\+\d[\d ().-]{6,}\d",  # international phone numbers
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)


def redacted(text: str, contacts: Any) -> str:
    """Return one line of at most 500 characters without any value of ``contacts``.

    Addresses, LinkedIn profiles and international phone numbers go whatever ``contacts`` holds. Values are found in
    any letter case, and as JSON, HTML and URLs spell them. A single letter stays: it identifies nobody.

    Args:
        text: What the API said.
        contacts: The contacts that were sent, in whatever nesting; None when there were none.
    """
    text = " ".join(text[:_MAX_SCANNED_LENGTH].split())
    spellings = {" ".join(spelled.split()) for value in _texts_in(contacts) for spelled in _spellings(value)}
    words = sorted((re.escape(value) for value in spellings if len(value) > 1), key=len, reverse=True)
    text = _PERSONAL.sub(REDACTED, text)
    if words:
        # not inside a longer word: the name "Con" leaves "Contact" readable
        text = re.sub(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])", REDACTED, text, flags=re.IGNORECASE)
    return text[:MAX_MESSAGE_LENGTH]


def word_or_none(value: Any) -> str | None:
    """Return an identifier, such as an error code, and None for anything that could hold more than that."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _spellings(value: str) -> Iterable[str]:
    return value, json.dumps(value)[1:-1], html.escape(value), quote(value), quote(value, safe="")


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for nested in value.values():
            yield from _texts_in(nested)
    elif isinstance(value, list | tuple):
        for nested in value:
            yield from _texts_in(nested)
