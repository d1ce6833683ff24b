"""What goes to the Cleanlist API and what it answers, as immutable models (contract sections 4 to 10).

Answers are read tolerantly: unknown fields are kept, a missing and a null optional field are the same thing,
and open sets of words (statuses, tiers, scopes) stay plain strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_CONTACTS_PER_REQUEST = 250
"""Most contacts that one bulk submission may carry (contract section 4.1)."""


class EnrichmentType(StrEnum):
    """What a bulk enrichment looks for, and so what it may cost (contract section 4.2).

    Attributes:
        NONE: Nothing; the contacts only join the managed list. 0 credits.
        PARTIAL: Emails, 1 credit each.
        PHONE_ONLY: Phones, 10 credits each.
        FULL: Emails and phones, 1 and 10 credits each.
    """

    NONE = "none"
    PARTIAL = "partial"
    PHONE_ONLY = "phone_only"
    FULL = "full"

    @property
    def worst_case_credits(self) -> int:
        """Credits that one contact costs when everything asked for is found."""
        return self.credits(emails=1, phones=1)

    def credits(self, *, emails: int, phones: int) -> int:
        """Return what finds cost under this type, in credits (contract section 4.2).

        Args:
            emails: Emails found.
            phones: Phones found.
        """
        per_email = 1 if self in (EnrichmentType.PARTIAL, EnrichmentType.FULL) else 0
        per_phone = 10 if self in (EnrichmentType.PHONE_ONLY, EnrichmentType.FULL) else 0
        return emails * per_email + phones * per_phone


@dataclass(frozen=True, slots=True, repr=False)
class Contact:
    """One person to enrich (contract section 4.1).

    Cleanlist can look a contact up by ``linkedin_url``, or by ``first_name`` and ``last_name`` together with
    ``company_name`` or ``company_domain``. ``email`` is only a hint beside one of these.

    The representation shows which fields are set and never their values: contacts are personal data.

    Attributes:
        linkedin_url: Address of the person's LinkedIn profile.
        first_name: First name.
        last_name: Last name.
        company_name: Name of the company.
        company_domain: Bare domain of the company, such as ``harborlight.example``.
        email: Address as a hint; never enough alone.
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
"""Names of the contact fields, in the order in which they are sent."""


def text_or_none(value: object) -> str | None:
    """Return a text or number as text; everything else, and the empty text, as None.

    Args:
        value: Whatever an answer held.
    """
    return (
        str(value)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        else None
    )


def count_or_none(value: object) -> int | None:
    """Return a number, or a text that holds one, as a whole number; everything else as None.

    Args:
        value: Whatever an answer held.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def texts(value: object) -> list[str]:
    """Return the texts and numbers of a list as texts, without anything else; what is no list as an empty one.

    Args:
        value: Whatever an answer held.
    """
    return [text for item in value if (text := text_or_none(item))] if isinstance(value, list) else []


def _text_or_empty(value: object) -> str:
    return text_or_none(value) or ""


def _is_true(value: object) -> bool:
    return value is True


def _list_or_empty(value: object) -> object:
    return [] if value is None else value


Text = Annotated[str, BeforeValidator(_text_or_empty)]
"""A text; empty where the answer has none."""
OptionalText = Annotated[str | None, BeforeValidator(text_or_none)]
"""A text, or None where the answer has none."""
OptionalCount = Annotated[int | None, BeforeValidator(count_or_none)]
"""A whole number, or None where the answer has none."""
Texts = Annotated[list[str], BeforeValidator(texts)]
"""A list of texts; empty where the answer has none."""
Flag = Annotated[bool, BeforeValidator(_is_true)]
"""True where the answer says so, else False."""


class ApiModel(BaseModel):
    """Base of all answers: immutable, keeps the fields it does not know, never prints values."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> tuple[()]:
        """Show no values, whatever prints the answer: it may hold personal data."""
        return ()

    def __str__(self) -> str:
        """Name the class only."""
        return repr(self)


class KeyValidation(ApiModel):
    """Answer of ``GET /auth/validate-key`` (contract section 1.3).

    Attributes:
        valid: Whether the key is good.
        user_id: Its user.
        organization_id: The user's organisation.
    """

    valid: Flag = False
    user_id: OptionalText = None
    organization_id: OptionalText = None


