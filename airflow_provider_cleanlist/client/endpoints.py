"""Every API call as a value: what to ask and how to read the answer, without sending anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from airflow_provider_cleanlist.client import errors, models, results
from airflow_provider_cleanlist.client.protocol import Ok, Prefix, Repeat, Request
from airflow_provider_cleanlist.client.rate_limit.core import Priority

T = TypeVar("T")

MAX_LISTS_PER_PAGE = 100
"""Most lists that one page may hold (contract section 8.4)."""
MAX_LEADS_PER_PAGE = 500
"""Most leads that one page may hold (contract section 8.6)."""
MAX_LEADS_PER_ADD = 1000
"""Most leads that one request may add to a list (contract section 8.9)."""
MAX_LEADS_PER_REMOVE = 100
"""Most leads that one request may remove from a list (contract section 8.9)."""
POLL_MAX_WAIT_SECONDS = 600.0
"""Seconds that a status poll waits at most for its place in the request budget and between tries."""


class Omitted:
    """Marks an argument that was not given, where None means something else."""

    def __repr__(self) -> str:
        """Show the name under which signatures know it."""
        return "OMITTED"


OMITTED = Omitted()
"""The one value of :class:`Omitted`."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One API call: the request and the reader of its answer, which raises ValueError if it cannot read it.

    Attributes:
        request: What to ask.
        parse: Reads the answer.
    """

    request: Request
    parse: Callable[[Ok], T]


def _body(answer: Ok) -> Mapping[str, Any]:
    if isinstance(answer.body, Mapping):
        return answer.body
    raise ValueError("not a JSON object")


def _model(model: type[T]) -> Callable[[Ok], T]:
    return lambda answer: model.model_validate(_body(answer))  # type: ignore[attr-defined]


def validate_key(max_wait: float) -> Call[models.KeyValidation]:
    """Return the call ``GET /auth/validate-key`` (contract section 1.3).

    Args:
        max_wait: Seconds to wait at most for the request budget and between tries.
    """
    request = Request("check the API key", "GET", Prefix.V1, "/auth/validate-key", max_wait=max_wait)
    return Call(request, _model(models.KeyValidation))


def whoami(prefix: Prefix) -> Call[models.Whoami]:
    """Return the call ``GET /whoami`` (contract section 1.4).

    Args:
        prefix: API surface.
    """
    return Call(Request("read the key's owner", "GET", prefix, "/whoami"), _model(models.Whoami))


def get_credit_balance() -> Call[models.CreditBalance]:
    """Return the call ``GET /credits/balance`` (contract section 7)."""
    request = Request("read the credit balance", "GET", Prefix.V1, "/credits/balance")
    return Call(request, _model(models.CreditBalance))


def submit_bulk_enrichment(
    contacts: Sequence[models.Contact], enrichment_type: models.EnrichmentType, webhook_url: str | None
) -> Call[models.BulkEnrichment]:
    """Return the call ``POST /enrich/bulk`` (contract section 4.1): the one request that spends credits.

    Args:
        contacts: 1 to 250 contacts, each with a valid identity.
        enrichment_type: What to look for.
        webhook_url: HTTPS address that receives the results, or None.

    Raises:
        ConfigurationError: No contacts, or more than 250.
    """
    if not 1 <= len(contacts) <= models.MAX_CONTACTS_PER_REQUEST:
        raise errors.ConfigurationError(
            f"one submission takes 1 to {models.MAX_CONTACTS_PER_REQUEST} contacts, not {len(contacts)}"
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
        Prefix.V1,
        "/enrich/bulk",
        body=body,
        repeat=Repeat.SPENDS_CREDITS,
    )
    return Call(request, _model(models.BulkEnrichment))


def get_workflow_status(workflow_id: str) -> Call[results.WorkflowStatus]:
    """Return the call ``GET /enrich/status?workflow_id=`` (contract section 5.2).

    Args:
        workflow_id: The workflow.
    """
    request = Request(
        f"read the status of workflow {workflow_id}",
        "GET",
        Prefix.V1,
        "/enrich/status",
        params={"workflow_id": _id(workflow_id)},
        priority=Priority.POLL,
        max_wait=POLL_MAX_WAIT_SECONDS,
    )
    return Call(request, lambda answer: results.WorkflowStatus.parse(workflow_id, _body(answer)))


def get_task_result(task_id: str) -> Call[results.EnrichmentResult]:
    """Return the call ``GET /enrich/status?task_id=`` (contract section 5.3).

    Args:
        task_id: The contact's task.
    """
    request = Request(
        f"read the result of task {task_id}",
        "GET",
        Prefix.V1,
        "/enrich/status",
        params={"task_id": _id(task_id)},
    )
    return Call(request, lambda answer: results.EnrichmentResult.parse(_body(answer)))


def list_webhook_deliveries(workflow_id: str) -> Call[list[models.WebhookDelivery]]:
    """Return the call ``GET /webhooks/deliveries`` (contract section 6), which reads several shapes of answer.

    Args:
        workflow_id: The workflow.
    """

    def parse(answer: Ok) -> list[models.WebhookDelivery]:
        rows: Any = answer.body
        if isinstance(rows, Mapping):
            keys = ("deliveries", "items", "data", "results")
            rows = next((rows[key] for key in keys if isinstance(rows.get(key), list)), [])
        return [models.WebhookDelivery.model_validate(row) for row in rows if isinstance(row, Mapping)]

    request = Request(
        f"read the webhook deliveries of workflow {workflow_id}",
        "GET",
        Prefix.V1,
        "/webhooks/deliveries",
        params={"workflow_id": _id(workflow_id)},
    )
    return Call(request, parse)


def create_lead_list(
    prefix: Prefix, name: str, description: str | None, folder_id: str | None
) -> Call[models.LeadList]:
    """Return the call ``POST /lead-lists`` (contract section 8.3): idempotent on the name.

    Args:
        prefix: API surface.
        name: Name of the list.
        description: Its description, or None.
        folder_id: Folder to put it into, or None.
    """

    def parse(answer: Ok) -> models.LeadList:
        body = dict(_body(answer))
        if body.get("reused") is None:
            body["reused"] = answer.status == 200
        return models.LeadList.model_validate(body)

    body = {"name": name, "description": description, "folder_id": folder_id}
    body = {key: value for key, value in body.items() if value is not None}
    return Call(Request("create the lead list", "POST", prefix, "/lead-lists", body=body), parse)


def list_lead_lists(prefix: Prefix, cursor: str | None, folder_id: str | None) -> Call[models.LeadListPage]:
    """Return the call ``GET /lead-lists`` for one page (contract section 8.4).

    Args:
        prefix: API surface.
        cursor: Where the page begins; None is the first page.
        folder_id: Only the lists of this folder; None reads all.
    """
    params = _params(limit=MAX_LISTS_PER_PAGE, cursor=cursor, folder_id=folder_id)
    request = Request("read the lead lists", "GET", prefix, "/lead-lists", params=params)
    return Call(request, _model(models.LeadListPage))


def get_lead_list(prefix: Prefix, list_id: str) -> Call[models.LeadList]:
    """Return the call ``GET /lead-lists/{id}`` (contract section 8.5).

    Args:
        prefix: API surface.
        list_id: The list.
    """
    return Call(Request(f"read lead list {list_id}", "GET", prefix, _path(list_id)), _model(models.LeadList))


def update_lead_list(
    prefix: Prefix, list_id: str, changes: Mapping[str, str | None]
) -> Call[models.LeadList]:
    """Return the call ``PATCH /lead-lists/{id}`` (contract section 8.7).

    Args:
        prefix: API surface.
        list_id: The list.
        changes: ``name``, ``description``, ``folder_id``: keys left out stay as they are, None clears.

    Raises:
        ConfigurationError: Nothing to change.
    """
    if not changes:
        raise errors.ConfigurationError("nothing to change: give a name, a description or a folder_id")
    request = Request(f"change lead list {list_id}", "PATCH", prefix, _path(list_id), body=dict(changes))
    return Call(request, _model(models.LeadList))


def delete_lead_list(prefix: Prefix, list_id: str) -> Call[None]:
    """Return the call ``DELETE /lead-lists/{id}`` (contract section 8.8).

    Args:
        prefix: API surface.
        list_id: The list.
    """
    request = Request(f"delete lead list {list_id}", "DELETE", prefix, _path(list_id), repeat=Repeat.DELETES)
    return Call(request, lambda _: None)


def get_leads(prefix: Prefix, list_id: str, page_size: int, cursor: str | None) -> Call[models.LeadPage]:
    """Return the call ``GET /lead-lists/{id}/leads`` for one page (contract section 8.6).

    Args:
        prefix: API surface.
        list_id: The list.
        page_size: Leads per page, 1 to 500.
        cursor: Where the page begins; None is the first page.
    """
    request = Request(
        f"read the leads of list {list_id}",
        "GET",
        prefix,
        f"{_path(list_id)}/leads",
        params=_params(limit=_page_size(page_size), cursor=cursor),
    )
    return Call(request, lambda answer: _lead_page(list_id, _body(answer)))


def export_json(
    prefix: Prefix, list_id: str, columns: Sequence[str] | None, page_size: int, cursor: str | None
) -> Call[models.LeadPage]:
    """Return the call ``GET /export/json`` for one page (contract section 9), the only paged read with the domain.

    Args:
        prefix: API surface.
        list_id: The list.
        columns: Columns to export; None takes the API's default columns.
        page_size: Leads per page, 1 to 500.
        cursor: Where the page begins; None is the first page.
    """
    request = Request(
        f"export list {list_id}",
        "GET",
        prefix,
        "/export/json",
        params={
            **_params(list_id=_id(list_id), limit=_page_size(page_size), cursor=cursor),
            **({"columns": list(columns)} if columns else {}),
        },
    )
    return Call(request, lambda answer: _lead_page(list_id, _body(answer), needs_id=not columns))


def add_leads(
    prefix: Prefix, list_id: str, lead_ids: Sequence[str], idempotency_key: str
) -> Call[models.AddedLeads]:
    """Return the call ``POST /lead-lists/{id}/leads`` (contract section 8.9): safe to repeat thanks to the key.

    Args:
        prefix: API surface.
        list_id: The list.
        lead_ids: 1 to 1,000 ids of leads.
        idempotency_key: The same key again adds nothing again.
    """
    request = Request(
        f"add {len(lead_ids)} leads to list {list_id}",
        "POST",
        prefix,
        f"{_path(list_id)}/leads",
        body={"lead_ids": list(lead_ids), "idempotency_key": idempotency_key},
    )
    return Call(request, _model(models.AddedLeads))


def remove_leads(prefix: Prefix, list_id: str, lead_ids: Sequence[str]) -> Call[models.RemovedLeads]:
    """Return the call ``DELETE /lead-lists/{id}/leads`` with a body (contract section 8.9).

    Args:
        prefix: API surface.
        list_id: The list.
        lead_ids: 1 to 100 ids of leads.
    """
    request = Request(
        f"remove {len(lead_ids)} leads from list {list_id}",
        "DELETE",
        prefix,
        f"{_path(list_id)}/leads",
        body={"lead_ids": list(lead_ids)},
    )
    return Call(request, _model(models.RemovedLeads))


def _path(list_id: str) -> str:
    return f"/lead-lists/{quote(_id(list_id), safe='')}"


def _id(value: str) -> str:
    """Refuse ids that would turn the request into another one: empty ones, and steps in a path."""
    if value.strip(". ") == "":
        raise errors.ConfigurationError(f"{value!r} is not an id")
    return value


def _page_size(value: int) -> int:
    if not 1 <= value <= MAX_LEADS_PER_PAGE:
        raise errors.ConfigurationError(f"page_size must be 1 to {MAX_LEADS_PER_PAGE}, not {value}")
    return value


def _params(**values: str | int | None) -> dict[str, str | int | list[str]]:
    return {key: value for key, value in values.items() if value is not None}


def _lead_page(list_id: str, body: Mapping[str, Any], *, needs_id: bool = True) -> models.LeadPage:
    leads = body.get("leads")
    if not isinstance(leads, list):
        raise ValueError("no leads in the answer")
    for lead in leads:
        if not isinstance(lead, dict) or (needs_id and not lead.get("lead_id")):
            raise ValueError("a lead without an id")
    return models.LeadPage(
        list_id=list_id,
        leads=leads,
        total=models.count_or_none(body.get("total")),
        cursor=models.text_or_none(body.get("cursor")),
    )
