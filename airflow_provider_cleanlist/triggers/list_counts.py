"""Reading the counts of lead lists, once for all triggers that watch lists of one connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_cleanlist.client import endpoints, errors
from airflow_provider_cleanlist.client.lead_lists import LeadLists, read_lead_lists
from airflow_provider_cleanlist.client.messages import POLL_MAX_WAIT_SECONDS
from airflow_provider_cleanlist.client.protocol import Call
from airflow_provider_cleanlist.client.rate_limit.core import Priority
from airflow_provider_cleanlist.client.responses import LeadList, LeadListPage
from airflow_provider_cleanlist.triggers.shared_poller import SharedPoller, shared_poller

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_PAGES = 100
"""Most pages of lists that one check reads: 10,000 lists."""
DETAILS_SHARE = 0.25
"""The part of the request budget beyond which reading lists one by one deserves a warning."""
FAILED_DETAILS = 2
"""After so many lists whose request failed, a check sends none for the others: one alone may be that list's fault."""
_OF_ONE_LIST = (errors.NotFoundError, errors.PermissionDeniedError, errors.UnexpectedResponseError)
"""Errors that say nothing of other lists, and come without retries."""


@dataclass(slots=True)
class Reading:
    """What one check of a connection's lists returned.

    Attributes:
        read_at: When it was made, by the monotonic clock, in seconds.
        lead_lists: All lists that the key may see.
        error: Why they could not be read; None if they could.
        details: Lists that were read one by one, because the page did not have their ``enriched_count``; or why they
            could not be read.
    """

    read_at: float
    lead_lists: LeadLists = field(default_factory=LeadLists)
    error: Exception | None = None
    details: dict[str, LeadList | errors.CleanlistError] = field(default_factory=dict)


class SharedCounts:
    """The counts of all lists of one connection.

    Triggers that check at about the same time share the requests, and :attr:`Reading.read_at` tells all of them when
    the next check is due, so that they stay together.

    Args:
        poller: Sends the requests.
    """

    def __init__(self, poller: SharedPoller) -> None:
        self._poller = poller
        self._reading = asyncio.Lock()
        self._searching = asyncio.Lock()
        self._detailing = asyncio.Lock()
        self._latest: Reading | None = None
        self._interval = 0.0
        self._has_warned = False

    async def latest(self, max_age: float) -> Reading:
        """Return the latest reading, or make a new one if it is too old. A failed reading is shared, too.

        Args:
            max_age: Seconds after which a reading is too old.
        """
        async with self._reading:
            if self._latest is None or time.monotonic() - self._latest.read_at >= max_age:
                self._latest = await self._read()
                self._interval = max_age
            return self._latest

    async def found(self, reading: Reading, search: Callable[[LeadLists], T]) -> T:
        """Return what a search in the lists of a reading finds.

        Thousands of names may be compared, so searches run beside the event loop, one at a time.

        Args:
            reading: The reading.
            search: Finds something among the lists; what it raises is raised.
        """
        async with self._searching:
            return await asyncio.to_thread(search, reading.lead_lists)

    async def with_enriched_count(self, reading: Reading, found: LeadList) -> LeadList:
        """Return a list of a reading with its ``enriched_count``, which costs a request if the page did not have it.

        Where these requests fail, each with its retries, no more of them are sent for the reading.

        Args:
            reading: The reading.
            found: The list in it.

        Raises:
            CleanlistError: The request failed, or was not sent because those for other lists failed.
        """
        if found.enriched_count is not None:
            return found
        async with self._detailing:
            if found.list_id not in reading.details:
                reading.details[found.list_id] = _failure(reading) or await self._details(reading, found)
        details = reading.details[found.list_id]
        if isinstance(details, errors.CleanlistError):
            raise details
        return details

    async def _details(self, reading: Reading, found: LeadList) -> LeadList | errors.CleanlistError:
        try:
            settings = await self._poller.settings()
            details = await self._run(endpoints.get_lead_list(settings.surface, found.list_id))
        except errors.CleanlistError as error:
            return error
        self._warn_if_dear(len(reading.details) + 1, settings.requests_per_minute)
        return _counts_of(details, name=found.name)

    def _warn_if_dear(self, details: int, requests_per_minute: int) -> None:
        budget = requests_per_minute * self._interval / 60.0
        if self._has_warned or details <= DETAILS_SHARE * budget:
            return
        self._has_warned = True
        log.warning(
            "Watching the enriched_count of lead lists takes a request for each of them, at every check: that is more "
            "than a quarter of the %.0f requests that the connection may send in %.0f s. Watch fewer lists, set "
            "counts=('lead_count',), or lengthen the interval.",
            budget,
            self._interval,
        )

    async def _read(self) -> Reading:
        try:
            lists = await self._all_lists()
        except Exception as error:  # noqa: BLE001  # each trigger reports it, and checks again later
            return Reading(time.monotonic(), error=error)
        return Reading(time.monotonic(), lists)

    async def _all_lists(self) -> LeadLists:
        surface = (await self._poller.settings()).surface
        reading = read_lead_lists(surface, lambda item: _counts_of(item, name=item.name), pages=MAX_PAGES)
        step: Call[LeadListPage] | LeadLists = next(reading)
        while isinstance(step, Call):
            page = await self._run(step)
            step = await asyncio.to_thread(_next_step, reading, page)
        return step

    async def _run(self, call: Call[T]) -> T:
        """Send a request that waits until submissions and loads leave room for it."""
        request = replace(call.request, priority=Priority.POLL, max_wait=POLL_MAX_WAIT_SECONDS)
        return await self._poller.run(replace(call, request=request))


def _next_step(
    reading: Generator[Call[LeadListPage], LeadListPage, LeadLists], page: LeadListPage
) -> Call[LeadListPage] | LeadLists:
    """Return the next request of a reading, or its result; a thread cannot hand on ``StopIteration``."""
    try:
        return reading.send(page)
    except StopIteration as end:
        lists: LeadLists = end.value
        return lists


def _failure(reading: Reading) -> errors.CleanlistError | None:
    """Return why no more lists are read one by one, if so."""
    failures = [
        item
        for item in reading.details.values()
        if isinstance(item, errors.CleanlistError) and not isinstance(item, _OF_ONE_LIST)
    ]
    return failures[-1] if len(failures) >= FAILED_DETAILS else None


def _counts_of(item: LeadList, name: str) -> LeadList:
    """Return a list without what no trigger needs, since it is kept until the next check."""
    return LeadList(
        list_id=item.list_id,
        name=name,
        lead_count=item.lead_count,
        enriched_count=item.enriched_count,
    )


_counts: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedCounts]] = WeakKeyDictionary()


def shared_counts(cleanlist_conn_id: str) -> SharedCounts:
    """Return the counts of a connection's lists on the running event loop.

    Args:
        cleanlist_conn_id: The connection.
    """
    counts = _counts.setdefault(asyncio.get_running_loop(), {})
    return counts.setdefault(cleanlist_conn_id, SharedCounts(shared_poller(cleanlist_conn_id)))
