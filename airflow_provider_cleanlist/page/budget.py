"""What the shared request budget says of the last minute, and what it cannot say."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from airflow_provider_cleanlist.client.rate_limit.core import Budget, BudgetState, allowed

BINS = 12
"""Into how many parts of equal length the last window is divided."""


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """How the request budget is used.

    Attributes:
        allowed: Requests per window at present.
        requests: Requests per window when nothing was refused lately.
        window: Length of the window in seconds.
        used: Requests in the last window.
        bins: The same in :data:`BINS` parts of the window, oldest first.
        waiting: Requests that wait for a moment that is booked for them.
        wait_seconds: How long the last of them waits.
        stopped_seconds: For how long nothing is sent, because the API asked for it.
    """

    allowed: int
    requests: int
    window: float
    used: int
    bins: tuple[int, ...]
    waiting: int
    wait_seconds: float
    stopped_seconds: float


def place_of(store: str) -> str:
    """Return whose requests a store counts: of the ``host``, of all hosts that use a ``server``, of this ``process``.

    Args:
        store: The connection's ``rate_limit_store``.
    """
    scheme = store.partition("://")[0]
    return {"": "host", "file": "host", "memory": "process"}.get(scheme, "server")


def use_of(state: BudgetState, budget: Budget, now: float) -> BudgetUse:
    """Return how a budget is used.

    Args:
        state: Its state.
        budget: The allowance.
        now: The moment on the clock of ``state``.
    """
    present = bisect_right(state.grants, now)
    start = now - budget.window
    recent = [moment for moment in state.grants[:present] if moment > start]
    places = [min(BINS - 1, int((moment - start) * BINS / budget.window)) for moment in recent]
    ahead = state.grants[present:]
    return BudgetUse(
        allowed=allowed(state, budget),
        requests=budget.requests,
        window=budget.window,
        used=len(recent),
        bins=tuple(places.count(place) for place in range(BINS)),
        waiting=len(ahead),
        wait_seconds=ahead[-1] - now if ahead else 0.0,
        stopped_seconds=max(0.0, state.blocked_until - now),
    )
