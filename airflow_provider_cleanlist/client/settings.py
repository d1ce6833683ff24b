"""Settings of the client, checked and normalised, from whatever a connection holds (contract section 1.1)."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from airflow_provider_cleanlist.client.rate_limit.core import Budget

DEFAULT_HOST = "https://api.cleanlist.ai"
"""Cleanlist's public API."""
_API_PATHS = ("/api/v1/public", "/api/v2")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)
_HOST_FORM = "host must look like https://api.cleanlist.ai"
_KEY = re.compile(r"[!-~]+", re.ASCII)


class SettingsError(ValueError):
    """A setting makes no sense; the message names it and never shows a secret."""


@dataclass(frozen=True, slots=True, repr=False)
class ClientSettings:
    """All settings of a Cleanlist connection.

    Attributes:
        api_key: API key.
        host: Scheme and host of the API.
        requests_per_minute: Requests per window and organisation.
        rate_limit_store: Where the budget is shared; empty means by all processes of this host.
        rate_limit_scope: Name of the organisation's budget; by default one per host and key.
        rate_limit_share: Part of the budget that this installation may use, above 0 and up to 1.
        window_seconds: Length of the rate limit's window in seconds.
        timeout_seconds: Seconds to wait for an answer.
        max_retries: Tries after the first one for transient failures.
        lead_lists_api: API surface for lead lists.
        webhook_base_url: Public base address of the webhook receiver.
        webhook_secret: Secret that signs webhook addresses.
        hash_secret: Secret of hashed warehouse columns.
    """

    api_key: str
    host: str = DEFAULT_HOST
    requests_per_minute: int = 60
    rate_limit_store: str = ""
    rate_limit_scope: str = ""
    rate_limit_share: float = 1.0
    window_seconds: float = 60.0
    timeout_seconds: float = 30.0
    max_retries: int = 5
    lead_lists_api: Literal["v1", "v2"] = "v2"
    webhook_base_url: str = ""
    webhook_secret: str = ""
    hash_secret: str = ""

    def __repr__(self) -> str:
        """Show the host only."""
        return f"ClientSettings(host={self.host!r})"

    @property
    def budget(self) -> Budget:
        """The share of the allowance that this installation may use."""
        return Budget(
            requests=max(1, int(self.requests_per_minute * self.rate_limit_share)),
            window=self.window_seconds,
        )

    @property
    def scope(self) -> str:
        """Name of the shared budget: the one given, else a hash of host and key."""
        if self.rate_limit_scope:
            return self.rate_limit_scope
        return hashlib.blake2b(f"{self.host}\0{self.api_key}".encode(), digest_size=12).hexdigest()


SECRET_SETTINGS = ("webhook_secret", "hash_secret")
"""Settings whose values are never shown."""
EXTRA_SETTINGS = tuple(
    field.name for field in fields(ClientSettings) if field.name not in ("api_key", "host")
)
"""Settings that live in a connection's extra, by name."""


def build_settings(
    host: str | None, api_key: str | None, extra: Mapping[str, Any], *, port: int | None = None
) -> ClientSettings:
    """Check and normalise what a connection holds.

    Args:
        host: Host of the API with or without a scheme and an API path; empty means the public API.
        api_key: The key.
        extra: Further settings by name, as numbers or texts; empty and null mean the default. Unknown names are
            ignored, so that a connection may carry notes of its own.
        port: Port of the host, where a connection keeps it apart.

    Returns:
        The settings, complete and in range.

    Raises:
        SettingsError: A setting is missing or makes no sense.
    """
    lists_api = _text(extra, "lead_lists_api").lower() or "v2"
    if lists_api not in ("v1", "v2"):
        raise SettingsError("lead_lists_api must be v1 or v2")
    return ClientSettings(
        api_key=_api_key(api_key),
        host=normalise_host(host, port),
        requests_per_minute=int(_number(extra, "requests_per_minute", 60, least=1, most=100_000)),
        rate_limit_store=_text(extra, "rate_limit_store"),
        rate_limit_scope=_text(extra, "rate_limit_scope"),
        rate_limit_share=_number(extra, "rate_limit_share", 1.0, least=0.001, most=1.0),
        window_seconds=_number(extra, "window_seconds", 60.0, least=0.01, most=3600.0),
        timeout_seconds=_number(extra, "timeout_seconds", 30.0, least=0.1, most=600.0),
        max_retries=int(_number(extra, "max_retries", 5, least=0, most=100)),
        lead_lists_api="v1" if lists_api == "v1" else "v2",
        webhook_base_url=_text(extra, "webhook_base_url"),
        webhook_secret=_text(extra, "webhook_secret"),
        hash_secret=_text(extra, "hash_secret"),
    )


def normalise_host(host: str | None, port: int | None = None) -> str:
    """Return scheme and host: no trailing slash, no API path, HTTPS unless the host is this machine.

    The same server gives the same text however it is written, because the request budget goes by it.

    Args:
        host: As a user wrote it; None or empty means the public API.
        port: Port to use when ``host`` names none.

    Raises:
        SettingsError: No usable address, or plain HTTP to another machine.
    """
    text = (host or "").strip()
    if not text:
        return DEFAULT_HOST
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        name = (parts.hostname or "").removesuffix(".").encode("idna").decode("ascii").lower()
        port = parts.port or port
    except ValueError:
        raise SettingsError(_HOST_FORM) from None
    if parts.scheme not in ("http", "https") or not _HOST_NAME.fullmatch(name) or "@" in parts.netloc:
        raise SettingsError(_HOST_FORM)
    path = parts.path.rstrip("/")
    for api_path in _API_PATHS:
        path = path.removesuffix(api_path)
    if path or parts.query or parts.fragment:
        raise SettingsError("host must be an address without a path, such as https://api.cleanlist.ai")
    if parts.scheme == "http" and not is_loopback(name):
        raise SettingsError("host must use https://: the API key must not travel in clear text")
    address = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{address}" + (
        "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine.

    Args:
        host: Name or address, without a port.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _api_key(value: str | None) -> str:
    key = (value or "").strip()
    if not key:
        raise SettingsError("the API key is missing: set it as the password of the connection")
    if not _KEY.fullmatch(key):
        raise SettingsError(
            "the API key (password of the connection) has characters that no key has, such as spaces, line breaks "
            "or accented letters: copy it again"
        )
    return key


def _text(extra: Mapping[str, Any], name: str) -> str:
    value = extra.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SettingsError(f"{name} must be a text")
    return value.strip()


def _number(extra: Mapping[str, Any], name: str, default: float, *, least: float, most: float) -> float:
    value = extra.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if isinstance(value, bool) or not least <= number <= most:
        raise SettingsError(f"{name} must be a number from {least:g} to {most:g}")
    return number
