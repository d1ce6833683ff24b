"""Lead lists and the leads on them."""

from typing import Annotated, Any

from fastapi import Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from airflow_provider_cleanlist.sandbox.clock import iso
from airflow_provider_cleanlist.sandbox.state.lists import StoredList
from airflow_provider_cleanlist.sandbox.web.errors import HttpError, InvalidBodyError
from airflow_provider_cleanlist.sandbox.web.middleware import Endpoint, RequestContext, context_of
from airflow_provider_cleanlist.sandbox.web.paging import page_slice
from airflow_provider_cleanlist.sandbox.web.responses import Json, dump

Name = Annotated[StrictStr, Field(min_length=1, max_length=200)]


class CreateBody(BaseModel):
    """Body of ``POST /lead-lists``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    description: str | None = None
    folder_id: str | None = None


class UpdateBody(BaseModel):
    """Body of ``PATCH /lead-lists/{id}``: only the given fields change, and a name cannot be null."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name = ""
    description: str | None = None
    folder_id: str | None = None


class AddBody(BaseModel):
    """Body of ``POST /lead-lists/{id}/leads``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lead_ids: Annotated[list[str], Field(min_length=1, max_length=1000)]
    idempotency_key: Annotated[str, Field(max_length=128)] | None = None


class RemoveBody(BaseModel):
    """Body of ``DELETE /lead-lists/{id}/leads``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lead_ids: Annotated[list[str], Field(min_length=1, max_length=100)]


def _list_object(context: RequestContext, lead_list: StoredList, *, reused: bool = False) -> dict[str, Any]:
    return context.with_common_fields(
        list_id=lead_list.list_id,
        name=lead_list.name,
        description=lead_list.description,
        lead_count=len(lead_list.members),
        enriched_count=context.sandbox.lists.enriched_count(lead_list),
        folder_id=lead_list.folder_id,
        created_at=iso(lead_list.created_at, context.sandbox.settings.utc_suffix),
        reused=reused,
    )


def _check_folder(context: RequestContext, folder_id: str | None) -> None:
    if folder_id is None:
        return
    folder = context.sandbox.lists.folders.get(folder_id)
    if folder is None or folder.owner is not context.key.user:
        raise HttpError(404, "Folder not found", code="folder_not_found")


async def create_list(request: Request, body: CreateBody) -> Response:
    """Answer ``POST /lead-lists``: 201 for a new list, 200 if the user has one of this name."""
    context = context_of(request)
    sandbox, user = context.sandbox, context.key.user
    with sandbox.lock:
        existing = sandbox.lists.named(body.name, user)
        if existing is not None:
            return Json(_list_object(context, existing, reused=True))
        _check_folder(context, body.folder_id)
        cap = sandbox.settings.list_cap
        if cap is not None and sum(item.owner is user for item in sandbox.lists.lists.values()) >= cap:
            raise HttpError(403, "You own as many lists as your plan allows", code="list_cap_reached")
        created = sandbox.lists.add_list(
            body.name, user, context.now, description=body.description, folder_id=body.folder_id
        )
        return Json(_list_object(context, created), 201)


async def list_lists(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
    folder_id: str | None = None,
) -> Response:
    """Answer ``GET /lead-lists``."""
    context = context_of(request)
    settings = context.sandbox.settings
    with context.sandbox.lock:
        lists = context.sandbox.lists.visible(context.key.user, folder_id)
        wanted = page_slice(settings, len(lists), limit, cursor)
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
    return Json(context.with_common_fields(lists=rows, total=len(lists), **wanted.cursor_fields))


async def get_list(request: Request, list_id: str) -> Response:
    """Answer ``GET /lead-lists/{id}``."""
    context = context_of(request)
    with context.sandbox.lock:
        return Json(_list_object(context, context.readable_list(list_id)))


