"""When to check which workflow: our schedule beside fixed and exponential intervals, in virtual time.

    .venv/bin/python benchmarks/polling.py

prints the tables of benchmarks/results/polling.md. Nothing is slept: workflows, budget and clock are simulated, while
the schedule (``WorkflowTracker``) and the budget (``rate_limit.reserve``) are the package's own. Durations are assumed
to be log-normal; the real API was never reached.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from airflow_provider_cleanlist.client.rate_limit.core import Budget, BudgetState, Priority, Verdict, reserve
from airflow_provider_cleanlist.client.results import WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.waiting.tracker import Check, Idle, WaitStatus, WorkflowTracker

SIGMA = 0.5
CONTACTS = 250
LATENCY = 0.15
LIMIT, WINDOW = 60, 60.0
RUNS = {1: 200, 4: 100, 10: 40, 40: 8, 100: 5, 400: 1, 1000: 1}
PROGRESS = ("linear", "concave", "convex", "steps", "late", "absent")
USUAL_PROGRESS = ("linear", "concave", "absent")
CROWD = 400
"""From here on only the usual kinds of progress: the budget decides."""
Durations = Mapping[str, float]


class Schedule(Protocol):
    """Whoever decides when to check which workflow."""

    def next_step(self, now: float) -> Check | Idle | WaitStatus: ...

    def on_status(self, status: WorkflowStatus, now: float) -> None: ...


class Intervals:
    """Checks each workflow after a first gap, and then after gaps that follow from the last."""

    def __init__(self, workflow_ids: list[str], first: float, following: Callable[[float], float]) -> None:
        self._gaps = dict.fromkeys(workflow_ids, first)
        self._following = following
        self._due = [(first, workflow_id) for workflow_id in workflow_ids]

    def next_step(self, now: float) -> Check | Idle | WaitStatus:
        if not self._due:
            return WaitStatus.FINISHED
        due, workflow_id = self._due[0]
        return Check(workflow_id) if due <= now else Idle(due)

    def on_status(self, status: WorkflowStatus, now: float) -> None:
        heapq.heappop(self._due)
        if status.state is WorkflowState.RUNNING:
            gap = self._gaps[status.workflow_id] = self._following(self._gaps[status.workflow_id])
            heapq.heappush(self._due, (now + gap, status.workflow_id))


def ours(workflow_ids: list[str]) -> Schedule:
    return WorkflowTracker(workflow_ids, submitted_at=0.0, deadline=math.inf)


def fixed(interval: float) -> Callable[[list[str]], Schedule]:
    return lambda workflow_ids: Intervals(workflow_ids, interval, lambda gap: gap)


def exponential(workflow_ids: list[str]) -> Schedule:
    """Intervals from 5 s, each 1.5 times the last, up to 60 s: the usual backoff."""
    return Intervals(workflow_ids, 5.0, lambda gap: min(60.0, 1.5 * gap))


def draw(workflows: int, median: float, seed: int) -> dict[str, float]:
    """Return durations in seconds by workflow."""
    source = random.Random(seed * 1000 + workflows)
    return {f"wf{number}": median * math.exp(SIGMA * source.gauss(0, 1)) for number in range(workflows)}


def status(workflow_id: str, share: float, progress: str) -> WorkflowStatus:
    """Return the answer about a workflow after a share of its duration."""
    word = "completed" if share >= 1 else "processing"
    if progress == "absent":
        return WorkflowStatus(workflow_id, word)
    share = min(1.0, share)
    done = {
        "linear": share,
        "concave": 1 - (1 - share) ** 2,
        "convex": share**2,
        "steps": int(5 * share) / 5,
        "late": max(0.0, (share - 0.4) / 0.6),
    }[progress]
    return WorkflowStatus(workflow_id, word, total=CONTACTS, processed=int(CONTACTS * done))


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to: requests, and for each workflow how late its end was seen."""

    requests: int
    delays: list[float]
    times: list[float]
    end: float
    """How long after the last workflow's end the wait ended."""


def simulate(schedule: Schedule, durations: Durations, progress: str) -> Outcome:
    """Watch workflows to their ends, every request taking its turn in the budget."""
    now, state, budget = 0.0, BudgetState(), Budget(LIMIT, WINDOW)
    delays, times = [], []
    while not isinstance(step := schedule.next_step(now), WaitStatus):
        if isinstance(step, Idle):
            now = step.until
            continue
        asked_at, reservation = now, None
        while True:
            state, decision = reserve(
                state,
                budget,
                now=now,
                priority=Priority.POLL,
                waited=now - asked_at,
                max_wait=math.inf,
                reservation=reservation,
            )
            if decision.verdict is Verdict.GO:
                break
            now, reservation = now + max(decision.delay, 1e-6), decision.reservation
        times.append(now)
        duration = durations[step.workflow_id]
        answer = status(step.workflow_id, now / duration, progress)
        now += LATENCY
        if now - LATENCY >= duration:
            delays.append(now - duration)
        schedule.on_status(answer, now)
    return Outcome(len(times), delays, times, now - max(durations.values()))


