"""What a lookup finds about a contact: invented, and always the same for the same contact.

A marker in a name, company, email or LinkedIn URL decides (see ``MARKERS``). Without one, a hash of the contact's
identity decides, at the rates in the settings. Emails end in ``.example``, and phone numbers are from the fictitious
range ``555-01xx``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_cleanlist.sandbox.people import identity_of

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.people import Person


class Marker(NamedTuple):
    """What a marker makes a lookup find."""

    email_status: str | None
    phone: bool


MARKERS: dict[str, Marker] = {
    "found-both": Marker("verified", True),
    "email-only": Marker("verified", False),
    "phone-only": Marker(None, True),
    "nothing-found": Marker(None, False),
    "likely-email": Marker("likely_valid", False),
    "risky-email": Marker("risky", False),
    "invalid-email": Marker("invalid", False),
    "unknown-email": Marker("unknown", False),
}
"""Words that decide what is found, anywhere in a contact; spaces, dots and underscores match the dash."""

CREDITS_PER_EMAIL = 1
CREDITS_PER_PHONE = 10
WORST_CASE_CREDITS = {"none": 0, "partial": 1, "phone_only": 10, "full": 11, "prospecting_only": 1}
"""Most that one contact can cost, by enrichment type."""

_EMAIL_STATUSES = (
    ("verified",) * 75 + ("likely_valid",) * 15 + ("risky",) * 7 + ("unknown",) * 2 + ("invalid",)
)
AREA_CODES = ("202", "303", "404", "505", "606", "707", "808", "914")
_TITLES = (
    "Head of Operations",
    "VP Sales",
    "Chief of Staff",
    "Data Engineer",
    "Leiter Einkauf",
    "Directrice RH",
)
_PLACES = (
    "Gothenburg, Vastra Gotaland, Sweden",
    "Łódź, Poland",
    "Austin, Texas, United States",
    "São Paulo, Brazil",
    "München, Bayern, Germany",
    "Nagoya, Aichi, Japan",
)
_INDUSTRIES = ("Logistics", "Software", "Chemicals", "Retail", "Insurance", "Renewable energy")
_COMPANIES = ("Harborlight", "Quill and Sextant", "Northfold Analytics", "Brindle Works", "Oxbow Freight")


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What was found about a contact; None means not found."""

    email: str | None
    email_status: str | None
    phone: str | None
    title: str
    location: str
    industry: str
    headcount: int
    company: str
    domain: str
    first_name: str
    last_name: str

    @property
    def full_name(self) -> str:
        """First and last name together."""
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def successful(self) -> bool:
        """Whether an email or a phone was found."""
        return self.email is not None or self.phone is not None

    def limited_to(self, enrichment_type: str) -> LookupResult:
        """Return what an enrichment of this type adds to the contact, and charges for."""
        email = enrichment_type in {"partial", "full", "prospecting_only"}
        return replace(
            self,
            email=self.email if email else None,
            email_status=self.email_status if email else None,
            phone=self.phone if enrichment_type in {"phone_only", "full"} else None,
        )


def look_up(person: Person, *, email_rate: float, phone_rate: float) -> LookupResult:
    """Find everything there is about a contact.

    Args:
        person: The contact.
        email_rate: Share of unmarked contacts with an email, 0 to 1.
        phone_rate: Share of unmarked contacts with a phone, 0 to 1.
    """
    digest = hashlib.sha256(identity_of(person).encode()).digest()
    marker = find_marker(person) or Marker(
        _EMAIL_STATUSES[digest[8] % 100] if _share(digest[0:4]) < email_rate else None,
        _share(digest[4:8]) < phone_rate,
    )
    first, last = _names(person)
    company = person.company_name or _company_of(person.company_domain) or _pick(_COMPANIES, digest[9])
    domain = person.company_domain or f"{_ascii(company) or 'company'}.example"
    mailbox = ".".join(filter(None, (_ascii(first), _ascii(last)))) or f"person-{digest.hex()[:8]}"
    return LookupResult(
        email=f"{mailbox}@{_example(domain)}" if marker.email_status else None,
        email_status=marker.email_status,
        phone=f"+1{_pick(AREA_CODES, digest[10])}55501{digest[11] % 100:02d}" if marker.phone else None,
        title=_pick(_TITLES, digest[12]),
        location=_pick(_PLACES, digest[13]),
        industry=_pick(_INDUSTRIES, digest[14]),
        headcount=20 + digest[15] * 10,
        company=company,
        domain=domain,
        first_name=first,
        last_name=last,
    )


def find_marker(person: Person) -> Marker | None:
    """Return the marker in a contact, if any."""
    fields = (person.first_name, person.last_name, person.company_name, person.company_domain, person.email)
    text = "|".join(
        re.sub(r"[\s._]+", "-", text.casefold()) for text in (*fields, person.linkedin_slug) if text
    )
    return next((marker for word, marker in MARKERS.items() if word in text), None)


def _share(digits: bytes) -> float:
    return int.from_bytes(digits) / float(256 ** len(digits))


def _pick(choices: tuple[str, ...], number: int) -> str:
    return choices[number % len(choices)]


def _names(person: Person) -> tuple[str, str]:
    if person.first_name or person.last_name:
        return person.first_name or "", person.last_name or ""
    source = person.linkedin_slug or (person.email or "").partition("@")[0] or "Unnamed Person"
    words = [word.title() for word in re.split(r"[-._\s]+", source.rpartition("/")[2]) if word]
    return (words[0] if words else "Unnamed"), (words[1] if len(words) > 1 else "Person")


def _company_of(domain: str | None) -> str | None:
    return domain.partition(".")[0].replace("-", " ").title() if domain else None


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _example(domain: str) -> str:
    return (
        domain.lower()
        if domain.endswith(".example")
        else f"{_ascii(domain.partition('.')[0]) or 'company'}.example"
    )
