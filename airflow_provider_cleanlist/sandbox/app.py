"""The HTTP application of a sandbox: every endpoint below its prefixes, and the admin endpoints."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.routes import account, admin, enrichment, exports, lead_lists
from airflow_provider_cleanlist.sandbox.web.middleware import Endpoint, SandboxRoute
from airflow_provider_cleanlist.sandbox.web.responses import Json

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope

    from airflow_provider_cleanlist.sandbox.state.sandbox import Sandbox
    from airflow_provider_cleanlist.sandbox.web.responses import CloseConnection

ENDPOINTS: tuple[Endpoint, ...] = (
    *account.ENDPOINTS,
    *enrichment.ENDPOINTS,
    *lead_lists.ENDPOINTS,
    *exports.ENDPOINTS,
)
"""Every operation of the API that a sandbox offers."""


async def raise_reset(scope: Scope, receive: Receive) -> None:
    """Raise what a client sees when its connection is closed, where there is no socket to close."""
    del scope, receive
    raise ConnectionResetError("The sandbox closed the connection without an answer")


@cache
def _api_routes() -> list[BaseRoute]:
    """Return the routes of the API and of signed downloads, which all applications share."""
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
                route.endpoint_spec = endpoint
    router.add_api_route("/exports/{export_id}.csv", exports.download)
    return router.routes


async def _unknown(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if not request.url.path.startswith("/sandbox"):
        sandbox = request.app.state.sandbox
        sandbox.ledger.record_request(
            RequestEntry(sandbox.now(), request.method, request.url.path, endpoint=None, status=status)
        )
    return Json({"detail": getattr(error, "detail", None)}, status)


def create_app(sandbox: Sandbox, close_connection: CloseConnection = raise_reset) -> FastAPI:
    """Return the application of a sandbox.

    Args:
        sandbox: The sandbox.
        close_connection: Closes the connection of a request without a response.
    """
    app = FastAPI(
        title="Cleanlist sandbox",
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _unknown},
    )
    app.state.sandbox = sandbox
    app.state.close_connection = close_connection
    app.router.routes.extend([*_api_routes(), *admin.ROUTER.routes])
    return app
