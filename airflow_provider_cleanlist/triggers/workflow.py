"""The trigger of deferred tasks that wait for workflows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.triggers.progress import SavedProgress
from airflow_provider_cleanlist.triggers.shared_poller import InFlightRequests, SharedPoller, shared_poller
from airflow_provider_cleanlist.waiting.deliveries import DeliveryWatcher, apause
from airflow_provider_cleanlist.waiting.outcome import (
    FailurePolicy,
    WaitOutcome,
    killed_message,
    outcome_to_json,
)
from airflow_provider_cleanlist.waiting.schedule import PollRule
from airflow_provider_cleanlist.waiting.tracker import TOLERATED_ERRORS, WaitStatus
from airflow_provider_cleanlist.waiting.wait import (
    SAVE_EVERY_SECONDS,
    LogLine,
    Pause,
    Reply,
    SaveSnapshot,
    StatusCheck,
    WaitRequest,
    epoch_clock,
    opening_line,
    watch,
)

EARLIEST_EVENT_SECONDS = 10.0
"""Least time from a task's deferral to its event, in seconds.

Schedulers of Airflow 3.1 to 3.3 fail some of the tasks that are to resume while their deferral is still being recorded.
"""


class WorkflowTrigger(BaseTrigger):
    """Waits for all workflows of one task and fires one event.

    Its arguments are ids and numbers; the triggerer looks up the connection. The event's payload is that of
    :func:`~airflow_provider_cleanlist.waiting.outcome.outcome_to_json`, plus ``passthrough`` as given.

    Args:
        cleanlist_conn_id: Airflow connection.
        workflow_ids: Workflows in the order of their submission.
        submitted_at: When the first workflow was submitted, in seconds since the epoch.
        deadline: When to give up, in seconds since the epoch.
        submitted_over: Seconds from the first submission to the last.
        poll_interval: Seconds between two status checks of a workflow; None follows the budget-aware schedule.
        failure_policy: When failed workflows fail the task: ``any`` of them, only ``all`` of them, or ``never``.
        is_dated: Whether ``submitted_at`` is the real time of submission rather than a later one.
        deferred_at: When the task was deferred, in seconds since the epoch; None if unknown.
        passthrough: Small JSON values that the event returns to the task.
    """

    def __init__(
        self,
        *,
        cleanlist_conn_id: str,
        workflow_ids: Sequence[str],
        submitted_at: float,
        deadline: float,
        submitted_over: float = 0.0,
        poll_interval: float | None = None,
        failure_policy: FailurePolicy = "any",
        is_dated: bool = True,
        deferred_at: float | None = None,
        passthrough: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.request = WaitRequest(
            cleanlist_conn_id=cleanlist_conn_id,
            workflow_ids=tuple(workflow_ids),
            submitted_at=submitted_at,
            deadline=deadline,
            submitted_over=submitted_over,
            poll_interval=poll_interval,
            failure_policy=failure_policy,
            is_dated=is_dated,
        )
        self.deferred_at = deferred_at
        self.passthrough = dict(passthrough or {})
        self._tracker = self.request.tracker()

    @classmethod
    def of(cls, request: WaitRequest, passthrough: Mapping[str, Any] | None = None) -> WorkflowTrigger:
        """Return the trigger for a request.

        Args:
            request: What to wait for.
            passthrough: Small JSON values that the event returns to the task.
        """
        return cls(**request.kwargs(), deferred_at=time.time(), passthrough=passthrough)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments."""
        return (
            "airflow_provider_cleanlist.triggers.workflow.WorkflowTrigger",
            {
                **self.request.kwargs(),
                "deferred_at": self.deferred_at,
                "passthrough": self.passthrough,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the event; errors of the API, the network or the connection are part of the event."""
        outcome = await self._outcome()
        payload = {**outcome_to_json(outcome), "passthrough": self.passthrough}
        if not is_in_process():
            await asyncio.sleep(hold_seconds(self.deferred_at, time.time()))
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's own

    async def on_kill(self) -> None:
        """Log which workflows continue. Nothing is cancelled, so this is harmless whenever Airflow calls it."""
        if self._tracker.in_flight:
            self.log.warning(killed_message(self._tracker.running))

    async def _outcome(self) -> WaitOutcome:
        poller, progress = shared_poller(self.request.cleanlist_conn_id), SavedProgress(self.task_instance)
        clock = epoch_clock()
        self.log.info(opening_line(len(self.request.workflow_ids), self.request.deadline, clock()))
        try:
            tracker = self._tracker = self.request.tracker(await self._rule(poller))
        except errors.CleanlistError as error:
            self._tracker.break_off(error)
            return WaitOutcome.of(self._tracker, WaitStatus.BROKEN, self.request.failure_policy)
        if self._may_have_predecessor(clock()) and (snapshot := await progress.load()) is not None:
            tracker.restore(snapshot)
        watcher = DeliveryWatcher.configured()
        flow = watch(self.request, tracker)
        action = next(flow)
        with poller.register(tracker):
            async with InFlightRequests(poller) as requests:
                while True:
                    if isinstance(action, Pause):
                        await requests.pause_until_result(apause(watcher, action.seconds, tracker, clock))
                    elif isinstance(action, StatusCheck):
                        await requests.send(action)
                    elif isinstance(action, LogLine):
                        self.log.log(action.level, action.text)
                    elif isinstance(action, SaveSnapshot):
                        await progress.save(action.snapshot)
                    try:
                        action = flow.send(Reply(clock(), poller.others(tracker), requests.collect()))
                    except StopIteration as done:
                        outcome: WaitOutcome = done.value
                        break
        return outcome

    def _may_have_predecessor(self, now: float) -> bool:
        """Return whether another triggerer may have saved progress: not right after deferral, nor for one workflow."""
        is_late = self.deferred_at is None or now >= self.deferred_at + SAVE_EVERY_SECONDS
        return is_late and len(self.request.workflow_ids) > 1

    async def _rule(self, poller: SharedPoller) -> PollRule:
        """Return the constants of the schedule; failed lookups of the connection are retried."""
        for attempt in range(TOLERATED_ERRORS):
            try:
                return await poller.rule()
            except exceptions.CleanlistTransportError as error:
                self.log.warning("%s Retrying.", error)
                await asyncio.sleep(2.0**attempt)
        return await poller.rule()


def hold_seconds(deferred_at: float | None, now: float) -> float:
    """Return how long an event is held back, never longer than :data:`EARLIEST_EVENT_SECONDS`.

    Args:
        deferred_at: When the task was deferred, in seconds since the epoch; None if unknown.
        now: Seconds since the epoch.
    """
    if deferred_at is None:
        return 0.0
    return min(max(0.0, deferred_at + EARLIEST_EVENT_SECONDS - now), EARLIEST_EVENT_SECONDS)


def is_in_process() -> bool:
    """Return whether no supervisor of Airflow 3 runs this process, as in ``dag.test()``, which has no scheduler."""
    try:
        from airflow.sdk.execution_time import task_runner
    except ImportError:
        return True  # Airflow 2, whose schedulers take events at any time
    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return comms is None or type(comms).__name__ == "InProcessSupervisorComms"
