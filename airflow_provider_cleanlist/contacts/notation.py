"""What the text of a cell says, without the notation in which tools write it. Pure functions.

Spreadsheets protect text (``="Bo"``, ``'Bo``), programs quote it, encode it for HTML and JSON, and write a record with
its number or its page: ``12;#Acme``, ``Acme (https://...)``, ``["Acme"]``, ``{"name": "Acme"}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from airflow_provider_cleanlist.input_limits import VALUE_CHARACTERS

UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")

_TEXT_FORMULA = re.compile(r'=\s*"((?:[^"]++|"")*+)"')
_ELISION = re.compile(r"'[dknst][\s-]", re.IGNORECASE)  # 't Hooft, 's-Gravesande

_QUOTES = {
    **{'"': '"', "'": "'", "`": "`"},
    **{"\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c\u201d", "\u201a": "\u2018\u2019"},
}
"""Quotation marks with those that close them; guillemets enclose fields of mail merges, not names."""
_STRAY_APOSTROPHE = re.compile(r"(?<!\w)'|'(?!\w)")

_ENCODED = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});|(?:\\u[0-9a-fA-F]{4})+")
_LONGEST_ENCODED = 500  # characters; what is longer is no name
_TAG = re.compile(r"</?(?:a|b|br|div|em|font|i|p|span|strong|u)(?:\s[^<>]*)?/?>", re.IGNORECASE)

_LONGEST = 5_000  # characters of a record that a name is looked for in
_LABELLED_LINK = re.compile(r'=\s*HYPERLINK\(\s*"[^"]*"\s*[,;]\s*"([^"]+)"\s*\)', re.IGNORECASE)
_TARGET = re.compile(r" ?\((?:https?://|mailto:)[^()\s]*\)(?:,\s*|\Z)", re.IGNORECASE)
_QUOTED_FIRST = re.compile(r'"([^"]*,[^"]*)",\S')
_PYTHON_LIST = re.compile(r"\['[^'\\]*'(?:, '[^'\\]*')*\]")
_KEYS_OF_NAMES = ("name", "label", "value")

_MISREAD = re.compile(r"[\xc2-\xc5\xce-\xd1][^\x00-\x7f]|[\xe2-\xea][^\x00-\x7f]{2}")
_CP1252_BYTES = {ord(bytes([byte]).decode("cp1252", "replace")): byte for byte in range(0x80, 0xA0)}


def unwrapped(value: object) -> object:
    """Return a text without what only keeps a spreadsheet from changing it: ``="Bo"`` and ``'Bo`` are ``Bo``.

    The apostrophe of an elision, as in ``'t Hooft``, stays, and so do apostrophes at both ends. A text that is too
    long to be read stays as it is.
    """
    if not isinstance(value, str) or len(value) > VALUE_CHARACTERS:
        return value
    text = value.strip()
    if formula := _TEXT_FORMULA.fullmatch(text):
        return formula[1].replace('""', '"')
    if text[:1] == "'" and text[-1:] != "'" and not _ELISION.match(text):
        bare = text.lstrip("'")  # all at once, because there may be thousands
        return f"'{bare}" if _ELISION.match(f"'{bare}") else bare
    return value


def named_values(text: str) -> Sequence[str]:
    """Return the names that a cell's text holds, one for nearly every text, as they would be written alone.

    Quotation marks around the whole of it, entities, escapes and tags of HTML are taken off. Of links and records what
    they are called is returned: ``Acme (https://...)``, ``[Acme](https://...)``, ``=HYPERLINK("...", "Acme")``, the
    lookups of SharePoint (``12;#Acme``), and JSON (``["Acme"]``, ``{"name": "Acme"}``). Several names stand in lists of
    these, and between the `` ::: `` of Google. JSON without a name holds none.

    Args:
        text: A text that is not blank.
    """
    text = _decoded(text)
    if not text or len(text) > _LONGEST:
        return (text,)
    if text[0] in "[{" and text[-1] in "]}" and (names := _names_in_json(text)) is not None:
        return names
    if link := _LABELLED_LINK.fullmatch(text):
        return (link[1],)
    if "(" in text and not (labels := _TARGET.split(text))[-1]:
        return [label[1:-1] if label[:1] == "[" and label[-1] == "]" else label for label in labels[:-1]]
    if ";#" in text:
        return _looked_up(text.split(";#"))
    if quoted := _QUOTED_FIRST.match(text):  # Airtable
        return (quoted[1], text[quoted.end() - 1 :])
    return (_unquoted(text),) if text[0] in _QUOTES else text.split(" ::: ")


def _looked_up(parts: Sequence[str]) -> Sequence[str]:
    """Return the names beside the numbers of SharePoint's lookups, and those of its choices, which have no numbers."""
    for numbers, names in ((parts[::2], parts[1::2]), (parts[1::2], parts[::2])):
        if all(map(str.isdigit, numbers)):
            return names
    return list(filter(None, parts))


def _names_in_json(text: str) -> Sequence[str] | None:
    """Return the names in a list or object, also as Python writes a list; None if the text is neither."""
    if _PYTHON_LIST.fullmatch(text):
        return re.findall(r"'([^']+)'", text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    names = map(_name_in, found if isinstance(found, list) else [found])
    return [name for name in names if name]


def _name_in(value: Any) -> str | None:
    if isinstance(value, dict):
        keys = {key.casefold(): part for key, part in value.items() if isinstance(key, str)}
        value = next((keys[key] for key in _KEYS_OF_NAMES if keys.get(key)), None)
    return value if isinstance(value, str) else None


def _unquoted(text: str) -> str:
    """Return a text without the quotation marks around the whole of it."""
    mark, inner = text[0], text[1:-1]
    if text[-1] not in _QUOTES[mark] or not inner or _ELISION.match(text):
        return text
    inner = inner.replace(2 * mark, mark) if mark in "\"'" else inner
    is_inside = (
        _STRAY_APOSTROPHE.search(inner) if mark == "'" else text[-1] in text[1:-1].replace(2 * mark, "")
    )
    return text if is_inside else inner


def _decoded(text: str) -> str:
    """Return a text with its entities of HTML and its escapes of JSON as the characters that they stand for.

    What is incomplete or unknown stays as it is, and so does what would give unreadable text. Text that was encoded
    several times is decoded as often, so that doing it once more changes nothing. Tags of HTML are left out.
    """
    while len(text) <= _LONGEST_ENCODED:
        decoded = _ENCODED.sub(_character, text) if "&" in text or "\\" in text else text
        decoded = _TAG.sub("", decoded) if "<" in decoded else decoded
        if decoded == text or is_damaged(decoded):
            break
        text = decoded
    return text


def _character(match: re.Match[str]) -> str:
    from html import entities, unescape  # a large table that few files need

    code = match[0]
    if code[0] != "&":
        found = json.loads(f'"{code}"')
    else:
        found = unescape(code) if code[1] == "#" or code[1:] in entities.html5 else code
    return code if UNPRINTABLE.search(found) or "\ufffd" in found else found


def is_damaged(text: str) -> bool:
    """Return whether a text lost letters when somebody else decoded it.

    It holds replacement characters, or is UTF-8 that was read as Windows-1252 (``JosÃ©``).
    """
    if "\ufffd" in text:
        return True
    if text.isascii() or not _MISREAD.search(text):
        return False
    try:
        text.translate(_CP1252_BYTES).encode("latin-1").decode()
    except UnicodeError:
        return False
    return True


_DAY_AND_MONTH = re.compile(r"\d{1,2}[-.] ?[^\W\d_]{3,4}\.?")


def is_measure(text: str) -> bool:
    """Return whether a text is a date, a time or an amount: digits and fewer letters, or Excel's ``4-Mar``.

    Args:
        text: A text that is not empty.
    """
    if not text[0].isdigit():
        return False
    letters = sum(map(str.isalpha, text))
    return sum(map(str.isdigit, text)) > letters > 0 or _DAY_AND_MONTH.fullmatch(text) is not None
