"""The rules of the request budget: pure functions over a moving window, applied by every store.

The API allows a number of requests per window and organisation. The core keeps a log of booked moments and answers
*when* the next request may go, not whether it may, so waiting is fair and cheap. Work (submits, page reads, everything
else) books a moment ahead. Status polls take turns to check for a free moment; after two windows of waiting a turn
entitles a poll to book like work, so polls never starve.

A request that waits holds a :class:`Reservation` and presents it when it asks again. A 429 voids all reservations:
that is how it stops everyone.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

MARGIN_PER_WINDOW = 1 / 60
"""Fraction of a window by which ours is longer than the server's."""
PROMOTION_WINDOWS = 2.0
"""Windows of waiting after which a poll's turn entitles it to book like work."""
GAPS_PER_PACE = 8.0
"""How many times closer together than evenly spaced requests two requests may be."""
SPARE_PACES = 1.5
"""Paces without a poll after which one may go before its turn; a pace is the spacing of evenly spaced requests."""
ABANDONED_PACES = 3.0
"""Paces without a poll after which turns are handed out anew, because those who held them are gone."""
CHECKS_PER_WINDOW = 4.0
"""How often in a window a waiting poll checks for a free moment."""


class Priority(Enum):
    """Class of a request in the budget.

    Attributes:
        WORK: Submits, page reads and everything else except polls.
        POLL: Status checks of workflows.
    """

    WORK = "work"
    POLL = "poll"


