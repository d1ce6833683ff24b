"""What the Cleanlist API answers, as tolerant, immutable models (contract sections 4 to 10).

Every model ignores nothing and requires little: unknown fields are kept, missing and null optional fields
are the same thing, and open sets of words (statuses, tiers, scopes) stay plain strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_CONTACTS_PER_REQUEST = 250
"""Most contacts that one bulk submission may carry (contract section 4.1)."""


class EnrichmentType(StrEnum):
    """What a bulk enrichment looks for, and so what it may cost (contract section 4.2)."""

    NONE = "none"
    PARTIAL = "partial"
    PHONE_ONLY = "phone_only"
    FULL = "full"

    @property
    def worst_case_credits(self) -> int:
        """Credits that one contact costs when everything asked for is found."""
        return _WORST_CASE_CREDITS[self]


_WORST_CASE_CREDITS = {
    EnrichmentType.NONE: 0,
    EnrichmentType.PARTIAL: 1,
    EnrichmentType.PHONE_ONLY: 10,
    EnrichmentType.FULL: 11,
}


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """One person to enrich (contract section 4.1).

    Cleanlist can look a contact up by ``linkedin_url``, or by ``first_name`` and ``last_name`` together with
    ``company_name`` or ``company_domain``. ``email`` is only a hint beside one of these.

    The representation shows which fields are set and never their values: contacts are personal data.
    """

    linkedin_url: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    company_domain: str | None = None
    email: str | None = None

    def payload(self) -> dict[str, str]:
        """Return the contact as the API takes it: set fields only."""
        return {name: value for name in CONTACT_FIELDS if (value := getattr(self, name))}

    def __repr__(self) -> str:
        """Name the fields that are set, without their values."""
        return f"Contact(<{', '.join(self.payload()) or 'empty'}>)"


CONTACT_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Contact))


class ApiModel(BaseModel):
    """Base of all answers: immutable, keeps fields it does not know, never prints values."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True)

    def __repr__(self) -> str:
        """Name the class only: answers may hold personal data."""
        return f"{type(self).__name__}(...)"

    __str__ = __repr__
