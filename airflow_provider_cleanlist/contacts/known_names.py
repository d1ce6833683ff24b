"""The names that columns have in other tools and other languages: ``known_names.csv`` as a table.

A line of the file is one name: the contact field, the name as the tool writes it, its languages, the field that has
to be there beside it, and the tools known to write it. The lines of a field stand in the order in which a row's
value is looked for. To add a name, add a line, and a header with its source to ``tests/unit/contacts/exports.csv``.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FULL_NAME = "full_name"
"""What the table calls columns of full names. It is not a contact field: full names are not split."""

_NUMBER = r"^\s*\d{1,2}[.)]\s+"
_NUMBERED = re.compile(_NUMBER)
_DUTY = r"\s*[(\[]\s*(?:required|optional|mandatory|pflichtfeld|optionnel|obligatoire|obligatorio|opcional)\s*[)\]]\s*$"
_OF_FORMS = re.compile(f"{_NUMBER}|{_DUTY}", re.IGNORECASE)

_FILE = Path(__file__).with_name("known_names.csv")


@dataclass(frozen=True, slots=True)
class KnownName:
    """A column name and what it stands for.

    Attributes:
        field: The contact field, or :data:`FULL_NAME`.
        name: The name, as the tools write it.
        languages: Codes of the languages in which it means that.
        beside: The field that another column of one of these languages has to hold; without such a column the name
            means something else, as ``Name`` does without ``Vorname``. None: the name always means the field.
        tools: Tools known to write it.
        rank: Its place among the names of all fields, the most trusted of each field first.
    """

    field: str
    name: str
    languages: frozenset[str]
    beside: str | None
    tools: tuple[str, ...]
    rank: int


def header_key(header: str) -> str:
    """Return what two spellings of one header share: its letters and digits, without case and accents.

    Numbers of questions and notes of forms and templates are left aside: ``1. First Name``, ``Company (required)``.
    """
    folded = (
        unicodedata.normalize("NFKD", _OF_FORMS.sub("", header))
        .casefold()
        .replace("\N{LATIN SMALL LETTER DOTLESS I}", "i")
    )
    return "".join(filter(str.isalnum, folded))


def is_numbered(header: str) -> bool:
    """Return whether a number stands before a header, as before the questions of forms: ``1. First Name``."""
    return _NUMBERED.match(header) is not None


@cache
def known_names() -> tuple[KnownName, ...]:
    """Return the table, in its order. The file is read at the first call, not when a DAG is parsed."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return tuple(
            KnownName(
                field=row["field"],
                name=row["name"],
                languages=frozenset(row["language"].split()),
                beside=row["beside"] or None,
                tools=tuple(filter(None, map(str.strip, row["tools"].split(",")))),
                rank=rank,
            )
            for rank, row in enumerate(csv.DictReader(file))
        )


@cache
def names_by_key() -> Mapping[str, tuple[KnownName, ...]]:
    """Return the table by :func:`header_key`. A key has several names where languages disagree."""
    grouped: dict[str, list[KnownName]] = {}
    for name in known_names():
        grouped.setdefault(header_key(name.name), []).append(name)
    return {key: tuple(names) for key, names in grouped.items()}
