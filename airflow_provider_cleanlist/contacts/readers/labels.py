"""Which records of a delimited text are no rows: notes, totals, the header of another table. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import chain

from airflow_provider_cleanlist.contacts.readers.headers import filled
from airflow_provider_cleanlist.contacts.recognition import (
    is_made_of_known_words,
    known_names,
    looks_like_data,
    names_somebody,
    recognise,
)

_NOTE_WORDS = """
    bigint bool boolean char date datetime decimal double float int integer nvarchar number numeric str string text
    timestamp uuid varchar
    facultatif facultativo mandatory obligatoire obligatorio obrigatorio opcional optional optionnel pflichtfeld
    required
"""
_HELP_WORDS = (
    r"e\.?\s?g\.|ex\.|ej\.|p\.\s?ex\.|p\.\s?ej\.|z\.\s?b\.|beispiel:|ejemplo:|example:|exemple:|for example|bitte|"
    "enter|fill in|geben sie|ingrese|inserire|insert|introduzca|please|provide|saisir|saisissez|type|veuillez|"
    "the (?:company|contact|customer|lead|person|prospect)"
)
_NOTE = re.compile(
    rf"[(\[<*\s]*(?:(?:{'|'.join(_NOTE_WORDS.split())})(?!\w)\s*(?:[^\w\s]|\Z)|(?:{_HELP_WORDS})\S*\s+\S)",
    re.IGNORECASE,
)
"""A cell that says what belongs into a column: its type, whether it is required, or how to fill it."""

_TOTAL_WORDS = """
    amount average count gesamt gesamtsumme insgesamt razem somme subtotal subtotals sum suma summa summe toplam totaal
    total totale totali totals ukupno zwischensumme всего итого 合計 总计 小計 小计 합계
"""
_TOTALS = frozenset(_TOTAL_WORDS.split()) | {"grand total", "grand totals", "sous-total"}
_COUNTED = re.compile(
    r"[^\w\s]*\d[\d.,\s%]*(?:\s[^\W\d][\w-]*)?[^\w\s]*|of \w+|EUR|USD|GBP|CHF", re.IGNORECASE
)


def is_second_header(cells: Sequence[str]) -> bool:
    """Return whether a record below the header names columns: those of another table, or the same in another order.

    Two of its cells are known names and all made of words of headers, or three are known and most made of them, and
    none looks like data.
    """
    texts = list(dict.fromkeys(filled(cells)))
    recognised = recognise(texts)
    if len(recognised) < 2 or any(map(looks_like_data, texts)):
        return False
    named = sum(text in recognised or is_made_of_known_words(text) or names_somebody(text) for text in texts)
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


@cache
def words_of_no_row() -> frozenset[str]:
    """Return known names and words for totals in their usual spellings.

    A record without any of them is no :func:`is_second_header` and no :func:`are_totals`.
    """
    words = {known.name for known in known_names()} | _TOTALS | {f"{word}:" for word in _TOTALS}
    words |= {re.sub(r"[\s._-]+", joint, word) for word in words for joint in (" ", "_", "")}
    return frozenset(chain.from_iterable((word, word.lower(), word.upper(), word.title()) for word in words))
