"""Exports of lists: pages of JSON, and CSV files behind a signed URL."""

import asyncio
import csv
import hashlib
import io
import re
import secrets
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from airflow_provider_cleanlist.sandbox.clock import iso
from airflow_provider_cleanlist.sandbox.faults import Fault
from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
from airflow_provider_cleanlist.sandbox.state.lists import StoredList
from airflow_provider_cleanlist.sandbox.state.sandbox import Export, Sandbox
from airflow_provider_cleanlist.sandbox.web.errors import HttpError
from airflow_provider_cleanlist.sandbox.web.middleware import Endpoint, RequestContext, context_of, failure
from airflow_provider_cleanlist.sandbox.web.paging import page_slice
from airflow_provider_cleanlist.sandbox.web.responses import (
    CloseConnection,
    Json,
    NoResponse,
    SlowResponse,
    TruncatedResponse,
)

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
    """Answer ``POST /export/csv/signed-url``."""
    context = context_of(request)
    settings = context.sandbox.settings
    columns = _valid_columns(body.columns)
    smart = settings.smart_columns if body.include_smart_agents is not False else ()
    lead_list = context.readable_list(body.list_id)
    content, rows = await run_in_threadpool(_csv, context, lead_list, columns, smart)
    export_id, signature = secrets.token_hex(8), secrets.token_urlsafe(24)
    expires_at = int(context.now + settings.export_url_seconds)
    context.sandbox.exports[export_id] = Export(
        content, expires_at, hashlib.sha256(signature.encode()).digest()
    )
    base = str(request.base_url).rstrip("/")
    return Json(
        {
            "list_id": body.list_id,
            "download_url": f"{base}/exports/{export_id}.csv?sig={signature}&exp={expires_at}",
            "expires_at": iso(expires_at, settings.utc_suffix),
            "row_count": rows + settings.export_row_count_error,
            "file_size_bytes": len(content) + settings.export_file_size_error,
        }
    )


def _csv(
    context: RequestContext, lead_list: StoredList, columns: tuple[str, ...], smart: tuple[str, ...]
) -> tuple[bytes, int]:
    """Return a list as CSV and its number of rows; written in parts, so that other requests are not held up."""
    text = io.StringIO(newline="")
    labels = [_label(column) for column in columns] if context.sandbox.settings.export_labels else columns
    writer = csv.writer(text)
    writer.writerow((*labels, *smart))
    total = max(0, len(lead_list.members) - context.sandbox.settings.export_rows_left_out)
    for start in range(0, total, ROWS_AT_ONCE):
        with context.sandbox.lock:
            rows = context.sandbox.lists.rows(lead_list, start, min(total, start + ROWS_AT_ONCE))
        writer.writerows(
            (*row.values(), *(_smart_value(name, start + number) for name in smart))
            for number, row in enumerate(_select(rows, columns))
        )
    return text.getvalue().encode(), total


def _label(column: str) -> str:
    return (
        column.replace("_", " ")
        .title()
        .replace("Id", "ID")
        .replace("Url", "URL")
        .replace("Linkedin", "LinkedIn")
    )


def _smart_value(name: str, number: int) -> str | None:
    """Return what a smart agent found about a lead; it finds nothing about every third."""
    return None if number % 3 == 2 else f"{name} {number % 5}"


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
        response = await _file(request, sandbox, entry, export.content)
    entry.status = None if isinstance(response, NoResponse) else response.status_code
    entry.accepted = response.status_code in (200, 206)
    return response


async def _file(request: Request, sandbox: Sandbox, entry: RequestEntry, content: bytes) -> Response:
    close = request.app.state.close_connection
    if (fault := sandbox.faults.take("export_download", after=False)) is not None:
        return _failed(fault, entry, close)
    response = _part(request, sandbox.settings, content)
    if (fault := sandbox.faults.take("export_download", after=True)) is None:
        speed = sandbox.settings.export_bytes_per_second
        return response if speed is None else SlowResponse(response, speed)
    entry.fault = fault.name
    if fault.kind == "truncate":
        return TruncatedResponse(response)
    if fault.kind == "delay":
        await asyncio.sleep(fault.seconds)
        return response
    return _failed(fault, entry, close)


def _failed(fault: Fault, entry: RequestEntry, close_connection: CloseConnection) -> Response:
    try:
        return failure(fault, entry, close_connection)
    except HttpError as error:
        return Json(error.body(legacy=True), error.status, error.headers)


def _part(request: Request, settings: SandboxSettings, content: bytes) -> Response:
    """Return the file, or the rest of it that a ``Range`` asks for."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": etag} if settings.export_etags else {}
    media_type = "text/csv; charset=utf-8"
    if not settings.export_ranges:
        return Response(content, headers=headers, media_type=media_type)
    headers["Accept-Ranges"] = "bytes"
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    if found is None or request.headers.get("if-range", etag) != etag:
        return Response(content, headers=headers, media_type=media_type)
    begin = int(found[1])
    if begin >= len(content):
        return Response(None, 416, {**headers, "Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    return Response(content[begin:], 206, headers, media_type=media_type)


ENDPOINTS = (
    Endpoint("export_json", "GET", "/export/json", json_page, "export:read"),
    Endpoint("export_csv", "POST", "/export/csv/signed-url", csv_signed_url, "export:read"),
)
