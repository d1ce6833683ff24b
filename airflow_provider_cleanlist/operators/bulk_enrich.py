"""Submitting contacts for enrichment, each at most once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import Asset, BaseOperator, XComArg, conf

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.models import MAX_CONTACTS_PER_REQUEST, EnrichmentType
from airflow_provider_cleanlist.enrichment.errors import SourceError
from airflow_provider_cleanlist.enrichment.journal import (
    Journal,
    JournalCorruptError,
    JournalError,
    JournalMissingError,
    OnUnknown,
)
from airflow_provider_cleanlist.enrichment.plan import (
    CreditLimitError,
    OnInvalid,
    SubmissionPlan,
    check_credits,
)
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistCreditLimitError,
    CleanlistDataError,
    CleanlistPermissionError,
    CleanlistStateCorruptError,
    CleanlistStateError,
    to_airflow,
)
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cleanlist.enrichment.reading import ReadReport
    from airflow_provider_cleanlist.enrichment.spool import ContactSpool
    from airflow_provider_cleanlist.enrichment.submission import Submission, SubmissionReport

_Words = TypeVar("_Words", bound=StrEnum)


class BulkEnrichOperator(BaseOperator):
    """Submit contacts to Cleanlist in batches and never pay twice for one of them.

    Every batch is written to a journal right before its request leaves and again when the answer is there. A later
    try of the task, after whatever crash, submits only contacts that no earlier try has submitted. When the outcome of
    a request is unknown, the task stops and says so: the API has no idempotency key (contract section 4.4).

    The journal lives in Airflow's task state store (3.3 and later), or in the directory that the configuration option
    ``[cleanlist] journal_path`` names. With neither, a task may not be tried twice.

    Exactly one of ``contacts``, ``contacts_path`` and ``sql`` is the source. Contacts are personal data: they are no
    template field, and only counts, ids and row numbers appear in logs and XCom.

    Args:
        contacts: Mappings with contact fields, ``Contact`` objects, a pandas DataFrame, or the output of another task.
        contacts_path: Local path or object storage URI of a ``.csv``, ``.jsonl``, ``.ndjson``, ``.json`` or
            ``.parquet`` file, optionally ``.gz``.
        sql: Query whose rows are contacts.
        sql_conn_id: Connection for ``sql``; any whose hook is a ``DbApiHook``.
        parameters: Values for the placeholders of ``sql``.
        column_mapping: Source column to contact field (None leaves a column out), for columns that are not recognised
            by their names.
        enrichment_type: ``none``, ``partial`` (emails, 1 credit each), ``phone_only`` (phones, 10 credits each) or
            ``full`` (both).
        batch_size: Contacts per request, 1 to 250.
        deduplicate: Submit each person once, however often the source names them.
        on_invalid_contact: What to do about rows that Cleanlist cannot look up: ``fail`` before anything is submitted,
            or ``skip`` them.
        max_credits: Most credits that the task may cost in the worst case, or None. Checked, like the balance, before
            the first request.
        on_unknown_submission: What to do about contacts of which nobody knows whether they were accepted: ``fail``,
            ``skip`` them, or ``resubmit`` them and perhaps pay twice.
        force_resubmit: Any text, templated. A value that this task instance has not seen starts over with all contacts.
        webhook_url: HTTPS address that receives the results.
        push_task_ids: Push a second XCom, ``task_ids``: the API's task ids by workflow.
        wait_for_completion: Wait until all workflows are done, and fail if one failed.
        deferrable: Wait in the triggerer; by default as Airflow is configured.
        poll_interval: Fixed seconds between looks at a workflow; None follows the request budget.
        timeout: Seconds to wait at most.
        cleanlist_conn_id: Airflow connection of type ``cleanlist``.

    Returns:
        ``{"workflow_ids": [...], "enrichment_type": str, "contacts_read": int, "contacts_submitted": int,
        "duplicates_dropped": int, "invalid_contacts": int, "batches": int, "worst_case_credits": int}``, and after
        waiting ``"summary"`` as :class:`~airflow_provider_cleanlist.sensors.workflow.WorkflowSensor` returns it.

    Raises:
        CleanlistSubmissionUnknownError: Nobody knows whether some contacts were accepted; not retried.
        CleanlistCreditLimitError: The worst case costs too much; nothing was submitted; not retried.
        CleanlistInsufficientCreditsError: Credits ran out between batches; not retried, clear after topping up.
        CleanlistDataError: The source cannot be used; nothing was submitted; not retried.
        CleanlistStateError: The journal cannot be read or written; retried.
    """

    template_fields: Sequence[str] = (
        "contacts_path",
        "sql",
        "sql_conn_id",
        "parameters",
        "column_mapping",
        "enrichment_type",
        "max_credits",
        "on_invalid_contact",
        "on_unknown_submission",
        "force_resubmit",
        "webhook_url",
        "cleanlist_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json", "column_mapping": "json"}  # noqa: RUF012
    ui_color = "#dff3ec"

    def __init__(
        self,
        *,
        contacts: Any = None,
        contacts_path: str | None = None,
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
        force_resubmit: str | None = None,
        webhook_url: str | None = None,
        push_task_ids: bool = False,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | None = None,
        timeout: float = 3600,
        cleanlist_conn_id: str = CleanlistHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contacts = contacts
        self.contacts_path = contacts_path
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
        self.force_resubmit = force_resubmit
        self.webhook_url = webhook_url
        self.push_task_ids = push_task_ids
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.cleanlist_conn_id = cleanlist_conn_id
        XComArg.apply_upstream_relationship(self, contacts)

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit what no earlier try has submitted, and wait if asked to."""
        plan = self._plan()
        hook = CleanlistHook(self.cleanlist_conn_id)
        with _as_airflow_errors():
            submission = self._open_submission(context, plan, hook)
            submission.check_unknown()
            read, report = self._read_and_submit(context, plan, hook, submission)
        result = _result(plan, read, report)
        self.log.info("%s", _account(result, report))
        if self.push_task_ids:
            context["ti"].xcom_push(key="task_ids", value=report.task_ids)
        if self.wait_for_completion and report.workflow_ids:
            return self._wait(context, hook, result, report)
        return self._finish(context, result)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take over from the trigger: return the result with its summary, or fail as it says."""
        from airflow_provider_cleanlist.enrichment.waiting import summary_of_event

        return self._finish(context, {**event["passthrough"], "summary": summary_of_event(event, self.log)})

    def _plan(self) -> SubmissionPlan:
        if not 1 <= self.batch_size <= MAX_CONTACTS_PER_REQUEST:
            raise CleanlistConfigurationError(
                f"batch_size must be 1 to {MAX_CONTACTS_PER_REQUEST}, not {self.batch_size}."
            )
        return SubmissionPlan(
            enrichment_type=_choice("enrichment_type", EnrichmentType, self.enrichment_type),
            batch_size=self.batch_size,
            max_credits=_optional_number("max_credits", self.max_credits),
            on_unknown=_choice("on_unknown_submission", OnUnknown, self.on_unknown_submission),
            on_invalid=_choice("on_invalid_contact", OnInvalid, self.on_invalid_contact),
            webhook_url=self.webhook_url,
        )

    def _open_submission(self, context: Context, plan: SubmissionPlan, hook: CleanlistHook) -> Submission:
        from airflow_provider_cleanlist.enrichment.journal_stores import open_store
        from airflow_provider_cleanlist.enrichment.submission import Submission

        journal = Journal(
            open_store(context, conf.get("cleanlist", "journal_path", fallback="")), self.force_resubmit
        )
        journal.load()
        return Submission(plan, journal, hook.get_conn().submit_bulk_enrichment, self.log)

    def _read_and_submit(
        self, context: Context, plan: SubmissionPlan, hook: CleanlistHook, submission: Submission
    ) -> tuple[ReadReport, SubmissionReport]:
        from airflow_provider_cleanlist.enrichment.reading import ReadReport
        from airflow_provider_cleanlist.enrichment.spool import ContactSpool

        read = ReadReport()
        with ContactSpool() as spool:
            self._read(context, plan, read, submission, spool)
            if spool and plan.worst_case(len(spool)):
                check_credits(
                    plan,
                    remaining=len(spool),
                    accepted_worst_case=submission.accepted_worst_case,
                    balance=self._balance(hook),
                )
            return read, submission.run(spool)

    def _read(
        self,
        context: Context,
        plan: SubmissionPlan,
        read: ReadReport,
        submission: Submission,
        spool: ContactSpool,
    ) -> None:
        """Read the whole source before the first request, so that nothing is sent of an unusable one."""
        from airflow_provider_cleanlist.enrichment.reading import Accepted, read_contacts
        from airflow_provider_cleanlist.enrichment.sources import open_source

        source = open_source(
            contacts=_resolved(self.contacts, context),
            contacts_path=self.contacts_path,
            sql=self.sql,
            sql_conn_id=self.sql_conn_id,
            parameters=self.parameters,
        )
        rows = read_contacts(source, read, column_mapping=self.column_mapping, deduplicate=self.deduplicate)
        for row in rows:
            if isinstance(row, Accepted) and not submission.is_settled(row.identity):
                spool.append(row)
        for line in read.summary_lines():
            self.log.info("%s", line)
        if read.refused and plan.on_invalid is OnInvalid.FAIL:
            raise CleanlistDataError(
                f"Nothing was submitted: {read.refused_rows} of {read.rows} rows of {read.source} cannot be looked up. "
                + " ".join(f"{line}." for line in read.refusal_lines())
                + " Correct the rows, or set on_invalid_contact='skip' to submit the others."
            )

    def _balance(self, hook: CleanlistHook) -> float | None:
        try:
            balance = float(hook.get_credit_balance().credits)
        except CleanlistPermissionError:
            self.log.warning("The API key may not read the credit balance, so it is not checked beforehand.")
            return None
        self.log.info("Credit balance before submitting: %g.", balance)
        return balance

    def _wait(
        self, context: Context, hook: CleanlistHook, result: dict[str, Any], report: SubmissionReport
    ) -> dict[str, Any]:
        from airflow_provider_cleanlist.enrichment.waiting import WaitRequest, wait

        request = WaitRequest(
            cleanlist_conn_id=self.cleanlist_conn_id,
            workflow_ids=tuple(result["workflow_ids"]),
            submitted_at=report.first_submitted_at,
            submitted_over=report.last_submitted_at - report.first_submitted_at,
            deadline=time.time() + self.timeout,
            poll_interval=self.poll_interval,
            failure_policy="any",
        )
        if not self.deferrable:
            return self._finish(context, {**result, "summary": wait(hook, request, self.log)})
        from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger

        self.defer(
            trigger=WorkflowTrigger.of(request, passthrough=result),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + 60),
        )

    def _finish(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """Tell the task's outlets what came about."""
        extra = {key: value for key, value in result.items() if key != "workflow_ids"}
        extra["workflow_ids"] = result["workflow_ids"][:100]
        for outlet in self.outlets or ():
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra = {"cleanlist": extra}
        return result


