"""What all stores of a request budget have in common, and the store in this process's memory."""

from __future__ import annotations

import math
import secrets
import struct
import threading
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter
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

FURTHEST_SECONDS = 86_400.0
"""How far ahead of now, beside a hundred windows, a state may book or stop."""
OLDEST_SECONDS = 1e9
"""How far in the past the moments of a state may be."""
MOST_LOWERED = 100_000
"""How many requests per window a state may leave out."""

_MAGIC = b"CLRATE01"
_HEAD = struct.Struct("<8sI16sQQddddIdII")
_FIELDS = attrgetter(
    "born", "epoch", "seen", "blocked_until", "last_poll", "poll_turn", "lowered_by", "lowered_at", "step"
)


def new_state() -> BudgetState:
    """Return an empty log with an identity of its own."""
    born = secrets.randbits(48)
    return BudgetState(born=born, epoch=born)


def encode(state: BudgetState, clock: bytes = b"") -> bytes:
    """Return a state as bytes that :func:`decode` reads.

    Args:
        state: The state.
        clock: Up to 16 bytes that name the clock of its moments, where there may be several.
    """
    count = len(state.grants)
    head = _HEAD.pack(_MAGIC, 0, clock, *_FIELDS(state), count)
    body = head[12:] + struct.pack(f"<{count}d", *state.grants)
    return _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def decode(data: bytes) -> tuple[bytes, BudgetState | None]:
    """Return the clock's name, 16 bytes long, and the state; no state when the data is damaged.

    Args:
        data: What :func:`encode` returned. Anything after it is ignored.
    """
    if len(data) < _HEAD.size:
        return b"", None
    magic, checksum, clock, born, epoch, seen, *rest, count = _HEAD.unpack_from(data)
    end = _HEAD.size + 8 * count
    if magic != _MAGIC or len(data) < end or zlib.crc32(data[12:end]) != checksum:
        return b"", None
    return clock, BudgetState(born, epoch, seen, struct.unpack_from(f"<{count}d", data, _HEAD.size), *rest)


def is_plausible(state: BudgetState, budget: Budget, now: float) -> bool:
    """Return whether a state can come from these rules, so that nothing in it stops its users for ever.

    Args:
        state: A state that others may have written.
        budget: The allowance.
        now: Seconds on the clock of ``state``.
    """
    furthest = now + FURTHEST_SECONDS + 100 * budget.window
    oldest = now - OLDEST_SECONDS
    optional = (state.seen, state.blocked_until, state.last_poll, state.poll_turn, state.lowered_at)
    learned_at = max(state.lowered_at, state.blocked_until)
    return (
        all(oldest <= moment <= furthest for moment in state.grants)
        and all(first <= later for first, later in pairwise(state.grants))
        and all(moment == -math.inf or oldest <= moment <= furthest for moment in optional)
        and state.lowered_by <= MOST_LOWERED
        and (not state.lowered_by or learned_at > -math.inf)
        and max(state.born, state.epoch) < 1 << 63
        and state.step <= MOST_LOWERED
    )


class LocalCooldown:
    """How long this process must hold a log that lacks the requests it has sent and the 429s it has received.

    A log can be new because its file was deleted, its server was restarted, or another store had to stand in.

    Args:
        budget: The allowance.
    """

    def __init__(self, budget: Budget) -> None:
        self._span = budget.span
        self._until = 0.0

    def sent(self, now: float) -> None:
        """Note that a request is sent now.

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
        """Return for how many seconds such a log must be held; zero if it need not be.

        Args:
            now: Seconds on the limiter's clock.
        """
        return max(0.0, self._until - now)


class BaseRateLimiter(ABC):
    """A limiter that applies the rules of the core; subclasses keep the state.

    Args:
        budget: The allowance.
        clock: Seconds on a clock of this machine that is never set.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.clock = clock
        self.cooldown = LocalCooldown(budget)

    def reserve(
        self, priority: Priority, *, waited: float, max_wait: float, reservation: Reservation | None = None
    ) -> Decision:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.reserve`."""
        decision = self.update(
            lambda state, now: reserve(
                state,
                self.budget,
                now=now,
                priority=priority,
                waited=waited,
                max_wait=max_wait,
                reservation=reservation,
            )
        )
        if decision.verdict is Verdict.GO:
            self.cooldown.sent(self.clock())
        return decision

    def penalize(self, seconds: float) -> None:
        """See :meth:`airflow_provider_cleanlist.client.rate_limit.core.RateLimiter.penalize`."""
        self.cooldown.stopped(self.clock() + seconds)
        self.update(lambda state, now: (penalize(state, self.budget, now=now, seconds=seconds), None))

    def hold(self, seconds: float) -> None:
        """Stop everyone for ``seconds``, unless that is zero, without lowering the allowance.

        Args:
            seconds: Length of the stop in seconds.
        """
        if seconds > 0:
            self.update(lambda state, now: (hold(state, self.budget, now=now, seconds=seconds), None))

    @abstractmethod
    def update(self, change: Change[T]) -> T:
        """Replace the shared state by a changed one, as if alone, and return the answer of the change.

        Args:
            change: The step to apply. May be applied more than once; only the last result is kept.
        """

    @abstractmethod
    def peek(self) -> tuple[BudgetState, float] | None:
        """Return the shared state and the moment on its clock; None if there is none, or it cannot be read.

        Changes nothing.
        """


class MemoryState:
    """The state of a scope in this process, with its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value = new_state()


class MemoryRateLimiter(BaseRateLimiter):
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
        """See :meth:`BaseRateLimiter.update`."""
        with self._state.lock:
            self._state.value, answer = change(self._state.value, self.clock())
        return answer

    def peek(self) -> tuple[BudgetState, float]:
        """See :meth:`BaseRateLimiter.peek`."""
        with self._state.lock:
            return self._state.value, self.clock()
