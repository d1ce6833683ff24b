"""Noticing what webhooks delivered while a task waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.client.results import WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.webhooks.inbox import BELL_SECONDS, Inbox, InboxUnavailableError, bell_name

if TYPE_CHECKING:
    from airflow_provider_cleanlist.enrichment.polling import WorkflowTracker

log = logging.getLogger(__name__)

LISTEN_EVERY_SECONDS = 1.0
"""How often the inbox is looked at."""


class Doorbell:
    """Tells the ends of workflows that webhooks delivered. Each call costs one listing of a small folder.

    Args:
        inbox: What was delivered.
        since: When the first workflow was submitted, seconds since the epoch.
    """

    def __init__(self, inbox: Inbox, since: float) -> None:
        self._inbox = inbox
        self._since = since
        self._is_deaf = False

    @classmethod
    def configured(cls, since: float) -> Doorbell | None:
        """Return the bell of the inbox that ``[cleanlist] webhook_inbox`` names, or None if it names none.

        Args:
            since: When the first workflow was submitted, seconds since the epoch.
        """
        inbox = Inbox.configured()
        return None if inbox is None else cls(inbox, since)

    def ends(self, running: Sequence[str], now: float) -> list[WorkflowStatus]:
        """Return the final status of those workflows that were delivered.

        Never raises for what the storage does: the wait's own looks go on anyway.

        Args:
            running: Workflows that are waited for.
            now: Seconds since the epoch.
        """
        try:
            bells = self._inbox.bells(self._since, now)
            statuses = [self._end(workflow_id) for workflow_id in running if bell_name(workflow_id) in bells]
        except InboxUnavailableError as error:
            if not self._is_deaf:
                log.warning("Webhooks are not noticed at present: %s. Workflows are still looked at.", error)
            self._is_deaf = True
            return []
        self._since = max(self._since, now - BELL_SECONDS)
        self._is_deaf = False
        return [status for status in statuses if status is not None]

    def _end(self, workflow_id: str) -> WorkflowStatus | None:
        payload = self._inbox.payload(workflow_id)
        if payload is None:
            return None
        status = replace(WorkflowStatus.parse(workflow_id, payload), results=())
        if status.state is WorkflowState.RUNNING:
            return replace(status, status=WorkflowState.COMPLETED.value)
        return status


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
    until = clock() + seconds
    while doorbell is not None:
        ends = doorbell.ends(tracker.running, clock())
        for status in ends:
            tracker.on_status(status, clock())
        if ends or clock() >= until:
            return
        time.sleep(min(LISTEN_EVERY_SECONDS, max(0.0, until - clock())))
    time.sleep(seconds)


async def apause(
    doorbell: Doorbell | None, seconds: float, tracker: WorkflowTracker, clock: Callable[[], float]
) -> None:
    """Asynchronous :func:`pause`; the storage is asked on a thread of its own."""
    until = clock() + seconds
    while doorbell is not None:
        looking = asyncio.get_running_loop().run_in_executor(_ears, doorbell.ends, tracker.running, clock())
        ends = await looking
        for status in ends:
            tracker.on_status(status, clock())
        if ends or clock() >= until:
            return
        await asyncio.sleep(min(LISTEN_EVERY_SECONDS, max(0.0, until - clock())))
    await asyncio.sleep(seconds)


_ears = ThreadPoolExecutor(max_workers=4, thread_name_prefix="cleanlist-doorbell")
