"""Lead lists and their contents (contract section 8)."""

from typing import Annotated, Any

from fastapi import Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from airflow_provider_cleanlist.sandbox.answers import Json, dump
from airflow_provider_cleanlist.sandbox.clock import iso
from airflow_provider_cleanlist.sandbox.errors import ApiError, InvalidBodyError
from airflow_provider_cleanlist.sandbox.gate import Call, Endpoint, call_of
from airflow_provider_cleanlist.sandbox.lists import LeadList
from airflow_provider_cleanlist.sandbox.paging import page
from airflow_provider_cleanlist.sandbox.routes.account import cohort_lead_ids
from airflow_provider_cleanlist.sandbox.state import cohort_handle

Name = Annotated[StrictStr, Field(min_length=1, max_length=200)]


class CreateBody(BaseModel):
    """Body of ``POST /lead-lists``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    description: str | None = None
    folder_id: str | None = None


class UpdateBody(BaseModel):
    """Body of ``PATCH /lead-lists/{id}``: only what is present changes, and a name cannot be null."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name = ""
    description: str | None = None
    folder_id: str | None = None


class AddBody(BaseModel):
    """Body of ``POST /lead-lists/{id}/leads``: leads by id, or the leads of a page by its handle."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lead_ids: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None
    task_id: str | None = None
    entity_ids: Annotated[list[str], Field(max_length=2000)] | None = None
    idempotency_key: Annotated[str, Field(max_length=128)] | None = None


class RemoveBody(BaseModel):
    """Body of ``DELETE /lead-lists/{id}/leads``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lead_ids: Annotated[list[str], Field(min_length=1, max_length=100)]


def detail(call: Call, lead_list: LeadList, *, reused: bool = False) -> dict[str, Any]:
    """Return the object of section 8.3."""
    return call.enveloped(
        list_id=lead_list.list_id,
        name=lead_list.name,
        description=lead_list.description,
        lead_count=len(lead_list.members),
        enriched_count=call.sandbox.lists.enriched_count(lead_list),
        folder_id=lead_list.folder_id,
        created_at=iso(lead_list.created_at, call.sandbox.settings.utc_suffix),
        reused=reused,
    )


def _check_folder(call: Call, folder_id: str | None) -> None:
    if folder_id is None:
        return
    folder = call.sandbox.lists.folders.get(folder_id)
    if folder is None or folder.owner is not call.key.user:
        raise ApiError(404, "Folder not found", code="folder_not_found")


async def create(request: Request, body: CreateBody) -> Response:
    """Answer ``POST /lead-lists``: 201 for a new list, 200 for one of that name."""
    call = call_of(request)
    sandbox, user = call.sandbox, call.key.user
    with sandbox.lock:
        existing = sandbox.lists.named(body.name, user)
        if existing is not None:
            return Json(detail(call, existing, reused=True))
        _check_folder(call, body.folder_id)
        cap = sandbox.settings.list_cap
        if cap is not None and sum(item.owner is user for item in sandbox.lists.lists.values()) >= cap:
            raise ApiError(403, "You own as many lists as your plan allows", code="list_cap_reached")
        created = sandbox.lists.add_list(
            body.name, user, call.now, description=body.description, folder_id=body.folder_id
        )
        return Json(detail(call, created), 201)


async def index(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
    folder_id: str | None = None,
) -> Response:
    """Answer ``GET /lead-lists``."""
    call = call_of(request)
    settings = call.sandbox.settings
    with call.sandbox.lock:
        lists = call.sandbox.lists.visible(call.key.user, folder_id)
        wanted = page(settings, len(lists), limit, cursor)
        rows = [
            {
                "list_id": item.list_id,
                "name": item.name,
                "lead_count": len(item.members),
                "folder_id": item.folder_id,
                "created_at": iso(item.created_at, settings.utc_suffix),
                "owner_name": item.owner.name,
                "visibility": item.visibility,
            }
            for item in lists[wanted.start : wanted.stop]
        ]
    return Json(call.enveloped(lists=rows, total=len(lists), **wanted.cursor_fields))


async def show(request: Request, list_id: str) -> Response:
    """Answer ``GET /lead-lists/{id}``."""
    call = call_of(request)
    with call.sandbox.lock:
        return Json(detail(call, call.sandbox.readable_list(call.key, list_id)))