class Whoami(ApiModel):
    """Answer of ``GET /whoami`` (contract section 1.4).

    Attributes:
        organization_id: The key's organisation.
        organization_name: Its name.
        user_id: The key's user.
        auth_type: How the request was authenticated, such as ``api_key``.
        tier: Plan, such as ``pro``.
        scopes: What the key may do, such as ``lists:read``.
        features: What the plan includes.
    """

    organization_id: OptionalText = None
    organization_name: OptionalText = None
    user_id: OptionalText = None
    auth_type: OptionalText = None
    tier: OptionalText = None
    scopes: Texts = Field(default_factory=list)
    features: Texts = Field(default_factory=list)


class CreditBalance(ApiModel):
    """Credits that the organisation has left; may be fractional (contract section 7).

    Attributes:
        credits: Credits left.
        organization_id: The organisation.
    """

    credits: Decimal
    organization_id: OptionalText = None


class BulkEnrichment(ApiModel):
    """Answer to an accepted bulk submission (contract section 4.3).

    ``task_ids`` may be missing or of another length than the contacts submitted.

    Attributes:
        workflow_id: Id of the workflow; never empty.
        status: Status word as sent.
        message: Text of the API.
        task_ids: One id per contact, as a rule in the order of submission.
        total_contacts: Contacts accepted, or None.
    """

    workflow_id: Text = Field(min_length=1)
    status: Text = ""
    message: Text = ""
    task_ids: Texts = Field(default_factory=list)
    total_contacts: OptionalCount = None


class LeadList(ApiModel):
    """One lead list (contract sections 8.3 and 8.4). ``reused`` tells that creating found an existing one.

    Attributes:
        list_id: Id of the list; never empty.
        name: Its name.
        description: Its description, or None.
        lead_count: Leads in it, or None.
        enriched_count: Enriched leads in it, or None.
        folder_id: Its folder, or None.
        created_at: When it was made, as the API writes it (ISO 8601).
        owner_name: Name of its owner, or None.
        visibility: Who may see it, as the API says.
        reused: Whether creating it found it.
    """

    list_id: Text = Field(min_length=1)
    name: Text = ""
    description: OptionalText = None
    lead_count: OptionalCount = None
    enriched_count: OptionalCount = None
    folder_id: OptionalText = None
    created_at: OptionalText = None
    owner_name: OptionalText = None
    visibility: OptionalText = None
    reused: Flag = False


class LeadListPage(ApiModel):
    """One page of lead lists (contract section 8.4).

    Attributes:
        lists: The lists.
        total: Lists on all pages, or None.
        cursor: Opaque cursor of the next page, None on the last one.
    """

    lists: Annotated[list[LeadList], BeforeValidator(_list_or_empty)] = Field(default_factory=list)
    total: OptionalCount = None
    cursor: OptionalText = None

    @property
    def rows(self) -> Sequence[object]:
        """What the page holds."""
        return self.lists


@dataclass(frozen=True, slots=True, repr=False)
class LeadPage:
    """One page of a list's contents (contract section 8.6).

    Attributes:
        list_id: The list.
        leads: Raw lead rows as the API sent them; each has a non-empty ``lead_id``, nothing else is sure.
        total: Leads in the list when the page was read, or None.
        cursor: Opaque cursor of the next page, None on the last one.
    """

    list_id: str
    leads: list[dict[str, Any]]
    total: int | None
    cursor: str | None

    @property
    def rows(self) -> Sequence[object]:
        """What the page holds."""
        return self.leads

    def __repr__(self) -> str:
        """Show counts only: leads are personal data."""
        return f"LeadPage(list_id={self.list_id!r}, leads=<{len(self.leads)}>, total={self.total})"


class AddedLeads(ApiModel):
    """Answer to adding leads to a list (contract section 8.9).

    Attributes:
        list_id: The list.
        added: Leads that were new in it.
        skipped_duplicates: Leads that were in it already.
        created: Leads that were made for it, or None.
    """

    list_id: OptionalText = None
    added: OptionalCount = None
    skipped_duplicates: OptionalCount = None
    created: OptionalCount = None


class RemovedLeads(ApiModel):
    """Answer to removing leads from a list (contract section 8.9).

    Attributes:
        list_id: The list.
        removed: Leads that were in it.
    """

    list_id: OptionalText = None
    removed: OptionalCount = None


class WebhookDelivery(ApiModel):
    """One delivery attempt of a workflow's webhook; its shape is not documented (contract section 6).

    Attributes:
        attempt: Number of the attempt, or None.
        status: What became of it, as the API says.
        response_status_code: HTTP status that the receiver answered, or None.
        error_message: What went wrong, or None.
        created_at: When it was made, as the API writes it (ISO 8601).
    """

    attempt: OptionalCount = None
    status: OptionalText = None
    response_status_code: OptionalCount = None
    error_message: OptionalText = None
    created_at: OptionalText = None
