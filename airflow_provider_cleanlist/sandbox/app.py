"""The HTTP application of a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_cleanlist.sandbox.answers import Json
from airflow_provider_cleanlist.sandbox.gate import Endpoint, SandboxRoute
from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.routes import (
    account,
    csv_import,
    enrichment,
    export,
    lead_lists,
    submit,
)
from airflow_provider_cleanlist.sandbox.routes.admin import admin_router

if TYPE_CHECKING:
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


def create_app(sandbox: Sandbox, cut: Cut = raise_reset) -> FastAPI:
    """Return the application that answers for a sandbox.

    Args:
        sandbox: What it answers for.
        cut: Closes the connection of a request without an answer.
    """
    app = FastAPI(title="Cleanlist sandbox", openapi_url=None, redirect_slashes=False)
    for endpoint in ENDPOINTS:
        for prefix in endpoint.prefixes:
            app.router.add_api_route(
                prefix + endpoint.path,
                endpoint.handler,
                methods=[endpoint.method],
                name=endpoint.name,
                route_class_override=SandboxRoute,
            )
            route = app.router.routes[-1]
            if isinstance(route, SandboxRoute):
                route.bind(sandbox, endpoint, cut)
    app.include_router(admin_router(sandbox))

    @app.get("/exports/{export_id}.csv")
    def download(request: Request, export_id: str) -> Response:
        return export.download(sandbox, request, export_id)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else "Internal server error"
        if not request.url.path.startswith("/sandbox"):
            sandbox.ledger.open(
                RequestEntry(sandbox.now(), request.method, request.url.path, endpoint=None, status=status)
            )
        return Json({"detail": detail}, status)

    return app
