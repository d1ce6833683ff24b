"""The ledger's database as the page reaches it: with little patience, and with one connection for each question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.hooks.sql import sql_hook
from airflow_provider_cleanlist.warehouse.connect import open_engine

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

CONNECT_SECONDS = 3
"""How long connecting may take, where the Airflow hook passes such a limit on to the driver: for PostgreSQL."""

_kept: dict[str, tuple[str, Engine]] = {}


def ledger_engine(conn_id: str) -> Engine | None:
    """Return an engine for the ledger; None where it would be an SQLite file that nobody has made yet.

    It is kept while the Airflow connection stays as it is, because SQLAlchemy then makes the page's queries only once.
    Its connections are not: one that has been idle may hang for as long as the operating system waits.

    Args:
        conn_id: The Airflow connection.

    Raises:
        CleanlistConfigurationError: The connection is missing or not usable.
        LoadConfigurationError: There is no SQLAlchemy dialect for the database.
        LoadError: The database cannot be reached.
    """
    hook = sql_hook(conn_id, "[cleanlist] ledger_conn_id")
    if _is_missing_file(hook):
        _kept.pop(conn_id, None)
        return None
    connection: Any = hook.connection
    address = connection.get_uri()
    known = _kept.get(conn_id)
    if known is not None and known[0] == address:
        return known[1]
    if connection.conn_type == "postgres":
        connection.extra = json.dumps(connection.extra_dejson | {"connect_timeout": CONNECT_SECONDS})
    engine = open_engine(hook, conn_id)
    _kept[conn_id] = address, engine
    return engine


def _is_missing_file(hook: Any) -> bool:
    """Return whether connecting would make an SQLite file, which is for those to do who write into it."""
    if getattr(hook, "conn_type", None) != "sqlite":
        return False
    path = sa.engine.make_url(hook.get_uri()).database or ":memory:"
    return path != ":memory:" and not path.startswith("file:") and not Path(path).exists()