async def contents(
    request: Request,
    list_id: str,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
) -> Response:
    """Answer ``GET /lead-lists/{id}/leads``."""
    call = call_of(request)
    with call.sandbox.lock:
        lead_list = call.sandbox.readable_list(call.key, list_id)
        total = len(lead_list.members)
        wanted = page(call.sandbox.settings, total, limit, cursor)
        rows = call.sandbox.lists.rows_json(lead_list, wanted.start, wanted.stop)
    others = call.enveloped(
        task_id=cohort_handle(list_id, wanted.start, wanted.stop), total=total, **wanted.cursor_fields
    )
    return Json(b'{"list_id":%b,"leads":%b,%b' % (dump(list_id), rows.encode(), dump(others)[1:]))


async def update(request: Request, list_id: str, body: UpdateBody) -> Response:
    """Answer ``PATCH /lead-lists/{id}``."""
    call = call_of(request)
    changes = body.model_dump(include=body.model_fields_set)
    if not changes:
        raise InvalidBodyError.at(["body"], "Give at least one of name, description and folder_id", {})
    with call.sandbox.lock:
        lead_list = call.sandbox.own_list(call.key, list_id)
        _check_protection(lead_list)
        _check_folder(call, changes.get("folder_id"))
        for name, value in changes.items():
            setattr(lead_list, name, value)
        return Json(detail(call, lead_list))


async def delete(request: Request, list_id: str) -> Response:
    """Answer ``DELETE /lead-lists/{id}``; the leads survive."""
    call = call_of(request)
    with call.sandbox.lock:
        lead_list = call.sandbox.own_list(call.key, list_id)
        _check_protection(lead_list)
        del call.sandbox.lists.lists[list_id]
    return Json(call.enveloped(list_id=list_id, deleted=True))


def _check_protection(lead_list: LeadList) -> None:
    if lead_list.is_protected:
        raise ApiError(403, "The list is protected", code="list_protected")


async def add_leads(request: Request, list_id: str, body: AddBody) -> Response:
    """Answer ``POST /lead-lists/{id}/leads``. Unknown leads are skipped; a key repeated gets the first answer."""
    call = call_of(request)
    if (body.lead_ids is None) == (body.task_id is None):
        raise InvalidBodyError.at(
            ["body"], "Give exactly one of lead_ids and task_id", sorted(body.model_fields_set)
        )
    with call.sandbox.lock:
        lead_list = call.sandbox.readable_list(call.key, list_id)
        replay = ("add_leads", list_id, body.idempotency_key or "")
        if body.idempotency_key is not None and (seen := call.sandbox.replays.get(replay)) is not None:
            return Json(seen[1])
        lead_ids = body.lead_ids or cohort_lead_ids(call, body.task_id or "", body.entity_ids)
        organization_id = call.key.user.organization.organization_id
        known = [lead_id for lead_id in lead_ids if call.sandbox.lists.knows(lead_id, organization_id)]
        added = sum(lead_list.members.add(lead_id) for lead_id in known)
        answer = {
            "list_id": list_id,
            "added": added,
            "skipped_duplicates": len(known) - added,
            "created": None if body.task_id is None else 0,
            "credits_charged": 0,
        }
        if body.idempotency_key is not None:
            call.sandbox.replays[replay] = (call.now, answer)
    return Json(answer)


async def remove_leads(request: Request, list_id: str, body: Annotated[RemoveBody, Body()]) -> Response:
    """Answer ``DELETE /lead-lists/{id}/leads``; unknown ids are ignored."""
    call = call_of(request)
    with call.sandbox.lock:
        lead_list = call.sandbox.readable_list(call.key, list_id)
        return Json({"list_id": list_id, "removed": lead_list.members.remove(body.lead_ids)})


ENDPOINTS = (
    Endpoint("lead_list_create", "POST", "/lead-lists", create, "lists:write"),
    Endpoint("lead_list_index", "GET", "/lead-lists", index, "lists:read"),
    Endpoint("lead_list_get", "GET", "/lead-lists/{list_id}", show, "lists:read"),
    Endpoint("lead_list_contents", "GET", "/lead-lists/{list_id}/leads", contents, "lists:read"),
    Endpoint("lead_list_update", "PATCH", "/lead-lists/{list_id}", update, "lists:write"),
    Endpoint("lead_list_delete", "DELETE", "/lead-lists/{list_id}", delete, "lists:write"),
    Endpoint("lead_list_add_leads", "POST", "/lead-lists/{list_id}/leads", add_leads, "lists:write"),
    Endpoint("lead_list_remove_leads", "DELETE", "/lead-lists/{list_id}/leads", remove_leads, "lists:write"),
)
