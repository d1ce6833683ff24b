"""Which setting of this machine keeps requests from leaving: certificates, proxies, the file for TLS keys.

``requests`` and OpenSSL read these from environment variables, and fail with errors of many kinds that name none.
"""

from __future__ import annotations

import os
import ssl
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import requests
import requests.utils
import urllib3.exceptions

_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.ProxyError,
    urllib3.exceptions.LocationParseError,
    ValueError,
)
"""How proxies that cannot be used are reported, among other things."""


def setting_at_fault(error: Exception, host: str) -> str | None:
    """Return what is wrong with a setting of this machine, or None if all of them can be used.

    Args:
        error: The error of a request that has not left.
        host: Scheme and host of the API.
    """
    if isinstance(error, _BAD_ADDRESS) and (fault := _proxy_fault(host)):
        return fault
    return (_certificates_fault() or _key_log_fault()) if host.startswith("https:") else None


def _certificates_fault() -> str | None:
    name = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
    source = f"the environment variable {name}" if name else "the package certifi"
    path = Path(os.environ[name] if name else requests.utils.DEFAULT_CA_BUNDLE_PATH)
    if not path.exists():
        return f"{source} names a file of certificates that does not exist"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            capath=path if path.is_dir() else None, cafile=None if path.is_dir() else path
        )
    except ssl.SSLError:
        return f"{source} names a file without usable certificates"
    except OSError:
        return f"{source} names a file of certificates that cannot be read"
    return None


def _key_log_fault() -> str | None:
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return None
    try:
        with Path(path).open("ab"):
            return None
    except OSError:
        return "the environment variable SSLKEYLOGFILE names a file that cannot be written"


def _proxy_fault(host: str) -> str | None:
    """Return which variable does not hold the address of a proxy; never its value, which may hold a password."""
    for name in (f"{urlsplit(host).scheme}_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            if (value := os.environ.get(spelling, "").strip()) and not _is_proxy(value):
                return f"the environment variable {spelling} is not the address of a proxy that can be used"
    return None


def _is_proxy(address: str) -> bool:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme.startswith("socks") and find_spec("socks") is None:  # what urllib3 needs for such a proxy
        return False
    return bool(parts.hostname) and parts.scheme in (
        "http",
        "https",
        "socks4",
        "socks4a",
        "socks5",
        "socks5h",
    )
