"""What goes to the Cleanlist API: contacts, and what is looked up for them.

Apart from :mod:`.responses`, so that whoever only reads contacts does not build the models of responses.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

MAX_CONTACTS_PER_REQUEST = 250
"""The API's limit for the contacts in one submission."""


class EnrichmentType(StrEnum):
    """What a bulk enrichment looks for, and so what it may cost.

    Attributes:
        NONE: Nothing; the contacts only join the managed list. Costs 0 credits.
        PARTIAL: Emails, at 1 credit each.
        PHONE_ONLY: Phones, at 10 credits each.
        FULL: Emails and phones, at 1 and 10 credits each.
    """

    NONE = "none"
    PARTIAL = "partial"
    PHONE_ONLY = "phone_only"
    FULL = "full"

    @property
    def worst_case_credits(self) -> int:
        """Credits that one contact costs if everything is found. What is not found costs nothing."""
        return self.credits(emails=1, phones=1)

    def credits(self, *, emails: int, phones: int) -> int:
        """Return what the given finds cost under this type, in credits.

        Args:
            emails: Emails found.
            phones: Phones found.
        """
        per_email = 1 if self in (EnrichmentType.PARTIAL, EnrichmentType.FULL) else 0
        per_phone = 10 if self in (EnrichmentType.PHONE_ONLY, EnrichmentType.FULL) else 0
        return emails * per_email + phones * per_phone


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """One person to enrich.

    Cleanlist looks up a contact by ``linkedin_url``, or by ``first_name`` and ``last_name`` together with
    ``company_name`` or ``company_domain``. ``email`` is only an additional hint.

    The representation shows which fields are set, never their values: contacts are personal data.

    Attributes:
        linkedin_url: URL of the person's LinkedIn profile.
        first_name: First name.
        last_name: Last name.
        company_name: Name of the company.
        company_domain: Bare domain of the company, such as ``harborlight.example``.
        email: Email address as a hint; not sufficient alone.
    """

    linkedin_url: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    company_domain: str | None = None
    email: str | None = None

    def payload(self) -> dict[str, str]:
        """Return the contact as the API expects it: only the fields that are set."""
        return {name: value for name in CONTACT_FIELDS if (value := getattr(self, name))}

    def __repr__(self) -> str:
        """Name the fields that are set, without their values."""
        return f"Contact(<{', '.join(self.payload()) or 'empty'}>)"


CONTACT_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Contact))
"""Names of the contact fields, in the order they are sent."""
