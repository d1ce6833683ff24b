"""One Cleanlist in memory: accounts, lists, workflows and the rules they follow. No HTTP."""

from __future__ import annotations

import base64
import itertools
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.sandbox.accounts import DEFAULT_KEY, Accounts
from airflow_provider_cleanlist.sandbox.clock import Clock, SystemClock
from airflow_provider_cleanlist.sandbox.engine import Engine
from airflow_provider_cleanlist.sandbox.errors import ApiError
from airflow_provider_cleanlist.sandbox.faults import Faults
from airflow_provider_cleanlist.sandbox.ledger import Ledger
from airflow_provider_cleanlist.sandbox.lists import LeadList, ListStore
from airflow_provider_cleanlist.sandbox.quotes import Quotes
from airflow_provider_cleanlist.sandbox.rate import RateLimiter
from airflow_provider_cleanlist.sandbox.results import webhook_body
from airflow_provider_cleanlist.sandbox.settings import Settings
from airflow_provider_cleanlist.sandbox.webhooks import Scheduler, Webhooks

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.accounts import ApiKey, User
    from airflow_provider_cleanlist.sandbox.workflows import Workflow


@dataclass(frozen=True, slots=True)
class Export:
    """A CSV file waiting to be fetched."""

    content: bytes
    expires_at: float
    signature: bytes


class Sandbox:
    """Everything a sandbox knows and does. Hold ``lock`` while reading or changing several things at once.

    Args:
        clock: Time to live in; by default real time.
        api_key: Secret of the first key.
        credits: Credits of the first organisation.
        **settings: Fields of ``Settings``.

    Attributes:
        settings: Switches, to be changed at any time.
        faults: Things that go wrong on demand.
        ledger: What was asked, accepted and charged.
        accounts: Organisations, users and keys.
        lists: Lead lists, leads and folders.
        engine: Workflows.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        api_key: str = DEFAULT_KEY,
        credits: float = 100_000,
        **settings: Any,
    ) -> None:
        self.settings = Settings(**settings)
        self.clock: Clock = clock or SystemClock()
        self.lock = threading.RLock()
        self.faults = Faults()
        self.ledger = Ledger()
        self.limiter = RateLimiter(self.settings)
        self.scheduler = Scheduler(self.clock)
        self.webhooks = Webhooks(self.settings, self.clock, self.scheduler)
        self._api_key = api_key
        self._credits = credits
        self._first_settings = self.settings.model_dump()
        self._numbers = itertools.count(1)
        self._begin()

    def _begin(self) -> None:
        self.accounts = Accounts(secret=self._api_key, credits=self._credits, now=self.clock.now())
        self.lists = ListStore(self.new_id)
        self.engine = Engine(
            settings=self.settings,
            faults=self.faults,
            ledger=self.ledger,
            store=self.lists,
            new_id=self.new_id,
            on_completed=self._announce,
        )
        self.quotes = Quotes()
        self.exports: dict[str, Export] = {}
        self.cohort_workflows: dict[str, str] = {}
        self.replays: dict[tuple[str, str, str], tuple[float, dict[str, Any]]] = {}

    def reset(self) -> None:
        """Begin anew: as started, with an empty ledger. The clock goes on."""
        with self.lock:
            self.settings.change(**self._first_settings)
            self.faults.clear()
            self.ledger.clear()
            self.limiter.reset()
            self.scheduler.clear()
            self.webhooks.clear()
            self._begin()

    def close(self) -> None:
        """Stop delivering webhooks."""
        self.scheduler.stop()

    def now(self) -> float:
        """Return the present instant, in seconds since the epoch."""
        return self.clock.now()

    def settle(self) -> None:
        """Complete the workflows whose time has come."""
        with self.lock:
            self.engine.settle(self.now())

    def new_id(self) -> str:
        """Return a new id, in the style of the settings."""
        if self.settings.id_style == "awkward":
            return f"id {next(self._numbers)}?ä=%25&+#"
        return str(uuid.uuid4())

    def add_leads(self, list_name: str, count: int, *, user: User | None = None) -> LeadList:
        """Give a list, new or known by name, that many invented leads in place of those invented before.

        Args:
            list_name: Name of the list.
            count: Number of leads; a million cost no memory.
            user: Owner; by default the first user.
        """
        with self.lock:
            owner = user or self.accounts.user
            lead_list = self.lists.named(list_name, owner) or self.lists.add_list(
                list_name, owner, self.now()
            )
            self.lists.generate(lead_list, count)
            return lead_list

    def readable_list(self, key: ApiKey, list_id: str) -> LeadList:
        """Return a list that a key may read.

        Raises:
            ApiError: 404 for unknown lists and for those of others alike.
        """
        lead_list = self.lists.lists.get(list_id)
        if lead_list is None or not lead_list.visible_to(key.user):
            raise ApiError(404, "Lead list not found", code="list_not_found")
        return lead_list

    def own_list(self, key: ApiKey, list_id: str) -> LeadList:
        """Return a list that a key's user owns.

        Raises:
            ApiError: 404 for unknown lists and for those of others alike.
        """
        lead_list = self.readable_list(key, list_id)
        if lead_list.owner is not key.user:
            raise ApiError(404, "Lead list not found", code="list_not_found")
        return lead_list

    def workflow_of(self, key: ApiKey, workflow_id: str) -> Workflow:
        """Return a workflow of a key's organisation.

        Raises:
            ApiError: 404 for unknown ids and for those of others alike.
        """
        workflow = self.engine.workflows.get(workflow_id)
        if workflow is None or workflow.key.user.organization is not key.user.organization:
            raise ApiError(404, "Workflow not found", code="workflow_not_found")
        return workflow

    def watch(self, workflow: Workflow) -> None:
        """See to it that a workflow with a webhook completes although nobody polls."""
        self.scheduler.at(workflow.due_at, self.settle)

    def _announce(self, workflow: Workflow) -> None:
        if workflow.webhook_url is not None and not workflow.broken:
            self.webhooks.send(workflow.webhook_url, webhook_body(workflow, self.settings))


def cohort_handle(list_id: str, start: int, stop: int) -> str:
    """Return the handle of one page of leads."""
    return "cl-task_" + base64.urlsafe_b64encode(f"{start}:{stop}:{list_id}".encode()).decode().rstrip("=")


def parse_cohort(handle: str) -> tuple[str, int, int]:
    """Return list, start and stop of a page's handle.

    Raises:
        ApiError: 404 when it is no handle of ours.
    """
    packed = handle.removeprefix("cl-task_")
    try:
        text = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
        start, stop, list_id = text.split(":", 2)
        return list_id, int(start), int(stop)
    except ValueError:
        raise ApiError(404, "Unknown cohort", code="task_not_found") from None
