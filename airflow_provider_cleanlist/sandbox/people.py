"""Who a contact is: the fields a lookup starts from, and the identity they amount to."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

_LINKEDIN_SLUG = re.compile(r"linkedin\.com/(?:in|pub|sales/lead|sales/people)/([^/?#]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Person:
    """A contact as submitted; blank strings count as absent (contract section 4.1)."""

    linkedin_url: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    company_domain: str | None = None
    email: str | None = None
    phone: str | None = None
    person_id: str | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, (getattr(self, name) or "").strip() or None)

    @property
    def has_legacy_identity(self) -> bool:
        """Whether ``/enrich/bulk`` can look this contact up."""
        named = self.first_name and self.last_name and (self.company_name or self.company_domain)
        return bool(self.linkedin_url or named)

    @property
    def has_v2_identity(self) -> bool:
        """Whether ``/enrichment/person`` can: an email or a person id is enough there."""
        return self.has_legacy_identity or bool(self.email or self.person_id)

    @property
    def linkedin_slug(self) -> str | None:
        """The name in the LinkedIn URL, without accents of spelling: case, escapes, slashes."""
        if self.linkedin_url is None:
            return None
        found = _LINKEDIN_SLUG.search(self.linkedin_url)
        return unicodedata.normalize("NFC", unquote(found[1] if found else self.linkedin_url)).casefold()

    @property
    def full_name(self) -> str | None:
        """First and last name as one."""
        return " ".join(filter(None, (self.first_name, self.last_name))) or None


def identity_of(person: Person) -> str:
    """Return who the contact is, as 16 hexadecimal digits that reveal nothing.

    The same LinkedIn profile is the same person however its URL is written; without one, the names together
    with the company's domain or name decide, then the email, the person id and the phone.
    """
    if person.linkedin_slug:
        parts = ["linkedin", person.linkedin_slug]
    elif person.has_legacy_identity:
        company = person.company_domain or person.company_name
        parts = ["name", person.first_name or "", person.last_name or "", company or ""]
    else:
        parts = ["other", person.email or person.person_id or person.phone or ""]
    folded = "\x1f".join(unicodedata.normalize("NFC", part).casefold() for part in parts)
    return hashlib.sha256(folded.encode()).hexdigest()[:16]
