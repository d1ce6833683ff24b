"""Exports of lists: pages of JSON, and CSV files behind a signed URL."""

import csv
import hashlib
import io
import secrets
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from airflow_provider_cleanlist.sandbox.clock import iso
from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.state.lists import StoredList
from airflow_provider_cleanlist.sandbox.state.sandbox import Export, Sandbox
from airflow_provider_cleanlist.sandbox.web.errors import HttpError
from airflow_provider_cleanlist.sandbox.web.middleware import Endpoint, RequestContext, context_of
from airflow_provider_cleanlist.sandbox.web.paging import page_slice
from airflow_provider_cleanlist.sandbox.web.responses import Json

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
SIGNED_URL_SECONDS = 86_400
"""How long a signed URL is valid."""
ROWS_AT_ONCE = 10_000


class CsvBody(BaseModel):
    """Body of ``POST /export/csv/signed-url``."""

    model_config = ConfigDict(strict=True)

    list_id: str
    columns: list[str] | None = None
    include_smart_agents: bool | None = True


def _valid_columns(columns: list[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(columns or ()) - COLUMNS)
    if unknown:
        raise HttpError(400, "Unknown columns", details={"unknown": unknown, "known": sorted(COLUMNS)})
    return tuple(columns or DEFAULT_COLUMNS)


def _select(rows: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    source = {"company_domain": "domain"}
    return [{column: row[source.get(column, column)] for column in columns} for row in rows]


async def json_page(
    request: Request,
    list_id: str,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
    columns: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Answer ``GET /export/json``."""
    context = context_of(request)
    wanted = _valid_columns(columns)
    with context.sandbox.lock:
        lead_list = context.readable_list(list_id)
        total = len(lead_list.members)
        part = page_slice(context.sandbox.settings, total, limit, cursor)
        rows = context.sandbox.lists.rows(lead_list, part.start, part.stop)
    return Json(
        context.with_common_fields(
            list_id=list_id, leads=_select(rows, wanted), total=total, **part.cursor_fields
        )
    )


async def csv_signed_url(request: Request, body: CsvBody) -> Response:
    """Answer ``POST /export/csv/signed-url``. The sandbox has no smart agents, and so no columns of theirs."""
    context = context_of(request)
    columns = _valid_columns(body.columns)
    lead_list = context.readable_list(body.list_id)
    content, rows = await run_in_threadpool(_csv, context, lead_list, columns)
    export_id, signature = secrets.token_hex(8), secrets.token_urlsafe(24)
    expires_at = int(context.now) + SIGNED_URL_SECONDS
    context.sandbox.exports[export_id] = Export(
        content, expires_at, hashlib.sha256(signature.encode()).digest()
    )
    base = str(request.base_url).rstrip("/")
    return Json(
        {
            "list_id": body.list_id,
            "download_url": f"{base}/exports/{export_id}.csv?sig={signature}&exp={expires_at}",
            "expires_at": iso(expires_at, context.sandbox.settings.utc_suffix),
            "row_count": rows,
            "file_size_bytes": len(content),
        }
    )


def _csv(context: RequestContext, lead_list: StoredList, columns: tuple[str, ...]) -> tuple[bytes, int]:
    """Return a list as CSV and its number of rows; written in parts, so that other requests are not held up."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    total = len(lead_list.members)
    for start in range(0, total, ROWS_AT_ONCE):
        with context.sandbox.lock:
            rows = context.sandbox.lists.rows(lead_list, start, min(total, start + ROWS_AT_ONCE))
        writer.writerows(_select(rows, columns))
    return text.getvalue().encode(), total


async def download(request: Request, export_id: str) -> Response:
    """Answer the download of a signed URL as blob stores do: by its signature, and never with an API key."""
    sandbox: Sandbox = request.app.state.sandbox
    entry = sandbox.ledger.record_request(
        RequestEntry(sandbox.now(), "GET", request.url.path, "export_download")
    )
    export = sandbox.exports.get(export_id)
    signature = hashlib.sha256(request.query_params.get("sig", "").encode()).digest()
    response: Response
    if "authorization" in request.headers:
        response = Json(HttpError(400, "Only one authentication mechanism is allowed").body(legacy=True), 400)
    elif export is None or not secrets.compare_digest(export.signature_hash, signature):
        response = Json(HttpError(403, "Bad signature").body(legacy=True), 403)
    elif sandbox.now() >= export.expires_at:
        response = Json(HttpError(403, "The link has expired").body(legacy=True), 403)
    else:
        response = Response(export.content, media_type="text/csv; charset=utf-8")
    entry.status = response.status_code
    entry.accepted = response.status_code == 200
    return response


ENDPOINTS = (
    Endpoint("export_json", "GET", "/export/json", json_page, "export:read"),
    Endpoint("export_csv", "POST", "/export/csv/signed-url", csv_signed_url, "export:read"),
)