def without_budget(durations: Durations, interval: float) -> Outcome:
    """Watch each workflow on its own at a fixed interval, as triggers do that only obey Retry-After."""
    due = [(interval, workflow_id) for workflow_id in durations]
    heapq.heapify(due)
    used: dict[int, int] = {}
    delays, times = [], []
    while due:
        now, workflow_id = heapq.heappop(due)
        times.append(now)
        window = int(now // WINDOW)
        used[window] = used.get(window, 0) + 1
        if used[window] > LIMIT:
            heapq.heappush(due, ((window + 1) * WINDOW + LATENCY, workflow_id))
        elif now >= durations[workflow_id]:
            delays.append(now + LATENCY - durations[workflow_id])
        else:
            heapq.heappush(due, (now + LATENCY + interval, workflow_id))
    return Outcome(len(times), delays, times, now + LATENCY - max(durations.values()))


@dataclass(frozen=True)
class Figures:
    """Means over several runs."""

    per_workflow: float
    mean: float
    p95: float
    end: float
    busiest_minute: int

    def __str__(self) -> str:
        return f"{self.per_workflow:.2f} / {self.mean:.1f} / {self.p95:.0f} / {self.end:.0f}"


def figures(outcomes: list[Outcome], workflows: int) -> Figures:
    delays = sorted(delay for outcome in outcomes for delay in outcome.delays)
    return Figures(
        per_workflow=statistics.fmean(outcome.requests for outcome in outcomes) / workflows,
        mean=statistics.fmean(delays),
        p95=delays[int(0.95 * (len(delays) - 1))],
        end=statistics.fmean(outcome.end for outcome in outcomes),
        busiest_minute=max(busiest_minute(outcome.times) for outcome in outcomes),
    )


def busiest_minute(times: list[float]) -> int:
    first, most = 0, 0
    for last, moment in enumerate(times):
        while times[first] <= moment - 60.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def measured(make: Callable[[list[str]], Schedule], workflows: int, median: float, progress: str) -> Figures:
    outcomes = []
    for seed in range(RUNS[workflows]):
        durations = draw(workflows, median, seed)
        outcomes.append(simulate(make(list(durations)), durations, progress))
    return figures(outcomes, workflows)


@cache
def measured_fixed(interval: float, workflows: int, median: float) -> Figures:
    return measured(fixed(interval), workflows, median, "absent")


@cache
def measured_ours(workflows: int, median: float, progress: str) -> Figures:
    return measured(ours, workflows, median, progress)


def fixed_at_equal_requests(per_workflow: float, workflows: int, median: float) -> tuple[float, Figures]:
    """Return the shortest fixed interval that makes no more requests, and its figures."""
    low, high = 0.5, 5_000.0
    for _ in range(14):
        interval = math.sqrt(low * high)
        found = measured_fixed(interval, workflows, median)
        low, high = (interval, high) if found.per_workflow > per_workflow else (low, interval)
    return high, measured_fixed(high, workflows, median)


def interval_rows(median: float, sizes: list[int]) -> Iterator[str]:
    for workflows in sizes:
        columns = [str(measured_fixed(seconds, workflows, median)) for seconds in (10.0, 30.0, 60.0)]
        yield f"| {workflows} | {' | '.join(columns)} | {measured(exponential, workflows, median, 'absent')} |"


def our_rows(median: float, sizes: list[int]) -> Iterator[str]:
    for workflows in sizes:
        ten = measured_fixed(10.0, workflows, median).per_workflow
        for progress in PROGRESS if workflows < CROWD else USUAL_PROGRESS:
            mine = measured_ours(workflows, median, progress)
            interval, equal = fixed_at_equal_requests(mine.per_workflow, workflows, median)
            yield (
                f"| {workflows} | {progress} | {mine} | {mine.per_workflow / ten:.2f} "
                f"| {interval:.0f} s: {equal.mean:.1f} | {mine.mean / equal.mean:.2f} |"
            )


def claims(medians: list[float]) -> Iterator[str]:
    """Yield what issue 3 asks to be shown, as measured."""
    for progress in PROGRESS:
        alone = [measured_ours(1, median, progress) for median in medians]
        delay, busiest = max(found.mean for found in alone), max(found.busiest_minute for found in alone)
        shares = [
            measured_ours(workflows, 90.0, progress).per_workflow
            / measured_fixed(10.0, workflows, 90.0).per_workflow
            for workflows in (10, 40, 100)
        ]
        four = measured_ours(4, 90.0, progress).per_workflow
        columns = " | ".join(f"{share:.2f}" for share in shares)
        yield f"| {progress} | {delay:.1f} s | {busiest} | {columns} | {four:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--medians", type=float, nargs="+", default=[90.0, 5.0, 20.0, 600.0, 1800.0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(RUNS), choices=list(RUNS))
    arguments = parser.parse_args()
    print(
        "| progress | 1 in flight: mean delay, longest of all medians | busiest minute, requests "
        "| 10: share of fixed 10 s' requests | 40 | 100 | 4: requests per workflow |"
    )
    print("|---|---|---|---|---|---|---|")
    print("\n".join(claims(arguments.medians)))
    for median in arguments.medians:
        print(f"\nMedian duration {median:g} s.\n")
        print("| in flight | 10 s | 30 s | 60 s | exponential |\n|---|---|---|---|---|")
        print("\n".join(interval_rows(median, arguments.sizes)))
        print("\n| in flight | progress | ours | of fixed 10 s' requests | fixed, equal requests | ratio |")
        print("|---|---|---|---|---|---|")
        for row in our_rows(median, arguments.sizes):
            print(row, flush=True)
    print(
        "\nIndependent triggers without a shared budget, fixed 10 s, median 90 s (429s count as requests).\n"
    )
    print("| in flight | requests per workflow | mean delay | of them ours |\n|---|---|---|---|")
    for workflows in (10, 100, 1000):
        alone = figures([without_budget(draw(workflows, 90.0, 0), 10.0)], workflows)
        share = measured_ours(workflows, 90.0, "linear").per_workflow / alone.per_workflow
        print(f"| {workflows} | {alone.per_workflow:.2f} | {alone.mean:.1f} s | {share:.2f} |", flush=True)


if __name__ == "__main__":
    main()
