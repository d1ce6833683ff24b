"""What the Cleanlist API returns, as immutable models.

Responses are read tolerantly: unknown fields are kept, a missing and a null optional field are the same, and open sets
of words (statuses, tiers, scopes) stay plain strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from airflow_provider_cleanlist.input_limits import ID_CHARACTERS

MAX_COUNT = 2**31 - 1
"""Largest count that is read from a response: what a database column for whole numbers takes."""
_NOTHING = frozenset({"none", "null"})
"""What templates and JSON write for nothing."""
MANAGED_LIST_NAMES = ("Extension Leads", "DEFAULT")
"""Names of the list to which Cleanlist adds every enriched contact: today's, and that of older vendor pages."""


def is_managed_list(name: str) -> bool:
    """Return whether a list of this name is the one to which Cleanlist adds every enriched contact.

    Args:
        name: Name of the list, in any letter case.
    """
    return name.strip().casefold() in {known.casefold() for known in MANAGED_LIST_NAMES}


def text_or_none(value: object) -> str | None:
    """Return a text or number as text; anything else, and empty text, as None.

    Args:
        value: Whatever a response contained.
    """
    return (
        str(value)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        else None
    )


def cursor_or_none(value: object) -> str | None:
    """Return a cursor as text, or None if there is none; nothing else may end the reading of pages.

    Args:
        value: What a response contained.

    Raises:
        ValueError: It is neither a text nor a number.
    """
    cursor = text_or_none(value)
    if cursor is None and value not in (None, ""):
        raise ValueError
    return cursor


def count_or_none(value: object) -> int | None:
    """Return a number, or a text that contains one, as a whole number; anything else as None, and what no count can be.

    Args:
        value: Whatever a response contained.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = int(float(value))
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= MAX_COUNT else None


def texts(value: object) -> list[str]:
    """Return the texts and numbers of a list as texts, without anything else; an empty list if it is not a list.

    Args:
        value: Whatever a response contained.
    """
    return [text for item in value if (text := text_or_none(item))] if isinstance(value, list) else []


def _text_or_empty(value: object) -> str:
    return text_or_none(value) or ""


def id_or_none(value: object) -> str | None:
    """Return an id as text; None for what cannot be one.

    An id stays itself wherever Airflow hands it on: it has at most 512 characters, all of them printable, no white
    space around them, and is not what a template renders of a list, a mapping or nothing.

    Args:
        value: Whatever a response or a webhook contained.
    """
    text = text_or_none(value)
    if text is None or len(text) > ID_CHARACTERS or not text.isprintable() or text != text.strip():
        return None
    return None if text[0] in "[{" or text.casefold() in _NOTHING else text


def _ids(value: object) -> list[str]:
    """Return a list of ids; an empty one if any is unusable, because the next would be taken for its contact's."""
    found = texts(value)
    return found if all(map(id_or_none, found)) else []


def _is_true(value: object) -> bool:
    return value is True


def _list_or_empty(value: object) -> object:
    return [] if value is None else value


Text = Annotated[str, BeforeValidator(_text_or_empty)]
"""A text; empty where the response has none."""
Id = Annotated[str, BeforeValidator(id_or_none)]
"""An id, see :func:`id_or_none`."""
Ids = Annotated[list[str], BeforeValidator(_ids)]
"""A list of ids; empty where the response has none."""
OptionalText = Annotated[str | None, BeforeValidator(text_or_none)]
"""A text, or None where the response has none."""
OptionalCount = Annotated[int | None, BeforeValidator(count_or_none)]
"""A whole number, or None where the response has none."""
Texts = Annotated[list[str], BeforeValidator(texts)]
"""A list of texts; empty where the response has none."""
Flag = Annotated[bool, BeforeValidator(_is_true)]
"""True where the response says so, else False."""


