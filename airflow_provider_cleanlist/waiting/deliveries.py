"""Noticing what webhooks delivered while a task waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.client.results import WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.inbox.inbox import (
    DamagedDeliveryError,
    Inbox,
    InboxUnavailableError,
    configured_path,
    marker_name,
)

if TYPE_CHECKING:
    from airflow_provider_cleanlist.inbox.listing import InboxListing
    from airflow_provider_cleanlist.waiting.tracker import WorkflowTracker

log = logging.getLogger(__name__)

LIST_EVERY_SECONDS = 1.0
"""How often the inbox is looked at."""
CHECKS_AT_ONCE = 20
"""Workflows that one call looks up, at the beginning of a wait; later ones leave a marker."""
PATIENCE_SECONDS = 2.0
"""Seconds that a wait on an event loop gives a slow storage to answer before it continues without."""


class DeliveryWatcher:
    """Finds the workflows whose end was delivered by webhook.

    What came before the wait is looked up, once per workflow; what comes later leaves a marker, and costs no
    more than the listing that all waits of the process share.

    Args:
        listing: Opens the listing of the inbox; called where waiting for the storage does no harm.
    """

    def __init__(self, listing: Callable[[], InboxListing]) -> None:
        self._open_listing = listing
        self._names: dict[str, str] = {}
        self._unchecked: set[str] | None = None
        self._passed_over: set[str] = set()
        self._is_unreadable = False
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
        """Return the final status of those workflows that were delivered.

        Never raises for what the storage does: the wait's own status checks continue anyway.

        Args:
            running: Workflows that are waited for.
            now: Seconds since the epoch.
        """
        waiting = [workflow_id for workflow_id in running if workflow_id not in self._passed_over]
        try:
            ends = self._look(waiting, now)
        except InboxUnavailableError as error:
            if not self._is_unreadable:
                log.warning("Webhooks are not noticed at present: %s. Workflows are still polled.", error)
            self._is_unreadable = True
            return []
        self._is_unreadable = False
        return ends

    async def afinished(self, running: Sequence[str], now: float, patience: float) -> list[WorkflowStatus]:
        """Asynchronous :meth:`finished`, on a thread of its own; a storage that hangs keeps nobody waiting.

        Args:
            running: Workflows that are waited for.
            now: Seconds since the epoch.
            patience: Seconds to wait for the storage; the next call returns what comes later.
        """
        if self._pending is None:
            from asgiref.sync import sync_to_async  # lets Airflow look connections up from a thread

            finished = sync_to_async(self.finished, thread_sensitive=False, executor=_executor)
            self._pending = asyncio.ensure_future(finished(running, now))
        await asyncio.wait({self._pending}, timeout=patience)
        if not self._pending.done():
            return []
        pending, self._pending = self._pending, None
        return pending.result()

    def _look(self, waiting: Sequence[str], now: float) -> list[WorkflowStatus]:
        listing = self._open_listing()
        if self._unchecked is None:
            self._unchecked = set(waiting)
        notified = set(listing.notified(map(self._name, waiting), now))
        checking = [one for one in waiting if one in self._unchecked][:CHECKS_AT_ONCE]
        ends = []
        for workflow_id in waiting:
            is_notified = self._name(workflow_id) in notified
            if not is_notified and workflow_id not in checking:
                continue
            if (end := self._end(listing.inbox, workflow_id)) is not None:
                ends.append(end)
            elif is_notified:
                self._passed_over.add(workflow_id)
                log.warning("The webhook of workflow %s came and cannot be read.", workflow_id)
        self._unchecked.difference_update(checking)
        return ends

    def _end(self, inbox: Inbox, workflow_id: str) -> WorkflowStatus | None:
        try:
            payload = inbox.payload(workflow_id)
        except DamagedDeliveryError:
            return None
        if payload is None:
            return None
        status = replace(WorkflowStatus.parse(workflow_id, payload), results=())
        if status.state is WorkflowState.RUNNING:
            return replace(status, status=WorkflowState.COMPLETED.value)
        return status

    def _name(self, workflow_id: str) -> str:
        name = self._names.get(workflow_id)
        if name is None:
            name = self._names[workflow_id] = marker_name(workflow_id)
        return name


def pause(
    watcher: DeliveryWatcher | None, seconds: float, tracker: WorkflowTracker, clock: Callable[[], float]
) -> None:
    """Let time pass, and return early when a webhook delivers the end of a workflow.

    Args:
        watcher: The watcher, if there is an inbox.
        seconds: How long at most, in seconds.
        tracker: Takes in what was delivered.
        clock: Seconds since the epoch.
    """
    if watcher is None:
        time.sleep(seconds)
        return
    until = clock() + seconds
    while True:
        ends = watcher.finished(tracker.running, clock())
        if _take_in(ends, tracker, clock) or clock() >= until:
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
        ends = await watcher.afinished(tracker.running, clock(), PATIENCE_SECONDS)
        if _take_in(ends, tracker, clock) or clock() >= until:
            return
        await asyncio.sleep(min(LIST_EVERY_SECONDS, max(0.0, until - clock())))


def _take_in(ends: Iterable[WorkflowStatus], tracker: WorkflowTracker, clock: Callable[[], float]) -> bool:
    """Give the ends to the tracker, and return whether there were any."""
    any_ended = False
    for status in ends:
        tracker.on_status(status, clock())
        any_ended = True
    return any_ended


_executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="cleanlist-watcher")
