"""What every request passes: record, key, rate limit, faults, plan and scope, then the endpoint itself."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from airflow_provider_cleanlist.sandbox.answers import CutAnswer, Json, TruncatedAnswer, reshaped
from airflow_provider_cleanlist.sandbox.errors import ApiError, InvalidBodyError
from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.rate import retry_after_header

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.accounts import ApiKey
    from airflow_provider_cleanlist.sandbox.answers import Cut
    from airflow_provider_cleanlist.sandbox.faults import Fault
    from airflow_provider_cleanlist.sandbox.settings import Settings
    from airflow_provider_cleanlist.sandbox.state import Sandbox

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
        scope: Scope its key needs, if any.
        surface: ``legacy`` exists under one prefix and answers errors with ``detail``; ``v2`` exists under
            both and answers with ``error``; ``both`` exists under both and answers as the prefix does.
    """

    name: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Callable[..., Coroutine[Any, Any, Response]]
    scope: str | None = None
    surface: Literal["legacy", "v2", "both"] = "v2"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Where the endpoint is mounted."""
        return (LEGACY_PREFIX,) if self.surface == "legacy" else (V2_PREFIX, LEGACY_PREFIX)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in.

    Attributes:
        sandbox: Where it arrived.
        key: The key it came with.
        now: Instant of its arrival.
    """

    sandbox: Sandbox
    key: ApiKey
    now: float

    def require_scope(self, scope: str) -> None:
        """Refuse a key without a scope.

        Raises:
            ApiError: 403 ``insufficient_scope``.
        """
        if scope not in self.key.scopes:
            raise ApiError(
                403,
                f"The key lacks the scope {scope}",
                code="insufficient_scope",
                details={"required": [scope], "granted": list(self.key.scopes)},
            )

    def enveloped(self, **fields: Any) -> dict[str, Any]:
        """Return an answer with the fields that most v2 answers carry beside their own (section 8.1)."""
        return {
            "task_id": None,
            "timestamp_ms": int(self.now * 1000),
            "agent_instructions": None,
            "usage": None,
            "message": None,
            **fields,
        }


def call_of(request: Request) -> Call:
    """Return what the gate knows of a request."""
    call: Call = request.state.call
    return call


class SandboxRoute(APIRoute):
    """A route behind the gate. Whose gate, says the application: ``app.state.sandbox`` and ``app.state.cut``.

    Attributes:
        operation: The operation behind the route, set when the route is made.
    """

    operation: Endpoint

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Put the gate before the endpoint."""
        handle = super().get_route_handler()

        async def gated(request: Request) -> Response:
            sandbox: Sandbox = request.app.state.sandbox
            name = self.operation.name
            entry = sandbox.ledger.open(RequestEntry(sandbox.now(), request.method, request.url.path, name))
            try:
                response = await _answer(sandbox, self.operation, request, entry, handle)
            except ApiError as error:
                response = self._refusal(sandbox, error)
            except RequestValidationError as error:
                response = self._refusal(sandbox, InvalidBodyError(jsonable_encoder(error.errors())))
            entry.status = None if isinstance(response, CutAnswer) else response.status_code
            return response

        return gated

    def _refusal(self, sandbox: Sandbox, error: ApiError) -> Response:
        settings, surface = sandbox.settings, self.operation.surface
        if settings.envelope == "contract":
            legacy = surface == "legacy" or (surface == "both" and self.path.startswith(LEGACY_PREFIX))
        else:
            legacy = settings.envelope == "legacy"
        if error.form != "json":
            text = f"<html><body><h1>{error.status}</h1></body></html>" if error.form == "html" else None
            return Response(text, error.status, error.headers, media_type="text/html")
        return Json(reshaped(error.body(legacy=legacy), settings.answers), error.status, error.headers)


async def _answer(
    sandbox: Sandbox,
    operation: Endpoint,
    request: Request,
    entry: RequestEntry,
    handle: Callable[[Request], Awaitable[Response]],
) -> Response:
    faults, name = sandbox.faults, operation.name
    key = _admit(sandbox, request, entry)
    if (fault := faults.take(name, after=False)) is not None:
        return _failure(fault, entry, request.app.state.cut)
    if not key.user.organization.has_api_access:
        raise ApiError(403, fix="Upgrade to Pro or above.")
    call = request.state.call = Call(sandbox, key, entry.time)
    if operation.scope is not None:
        call.require_scope(operation.scope)
    response = _shaped(sandbox.settings, name, await handle(request))
    entry.accepted = True
    if (fault := faults.take(name, after=True)) is None:
        return response
    if fault.kind == "truncate":
        entry.fault = fault.name
        return TruncatedAnswer(response)
    if fault.kind == "delay":
        entry.fault = fault.name
        await asyncio.sleep(fault.seconds)
        return response
    return _failure(fault, entry, request.app.state.cut)


def _admit(sandbox: Sandbox, request: Request, entry: RequestEntry) -> ApiKey:
    now = entry.time
    sandbox.settle()
    with sandbox.lock:
        key = sandbox.accounts.authenticate(request.headers.get("authorization"), now)
        if key is None:
            raise ApiError(401)
        entry.key_id = key.key_id
        wait = sandbox.limiter.check(key.user.organization.organization_id, key.key_id, now)
    if wait:
        seconds = sandbox.clock.real_seconds(wait)
        header = retry_after_header(sandbox.settings.retry_after, seconds, now)
        raise ApiError(
            429,
            retry_after_ms=math.ceil(seconds * 1000),
            headers={} if header is None else {"Retry-After": header},
        )
    return key


def _failure(fault: Fault, entry: RequestEntry, cut: Cut) -> Response:
    entry.fault = fault.name
    if fault.kind == "drop":
        return CutAnswer(cut)
    headers = dict(fault.headers)
    retry_after = "1" if fault.retry_after is None and fault.status == 429 else fault.retry_after
    if retry_after:
        headers["Retry-After"] = retry_after
    raise ApiError(fault.status, code=fault.code, retryable=fault.retryable, headers=headers, form=fault.body)


def _shaped(settings: Settings, name: str, response: Response) -> Response:
    status = settings.success_status.get(name, response.status_code)
    if status == 204:
        return Response(status_code=204)
    if settings.answers != "plain":
        return Json(reshaped(json.loads(bytes(response.body)), settings.answers), status)
    response.status_code = status
    return response
