"""The admin endpoints below ``/sandbox``, for tests in other processes: no key, no rate limit, loopback only."""

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_cleanlist.sandbox.clock import ManualClock
from airflow_provider_cleanlist.sandbox.faults import Fault, WorkflowEnding
from airflow_provider_cleanlist.sandbox.state.accounts import SCOPES
from airflow_provider_cleanlist.sandbox.state.sandbox import Sandbox
from airflow_provider_cleanlist.sandbox.state.webhooks import is_loopback


def _loopback_only(request: Request) -> None:
    """Refuse what is not of this machine, web pages in a browser of this machine included.

    A page of another site sends its own ``Origin``, and by a name that leads to 127.0.0.1 its own ``Host``.
    """
    if request.client is None or not (
        is_loopback(request.client.host) or request.client.host == "testclient"
    ):
        raise HTTPException(403, "The admin endpoints answer to loopback only")
    origins = request.headers.getlist("origin")
    names = [request.headers.get("host", ""), *(origin.partition("://")[2] for origin in origins)]
    if not all(_is_own_name(name) for name in names):
        raise HTTPException(
            403, "The admin endpoints answer to requests for localhost only, of no other site"
        )


def _is_own_name(name: str) -> bool:
    """Return whether a host with or without a port is this machine."""
    try:
        host = urlsplit(f"//{name}").hostname
    except ValueError:
        return False
    return is_loopback(host) or host == "testserver"


class LeadsBody(BaseModel):
    """Body of ``POST /sandbox/leads``."""

    model_config = ConfigDict(extra="forbid")

    list_name: Annotated[str, Field(min_length=1, max_length=200)]
    count: Annotated[int, Field(ge=0, le=4_000_000_000)]


class OrganizationBody(BaseModel):
    """Body of ``POST /sandbox/organization``; absent fields do not change."""

    model_config = ConfigDict(extra="forbid")

    credits: float | None = None
    has_api_access: bool | None = None
    tier: str | None = None


class KeyBody(BaseModel):
    """Body of ``POST /sandbox/keys``: a new key of the first user; an existing one with this secret is replaced."""

    model_config = ConfigDict(extra="forbid")

    secret: str | None = None
    scopes: list[str] = Field(default_factory=lambda: list(SCOPES))
    revoked: bool = False
    expires_at: float | None = None


class ClockBody(BaseModel):
    """Body of ``POST /sandbox/clock``."""

    model_config = ConfigDict(extra="forbid")

    advance: Annotated[float, Field(ge=0)]


def _sandbox(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


InSandbox = Annotated[Sandbox, Depends(_sandbox)]
ROUTER = APIRouter(prefix="/sandbox", dependencies=[Depends(_loopback_only)])


@ROUTER.get("")
def show(sandbox: InSandbox) -> dict[str, Any]:
    """Return settings, time, credits and pending faults."""
    sandbox.settle()
    return {
        "settings": sandbox.settings.model_dump(),
        "now": sandbox.now(),
        "credits": sandbox.accounts.organization.balance,
        "workflows": len(sandbox.engine.workflows),
        "pending_faults": [fault.model_dump() for fault in sandbox.faults.pending],
    }


@ROUTER.get("/ledger")
def ledger(sandbox: InSandbox) -> dict[str, Any]:
    """Return totals: requests, submissions, credits."""
    sandbox.settle()
    return sandbox.ledger.summary()


@ROUTER.get("/ledger/requests")
def requests(
    sandbox: InSandbox,
    endpoint: str | None = None,
    status: int | None = None,
    method: str | None = None,
    skip: int = 0,
) -> list[dict[str, Any]]:
    """Return the requests received, in order of arrival."""
    found = sandbox.ledger.requests(endpoint=endpoint, status=status, method=method)
    return [asdict(entry) for entry in found[skip:]]


@ROUTER.get("/ledger/submits")
def submits(sandbox: InSandbox) -> list[dict[str, Any]]:
    """Return the enrichments accepted, with the identities of their contacts."""
    return [asdict(submit) for submit in list(sandbox.ledger.accepted_submits)]


@ROUTER.get("/ledger/billing")
def billing(sandbox: InSandbox) -> dict[str, Any]:
    """Return how often each identity was billed."""
    sandbox.settle()
    return {
        "credits_charged": sandbox.ledger.credits_charged,
        "times_billed": sandbox.ledger.times_billed(),
        "contacts_billed_twice": sandbox.ledger.contacts_billed_twice(),
        "contacts_submitted_twice": sandbox.ledger.contacts_submitted_twice(),
    }


@ROUTER.post("/settings")
def settings(sandbox: InSandbox, changes: dict[str, Any]) -> dict[str, Any]:
    """Change settings, and return all of them."""
    try:
        sandbox.settings.change(**changes)
    except ValidationError as error:
        raise HTTPException(422, error.errors(include_url=False, include_context=False)) from None
    return sandbox.settings.model_dump()


@ROUTER.post("/faults")
def add_fault(sandbox: InSandbox, fault: Fault) -> dict[str, int]:
    """Add a fault."""
    sandbox.faults.add(fault)
    return {"pending": len(sandbox.faults.pending)}


@ROUTER.post("/workflow-endings")
def add_ending(sandbox: InSandbox, ending: WorkflowEnding) -> dict[str, int]:
    """Let coming workflows end other than completed."""
    sandbox.faults.add_ending(ending)
    return {"pending": len(sandbox.faults.pending)}


@ROUTER.delete("/faults")
def clear_faults(sandbox: InSandbox) -> dict[str, int]:
    """Remove all faults."""
    sandbox.faults.clear()
    return {"pending": 0}


@ROUTER.post("/leads")
def leads(sandbox: InSandbox, body: LeadsBody) -> dict[str, Any]:
    """Fill a list with invented leads."""
    lead_list = sandbox.add_leads(body.list_name, body.count)
    return {"list_id": lead_list.list_id, "lead_count": len(lead_list.members)}


@ROUTER.post("/organization")
def organization(sandbox: InSandbox, body: OrganizationBody) -> dict[str, Any]:
    """Change credits or plan of the first organisation."""
    with sandbox.lock:
        for name, value in body.model_dump(exclude_none=True).items():
            setattr(sandbox.accounts.organization, name, value)
        return asdict(sandbox.accounts.organization)


@ROUTER.post("/keys")
def keys(sandbox: InSandbox, body: KeyBody) -> dict[str, str]:
    """Create or replace a key."""
    with sandbox.lock:
        fields = body.model_dump(exclude={"secret", "scopes"})
        key = sandbox.accounts.add_key(body.secret, scopes=tuple(body.scopes), **fields)
    return {"key_id": key.key_id, "secret": key.secret}


@ROUTER.post("/clock")
def clock(sandbox: InSandbox, body: ClockBody) -> dict[str, float]:
    """Move a manual clock."""
    if not isinstance(sandbox.clock, ManualClock):
        raise HTTPException(409, "The sandbox runs on real time; start it with --clock manual")
    sandbox.clock.advance(body.advance)
    return {"now": sandbox.now()}


@ROUTER.post("/reset")
def reset(sandbox: InSandbox) -> dict[str, bool]:
    """Return to the initial state."""
    sandbox.reset()
    return {"reset": True}
