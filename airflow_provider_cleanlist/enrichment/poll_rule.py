"""The schedule of polls as a pure rule.

A workflow is looked at first when a typical one is nearly done, then when its progress says so. The typical duration
is learned as workflows end, and the fewer are in flight, the closer they are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PollRule:
    """The schedule's constants, in seconds; the defaults suit 60 requests a minute.

    Attributes:
        typical: Duration of a workflow as long as none has been seen.
        first_look: Age at which one workflow is looked at, to learn how fast things go.
        floor: Least time between two looks at a workflow in a crowd.
        ceiling: Time between looks at a workflow without progress, as long as it is young.
        smallest_gap: Least time between two looks at a workflow, always.
        largest_gap: Most time between two looks at a workflow, always.
        crowd: Workflows in flight from which on looks are as rare as ``floor`` and ``ceiling`` say; fewer are
            looked at more often, so that together they use up to a fifth of the request budget.
    """

    typical: float = 90.0
    first_look: float = 5.0
    floor: float = 15.0
    ceiling: float = 30.0
    smallest_gap: float = 5.0
    largest_gap: float = 300.0
    crowd: float = 12.0

    @classmethod
    def for_budget(cls, requests: int, window: float) -> PollRule:
        """Return the rule for a budget: times follow the window's length, the crowd follows the requests in it.

        Args:
            requests: Requests per window.
            window: Length of the window in seconds.
        """
        rule, scale = cls(), window / 60
        return cls(
            typical=rule.typical * scale,
            first_look=rule.first_look * scale,
            floor=rule.floor * scale,
            ceiling=rule.ceiling * scale,
            smallest_gap=rule.smallest_gap * scale,
            largest_gap=rule.largest_gap * scale,
            crowd=max(1.0, requests / 5),
        )

    def share(self, in_flight: int) -> float:
        """Return by how much the fewness of workflows shortens all times: a sixth to 1."""
        return min(1.0, max(1 / 6, in_flight / self.crowd))

    def first_delay(self, typical: float, in_flight: int) -> float:
        """Return the age at which a workflow is first looked at.

        Args:
            typical: Typical duration as known so far.
            in_flight: Workflows in flight.
        """
        return max(self.first_look, typical * 2 / 3 * self.share(in_flight))

    def gap(self, age: float, progress: float | None, typical: float, in_flight: int) -> float:
        """Return the time from one look at a running workflow to the next.

        Args:
            age: Age of the workflow at the look.
            progress: Share of its contacts done, or None.
            typical: Typical duration as known so far.
            in_flight: Workflows in flight.
        """
        scale = typical / self.typical
        floor, ceiling = self.floor * scale, self.ceiling * scale
        gap = max(ceiling, age / 5)
        if progress:
            gap = min(max(age * (1 - progress) / progress, floor), max(ceiling, age))
        return min(max(gap * self.share(in_flight), self.smallest_gap), self.largest_gap)
