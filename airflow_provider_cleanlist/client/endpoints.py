"""Every API call as a value: the request and how to read its response, without sending anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from airflow_provider_cleanlist.client import errors, models, responses, results
from airflow_provider_cleanlist.client.messages import Repeat, Request, Surface
from airflow_provider_cleanlist.client.protocol import Ok
from airflow_provider_cleanlist.client.rate_limit.core import Priority
from airflow_provider_cleanlist.input_limits import EXPORT_SECONDS, PAGE
from airflow_provider_cleanlist.wording import counted

T = TypeVar("T")

MAX_LISTS_PER_PAGE = 100
"""The API's limit for the lists on one page."""
MAX_LEADS_PER_PAGE = 500
"""The API's limit for the leads on one page."""
MAX_LEADS_PER_ADD = 1000
"""The API's limit for the leads that one request adds to a list."""
MAX_LEADS_PER_REMOVE = 100
"""The API's limit for the leads that one request removes from a list."""
POLL_MAX_WAIT_SECONDS = 600.0
"""Seconds that a status poll may wait for the request budget and before retries."""


class Omitted:
    """Type of an argument that was not given, where None has a meaning of its own."""

    def __repr__(self) -> str:
        """Show the name that signatures use."""
        return "OMITTED"


OMITTED = Omitted()
"""The one value of :class:`Omitted`."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One API call.

    Attributes:
        request: What to send.
        parse: Reads the successful response; raises ValueError if it cannot.
    """

    request: Request
    parse: Callable[[Ok], T]


def _body(ok: Ok) -> Mapping[str, Any]:
    if isinstance(ok.body, Mapping):
        return ok.body
    raise ValueError("not a JSON object")


def _model(model: type[T]) -> Callable[[Ok], T]:
    return lambda ok: model.model_validate(_body(ok))  # type: ignore[attr-defined]


def validate_key(max_wait: float) -> Call[responses.KeyValidation]:
    """Return the call ``GET /auth/validate-key``.

    Args:
        max_wait: Seconds that it may wait for the request budget and before retries.
    """
    request = Request("check the API key", "GET", Surface.V1, "/auth/validate-key", max_wait=max_wait)
    return Call(request, _model(responses.KeyValidation))


def whoami(surface: Surface) -> Call[responses.Whoami]:
    """Return the call ``GET /whoami``.

    Args:
        surface: API surface.
    """
    return Call(Request("read the key's owner", "GET", surface, "/whoami"), _model(responses.Whoami))


def get_credit_balance() -> Call[responses.CreditBalance]:
    """Return the call ``GET /credits/balance``."""
    request = Request("read the credit balance", "GET", Surface.V1, "/credits/balance")
    return Call(request, _model(responses.CreditBalance))


