"""What every API request passes: ledger, key, rate limit, faults, plan and scope; then its endpoint answers."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal

from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.web.errors import HttpError, InvalidBodyError
from airflow_provider_cleanlist.sandbox.web.responses import Json, NoResponse, TruncatedResponse, reshaped

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.faults import Fault
    from airflow_provider_cleanlist.sandbox.settings import RetryAfterForm, SandboxSettings
    from airflow_provider_cleanlist.sandbox.state.accounts import ApiKey
    from airflow_provider_cleanlist.sandbox.state.lists import StoredList
    from airflow_provider_cleanlist.sandbox.state.sandbox import Sandbox
    from airflow_provider_cleanlist.sandbox.state.workflows import Workflow
    from airflow_provider_cleanlist.sandbox.web.responses import CloseConnection

LEGACY_PREFIX = "/api/v1/public"
V2_PREFIX = "/api/v2"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API.

    Attributes:
        name: Name in the ledger and in faults.
        method: HTTP method.
        path: Path below the prefix.
        handler: Function that answers it.
        scope: Scope that a key needs, if any.
        surface: ``legacy`` exists below one prefix and has ``detail`` errors; ``v2`` exists below both and has
            ``error`` errors; ``both`` exists below both and has the errors of the prefix.
    """

    name: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Callable[..., Coroutine[Any, Any, Response]]
    scope: str | None = None
    surface: Literal["legacy", "v2", "both"] = "v2"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes below which the endpoint exists."""
        return (LEGACY_PREFIX,) if self.surface == "legacy" else (V2_PREFIX, LEGACY_PREFIX)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What an endpoint needs to know about an admitted request.

    Attributes:
        sandbox: The sandbox that received it.
        key: The key that it was sent with.
        now: When it arrived, in seconds since the epoch.
    """

    sandbox: Sandbox
    key: ApiKey
    now: float

    def require_scope(self, scope: str) -> None:
        """Refuse the request if the key lacks a scope.

        Raises:
            HttpError: 403 ``insufficient_scope``.
        """
        if scope not in self.key.scopes:
            raise HttpError(
                403,
                f"The key lacks the scope {scope}",
                code="insufficient_scope",
                details={"required": [scope], "granted": list(self.key.scopes)},
            )

    def readable_list(self, list_id: str) -> StoredList:
        """Return a list that the key may read.

        Raises:
            HttpError: 404, both for unknown lists and for those that the key may not read.
        """
        lead_list = self.sandbox.lists.lists.get(list_id)
        if lead_list is None or not lead_list.visible_to(self.key.user):
            raise HttpError(404, "Lead list not found", code="list_not_found")
        return lead_list

    def own_list(self, list_id: str) -> StoredList:
        """Return a list that belongs to the key's user.

        Raises:
            HttpError: 404, both for unknown lists and for those of others.
        """
        lead_list = self.readable_list(list_id)
        if lead_list.owner is not self.key.user:
            raise HttpError(404, "Lead list not found", code="list_not_found")
        return lead_list

    def workflow(self, workflow_id: str) -> Workflow:
        """Return a workflow of the key's organisation.

        Raises:
            HttpError: 404, both for unknown workflows and for those of others.
        """
        workflow = self.sandbox.engine.workflows.get(workflow_id)
        if workflow is None or workflow.key.user.organization is not self.key.user.organization:
            raise HttpError(404, "Workflow not found", code="workflow_not_found")
        return workflow

    def with_common_fields(self, **fields: Any) -> dict[str, Any]:
        """Return a response with the fields that most ``/api/v2`` responses have beside their own."""
        return {
            "task_id": None,
            "timestamp_ms": int(self.now * 1000),
            "agent_instructions": None,
            "usage": None,
            "message": None,
            **fields,
        }


def context_of(request: Request) -> RequestContext:
    """Return the context of an admitted request."""
    context: RequestContext = request.state.context
    return context


