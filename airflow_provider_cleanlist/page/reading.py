"""Everything that a page shows: what the ledger says, and what is known of the Cleanlist connection.

Blocking: :mod:`.sharing` decides how many read at a time.
"""

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
from airflow_provider_cleanlist.page import queries
from airflow_provider_cleanlist.page.balance import Balance, BalanceStore, current_balance
from airflow_provider_cleanlist.page.budget import BudgetUse, place_of, use_of
from airflow_provider_cleanlist.page.database import ledger_engine
from airflow_provider_cleanlist.page.figures import LedgerFigures
from airflow_provider_cleanlist.page.queries import LedgerProblem, Question
from airflow_provider_cleanlist.submission.task import configured_ledger
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.settings import ClientSettings

log = logging.getLogger(__name__)

_balances: dict[str, BalanceStore] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the Cleanlist connection.

    Attributes:
        conn_id: The Airflow connection; empty while nobody has looked it up in time.
        key_hash: Hash of its host and key; empty without a usable connection.
        balance: What is known of the credits left; None without a usable connection.
        budget: How the request budget is used; None if nothing is known.
        budget_place: Whose requests it counts: of the ``host``, a ``server``, this ``process``; empty without a usable
            connection.
    """

    conn_id: str = ""
    key_hash: str = ""
    balance: Balance | None = None
    budget: BudgetUse | None = None
    budget_place: str = ""


@dataclass(frozen=True, slots=True)
class PageReading:
    """What was read.

    Attributes:
        now: When.
        question: What was wanted.
        ledger: What the ledger says, or why it says nothing.
        account: What is known of the Cleanlist connection.
    """

    now: datetime
    question: Question
    ledger: LedgerFigures | LedgerProblem
    account: Account


def page_conn_id() -> str:
    """Return the Cleanlist connection whose credits and budget are shown."""
    return conf.get("cleanlist", "page_conn_id", fallback="").strip() or CleanlistHook.default_conn_name


def read_account(conn_id: str) -> Account:
    """Return what is known of a Cleanlist connection.

    Args:
        conn_id: The Airflow connection.
    """
    settings = _settings(conn_id)
    if settings is None:
        return Account(conn_id)
    place = place_of(settings.rate_limit_store)
    balance = _balance(settings, datetime.now(UTC))
    return Account(conn_id, settings.key_hash, balance, _budget(settings), place)


def read_ledger(question: Question, key_hash: str) -> LedgerFigures | LedgerProblem:
    """Return what the ledger says, or why it says nothing. What went wrong is logged by the kind of error only.

    Args:
        question: What is wanted.
        key_hash: Hash of the connection's host and key.
    """
    conn_id, schema = configured_ledger()
    if not conn_id:
        return LedgerProblem.NOT_CONFIGURED
    try:
        engine = ledger_engine(conn_id)
        if engine is None:
            return LedgerProblem.NOT_MADE
        return queries.ask(engine, schema, question, key_hash, datetime.now(UTC))
    except queries.ReadError as error:
        log.warning(
            "The page cannot read the Cleanlist ledger %r: %s.", conn_id, type(error.__cause__).__name__
        )
        return error.problem
    except (CleanlistConfigurationError, LoadConfigurationError):
        return LedgerProblem.UNUSABLE
    except Exception as error:  # noqa: BLE001  # the page says so, without details of the database
        log.warning("The page cannot reach the Cleanlist ledger %r: %s.", conn_id, type(error).__name__)
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
    return None if found is None else use_of(found[0], limiter.budget, found[1])
