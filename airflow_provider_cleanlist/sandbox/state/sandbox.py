"""One Cleanlist in memory: everything it holds, and the settings, faults and ledger that go with it."""

from __future__ import annotations

import itertools
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.sandbox.clock import Clock, SystemClock
from airflow_provider_cleanlist.sandbox.faults import Faults
from airflow_provider_cleanlist.sandbox.ledger import SandboxLedger
from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
from airflow_provider_cleanlist.sandbox.state.accounts import DEFAULT_KEY, Accounts
from airflow_provider_cleanlist.sandbox.state.lists import ListStore, StoredList
from airflow_provider_cleanlist.sandbox.state.rate_limit import RequestLimiter
from airflow_provider_cleanlist.sandbox.state.results import webhook_body
from airflow_provider_cleanlist.sandbox.state.webhooks import Scheduler, Webhooks
from airflow_provider_cleanlist.sandbox.state.workflows import Engine

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.state.accounts import User
    from airflow_provider_cleanlist.sandbox.state.workflows import Workflow


@dataclass(frozen=True, slots=True)
class Export:
    """A CSV file that can be downloaded by its signed URL."""

    content: bytes
    expires_at: float
    signature_hash: bytes


class Sandbox:
    """Everything that a sandbox holds. Hold ``lock`` while reading or changing several things together.

    Args:
        clock: The sandbox's clock; by default real time.
        api_key: Secret of the first key.
        credits: Credits of the first organisation.
        **settings: Fields of ``SandboxSettings``.

    Attributes:
        settings: Switches, which can be changed at any time.
        faults: Failures on demand.
        ledger: What was received, accepted and charged.
        accounts: Organisations, users and keys.
        lists: Lead lists, leads and folders.
        engine: Workflows.
        exports: CSV files by their id.
        added_leads: Responses to requests with an idempotency key, by list id and key.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        api_key: str = DEFAULT_KEY,
        credits: float = 100_000,
        **settings: Any,
    ) -> None:
        self.settings = SandboxSettings(**settings)
        self.clock: Clock = clock or SystemClock()
        self.lock = threading.RLock()
        self.faults = Faults()
        self.ledger = SandboxLedger()
        self.limiter = RequestLimiter(self.settings)
        self.scheduler = Scheduler(self.clock)
        self.webhooks = Webhooks(self.settings, self.clock, self.scheduler)
        self._api_key = api_key
        self._credits = credits
        self._initial_settings = self.settings.model_dump()
        self._numbers = itertools.count(1)
        self._start_empty()

    def _start_empty(self) -> None:
        self.accounts = Accounts(secret=self._api_key, credits=self._credits)
        self.lists = ListStore(self.new_id)
        self.engine = Engine(
            settings=self.settings,
            faults=self.faults,
            ledger=self.ledger,
            store=self.lists,
            new_id=self.new_id,
            on_completed=self._deliver,
        )
        self.exports: dict[str, Export] = {}
        self.added_leads: dict[tuple[str, str], dict[str, Any]] = {}

    def reset(self) -> None:
        """Return to the initial state, with an empty ledger; only the clock goes on."""
        with self.lock:
            self.settings.change(**self._initial_settings)
            self.faults.clear()
            self.ledger.clear()
            self.limiter.reset()
            self.scheduler.clear()
            self.webhooks.clear()
            self._start_empty()

    def close(self) -> None:
        """Stop delivering webhooks."""
        self.scheduler.stop()

    def now(self) -> float:
        """Return the current time, in seconds since the epoch."""
        return self.clock.now()

    def settle(self) -> None:
        """Complete the workflows that are due."""
        with self.lock:
            self.engine.settle(self.now())

    def new_id(self) -> str:
        """Return a new id, in the style of the settings."""
        if self.settings.id_style == "awkward":
            return f"id {next(self._numbers)}?ä=%25&+#"
        return str(uuid.uuid4())

    def add_leads(self, list_name: str, count: int, *, user: User | None = None) -> StoredList:
        """Fill a list with invented leads, replacing earlier invented ones; create it if it is missing.

        Args:
            list_name: Name of the list.
            count: Number of leads; a million of them take no memory.
            user: Owner; by default the first user.
        """
        with self.lock:
            owner = user or self.accounts.user
            lead_list = self.lists.named(list_name, owner) or self.lists.add_list(
                list_name, owner, self.now()
            )
            self.lists.generate(lead_list, count)
            return lead_list

    def complete_when_due(self, workflow: Workflow) -> None:
        """Complete a workflow when it is due, even if nobody polls, so that its webhook is delivered."""
        self.scheduler.at(workflow.due_at, self.settle)

    def _deliver(self, workflow: Workflow) -> None:
        if workflow.webhook_url is not None and not workflow.fails:
            self.webhooks.send(workflow.webhook_url, webhook_body(workflow, self.settings))