class SandboxRoute(APIRoute):
    """A route behind the middleware. It works for the sandbox in ``app.state.sandbox``.

    Attributes:
        endpoint_spec: The endpoint of the route, set after the route is created.
    """

    endpoint_spec: Endpoint

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint's handler, wrapped in the middleware."""
        handle = super().get_route_handler()

        async def recorded(request: Request) -> Response:
            sandbox: Sandbox = request.app.state.sandbox
            entry = sandbox.ledger.record_request(
                RequestEntry(sandbox.now(), request.method, request.url.path, self.endpoint_spec.name)
            )
            try:
                response = await _respond(sandbox, self.endpoint_spec, request, entry, handle)
            except HttpError as error:
                response = self._error_response(sandbox.settings, error)
            except RequestValidationError as error:
                invalid = InvalidBodyError(jsonable_encoder(error.errors()))
                response = self._error_response(sandbox.settings, invalid)
            entry.status = None if isinstance(response, NoResponse) else response.status_code
            return response

        return recorded

    def _error_response(self, settings: SandboxSettings, error: HttpError) -> Response:
        surface = self.endpoint_spec.surface
        if settings.envelope == "contract":
            legacy = surface == "legacy" or (surface == "both" and self.path.startswith(LEGACY_PREFIX))
        else:
            legacy = settings.envelope == "legacy"
        if error.form != "json":
            text = f"<html><body><h1>{error.status}</h1></body></html>" if error.form == "html" else None
            return Response(text, error.status, error.headers, media_type="text/html")
        return Json(reshaped(error.body(legacy=legacy), settings.answers), error.status, error.headers)


async def _respond(
    sandbox: Sandbox,
    endpoint: Endpoint,
    request: Request,
    entry: RequestEntry,
    handle: Callable[[Request], Awaitable[Response]],
) -> Response:
    faults, name = sandbox.faults, endpoint.name
    key = _admit(sandbox, request, entry)
    if (fault := faults.take(name, after=False)) is not None:
        return failure(fault, entry, request.app.state.close_connection)
    if not key.user.organization.has_api_access:
        raise HttpError(403, fix="Upgrade to Pro or above.")
    context = request.state.context = RequestContext(sandbox, key, entry.time)
    if endpoint.scope is not None:
        context.require_scope(endpoint.scope)
    response = _varied(sandbox.settings, name, await handle(request))
    entry.accepted = True
    if (fault := faults.take(name, after=True)) is None:
        return response
    if fault.kind == "truncate":
        entry.fault = fault.name
        return TruncatedResponse(response)
    if fault.kind == "delay":
        entry.fault = fault.name
        await asyncio.sleep(fault.seconds)
        return response
    return failure(fault, entry, request.app.state.close_connection)


def _admit(sandbox: Sandbox, request: Request, entry: RequestEntry) -> ApiKey:
    now = entry.time
    sandbox.settle()
    with sandbox.lock:
        key = sandbox.accounts.authenticate(request.headers.get("authorization"), now)
        if key is None:
            raise HttpError(401)
        entry.key_id = key.key_id
        wait = sandbox.limiter.check(key.user.organization.organization_id, key.key_id, now)
    if wait:
        seconds = sandbox.clock.real_seconds(wait)
        header = retry_after_header(sandbox.settings.retry_after, seconds, now)
        raise HttpError(
            429,
            retry_after_ms=math.ceil(seconds * 1000),
            headers={} if header is None else {"Retry-After": header},
        )
    return key


def failure(fault: Fault, entry: RequestEntry, close_connection: CloseConnection) -> Response:
    """Return how a request fails whose fault is its status or the loss of its connection."""
    entry.fault = fault.name
    if fault.kind == "drop":
        return NoResponse(close_connection)
    headers = dict(fault.headers)
    retry_after = "1" if fault.retry_after is None and fault.status == 429 else fault.retry_after
    if retry_after:
        headers["Retry-After"] = retry_after
    raise HttpError(
        fault.status, code=fault.code, retryable=fault.retryable, headers=headers, form=fault.body
    )


def _varied(settings: SandboxSettings, name: str, response: Response) -> Response:
    """Apply the settings that vary the form of successful responses."""
    status = settings.success_status.get(name, response.status_code)
    if status == 204:
        return Response(status_code=204)
    if settings.answers != "plain":
        return Json(reshaped(json.loads(bytes(response.body)), settings.answers), status)
    response.status_code = status
    return response


def retry_after_header(form: RetryAfterForm, seconds: float, now: float) -> str | None:
    """Return the value of a ``Retry-After`` header.

    Args:
        form: How to write it.
        seconds: Seconds to wait, as the client counts them.
        now: The current time in seconds since the epoch, for the HTTP date.

    Returns:
        The value of the header, or None to leave it out.
    """
    match form:
        case "seconds":
            return str(max(1, math.ceil(seconds)))
        case "decimal":
            return f"{seconds:.3f}"
        case "date":
            return formatdate(math.ceil(now + seconds), usegmt=True)
        case "zero":
            return "0"
        case "negative":
            return "-5"
        case "garbage":
            return "in a while"
        case "missing":
            return None
