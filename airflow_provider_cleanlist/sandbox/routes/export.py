"""Exports of lists (contract section 9)."""

import csv
import hashlib
import io
import secrets
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from airflow_provider_cleanlist.sandbox.answers import Json
from airflow_provider_cleanlist.sandbox.clock import iso
from airflow_provider_cleanlist.sandbox.errors import ApiError
from airflow_provider_cleanlist.sandbox.gate import Call, Endpoint, call_of
from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.lists import LeadList
from airflow_provider_cleanlist.sandbox.paging import page
from airflow_provider_cleanlist.sandbox.state import Export, Sandbox

DEFAULT_COLUMNS = (
    "lead_id",
    "first_name",
    "last_name",
    "email",
    "title",
    "company",
    "domain",
    "linkedin_url",
    "phone",
    "location",
)
COLUMNS = {*DEFAULT_COLUMNS, "company_domain", "full_name", "provider"}
LIFE_SECONDS = 86_400
ROWS_AT_ONCE = 10_000


class CsvBody(BaseModel):
    """Body of ``POST /export/csv/signed-url``."""

    model_config = ConfigDict(strict=True)

    list_id: str
    columns: list[str] | None = None
    include_smart_agents: bool | None = True


def _checked(columns: list[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(columns or ()) - COLUMNS)
    if unknown:
        raise ApiError(400, "Unknown columns", details={"unknown": unknown, "known": sorted(COLUMNS)})
    return tuple(columns or DEFAULT_COLUMNS)


def _projected(rows: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    source = {"company_domain": "domain"}
    return [{column: row[source.get(column, column)] for column in columns} for row in rows]


async def as_json(
    request: Request,
    list_id: str,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
    columns: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Answer ``GET /export/json``."""
    call = call_of(request)
    wanted = _checked(columns)
    with call.sandbox.lock:
        lead_list = call.sandbox.readable_list(call.key, list_id)
        total = len(lead_list.members)
        part = page(call.sandbox.settings, total, limit, cursor)
        rows = call.sandbox.lists.rows(lead_list, part.start, part.stop)
    return Json(
        call.enveloped(list_id=list_id, leads=_projected(rows, wanted), total=total, **part.cursor_fields)
    )


async def as_csv(request: Request, body: CsvBody) -> Response:
    """Answer ``POST /export/csv/signed-url``; the sandbox has no smart agents whose columns it could add."""
    call = call_of(request)
    columns = _checked(body.columns)
    lead_list = call.sandbox.readable_list(call.key, body.list_id)
    content, rows = await run_in_threadpool(_csv, call, lead_list, columns)
    export_id, signature = secrets.token_hex(8), secrets.token_urlsafe(24)
    expires_at = int(call.now) + LIFE_SECONDS
    call.sandbox.exports[export_id] = Export(content, expires_at, hashlib.sha256(signature.encode()).digest())
    base = str(request.base_url).rstrip("/")
    return Json(
        {
            "list_id": body.list_id,
            "download_url": f"{base}/exports/{export_id}.csv?sig={signature}&exp={expires_at}",
            "expires_at": iso(expires_at, call.sandbox.settings.utc_suffix),
            "row_count": rows,
            "file_size_bytes": len(content),
        }
    )


def _csv(call: Call, lead_list: LeadList, columns: tuple[str, ...]) -> tuple[bytes, int]:
    """Write a list as CSV, a part at a time so that other requests are answered in between."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    total = len(lead_list.members)
    for start in range(0, total, ROWS_AT_ONCE):
        with call.sandbox.lock:
            rows = call.sandbox.lists.rows(lead_list, start, min(total, start + ROWS_AT_ONCE))
        writer.writerows(_projected(rows, columns))
    return text.getvalue().encode(), total


async def download(request: Request, export_id: str) -> Response:
    """Answer a signed download URL as blob stores do: the signature is the permission, a key is one too many."""
    sandbox: Sandbox = request.app.state.sandbox
    entry = sandbox.ledger.open(RequestEntry(sandbox.now(), "GET", request.url.path, "export_download"))
    export = sandbox.exports.get(export_id)
    signature = hashlib.sha256(request.query_params.get("sig", "").encode()).digest()
    response: Response
    if "authorization" in request.headers:
        response = Json(ApiError(400, "Only one authentication mechanism is allowed").body(legacy=True), 400)
    elif export is None or not secrets.compare_digest(export.signature, signature):
        response = Json(ApiError(403, "Bad signature").body(legacy=True), 403)
    elif sandbox.now() >= export.expires_at:
        response = Json(ApiError(403, "The link has expired").body(legacy=True), 403)
    else:
        response = Response(export.content, media_type="text/csv; charset=utf-8")
    entry.status = response.status_code
    entry.accepted = response.status_code == 200
    return response


ENDPOINTS = (
    Endpoint("export_json", "GET", "/export/json", as_json, "export:read"),
    Endpoint("export_csv", "POST", "/export/csv/signed-url", as_csv, "export:read"),
)
