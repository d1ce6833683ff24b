"""Budgets kept by this process: what all stores on one machine have in common, and the store in memory."""

from __future__ import annotations

import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_cleanlist.client.rate_limit.core import (
    Budget,
    BudgetState,
    Decision,
    Priority,
    Reservation,
    Verdict,
    hold,
    penalize,
    reserve,
)

T = TypeVar("T")
Change = Callable[[BudgetState, float], tuple[BudgetState, T]]
"""A step of the core: state and moment in, new state and an answer out."""


def new_state() -> BudgetState:
    """Return an empty log with a number of its own."""
    born = secrets.randbits(48)
    return BudgetState(born=born, epoch=born)


class LocalCooldown:
    """How long this process must hold a log that does not know what the process has lately sent or been told.

    A log can be new because its file was deleted, its server was restarted, or another store had to stand in.

    Args:
        budget: The allowance.
    """

    def __init__(self, budget: Budget) -> None:
        self._span = budget.span
        self._until = 0.0

    def sent(self, now: float) -> None:
        """Note that a request goes now.

        Args:
            now: Seconds on the limiter's clock.
        """
        self._until = max(self._until, now + self._span)

    def stopped(self, until: float) -> None:
        """Note that a 429 forbids requests until then.

        Args:
            until: Moment on the limiter's clock, in seconds.
        """
        self._until = max(self._until, until)

    def seconds(self, now: float) -> float:
        """Return for how many seconds a log without this knowledge must be held; zero if it need not.

        Args:
            now: Seconds on the limiter's clock.
        """
        return max(0.0, self._until - now)


class LocalRateLimiter(ABC):
    """A limiter that decides in this process; subclasses share the state under a lock.

    Args:
        budget: The allowance.
        clock: Seconds on the clock that everybody who shares the state reads.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.clock = clock
        self.cooldown = LocalCooldown(budget)

    def reserve(
        self, priority: Priority, *, waited: float, max_wait: float, reservation: Reservation | None = None
    ) -> Decision:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.reserve`."""

        def change(state: BudgetState, now: float) -> tuple[BudgetState, Decision]:
            state, decision = reserve(
                state,
                self.budget,
                now=now,
                priority=priority,
                waited=waited,
                max_wait=max_wait,
                reservation=reservation,
            )
            if decision.verdict is Verdict.GO:
                self.cooldown.sent(now)
            return state, decision

        return self.update(change)

    def penalize(self, seconds: float) -> None:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.penalize`."""

        def change(state: BudgetState, now: float) -> tuple[BudgetState, None]:
            self.cooldown.stopped(now + seconds)
            return penalize(state, self.budget, now=now, seconds=seconds), None

        self.update(change)

    def hold(self, seconds: float) -> None:
        """Stop everyone for ``seconds``, if that is any time at all, without lowering the allowance.

        Args:
            seconds: Length of the stop in seconds.
        """
        if seconds > 0:
            self.update(lambda state, now: (hold(state, self.budget, now=now, seconds=seconds), None))

    @abstractmethod
    def update(self, change: Change[T]) -> T:
        """Apply a change to the shared state, alone, and return its answer.

        Args:
            change: The step to apply.
        """


class MemoryState:
    """The state of a scope in this process, with its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value = new_state()


class MemoryRateLimiter(LocalRateLimiter):
    """A budget shared by the threads and event loops of one process.

    Args:
        budget: The allowance.
        clock: Seconds on a clock that is never set.
        state: The state, where several limiters share it.
    """

    def __init__(
        self,
        budget: Budget,
        clock: Callable[[], float] = time.monotonic,
        state: MemoryState | None = None,
    ) -> None:
        super().__init__(budget, clock)
        self._state = state or MemoryState()

    def update(self, change: Change[T]) -> T:
        """See :meth:`LocalRateLimiter.update`."""
        with self._state.lock:
            self._state.value, answer = change(self._state.value, self.clock())
        return answer
