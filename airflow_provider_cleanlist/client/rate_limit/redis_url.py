"""The URL of a Redis or Valkey server: checked before anything connects, so that a mistake is an error by name.

What the client makes of a URL in which a character is not encoded can be anything, part of the password as the name of
the host included. So a message quotes nothing of a URL but the names of options that are known.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote_plus, urlsplit

from airflow_provider_cleanlist.client.errors import ConfigurationError

SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
"""URL schemes, and what the Redis client calls them."""
DEFAULT_PORT = 6379
"""Port of a server whose URL names none."""

_CERTIFICATE_CHECKS = {
    word: check
    for check in ("none", "optional", "required")
    for word in (check, f"cert_{check}", f"ssl.cert_{check}")
}
"""What ``ssl_cert_reqs`` may say, in the words of the client, of Celery and of Python's ``ssl`` module."""


def checked_url(url: str) -> tuple[str, str]:
    """Return a URL as the Redis client understands it, and the host and port to show.

    Args:
        url: As configured; its scheme is one of :data:`SCHEMES`.

    Raises:
        ConfigurationError: The URL is invalid, or the extra ``redis`` is not installed. The message shows no secret.
    """
    if importlib.util.find_spec("redis") is None:
        raise ConfigurationError(
            "rate_limit_store needs the Redis client: pip install 'airflow-provider-cleanlist[redis]'"
        )
    _, *after_host = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)
    if url.partition("#")[2] or "@" in "".join(after_host):
        raise ConfigurationError(
            "rate_limit_store has a character in its user name or password that must be percent-encoded: / is %2F, "
            "? is %3F, # is %23, @ is %40"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    database = parts.path.strip("/")
    if host is None or (database and not (database.isascii() and database.isdigit())):
        raise ConfigurationError("rate_limit_store must look like redis://host:6379/0")
    scheme = SCHEMES[parts.scheme]
    query = "&".join(_option(text, scheme) for text in parts.query.split("&") if text)
    address = f"{scheme}://{parts.netloc}/{database}" + (f"?{query}" if query else "")
    return address, f"{host}:{port or DEFAULT_PORT}"


def _option(text: str, scheme: str) -> str:
    """Check one ``name=value`` of the query, and return it in the client's words."""
    name, _, value = text.partition("=")
    check = OPTIONS.get(name)
    if check is None:
        raise ConfigurationError(
            f"rate_limit_store has an option that is not supported; possible ones: {', '.join(OPTIONS)}"
        )
    if name.startswith("ssl_") and scheme != "rediss":
        raise ConfigurationError(
            f"rate_limit_store has the option {name}, which needs rediss:// or valkeys://"
        )
    if name == "ssl_cert_reqs":
        return f"{name}={_certificate_check(value)}"
    check(name, unquote_plus(value))
    return text


def _certificate_check(value: str) -> str:
    check = _CERTIFICATE_CHECKS.get(value.strip().casefold())
    if check is None:
        _refuse("ssl_cert_reqs", "one of none, optional, required, CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED")
    return check


def _seconds(name: str, value: str) -> None:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        _refuse(name, "a number of seconds above 0")


def _whole(name: str, value: str) -> None:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        _refuse(name, "a whole number")


def _switch(name: str, value: str) -> None:
    if value.casefold() not in ("true", "false", "yes", "no", "1", "0"):
        _refuse(name, "true or false")


def _file(name: str, value: str) -> None:
    try:
        with Path(value).open("rb"):
            return
    except (OSError, ValueError):
        _refuse(name, "a file that this process can read")


def _directory(name: str, value: str) -> None:
    if not Path(value).is_dir():
        _refuse(name, "a directory")


def _text(name: str, value: str) -> None:
    if not value:
        _refuse(name, "text")


def _refuse(name: str, allowed: str) -> NoReturn:
    raise ConfigurationError(f"rate_limit_store has the option {name}, which must be {allowed}")


OPTIONS: dict[str, Callable[[str, str], None]] = {
    "db": _whole,
    "username": _text,
    "password": _text,
    "client_name": _text,
    "protocol": _whole,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "socket_keepalive": _switch,
    "health_check_interval": _whole,
    "retry_on_timeout": _switch,
    "max_connections": _whole,
    "ssl_cert_reqs": _text,
    "ssl_ca_certs": _file,
    "ssl_ca_path": _directory,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_password": _text,
    "ssl_check_hostname": _switch,
}
"""Options in a URL's query, and what checks their values."""
