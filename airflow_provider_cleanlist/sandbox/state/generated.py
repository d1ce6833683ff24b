"""Any number of invented leads, computed from their index on request: a million of them take no memory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from airflow_provider_cleanlist.sandbox.state.lookup import AREA_CODES

_FIRST_NAMES = (
    "Mara",
    "Teo",
    "Inès",
    "Jürgen",
    "Łukasz",
    "Наталья",
    "明子",
    "O'Brien",
    "Zoë",
    "Ada",
    "Kofi",
    "Noor",
)
_LAST_NAMES = (
    "Okafor",
    "Lindqvist",
    "Vauban",
    "Müller-Straße",
    "Иванова",
    "田中",
    'Quill "Q"',
    "Ng",
    "García",
    "Falk",
)
_COMPANIES = (
    "Harborlight",
    "Quill and Sextant",
    "Northfold Analytics",
    "Brindle, Works & Söhne",
    "Oxbow 🚚 Freight",
)
_TITLES = (
    "Head of Operations",
    "VP Sales",
    None,
    "Data Engineer",
    "Leiter Einkauf\nund Lager",
    "Directrice RH",
)
_PLACES = ("Gothenburg, Vastra Gotaland, Sweden", "Łódź, Poland", None, "Austin, Texas, United States")
_LEAD_ID = re.compile(r"([0-9a-f]{8})-5eed-4000-8000-([0-9a-f]{12})")


def _encoded(values: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(json.dumps(value, ensure_ascii=False) for value in values)


_FIRST_JSON, _LAST_JSON = _encoded(_FIRST_NAMES), _encoded(_LAST_NAMES)
_FULL_JSON = tuple(_encoded(tuple(f"{first} {last}" for last in _LAST_NAMES)) for first in _FIRST_NAMES)
_COMPANY_JSON, _TITLE_JSON, _PLACE_JSON = _encoded(_COMPANIES), _encoded(_TITLES), _encoded(_PLACES)
_PERIOD = 4200
"""After this many leads everything repeats, except the id, email and LinkedIn URL."""


@cache
def _template(index: int) -> str:
    """Return the row of an index below ``_PERIOD``, with placeholders for seed, index, index, seed, index."""
    first, last, company = index % 12, index // 12 % 10, index // 7 % 5
    email, phone, provider = "null%.0s", "null", "null"  # %.0s consumes its value and writes nothing
    if GeneratedLeads.enriched(index):
        email, provider = f'"person%d@company{company}.example"', '"sandbox"'
        if index % 3:
            phone = f'"+1{AREA_CODES[index % 8]}55501{index % 100:02d}"'
    return (
        f'{{"lead_id":"%08x-5eed-4000-8000-%012x","first_name":{_FIRST_JSON[first]},'
        f'"last_name":{_LAST_JSON[last]},"full_name":{_FULL_JSON[first][last]},"email":{email},"phone":{phone},'
        f'"title":{_TITLE_JSON[index % 6]},"company":{_COMPANY_JSON[company]},"location":{_PLACE_JSON[index % 4]},'
        f'"linkedin_url":"https://www.linkedin.com/in/person-%x-%d","provider":{provider}}}'
    )


@dataclass(frozen=True, slots=True)
class GeneratedLeads:
    """Invented leads 0 to ``count - 1``, always the same for the same ``seed``.

    One in ten was never enriched, every third has no phone, and texts contain accents, quotes, newlines and emoji.

    Args:
        seed: 0 to 2**32 - 1; different seeds give different lead ids.
        count: Number of leads.
    """

    seed: int
    count: int

    def __len__(self) -> int:
        return self.count

    @staticmethod
    def enriched(index: int) -> bool:
        """Whether the lead with this index has been enriched."""
        return index % 10 != 9

    def row_json(self, index: int) -> str:
        """Return a lead as JSON, with the fields that ``GET /lead-lists/{id}/leads`` shows."""
        return _template(index % _PERIOD) % (self.seed, index, index, self.seed, index)

    def row(self, index: int) -> dict[str, Any]:
        """Return the same lead as an object, with the company's domain, which only exports show."""
        row: dict[str, Any] = json.loads(self.row_json(index))
        row["domain"] = f"company{index // 7 % 5}.example"
        return row


def parse_lead_id(lead_id: str) -> tuple[int, int] | None:
    """Return seed and index of a generated lead, or None if the id is not of one."""
    found = _LEAD_ID.fullmatch(lead_id)
    return (int(found[1], 16), int(found[2], 16)) if found else None