class ApiModel(BaseModel):
    """Base of all response models: immutable, keeps unknown fields, never prints values."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> tuple[()]:
        """Show no values: they may be personal data."""
        return ()

    def __str__(self) -> str:
        """Show the class only."""
        return repr(self)


class KeyValidation(ApiModel):
    """Response of ``GET /auth/validate-key``.

    Attributes:
        valid: Whether the key is valid; a response that does not say so is not the API's.
        user_id: User who owns the key.
        organization_id: The user's organisation.
    """

    valid: Flag
    user_id: OptionalText = None
    organization_id: OptionalText = None


class Whoami(ApiModel):
    """Response of ``GET /whoami``.

    Attributes:
        organization_id: The key's organisation.
        organization_name: Its name.
        user_id: User who owns the key.
        auth_type: How the request was authenticated, such as ``api_key``.
        tier: Plan, such as ``pro``.
        scopes: Permissions of the key, such as ``lists:read``.
        features: Features of the plan.
    """

    organization_id: OptionalText = None
    organization_name: OptionalText = None
    user_id: OptionalText = None
    auth_type: OptionalText = None
    tier: OptionalText = None
    scopes: Texts = Field(default_factory=list)
    features: Texts = Field(default_factory=list)


class CreditBalance(ApiModel):
    """Credits that the organisation has left.

    Attributes:
        credits: Credits left; may be fractional.
        organization_id: The organisation.
    """

    credits: Decimal
    organization_id: OptionalText = None


class BulkEnrichment(ApiModel):
    """Response to an accepted submission.

    ``task_ids`` may be missing, or differ in number from the contacts submitted.

    Attributes:
        workflow_id: Id of the workflow; never empty.
        status: Status word as sent.
        message: Message of the API.
        task_ids: One id per contact, normally in the order of submission.
        total_contacts: Contacts accepted, or None.
    """

    workflow_id: Id
    status: Text = ""
    message: Text = ""
    task_ids: Ids = Field(default_factory=list)
    total_contacts: OptionalCount = None


class LeadList(ApiModel):
    """One lead list.

    Attributes:
        list_id: Id of the list; never empty.
        name: Its name.
        description: Its description, or None.
        lead_count: Leads in it, or None.
        enriched_count: Enriched leads in it, or None.
        folder_id: Its folder, or None.
        created_at: When it was created, as the API writes it (ISO 8601).
        owner_name: Name of its owner, or None.
        visibility: Who may see it, in the API's words.
        reused: Whether creating it found an existing list of that name.
    """

    list_id: Id
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
    """One page of lead lists.

    Attributes:
        lists: The lists.
        total: Number of lists on all pages, or None.
        cursor: Opaque cursor of the next page; None on the last one.
    """

    lists: Annotated[list[LeadList], BeforeValidator(_list_or_empty)] = Field(default_factory=list)
    total: OptionalCount = None
    cursor: Annotated[str | None, BeforeValidator(cursor_or_none)] = None

    @property
    def records(self) -> Sequence[object]:
        """The lists, under the name that every page has for what it holds."""
        return self.lists


@dataclass(frozen=True, slots=True, repr=False)
class LeadPage:
    """One page of a list's contents.

    Attributes:
        list_id: The list.
        leads: Leads as the API sent them; only a non-empty ``lead_id`` is guaranteed.
        total: Leads in the list when the page was read, or None.
        cursor: Opaque cursor of the next page; None on the last one.
        fields: Fields of all leads of an export, as its header has them; empty for other pages.
        weight: About how much it counts in memory, in bytes.
    """

    list_id: str
    leads: Sequence[dict[str, Any]]
    total: int | None
    cursor: str | None
    fields: tuple[str, ...] = ()
    weight: int = field(default=0, compare=False)

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """The leads, under the name that every page has for what it holds."""
        return self.leads

    def __repr__(self) -> str:
        """Show counts only: leads are personal data."""
        return f"LeadPage(list_id={self.list_id!r}, leads=<{len(self.leads)}>, total={self.total})"


@dataclass(frozen=True, slots=True, repr=False)
class SignedExport:
    """Response of ``POST /export/csv/signed-url``: where the file of an export is, and what it holds.

    Attributes:
        list_id: The list.
        download_url: Its signed address, a secret: whoever has it can read the leads.
        row_count: Leads in the file, or None.
        file_size_bytes: Size of the file in bytes, or None.
    """

    list_id: str
    download_url: str
    row_count: int | None
    file_size_bytes: int | None

    def __repr__(self) -> str:
        """Show counts only: the address is a secret."""
        return f"SignedExport(list_id={self.list_id!r}, row_count={self.row_count})"


class AddedLeads(ApiModel):
    """Response to adding leads to a list.

    Attributes:
        list_id: The list.
        added: Leads that were new in it.
        skipped_duplicates: Leads that were already in it.
        created: Leads that were created for it, or None.
    """

    list_id: OptionalText = None
    added: OptionalCount = None
    skipped_duplicates: OptionalCount = None
    created: OptionalCount = None


class RemovedLeads(ApiModel):
    """Response to removing leads from a list.

    Attributes:
        list_id: The list.
        removed: Leads that were in it.
    """

    list_id: OptionalText = None
    removed: OptionalCount = None


class WebhookDelivery(ApiModel):
    """One delivery attempt of a workflow's webhook. The vendor does not document its fields.

    Attributes:
        attempt: Number of the attempt, or None.
        status: Its result, in the API's words.
        response_status_code: HTTP status that the receiver returned, or None.
        error_message: What went wrong, or None.
        created_at: When it was made, as the API writes it (ISO 8601).
    """

    attempt: OptionalCount = None
    status: OptionalText = None
    response_status_code: OptionalCount = None
    error_message: OptionalText = None
    created_at: OptionalText = None
