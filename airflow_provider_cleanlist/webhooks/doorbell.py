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
from airflow_provider_cleanlist.webhooks.inbox import (
    DamagedDeliveryError,
    Inbox,
    InboxUnavailableError,
    bell_name,
    configured_path,
)

if TYPE_CHECKING:
    from airflow_provider_cleanlist.enrichment.polling import WorkflowTracker
    from airflow_provider_cleanlist.webhooks.ear import Ear

log = logging.getLogger(__name__)

LISTEN_EVERY_SECONDS = 1.0
"""How often the inbox is looked at."""
CHECKS_AT_ONCE = 20
"""Workflows that one call looks up, at the beginning of a wait; later ones ring."""
PATIENCE_SECONDS = 2.0
"""How long a wait on an event loop lets a slow storage answer before it goes on without."""


class Doorbell:
    """Tells the ends of workflows that webhooks delivered.

    What came before the wait is looked up, once per workflow; what comes later rings, and costs no more than the
    listing that all waits of the process share.

    Args:
        ear: Opens the ear at the inbox; called where waiting for the storage does no harm.
    """

    def __init__(self, ear: Callable[[], Ear]) -> None:
        self._open_ear = ear
        self._names: dict[str, str] = {}
        self._unchecked: set[str] | None = None
        self._passed_over: set[str] = set()
        self._is_deaf = False
        self._listening: asyncio.Future[list[WorkflowStatus]] | None = None

    @classmethod
    def configured(cls) -> Doorbell | None:
        """Return the bell of the inbox that ``[cleanlist] webhook_inbox`` names, or None if it names none."""
        path = configured_path()
        if not path:
            return None
        from airflow_provider_cleanlist.webhooks.ear import ear_of

        return cls(lambda: ear_of(path))

    def ends(self, running: Sequence[str], now: float) -> list[WorkflowStatus]:
        """Return the final status of those workflows that were delivered.

        Never raises for what the storage does: the wait's own looks go on anyway.

        Args:
            running: Workflows that are waited for.
            now: Seconds since the epoch.
        """
        waiting = [workflow_id for workflow_id in running if workflow_id not in self._passed_over]
        try:
            ends = self._look(waiting, now)
        except InboxUnavailableError as error:
            if not self._is_deaf:
                log.warning("Webhooks are not noticed at present: %s. Workflows are still looked at.", error)
            self._is_deaf = True
            return []
        self._is_deaf = False
        return ends

    async def aends(self, running: Sequence[str], now: float, patience: float) -> list[WorkflowStatus]:
        """Asynchronous :meth:`ends`, on a thread of its own; a storage that hangs keeps nobody waiting.

        Args:
            running: Workflows that are waited for.
            now: Seconds since the epoch.
            patience: Seconds to wait for the storage; what it tells later is told by the next call.
        """
        if self._listening is None:
            from asgiref.sync import sync_to_async  # lets Airflow look connections up from a thread

            ends = sync_to_async(self.ends, thread_sensitive=False, executor=_ears)
            self._listening = asyncio.ensure_future(ends(running, now))
        await asyncio.wait({self._listening}, timeout=patience)
        if not self._listening.done():
            return []
        listening, self._listening = self._listening, None
        return listening.result()

    def _look(self, waiting: Sequence[str], now: float) -> list[WorkflowStatus]:
        ear = self._open_ear()
        if self._unchecked is None:
            self._unchecked = set(waiting)
        rung = set(ear.rung(map(self._name, waiting), now))
        checking = [one for one in waiting if one in self._unchecked][:CHECKS_AT_ONCE]
        ends = []
        for workflow_id in waiting:
            rang = self._name(workflow_id) in rung
            if not rang and workflow_id not in checking:
                continue
            if (end := self._end(ear.inbox, workflow_id)) is not None:
                ends.append(end)
            elif rang:
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
            name = self._names[workflow_id] = bell_name(workflow_id)
        return name


def pause(
    doorbell: Doorbell | None, seconds: float, tracker: WorkflowTracker, clock: Callable[[], float]
) -> None:
    """Let time pass, and end early when a webhook tells the end of a workflow.

    Args:
        doorbell: The bell, if there is one.
        seconds: How long at most, in seconds.
        tracker: Takes in what is told.
        clock: Seconds since the epoch.
    """
    if doorbell is None:
        time.sleep(seconds)
        return
    until = clock() + seconds
    while True:
        ends = doorbell.ends(tracker.running, clock())
        if _take_in(ends, tracker, clock) or clock() >= until:
            return
        time.sleep(min(LISTEN_EVERY_SECONDS, max(0.0, until - clock())))


async def apause(
    doorbell: Doorbell | None, seconds: float, tracker: WorkflowTracker, clock: Callable[[], float]
) -> None:
    """Asynchronous :func:`pause`."""
    if doorbell is None:
        await asyncio.sleep(seconds)
        return
    until = clock() + seconds
    while True:
        ends = await doorbell.aends(tracker.running, clock(), PATIENCE_SECONDS)
        if _take_in(ends, tracker, clock) or clock() >= until:
            return
        await asyncio.sleep(min(LISTEN_EVERY_SECONDS, max(0.0, until - clock())))


def _take_in(ends: Iterable[WorkflowStatus], tracker: WorkflowTracker, clock: Callable[[], float]) -> bool:
    """Tell a wait which workflows have ended, and return whether any has."""
    told = False
    for status in ends:
        tracker.on_status(status, clock())
        told = True
    return told


_ears = ThreadPoolExecutor(max_workers=4, thread_name_prefix="cleanlist-doorbell")
