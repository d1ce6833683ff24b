"""Organisations, their users, and the users' API keys."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

SCOPES = (
    "admin:api_keys",
    "companies:read",
    "credits:read",
    "enrich:read",
    "enrich:write",
    "export:read",
    "lists:read",
    "lists:write",
    "people:read",
    "smart_agents:read",
    "smart_agents:write",
    "sync:write",
)
"""Every scope that the vendor documents; the sandbox has no endpoints for some of them."""
DEFAULT_KEY = "clapi_sandbox_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"  # gitleaks:allow


@dataclass
class Organization:
    """What users share: credits and a plan."""

    organization_id: str
    name: str
    credits: float
    has_api_access: bool = True
    tier: str = "pro"

    @property
    def balance(self) -> int | float:
        """Credits left as the API shows them: never below zero, whole numbers as integers."""
        shown = max(0.0, self.credits)
        return int(shown) if shown == int(shown) else shown


@dataclass
class User:
    """A person with lists and API keys."""

    user_id: str
    name: str
    email: str
    organization: Organization
    managed_list_id: str | None = None

    @property
    def masked_email(self) -> str:
        """The email as ``whoami`` shows it."""
        mailbox, _, domain = self.email.partition("@")
        return f"{mailbox[:1]}***@{domain}"


@dataclass
class ApiKey:
    """An API key; nothing ever shows its ``secret``."""

    key_id: str
    secret: str = field(repr=False)
    user: User
    scopes: tuple[str, ...] = SCOPES
    expires_at: float | None = None
    revoked: bool = False

    def valid_at(self, now: float) -> bool:
        """Whether the key is accepted: not revoked, not expired, not a key of the browser extension."""
        expired = self.expires_at is not None and now >= self.expires_at
        return not (self.revoked or expired or self.secret.startswith("clext_"))


class Accounts:
    """All organisations, users and keys of a sandbox. It starts with one of each."""

    def __init__(self, *, secret: str, credits: float) -> None:
        self.organizations: dict[str, Organization] = {}
        self.users: dict[str, User] = {}
        self.keys: dict[str, ApiKey] = {}
        self.organization = self.add_organization("Northfold Analytics", credits=credits)
        self.user = self.add_user("Mara Okafor", organization=self.organization)
        self.key = self.add_key(secret, user=self.user)

    def add_organization(self, name: str, *, credits: float) -> Organization:
        """Create an organisation with this many credits."""
        organization = Organization(f"org_{secrets.token_hex(6)}", name, credits)
        self.organizations[organization.organization_id] = organization
        return organization

    def add_user(self, name: str, *, organization: Organization | None = None) -> User:
        """Create a user, by default in the first organisation."""
        mailbox = name.partition(" ")[0].lower()
        user = User(
            f"user_{secrets.token_hex(6)}",
            name,
            f"{mailbox}@northfold.example",
            organization or self.organization,
        )
        self.users[user.user_id] = user
        return user

    def add_key(
        self,
        secret: str | None = None,
        *,
        user: User | None = None,
        scopes: tuple[str, ...] = SCOPES,
        expires_at: float | None = None,
        revoked: bool = False,
    ) -> ApiKey:
        """Create a key, by default for the first user, with every scope and a random secret."""
        key = ApiKey(
            key_id=f"key_{secrets.token_hex(6)}",
            secret=secret or f"clapi_{secrets.token_urlsafe(48)}",
            user=user or self.user,
            scopes=tuple(sorted(scopes)),
            expires_at=expires_at,
            revoked=revoked,
        )
        self.keys[key.secret] = key
        return key

    def authenticate(self, authorization: str | None, now: float) -> ApiKey | None:
        """Return the key of an ``Authorization`` header, or None if it is not accepted."""
        scheme, _, secret = (authorization or "").partition(" ")
        key = self.keys.get(secret.strip())
        if scheme.lower() != "bearer" or key is None or not key.valid_at(now):
            return None
        return key
