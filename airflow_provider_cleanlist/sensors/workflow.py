"""The sensor that waits for enrichment workflows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_cleanlist.arguments.operator import GivenArguments
from airflow_provider_cleanlist.arguments.values import (
    DEFAULT_TIMEOUT_SECONDS,
    given,
    number,
    present,
    seconds,
)
from airflow_provider_cleanlist.client.results import WorkflowEnd
from airflow_provider_cleanlist.exceptions import CleanlistWaitTimeoutError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.links import PAGE_LINKS, WorkflowLink
from airflow_provider_cleanlist.waiting.outcome import (
    FailurePolicy,
    WaitOutcome,
    WaitSummary,
    conclude,
    killed_message,
    outcome_from_json,
    timeout_message,
    unwatched_message,
)
from airflow_provider_cleanlist.waiting.recording import record_ends
from airflow_provider_cleanlist.waiting.tracker import WaitStatus, WorkflowTracker
from airflow_provider_cleanlist.waiting.wait import (
    WaitRequest,
    check_once,
    finish,
    rule_for,
    summary_of_event,
    wait,
)
from airflow_provider_cleanlist.xcom import (
    check_workflow_ids,
    enrichment_types_of,
    workflow_ids_of,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

TIMEOUT_GRACE_SECONDS = 60.0
"""Seconds from the deadline, which the trigger keeps, to Airflow's own timeout, which applies if no trigger ran."""

STATE_KEY = "cleanlist_wait"
"""Key of the saved progress in Airflow's task state store."""


class SensorSummary(WaitSummary):
    """What the sensor returns: the summary of the wait, and what it cost.

    Attributes:
        credits_spent: What the finds cost, or None if that is not known.
    """

    credits_spent: int | None


