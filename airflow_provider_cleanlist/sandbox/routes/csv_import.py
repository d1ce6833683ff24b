"""Import of a CSV file into a list (contract section 4.6)."""

import base64
import binascii
import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict

from airflow_provider_cleanlist.sandbox.answers import Json
from airflow_provider_cleanlist.sandbox.errors import ApiError, InvalidBodyError
from airflow_provider_cleanlist.sandbox.gate import Call, Endpoint, call_of
from airflow_provider_cleanlist.sandbox.lists import LeadList
from airflow_provider_cleanlist.sandbox.people import Person, identity_of
from airflow_provider_cleanlist.sandbox.quotes import price
from airflow_provider_cleanlist.sandbox.routes.account import quote_subject
from airflow_provider_cleanlist.sandbox.routes.enrichment import reserve

MAX_BYTES = 150 * 1024
MAX_ROWS = 600
REPLAY_SECONDS = 86_400
CANONICAL_FIELDS = {
    "first_name",
    "last_name",
    "full_name",
    "email",
    "phone",
    "mobile_phone",
    "work_phone",
    "linkedin_url",
    "company_name",
    "company_domain",
    "job_title",
    "city",
    "state",
    "country",
}


class ImportBody(BaseModel):
    """Body of ``POST /lead-lists/{id}/csv-import``."""

    model_config = ConfigDict(strict=True)

    csv_content_base64: str
    column_mapping: dict[str, str | None]
    dispatch_enrichment: bool = True
    enrichment_type: Literal["partial", "phone_only", "full"] | None = None
    quote_id: str | None = None
    idempotency_key: str | None = None


@dataclass
class Parsed:
    """What a CSV file holds: usable rows as mapped, and why others were skipped."""

    rows: list[dict[str, str]] = field(default_factory=list)
    total: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    sample: list[int] = field(default_factory=list)


