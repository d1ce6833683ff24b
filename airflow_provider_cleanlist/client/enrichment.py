"""Bulk enrichment: contacts, what is looked up for them at what price, and the API calls about both.

The calls are values, as those of :mod:`.endpoints`: nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.messages import (
    POLL_MAX_WAIT_SECONDS,
    Repeat,
    Request,
    Surface,
    valid_id,
)
from airflow_provider_cleanlist.client.protocol import Call, Ok, refuse_another
from airflow_provider_cleanlist.client.rate_limit.core import Priority
from airflow_provider_cleanlist.client.responses import BulkEnrichment, WebhookDelivery
from airflow_provider_cleanlist.client.results import EnrichmentResult, WorkflowStatus

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


def worst_case_credits(contacts: Mapping[EnrichmentType, int]) -> int:
    """Return the credits that contacts cost when everything asked for is found.

    Args:
        contacts: Their number by what is asked for.
    """
    return sum(kind.worst_case_credits * count for kind, count in contacts.items())


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


def submit_bulk_enrichment(
    contacts: Sequence[Contact], enrichment_type: EnrichmentType, webhook_url: str | None
) -> Call[BulkEnrichment]:
    """Return the call ``POST /enrich/bulk``: the one request that spends credits.

    Args:
        contacts: 1 to 250 contacts, each with a valid identity.
        enrichment_type: What to look for.
        webhook_url: HTTPS address that receives the results, or None.

    Raises:
        ConfigurationError: No contacts, or more than 250.
    """
    if not 1 <= len(contacts) <= MAX_CONTACTS_PER_REQUEST:
        raise errors.ConfigurationError(
            f"one submission takes 1 to {MAX_CONTACTS_PER_REQUEST} contacts, not {len(contacts)}"
        )
    body: dict[str, Any] = {
        "enrichment_type": enrichment_type.value,
        "contacts": [contact.payload() for contact in contacts],
    }
    if webhook_url:
        body["webhook_url"] = webhook_url
    request = Request(
        "submit the bulk enrichment",
        "POST",
        Surface.V1,
        "/enrich/bulk",
        body=body,
        repeat=Repeat.SPENDS_CREDITS,
    )
    return Call(request, lambda ok: BulkEnrichment.model_validate(ok.mapping()))


def get_workflow_status(workflow_id: str) -> Call[WorkflowStatus]:
    """Return the call ``GET /enrich/status?workflow_id=``.

    Args:
        workflow_id: The workflow.

    Raises:
        UnexpectedResponseError: By its ``parse``: the response is about another workflow.
    """

    def parse(ok: Ok) -> WorkflowStatus:
        body = ok.mapping()
        refuse_another(request, ok, workflow_id, body.get("workflow_id"))
        return WorkflowStatus.parse(workflow_id, body)

    request = Request(
        f"read the status of workflow {workflow_id}",
        "GET",
        Surface.V1,
        "/enrich/status",
        params={"workflow_id": valid_id(workflow_id)},
        priority=Priority.POLL,
        max_wait=POLL_MAX_WAIT_SECONDS,
    )
    return Call(request, parse)


def get_task_result(task_id: str) -> Call[EnrichmentResult]:
    """Return the call ``GET /enrich/status?task_id=``.

    Args:
        task_id: The contact's task.

    Raises:
        UnexpectedResponseError: By its ``parse``: the response is about another task, or says nothing of any.
    """

    def parse(ok: Ok) -> EnrichmentResult:
        result = EnrichmentResult.parse(ok.mapping())
        refuse_another(request, ok, task_id, result.task_id)
        if not result.is_about_a_task:
            raise ValueError  # what the caller makes of it says that the response lacks required fields
        return result

    request = Request(
        f"read the result of task {task_id}",
        "GET",
        Surface.V1,
        "/enrich/status",
        params={"task_id": valid_id(task_id)},
    )
    return Call(request, parse)


def list_webhook_deliveries(workflow_id: str) -> Call[list[WebhookDelivery]]:
    """Return the call ``GET /webhooks/deliveries``, whose response may have several shapes.

    Args:
        workflow_id: The workflow.

    Raises:
        UnexpectedResponseError: By its ``parse``: the response is about another workflow.
    """

    def parse(ok: Ok) -> list[WebhookDelivery]:
        rows: Any = ok.body
        if isinstance(rows, Mapping):
            refuse_another(request, ok, workflow_id, rows.get("workflow_id"))
            keys = ("deliveries", "items", "data", "results")
            rows = next((rows[key] for key in keys if isinstance(rows.get(key), list)), [])
        rows = [row for row in rows if isinstance(row, Mapping)]
        refuse_another(request, ok, workflow_id, *(row.get("workflow_id") for row in rows))
        return [WebhookDelivery.model_validate(row) for row in rows]

    request = Request(
        f"read the webhook deliveries of workflow {workflow_id}",
        "GET",
        Surface.V1,
        "/webhooks/deliveries",
        params={"workflow_id": valid_id(workflow_id)},
    )
    return Call(request, parse)
