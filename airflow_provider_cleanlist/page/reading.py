"""Everything that a page shows, read at one moment. Blocking: :mod:`.sharing` decides how many do so at a time."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.rate_limit import open_limiter
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.hooks.sql import sql_hook
from airflow_provider_cleanlist.page import queries
from airflow_provider_cleanlist.page.balance import Balance, BalanceStore, current_balance
from airflow_provider_cleanlist.page.budget import BudgetUse, place_of, use_of
from airflow_provider_cleanlist.page.figures import LedgerFigures
from airflow_provider_cleanlist.page.queries import LedgerProblem, Question
from airflow_provider_cleanlist.warehouse.connect import open_engine
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.settings import ClientSettings

log = logging.getLogger(__name__)

_balances: dict[str, BalanceStore] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class PageReading:
    """What was read.

    Attributes:
        now: When.
        question: What was wanted.
        ledger: What the ledger says, or why it says nothing.
        conn_id: The Cleanlist connection.
        balance: What is known of the credits left; None without a usable connection.
        budget: How the request budget is used; None if nothing is known.
        budget_place: Whose requests it counts: of the ``host``, a ``server``, this ``process``; empty without a usable
            connection.
    """

    now: datetime
    question: Question
    ledger: LedgerFigures | LedgerProblem
    conn_id: str = ""
    balance: Balance | None = None
    budget: BudgetUse | None = None
    budget_place: str = ""


def read(question: Question) -> PageReading:
    """Read everything that a page shows.

    Args:
        question: What is wanted of the ledger.
    """
    now = datetime.now(UTC)
    conn_id = conf.get("cleanlist", "page_conn_id", fallback="").strip() or CleanlistHook.default_conn_name
    settings = _settings(conn_id)
    ledger = read_ledger(question, settings.key_hash if settings else "", now)
    if settings is None:
        return PageReading(now, question, ledger, conn_id)
    place = place_of(settings.rate_limit_store)
    return PageReading(now, question, ledger, conn_id, _balance(settings, now), _budget(settings), place)


def read_ledger(question: Question, key_hash: str, now: datetime) -> LedgerFigures | LedgerProblem:
    """Return what the ledger says, or why it says nothing. What went wrong is logged by the kind of error only.

    Args:
        question: What is wanted.
        key_hash: Hash of the connection's host and key.
        now: The current time.
    """
    conn_id = conf.get("cleanlist", "ledger_conn_id", fallback="").strip()
    if not conn_id:
        return LedgerProblem.NOT_CONFIGURED
    schema = conf.get("cleanlist", "ledger_schema", fallback="").strip() or None
    try:
        engine = open_engine(sql_hook(conn_id, "[cleanlist] ledger_conn_id"), conn_id)
        try:
            return queries.ask(engine, schema, question, key_hash, now)
        finally:
            engine.dispose()
    except (CleanlistConfigurationError, LoadConfigurationError):
        return LedgerProblem.UNUSABLE
    except Exception as error:  # noqa: BLE001  # the page says so, without details of the database
        log.warning("The page cannot read the Cleanlist ledger %r: %s.", conn_id, type(error).__name__)
        return LedgerProblem.UNREACHABLE


def _settings(conn_id: str) -> ClientSettings | None:
    try:
        return CleanlistHook(conn_id).settings
    except CleanlistConfigurationError:
        return None
    except Exception as error:  # noqa: BLE001  # a secrets backend may raise anything
        log.warning("The page cannot read the connection %r: %s.", conn_id, type(error).__name__)
        return None


def _balance(settings: ClientSettings, now: datetime) -> Balance:
    with _lock:
        store = _balances.setdefault(settings.scope, BalanceStore(settings.scope))
    return current_balance(store, settings, now.timestamp())


def _budget(settings: ClientSettings) -> BudgetUse | None:
    try:
        limiter = open_limiter(settings.rate_limit_store, settings.scope, settings.budget)
    except ConfigurationError:
        return None
    found = limiter.peek()
    return None if found is None else use_of(found[0], limiter.budget, found[1], settings.rate_limit_store)
