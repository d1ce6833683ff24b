"""Who a contact is: the fields that a lookup starts from, and the identity derived from them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

_LINKEDIN_SLUG = re.compile(r"linkedin\.com/(?:in|pub|sales/lead|sales/people)/([^/?#]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Person:
    """A contact as submitted; blank strings count as absent.

    Attributes:
        linkedin_url: URL of the LinkedIn profile.
        first_name: First name.
        last_name: Last name.
        company_name: Name of the company.
        company_domain: Domain of the company.
        email: Email address.
    """

    linkedin_url: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    company_domain: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, (getattr(self, name) or "").strip() or None)

    @property
    def can_be_looked_up(self) -> bool:
        """Whether ``/enrich/bulk`` accepts the contact: a LinkedIn URL, or both names and a company."""
        named = self.first_name and self.last_name and (self.company_name or self.company_domain)
        return bool(self.linkedin_url or named)

    @property
    def linkedin_slug(self) -> str | None:
        """The profile name in the LinkedIn URL, independent of case, percent-encoding and trailing slashes."""
        if self.linkedin_url is None:
            return None
        found = _LINKEDIN_SLUG.search(self.linkedin_url)
        return unicodedata.normalize("NFC", unquote(found[1] if found else self.linkedin_url)).casefold()

    @property
    def full_name(self) -> str | None:
        """First and last name together."""
        return " ".join(filter(None, (self.first_name, self.last_name))) or None


def identity_of(person: Person) -> str:
    """Return who the contact is, as 16 hexadecimal digits that reveal nothing.

    A LinkedIn profile is one person however its URL is written. Without one, both names and the company's domain
    (else its name) decide, and without these the email.

    Args:
        person: The contact.
    """
    if person.linkedin_slug:
        parts = ["linkedin", person.linkedin_slug]
    elif person.can_be_looked_up:
        company = person.company_domain or person.company_name
        parts = ["name", person.first_name or "", person.last_name or "", company or ""]
    else:
        parts = ["other", person.email or ""]
    folded = "\x1f".join(unicodedata.normalize("NFC", part).casefold() for part in parts)
    return hashlib.sha256(folded.encode()).hexdigest()[:16]
