"""The HTTP application of a sandbox."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_cleanlist.sandbox.answers import Json
from airflow_provider_cleanlist.sandbox.gate import Endpoint, SandboxRoute
from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.routes import (
    account,
    admin,
    csv_import,
    enrichment,
    export,
    lead_lists,
    submit,
)

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope

    from airflow_provider_cleanlist.sandbox.answers import Cut
    from airflow_provider_cleanlist.sandbox.state import Sandbox

ENDPOINTS: tuple[Endpoint, ...] = (
    *account.ENDPOINTS,
    *submit.ENDPOINTS,
    *lead_lists.ENDPOINTS,
    *enrichment.ENDPOINTS,
    *csv_import.ENDPOINTS,
    *export.ENDPOINTS,
)
"""Every operation of the API that a sandbox answers."""


async def raise_reset(scope: Scope, receive: Receive) -> None:
    """Stand in for a closed connection where there is no socket to close."""
    del scope, receive
    raise ConnectionResetError("The sandbox closed the connection without an answer")


@cache
def api_routes() -> list[BaseRoute]:
    """Return the routes of the API and of signed downloads; every application shares them."""
    router = APIRouter()
    for endpoint in ENDPOINTS:
        for prefix in endpoint.prefixes:
            router.add_api_route(
                prefix + endpoint.path,
                endpoint.handler,
                methods=[endpoint.method],
                name=endpoint.name,
                route_class_override=SandboxRoute,
            )
            route = router.routes[-1]
            if isinstance(route, SandboxRoute):
                route.operation = endpoint
    router.add_api_route("/exports/{export_id}.csv", export.download)
    return router.routes


async def _unknown(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if not request.url.path.startswith("/sandbox"):
        sandbox = request.app.state.sandbox
        sandbox.ledger.open(
            RequestEntry(sandbox.now(), request.method, request.url.path, endpoint=None, status=status)
        )
    return Json({"detail": getattr(error, "detail", None)}, status)


def create_app(sandbox: Sandbox, cut: Cut = raise_reset) -> FastAPI:
    """Return the application that answers for a sandbox.

    Args:
        sandbox: What it answers for.
        cut: Closes the connection of a request without an answer.
    """
    app = FastAPI(
        title="Cleanlist sandbox",
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _unknown},
    )
    app.state.sandbox = sandbox
    app.state.cut = cut
    app.router.routes.extend([*api_routes(), *admin.ROUTER.routes])
    return app
