"""The settings of a Cleanlist connection: each one described once, then checked and normalised.

:class:`ClientSettings` is the only description of a setting. Airflow's connection form
(:mod:`airflow_provider_cleanlist.hooks.connection_form`) and the table in ``docs/reference`` are made from it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.messages import Surface
from airflow_provider_cleanlist.client.rate_limit.core import Budget

T = TypeVar("T")

DEFAULT_HOST = "https://api.cleanlist.ai"
"""Cleanlist's public API."""
_API_PATHS = ("/api/v1/public", "/api/v2")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)
_HOST_FORM = "host must look like https://api.cleanlist.ai"
_INSIDE = (
    *(".localhost", ".localdomain", ".local", ".internal", ".intranet", ".private", ".corp", ".home", ".lan"),
    *(".home.arpa", ".svc", ".consul"),
)
"""Ends of names that are none on the internet."""
_IETF_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")
"""Some clouds serve their metadata there; older versions of Python take most of it for public."""
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
_KEY = re.compile(r"[!-~]+", re.ASCII)


def _setting(default: T, label: str, description: str, **rules: Any) -> T:
    """Return a data class field that also carries what :class:`Setting` needs to know."""
    return field(default=default, metadata={"label": label, "description": description, **rules})


@dataclass(frozen=True, slots=True, repr=False)
class ClientSettings:
    """All settings of a Cleanlist connection, each described where it is declared (see :class:`Setting`)."""

    api_key: str = field(
        metadata={
            "label": "API key",
            "description": "From the Cleanlist portal, Settings → API Keys. Sent in the `Authorization` header to the "
            "host, and nowhere else.",
            "placeholder": "clapi_...",
            "secret": True,
            "connection_field": "password",
        }
    )
    host: str = _setting(
        DEFAULT_HOST,
        "Host",
        "Scheme and host of the API; another one for a proxy or the sandbox. Plain `http://` is accepted for this "
        "machine only.",
        placeholder=DEFAULT_HOST,
        connection_field="host",
    )
    requests_per_minute: int = _setting(
        60,
        "Requests per minute",
        "Rate limit of the organisation, shared by all its processes.",
        minimum=1,
        maximum=100_000,
    )
    rate_limit_store: str = _setting(
        "",
        "Rate limit store",
        "Where the request budget is shared. Empty: by all processes of this user on this host. redis://, rediss://, "
        "valkey:// or valkeys:// for many hosts; file:///directory; memory:// for a single process.",
    )
    rate_limit_scope: str = _setting(
        "",
        "Rate limit scope",
        "Name of the organisation's budget; use the same one on all connections whose keys belong to one "
        "organisation. Empty: one budget per host and key.",
    )
    rate_limit_share: float = _setting(
        1.0,
        "Rate limit share",
        "Share of the limit that this installation may use, where hosts have no common store.",
        minimum=0.001,
        maximum=1,
    )
    window_seconds: float = _setting(
        60.0,
        "Window (seconds)",
        "Length of the rate limit's window. Only tests need to change it.",
        minimum=0.01,
        maximum=3600,
    )
    timeout_seconds: float = _setting(
        30.0,
        "Timeout (seconds)",
        "How long to wait for a response to begin and to continue. To be complete it may take four times as long.",
        minimum=0.1,
        maximum=180,  # four times that is less than a submission may be on its way to other map indexes
    )
    max_retries: int = _setting(
        5,
        "Retries",
        "Retries after a transient failure; waiting for the rate limit does not count. Submissions of unknown outcome "
        "are never repeated, whatever this says.",
        minimum=0,
        maximum=100,
    )
    lead_lists_api: Literal["v2", "v1"] = _setting(
        "v2",
        "Lead lists API",
        "Which of the API's two surfaces serves lead lists, exports and whoami: v2 or v1. Both return the same.",
        choices=("v2", "v1"),
    )
    webhook_base_url: str = _setting("", "Webhook base URL", "Public HTTPS address of the webhook receiver.")
    webhook_secret: str = _setting(
        "",
        "Webhook secret",
        "Signs webhook addresses; at least 16 characters. Empty: [cleanlist] webhook_secret does.",
        secret=True,
    )
    hash_secret: str = _setting(
        "", "Hash secret", "Key of the hashes in the warehouse columns that hash_columns names.", secret=True
    )

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
    def surface(self) -> Surface:
        """The API surface that serves lead lists."""
        return Surface.V1 if self.lead_lists_api == "v1" else Surface.V2

    @property
    def is_local(self) -> bool:
        """Whether the API is on this machine or at an IP address that is not public."""
        return is_local(urlsplit(self.host).hostname or "")

    @property
    def scope(self) -> str:
        """Name of the shared budget: the configured one, else a hash of host and key."""
        return self.rate_limit_scope or self.key_hash

    @property
    def key_hash(self) -> str:
        """Hash of host and key: 24 hexadecimal digits."""
        return hashlib.blake2b(f"{self.host}\0{self.api_key}".encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a connection: how it is shown, described and checked.

    Attributes:
        name: Attribute of :class:`ClientSettings`, and key in the connection's extra.
        default: Value where the connection has none; None for the one setting that every connection needs. Its type is
            that of the setting.
        label: Name in the connection form.
        description: What it means.
        placeholder: What the form shows in the empty field.
        minimum: Smallest number allowed.
        maximum: Largest number allowed.
        choices: The texts allowed; empty means any.
        secret: Whether Airflow masks the value.
        connection_field: Standard field of an Airflow connection that holds it; empty for a key of the extra.
    """

    name: str
    default: Any
    label: str
    description: str
    placeholder: str = ""
    minimum: float = 0
    maximum: float = math.inf
    choices: tuple[str, ...] = ()
    secret: bool = False
    connection_field: str = ""

    def parse(self, value: Any) -> Any:
        """Return a value of the extra in the type of the setting.

        Args:
            value: A number or text; None, ``"None"`` and blank text mean the default.

        Raises:
            ConfigurationError: The value is of another type, or not one of those allowed.
        """
        if isinstance(value, str):
            value = value.strip()
        if value is None or value in ("", "None"):
            return self.default
        return self._text(value) if isinstance(self.default, str) else self._number(value)

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ConfigurationError(f"{self.name} must be text")
        if not self.choices:
            return value
        if value.lower() not in self.choices:
            raise ConfigurationError(f"{self.name} must be one of {', '.join(self.choices)}")
        return value.lower()

    def _number(self, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if isinstance(value, bool) or not self.minimum <= number <= self.maximum:
            raise ConfigurationError(
                f"{self.name} must be a number from {self.minimum:g} to {self.maximum:g}"
            )
        return number if isinstance(self.default, float) else int(number)


SETTINGS = {
    it.name: Setting(it.name, None if it.default is MISSING else it.default, **it.metadata)
    for it in fields(ClientSettings)
}
"""All settings by name, in the order of the form."""
EXTRA_SETTINGS = {name: setting for name, setting in SETTINGS.items() if not setting.connection_field}
"""Those that live in a connection's extra."""


def build_settings(
    host: str | None, api_key: str | None, extra: Mapping[str, Any], *, port: int | None = None
) -> ClientSettings:
    """Check and normalise what a connection holds.

    Args:
        host: Host of the API with or without a scheme and an API path; empty means the public API.
        api_key: The key.
        extra: Further settings by name. Unknown names are ignored, so that a connection may carry notes of its own.
        port: Port of the host, where a connection keeps it apart.

    Returns:
        The settings, complete and in range.

    Raises:
        ConfigurationError: A setting is missing or invalid. The message names it and never shows a secret.
    """
    return ClientSettings(
        api_key=_api_key(api_key),
        host=normalise_host(host, port),
        **{name: setting.parse(extra.get(name)) for name, setting in EXTRA_SETTINGS.items()},
    )


def normalise_host(host: str | None, port: int | None = None) -> str:
    """Return scheme and host: no trailing slash, no API path, HTTPS unless the host is this machine.

    The same server gives the same text however it is written, because the request budget goes by it.

    Args:
        host: As a user wrote it; None or empty means the public API.
        port: Port to use when ``host`` names none.

    Raises:
        ConfigurationError: No usable address, or plain HTTP to another machine.
    """
    text = (host or "").strip()
    if not text:
        return DEFAULT_HOST
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        name = (parts.hostname or "").removesuffix(".").encode("idna").decode("ascii").lower()
        port = parts.port or port
    except ValueError:
        raise ConfigurationError(_HOST_FORM) from None
    if port is not None and not 0 < port < 65536:
        raise ConfigurationError("port must be a number from 1 to 65535")
    if parts.scheme not in ("http", "https") or not _HOST_NAME.fullmatch(name) or "@" in parts.netloc:
        raise ConfigurationError(_HOST_FORM)
    path = parts.path.rstrip("/")
    for api_path in _API_PATHS:
        path = path.removesuffix(api_path)
    if path or parts.query or parts.fragment:
        raise ConfigurationError("host must be an address without a path, such as https://api.cleanlist.ai")
    if parts.scheme == "http" and not is_loopback(name):
        raise ConfigurationError("host must use https://: the API key must not travel in clear text")
    address = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{address}" + (
        "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    )


def is_local(host: str) -> bool:
    """Return whether a host is this machine, an IP address that is not public, or a name that is none on the internet.

    Other names are not looked up.

    Args:
        host: Name or address, without a port.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith(_INSIDE)
    if isinstance(address, ipaddress.IPv4Address):
        return not address.is_global or address.is_multicast or address in _IETF_PROTOCOLS
    holds_another = address.sixtofour is not None or address.teredo is not None
    return address not in _PUBLIC_IPV6 or holds_another or not address.is_global


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
        raise ConfigurationError("the API key is missing: set it as the password of the connection")
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            "the API key (password of the connection) contains characters that are never part of a key, "
            "such as spaces, line breaks or accented letters: copy it again"
        )
    return key
