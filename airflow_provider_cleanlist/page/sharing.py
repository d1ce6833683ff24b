"""Readers of the page share the reading: a few threads for all, and an answer counts for a few seconds.

Airflow's API server runs its own blocking requests in a pool of threads. The page takes none of it, however many people
open it and however slow the ledger is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

PATIENCE_SECONDS = 2.0
"""How long a question waits for its turn and a thread before it is refused."""
FRESH_SECONDS = 5.0
"""How long an answer counts."""
MOST_ANSWERS = 64
"""Answers that are kept at most."""


class BusyError(Exception):
    """All threads, or the asker's turn, have been taken for as long as the question waited."""


class LateError(Exception):
    """The answer takes too long. Its thread stays taken until it comes."""


class SharedAnswers(Generic[K, V]):
    """Answers to questions; the same question is answered once, however many ask it.

    An asker has one open question at a time, so that nobody keeps the threads from others.

    Args:
        answer: Blocking; answers a question.
        threads: Questions that are answered at the same time.
        clock: Seconds on a clock that is never set.
        patience: Seconds that a question waits for its turn and a thread.
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
        self._begun: dict[K, tuple[Hashable, float]] = {}
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def get(self, question: K, asker: Hashable = None) -> V:
        """Return the answer to a question, at most :data:`FRESH_SECONDS` old.

        Args:
            question: The question.
            asker: Who asks; None if they may have any number of open questions.

        Raises:
            BusyError: No thread was free in time, or another question of the asker's was open.
            LateError: The answer takes too long, or those that are waited for do.
        """
        known = self._answers.get(question)
        if known is None or (known[1].done() and self._clock() - known[0] >= FRESH_SECONDS):
            known = (
                self._clock(),
                asyncio.ensure_future(self._ask(question, question if asker is None else asker)),
            )
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

    async def _ask(self, question: K, asker: Hashable) -> V:
        if self._is_stuck(asker):
            raise LateError
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._patience):
                    await held.enter_async_context(self._turns.setdefault(asker, asyncio.Lock()))
                    await held.enter_async_context(self._free)
            except TimeoutError:
                raise BusyError from None
            self._begun[question] = asker, self._clock()
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)
            finally:
                del self._begun[question]

    def _is_stuck(self, asker: Hashable) -> bool:
        """Return whether every thread, or the asker's own, has been taken for longer than an answer may take."""
        late = [by for by, begun in self._begun.values() if self._clock() - begun >= self._deadline]
        return len(late) == self._all_threads or asker in late

    def _forget_old(self) -> None:
        done = [question for question, (_, answer) in self._answers.items() if answer.done()]
        for question in done[: max(0, len(self._answers) - MOST_ANSWERS)]:
            del self._answers[question]
