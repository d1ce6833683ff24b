"""When to check the status of a workflow next, as a pure rule. Times are in seconds, ages count from the submission.

The progress of a workflow is taken as a power of its age, ``processed / total = (age / duration) ** exponent``, with
one exponent for all workflows of a wait. Its next check comes at the end that this foresees. Where nothing foresees an
end, checks come at even intervals from the typical duration on; the more workflows share the request budget, the later
the first and the longer the intervals.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection
from dataclasses import asdict, dataclass

STEEPEST = 3.0
"""Largest exponent of progress that is believed; the smallest is its inverse."""

FLATTEST_UNDATED = 0.8
"""Smallest exponent that is believed where ages count from later than the submission: even progress seems slower."""

REACH = 2.5
"""Multiple of a workflow's age, or of the age when its first check is due, up to which a foreseen end is trusted."""

LONE_CAUTION = 0.6
"""Share of the foreseen remaining time after which a workflow without company is checked again."""

CROWD_DELAY = 0.25
"""Share of the typical duration by which ten times as many workflows delay their first checks."""


@dataclass(frozen=True, slots=True)
class ProgressEstimate:
    """What the status checks of a running workflow have shown; age 0 means nothing yet.

    Attributes:
        age: Age at the last check.
        processed: Contacts processed then.
        share: The same as a share of all contacts.
        exponent: Exponent of the progress since the check before, or the last one known.
        is_stalled: Whether nothing was processed since the check before.
    """

    age: float = 0.0
    processed: int = 0
    share: float = 0.0
    exponent: float | None = None
    is_stalled: bool = False

    def after(self, age: float, processed: int, total: int) -> ProgressEstimate:
        """Return the estimate after one more check.

        Args:
            age: Age at the check.
            processed: Contacts processed.
            total: Contacts in the workflow, 0 if unknown.
        """
        if age <= self.age:
            return self
        processed, exponent = min(processed, total), self.exponent
        has_grown = processed > self.processed
        if self.age and has_grown:
            growth = math.log((processed + 0.5) / (self.processed + 0.5)) / math.log(age / self.age)
            exponent = min(max(growth, 1 / STEEPEST), STEEPEST)
        share = processed / total if total else 0.0
        return ProgressEstimate(age, processed, share, exponent, is_stalled=self.age > 0 and not has_grown)

    def end_age(self, exponent: float) -> float | None:
        """Return the age at which the workflow should end, or None if nothing foresees it.

        That all contacts are processed foresees an end within moments, but only once.

        Args:
            exponent: The exponent of progress.
        """
        if self.share < 1e-9 or (self.share == 1 and self.is_stalled):  # with less, the power might overflow
            return None
        return self.age * math.pow(self.share, -1 / exponent)


@dataclass(frozen=True, slots=True)
class PollRule:
    """The schedule for a request budget; the defaults suit 60 requests a minute.

    Attributes:
        typical: Duration of a workflow that is assumed before others have been seen.
        shortest_gap: Least time between two checks of a workflow; also the age at the first probe.
        lone_gap: Time between two checks of a workflow without company, when nothing foresees its end.
        longest_gap: Most time between two checks of a workflow; its turn in the budget may come later.
        per_request: Time that the budget has for one request.
        second: Unit of these times: a second if the budget's window is a minute.
    """

    typical: float = 90.0
    shortest_gap: float = 5.0
    lone_gap: float = 8.0
    longest_gap: float = 300.0
    per_request: float = 1.0
    second: float = 1.0

    @classmethod
    def for_budget(cls, requests: int, window: float) -> PollRule:
        """Return the rule for a budget: all times follow the length of its window.

        Args:
            requests: Requests per window.
            window: Length of the window in seconds.
        """
        scaled = {name: value * window / 60 for name, value in asdict(cls()).items()}
        return cls(**{**scaled, "per_request": window / requests})

    def learned(self, durations: Collection[float]) -> float:
        """Return the typical duration: the lower median of the assumed one and those seen.

        So one quick workflow is believed at once, and one slow workflow does not keep a crowd waiting.

        Args:
            durations: Durations of workflows that have ended or whose end is foreseen.
        """
        return statistics.median_low([self.typical, *durations])

    def next_check(self, seen: ProgressEstimate, exponent: float, typical: float, in_flight: int) -> float:
        """Return the age at which a running workflow is to be checked next.

        Args:
            seen: What its checks have shown.
            exponent: Exponent of progress of the wait's workflows.
            typical: Their typical duration.
            in_flight: Workflows that share the budget.
        """
        crowd = max(1.0, in_flight * self.per_request / self.second)
        gap = max(self.lone_gap * math.sqrt(crowd), self.second * crowd)
        first = typical * (1 + CROWD_DELAY * math.log10(crowd / 10)) if crowd > 1 else self.lone_gap
        end_age = seen.end_age(exponent)
        if end_age is None:
            due = max(first, seen.age + gap) if seen.age else first
        else:
            due = seen.age + (end_age - seen.age) * (1.0 if crowd > 1 else LONE_CAUTION)
            if due > REACH * max(seen.age, first):
                due = max(REACH * seen.age, first)
            if seen.is_stalled:
                due = min(due, seen.age + gap)
        return seen.age + min(max(due - seen.age, self.shortest_gap), self.longest_gap)
