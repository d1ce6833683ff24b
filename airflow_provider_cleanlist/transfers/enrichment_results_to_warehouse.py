"""Loading the results of enrichment, contact by contact, into a warehouse table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_cleanlist.arguments.values import (
    given,
)
from airflow_provider_cleanlist.assets import MANAGED_LIST
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError
from airflow_provider_cleanlist.inbox.settings import configured_path
from airflow_provider_cleanlist.links import PAGE_LINKS, WorkflowLink
from airflow_provider_cleanlist.redaction import shown
from airflow_provider_cleanlist.results.reader import (
    Access,
    CursorOfOtherResultsError,
    FailureUnconfirmedError,
    ResultPage,
    ResultReader,
    ResultsNotReadyError,
    ResultsUnavailableError,
)
from airflow_provider_cleanlist.results.rows import PERSON, RESULT_FIELDS
from airflow_provider_cleanlist.transfers.base import CompletedLoadCache, WarehouseLoadOperator
from airflow_provider_cleanlist.waiting.diagnosis import why_no_webhook
from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError
from airflow_provider_cleanlist.warehouse.naming import parse_table
from airflow_provider_cleanlist.wording import counted
from airflow_provider_cleanlist.xcom import (
    check_workflow_ids,
    task_ids_of,
    workflow_ids_of,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from sqlalchemy.engine import Engine

    from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
    from airflow_provider_cleanlist.submission.ledger.results import PersonFinder
    from airflow_provider_cleanlist.warehouse.loader import LoadReport
    from airflow_provider_cleanlist.warehouse.reading import ReadPages
    from airflow_provider_cleanlist.warehouse.spec import LoadSpec
    from airflow_provider_cleanlist.warehouse.types import ColumnType

RAW = "raw"
"""Column of the result as Cleanlist sent it."""


class CleanlistResultsNotReadyError(CleanlistError, AirflowException):
    """The results cannot be read yet: a workflow runs or only seems to have failed, or the inbox fails. Retried."""


class EnrichmentResultsToWarehouseOperator(WarehouseLoadOperator):
    """Load the results of enrichment workflows, one row per submitted contact, into a table of any SQL database.

    Results are read in the cheapest way possible, workflow by workflow: what a webhook delivered to
    ``[cleanlist] webhook_inbox`` costs no request; a workflow's status costs one for up to 250 contacts if it carries
    results; with ``task_ids`` each contact costs one request, at the pace of the request budget. What is read is
    staged at once: a killed attempt is resumed, and no staged contact is read again. Publishing is one transaction,
    as in ``LeadListToWarehouseOperator``.

    Columns: ``task_id``, ``workflow_id``, ``status``, ``primary_email``, ``primary_email_status``, ``other_emails``
    and ``phones`` (JSON lists), every field of the person as ``prospect_...`` and of the company as ``company_...``,
    ``raw`` (the result as Cleanlist sent it, JSON), and the loader's own as in ``LeadListToWarehouseOperator``, with
    ``_cleanlist_list_id`` being ``managed``. With a ledger, ``_cleanlist_person`` is the hash of the person, as in the
    ledger, and NULL where it cannot be told whose result it is. ``raw`` is left out when ``exclude_columns`` or
    ``hash_columns`` are given, because it would hold what they hide; name it in ``columns`` to load it all the same.
    See ``docs/enrichment-results.md``.

    Args:
        workflow_ids: One workflow id, several, the result of ``BulkEnrichOperator``, several of these, or an XComArg
            of any of them (templated). Nothing, such as None, is refused; an empty list says that there are none.
        task_ids: Task ids by workflow: the XCom ``task_ids`` that ``BulkEnrichOperator(push_task_ids=True)`` pushes,
            or several of these (templated).
        source_rows_table: A further table of the warehouse, ``table`` or ``schema.table`` (templated), into which the
            ledger's ``source``, ``source_id``, ``person`` and ``seen_at`` are merged, for a warehouse that is not the
            ledger's database: of everybody in these workflows, and of every row that their tasks and this DAG run have
            read. Needs a ledger, and rows kept by ``BulkEnrichOperator(id_column=...)``.
        ledger_conn_id: Airflow connection of the ledger (templated); by default ``[cleanlist] ledger_conn_id``.
        on_unfinished: What to do while a workflow, or a task of a completed one, is still running: ``fail`` (the retry
            resumes), or ``skip`` its unfinished contacts.
        warehouse_conn_id: Airflow connection of the warehouse; any whose hook is a ``DbApiHook``.
        table: The target, ``table`` or ``schema.table``. A part in double quotes is taken verbatim.
        schema: Schema of the target; ``table`` is then a single name, dots included.
        mode: ``merge`` replaces rows of the same key and adds the others. ``replace`` makes the results that the table
            holds exactly these, so only one task may fill it. ``append`` adds them, ``snapshot`` keeps one copy of each
            result per ``snapshot_date``; a re-run of the same DAG run, or day, replaces the results that it loads again
            and leaves those of other tasks alone.
        key: Columns that identify a result. With ``workflow_id`` in it, a forged webhook changes no row of another
            workflow.
        schema_evolution: What happens to fields that the table has no column for: ``add``, ``ignore`` or ``fail``.
        columns: Fields to load: a list of names, or a mapping of field to column name.
        exclude_columns: Fields to leave out.
        hash_columns: Fields of which only an HMAC-SHA-256 is stored, made with the connection's ``hash_secret``.
        column_types: Type by column, as in ``LeadListToWarehouseOperator``.
        snapshot_date: Day of the snapshot, ``YYYY-MM-DD``; by default the run's logical date, else the day it was due.
        staging_schema: Schema of the staging tables; by default the target's.
        page_size: Contacts that are staged together where they are read one by one, 1 to 500. More contacts make
            fewer, larger transactions; after a kill, up to this many are read again.
        cleanlist_conn_id: Airflow connection of type ``cleanlist``.

    Returns:
        What was loaded, without any result, as the task's XCom.
        ``{"workflows": int, "table": str, "mode": str, "rows_read": int, "rows_written": int, "rows_deleted": int,
        "from_webhooks": int, "from_workflows": int, "from_tasks": int, "unfinished": int, "persons_unknown": int,
        "source_rows": int, "columns_added": [...], "duration_seconds": float}``. ``rows_read`` counts all attempts of
        the load, the five after ``rows_deleted`` this one; ``rows_written`` counts the results of this load that the
        table now holds, changed or not. ``persons_unknown`` counts results of which the ledger and the result itself
        do not tell whose they are, ``source_rows`` rows of ``source_rows_table``; both are 0 without a ledger.
        Outlets get the same as in ``LeadListToWarehouseOperator``.

    Raises:
        CleanlistConfigurationError: An argument, a connection, a privilege or the table does not fit, or none of the
            three ways can serve a workflow; not retried.
        CleanlistDataError: A result does not fit the table; not retried.
        CleanlistResultsNotReadyError: A workflow, or a task of a completed one, is still running and
            ``on_unfinished="fail"``, or nothing but a status word says that it failed and ``mode="replace"``; retried.
        CleanlistLoadError: The warehouse or the ledger failed; retried.
    """

    template_fields: Sequence[str] = (
        "workflow_ids",
        "task_ids",
        "source_rows_table",
        "ledger_conn_id",
        *WarehouseLoadOperator.template_fields,
    )
    operator_extra_links = (WorkflowLink(), *PAGE_LINKS)
    default_page_size = 1
    _never_nothing = (
        *WarehouseLoadOperator._never_nothing,
        "on_unfinished",
        "ledger_conn_id",
        "source_rows_table",
    )

    def __init__(
        self,
        *,
        workflow_ids: Any,
        warehouse_conn_id: str,
        table: str,
        task_ids: Any = None,
        source_rows_table: str | None = None,
        ledger_conn_id: str | None = None,
        on_unfinished: str = "fail",
        schema: str | None = None,
        mode: str = "merge",
        key: Sequence[str] = ("task_id", "workflow_id"),
        schema_evolution: str = "add",
        columns: Sequence[str] | Mapping[str, str | None] | None = None,
        exclude_columns: Sequence[str] | None = None,
        hash_columns: Sequence[str] | None = None,
        column_types: Mapping[str, ColumnType] | None = None,
        snapshot_date: str = "{{ ds if ds is defined else dag_run.run_after | ds }}",
        staging_schema: str | None = None,
        page_size: int = 1,
        cleanlist_conn_id: str = CleanlistHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            warehouse_conn_id=warehouse_conn_id,
            table=table,
            schema=schema,
            mode=mode,
            key=key,
            schema_evolution=schema_evolution,
            columns=columns,
            exclude_columns=exclude_columns,
            hash_columns=hash_columns,
            column_types=column_types,
            snapshot_date=snapshot_date,
            staging_schema=staging_schema,
            page_size=page_size,
            cleanlist_conn_id=cleanlist_conn_id,
            **kwargs,
        )
        self.workflow_ids = workflow_ids
        self.task_ids = task_ids
        self.source_rows_table = source_rows_table
        self.ledger_conn_id = ledger_conn_id
        self.on_unfinished = on_unfinished

    def _load(self, context: Context, hook: CleanlistHook) -> dict[str, Any]:
        from airflow_provider_cleanlist.submission.ledger.results import open_ledger

        workflow_ids = workflow_ids_of(self.workflow_ids)
        with (
            _result_errors_for_airflow(hook),
            open_ledger(given(self.ledger_conn_id), given(self.source_rows_table)) as ledger,
        ):
            reader = self._reader(hook, workflow_ids, ledger)
            for workflow_id in workflow_ids[:1]:
                WorkflowLink.remember(context, workflow_id)
            spec = self._spec(context, hook.settings.hash_secret, has_persons=ledger is not None)
            # whom an attempt has left out, the next one reads again, and so all
            reads = (
                uuid4().hex
                if self.on_unfinished == "skip"
                else f"{reader.digest} {ledger and ledger.location}"
            )
            spec = replace(spec, reads=reads)
            with self._open_warehouse() as engine:
                result = self._load_once(context, engine, spec, reader, ledger)
        self._log_result(result)
        return result

    def _load_once(
        self,
        context: Context,
        engine: Engine,
        spec: LoadSpec,
        reader: ResultReader,
        ledger: LedgerDatabase | None,
    ) -> dict[str, Any]:
        """Load, unless an earlier attempt completed the load and was killed before Airflow knew of it."""
        from airflow_provider_cleanlist.submission.ledger.results import PersonFinder
        from airflow_provider_cleanlist.warehouse.loader import clean_up, load

        persons = None if ledger is None else PersonFinder(ledger)
        source_rows = 0

        def result(report: LoadReport) -> dict[str, Any]:
            unknown = 0 if persons is None else persons.unknown
            counts = {**asdict(reader.counts), "persons_unknown": unknown, "source_rows": source_rows}
            return self._result(spec, report, source={"workflows": reader.workflows}, counts=counts)

        completed = CompletedLoadCache(
            context,
            reader.digest,
            spec.fingerprint,
            str(spec.table),
            spec.mode,
            spec.key,
            spec.columns,
            given(self.warehouse_conn_id),
            spec.snapshot_date,
            given(self.source_rows_table),
        )
        if (earlier := completed.get()) is not None:
            self.log.info("An earlier attempt completed this load and was stopped before Airflow knew.")
            clean_up(engine, spec)
            return earlier
        if ledger is not None:
            source_rows = self._load_source_rows(context, engine, spec, ledger)
        report = load(
            engine,
            spec,
            _pages(reader, persons),
            batch_rows=1,
            pages_ahead=0,  # a killed attempt has to read again what is not staged
            before_cleanup=lambda report: completed.put(result(report)),
        )
        return result(report)

    def _load_source_rows(
        self, context: Context, engine: Engine, results: LoadSpec, ledger: LedgerDatabase
    ) -> int:
        """Merge the source rows of the workflows and the run, if their table is named; return how many were merged."""
        from airflow_provider_cleanlist.submission.ledger.results import source_row_pages, source_rows_spec
        from airflow_provider_cleanlist.warehouse.loader import load

        table = given(self.source_rows_table)
        if table is None:
            return 0
        spec = source_rows_spec(results, parse_table(table, given(self.schema)))
        workflow_ids, dag_id = workflow_ids_of(self.workflow_ids), context["ti"].dag_id
        pages = source_row_pages(ledger, workflow_ids, dag_id, context["run_id"])
        # each page is committed before the next is read, because ledger and warehouse may be one SQLite file
        report = load(engine, spec, pages, batch_rows=1, pages_ahead=0)
        self.log.info("Merged %s into %s.", counted(report.rows_written, "source row"), spec.table)
        return report.rows_written

    def _check_arguments(self) -> None:
        if self.on_unfinished not in ("fail", "skip"):
            raise CleanlistConfigurationError(
                f"on_unfinished must be fail or skip, not {shown(self.on_unfinished)}."
            )
        super()._check_arguments()
        check_workflow_ids(self.workflow_ids)

    def _spec(self, context: Context, hash_secret: str, *, has_persons: bool = False) -> LoadSpec:
        from airflow_provider_cleanlist.warehouse.spec import naming_nothing

        spec = self._load_spec(
            context,
            list_id=MANAGED_LIST,
            hash_secret=hash_secret,
            row_count_check="off",
            known_fields=(*RESULT_FIELDS, PERSON) if has_persons else RESULT_FIELDS,
            id_field="task_id",
            source_changes=False,
        )
        for argument, names in (
            ("exclude_columns", spec.exclude_columns),
            ("hash_columns", spec.hash_columns),
        ):
            if strange := naming_nothing(names, (*RESULT_FIELDS, PERSON), ("prospect", "company")):
                raise CleanlistConfigurationError(
                    f"{argument} names {shown(strange[0])}, which no result has, so it would hide nothing. Results "
                    f"have {', '.join(RESULT_FIELDS)}, and other fields that begin with prospect_ or company_."
                )
        if has_persons and spec.columns is not None and not spec.is_excluded(PERSON):
            spec = replace(spec, columns={**spec.columns, PERSON: None})
        if self.columns is None and (spec.hash_columns or spec.exclude_columns):
            return replace(spec, exclude_columns=(*spec.exclude_columns, RAW))
        return spec

    def _reader(
        self, hook: CleanlistHook, workflow_ids: list[str], ledger: LedgerDatabase | None
    ) -> ResultReader:
        inbox = Inbox.configured()
        submitted = None if ledger is None else ledger.contacts_of
        return ResultReader(
            workflow_ids,
            task_ids_of(self.task_ids),
            Access(
                delivered=inbox.payload if inbox is not None else lambda _: None,
                workflow=hook.get_workflow_status,
                task=hook.get_task_result,
                submitted=lambda one: 0 if submitted is None else sum(1 for _ in submitted([one])),
            ),
            self.log,
            skip_unfinished=self.on_unfinished == "skip",
            deletes_unread=self._mode() == "replace",
            tasks_per_page=self._page_size(),
        )

    def _log_result(self, result: dict[str, Any]) -> None:
        self.log.info(
            "Loaded the results of %s into %s (%s): %s read in all, %s now in the table, %s deleted. In this attempt, "
            "%d came from webhooks, %d from workflow statuses, %d one by one.",
            counted(result["workflows"], "workflow"),
            result["table"],
            result["mode"],
            counted(result["rows_read"], "row"),
            f"{result['rows_written']:,}",
            f"{result['rows_deleted']:,}",
            result["from_webhooks"],
            result["from_workflows"],
            result["from_tasks"],
        )
        if unfinished := result["unfinished"]:
            self.log.warning("Left out %s whose enrichment has not ended.", counted(unfinished, "contact"))
        if unknown := result["persons_unknown"]:
            self.log.warning(
                "The person of %s cannot be told, so _cleanlist_person is NULL there: the result names nobody whom the "
                "ledger has in its workflow, or several of them.",
                counted(unknown, "result"),
            )


def _pages(reader: ResultReader, persons: PersonFinder | None) -> ReadPages:
    def read(cursor: str | None) -> Iterator[ResultPage]:
        try:
            for page in reader.read(cursor):
                yield page if persons is None else persons.page(page)
        except CursorOfOtherResultsError as error:
            raise CursorRefusedError from error

    return read


@contextmanager
def _result_errors_for_airflow(hook: CleanlistHook) -> Iterator[None]:
    """Raise errors of reading results as the exceptions that tell Airflow whether to retry."""
    try:
        yield
    except ResultsNotReadyError as error:
        if error.is_completed:
            raise CleanlistResultsNotReadyError(
                f"Workflow {error.workflow_id} has completed, but a task of it is still running. What was read so far "
                "is staged; the target is unchanged. Let Airflow retry, or set on_unfinished='skip'."
            ) from None
        raise CleanlistResultsNotReadyError(
            f"Workflow {error.workflow_id} is still running. What was read so far is staged; the target is unchanged. "
            "Wait for the workflows first (WorkflowSensor, or wait_for_completion=True), or set on_unfinished='skip'."
        ) from None
    except FailureUnconfirmedError as error:
        raise CleanlistResultsNotReadyError(
            f"The response about workflow {error.workflow_id} says that it failed, and nothing else: no count, no "
            "result. Something on the way may have sent it, and mode='replace' would delete the rows that the table "
            "holds. The target is unchanged. Let Airflow retry; if the workflow did fail, leave it out of "
            "workflow_ids, or use mode='merge'."
        ) from None
    except ResultsUnavailableError as error:
        raise CleanlistConfigurationError(_why_unavailable(error, hook)) from None
    except InboxUnavailableError as error:
        raise CleanlistResultsNotReadyError(f"Delivered results cannot be read: {error}.") from error


def _why_unavailable(error: ResultsUnavailableError, hook: CleanlistHook) -> str:
    webhook = "[cleanlist] webhook_inbox is not set, so no webhook can have delivered it"
    if configured_path():
        webhook = why_no_webhook(hook, error.workflow_id)
    expected = "an unknown number" if error.expected is None else error.expected
    return (
        f"Only {error.found} of {expected} results of workflow {error.workflow_id} can be read, and the target is "
        f"unchanged. Its status carries no complete results; {webhook}; and task_ids names none of its tasks. "
        "Switch one of these on: BulkEnrichOperator(push_task_ids=True) with task_ids=enrich.output['task_ids'] here, "
        "or webhooks as docs/webhooks.md describes."
    )