@contextmanager
def _as_airflow_errors() -> Iterator[None]:
    """Raise what goes wrong as the exception that tells Airflow whether to retry."""
    try:
        yield
    except errors.ApiError as error:
        raise to_airflow(error) from None
    except CreditLimitError as error:
        raise CleanlistCreditLimitError(str(error)) from None
    except SourceError as error:
        raise CleanlistDataError(f"Nothing was submitted: {error}") from None
    except JournalMissingError as error:
        raise CleanlistConfigurationError(str(error)) from None
    except JournalCorruptError as error:
        raise CleanlistStateCorruptError(
            f"The record of what was submitted is damaged: {error}. Nothing more was submitted. Compare with the "
            "Cleanlist portal; then give a new force_resubmit value to start over with all contacts and pay for them "
            "again, or start a new DAG run with the contacts that are missing."
        ) from None
    except JournalError as error:
        raise CleanlistStateError(
            f"The record of what was submitted cannot be read or written: {error}. Nothing more was submitted."
        ) from error


def _resolved(contacts: Any, context: Context) -> Any:
    """Fetch the output of another task; the outputs of a mapped task are taken one after the other."""
    if not isinstance(contacts, XComArg):
        return contacts
    resolved = contacts.resolve(context)
    if isinstance(resolved, Sequence) and not isinstance(resolved, list | tuple | str):
        return [contact for output in resolved for contact in output]
    return resolved