def submit_bulk_enrichment(
    contacts: Sequence[models.Contact], enrichment_type: models.EnrichmentType, webhook_url: str | None
) -> Call[responses.BulkEnrichment]:
    """Return the call ``POST /enrich/bulk``: the one request that spends credits.

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
        Surface.V1,
        "/enrich/bulk",
        body=body,
        repeat=Repeat.SPENDS_CREDITS,
    )
    return Call(request, _model(responses.BulkEnrichment))


def get_workflow_status(workflow_id: str) -> Call[results.WorkflowStatus]:
    """Return the call ``GET /enrich/status?workflow_id=``.

    Args:
        workflow_id: The workflow.
    """
    request = Request(
        f"read the status of workflow {workflow_id}",
        "GET",
        Surface.V1,
        "/enrich/status",
        params={"workflow_id": _id(workflow_id)},
        priority=Priority.POLL,
        max_wait=POLL_MAX_WAIT_SECONDS,
    )
    return Call(request, lambda ok: results.WorkflowStatus.parse(workflow_id, _body(ok)))


def get_task_result(task_id: str) -> Call[results.EnrichmentResult]:
    """Return the call ``GET /enrich/status?task_id=``.

    Args:
        task_id: The contact's task.
    """
    request = Request(
        f"read the result of task {task_id}",
        "GET",
        Surface.V1,
        "/enrich/status",
        params={"task_id": _id(task_id)},
    )
    return Call(request, lambda ok: results.EnrichmentResult.parse(_body(ok)))


def list_webhook_deliveries(workflow_id: str) -> Call[list[responses.WebhookDelivery]]:
    """Return the call ``GET /webhooks/deliveries``, whose response may have several shapes.

    Args:
        workflow_id: The workflow.
    """

    def parse(ok: Ok) -> list[responses.WebhookDelivery]:
        rows: Any = ok.body
        if isinstance(rows, Mapping):
            keys = ("deliveries", "items", "data", "results")
            rows = next((rows[key] for key in keys if isinstance(rows.get(key), list)), [])
        return [responses.WebhookDelivery.model_validate(row) for row in rows if isinstance(row, Mapping)]

    request = Request(
        f"read the webhook deliveries of workflow {workflow_id}",
        "GET",
        Surface.V1,
        "/webhooks/deliveries",
        params={"workflow_id": _id(workflow_id)},
    )
    return Call(request, parse)


def create_lead_list(
    surface: Surface, name: str, description: str | None, folder_id: str | None
) -> Call[responses.LeadList]:
    """Return the call ``POST /lead-lists``, which returns an existing list of the same name (in any letter case).

    Args:
        surface: API surface.
        name: Name of the list.
        description: Its description if it is created, or None.
        folder_id: Its folder if it is created, or None.
    """

    def parse(ok: Ok) -> responses.LeadList:
        body = dict(_body(ok))
        if body.get("reused") is None:
            body["reused"] = ok.status == 200
        return responses.LeadList.model_validate(body)

    body = {"name": name, "description": description, "folder_id": folder_id}
    body = {key: value for key, value in body.items() if value is not None}
    return Call(Request("create the lead list", "POST", surface, "/lead-lists", body=body), parse)


def list_lead_lists(
    surface: Surface, cursor: str | None, folder_id: str | None
) -> Call[responses.LeadListPage]:
    """Return the call ``GET /lead-lists`` for one page.

    Args:
        surface: API surface.
        cursor: Where the page begins; None is the first page.
        folder_id: Only the lists of this folder; None reads all.
    """
    params = _params(limit=MAX_LISTS_PER_PAGE, cursor=cursor, folder_id=folder_id)
    request = Request("read the lead lists", "GET", surface, "/lead-lists", params=params)
    return Call(request, _model(responses.LeadListPage))


def get_lead_list(surface: Surface, list_id: str) -> Call[responses.LeadList]:
    """Return the call ``GET /lead-lists/{id}``.

    Args:
        surface: API surface.
        list_id: The list.
    """
    return Call(
        Request(f"read lead list {list_id}", "GET", surface, _path(list_id)), _model(responses.LeadList)
    )


def update_lead_list(
    surface: Surface, list_id: str, changes: Mapping[str, str | None]
) -> Call[responses.LeadList]:
    """Return the call ``PATCH /lead-lists/{id}``.

    Args:
        surface: API surface.
        list_id: The list.
        changes: ``name``, ``description``, ``folder_id``: None clears, a missing key keeps the value.

    Raises:
        ConfigurationError: Nothing to change.
    """
    if not changes:
        raise errors.ConfigurationError("nothing to change: give a name, a description or a folder_id")
    request = Request(f"change lead list {list_id}", "PATCH", surface, _path(list_id), body=dict(changes))
    return Call(request, _model(responses.LeadList))


def delete_lead_list(surface: Surface, list_id: str) -> Call[None]:
    """Return the call ``DELETE /lead-lists/{id}``, which leaves the leads themselves in Cleanlist.

    Args:
        surface: API surface.
        list_id: The list.
    """
    request = Request(f"delete lead list {list_id}", "DELETE", surface, _path(list_id), repeat=Repeat.DELETES)
    return Call(request, lambda _: None)


def get_leads(surface: Surface, list_id: str, page_size: int, cursor: str | None) -> Call[responses.LeadPage]:
    """Return the call ``GET /lead-lists/{id}/leads`` for one page.

    Args:
        surface: API surface.
        list_id: The list.
        page_size: Leads per page, 1 to 500.
        cursor: Where the page begins; None is the first page.
    """
    request = Request(
        f"read the leads of list {list_id}",
        "GET",
        surface,
        f"{_path(list_id)}/leads",
        params=_params(limit=_page_size(page_size), cursor=cursor),
        limit=PAGE,
    )
    return Call(request, lambda ok: _lead_page(list_id, ok))


def export_json(
    surface: Surface, list_id: str, columns: Sequence[str] | None, page_size: int, cursor: str | None
) -> Call[responses.LeadPage]:
    """Return the call ``GET /export/json`` for one page: the only paged read that has company domains.

    Args:
        surface: API surface.
        list_id: The list.
        columns: Columns to export; None takes the API's default columns.
        page_size: Leads per page, 1 to 500.
        cursor: Where the page begins; None is the first page.
    """
    request = Request(
        f"export list {list_id}",
        "GET",
        surface,
        "/export/json",
        params={
            **_params(list_id=_id(list_id), limit=_page_size(page_size), cursor=cursor),
            **({"columns": list(columns)} if columns else {}),
        },
        limit=PAGE,
    )
    return Call(request, lambda ok: _lead_page(list_id, ok, needs_id=not columns))


def export_csv(surface: Surface, list_id: str, *, smart_agents: bool = True) -> Call[responses.SignedExport]:
    """Return the call ``POST /export/csv/signed-url``, which writes a list to a file and returns its signed address.

    Args:
        surface: API surface.
        list_id: The list.
        smart_agents: Whether the file has the columns of smart agents, too.
    """

    def parse(ok: Ok) -> responses.SignedExport:
        body = _body(ok)
        address = body.get("download_url")
        if not isinstance(address, str) or not address:
            raise ValueError("no address in the response")
        return responses.SignedExport(
            list_id,
            address,
            responses.count_or_none(body.get("row_count")),
            responses.count_or_none(body.get("file_size_bytes")),
        )

    request = Request(
        f"export list {list_id}",
        "POST",
        surface,
        "/export/csv/signed-url",
        body={"list_id": _id(list_id), **({} if smart_agents else {"include_smart_agents": False})},
        slow_seconds=EXPORT_SECONDS,
    )
    return Call(request, parse)


def add_leads(
    surface: Surface, list_id: str, lead_ids: Sequence[str], idempotency_key: str
) -> Call[responses.AddedLeads]:
    """Return the call ``POST /lead-lists/{id}/leads``, which the idempotency key makes safe to repeat.

    Args:
        surface: API surface.
        list_id: The list.
        lead_ids: 1 to 1,000 ids of leads.
        idempotency_key: Repeating a request with the same key adds nothing.
    """
    request = Request(
        f"add {counted(len(lead_ids), 'lead')} to list {list_id}",
        "POST",
        surface,
        f"{_path(list_id)}/leads",
        body={"lead_ids": list(lead_ids), "idempotency_key": idempotency_key},
    )
    return Call(request, _model(responses.AddedLeads))


def remove_leads(surface: Surface, list_id: str, lead_ids: Sequence[str]) -> Call[responses.RemovedLeads]:
    """Return the call ``DELETE /lead-lists/{id}/leads`` with a body.

    Args:
        surface: API surface.
        list_id: The list.
        lead_ids: 1 to 100 ids of leads.
    """
    request = Request(
        f"remove {counted(len(lead_ids), 'lead')} from list {list_id}",
        "DELETE",
        surface,
        f"{_path(list_id)}/leads",
        body={"lead_ids": list(lead_ids)},
    )
    return Call(request, _model(responses.RemovedLeads))


def _path(list_id: str) -> str:
    return f"/lead-lists/{quote(_id(list_id), safe='')}"


def _id(value: str) -> str:
    """Refuse ids that would turn the request into another one: empty ones, and dots as path segments."""
    if not isinstance(value, str) or value.strip(". ") == "":
        raise errors.ConfigurationError(f"{value!r} is not a valid id")
    return value


def _page_size(value: int) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_LEADS_PER_PAGE:
        raise errors.ConfigurationError(f"page_size must be 1 to {MAX_LEADS_PER_PAGE}, not {value}")
    return value


def _params(**values: str | int | None) -> dict[str, str | int | list[str]]:
    return {key: value for key, value in values.items() if value is not None}


def _lead_page(list_id: str, ok: Ok, *, needs_id: bool = True) -> responses.LeadPage:
    body = _body(ok)
    leads = body.get("leads")
    if not isinstance(leads, list):
        raise ValueError("no leads in the response")
    for lead in leads:
        if not isinstance(lead, dict) or (needs_id and not lead.get("lead_id")):
            raise ValueError("a lead without an id")
    return responses.LeadPage(
        list_id=list_id,
        leads=leads,
        total=responses.count_or_none(body.get("total")),
        cursor=responses.text_or_none(body.get("cursor")),
        weight=ok.weight,
    )
