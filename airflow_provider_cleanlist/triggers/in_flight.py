"""Several status requests of one wait at once, so that a slow server does not leave the request budget unused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from airflow_provider_cleanlist.client.errors import CleanlistError
from airflow_provider_cleanlist.triggers.shared_poller import SharedPoller
from airflow_provider_cleanlist.waiting.wait import Answer, Ask

MOST_AT_ONCE = 4
"""Questions that one event loop has on their way at the same time at most."""


class InFlightRequests:
    """The requests of one wait that are under way; those still open when the block ends are given up.

    At most one of them waits for its place in the budget, so that a wait for many workflows comes by no more places
    than a wait for one. The others have been sent, and wait for their answers.

    Args:
        desk: Makes the requests.
    """

    def __init__(self, desk: SharedPoller) -> None:
        self._desk = desk
        self._open: dict[asyncio.Task[Answer], str] = {}

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up what has not been answered."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def begin(self, ask: Ask) -> None:
        """Make a request, and return when it has left, and another one may be made.

        Args:
            ask: The request.
        """
        left = asyncio.Event()
        self._open[asyncio.create_task(self._answer(ask, left))] = ask.workflow_id
        await left.wait()
        if len(self._open) >= MOST_AT_ONCE:
            await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)

    async def answered(self, pause: Coroutine[Any, Any, None]) -> None:
        """Let a pause pass, and end it early when an answer comes.

        Args:
            pause: The pause.
        """
        if not self._open:
            await pause
            return
        pausing = asyncio.create_task(pause)
        try:
            await asyncio.wait({pausing, *self._open}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pausing.cancel()
            await asyncio.wait({pausing})
        if not pausing.cancelled():
            pausing.result()

    def taken(self) -> tuple[tuple[str, Answer], ...]:
        """Return the answers that have come since the last call: workflow and status, or the error."""
        done = [task for task in self._open if task.done()]
        return tuple((self._open.pop(task), task.result()) for task in done)

    async def _answer(self, ask: Ask, left: asyncio.Event) -> Answer:
        try:
            return await self._desk.status(ask.call, left.set)
        except CleanlistError as error:
            return error
        finally:
            left.set()
