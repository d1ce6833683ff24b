"""What goes to the Cleanlist API and what it answers, as immutable models (contract sections 4 to 10).

Answers are read tolerantly: unknown fields are kept, a missing and a null optional field are the same thing,
and open sets of words (statuses, tiers, scopes) stay plain strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

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
        return self.credits(emails=1, phones=1)

    def credits(self, *, emails: int, phones: int) -> int:
        """Return what ``emails`` and ``phones`` found cost under this type: 1 and 10 credits each."""
        per_email = 1 if self in (EnrichmentType.PARTIAL, EnrichmentType.FULL) else 0
        per_phone = 10 if self in (EnrichmentType.PHONE_ONLY, EnrichmentType.FULL) else 0
        return emails * per_email + phones * per_phone


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


def _none_to_empty_list(value: object) -> object:
    return [] if value is None else value


def _none_to_empty_text(value: object) -> object:
    return "" if value is None else value


def _text_or_none(value: object) -> str | None:
    return str(value) if isinstance(value, str | int | float) and value != "" else None


def _count_or_none(value: object) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(float(value))  # type: ignore[arg-type]  # refused types land in the except clause
    except (TypeError, ValueError, OverflowError):
        return None


Text = Annotated[str, BeforeValidator(_none_to_empty_text)]
OptionalText = Annotated[str | None, BeforeValidator(_text_or_none)]
OptionalCount = Annotated[int | None, BeforeValidator(_count_or_none)]
Texts = Annotated[list[str], BeforeValidator(_none_to_empty_list)]


class ApiModel(BaseModel):
    """Base of all answers: immutable, keeps the fields it does not know, never prints values."""

    model_config = ConfigDict(
        extra="allow", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True
    )

    def __repr__(self) -> str:
        """Name the class only: answers may hold personal data."""
        return f"{type(self).__name__}(...)"

    __str__ = __repr__


class KeyValidation(ApiModel):
    """Answer of ``GET /auth/validate-key`` (contract section 1.3)."""

    valid: bool = False
    user_id: OptionalText = None
    organization_id: OptionalText = None


class Whoami(ApiModel):
    """Answer of ``GET /whoami`` (contract section 1.4)."""

    organization_id: OptionalText = None
    organization_name: OptionalText = None
    user_id: OptionalText = None
    auth_type: OptionalText = None
    tier: OptionalText = None
    scopes: Texts = Field(default_factory=list)
    features: Texts = Field(default_factory=list)


class CreditBalance(ApiModel):
    """Credits that the organisation has left; may be fractional (contract section 7)."""

    credits: Decimal
    organization_id: OptionalText = None


class BulkEnrichment(ApiModel):
    """Answer to an accepted bulk submission (contract section 4.3).

    ``task_ids`` may be missing or of another length than the contacts submitted.
    """

    workflow_id: str = Field(min_length=1)
    status: Text = ""
    message: Text = ""
    task_ids: Texts = Field(default_factory=list)
    total_contacts: OptionalCount = None


class LeadList(ApiModel):
    """One lead list (contract sections 8.3 and 8.4). ``reused`` tells that creating found an existing one."""

    list_id: str = Field(min_length=1)
    name: Text = ""
    description: OptionalText = None
    lead_count: OptionalCount = None
    enriched_count: OptionalCount = None
    folder_id: OptionalText = None
    created_at: OptionalText = None
    owner_name: OptionalText = None
    visibility: OptionalText = None
    reused: Annotated[bool, BeforeValidator(bool)] = False


class LeadListPage(ApiModel):
    """One page of lead lists (contract section 8.4)."""

    lists: Annotated[list[LeadList], BeforeValidator(_none_to_empty_list)] = Field(default_factory=list)
    total: OptionalCount = None
    cursor: OptionalText = None


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

    def __repr__(self) -> str:
        """Show counts only: leads are personal data."""
        return f"LeadPage(list_id={self.list_id!r}, leads=<{len(self.leads)}>, total={self.total})"


class AddedLeads(ApiModel):
    """Answer to adding leads to a list (contract section 8.9)."""

    list_id: OptionalText = None
    added: OptionalCount = None
    skipped_duplicates: OptionalCount = None
    created: OptionalCount = None


class RemovedLeads(ApiModel):
    """Answer to removing leads from a list (contract section 8.9)."""

    list_id: OptionalText = None
    removed: OptionalCount = None


class WebhookDelivery(ApiModel):
    """One delivery attempt of a workflow's webhook; its shape is not documented (contract section 6)."""

    attempt: OptionalCount = None
    status: OptionalText = None
    response_status_code: OptionalCount = None
    error_message: OptionalText = None
    created_at: OptionalText = None


