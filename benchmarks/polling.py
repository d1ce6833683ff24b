"""When to look at which workflow: our schedule beside fixed and exponential intervals, in virtual time.

    .venv/bin/python benchmarks/polling.py

prints the tables of docs/benchmarks.md, "Polling". Nothing is slept: workflows, budget and clock are simulated, while
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
from typing import Protocol

from airflow_provider_cleanlist.client.rate_limit import Budget, BudgetState, Priority, Verdict, reserve
from airflow_provider_cleanlist.client.results import WorkflowState, WorkflowStatus
from airflow_provider_cleanlist.enrichment.ends import End
from airflow_provider_cleanlist.enrichment.polling import Look, Rest, WorkflowTracker

SIGMA = 0.5
CONTACTS = 250
LATENCY = 0.15
LIMIT, WINDOW = 60, 60.0
RUNS = {1: 60, 10: 20, 100: 5, 1000: 1}
PROGRESS = ("linear", "concave", "absent")
Durations = Mapping[str, float]


class Schedule(Protocol):
    """Whoever decides when to look at which workflow."""

    def next_step(self, now: float) -> Look | Rest | End: ...

    def on_status(self, status: WorkflowStatus, now: float) -> None: ...


class Exponential:
    """Intervals from 5 s, each 1.5 times the last, up to 60 s: the usual backoff."""

    def __init__(self, workflow_ids: list[str]) -> None:
        self._gaps = dict.fromkeys(workflow_ids, 5.0)
        self._due = [(5.0, workflow_id) for workflow_id in workflow_ids]

    def next_step(self, now: float) -> Look | Rest | End:
        if not self._due:
            return End.FINISHED
        due, workflow_id = self._due[0]
        return Look(workflow_id) if due <= now else Rest(due)

    def on_status(self, status: WorkflowStatus, now: float) -> None:
        heapq.heappop(self._due)
        if status.state is WorkflowState.RUNNING:
            gap = self._gaps[status.workflow_id] = min(60.0, self._gaps[status.workflow_id] * 1.5)
            heapq.heappush(self._due, (now + gap, status.workflow_id))


def ours(workflow_ids: list[str]) -> Schedule:
    return WorkflowTracker(workflow_ids, submitted_at=0.0, deadline=math.inf)


def fixed(interval: float) -> Callable[[list[str]], Schedule]:
    def make(workflow_ids: list[str]) -> Schedule:
        return WorkflowTracker(workflow_ids, submitted_at=0.0, deadline=math.inf, poll_interval=interval)

    return make


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
    done = share if progress == "linear" else 1 - (1 - share) ** 2
    return WorkflowStatus(workflow_id, word, total=CONTACTS, processed=int(CONTACTS * done))


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to: requests, and for each workflow how late its end was seen."""

    requests: int
    delays: list[float]
    times: list[float]


def simulate(schedule: Schedule, durations: Durations, progress: str) -> Outcome:
    """Watch workflows to their ends, every request taking its turn in the budget."""
    now, state, budget = 0.0, BudgetState(), Budget(LIMIT, WINDOW)
    delays, times = [], []
    while not isinstance(step := schedule.next_step(now), End):
        if isinstance(step, Rest):
            now = step.until
            continue
        asked_at, place = now, None
        while True:
            state, decision = reserve(
                state,
                budget,
                now=now,
                priority=Priority.POLL,
                waited=now - asked_at,
                max_wait=math.inf,
                place=place,
            )
            if decision.verdict is Verdict.GO:
                break
            now, place = now + max(decision.delay, 1e-6), decision.place
        times.append(now)
        duration = durations[step.workflow_id]
        answer = status(step.workflow_id, now / duration, progress)
        now += LATENCY
        if now - LATENCY >= duration:
            delays.append(now - duration)
        schedule.on_status(answer, now)
    return Outcome(len(times), delays, times)


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
    return Outcome(len(times), delays, times)


