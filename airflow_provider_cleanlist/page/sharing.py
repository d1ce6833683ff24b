"""Readers of the page share the reading: a few threads for all, and an answer counts for a few seconds.

Airflow's API server runs its own blocking requests in a pool of threads. The page takes none of it, however many people
open it and however slow the ledger is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

PATIENCE_SECONDS = 2.0
"""How long a question waits for a thread before it is refused."""
FRESH_SECONDS = 5.0
"""How long an answer counts."""
MOST_ANSWERS = 64
"""Answers that are kept at most."""


class BusyError(Exception):
    """All threads are taken, and have been for as long as the question waited."""


class LateError(Exception):
    """The answer takes too long. Its thread stays taken until it comes."""


class SharedAnswers(Generic[K, V]):
    """Answers to questions; the same question is answered once, however many ask it.

    Args:
        answer: Blocking; answers a question.
        threads: Questions that are answered at the same time.
        clock: Seconds on a clock that is never set.
        patience: Seconds that a question waits for a thread.
        deadline: Seconds that an answer may take.
    """

    def __init__(
        self,
        answer: Callable[[K], V],
        *,
        threads: int,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE_SECONDS,
        deadline: float,
    ) -> None:
        self._answer = answer
        self._clock = clock
        self._patience = patience
        self._deadline = deadline
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="cleanlist-page")
        self._free = asyncio.Semaphore(threads)
        self._all_threads = threads
        self._answers: dict[K, tuple[float, asyncio.Future[V]]] = {}
        self._begun: dict[K, float] = {}

    async def get(self, question: K) -> V:
        """Return the answer to a question, at most :data:`FRESH_SECONDS` old.

        Args:
            question: The question.

        Raises:
            BusyError: No thread was free in time.
            LateError: The answer takes too long, or those that hold all threads do.
        """
        known = self._answers.get(question)
        if known is None or (known[1].done() and self._clock() - known[0] >= FRESH_SECONDS):
            known = (self._clock(), asyncio.ensure_future(self._ask(question)))
            self._answers.pop(question, None)
            self._answers[question] = known
            self._forget_old()
        try:
            left = known[0] + self._patience + self._deadline - self._clock()
            return await asyncio.wait_for(asyncio.shield(known[1]), max(0.0, left))
        except (BusyError, LateError):
            if self._answers.get(question) is known:
                del self._answers[question]
            raise
        except TimeoutError:
            raise LateError from None

    async def _ask(self, question: K) -> V:
        if self._is_stuck():
            raise LateError
        try:
            await asyncio.wait_for(self._free.acquire(), self._patience)
        except TimeoutError:
            raise BusyError from None
        self._begun[question] = self._clock()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)
        finally:
            del self._begun[question]
            self._free.release()

    def _is_stuck(self) -> bool:
        """Return whether every thread has been taken for longer than an answer may take."""
        late = [begun for begun in self._begun.values() if self._clock() - begun >= self._deadline]
        return len(late) == self._all_threads

    def _forget_old(self) -> None:
        done = [question for question, (_, answer) in self._answers.items() if answer.done()]
        for question in done[: max(0, len(self._answers) - MOST_ANSWERS)]:
            del self._answers[question]
