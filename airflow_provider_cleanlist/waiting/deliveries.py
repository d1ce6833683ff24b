"""Detecting webhook deliveries while a task waits, and how rarely they let it poll.

Whoever has the address of a batch can deliver for it. So a delivery that says that a workflow has failed only has the
API asked: whoever was submitted in a failed workflow may be submitted again, and that costs money.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.client.results import WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.inbox.inbox import (
    DamagedDeliveryError,
    Inbox,
    InboxUnavailableError,
    expected,
    marker_name,
)
from airflow_provider_cleanlist.inbox.settings import configured_path

if TYPE_CHECKING:
    from airflow_provider_cleanlist.inbox.listing import InboxListing
    from airflow_provider_cleanlist.waiting.tracker import WorkflowTracker

log = logging.getLogger(__name__)

SAFETY_POLL_SECONDS = 600.0
"""Seconds between status checks of a workflow whose webhook is expected: the delay that a lost webhook costs."""
LIST_EVERY_SECONDS = 1.0
"""Seconds between two listings of the inbox by one wait."""
LOOKUPS_PER_CALL = 20
"""Workflows that one call looks up at the start of a wait; later deliveries leave a marker."""
LOOK_AGAIN_SECONDS = 10.0
"""Seconds between two lookups of a delivery that cannot be used yet, because its workflow is not announced."""
PATIENCE_SECONDS = 2.0
"""Seconds that a wait on an event loop gives a slow storage before it continues without it."""


class DeliveryWatcher:
    """Finds the workflows whose results were delivered by webhook.

    Deliveries from before the wait are looked up once per workflow. Later ones leave a marker, which costs no more than
    the listing that all waits of the process share.

    Args:
        open_listing: Returns the listing of the inbox; called on a thread that may block.
    """

    def __init__(self, open_listing: Callable[[], InboxListing]) -> None:
        self._open_listing = open_listing
        self._names: dict[str, str] = {}
        self._unchecked: set[str] | None = None
        self._passed_over: set[str] = set()
        self._look_again_at: dict[str, float] = {}
        self._is_unavailable = False
        self._pending: asyncio.Future[list[WorkflowStatus]] | None = None

    @classmethod
    def configured(cls) -> DeliveryWatcher | None:
        """Return the watcher of the inbox that ``[cleanlist] webhook_inbox`` names, or None if it names none."""
        path = configured_path()
        if not path:
            return None
        from airflow_provider_cleanlist.inbox.listing import listing_of

        return cls(lambda: listing_of(path))

    def finished(self, running: Sequence[str], now: float) -> list[WorkflowStatus]:
        """Return the final statuses that were delivered for workflows: each failure once, as the workflow goes on.

        Never raises because of the storage: the wait continues to poll anyway.

        Args:
            running: Workflows that are still waited for.
            now: Seconds since the epoch.
        """
        waiting = [workflow_id for workflow_id in running if workflow_id not in self._passed_over]
        try:
            statuses = self._delivered(waiting, now)
        except InboxUnavailableError as error:
            if not self._is_unavailable:
                log.warning("Webhook deliveries cannot be read at the moment: %s. Polling continues.", error)
            self._is_unavailable = True
            return []
        self._is_unavailable = False
        return statuses

    async def afinished(self, running: Sequence[str], now: float, patience: float) -> list[WorkflowStatus]:
        """Asynchronous :meth:`finished`, on a thread of its own, so that a storage that hangs blocks nothing.

        Args:
            running: Workflows that are still waited for.
            now: Seconds since the epoch.
            patience: Seconds to wait for the storage; a later result is returned by the next call.
        """
        if self._pending is None:
            from asgiref.sync import sync_to_async  # with it, Airflow can look up connections from a thread

            finished = sync_to_async(self.finished, thread_sensitive=False, executor=_executor)
            self._pending = asyncio.ensure_future(finished(running, now))
        await asyncio.wait({self._pending}, timeout=patience)
        if not self._pending.done():
            return []
        pending, self._pending = self._pending, None
        return pending.result()

    def _delivered(self, waiting: Sequence[str], now: float) -> list[WorkflowStatus]:
        listing = self._open_listing()
        if self._unchecked is None:
            self._unchecked = set(waiting)
        notified = set(listing.notified(map(self._name, waiting), now))
        lookups = [workflow_id for workflow_id in waiting if workflow_id in self._unchecked][
            :LOOKUPS_PER_CALL
        ]
        statuses = []
        for workflow_id in waiting:
            is_notified = self._name(workflow_id) in notified
            if not is_notified and workflow_id not in lookups:
                continue
            if now < self._look_again_at.get(workflow_id, now):
                continue
            if (status := self._final_status(listing.inbox, workflow_id)) is not None:
                statuses.append(status)
            elif is_notified:
                self._look_again_at[workflow_id] = now + LOOK_AGAIN_SECONDS
        self._unchecked.difference_update(lookups)
        return statuses

    def _final_status(self, inbox: Inbox, workflow_id: str) -> WorkflowStatus | None:
        try:
            payload = inbox.payload(workflow_id)
        except DamagedDeliveryError:
            self._passed_over.add(workflow_id)
            log.warning("The webhook delivery of workflow %s cannot be read.", workflow_id)
            return None
        if payload is None:
            return None
        status = replace(WorkflowStatus.parse(workflow_id, payload), results=())
        if status.state is WorkflowState.RUNNING:
            return replace(status, status=WorkflowState.COMPLETED.value)
        if status.state is WorkflowState.FAILED:
            self._passed_over.add(workflow_id)
        return status

    def _name(self, workflow_id: str) -> str:
        name = self._names.get(workflow_id)
        if name is None:
            name = self._names[workflow_id] = marker_name(workflow_id)
        return name


def pause(
    watcher: DeliveryWatcher | None, seconds: float, tracker: WorkflowTracker, clock: Callable[[], float]
) -> None:
    """Pause, and return early when the results of a workflow are delivered by webhook.

    Args:
        watcher: The watcher, or None without an inbox.
        seconds: Maximum length of the pause, in seconds.
        tracker: Receives the delivered statuses.
        clock: Returns the time in seconds since the epoch.
    """
    if watcher is None:
        time.sleep(seconds)
        return
    until = clock() + seconds
    while True:
        statuses = watcher.finished(tracker.running, clock())
        if _record(statuses, tracker, clock) or clock() >= until:
            return
        time.sleep(min(LIST_EVERY_SECONDS, max(0.0, until - clock())))


async def apause(
    watcher: DeliveryWatcher | None, seconds: float, tracker: WorkflowTracker, clock: Callable[[], float]
) -> None:
    """Asynchronous :func:`pause`."""
    if watcher is None:
        await asyncio.sleep(seconds)
        return
    until = clock() + seconds
    while True:
        statuses = await watcher.afinished(tracker.running, clock(), PATIENCE_SECONDS)
        if _record(statuses, tracker, clock) or clock() >= until:
            return
        await asyncio.sleep(min(LIST_EVERY_SECONDS, max(0.0, until - clock())))


def _record(statuses: Sequence[WorkflowStatus], tracker: WorkflowTracker, clock: Callable[[], float]) -> bool:
    """Pass delivered statuses to the tracker, and return whether there were any."""
    for status in statuses:
        if status.state is WorkflowState.FAILED:
            tracker.on_hint(status.workflow_id)
        else:
            tracker.on_status(status, clock())
    return bool(statuses)


def safety_poll_interval(chosen: float | None, workflow_ids: Sequence[str]) -> float | None:
    """Return the seconds between two status checks of a workflow; None follows the budget-aware schedule.

    Status checks become rare when a webhook is expected for every workflow of the wait.

    Args:
        chosen: The user's ``poll_interval``, which takes precedence.
        workflow_ids: The workflows.
    """
    if chosen is not None:
        return chosen
    try:
        # the first one alone spares the other lookups where no webhooks are in use
        all_expected = bool(expected(workflow_ids[:1])) and len(expected(workflow_ids)) == len(workflow_ids)
    except InboxUnavailableError as error:
        log.warning(
            "Cannot find out whether webhooks are expected: %s. Workflows are polled as usual.", error
        )
        return None
    return SAFETY_POLL_SECONDS if all_expected else None


_executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="cleanlist-watcher")
