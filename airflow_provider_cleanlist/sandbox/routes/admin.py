"""The admin side under ``/sandbox/``, for tests in other processes: no key, loopback only, no rate limit."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_cleanlist.sandbox.accounts import SCOPES
from airflow_provider_cleanlist.sandbox.clock import ManualClock
from airflow_provider_cleanlist.sandbox.faults import Fault, WorkflowEnding
from airflow_provider_cleanlist.sandbox.state import Sandbox
from airflow_provider_cleanlist.sandbox.webhooks import is_loopback


def _loopback_only(request: Request) -> None:
    if request.client is None or not (
        is_loopback(request.client.host) or request.client.host == "testclient"
    ):
        raise HTTPException(403, "The admin side answers to loopback only")


class LeadsBody(BaseModel):
    """Body of ``POST /sandbox/leads``."""

    model_config = ConfigDict(extra="forbid")

    list_name: Annotated[str, Field(min_length=1, max_length=200)]
    count: Annotated[int, Field(ge=0, le=4_000_000_000)]


class OrganizationBody(BaseModel):
    """Body of ``POST /sandbox/organization``; what is absent stays."""

    model_config = ConfigDict(extra="forbid")

    credits: float | None = None
    has_api_access: bool | None = None
    tier: str | None = None


class KeyBody(BaseModel):
    """Body of ``POST /sandbox/keys``: a new key of the first user, or changes to the one with this secret."""

    model_config = ConfigDict(extra="forbid")

    secret: str | None = None
    scopes: list[str] = Field(default_factory=lambda: list(SCOPES))
    revoked: bool = False
    expires_at: float | None = None


class ClockBody(BaseModel):
    """Body of ``POST /sandbox/clock``."""

    model_config = ConfigDict(extra="forbid")

    advance: Annotated[float, Field(ge=0)]


def admin_router(sandbox: Sandbox) -> APIRouter:
    """Return the routes of the admin side.

    Args:
        sandbox: What they look into and change.
    """
    router = APIRouter(prefix="/sandbox", dependencies=[Depends(_loopback_only)], include_in_schema=False)
    _add_reading(router, sandbox)
    _add_faults(router, sandbox)
    _add_changing(router, sandbox)
    return router


def _add_reading(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("")
    def show() -> dict[str, Any]:
        """Settings, time, credits and faults still waiting."""
        sandbox.settle()
        return {
            "settings": sandbox.settings.model_dump(),
            "now": sandbox.now(),
            "credits": sandbox.accounts.organization.balance,
            "workflows": len(sandbox.engine.workflows),
            "pending_faults": [fault.model_dump() for fault in sandbox.faults.pending],
        }

    @router.get("/ledger")
    def ledger() -> dict[str, Any]:
        """Totals: requests, submits, credits."""
        sandbox.settle()
        return sandbox.ledger.summary()

    @router.get("/ledger/requests")
    def requests(
        endpoint: str | None = None, status: int | None = None, method: str | None = None, skip: int = 0
    ) -> list[dict[str, Any]]:
        """Requests received, in order of arrival."""
        found = sandbox.ledger.requests(endpoint=endpoint, status=status, method=method)
        return [asdict(entry) for entry in found[skip:]]

    @router.get("/ledger/submits")
    def submits() -> list[dict[str, Any]]:
        """Enrichments accepted, with the identities of their contacts."""
        return [asdict(submit) for submit in list(sandbox.ledger.accepted_submits)]

    @router.get("/ledger/billing")
    def billing() -> dict[str, Any]:
        """Who was billed how often."""
        sandbox.settle()
        return {
            "credits_charged": sandbox.ledger.credits_charged,
            "times_billed": sandbox.ledger.times_billed(),
            "contacts_billed_twice": sandbox.ledger.contacts_billed_twice(),
            "contacts_submitted_twice": sandbox.ledger.contacts_submitted_twice(),
        }


def _add_faults(router: APIRouter, sandbox: Sandbox) -> None:
    @router.post("/settings")
    def settings(changes: dict[str, Any]) -> dict[str, Any]:
        """Change settings; the answer is all of them."""
        try:
            sandbox.settings.change(**changes)
        except ValidationError as error:
            raise HTTPException(422, error.errors(include_url=False, include_context=False)) from None
        return sandbox.settings.model_dump()

    @router.post("/faults")
    def add_fault(fault: Fault) -> dict[str, int]:
        """Let something go wrong."""
        sandbox.faults.add(fault)
        return {"pending": len(sandbox.faults.pending)}

    @router.post("/workflow-endings")
    def add_ending(ending: WorkflowEnding) -> dict[str, int]:
        """Let coming workflows end otherwise than well."""
        sandbox.faults.add_ending(ending)
        return {"pending": len(sandbox.faults.pending)}

    @router.delete("/faults")
    def clear_faults() -> dict[str, int]:
        """Let nothing go wrong any more."""
        sandbox.faults.clear()
        return {"pending": 0}


def _add_changing(router: APIRouter, sandbox: Sandbox) -> None:
    @router.post("/leads")
    def leads(body: LeadsBody) -> dict[str, Any]:
        """Fill a list with invented leads."""
        lead_list = sandbox.add_leads(body.list_name, body.count)
        return {"list_id": lead_list.list_id, "lead_count": len(lead_list.members)}

    @router.post("/organization")
    def organization(body: OrganizationBody) -> dict[str, Any]:
        """Change credits or plan."""
        with sandbox.lock:
            for name, value in body.model_dump(exclude_none=True).items():
                setattr(sandbox.accounts.organization, name, value)
            return asdict(sandbox.accounts.organization)

    @router.post("/keys")
    def keys(body: KeyBody) -> dict[str, str]:
        """Create a key, or change one."""
        with sandbox.lock:
            fields = body.model_dump(exclude={"secret", "scopes"})
            key = sandbox.accounts.add_key(
                body.secret, scopes=tuple(body.scopes), now=sandbox.now(), **fields
            )
        return {"key_id": key.key_id, "secret": key.secret}

    @router.post("/clock")
    def clock(body: ClockBody) -> dict[str, float]:
        """Move a manual clock."""
        if not isinstance(sandbox.clock, ManualClock):
            raise HTTPException(409, "The sandbox runs on real time; start it with --clock manual")
        sandbox.clock.advance(body.advance)
        return {"now": sandbox.now()}

    @router.post("/reset")
    def reset() -> dict[str, bool]:
        """Begin anew."""
        sandbox.reset()
        return {"reset": True}