def parse(text: str, mapping: dict[str, str]) -> Parsed:
    """Read a CSV file.

    Args:
        text: The file.
        mapping: Header of the file by canonical field.

    Raises:
        ApiError: 400 ``missing_column`` when the mapping names a header that the file does not have.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = sorted(set(mapping.values()) - set(reader.fieldnames or []))
    if missing:
        raise ApiError(
            400, "Columns are missing from the CSV", code="missing_column", details={"missing": missing}
        )
    parsed, emails, profiles = Parsed(), set[str](), set[str]()
    for number, record in enumerate(reader, start=2):
        parsed.total += 1
        row = {
            name: value.strip() for name, header in mapping.items() if (value := record[header] or "").strip()
        }
        reason = _skip_reason(row, len(parsed.rows), emails, profiles)
        if reason is None:
            parsed.rows.append(row)
            continue
        parsed.skipped[reason] += 1
        if len(parsed.sample) < 10:
            parsed.sample.append(number)
    return parsed


def _skip_reason(row: dict[str, str], taken: int, emails: set[str], profiles: set[str]) -> str | None:
    who = as_person(row)
    if not who.has_v2_identity:
        return "missing_required"
    email, profile = row.get("email", "").casefold(), who.linkedin_slug or ""
    if email and email in emails:
        return "duplicate_email"
    if profile and profile in profiles:
        return "duplicate_linkedin"
    if taken >= MAX_ROWS:
        return "row_cap_exceeded"
    emails.add(email)
    profiles.add(profile)
    return None


def as_person(row: dict[str, str]) -> Person:
    """Return a mapped row as a contact; a full name stands in for its parts."""
    first, _, last = row.get("full_name", "").partition(" ")
    return Person(
        linkedin_url=row.get("linkedin_url"),
        first_name=row.get("first_name", first),
        last_name=row.get("last_name", last),
        company_name=row.get("company_name"),
        company_domain=row.get("company_domain"),
        email=row.get("email"),
        phone=row.get("phone") or row.get("mobile_phone") or row.get("work_phone"),
    )


async def csv_import(request: Request, list_id: str, body: ImportBody) -> Response:
    """Answer ``POST /lead-lists/{id}/csv-import``."""
    call = call_of(request)
    sandbox = call.sandbox
    if body.dispatch_enrichment:
        call.require_scope("enrich:write")
        if body.enrichment_type is None:
            raise InvalidBodyError.at(
                ["body", "enrichment_type"], "Required when dispatch_enrichment is true", None
            )
    if not sandbox.settings.csv_import_enabled:
        raise ApiError(503, "CSV import is switched off", retryable=False)
    with sandbox.lock:
        lead_list = sandbox.readable_list(call.key, list_id)
        replay = ("csv_import", call.key.user.organization.organization_id, body.idempotency_key or "")
        seen = sandbox.replays.get(replay) if body.idempotency_key is not None else None
        if seen is not None and call.now < seen[0] + REPLAY_SECONDS:
            return Json(seen[1] | {"idempotency_replayed": True}, 201)
        parsed = parse(_decoded(body.csv_content_base64), _mapping(body.column_mapping))
        answer = _imported(call, lead_list, parsed, body)
        if body.idempotency_key is not None:
            sandbox.replays[replay] = (call.now, answer)
    return Json(answer, 201)


def _decoded(content: str) -> str:
    try:
        raw = base64.b64decode(content, validate=True)
        if len(raw) > MAX_BYTES:
            raise ApiError(413, "The CSV is larger than 150 KB", fix="Split the file.")
        return raw.decode("utf-8-sig")
    except (binascii.Error, UnicodeDecodeError):
        raise ApiError(400, "csv_content_base64 is not UTF-8 text in base64") from None


def _mapping(column_mapping: dict[str, str | None]) -> dict[str, str]:
    unknown = sorted(set(column_mapping) - CANONICAL_FIELDS)
    if unknown:
        raise ApiError(400, "Unknown fields in column_mapping", details={"unknown": unknown})
    return {name: header for name, header in column_mapping.items() if header is not None}


def _imported(call: Call, lead_list: LeadList, parsed: Parsed, body: ImportBody) -> dict[str, Any]:
    workflow_id = None
    reserved = _reserved(call, len(parsed.rows), body)
    people = list(_attached(call, lead_list, parsed.rows))
    if body.dispatch_enrichment and people:
        workflow_id = call.sandbox.engine.submit(
            surface="bulk",
            endpoint="csv_import",
            key=call.key,
            lead_list=lead_list,
            people=people,
            enrichment_type=body.enrichment_type or "partial",
            now=call.now,
            reserved=reserved,
        ).workflow_id
    return call.enveloped(
        list_id=lead_list.list_id,
        rows_parsed=parsed.total,
        rows_imported=len(parsed.rows),
        rows_skipped=parsed.skipped.total(),
        skip_reasons=dict(parsed.skipped),
        sample_skip_rows=parsed.sample,
        workflow_id=workflow_id,
        enrichment_status_url=workflow_id and f"/api/v2/enrichment/status/{workflow_id}",
        idempotency_replayed=False,
    )


def _reserved(call: Call, rows: int, body: ImportBody) -> int:
    if not body.dispatch_enrichment:
        return 0
    chosen = body.enrichment_type or "partial"
    cost = price("bulk_import_csv", chosen, rows)
    if body.quote_id is not None:
        subject = quote_subject(call, rows, chosen)
        call.sandbox.quotes.redeem(body.quote_id, "bulk_import_csv", subject, cost, call.now)
    return reserve(call, cost)


def _attached(call: Call, lead_list: LeadList, rows: list[dict[str, str]]) -> Iterator[tuple[Person, str]]:
    for row in rows:
        who = as_person(row)
        place = ", ".join(row[name] for name in ("city", "state", "country") if name in row)
        lead = call.sandbox.lists.lead_of(
            identity_of(who),
            call.key.user.organization.organization_id,
            first_name=who.first_name,
            last_name=who.last_name,
            full_name=who.full_name,
            email=who.email,
            phone=who.phone,
            title=row.get("job_title"),
            company=who.company_name,
            domain=who.company_domain,
            location=place or None,
            linkedin_url=who.linkedin_url,
        )
        lead_list.members.add(lead.lead_id)
        yield who, lead.lead_id


ENDPOINTS = (Endpoint("csv_import", "POST", "/lead-lists/{list_id}/csv-import", csv_import, "lists:write"),)
