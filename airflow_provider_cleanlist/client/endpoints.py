"""Every API call as a value: what to ask and how to read the answer, without sending anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from airflow_provider_cleanlist.client import errors, models, results
from airflow_provider_cleanlist.client.protocol import Ok, Prefix, Repeat, Request
from airflow_provider_cleanlist.client.rate_limit import Priority

T = TypeVar("T")

MAX_LISTS_PER_PAGE = 100
MAX_LEADS_PER_PAGE = 500
MAX_LEADS_PER_ADD = 1000
MAX_LEADS_PER_REMOVE = 100
POLL_MAX_WAIT_SECONDS = 600.0


class Omitted:
    """Marks an argument that was not given, where None means something else."""

    def __repr__(self) -> str:
        """Show the name under which signatures know it."""
        return "OMITTED"


OMITTED = Omitted()


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One API call: the request and the reader of its answer, which raises ValueError if it cannot read it."""

    request: Request
    parse: Callable[[Ok], T]


def _body(answer: Ok) -> Mapping[str, Any]:
    if isinstance(answer.body, Mapping):
        return answer.body
    raise ValueError("not a JSON object")


def _model(model: type[T]) -> Callable[[Ok], T]:
    return lambda answer: model.model_validate(_body(answer))  # type: ignore[attr-defined]


def validate_key(max_wait: float) -> Call[models.KeyValidation]:
    """``GET /auth/validate-key`` (contract section 1.3)."""
    request = Request("check the API key", "GET", Prefix.V1, "/auth/validate-key", max_wait=max_wait)
    return Call(request, _model(models.KeyValidation))


def whoami(prefix: Prefix) -> Call[models.Whoami]:
    """``GET /whoami`` (contract section 1.4)."""
    return Call(Request("read the key's owner", "GET", prefix, "/whoami"), _model(models.Whoami))


def get_credit_balance() -> Call[models.CreditBalance]:
    """``GET /credits/balance`` (contract section 7)."""
    request = Request("read the credit balance", "GET", Prefix.V1, "/credits/balance")
    return Call(request, _model(models.CreditBalance))


def submit_bulk_enrichment(
    contacts: Sequence[models.Contact], enrichment_type: models.EnrichmentType, webhook_url: str | None
) -> Call[models.BulkEnrichment]:
    """``POST /enrich/bulk`` (contract section 4.1): the one request that spends credits."""
    if not 1 <= len(contacts) <= models.MAX_CONTACTS_PER_REQUEST:
        raise errors.ArgumentError(
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
    """``GET /enrich/status?workflow_id=`` (contract section 5.2)."""
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
    """``GET /enrich/status?task_id=`` (contract section 5.3)."""
    request = Request(
        f"read the result of task {task_id}",
        "GET",
        Prefix.V1,
        "/enrich/status",
        params={"task_id": _id(task_id)},
    )
    return Call(request, lambda answer: results.EnrichmentResult.parse(_body(answer)))


def list_webhook_deliveries(workflow_id: str) -> Call[list[models.WebhookDelivery]]:
    """``GET /webhooks/deliveries`` (contract section 6); its shape is unknown, so several are read."""

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
    """``POST /lead-lists`` (contract section 8.3): idempotent on the name."""

    def parse(answer: Ok) -> models.LeadList:
        body = dict(_body(answer))
        if body.get("reused") is None:
            body["reused"] = answer.status == 200
        return models.LeadList.model_validate(body)

    body = {"name": name, "description": description, "folder_id": folder_id}
    body = {key: value for key, value in body.items() if value is not None}
    return Call(Request("create the lead list", "POST", prefix, "/lead-lists", body=body), parse)


def list_lead_lists(prefix: Prefix, cursor: str | None, folder_id: str | None) -> Call[models.LeadListPage]:
    """``GET /lead-lists``, one page (contract section 8.4)."""
    params = _params(limit=MAX_LISTS_PER_PAGE, cursor=cursor, folder_id=folder_id)
    request = Request("read the lead lists", "GET", prefix, "/lead-lists", params=params)
    return Call(request, _model(models.LeadListPage))


def get_lead_list(prefix: Prefix, list_id: str) -> Call[models.LeadList]:
    """``GET /lead-lists/{id}`` (contract section 8.5)."""
    return Call(Request(f"read lead list {list_id}", "GET", prefix, _path(list_id)), _model(models.LeadList))


def update_lead_list(
    prefix: Prefix, list_id: str, changes: Mapping[str, str | None]
) -> Call[models.LeadList]:
    """``PATCH /lead-lists/{id}`` (contract section 8.7): keys left out stay as they are, None clears."""
    if not changes:
        raise errors.ArgumentError("nothing to change: give a name, a description or a folder_id")
    request = Request(f"change lead list {list_id}", "PATCH", prefix, _path(list_id), body=dict(changes))
    return Call(request, _model(models.LeadList))


def delete_lead_list(prefix: Prefix, list_id: str) -> Call[None]:
    """``DELETE /lead-lists/{id}`` (contract section 8.8)."""
    request = Request(f"delete lead list {list_id}", "DELETE", prefix, _path(list_id), repeat=Repeat.DELETES)
    return Call(request, lambda _: None)


def get_leads(prefix: Prefix, list_id: str, page_size: int, cursor: str | None) -> Call[models.LeadPage]:
    """``GET /lead-lists/{id}/leads``, one page (contract section 8.6)."""
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
    """``GET /export/json``, one page (contract section 9): the only paged read with the company domain."""
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
    """``POST /lead-lists/{id}/leads`` (contract section 8.9): safe to repeat thanks to the key."""
    request = Request(
        f"add {len(lead_ids)} leads to list {list_id}",
        "POST",
        prefix,
        f"{_path(list_id)}/leads",
        body={"lead_ids": list(lead_ids), "idempotency_key": idempotency_key},
    )
    return Call(request, _model(models.AddedLeads))


def remove_leads(prefix: Prefix, list_id: str, lead_ids: Sequence[str]) -> Call[models.RemovedLeads]:
    """``DELETE /lead-lists/{id}/leads`` with a body (contract section 8.9)."""
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
        raise errors.ArgumentError(f"{value!r} is not an id")
    return value


def _page_size(value: int) -> int:
    if not 1 <= value <= MAX_LEADS_PER_PAGE:
        raise errors.ArgumentError(f"page_size must be 1 to {MAX_LEADS_PER_PAGE}, not {value}")
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
