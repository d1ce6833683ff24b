"""Submitting contacts for enrichment, each at most once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_cleanlist.arguments.values import (
    DEFAULT_TIMEOUT_SECONDS,
    given,
    given_word,
    is_absent,
    mapping,
    number,
    seconds,
    whole_number,
)
from airflow_provider_cleanlist.assets import MANAGED_LIST, lead_list_asset, record_events
from airflow_provider_cleanlist.client.enrichment import MAX_CONTACTS_PER_REQUEST, EnrichmentType
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.links import PAGE_LINKS, WorkflowLink
from airflow_provider_cleanlist.operators.contacts_argument import ContactsOperator
from airflow_provider_cleanlist.submission.history import OnUnknown
from airflow_provider_cleanlist.submission.options import OnInvalid, SubmissionOptions

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_cleanlist.client.results import WorkflowEnd
    from airflow_provider_cleanlist.operators.required_action import DecisionRequest
    from airflow_provider_cleanlist.submission.rejects import Rejects
    from airflow_provider_cleanlist.submission.report import SubmissionOutcome
    from airflow_provider_cleanlist.submission.submit import Submission
    from airflow_provider_cleanlist.waiting.outcome import FailurePolicy


class BulkEnrichOperator(ContactsOperator):
    """Submit contacts to Cleanlist in batches, and never pay twice for the same contact.

    Every batch is recorded in a journal right before its request leaves, and again when the answer arrives. A later
    attempt of the task, after any crash, submits only contacts that no earlier attempt has submitted. When the outcome
    of a request is unknown, the task stops and says so: the API has no idempotency key.

    The journal is the organisation's ledger if there is one (``ledger_conn_id``), else the directory that the
    configuration option ``[cleanlist] journal_path`` names, else Airflow's task state store (3.3 and later). With none
    of these, a task has one attempt only.

    Exactly one of ``contacts``, ``contacts_path`` and ``sql`` is the source. Contacts are personal data: Airflow
    resolves ``contacts`` as a template field and shows no value of it, and only counts, ids and row numbers appear in
    logs and XCom.

    Args:
        contacts: Mappings with contact fields, ``Contact`` objects, a pandas DataFrame, or outputs of other tasks that
            hold them: one, a list of several, a mapped task's, ``concat()``, ``map()``, the argument of a mapped task
            group. Text in it is not rendered. Give literals to the operator itself only: in ``partial()``,
            ``expand()``, ``expand_kwargs()`` and ``default_args`` of a DAG they are refused, and in ``expand()`` of a
            task group Airflow stores them in the serialized DAG.
        contacts_path: Local path or object storage URI of a ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.json`` or
            ``.parquet`` file, optionally ``.gz``.
        encoding: Encoding of ``contacts_path``, templated: a codec of Python, such as ``cp1250`` or ``shift_jis``. By
            default it is detected, and text that is neither Unicode nor plausible Windows-1252 is refused.
        header_row: Row of ``contacts_path`` that is the header, templated: 1 for the first, counted as a spreadsheet
            counts its rows. By default it is the first of the first 20 in which two names are known or mapped.
        sql: Query whose rows are contacts.
        sql_conn_id: Connection for ``sql``; any whose hook is a ``DbApiHook``.
        parameters: Values for the placeholders of ``sql``.
        column_mapping: Source column to contact field (None leaves a column out), for columns that are not recognised
            by their names.
        enrichment_type: ``none``, ``partial`` (emails, 1 credit each), ``phone_only`` (phones, 10 credits each) or
            ``full`` (both).
        batch_size: Contacts per request, 1 to 250.
        deduplicate: Submit each person once, however often the source names them. A ledger always does.
        on_invalid_contact: What to do about rows that Cleanlist cannot look up: ``fail`` before anything is submitted,
            or ``skip`` them.
        max_credits: Most credits that the task may cost at worst; checked, as is the balance, before requests. If it is
            left out there is no limit; None among the items of a mapping is an error, as an empty template is.
        on_unknown_submission: What to do about contacts when it is not known whether they were accepted: ``fail``,
            ``skip`` them, ``resubmit`` them and perhaps pay twice, or ``ask`` a person in Airflow's *Required Actions*
            (Airflow 3.1 and later; see ``docs/howto/decide-unknown-outcomes.md``).
        decision_timeout: With ``ask``: how long to wait for an answer, 10 seconds to 10 years; then the task fails as
            with ``fail``. None waits for as long as it takes.
        decision_notifiers: With ``ask``: a notifier of Airflow, or several, called before the wait with the context, in
            which ``exception`` is the error to decide about.
        decision_users: With ``ask``: who may answer, as ids of users or mappings with ``id`` and ``name``; else all.
        force_resubmit: Any text, templated. A value that this task instance has not seen starts over with all contacts,
            so it must not change from one attempt to the next. What other runs submitted within
            ``skip_submitted_within`` stays left out. Empty text, ``None``, ``False`` and the texts ``false``, ``no``,
            ``off``, ``0``, ``null`` and ``none``, in any case, are no value: what was submitted under any value counts.
        ledger_conn_id: Airflow connection of the database that holds the organisation's ledger (PostgreSQL, MySQL,
            MariaDB, SQLite), templated; by default ``[cleanlist] ledger_conn_id``. See ``docs/ledger.md``.
        skip_submitted_within: Leave out contacts that anybody who shares the ledger has submitted within that time for
            everything that is asked for now; a contact submitted for a part of it is submitted for the rest. Needs a
            ledger; by default ``[cleanlist] skip_submitted_within_days``.
        id_column: Column of the source that identifies a row in your system, templated. The ledger keeps which person
            each row is, duplicates and contacts that are left out included, so that results can be joined to rows.
            Needs a ledger.
        estimate_only: Read and clean the contacts, compare them with journal and ledger, and return what they would
            cost. Nothing is sent.
        rejects_path: Local path or object storage URI, templated, of a CSV with row number, reason code and contact
            fields of every row that was refused or whose outcome is unknown. This file holds personal data.
        rejects_escape_formulas: Put an apostrophe before values of that file that begin with ``=``, ``+``, ``-`` or
            ``@``, a tab or a carriage return, so that no spreadsheet runs them as formulas.
        webhook: Have the results delivered to the receiver of this provider, whose public address is the connection's
            ``webhook_base_url``; see ``docs/webhooks.md``. Waiting then costs next to no requests.
        webhook_url: HTTPS address of a receiver of your own, instead.
        push_task_ids: Push a second XCom, ``task_ids``: the API's task ids by workflow.
        wait_for_completion: Wait until all workflows are done.
        failure_policy: When failed workflows fail a task that waits: ``any`` of them, only ``all``, or ``never``.
        deferrable: Wait in the triggerer; by default as Airflow is configured.
        poll_interval: Seconds between two status checks of a workflow, at least 1; None follows a schedule that
            respects the request budget, and polls rarely when webhooks are expected.
        timeout: Seconds to wait at most, or a ``timedelta``, up to 10 years; None means 3600.
        cleanlist_conn_id: Airflow connection of type ``cleanlist``.

    Returns:
        What happened, without any contact, as the task's XCom:
        ``{"workflow_ids": [...], "enrichment_type": str, "contacts_read": int, "contacts_submitted": int,
        "duplicates_dropped": int, "invalid_contacts": int, "unknown_contacts": int, "known_contacts": int,
        "submitted_as": {enrichment_type: contacts}, "batches": int, "worst_case_credits": int}``.
        ``known_contacts`` were left out because of ``skip_submitted_within``.
        With ``estimate_only`` also ``"estimate": {"contacts": int, "batches": int, "worst_case_credits": int,
        "balance": float | None}``.
        After waiting also ``"summary"`` as :class:`~airflow_provider_cleanlist.sensors.workflow.WorkflowSensor` returns
        it, and ``"credits_spent"``, what the finds cost (None when Cleanlist did not say how much it found).

    Raises:
        CleanlistSubmissionUnknownError: It is not known whether some contacts were accepted; not retried.
        CleanlistCreditLimitError: The worst case costs too much; those contacts were not submitted; not retried.
        CleanlistInsufficientCreditsError: Credits ran out between batches; not retried, clear after topping up.
        CleanlistDataError: The source cannot be used; nothing was submitted; not retried.
        CleanlistSourceUnavailableError: The source cannot be read at the moment; nothing was submitted; retried.
        CleanlistStateError: The journal cannot be read or written; retried.
        CleanlistStoppedError: The worker asked the task to stop, and it did so between two requests; retried.
        CleanlistRejectsFileError: The file of rejects cannot be written; retried.
        CleanlistWorkflowFailedError, CleanlistWaitTimeoutError: While waiting, as ``WorkflowSensor`` raises them.
    """

    template_fields: Sequence[str] = (
        "contacts",
        "contacts_path",
        "encoding",
        "header_row",
        "sql",
        "sql_conn_id",
        "parameters",
        "column_mapping",
        "enrichment_type",
        "max_credits",
        "on_invalid_contact",
        "on_unknown_submission",
        "force_resubmit",
        "ledger_conn_id",
        "id_column",
        "rejects_path",
        "webhook_url",
        "cleanlist_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json", "column_mapping": "json"}  # noqa: RUF012
    operator_extra_links = (WorkflowLink(), *PAGE_LINKS)
    ui_color = "#dff3ec"
    _required = ("enrichment_type",)
    # neither the three sources, of which a DAG may choose one by templates, nor force_resubmit, where nothing means no
    _never_nothing = (
        "encoding",
        "header_row",
        "sql_conn_id",
        "parameters",
        "column_mapping",
        "batch_size",
        "on_invalid_contact",
        "max_credits",
        "on_unknown_submission",
        "decision_timeout",
        "decision_users",
        "ledger_conn_id",
        "skip_submitted_within",
        "id_column",
        "rejects_path",
        "webhook_url",
        "failure_policy",
        "poll_interval",
        "timeout",
        "cleanlist_conn_id",
    )
    _flags = (
        "deduplicate",
        "estimate_only",
        "rejects_escape_formulas",
        "webhook",
        "push_task_ids",
        "wait_for_completion",
        "deferrable",
    )
    _submission: Submission | None = None
    _result: dict[str, Any] | None = None

    def __init__(
        self,
        *,
        contacts: Any = None,
        contacts_path: str | None = None,
        encoding: str | None = None,
        header_row: int | str | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        column_mapping: Mapping[str, str | None] | None = None,
        enrichment_type: str = EnrichmentType.PARTIAL.value,
        batch_size: int = MAX_CONTACTS_PER_REQUEST,
        deduplicate: bool = True,
        on_invalid_contact: str = OnInvalid.FAIL.value,
        max_credits: int | None = None,
        on_unknown_submission: str = OnUnknown.FAIL.value,
        decision_timeout: timedelta | None = None,
        decision_notifiers: Any = (),
        decision_users: Sequence[str | Mapping[str, str]] | None = None,
        force_resubmit: str | None = None,
        ledger_conn_id: str | None = None,
        skip_submitted_within: timedelta | None = None,
        id_column: str | None = None,
        estimate_only: bool = False,
        rejects_path: str | None = None,
        rejects_escape_formulas: bool = True,
        webhook: bool = False,
        webhook_url: str | None = None,
        push_task_ids: bool = False,
        wait_for_completion: bool = False,
        failure_policy: FailurePolicy = "any",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT_SECONDS,
        cleanlist_conn_id: str = CleanlistHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contacts = contacts
        self.contacts_path = contacts_path
        self.encoding = encoding
        self.header_row = header_row
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.column_mapping = column_mapping
        self.enrichment_type = enrichment_type
        self.batch_size = batch_size
        self.deduplicate = deduplicate
        self.on_invalid_contact = on_invalid_contact
        self.max_credits = max_credits
        self.on_unknown_submission = on_unknown_submission
        self.decision_timeout = decision_timeout
        self.decision_notifiers = decision_notifiers
        self.decision_users = decision_users
        self.force_resubmit = force_resubmit
        self.ledger_conn_id = ledger_conn_id
        self.skip_submitted_within = skip_submitted_within
        self.id_column = id_column
        self.estimate_only = estimate_only
        self.rejects_path = rejects_path
        self.rejects_escape_formulas = rejects_escape_formulas
        self.webhook = webhook
        self.webhook_url = webhook_url
        self.push_task_ids = push_task_ids
        self.wait_for_completion = wait_for_completion
        self.failure_policy = failure_policy
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.cleanlist_conn_id = cleanlist_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit what no earlier attempt has submitted, wait if asked to, and return the result as described above."""
        from airflow_provider_cleanlist.submission.task import leave_trace

        leave_trace(context, given_word(self.force_resubmit) or "")
        return self._run(context, self._options())

    def execute_decided(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Resume with what a person has decided: record it, then continue, and return the same as ``execute``."""
        from airflow_provider_cleanlist.operators.required_action import unanswered
        from airflow_provider_cleanlist.submission.errors import submission_errors

        options, hook = self._options(), CleanlistHook(self.cleanlist_conn_id)
        users = self._decision_request().user_ids
        with submission_errors():
            may_ask = self._open(context, hook, options).take_answer(event, datetime.now(UTC), users)
        if may_ask or options.on_unknown is not OnUnknown.ASK:
            return self._run(context, options)
        with unanswered():
            return self._run(context, replace(options, on_unknown=OnUnknown.FAIL))

    def _run(self, context: Context, options: SubmissionOptions) -> dict[str, Any]:
        from airflow_provider_cleanlist.submission.errors import UndecidedError
        from airflow_provider_cleanlist.submission.report import (
            estimate_line,
            submission_line,
            submission_result,
        )
        from airflow_provider_cleanlist.submission.task import balance_or_none
        from airflow_provider_cleanlist.waiting.wait import check_failure_policy, check_poll_interval

        check_failure_policy(self.failure_policy)
        poll_interval = check_poll_interval(number("poll_interval", self.poll_interval))
        timeout = seconds("timeout", self.timeout, DEFAULT_TIMEOUT_SECONDS)
        if options.on_unknown is OnUnknown.ASK:
            self._decision_request()  # checked before anything is sent
        hook = CleanlistHook(self.cleanlist_conn_id)
        try:
            outcome = self._submit(context, hook, options)
        except UndecidedError as undecided:
            balance = balance_or_none(hook, self.log)
            batches = () if self._submission is None else self._submission.undecided_batches
            self._decision_request().ask(self, context, undecided, batches=batches, balance=balance)
        report = outcome.submitted
        result = submission_result(options, outcome.read, report)
        if outcome.estimate is not None:
            result["estimate"] = asdict(outcome.estimate)
            self.log.info("%s", estimate_line(outcome.estimate))
            return result
        self.log.info("%s", submission_line(result, report))
        for workflow_id in report.workflow_ids[:1]:
            WorkflowLink.remember(context, workflow_id)
        if self.push_task_ids:
            context["ti"].xcom_push(key="task_ids", value=report.task_ids)
        if self.wait_for_completion:
            return self._wait(
                context, hook, result, outcome, poll_interval=poll_interval, deadline=time.time() + timeout
            )
        return self._finish(context, result)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Resume after the trigger: return the result with its summary, or fail as the event says."""
        from airflow_provider_cleanlist.waiting.outcome import outcome_from_json, passthrough_of
        from airflow_provider_cleanlist.waiting.wait import summary_of_event

        self._check_given()
        hook, ends = CleanlistHook(self.cleanlist_conn_id), outcome_from_json(event).ends
        summary = summary_of_event(event, self.log, hook, ledger_conn_id=given(self.ledger_conn_id))
        return self._account(context, hook, passthrough_of(event), summary, ends)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return the lineage of the enrichment: the source into the list of every enriched contact."""
        from airflow_provider_cleanlist.lineage import enrichment_lineage

        return enrichment_lineage(contacts_path=self.contacts_path, sql=self.sql, result=self._result)

    def on_kill(self) -> None:
        """Let the request in flight be recorded, and send no further one."""
        if self._submission is not None:
            from airflow_provider_cleanlist.waiting.outcome import first_ids

            self._submission.stop()
            workflows = self._submission.report().workflow_ids
            self.log.warning(
                "Asked to stop. Accepted workflows continue at Cleanlist, which cannot cancel them: their results will "
                "be billed and kept (%d: %s). A new attempt of the task submits only the rest.",
                len(workflows),
                first_ids(workflows) or "none",
            )

    def _options(self) -> SubmissionOptions:
        from airflow_provider_cleanlist.operators.enrichment_options import enrichment_options

        self._check_given()
        return enrichment_options(self)

    def _submit(self, context: Context, hook: CleanlistHook, options: SubmissionOptions) -> SubmissionOutcome:
        from airflow_provider_cleanlist.contacts.source_ids import SourceIds
        from airflow_provider_cleanlist.contacts.sources import open_source
        from airflow_provider_cleanlist.submission.errors import submission_errors
        from airflow_provider_cleanlist.submission.rejects import Rejects

        rejects_path, id_column = given(self.rejects_path), given(self.id_column)
        with (
            submission_errors(),
            Rejects(rejects_path, escape_formulas=self.rejects_escape_formulas)
            if rejects_path
            else nullcontext() as rejects,
            SourceIds(id_column) if id_column else nullcontext() as source_ids,
        ):
            self._submission = self._open(context, hook, options, rejects)
            source = open_source(
                contacts=None if self.contacts is None else self.contacts.resolve(context).value,
                contacts_path=given(self.contacts_path),
                encoding=given(self.encoding),
                header_row=whole_number("header_row", self.header_row),
                sql=given(self.sql),
                sql_conn_id=given(self.sql_conn_id),
                parameters=None if is_absent(self.parameters) else self.parameters,
            )
            return self._submission.run(
                source,
                column_mapping=mapping("column_mapping", self.column_mapping),
                deduplicate=self.deduplicate,
                source_ids=source_ids,
            )

    def _open(
        self,
        context: Context,
        hook: CleanlistHook,
        options: SubmissionOptions,
        rejects: Rejects | None = None,
    ) -> Submission:
        from airflow_provider_cleanlist.submission.task import open_submission

        return open_submission(
            context,
            hook,
            options,
            ledger_conn_id=given(self.ledger_conn_id),
            token=given_word(self.force_resubmit) or "",
            webhook=self.webhook,
            keep_task_ids=self.push_task_ids,
            rejects=rejects,
            log=self.log,
        )

    def _decision_request(self) -> DecisionRequest:
        from airflow_provider_cleanlist.operators.required_action import DecisionRequest

        return DecisionRequest.of(self.decision_timeout, self.decision_notifiers, self.decision_users)

    def _wait(
        self,
        context: Context,
        hook: CleanlistHook,
        result: dict[str, Any],
        outcome: SubmissionOutcome,
        *,
        poll_interval: float | None,
        deadline: float,
    ) -> dict[str, Any]:
        from airflow_provider_cleanlist.waiting.deliveries import safety_poll_interval
        from airflow_provider_cleanlist.waiting.wait import WaitRequest, rule_for, wait

        report = outcome.submitted
        account = {
            "result": {name: value for name, value in result.items() if name != "workflow_ids"},
            "enrichment_types": report.enrichment_types,
            "balance_before": None if report.tallies.submitted_earlier else outcome.balance_before,
        }
        request = WaitRequest(
            cleanlist_conn_id=hook.cleanlist_conn_id,
            workflow_ids=tuple(report.workflow_ids),
            submitted_at=report.first_submitted_at,
            submitted_over=report.last_submitted_at - report.first_submitted_at,
            deadline=deadline,
            poll_interval=safety_poll_interval(poll_interval, report.workflow_ids),
            failure_policy=self.failure_policy,
        )
        if not self.deferrable or not report.workflow_ids:
            tracker = request.tracker(rule_for(hook))
            summary = wait(hook, request, self.log, tracker, ledger_conn_id=given(self.ledger_conn_id))
            return self._account(context, hook, account, summary, tracker.ends)
        from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger

        self.defer(
            trigger=WorkflowTrigger.of(request, passthrough=account),
            method_name="execute_complete",
            timeout=timedelta(seconds=deadline - time.time() + 60),
        )

    def _account(
        self,
        context: Context,
        hook: CleanlistHook,
        account: Mapping[str, Any],
        summary: Mapping[str, Any],
        ends: Sequence[WorkflowEnd],
    ) -> dict[str, Any]:
        """Add to the result what was found and what it cost; every workflow has ended."""
        from airflow_provider_cleanlist.submission.credits import credits_spent, spending_line
        from airflow_provider_cleanlist.submission.task import balance_or_none

        result = {
            "workflow_ids": [end.workflow_id for end in ends],
            **account["result"],
            "summary": dict(summary),
            "credits_spent": credits_spent(account["enrichment_types"], ends),
        }
        before = account["balance_before"]
        after = None if before is None else balance_or_none(hook, self.log)
        self.log.info("%s", spending_line(result, balance_before=before, balance_after=after))
        return self._finish(context, result)

    def _finish(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """Record the result as events of the task's outlets, and return it."""
        from airflow_provider_cleanlist.submission.report import event_extra

        record_events(context, self.outlets, event_extra(result), lambda: lead_list_asset(MANAGED_LIST))
        self._result = result
        return result
