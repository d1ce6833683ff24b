"""The request budget of an organisation, shared by everybody who uses it.

:func:`open_limiter` returns the limiter that the setting ``rate_limit_store`` names. `core` holds the rules, as pure
functions of state, time and request, and the interface of a limiter; `memory` what all stores have in common and the
store for one process; `file` the store for one host, in one of the `directories`; `redis` the one for many hosts, whose
address `redis_url` checks.
"""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.rate_limit.core import Budget
from airflow_provider_cleanlist.client.rate_limit.directories import default_directories
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter
from airflow_provider_cleanlist.client.rate_limit.memory import (
    BaseRateLimiter,
    MemoryRateLimiter,
    MemoryState,
)
from airflow_provider_cleanlist.client.rate_limit.redis import RedisRateLimiter
from airflow_provider_cleanlist.client.rate_limit.redis_url import SCHEMES

_limiters: dict[tuple[str, str, Budget], BaseRateLimiter] = {}
_memory: dict[str, MemoryState] = {}
_lock = threading.Lock()


def open_limiter(store: str, scope: str, budget: Budget) -> BaseRateLimiter:
    """Return the limiter of a scope, always the same one within a process. Touches neither disk nor network yet.

    Args:
        store: Empty for a file that all processes of this host share; ``file:///directory`` for one in that
            directory; ``redis://``, ``rediss://``, ``valkey://`` or ``valkeys://`` for a server that many hosts
            share, with the host's file while it cannot be reached; ``memory://`` for this process alone.
        scope: Name of the organisation's budget; holds no secret.
        budget: The allowance.

    Raises:
        ConfigurationError: The store is invalid, or its client is not installed. The message shows no secret.
    """
    with _lock:
        key = (store, scope, budget)
        if key not in _limiters:
            _limiters[key] = _open(store, scope, budget)
        return _limiters[key]


def _open(store: str, scope: str, budget: Budget) -> BaseRateLimiter:
    memory = _memory.setdefault(scope, MemoryState())
    host = FileRateLimiter(budget, scope, default_directories(), memory)
    if not store:
        return host
    scheme, separator, rest = store.partition("://")
    scheme = scheme.lower()
    store = f"{scheme}{separator}{rest}"
    if scheme == "memory":
        return MemoryRateLimiter(budget, state=memory)
    if scheme == "file":
        return FileRateLimiter(budget, scope, [_directory(store), *default_directories()], memory)
    if scheme in SCHEMES:
        return RedisRateLimiter(store, scope, budget, host)
    raise ConfigurationError(
        "rate_limit_store must be empty or begin with file:///, redis://, rediss://, valkey://, valkeys:// or memory://"
    )


def _directory(store: str) -> Path:
    try:
        parts = urlsplit(store)
    except ValueError:
        parts = urlsplit("")
    path = Path(unquote(parts.path))
    if "\0" in str(path) or parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
        raise ConfigurationError(
            "rate_limit_store must name a directory of this host: file:///var/lib/cleanlist"
        )
    return path
