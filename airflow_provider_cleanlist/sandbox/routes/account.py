"""Keys, identity, credits and usage (contract sections 1.3, 1.4 and 7)."""

import hashlib
from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_cleanlist.sandbox.answers import Json, dump
from airflow_provider_cleanlist.sandbox.clock import iso
from airflow_provider_cleanlist.sandbox.errors import ApiError
from airflow_provider_cleanlist.sandbox.gate import LEGACY_PREFIX, Call, Endpoint, call_of
from airflow_provider_cleanlist.sandbox.ledger import RequestEntry
from airflow_provider_cleanlist.sandbox.quotes import price
from airflow_provider_cleanlist.sandbox.state import parse_cohort

SECONDS_PER_DAY = 86_400


async def validate_key(request: Request) -> Response:
    """Answer ``GET /auth/validate-key``."""
    user = call_of(request).key.user
    return Json(
        {"valid": True, "user_id": user.user_id, "organization_id": user.organization.organization_id}
    )


async def whoami(request: Request) -> Response:
    """Answer ``GET /whoami``."""
    call = call_of(request)
    user = call.key.user
    return Json(
        call.enveloped(
            user_email=user.masked_email,
            user_id=user.user_id,
            user_name=user.name,
            organization_id=user.organization.organization_id,
            organization_name=user.organization.name,
            auth_type="api_key",
            scopes=list(call.key.scopes),
            tier=user.organization.tier,
            appsumo_tier=None,
            features=["enrich_email", "enrich_phone"],
        )
    )


async def balance(request: Request) -> Response:
    """Answer ``GET /credits/balance``."""
    call = call_of(request)
    organization = call.key.user.organization
    answer = {"organization_id": organization.organization_id, "credits": organization.balance}
    return Json(answer if request.url.path.startswith(LEGACY_PREFIX) else call.enveloped(**answer))


class EstimateBody(BaseModel):
    """Body of ``POST /credits/estimate``."""

    model_config = ConfigDict(strict=True)

    tool: str
    list_id: str | None = None
    filters: dict[str, Any] | None = None
    row_count: Annotated[int, Field(ge=0)] | None = None
    scope: Literal["partial", "phone_only", "phone-only", "full"] | None = None
    agent_type: str | None = None
    include_phone: bool | None = False
    provider: str | None = None
    sub_action: str | None = None
    enrichment_type: Literal["partial", "phone_only", "full"] | None = None
    task_id: str | None = None
    data_points: list[str] | None = None
    entity_ids: list[str] | None = None
    extra: dict[str, Any] | None = None

    @property
    def type_priced(self) -> str:
        """The enrichment type whose price applies."""
        if self.data_points:
            return type_of_data_points(self.data_points)
        chosen = self.enrichment_type or (self.scope or "").replace("-", "_")
        return chosen or ("phone_only" if self.include_phone else "partial")


def type_of_data_points(data_points: list[str]) -> str:
    """Return the enrichment type that finds these data points of people.

    Raises:
        ApiError: 400 for data points that people do not have.
    """
    wanted = set(data_points)
    if unknown := wanted - {"Email", "Phone", "LinkedIn"}:
        raise ApiError(400, f"Unknown data points: {', '.join(sorted(unknown))}")
    if "Phone" not in wanted:
        return "partial"
    return "full" if "Email" in wanted else "phone_only"


def cohort_lead_ids(call: Call, task_id: str, entity_ids: list[str] | None) -> list[str]:
    """Return the leads that a page's handle stands for, or those of them that are named.

    Raises:
        ApiError: 404 for unknown handles and for lists that the key may not read.
    """
    list_id, start, stop = parse_cohort(task_id)
    lead_list = call.sandbox.readable_list(call.key, list_id)
    lead_ids = [row["lead_id"] for row in call.sandbox.lists.rows(lead_list, start, stop)]
    return lead_ids if entity_ids is None else [lead_id for lead_id in lead_ids if lead_id in set(entity_ids)]


def quote_subject(call: Call, *parts: Any) -> tuple[Any, ...]:
    """Return what a quote is bound to: the organisation and the details of the operation."""
    return (call.key.user.organization.organization_id, *parts)