class WorkflowState(StrEnum):
    """What a workflow's status word means (contract section 5.4)."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


_FAILED_WORDS = frozenset({"failed", "cancelled", "canceled", "error", "errored", "terminated", "timed_out"})


def workflow_state(status: str | None) -> WorkflowState:
    """Return what a status word means; a word nobody has documented means running.

    Args:
        status: The word as the API sent it, in any letter case, or None.
    """
    word = (status or "").strip().lower()
    if word == "completed":
        return WorkflowState.COMPLETED
    return WorkflowState.FAILED if word in _FAILED_WORDS else WorkflowState.RUNNING


@dataclass(frozen=True, slots=True, repr=False)
class WorkflowStatus:
    """Progress of one workflow, whichever shape the answer had (contract sections 5.2 and 5.5).

    Attributes:
        workflow_id: The workflow asked for.
        status: Status word as sent, empty when missing.
        total: Contacts in the workflow, or None when the answer does not tell.
        successful: Contacts for which something was found, or None.
        failed: Contacts for which nothing was found, or None.
        emails_found: Emails found so far, or None.
        phones_found: Phones found so far, or None.
        processed: Contacts done so far, or None.
        lead_list_id: List that receives the contacts, or None.
        results: Raw per-contact results if the answer carried any.
    """

    workflow_id: str
    status: str = ""
    total: int | None = None
    successful: int | None = None
    failed: int | None = None
    emails_found: int | None = None
    phones_found: int | None = None
    processed: int | None = None
    lead_list_id: str | None = None
    results: tuple[Mapping[str, Any], ...] = ()

    @property
    def state(self) -> WorkflowState:
        """What the status word means."""
        return workflow_state(self.status)

    @property
    def progress(self) -> float | None:
        """Share of contacts done, 0.0 to 1.0, or None when the answer does not tell."""
        if self.total is None or self.processed is None or self.total <= 0:
            return None
        return min(1.0, max(0.0, self.processed / self.total))

    def __repr__(self) -> str:
        """Show status and counts, never results."""
        return f"WorkflowStatus({self.workflow_id!r}, {self.status!r}, {self.processed}/{self.total})"

    @classmethod
    def parse(cls, workflow_id: str, body: Mapping[str, Any]) -> WorkflowStatus:
        """Read a status answer with counters in ``summary``, at top level, or absent."""
        summary = body.get("summary")
        sources = [summary, body] if isinstance(summary, Mapping) else [body]
        total = _first_count(sources, "total", "total_contacts", "total_leads")
        successful = _first_count(sources, "successful", "succeeded", "completed")
        failed = _first_count(sources, "failed")
        processed = _first_count(sources, "processed")
        if processed is None and (successful is not None or failed is not None):
            processed = (successful or 0) + (failed or 0)
        percent = _count_or_none(body.get("progress"))
        if processed is None and percent is not None and total is not None:
            processed = total * percent // 100
        results = body.get("results")
        return cls(
            workflow_id=workflow_id,
            status=_text_or_none(body.get("status")) or "",
            total=total,
            successful=successful,
            failed=failed,
            emails_found=_first_count(sources, "emails_found"),
            phones_found=_first_count(sources, "phones_found"),
            processed=processed,
            lead_list_id=_text_or_none(body.get("lead_list_id")),
            results=tuple(item for item in results if isinstance(item, Mapping))
            if isinstance(results, list)
            else (),
        )


def _first_count(sources: list[Mapping[str, Any]], *names: str) -> int | None:
    return next(
        (
            count
            for source in sources
            for name in names
            if (count := _count_or_none(source.get(name))) is not None
        ),
        None,
    )


_RESULT_KEYS = ("primary_email", "prospect", "personal_phone_numbers", "email")


class EnrichmentResult(ApiModel):
    """What enrichment found for one contact (contract section 5.3), with the answer kept in ``raw``."""

    task_id: OptionalText = None
    workflow_id: OptionalText = None
    status: Text = ""
    email: OptionalText = None
    email_status: OptionalText = None
    other_emails: Texts = Field(default_factory=list)
    phones: Texts = Field(default_factory=list)
    prospect: dict[str, Any] = Field(default_factory=dict)
    company: dict[str, Any] = Field(default_factory=dict)
    raw: dict[str, Any] = Field(default_factory=dict)

    @property
    def state(self) -> WorkflowState:
        """What the status word means."""
        return workflow_state(self.status)

    @field_validator("other_emails", "phones", mode="before")
    @classmethod
    def _flatten(cls, value: object) -> list[str]:
        return _flat_texts(value)

    @field_validator("prospect", "company", mode="before")
    @classmethod
    def _as_object(cls, value: object) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return dict(value)
        return {"name": value} if isinstance(value, str) and value else {}

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> EnrichmentResult:
        """Read one result whether it is the body itself or nested in it (contract section 5.3)."""
        result = _result_object(body)
        phones = result.get("personal_phone_numbers")
        return cls(
            task_id=result.get("task_id") or body.get("task_id"),
            workflow_id=result.get("workflow_id") or body.get("workflow_id"),
            status=result.get("status") or body.get("status"),
            email=result.get("primary_email") or result.get("email"),
            email_status=result.get("primary_email_status") or result.get("email_status"),
            other_emails=result.get("other_emails"),
            phones=phones if phones else result.get("phone"),
            prospect=result.get("prospect"),
            company=result.get("company"),
            raw=dict(body),
        )


def _result_object(body: Mapping[str, Any]) -> Mapping[str, Any]:
    if any(key in body for key in _RESULT_KEYS):
        return body
    for key in ("result", "results", "data"):
        nested = body.get(key)
        if isinstance(nested, list):
            nested = nested[0] if nested else None
        if isinstance(nested, Mapping):
            return nested
    return body


def _flat_texts(value: object) -> list[str]:
    """Turn a text, an object with a value, or a list of either into a list of texts."""
    items = value if isinstance(value, list) else [value]
    return [text for item in items if (text := _single_text(item))]


def _single_text(item: object) -> str | None:
    if isinstance(item, Mapping):
        return next((str(item[key]) for key in ("number", "phone", "value", "email") if item.get(key)), None)
    return _text_or_none(item)