def _choice(argument: str, words: type[_Words], value: Any) -> _Words:
    try:
        return words(value)
    except ValueError:
        raise CleanlistConfigurationError(
            f"{argument} must be one of {', '.join(words)}, not {value!r}."
        ) from None


def _optional_number(argument: str, value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise CleanlistConfigurationError(f"{argument} must be a whole number, not {value!r}.") from None


def _result(plan: SubmissionPlan, read: ReadReport, report: SubmissionReport) -> dict[str, Any]:
    return {
        "workflow_ids": report.workflow_ids,
        "enrichment_type": plan.enrichment_type.value,
        "contacts_read": read.rows,
        "contacts_submitted": report.contacts_submitted,
        "duplicates_dropped": read.duplicates.count,
        "invalid_contacts": read.refused_rows + len(report.refused_rows),
        "batches": len(report.workflow_ids),
        "worst_case_credits": report.worst_case_credits,
    }


def _account(result: Mapping[str, Any], report: SubmissionReport) -> str:
    earlier = (
        f" {report.submitted_earlier} of them had been submitted by an earlier try and were not sent again."
        if report.submitted_earlier
        else ""
    )
    return (
        f"Submitted: {result['contacts_submitted']} contacts in {result['batches']} workflows, at most "
        f"{result['worst_case_credits']} credits.{earlier}"
    )
