"""Concurrent status requests of one wait, so that a slow server does not leave the request budget unused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from airflow_provider_cleanlist.client.errors import CleanlistError
from airflow_provider_cleanlist.triggers.shared_poller import SharedPoller
from airflow_provider_cleanlist.waiting.wait import StatusCheck, StatusResult

MAX_IN_FLIGHT = 4
"""Most requests of one wait that are in flight at the same time."""


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
            return await self._poller.status(check.call, sent.set)
        except CleanlistError as error:
            return error
        finally:
            sent.set()  # a request that failed before it was sent must not block the next one