class Verdict(Enum):
    """What to do with a request now."""

    GO = "go"
    """Send it now."""
    WAIT = "wait"
    """Wait for the delay, then ask again with the reservation."""
    REFUSED = "refused"
    """Give up: the next free moment is further away than the request may wait. Nothing is booked."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a waiting request holds: a booked moment, or a poll's turn to check for a free one.

    Attributes:
        moment: When to go or to check, in seconds on the store's clock.
        booked: True for a booked moment, False for a poll's turn.
        stamp: Valid as long as the state has this ``epoch`` (booked moment) or ``born`` (turn).
    """

    moment: float
    booked: bool
    stamp: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a request that asks to be sent.

    Attributes:
        verdict: Go, wait or give up.
        delay: Seconds to wait before asking again; for a refusal, seconds until the next free moment.
        reservation: What to present after the delay.
    """

    verdict: Verdict
    delay: float = 0.0
    reservation: Reservation | None = None


GO = Decision(Verdict.GO)
"""The decision to send at once."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The allowance.

    Attributes:
        requests: Requests per window, at least 1.
        window: Length of the window in seconds.

    Raises:
        ValueError: There is no request per window, or the window has no length.
    """

    requests: int = 60
    window: float = 60.0

    def __post_init__(self) -> None:
        if self.requests < 1 or self.window <= 0:
            raise ValueError("a request budget needs at least 1 request and a window longer than 0 s")

    @property
    def margin(self) -> float:
        """Seconds by which our window is longer than the server's, which counts arrivals where we count departures."""
        return self.window * MARGIN_PER_WINDOW

    @property
    def span(self) -> float:
        """Length in seconds of our window."""
        return self.window + self.margin

    @property
    def gap(self) -> float:
        """Minimum seconds between two requests, so that an unknown limit is reached by few at a time, not by all."""
        return self.window / self.requests / GAPS_PER_PACE

    @property
    def promotion(self) -> float:
        """Seconds of waiting after which a poll's turn entitles it to book like work."""
        return self.window * PROMOTION_WINDOWS


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What everybody who uses a scope shares. Moments are seconds on the store's clock.

    Attributes:
        born: Random identity of this log; a different one means that the earlier log was lost.
        epoch: Counts up whenever all bookings are voided; starts at ``born``.
        seen: Moment of the last use that was recorded.
        grants: Booked moments, ascending: those of the last window and those ahead.
        blocked_until: Nothing may be sent before this moment.
        last_poll: Moment of the last poll that was let go.
        poll_turn: The last turn handed out to a poll.
        lowered_by: Requests per window to leave out, as learned from 429s.
        lowered_at: Moment of the last change of ``lowered_by``, in seconds.
        step: By how much the last 429 lowered; 0 after a window without one.
    """

    born: int = 0
    epoch: int = 0
    seen: float = -math.inf
    grants: tuple[float, ...] = ()
    blocked_until: float = -math.inf
    last_poll: float = -math.inf
    poll_turn: float = -math.inf
    lowered_by: int = 0
    lowered_at: float = -math.inf
    step: int = 0


def reserve(
    state: BudgetState,
    budget: Budget,
    *,
    now: float,
    priority: Priority,
    waited: float,
    max_wait: float,
    reservation: Reservation | None = None,
) -> tuple[BudgetState, Decision]:
    """Let a request go, give it a reservation to wait with, or refuse it.

    Args:
        state: The shared state.
        budget: The allowance as this caller knows it.
        now: Seconds on the clock of ``state``.
        priority: Class of the request.
        waited: Seconds the request has been waiting.
        max_wait: Seconds it may still wait.
        reservation: The reservation from the previous decision on this request.

    Returns:
        The new state, or the very object that was given if nothing has to be remembered, and the decision.
    """
    current = _current(state, budget, now)
    if reservation and reservation.stamp != (current.epoch if reservation.booked else current.born):
        reservation = None  # voided by a 429, or given by a log that was lost
    is_poll = priority is Priority.POLL
    if reservation and reservation.booked:
        changed, decision = _take_up(current, budget, now, max_wait, reservation, is_poll=is_poll)
    elif is_poll:
        changed, decision = _reserve_poll(
            current, budget, now=now, waited=waited, max_wait=max_wait, given=reservation
        )
    else:
        changed, decision = _book(current, budget, now, max_wait)
    is_on_record = decision.verdict is not Verdict.GO or now <= state.seen + budget.margin  # see _set_back
    if changed is current and current.born == state.born and is_on_record:
        return state, decision
    return changed, decision


def penalize(state: BudgetState, budget: Budget, *, now: float, seconds: float) -> BudgetState:
    """Record a 429: stop everyone for ``seconds`` and leave out more requests per window.

    The first 429 leaves out one request; if the next window is overdrawn as well, twice as many as the time before.
    Each further 429 of requests that were already under way leaves out one more: a window was overdrawn by exactly
    the requests that were refused.

    Args:
        state: The shared state.
        budget: The allowance.
        now: Seconds on the clock of ``state``.
        seconds: Seconds that the 429 asked to wait.

    Returns:
        The new state.
    """
    state = _current(state, budget, now)
    is_first = now >= state.blocked_until
    step = min(max(1, 2 * state.step), budget.requests) if is_first else state.step
    return replace(
        hold(state, budget, now=now, seconds=seconds),
        lowered_by=min(budget.requests - 1, state.lowered_by + (step if is_first else 1)),
        lowered_at=now,
        step=step,
    )


def hold(state: BudgetState, budget: Budget, *, now: float, seconds: float) -> BudgetState:
    """Return a state that stops everyone and voids all bookings, so nobody sleeps through the stop and then sends.

    Args:
        state: The shared state.
        budget: The allowance.
        now: Seconds on the clock of ``state``.
        seconds: Length of the stop in seconds.
    """
    state = _current(state, budget, now)
    return replace(
        state,
        epoch=state.epoch + 1,
        grants=state.grants[: bisect_right(state.grants, now)],
        blocked_until=max(state.blocked_until, now + seconds),
        last_poll=min(state.last_poll, now),
    )


def next_slot(state: BudgetState, budget: Budget, now: float) -> float:
    """Return the first moment at which one more request stays within the allowance.

    Args:
        state: The shared state.
        budget: The allowance.
        now: Seconds on the clock of ``state``.
    """
    slot = max(now, state.blocked_until)
    if state.grants:
        slot = max(slot, state.grants[-1] + budget.gap)
    limit = allowed(state, budget)
    if len(state.grants) >= limit:
        slot = max(slot, state.grants[-limit] + budget.span)
    return slot


def allowed(state: BudgetState, budget: Budget) -> int:
    """Return the requests per window to send at present.

    Args:
        state: The shared state.
        budget: The allowance.
    """
    return max(1, budget.requests - state.lowered_by)


def lifetime(state: BudgetState, budget: Budget, now: float) -> float:
    """Return the seconds after which the state no longer says anything that an empty one would not.

    Args:
        state: The shared state.
        budget: The allowance.
        now: Seconds on the clock of ``state``.
    """
    last = max(now, state.blocked_until, state.poll_turn, *state.grants[-1:])
    return last - now + budget.span + state.lowered_by * budget.window


def _book(
    state: BudgetState, budget: Budget, now: float, max_wait: float, *, is_poll: bool = False
) -> tuple[BudgetState, Decision]:
    """Book the next free moment."""
    slot = next_slot(state, budget, now)
    if slot - now > max_wait:
        return state, Decision(Verdict.REFUSED, slot - now)
    last_poll = slot if is_poll else state.last_poll
    state = replace(state, grants=(*state.grants, slot), last_poll=last_poll)
    if slot <= now:
        return state, GO
    return state, Decision(Verdict.WAIT, slot - now, Reservation(slot, booked=True, stamp=state.epoch))


def _take_up(
    state: BudgetState,
    budget: Budget,
    now: float,
    max_wait: float,
    reservation: Reservation,
    *,
    is_poll: bool,
) -> tuple[BudgetState, Decision]:
    """Let a booked request go, unless it comes too late for the margin.

    A late request gives its booking up: otherwise those of a host that was suspended would all go at once, on top of
    what others have booked since. It goes now if the log has room for it, else it books again.
    """
    if reservation.moment > now:
        return state, Decision(Verdict.WAIT, reservation.moment - now, reservation)
    if now - reservation.moment <= budget.margin / 2:
        return state, GO
    grants = list(state.grants)
    if reservation.moment in state.grants:
        grants.remove(reservation.moment)
    state = replace(state, grants=tuple(grants))
    if not _has_room(state, budget, now):
        return _book(state, budget, now, max_wait, is_poll=is_poll)
    insort(grants, now)
    return replace(state, grants=tuple(grants)), GO


def _has_room(state: BudgetState, budget: Budget, now: float) -> bool:
    """Return whether one more request now, between past and booked ones, stays within the allowance."""
    at, limit = bisect_right(state.grants, now), allowed(state, budget)
    if at and now - state.grants[at - 1] < budget.gap:
        return False
    grants = (*state.grants[:at], now, *state.grants[at:])
    firsts = range(max(0, at - limit), min(at, len(grants) - limit - 1) + 1)
    return all(grants[first + limit] - grants[first] >= budget.span for first in firsts)


def _reserve_poll(
    state: BudgetState,
    budget: Budget,
    *,
    now: float,
    waited: float,
    max_wait: float,
    given: Reservation | None,
) -> tuple[BudgetState, Decision]:
    """Let a poll go in a free moment, or give it a turn.

    Turns come at the pace of the allowance, or at half of it while work is booked ahead, so overdue polls leave half
    of the allowance to work. Before its turn a poll checks a few times per window, so capacity that others leave
    unused is not lost. When nobody uses the turns, because the polls died, they are all handed out anew.
    """
    slot = next_slot(state, budget, now)
    pace = budget.span / allowed(state, budget)
    work_ahead = bool(state.grants) and state.grants[-1] > now
    is_abandoned = slot <= now and state.last_poll + ABANDONED_PACES * pace <= now
    next_turn = now if is_abandoned else max(now, state.poll_turn + (2 * pace if work_ahead else pace))
    if given is not None and next_turn < given.moment:
        given = None
    turn = next_turn if given is None else given.moment
    if turn <= now:
        if slot <= now or waited + pace >= budget.promotion:
            if given is None:
                state = replace(state, poll_turn=turn)
            return _book(state, budget, now, max_wait, is_poll=True)
        if slot - now > pace:
            given, turn = None, max(next_turn, min(slot, now + budget.promotion - waited))
        else:
            turn = slot
    elif given is not None and slot <= now and state.last_poll + SPARE_PACES * pace <= now:
        return _book(state, budget, now, max_wait, is_poll=True)
    if turn - now > max_wait:
        return state, Decision(Verdict.REFUSED, turn - now)
    if given is None:
        state = replace(state, poll_turn=turn)
    reservation = Reservation(turn, booked=False, stamp=state.born)
    return state, Decision(Verdict.WAIT, min(turn - now, budget.window / CHECKS_PER_WINDOW), reservation)


def _current(state: BudgetState, budget: Budget, now: float) -> BudgetState:
    """Bring the state up to now: forget what is older than the window, regain what 429s have taken."""
    if now < state.seen:
        state = _set_back(state, budget, now - state.seen)
    gone = bisect_right(state.grants, now - budget.span)
    lowered_by, lowered_at, step = state.lowered_by, state.lowered_at, state.step
    clean_since = max(lowered_at, state.blocked_until)
    if lowered_by and now - clean_since >= budget.window:
        windows = math.floor((now - clean_since) / budget.window)
        lowered_by = max(0, lowered_by - windows)
        lowered_at, step = clean_since + windows * budget.window, 0
    return replace(
        state, seen=now, grants=state.grants[gone:], lowered_by=lowered_by, lowered_at=lowered_at, step=step
    )


def _set_back(state: BudgetState, budget: Budget, step: float) -> BudgetState:
    """Follow a clock that was set back: continue as if no time had passed since the last use that was recorded.

    Booked requests that went up to a margin later did so without a record.
    """
    past = state.grants[: bisect_right(state.grants, state.seen + budget.margin)]
    return replace(
        state,
        born=state.born + 1,
        epoch=state.epoch + 1,
        grants=tuple(moment + step for moment in past),
        blocked_until=state.blocked_until + step,
        last_poll=min(state.last_poll, state.seen) + step,
        poll_turn=min(state.poll_turn, state.seen) + step,
        lowered_at=state.lowered_at + step,
    )


class RateLimiter(Protocol):
    """A budget shared by everybody who uses the same scope."""

    def reserve(
        self, priority: Priority, *, waited: float, max_wait: float, reservation: Reservation | None = None
    ) -> Decision:
        """Return the decision on a request (see :func:`reserve`) without waiting for its moment.

        Args:
            priority: Class of the request.
            waited: Seconds the request has been waiting.
            max_wait: Seconds it may still wait.
            reservation: The reservation from the previous decision on this request.
        """

    def penalize(self, seconds: float) -> None:
        """Record a 429.

        Args:
            seconds: Seconds that the 429 asked to wait.
        """
