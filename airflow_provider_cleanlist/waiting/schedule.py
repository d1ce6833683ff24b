"""The schedule of polls as pure rules: how far a workflow is, and when to look at it next.

Where the counts tell how a workflow gets on, the next look comes when they foresee its end; where they do not, looks
come at even distances. (Distances that grow with age lose against even ones; measured in ``benchmarks/polling.py``.)
Among several workflows the first look waits until a typical one is nearly done. What is typical is learned from ends
and foreseen ends; so that quick workflows do not wait for what slow ones deserve, scouts are looked at early until
something is known. The more workflows are in flight, the later and the more rarely each is looked at.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection
from dataclasses import dataclass, fields, replace

FEWEST_CONTACTS = 5
"""Contacts that must have been processed, since the last telling look, for a look to tell anything."""

FLATTEST, STEEPEST = 0.4, 3.0
"""Bounds of the exponent of progress."""

EVEN_ENOUGH = 0.15
"""Exponents that differ from 1 by less are taken as 1: a count is whole contacts only."""

QUICK = 0.5
"""An end foreseen within this share of the typical duration, by one look only, may come sooner still."""

SCOUTS_RETURN = 0.85
"""Share of the age of first looks at which scouts are looked at again: what they show helps with the others."""

RARER_SCOUTS = 0.6
"""What is added, in a crowd, to the factor 2 from the age of one scout to that of the next."""

DOUBT = 0.5
"""Evidence against the supposed duration that is believed by half."""

DOUBT_OF_SLOWNESS = 0.05
"""The same for each workflow of a wait, if they seem slower: a crowd is not kept waiting for one slow workflow."""

MARGIN = 0.3
"""Share of the time that looks at a whole crowd take by which the foreseen end of uneven progress is let pass."""

LARGEST_MARGIN = 0.2
"""The most of it, as a share of the foreseen age at the end."""


def is_even(shape: float | None) -> bool:
    """Return whether progress with this exponent is taken as even.

    Args:
        shape: The exponent, or None if it is unknown.
    """
    return shape is not None and abs(shape - 1) < EVEN_ENOUGH


@dataclass(frozen=True, slots=True)
class Pace:
    """How a workflow gets on: its progress is taken as a power of its age. Ages are seconds since its submission.

    Attributes:
        age: Age at the last telling look.
        done: Contacts processed at that look, or None before the first.
        shape: The exponent between the last two telling looks, or None: 1 is even, more is gathering speed.
        speed: Share of the contacts per second between them, or None.
        last_age: Age at the last look.
        share: Share of the contacts processed at the last look, or None as long as these are too few.
        is_stalled: Whether the last look found no contact processed since the one before.
    """

    age: float = 0.0
    done: int | None = None
    shape: float | None = None
    speed: float | None = None
    last_age: float = 0.0
    share: float | None = None
    is_stalled: bool = False

    def seen(self, age: float, done: int, total: int) -> Pace:
        """Take in a look at a running workflow that tells counts.

        Args:
            age: Age at the look.
            done: Contacts processed.
            total: Contacts in the workflow.
        """
        if age <= self.last_age:
            return self
        done = min(done, total)
        share = done / total if done >= FEWEST_CONTACTS else None
        pace = replace(self, last_age=age, share=share, is_stalled=False)
        if self.done is None:
            return replace(pace, age=age, done=done)
        if done <= self.done:
            return replace(pace, age=age, is_stalled=True)
        if done < self.done + FEWEST_CONTACTS:
            return pace
        exponent = math.log((done + 0.5) / (self.done + 0.5)) / math.log(age / self.age)
        shape = min(STEEPEST, max(FLATTEST, exponent))
        speed = (done - self.done) / total / (age - self.age)
        return replace(pace, age=age, done=done, shape=shape, speed=speed)

    def end_age(self, usual: float | None, typical: float, *, is_dated: bool = True) -> float | None:
        """Return the age at which the end is foreseen, or None if nothing foresees it.

        Args:
            usual: Exponent that other workflows showed, or None.
            typical: Typical duration of a workflow in seconds.
            is_dated: Whether ages count from the submission. If they count from some later moment, even progress looks
                as if it slowed down, and so is taken as even.
        """
        if self.share is None or self.is_stalled:
            return None
        shape = self.shape or usual
        if shape is not None and shape < 1 and not is_dated:
            if self.speed is not None:
                return self.last_age + (1 - self.share) / self.speed
            shape = 1.0
        if shape is None:
            even = self.last_age / self.share
            return even if even >= QUICK * typical else self.last_age / math.sqrt(self.share)
        if is_even(shape):
            shape = 1.0
        return self.last_age * math.pow(self.share, -1 / shape)


@dataclass(frozen=True, slots=True)
class PollRule:
    """The schedule's constants, in seconds; the defaults suit 60 requests a minute.

    Attributes:
        typical: Duration of a workflow as long as none has been seen.
        scout: Age at which the first scout is looked at; each further one at twice the age of the last or more.
        alone: Time between two looks at a workflow that is alone.
        together: Time between two looks at a workflow among several.
        smallest_gap: Least time between two looks at a workflow.
        largest_gap: Most time between two looks at a workflow; its turn in the request budget may come later.
        patience: Age, or typical duration, from which on the time between looks at several grows with it.
        per_request: Time that the budget has for one request.
        minute: Length of the budget's window.
    """

    typical: float = 90.0
    scout: float = 5.0
    alone: float = 8.0
    together: float = 23.0
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

    def learned(self, durations: Collection[float], workflows: int) -> float:
        """Return the typical duration: the median seen, which weighs the more the further it is from the supposed one.

        Args:
            durations: Durations of workflows that have ended or whose end is foreseen.
            workflows: Workflows of the wait.
        """
        if not durations:
            return self.typical
        surprise = math.log(max(statistics.median(durations), 0.001) / self.typical)
        evidence = len(durations) * surprise**2
        doubt = max(DOUBT, DOUBT_OF_SLOWNESS * workflows) if surprise > 0 else DOUBT
        return self.typical * math.exp(surprise * evidence / (evidence + doubt))

    def guessed(self, since: float | None, until: float, typical: float) -> float:
        """Return the probable duration of a workflow that was seen running at one age and done at another.

        Args:
            since: Age at the last look that saw it running, or None.
            until: Age at the look that saw its end.
            typical: Typical duration as known so far.
        """
        if (since or 0.0) <= typical <= until:
            return typical
        return 0.75 * until if since is None else (since + until) / 2

    def scout_age(self, scouts: int, workflows: int) -> float:
        """Return the age at which the next scout is looked at while nothing is known.

        Args:
            scouts: Scouts looked at so far.
            workflows: Workflows of the wait.
        """
        growth = 2.0 + min(RARER_SCOUTS, self._crowding(self._crowd(workflows)))
        return self.scout * growth ** min(scouts, 50)

    def outlook(self, typical: float, in_flight: int, company: int) -> Outlook:
        """Return what the schedule has for all workflows alike at a moment.

        Args:
            typical: Typical duration as known so far.
            in_flight: Workflows in flight.
            company: Workflows in flight at the start; the last of many are not looked at much closer than the rest.
        """
        together = self.together * min(1.0, max(0.25, typical / self.typical))
        close = min(self.alone * math.sqrt(self._crowd(in_flight)), together)
        crowding, turns = self._crowding(self._crowd(company)), company * self.per_request
        return Outlook(
            rule=self,
            typical=typical,
            first_delay=self._first_delay(typical, self._crowd(in_flight)),
            close=close,
            usual=max(close, 1.1 * max(in_flight, 0.8 * company) * self.per_request),
            is_alone=self._crowd(company) <= 1,
            is_few=self._crowd(company) < 4,
            crowding=crowding,
            margin=crowding * MARGIN * turns * min(1.0, turns / typical),
        )

    def _first_delay(self, typical: float, crowd: float) -> float:
        if crowd <= 1:
            return self.clamped(self.alone)
        share = 0.85 + 0.45 * self._crowding(crowd)
        return self.clamped(typical * min(1.0, crowd / 4) * share)

    def _crowd(self, in_flight: int) -> float:
        """Return the workflows in flight, each weighed by what a request takes of the budget."""
        return max(1.0, in_flight * self.per_request / (self.minute / 60))

    @staticmethod
    def _crowding(crowd: float) -> float:
        """Return 0 for ten workflows or fewer, 1 for a hundred or more."""
        return min(1.0, max(0.0, math.log10(crowd / 10)))

    def clamped(self, gap: float) -> float:
        """Return a time between two looks, or the nearest one that is allowed.

        Args:
            gap: The time in seconds.
        """
        return min(max(gap, self.smallest_gap), self.largest_gap)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a schedule has for all workflows alike at a moment, in seconds.

    Attributes:
        rule: The schedule's constants.
        typical: Typical duration of a workflow.
        first_delay: Age at which a workflow is first looked at. In a crowd nearly all are done by then: a look at each
            takes the whole budget for a long time.
        close: Time between two looks when an end is near.
        usual: Time between two looks when nothing is known.
        is_alone: Whether there was one workflow from the start.
        is_few: Whether there were few.
        crowding: From 0 for few workflows to 1 for a crowd.
        margin: Most time by which the foreseen end of uneven progress is let pass.
    """

    rule: PollRule
    typical: float
    first_delay: float
    close: float
    usual: float
    is_alone: bool
    is_few: bool
    crowding: float
    margin: float

    def gap(self, age: float) -> float:
        """Return the time from one look at a running workflow to the next when nothing foresees its end.

        Args:
            age: Its age at the last look.
        """
        if self.is_alone:
            return self.rule.clamped(self.usual)
        return self.rule.clamped(max(self._grown(age), SCOUTS_RETURN * self.first_delay - age))

    def gap_to_end(self, end_age: float, age: float, shape: float | None) -> float:
        """Return the time from one look to the next when the end is foreseen.

        Of few workflows the next look comes before the foreseen end: that costs few requests, and a workflow that
        speeds up is not seen late. In a crowd it comes some time after the foreseen end unless progress is even, and
        an end foreseen without knowing the exponent is not waited for longer than one that nothing foresees.

        Args:
            end_age: Age at which the end is foreseen.
            age: Its age at the last look.
            shape: Exponent of progress, or None if it is unknown.
        """
        remaining = (end_age - age) * (0.6 if self.is_few else 1.0)
        if not is_even(shape):
            remaining += min(self.margin, LARGEST_MARGIN * end_age)
        if remaining > self.close:
            unsure = age if self.is_few else 2.5 * (1 - self.crowding) * max(age, self.typical)
            longest = max(unsure if shape is None else 3 * age, self._grown(age), self.first_delay - age)
            remaining = min(remaining, longest)
        return self.rule.clamped(max(self.close, remaining))

    def _grown(self, age: float) -> float:
        """Return the usual time, or more of old workflows and of long ones."""
        patience = self.rule.patience
        if self.is_alone or (age <= patience and self.typical <= patience):
            return self.usual
        return self.usual * max(self.typical, age) / patience
