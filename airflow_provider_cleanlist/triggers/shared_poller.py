"""What all waits on one event loop and one connection share: the connection, and the number of workflows in flight.

A triggerer may run hundreds of triggers on one connection. One lookup of the connection serves them all for a while,
and a schedule that knows how many workflows are in flight keeps them from overloading the request budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.errors import CleanlistError
from airflow_provider_cleanlist.client.protocol import Call
from airflow_provider_cleanlist.client.settings import ClientSettings
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.waiting.schedule import PollRule
from airflow_provider_cleanlist.waiting.tracker import WorkflowTracker
from airflow_provider_cleanlist.waiting.wait import StatusCheck, StatusResult, rule_for

T = TypeVar("T")

CONNECTION_LIFE_SECONDS = 300.0
"""How long a connection is used before it is looked up again, in seconds."""
MAX_IN_FLIGHT = 4
"""Most requests of one wait that are in flight at the same time."""


class SharedPoller:
    """Sends the requests of all triggers on one event loop and one connection.

    Args:
        cleanlist_conn_id: The connection.
    """

    def __init__(self, cleanlist_conn_id: str) -> None:
        self._conn_id = cleanlist_conn_id
        self._looking_up = asyncio.Lock()
        self._hook: CleanlistHook | None = None
        self._looked_up_at = 0.0
        self._trackers: set[WorkflowTracker] = set()

    @contextmanager
    def register(self, tracker: WorkflowTracker) -> Iterator[None]:
        """Count a wait's workflows as in flight while the context lasts.

        Args:
            tracker: The wait's tracker.
        """
        self._trackers.add(tracker)
        try:
            yield
        finally:
            self._trackers.discard(tracker)

    def others(self, tracker: WorkflowTracker) -> int:
        """Return how many workflows other waits have in flight.

        Args:
            tracker: The tracker of the wait whose own workflows do not count.
        """
        return sum(other.in_flight for other in self._trackers if other is not tracker)

    async def rule(self) -> PollRule:
        """Return the constants of the schedule for the connection's request budget.

        Raises:
            CleanlistError: The connection cannot be looked up or used.
        """
        return rule_for(await self._hook_younger_than(CONNECTION_LIFE_SECONDS))

    async def settings(self) -> ClientSettings:
        """Return the connection's settings.

        Raises:
            CleanlistError: The connection cannot be looked up or used.
        """
        return (await self._hook_younger_than(CONNECTION_LIFE_SECONDS)).settings

    async def run(self, call: Call[T], on_sending: Callable[[], None] | None = None) -> T:
        """Send a request and return its result.

        If the API refuses the key, the connection is looked up again, because the key may have been rotated.

        Args:
            call: The request.
            on_sending: Called when the request has its place in the budget and is sent.

        Raises:
            CleanlistError: The request failed.
        """
        hook = await self._hook_younger_than(CONNECTION_LIFE_SECONDS)
        sent_at = time.monotonic()
        try:
            return await hook.get_conn().arun(call, on_sending)
        except errors.AuthenticationError:
            newer = await self._hook_younger_than(time.monotonic() - sent_at)
            if newer.settings == hook.settings:
                raise
        return await newer.get_conn().arun(call, on_sending)

    async def _hook_younger_than(self, seconds: float) -> CleanlistHook:
        async with self._looking_up:
            if self._hook is None or time.monotonic() - self._looked_up_at >= seconds:
                self._hook = await _hook_with_connection(self._conn_id)
                self._looked_up_at = time.monotonic()
            return self._hook


async def _hook_with_connection(conn_id: str) -> CleanlistHook:
    """Return a hook with its connection loaded, so that using it does not block the event loop."""
    hook = CleanlistHook(conn_id)
    try:
        await hook.aget_settings()
        await asyncio.to_thread(hook.get_conn)  # imports what the client and the budget's store need
    except CleanlistError:
        raise
    except Exception as error:  # noqa: BLE001  # a secrets backend may raise anything
        info = errors.ErrorInfo(f"look up connection {conn_id!r}", type(error).__name__)
        raise exceptions.CleanlistTransportError(info) from None
    return hook


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedPoller]] = WeakKeyDictionary()


def shared_poller(cleanlist_conn_id: str) -> SharedPoller:
    """Return the poller of a connection on the running event loop.

    Args:
        cleanlist_conn_id: The connection.
    """
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    return pollers.setdefault(cleanlist_conn_id, SharedPoller(cleanlist_conn_id))


class InFlightRequests:
    """The status requests of one wait that have no result yet; leaving the ``async with`` block cancels them.

    At most one of them waits for its place in the budget, so that a wait for many workflows gets no larger share of the
    budget than a wait for one. The others have been sent and wait for their responses.

    Args:
        poller: Sends the requests.
    """

    def __init__(self, poller: SharedPoller) -> None:
        self._poller = poller
        self._tasks: dict[asyncio.Task[StatusResult], str] = {}

    async def __aenter__(self) -> Self:
        """Return the object itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel the requests that have no result yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, check: StatusCheck) -> None:
        """Send a request, and return once it has left and another one may be sent.

        Args:
            check: The request.
        """
        sent = asyncio.Event()
        self._tasks[asyncio.create_task(self._result(check, sent))] = check.workflow_id
        await sent.wait()
        if len(self._tasks) >= MAX_IN_FLIGHT:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def pause_until_result(self, pause: Coroutine[Any, Any, None]) -> None:
        """Await a pause, and end it early when a result arrives.

        Args:
            pause: The pause.
        """
        if not self._tasks:
            await pause
            return
        pausing = asyncio.create_task(pause)
        try:
            await asyncio.wait({pausing, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pausing.cancel()
            await asyncio.wait({pausing})
        if not pausing.cancelled():
            pausing.result()

    def collect(self) -> tuple[tuple[str, StatusResult], ...]:
        """Return the results that have arrived since the last call: workflow, and status or error."""
        done = [task for task in self._tasks if task.done()]
        return tuple((self._tasks.pop(task), task.result()) for task in done)

    async def _result(self, check: StatusCheck, sent: asyncio.Event) -> StatusResult:
        try:
            return await self._poller.run(check.call, sent.set)
        except CleanlistError as error:
            return error
        finally:
            sent.set()  # a request that failed before it was sent must not block the next one