async def estimate(request: Request, body: EstimateBody) -> Response:
    """Answer ``POST /credits/estimate``."""
    call = call_of(request)
    sandbox, organization = call.sandbox, call.key.user.organization
    if body.extra:
        raise ApiError(400, "Undeclared keys inside extra", details={"undeclared": sorted(body.extra)})
    with sandbox.lock:
        subject: tuple[Any, ...]
        if body.list_id is not None:
            rows = len(sandbox.readable_list(call.key, body.list_id).members)
            subject = quote_subject(call, body.list_id, body.type_priced)
        elif body.task_id is not None:
            lead_ids = cohort_lead_ids(call, body.task_id, body.entity_ids)
            rows, subject = len(lead_ids), quote_subject(call, *lead_ids, body.type_priced)
        else:
            rows = 1 if body.row_count is None else body.row_count
            subject = quote_subject(call, rows, body.type_priced)
        cost = price(body.tool, body.type_priced, rows)
        quote = sandbox.quotes.issue(body.tool, subject, cost, call.now, sandbox.settings.quote_seconds)
    return Json(
        {
            "quote_id": quote.quote_id,
            "expires_at": quote.expires_at,
            "estimated_cost": cost,
            "tool": body.tool,
            "row_count": rows,
            "filter_hash": hashlib.sha256(dump(body.filters)).hexdigest()[:16] if body.filters else "none",
            "available_credits": int(organization.balance),
            "sufficient": organization.balance >= cost,
        }
    )


async def usage(
    request: Request,
    days: Annotated[int, Query(ge=1, le=365)] = 7,
    group_by: Literal["tool", "key", "day", "error"] = "tool",
) -> Response:
    """Answer ``GET /usage``."""
    call = call_of(request)
    ours = {
        key.key_id
        for key in call.sandbox.accounts.keys.values()
        if key.user.organization is call.key.user.organization
    }
    entries = [
        entry
        for entry in call.sandbox.ledger.requests()
        if entry.key_id in ours and entry.time > call.now - days * SECONDS_PER_DAY
    ]
    calls = Counter(_usage_group(entry, group_by) for entry in entries)
    errors = Counter(_usage_group(entry, group_by) for entry in entries if _is_error(entry))
    return Json(
        {
            "days": days,
            "group_by": group_by,
            "total_calls": len(entries),
            "total_credits_spent": 0.0,
            "total_errors": errors.total(),
            "rows": [
                {"group": group, "calls": number, "credits_spent": 0.0, "errors": errors[group]}
                for group, number in calls.items()
            ],
        }
    )


def _usage_group(entry: RequestEntry, group_by: str) -> str:
    match group_by:
        case "key":
            return entry.key_id or ""
        case "day":
            return iso(entry.time)[:10]
        case "error":
            return f"http_{entry.status}" if _is_error(entry) else "none"
        case _:
            return entry.path


def _is_error(entry: RequestEntry) -> bool:
    return entry.status is not None and not 200 <= entry.status < 300


async def api_keys(request: Request) -> Response:
    """Answer ``GET /api-keys``."""
    call = call_of(request)
    suffix = call.sandbox.settings.utc_suffix
    return Json(
        {
            "keys": [
                {
                    "key_id": key.key_id,
                    "key_prefix": "clapi_",
                    "key_last4": key.secret[-4:],
                    "name": key.name,
                    "scopes": list(key.scopes),
                    "created_at": iso(key.created_at, suffix),
                    "last_used_at": None if key.last_used_at is None else iso(key.last_used_at, suffix),
                    "is_active": key.valid_at(call.now),
                }
                for key in call.sandbox.accounts.keys.values()
                if key.user is call.key.user
            ]
        }
    )


ENDPOINTS = (
    Endpoint("validate_key", "GET", "/auth/validate-key", validate_key, surface="legacy"),
    Endpoint("whoami", "GET", "/whoami", whoami),
    Endpoint("credits_balance", "GET", "/credits/balance", balance, "credits:read", surface="both"),
    Endpoint("credits_estimate", "POST", "/credits/estimate", estimate, "credits:read"),
    Endpoint("usage", "GET", "/usage", usage, "admin:api_keys"),
    Endpoint("api_keys", "GET", "/api-keys", api_keys, "admin:api_keys"),
)