@dataclass(frozen=True)
class Figures:
    """Means over several runs."""

    per_workflow: float
    mean: float
    p95: float
    busiest_minute: int


def figures(outcomes: list[Outcome], workflows: int) -> Figures:
    delays = sorted(delay for outcome in outcomes for delay in outcome.delays)
    return Figures(
        per_workflow=statistics.fmean(outcome.requests for outcome in outcomes) / workflows,
        mean=statistics.fmean(delays),
        p95=delays[int(0.95 * (len(delays) - 1))],
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


def fixed_at_equal_requests(
    per_workflow: float, workflows: int, median: float, progress: str
) -> tuple[float, Figures]:
    """Return the fixed interval that makes as many requests, and its figures."""
    low, high = 0.5, 5_000.0
    for _ in range(14):
        interval = math.sqrt(low * high)
        found = measured(fixed(interval), workflows, median, progress)
        low, high = (interval, high) if found.per_workflow > per_workflow else (low, interval)
    return interval, found


def rows(median: float, sizes: list[int]) -> Iterator[str]:
    for workflows in sizes:
        for progress in PROGRESS:
            mine = measured(ours, workflows, median, progress)
            columns = [
                cell(mine),
                *(cell(measured(fixed(seconds), workflows, median, progress)) for seconds in (10, 30, 60)),
                cell(measured(Exponential, workflows, median, progress)),
                equal_cell(mine, workflows, median, progress) if workflows < 1000 else "",
            ]
            yield f"| {workflows} | {progress} | {' | '.join(columns)} |"


def cell(found: Figures) -> str:
    return f"{found.per_workflow:.2f} / {found.mean:.1f} / {found.p95:.0f}"


def equal_cell(mine: Figures, workflows: int, median: float, progress: str) -> str:
    interval, equal = fixed_at_equal_requests(mine.per_workflow, workflows, median, progress)
    return f"{interval:.0f} s: {equal.mean:.1f}, ratio {mine.mean / equal.mean:.2f}"


def claims() -> Iterator[str]:
    """Yield what issue 3 asks to be shown, as measured."""
    for progress in PROGRESS:
        alone, ten = measured(ours, 1, 90.0, progress), measured(ours, 10, 90.0, progress)
        every_ten = measured(fixed(10.0), 10, 90.0, progress)
        share = ten.per_workflow / every_ten.per_workflow
        yield (f"| {progress} | {alone.mean:.1f} s | {alone.busiest_minute} | {share:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--medians", type=float, nargs="+", default=[90.0, 5.0, 600.0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(RUNS), choices=list(RUNS))
    arguments = parser.parse_args()
    print(
        "| progress | 1 in flight: mean delay | busiest minute, requests | 10: share of fixed 10 s' requests |"
    )
    print("|---|---|---|---|")
    print("\n".join(claims()))
    for median in arguments.medians:
        print(f"\nMedian duration {median:g} s. Requests per workflow / mean / p95 delay in seconds.\n")
        print("| in flight | progress | ours | 10 s | 30 s | 60 s | exponential | fixed, equal requests |")
        print("|---|---|---|---|---|---|---|---|")
        for row in rows(median, arguments.sizes):
            print(row, flush=True)
    print(
        "\nIndependent triggers without a shared budget, fixed 10 s, median 90 s (429s count as requests).\n"
    )
    print("| in flight | requests per workflow | mean delay | of them ours |\n|---|---|---|---|")
    for workflows in (10, 100, 1000):
        durations = draw(workflows, 90.0, 0)
        alone = figures([without_budget(durations, 10.0)], workflows)
        mine = figures([simulate(ours(list(durations)), durations, "linear")], workflows)
        share = mine.per_workflow / alone.per_workflow
        print(f"| {workflows} | {alone.per_workflow:.2f} | {alone.mean:.1f} s | {share:.2f} |", flush=True)


if __name__ == "__main__":
    main()
