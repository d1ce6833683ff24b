"""The schedule of polls as pure rules: how far a workflow is, and when to look at it next.

A workflow is looked at first when a typical one is half through, then when its progress foresees its end, or at
even distances where there is no progress. (Distances that grow with age lose against fixed ones; measured in
``benchmarks/polling.py``.) The typical duration is learned as workflows end, the first workflow being looked at early
for that purpose. The fewer workflows are in flight, the closer they are looked at; in a crowd each is looked at once in
as many seconds as the request budget needs for all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection
from dataclasses import dataclass, fields, replace

FEWEST_CONTACTS = 10
"""Contacts that must have been processed between two looks for them to tell a speed."""

FIRST_LOOK = 0.6
"""Share of the typical duration after which a workflow among several is first looked at."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one workflow gets on, from what was seen of it. Ages are seconds since its submission.

    Attributes:
        since_age: Age at the look from which on the speed is measured.
        since_done: Contacts processed at that look.
        end_age: Age at which the end is foreseen, or None.
        misses: How often the end was foreseen for a moment at which it had not come.
    """

    since_age: float = 0.0
    since_done: int = 0
    end_age: float | None = None
    misses: int = 0

    def seen(
        self, age: float, done: int | None, total: int | None, *, last_age: float | None, lag: float
    ) -> Pace:
        """Take in a look at a running workflow.

        Args:
            age: Age at the look.
            done: Contacts processed, or None.
            total: Contacts in the workflow, or None.
            last_age: Age at the look before, or None.
            lag: Greatest age at which any workflow had not begun yet.
        """
        missed = self.end_age is not None and self.end_age <= age
        pace = replace(self, misses=self.misses + missed)
        if not done or not total:
            return pace
        since = max(self.since_age, lag if lag < age else 0.0) if self.since_done == 0 else self.since_age
        new = done - self.since_done
        if new < min(FEWEST_CONTACTS, total - self.since_done):
            return pace
        begun_unseen = self.since_done == 0 and last_age is not None
        end_age = None if begun_unseen else age + max(0, total - done) * (age - since) / new
        return replace(pace, since_age=age, since_done=done, end_age=end_age)


@dataclass(frozen=True, slots=True)
class PollRule:
    """The schedule's constants, in seconds; the defaults suit 60 requests a minute.

    Attributes:
        typical: Duration of a workflow as long as none has been seen.
        scout: Age at which the first workflow is looked at while nothing is known.
        alone: Time between two looks at a workflow that is alone.
        together: Time between two looks at a workflow among several.
        smallest_gap: Least time between two looks at a workflow.
        largest_gap: Most time between two looks at a workflow; its turn in the request budget may come later.
        patience: Age, or typical duration, from which on the time between looks grows with it.
        per_request: Time that the budget has for one request.
        minute: Length of the budget's window.
    """

    typical: float = 90.0
    scout: float = 5.0
    alone: float = 8.5
    together: float = 22.5
    smallest_gap: float = 5.0
    largest_gap: float = 300.0
    patience: float = 900.0
    per_request: float = 1.0
    minute: float = 60.0

    @classmethod
    def for_budget(cls, requests: int, window: float) -> PollRule:
        """Return the rule for a budget: all times follow the length of its window.

        Args:
            requests: Requests per window.
            window: Length of the window in seconds.
        """
        default = cls()
        scaled = {field.name: getattr(default, field.name) * window / default.minute for field in fields(cls)}
        return cls(**{**scaled, "per_request": window / requests})

    def learned(self, durations: Collection[float]) -> float:
        """Return the typical duration: the median of what was seen and of what was supposed before.

        Args:
            durations: Durations of workflows that have ended or whose end is foreseen; several times the same
                weighs more.
        """
        logs = [math.log(max(seconds, 0.001)) for seconds in durations]
        supposed = math.log(self.typical)
        if len(logs) == 1:
            return math.exp((supposed + 2 * logs[0]) / 3)
        return math.exp(statistics.median([supposed, *logs]))

    def first_delay(self, typical: float, in_flight: int) -> float:
        """Return the age at which a workflow is first looked at.

        Args:
            typical: Typical duration as known so far.
            in_flight: Workflows in flight.
        """
        return self._clamped(typical * min(1.0, self._crowd(in_flight) / 8) * FIRST_LOOK)

    def scout_gap(self, age: float) -> float:
        """Return the time to the next look at the first workflow while nothing is known.

        Args:
            age: Its age at the last look.
        """
        return max(3 * age, self.smallest_gap)

    def gap(self, age: float, typical: float, in_flight: int, company: int) -> float:
        """Return the time from one look at a running workflow to the next when nothing foresees its end.

        Args:
            age: Its age at the last look.
            typical: Typical duration as known so far.
            in_flight: Workflows in flight.
            company: Workflows in flight at the start; the last of many are not looked at much closer than the rest.
        """
        turn = max(in_flight, 0.3 * company) * self.per_request
        gap = max(self._close(typical, in_flight), turn)
        gap *= max(1.0, max(typical, age) / self.patience)
        return self._clamped(gap)

    def gap_to_end(self, pace: Pace, age: float, typical: float, in_flight: int, company: int) -> float:
        """Return the time from one look to the next when the end is foreseen.

        A foresight that failed is trusted by half. So is every one about a workflow that has been nearly alone from the
        start: that costs few requests, and a workflow that speeds up is not seen late.

        Args:
            pace: Its pace; ``end_age`` must be known.
            age: Its age at the last look.
            typical: Typical duration as known so far.
            in_flight: Workflows in flight.
            company: Workflows in flight at the start.
        """
        remaining, company_weight = max(0.0, (pace.end_age or 0.0) - age), self._crowd(company)
        close, usual = self._close(typical, in_flight), self.gap(age, typical, in_flight, company)
        trust = 0.5 if pace.misses else min(1.0, 0.5 + (company_weight - 1) / 6)
        longest = max(
            (1.0 if company_weight < 4 else 3.5) * age, usual, self.first_delay(typical, in_flight) - age
        )
        least = min(close if pace.misses else close / 2, usual)
        return self._clamped(max(least, min(remaining * trust, longest)))

    def _crowd(self, in_flight: int) -> float:
        """Return the workflows in flight, each weighed by what a request takes of the budget."""
        return max(1.0, in_flight * self.per_request / (self.minute / 60))

    def _close(self, typical: float, in_flight: int) -> float:
        together = self.together * min(1.0, max(0.25, typical / self.typical))
        return min(self.alone * math.sqrt(self._crowd(in_flight)), together)

    def _clamped(self, gap: float) -> float:
        return min(max(gap, self.smallest_gap), self.largest_gap)