class WorkflowSensor(GivenArguments, BaseSensorOperator):
    """Wait until enrichment workflows have ended.

    By default the task is deferred and occupies no worker slot. With ``deferrable=False`` it waits in the worker
    (``mode="poke"``), or checks once every ``poke_interval`` seconds (``mode="reschedule"``).

    Args:
        workflow_ids: One workflow id, a list of them, the result of ``BulkEnrichOperator``, a list of such results, or
            an XComArg of any of these (templated). With an empty list the task succeeds at once; nothing at all, as a
            misspelled template renders, fails it.
        cleanlist_conn_id: Airflow connection (templated).
        deferrable: Wait in the triggerer.
        timeout: Seconds after which the task fails if workflows are still running, or a ``timedelta``, up to 10 years;
            None means 3600. They continue at Cleanlist.
        poll_interval: Seconds between two status checks of a workflow, at least 1. None (default) follows a schedule
            that learns how long workflows take and respects the request budget; when webhooks are expected
            (``BulkEnrichOperator(webhook=True)``), it polls every ten minutes only.
        failure_policy: When failed workflows fail the task: ``any`` of them (default), only ``all`` of them, or
            ``never``.
        ledger_conn_id: Airflow connection of the ledger that records how the workflows ended (templated); by default
            ``[cleanlist] ledger_conn_id``.
        **kwargs: Arguments of every sensor, such as ``soft_fail`` and ``mode``.

    Returns:
        ``{"workflows", "completed", "failed", "total", "successful", "failed_contacts", "emails_found",
        "phones_found"}`` as numbers, ``"failed_workflow_ids"`` as a list, and ``"credits_spent"``, what the finds cost.
        The last is None if ``workflow_ids`` does not say what was asked for, as plain ids do not, if a ledger had
        contacts submitted for different things, or if Cleanlist did not say how much it found.

    Raises:
        CleanlistWorkflowFailedError: Workflows failed, and ``failure_policy`` makes that an error.
        CleanlistWaitTimeoutError: The timeout passed.
        CleanlistNotFoundError: The API does not know some of the workflows.
        CleanlistConfigurationError: An argument or the connection is invalid.
    """

    template_fields: Sequence[str] = ("workflow_ids", "cleanlist_conn_id", "ledger_conn_id")
    operator_extra_links = (WorkflowLink(), *PAGE_LINKS)
    ui_color = "#d7ecef"
    _never_nothing = ("cleanlist_conn_id", "failure_policy", "ledger_conn_id")
    _flags = ("deferrable",)

    def __init__(
        self,
        *,
        workflow_ids: Any,
        cleanlist_conn_id: str = CleanlistHook.default_conn_name,
        deferrable: bool = True,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT_SECONDS,
        poll_interval: float | None = None,
        failure_policy: FailurePolicy = "any",
        ledger_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        present("timeout", timeout, is_given="timeout" in self._given)
        present("poll_interval", poll_interval, is_given="poll_interval" in self._given)
        super().__init__(timeout=seconds("timeout", timeout, DEFAULT_TIMEOUT_SECONDS), **kwargs)
        self.workflow_ids = workflow_ids
        self.cleanlist_conn_id = cleanlist_conn_id
        self.deferrable = deferrable
        self.poll_interval = number("poll_interval", poll_interval)
        self.failure_policy = failure_policy
        self.ledger_conn_id = ledger_conn_id
        self._tracker: WorkflowTracker | None = None

    def execute(self, context: Context) -> SensorSummary:
        """Wait as the arguments say, and return the summary."""
        self._check_given()
        check_workflow_ids(self.workflow_ids)
        if not self.deferrable:
            return self._execute_here(context)
        try:
            return self._execute_deferred(context)
        except AirflowException as error:
            self._skip_if_soft(error)
            raise

    def poke(self, context: Context) -> PokeReturnValue:
        """Wait until the end in poke mode, check once in reschedule mode, and return whether the wait is over."""
        hook = CleanlistHook(self.cleanlist_conn_id)
        request = self._request(_first_poke(context) if self.reschedule else None)
        self._tracker = tracker = request.tracker(rule_for(hook))
        if not self.reschedule:
            summary = wait(hook, request, self.log, tracker, ledger_conn_id=given(self.ledger_conn_id))
            return PokeReturnValue(is_done=True, xcom_value=self._with_credits(summary, tracker.ends))
        store = context.get("task_state_store")
        if store is not None and isinstance(snapshot := store.get(STATE_KEY), dict):
            tracker.restore(snapshot)
        before = tracker.snapshot()
        outcome = check_once(hook, request, self.log, tracker, poll=self._is_poll_due(request))
        if outcome is not None:
            self._tracker = None  # whose ends are recorded now
            return PokeReturnValue(is_done=True, xcom_value=self._finish(outcome))
        after = tracker.snapshot()
        if store is not None and after | {"typical": None} != before | {"typical": None}:
            store.set(STATE_KEY, after)
        self.log.info("Workflow %s is still running.", tracker.running[-1])
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> SensorSummary:
        """Resume the task after the trigger's event, and return the summary."""
        self._check_given()
        hook = CleanlistHook(self.cleanlist_conn_id)
        summary = summary_of_event(event, self.log, hook, ledger_conn_id=given(self.ledger_conn_id))
        return self._with_credits(summary, outcome_from_json(event).ends)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Return the result after deferral; a timeout by Airflow names the workflows that continue."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as error:
            if not isinstance(error, CleanlistWaitTimeoutError):
                ids = workflow_ids_of(self.workflow_ids)
                error = CleanlistWaitTimeoutError(unwatched_message(ids, self._why_no_webhook(ids)))
            self._skip_if_soft(error)  # Airflow 3.0 skips for other errors only
            raise error from None

    def on_kill(self) -> None:
        """Log which workflows continue when the task is killed while it waits in a worker."""
        if self._tracker is not None and self._tracker.in_flight:
            self.log.warning(killed_message(self._tracker.running))

    def _execute_deferred(self, context: Context) -> SensorSummary:
        request = self._request()
        if not request.workflow_ids:
            return self._nothing_to_wait_for(request)
        WorkflowLink.remember(context, request.workflow_ids[0])
        if len(request.workflow_ids) == 1:
            hook = CleanlistHook(self.cleanlist_conn_id)
            poll = self._is_poll_due(request)
            outcome = check_once(hook, request, self.log, request.tracker(rule_for(hook)), poll=poll)
            if outcome is not None:
                return self._finish(outcome)
        self._defer(request)

    def _finish(self, outcome: WaitOutcome) -> SensorSummary:
        summary = finish(outcome, self.log, ledger_conn_id=given(self.ledger_conn_id))
        return self._with_credits(summary, outcome.ends)

    def _with_credits(self, summary: WaitSummary, ends: Sequence[WorkflowEnd]) -> SensorSummary:
        """Add what the finds cost, if it is known what was asked for, and log it."""
        from airflow_provider_cleanlist.submission.credits import credits_spent

        types = enrichment_types_of(self.workflow_ids)
        asked = [types[end.workflow_id] for end in ends if end.workflow_id in types]
        spent = credits_spent(asked, ends) if len(asked) == len(ends) else None
        if ends and spent is not None:
            self.log.info("Credits spent, from what was found: %s.", f"{spent:,}")
        return {**summary, "credits_spent": spent}

    def _execute_here(self, context: Context) -> SensorSummary:
        workflow_ids = workflow_ids_of(self.workflow_ids)
        if not workflow_ids:
            return self._nothing_to_wait_for(self._request())
        WorkflowLink.remember(context, workflow_ids[0])
        try:
            summary: SensorSummary = super().execute(context)
            return summary
        except (AirflowSensorTimeout, AirflowSkipException) as error:
            if self._tracker is None or isinstance(error, CleanlistWaitTimeoutError):
                raise
            if self.reschedule:
                record_ends(self._tracker.ends, self.log, given(self.ledger_conn_id))
            if isinstance(error, AirflowSkipException):
                raise
            running = self._tracker.running
            why = self._why_no_webhook(running)
            message = timeout_message(running, len(running), self._tracker.workflows, why)
            raise CleanlistWaitTimeoutError(message) from error

    def _is_poll_due(self, request: WaitRequest) -> bool:
        """Return whether to poll now; when webhooks are expected, only the first pokes of each long interval do."""
        if self.poll_interval is not None or request.poll_interval is None:
            return True
        age = time.time() - request.submitted_at
        # two pokes long, because Airflow reschedules late: a window of one poke could be missed
        return age >= request.poll_interval and age % request.poll_interval < 2 * self.poke_interval

    def _why_no_webhook(self, running: Sequence[str]) -> str:
        from airflow_provider_cleanlist.waiting.diagnosis import why_still_waiting

        return why_still_waiting(CleanlistHook(self.cleanlist_conn_id), running)

    def _defer(self, request: WaitRequest) -> NoReturn:
        from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger

        self.defer(
            trigger=WorkflowTrigger.of(request),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + TIMEOUT_GRACE_SECONDS),
        )

    def _nothing_to_wait_for(self, request: WaitRequest) -> SensorSummary:
        self.log.info("No workflows to wait for.")
        summary = conclude(WaitOutcome.of(request.tracker(), WaitStatus.FINISHED, request.failure_policy))
        return self._with_credits(summary, ())

    def _request(self, started_at: float | None = None) -> WaitRequest:
        from airflow_provider_cleanlist.waiting.deliveries import safety_poll_interval

        now, workflow_ids = time.time(), workflow_ids_of(self.workflow_ids)
        return WaitRequest(
            cleanlist_conn_id=given(self.cleanlist_conn_id) or CleanlistHook.default_conn_name,
            workflow_ids=tuple(workflow_ids),
            submitted_at=now if started_at is None else started_at,
            deadline=now + self.timeout,
            poll_interval=safety_poll_interval(self.poll_interval, workflow_ids),
            failure_policy=self.failure_policy,
            is_dated=False,
        )

    def _skip_if_soft(self, error: AirflowException) -> None:
        if isinstance(error, AirflowSkipException) or not (self.soft_fail or self.never_fail):
            return
        raise AirflowSkipException(f"Skipped instead of failed: {error}") from error


def _first_poke(context: Context) -> float | None:
    """Return when a rescheduled sensor started, in seconds since the epoch; None at its first poke."""
    ti: Any = context["ti"]
    first = getattr(ti, "get_first_reschedule_date", None)
    moment = ti.start_date if first is None else first(context)
    return None if moment is None else float(moment.timestamp())
