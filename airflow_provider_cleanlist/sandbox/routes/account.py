"""The key, its user and the credits: ``/auth/validate-key``, ``/whoami``, ``/credits/balance``."""

from fastapi import Request, Response

from airflow_provider_cleanlist.sandbox.web.middleware import LEGACY_PREFIX, Endpoint, context_of
from airflow_provider_cleanlist.sandbox.web.responses import Json


async def validate_key(request: Request) -> Response:
    """Answer ``GET /auth/validate-key``."""
    user = context_of(request).key.user
    return Json(
        {"valid": True, "user_id": user.user_id, "organization_id": user.organization.organization_id}
    )


async def whoami(request: Request) -> Response:
    """Answer ``GET /whoami``."""
    context = context_of(request)
    user = context.key.user
    return Json(
        context.with_common_fields(
            user_email=user.masked_email,
            user_id=user.user_id,
            user_name=user.name,
            organization_id=user.organization.organization_id,
            organization_name=user.organization.name,
            auth_type="api_key",
            scopes=list(context.key.scopes),
            tier=user.organization.tier,
            appsumo_tier=None,
            features=["enrich_email", "enrich_phone"],
        )
    )


async def balance(request: Request) -> Response:
    """Answer ``GET /credits/balance``."""
    context = context_of(request)
    organization = context.key.user.organization
    fields = {"organization_id": organization.organization_id, "credits": organization.balance}
    legacy = request.url.path.startswith(LEGACY_PREFIX)
    return Json(fields if legacy else context.with_common_fields(**fields))


ENDPOINTS = (
    Endpoint("validate_key", "GET", "/auth/validate-key", validate_key, surface="legacy"),
    Endpoint("whoami", "GET", "/whoami", whoami),
    Endpoint("credits_balance", "GET", "/credits/balance", balance, "credits:read", surface="both"),
)