async def read_leads(
    request: Request,
    list_id: str,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
) -> Response:
    """Answer ``GET /lead-lists/{id}/leads``."""
    context = context_of(request)
    with context.sandbox.lock:
        lead_list = context.readable_list(list_id)
        total = len(lead_list.members)
        wanted = page_slice(context.sandbox.settings, total, limit, cursor)
        rows = context.sandbox.lists.rows_json(lead_list, wanted.start, wanted.stop)
    others = context.with_common_fields(total=total, **wanted.cursor_fields)
    return Json(b'{"list_id":%b,"leads":%b,%b' % (dump(list_id), rows.encode(), dump(others)[1:]))


async def update_list(request: Request, list_id: str, body: UpdateBody) -> Response:
    """Answer ``PATCH /lead-lists/{id}``."""
    context = context_of(request)
    changes = body.model_dump(include=body.model_fields_set)
    if not changes:
        raise InvalidBodyError.at(["body"], "Give at least one of name, description and folder_id", {})
    with context.sandbox.lock:
        lead_list = context.own_list(list_id)
        _check_protection(lead_list)
        _check_folder(context, changes.get("folder_id"))
        for name, value in changes.items():
            setattr(lead_list, name, value)
        return Json(_list_object(context, lead_list))


async def delete_list(request: Request, list_id: str) -> Response:
    """Answer ``DELETE /lead-lists/{id}``; the leads survive."""
    context = context_of(request)
    with context.sandbox.lock:
        lead_list = context.own_list(list_id)
        _check_protection(lead_list)
        del context.sandbox.lists.lists[list_id]
    return Json(context.with_common_fields(list_id=list_id, deleted=True))


def _check_protection(lead_list: StoredList) -> None:
    if lead_list.is_protected:
        raise HttpError(403, "The list is protected", code="list_protected")


async def add_leads(request: Request, list_id: str, body: AddBody) -> Response:
    """Answer ``POST /lead-lists/{id}/leads``: skip unknown leads, and repeat the response to an idempotency key."""
    context = context_of(request)
    with context.sandbox.lock:
        lead_list = context.readable_list(list_id)
        repeated = (list_id, body.idempotency_key or "")
        if body.idempotency_key is not None and repeated in context.sandbox.added_leads:
            return Json(context.sandbox.added_leads[repeated])
        organization_id = context.key.user.organization.organization_id
        known = [
            lead_id for lead_id in body.lead_ids if context.sandbox.lists.knows(lead_id, organization_id)
        ]
        added = sum(lead_list.members.add(lead_id) for lead_id in known)
        answer = {
            "list_id": list_id,
            "added": added,
            "skipped_duplicates": len(known) - added,
            "created": None,
            "credits_charged": 0,
        }
        if body.idempotency_key is not None:
            context.sandbox.added_leads[repeated] = answer
    return Json(answer)


async def remove_leads(request: Request, list_id: str, body: Annotated[RemoveBody, Body()]) -> Response:
    """Answer ``DELETE /lead-lists/{id}/leads``; unknown ids are ignored."""
    context = context_of(request)
    with context.sandbox.lock:
        lead_list = context.readable_list(list_id)
        return Json({"list_id": list_id, "removed": lead_list.members.remove(body.lead_ids)})


ENDPOINTS = (
    Endpoint("lead_list_create", "POST", "/lead-lists", create_list, "lists:write"),
    Endpoint("lead_list_index", "GET", "/lead-lists", list_lists, "lists:read"),
    Endpoint("lead_list_get", "GET", "/lead-lists/{list_id}", get_list, "lists:read"),
    Endpoint("lead_list_contents", "GET", "/lead-lists/{list_id}/leads", read_leads, "lists:read"),
    Endpoint("lead_list_update", "PATCH", "/lead-lists/{list_id}", update_list, "lists:write"),
    Endpoint("lead_list_delete", "DELETE", "/lead-lists/{list_id}", delete_list, "lists:write"),
    Endpoint("lead_list_add_leads", "POST", "/lead-lists/{list_id}/leads", add_leads, "lists:write"),
    Endpoint("lead_list_remove_leads", "DELETE", "/lead-lists/{list_id}/leads", remove_leads, "lists:write"),
)
