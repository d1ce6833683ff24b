"""The organisation's request budget: a pure moving-window core and the stores that share it.

The API allows so many requests per fixed window and organisation (contract section 2). The core keeps a log of
reserved moments and says *when* the next request may go, not whether, so waiting is fair and cheap. Work (submits,
page reads, everything else) books a moment in the future; polls take one only when it is free now, spread evenly,
and count as work after two minutes so that they never starve.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

POLL_PROMOTION_SECONDS = 120.0


class Priority(Enum):
    """Class of a request in the budget."""

    WORK = "work"
    POLL = "poll"


class Verdict(Enum):
    """What to do with a request now."""

    GO = "go"
    """The place is booked: send after the delay."""
    ASK_AGAIN = "ask again"
    """Nothing is booked: ask again after the delay."""
    REFUSED = "refused"
    """Nothing is booked: the next place is further away than the request may wait."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and its delay in seconds from now."""

    verdict: Verdict
    delay: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The allowance.

    Attributes:
        requests: Requests per window.
        window: Length of the window in seconds.
        margin: Seconds kept between a full window and the next request, because the server's clock starts its
            window when a request arrives and not when we send it. A sixtieth of the window by default.
    """

    requests: int = 60
    window: float = 60.0
    margin: float = -1.0

    def __post_init__(self) -> None:
        if self.requests < 1 or self.window <= 0:
            raise ValueError("a request budget needs at least 1 request and a window longer than 0 s")
        if self.margin < 0:
            object.__setattr__(self, "margin", self.window / 60)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What all processes of a scope share. Times are seconds on the store's clock.

    Attributes:
        grants: Booked moments, ascending, at most ``Budget.requests`` of them.
        blocked_until: Nothing may be sent before this moment (a 429 said so).
        last_poll: Moment of the last poll granted.
        lowered_by: Requests per window that 429s have taught us to leave out.
        lowered_at: Moment of the last change of ``lowered_by``.
    """

    grants: tuple[float, ...] = ()
    blocked_until: float = -math.inf
    last_poll: float = -math.inf
    lowered_by: int = 0
    lowered_at: float = -math.inf


def reserve(
    state: BudgetState, budget: Budget, *, now: float, priority: Priority, waited: float, max_wait: float
) -> tuple[BudgetState, Decision]:
    """Book the next free moment, or say when to ask again.

    Args:
        state: The shared state.
        budget: The allowance.
        now: Seconds on the clock of ``state``.
        priority: Class of the request.
        waited: Seconds the request has been waiting.
        max_wait: Seconds it may still wait.

    Returns:
        The new state and the decision. The state is the old one unless the verdict is GO (or time raised the limit).
    """
    state = _raised(state, budget, now)
    slot = next_slot(state, budget, now)
    is_poll = priority is Priority.POLL
    if is_poll and waited < POLL_PROMOTION_SECONDS:
        free_at = max(slot, state.last_poll + budget.window / allowed(state, budget))
        if free_at > now:
            return state, Decision(
                Verdict.ASK_AGAIN if free_at - now <= max_wait else Verdict.REFUSED,
                min(free_at - now, max(POLL_PROMOTION_SECONDS - waited, 0.0) or free_at - now),
            )
    if slot - now > max_wait:
        return state, Decision(Verdict.REFUSED, slot - now)
    booked = dataclasses.replace(
        state,
        grants=(*state.grants, slot)[-budget.requests :],
        last_poll=slot if is_poll else state.last_poll,
    )
    return booked, Decision(Verdict.GO, slot - now)


def next_slot(state: BudgetState, budget: Budget, now: float) -> float:
    """Return the first moment at which one more request keeps within the allowance."""
    slot = max(now, state.blocked_until)
    if state.grants:
        slot = max(slot, state.grants[-1])
    limit = allowed(state, budget)
    if len(state.grants) >= limit:
        slot = max(slot, state.grants[-limit] + budget.window + budget.margin)
    return slot


def allowed(state: BudgetState, budget: Budget) -> int:
    """Return the requests per window that we dare at present."""
    return max(1, budget.requests - state.lowered_by)


def penalize(state: BudgetState, budget: Budget, *, now: float, seconds: float) -> BudgetState:
    """Take in a 429: block everyone for ``seconds`` and leave out one more request per window."""
    return dataclasses.replace(
        state,
        blocked_until=max(state.blocked_until, now + seconds),
        lowered_by=min(budget.requests - 1, state.lowered_by + 1),
        lowered_at=now,
    )


def _raised(state: BudgetState, budget: Budget, now: float) -> BudgetState:
    """Win back one request per window for each full window without a 429."""
    if not state.lowered_by:
        return state
    clean_since = max(state.lowered_at, state.blocked_until)
    windows = int((now - clean_since) // budget.window) if now > clean_since else 0
    if windows < 1:
        return state
    return dataclasses.replace(
        state,
        lowered_by=max(0, state.lowered_by - windows),
        lowered_at=clean_since + windows * budget.window,
    )


class RateLimiter(Protocol):
    """A budget shared by everybody who uses the same scope."""

    def reserve(self, priority: Priority, *, waited: float, max_wait: float) -> Decision:
        """Book the next free moment, or say when to ask again; never blocks for longer than its store needs."""

    def penalize(self, seconds: float) -> None:
        """Take in a 429 that asked to wait ``seconds``."""


class MemoryRateLimiter:
    """A budget shared by the threads and event loops of one process."""

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._state = BudgetState()
        self._lock = threading.Lock()

    def reserve(self, priority: Priority, *, waited: float, max_wait: float) -> Decision:
        """See :class:`RateLimiter`."""
        with self._lock:
            self._state, decision = reserve(
                self._state,
                self._budget,
                now=self._clock(),
                priority=priority,
                waited=waited,
                max_wait=max_wait,
            )
        return decision

    def penalize(self, seconds: float) -> None:
        """See :class:`RateLimiter`."""
        with self._lock:
            self._state = penalize(self._state, self._budget, now=self._clock(), seconds=seconds)


_process_limiters: dict[tuple[str, Budget], MemoryRateLimiter] = {}
_process_lock = threading.Lock()


def memory_limiter(scope: str, budget: Budget) -> MemoryRateLimiter:
    """Return this process's limiter of a scope, the same one for everybody who asks.

    Args:
        scope: Name of the organisation's budget; holds no secret.
        budget: The allowance.
    """
    with _process_lock:
        return _process_limiters.setdefault((scope, budget), MemoryRateLimiter(budget))
