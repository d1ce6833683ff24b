"""Loading what enrichment found, contact by contact, into a warehouse table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator

from airflow_provider_cleanlist.assets import MANAGED_LIST, record_events, table_asset
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.links import WorkflowLink
from airflow_provider_cleanlist.transfers.loading import as_airflow_errors, load_spec, open_warehouse
from airflow_provider_cleanlist.xcom import task_ids_of, workflow_ids_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage
    from sqlalchemy.engine import Engine

    from airflow_provider_cleanlist.inbox.inbox import Inbox
    from airflow_provider_cleanlist.results.reader import (
        ResultPage,
        ResultReader,
        ResultsUnavailableError,
    )
    from airflow_provider_cleanlist.warehouse.loader import LoadReport, ReadPages
    from airflow_provider_cleanlist.warehouse.spec import ColumnType, LoadSpec

RAW = "raw"
"""Column of the result as Cleanlist sent it."""
_PAGES_AHEAD = 0
"""What is read is staged before more is read, because a killed try has to read again what is not."""


class CleanlistResultsNotReadyError(CleanlistError, AirflowException):
    """A workflow still runs, so its results are not complete. Retried."""


class EnrichmentResultsToWarehouseOperator(BaseOperator):
    """Load the results of enrichment workflows, one row per submitted contact, into a table of any SQL database.

    Results are read in the cheapest way there is, workflow by workflow: what a webhook delivered to
    ``[cleanlist] webhook_inbox`` costs no request; the answer to a workflow's status costs one for up to 250 contacts
    if it carries results; with ``task_ids`` each contact costs one request, at the pace of the request budget. What
    is read is staged at once: a try that was killed is gone on with, and reads no staged contact again. Publishing
    is one transaction, as in ``LeadListToWarehouseOperator``.

    Columns: ``task_id``, ``workflow_id``, ``status``, ``primary_email``, ``primary_email_status``, ``other_emails``
    and ``phones`` (JSON lists), every field of the person as ``prospect_...`` and of the company as ``company_...``,
    ``raw`` (the result as Cleanlist sent it, JSON), and the loader's own as in ``LeadListToWarehouseOperator``, with
    ``_cleanlist_list_id`` being ``managed``. ``raw`` is left out when ``exclude_columns`` or ``hash_columns`` are
    given, because it would hold what they are to hide; name it in ``columns`` to have it all the same.
    See ``docs/enrichment-results.md``.

    Args:
        workflow_ids: One workflow id, several, the result of ``BulkEnrichOperator``, several of these, or an XComArg
            of any of them (templated).
        task_ids: Task ids by workflow: the XCom ``task_ids`` that ``BulkEnrichOperator(push_task_ids=True)`` pushes,
            or several of these (templated).
        on_unfinished: What to do while a workflow still runs: ``fail`` (retried, and gone on with), or ``skip`` its
            unfinished contacts.
        warehouse_conn_id: Airflow connection of the warehouse; any whose hook is a ``DbApiHook``.
        table: The target, ``table`` or ``schema.table``. A part in double quotes is taken verbatim.
        schema: Schema of the target; ``table`` is then a single name, dots included.
        mode: ``merge`` replaces rows of the same key and adds the others. ``replace`` makes the results that the table
            holds exactly these. ``append`` adds them; a re-run of the same DAG run replaces what that run added.
            ``snapshot`` keeps one copy per ``snapshot_date``.
        key: Columns that tell results apart.
        schema_evolution: What becomes of fields that the table has no column for: ``add``, ``ignore`` or ``fail``.
        columns: Fields to load: a list of names, or a mapping of field to column name.
        exclude_columns: Fields to leave out.
        hash_columns: Fields of which only an HMAC-SHA-256 is stored, made with the connection's ``hash_secret``.
        column_types: Type by column, as in ``LeadListToWarehouseOperator``.
        snapshot_date: Day of the snapshot, ``YYYY-MM-DD``; by default the run's logical date, else the day it was due.
        staging_schema: Schema of the staging tables; by default the target's.
        page_size: Contacts that are staged together where they are read one by one, 1 to 500. More make fewer, larger
            transactions; a killed try reads at most so many again.
        cleanlist_conn_id: Airflow connection of type ``cleanlist``.

    Returns:
        What was loaded, without any result, as the task's XCom.
        ``{"workflows": int, "table": str, "mode": str, "rows_read": int, "rows_written": int, "rows_deleted": int,
        "from_webhooks": int, "from_workflows": int, "from_tasks": int, "unfinished": int, "columns_added": [...],
        "duration_seconds": float}``. ``rows_read`` counts all tries of the load, the four after ``rows_deleted`` this
        one. Outlets get the same as in ``LeadListToWarehouseOperator``.

    Raises:
        CleanlistConfigurationError: An argument, a connection, a privilege or the table does not fit, or none of the
            three ways can serve a workflow; not retried.
        CleanlistDataError: A result does not fit the table; not retried.
        CleanlistResultsNotReadyError: A workflow still runs and ``on_unfinished="fail"``; retried.
        CleanlistLoadError: The warehouse failed; retried.
    """

    template_fields: Sequence[str] = (
        "workflow_ids",
        "task_ids",
        "table",
        "schema",
        "mode",
        "columns",
        "exclude_columns",
        "hash_columns",
        "snapshot_date",
        "staging_schema",
        "warehouse_conn_id",
        "cleanlist_conn_id",
    )
    operator_extra_links = (WorkflowLink(),)
    ui_color = "#dff3ec"

    def __init__(
        self,
        *,
        workflow_ids: Any,
        warehouse_conn_id: str,
        table: str,
        task_ids: Any = None,
        on_unfinished: str = "fail",
        schema: str | None = None,
        mode: str = "merge",
        key: Sequence[str] = ("task_id",),
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
        super().__init__(**kwargs)
        self.workflow_ids = workflow_ids
        self.task_ids = task_ids
        self.on_unfinished = on_unfinished
        self.warehouse_conn_id = warehouse_conn_id
        self.table = table
        self.schema = schema
        self.mode = mode
        self.key = key
        self.schema_evolution = schema_evolution
        self.columns = columns
        self.exclude_columns = exclude_columns
        self.hash_columns = hash_columns
        self.column_types = column_types
        self.snapshot_date = snapshot_date
        self.staging_schema = staging_schema
        self.page_size = page_size
        self.cleanlist_conn_id = cleanlist_conn_id
        self._lineage: dict[str, Any] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the results, going on where an earlier try stopped, and return what the class says."""
        from airflow_provider_cleanlist.inbox.inbox import Inbox

        started = time.monotonic()
        self._check_arguments()
        workflow_ids = workflow_ids_of(self.workflow_ids)
        hook = CleanlistHook(self.cleanlist_conn_id)
        hook.get_conn()
        inbox = Inbox.configured()
        reader = self._reader(hook, inbox, workflow_ids)
        for workflow_id in workflow_ids[:1]:
            WorkflowLink.remember(context, workflow_id)
        with as_airflow_errors(), _as_errors_of_results(hook, inbox):
            spec = self._spec(context, hook.settings.hash_secret)
            engine = open_warehouse(self.warehouse_conn_id)
            try:
                result = self._load_once(context, engine, spec, reader, started)
                default_schema = engine.dialect.default_schema_name
            finally:
                engine.dispose()
        self._say(result)
        record_events(
            context, self.outlets, result, lambda: table_asset(self.warehouse_conn_id, result["table"])
        )
        lineage = {**result, "list_id": MANAGED_LIST, "list_name": None}
        self._lineage = {"table": spec.table, "default_schema": default_schema, "result": lineage}
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the lineage of the load: the list of every enriched contact into the table."""
        from airflow_provider_cleanlist.lineage import load_lineage

        if self._lineage is None:
            return None
        return load_lineage(warehouse_conn_id=self.warehouse_conn_id, **self._lineage)

    def _load_once(
        self, context: Context, engine: Engine, spec: LoadSpec, reader: ResultReader, started: float
    ) -> dict[str, Any]:
        """Load, unless an earlier try was killed between its end and Airflow's knowing of it."""
        from airflow_provider_cleanlist.transfers.finished import FinishedLoad
        from airflow_provider_cleanlist.warehouse.loader import clean_up, load

        what = (reader.digest, spec.fingerprint, str(spec.table), spec.mode, spec.snapshot_date)
        finished = FinishedLoad(context, *what)
        if (result := finished.recall()) is not None:
            self.log.info("An earlier try loaded everything and was stopped before Airflow knew.")
            clean_up(engine, spec)
            return result
        report = load(
            engine,
            spec,
            _pages(reader),
            batch_rows=1,
            pages_ahead=_PAGES_AHEAD,
            before_cleanup=lambda report: finished.remember(self._result(spec, reader, report, started)),
        )
        return self._result(spec, reader, report, started)

    def _check_arguments(self) -> None:
        if self.on_unfinished not in ("fail", "skip"):
            raise CleanlistConfigurationError(
                f"on_unfinished must be fail or skip, not {self.on_unfinished!r}."
            )
        if not 1 <= self.page_size <= 500:
            raise CleanlistConfigurationError(f"page_size must be 1 to 500, not {self.page_size}.")

    def _spec(self, context: Context, hash_secret: str) -> LoadSpec:
        from dataclasses import replace

        from airflow_provider_cleanlist.results.rows import RESULT_FIELDS

        spec = load_spec(
            self,
            context,
            list_id=MANAGED_LIST,
            hash_secret=hash_secret,
            row_count_check="off",
            known_fields=RESULT_FIELDS,
            id_field="task_id",
        )
        if self.columns is None and (spec.hash_columns or spec.exclude_columns):
            return replace(spec, exclude_columns=(*spec.exclude_columns, RAW))
        return spec

    def _reader(self, hook: CleanlistHook, inbox: Inbox | None, workflow_ids: list[str]) -> ResultReader:
        from airflow_provider_cleanlist.results.reader import Access, ResultReader

        return ResultReader(
            workflow_ids,
            task_ids_of(self.task_ids),
            Access(
                delivered=inbox.payload if inbox is not None else lambda _: None,
                workflow=hook.get_workflow_status,
                task=hook.get_task_result,
            ),
            self.log,
            skip_unfinished=self.on_unfinished == "skip",
            tasks_per_page=self.page_size,
        )

    def _result(
        self, spec: LoadSpec, reader: ResultReader, report: LoadReport, started: float
    ) -> dict[str, Any]:
        sources = reader.sources
        return {
            "workflows": reader.workflows,
            "table": str(spec.table),
            "mode": spec.mode,
            "rows_read": report.rows_read,
            "rows_written": report.rows_written,
            "rows_deleted": report.rows_removed,
            "from_webhooks": sources.from_webhooks,
            "from_workflows": sources.from_workflows,
            "from_tasks": sources.from_tasks,
            "unfinished": sources.unfinished,
            "columns_added": list(report.columns_added),
            "duration_seconds": round(time.monotonic() - started, 3),
        }

    def _say(self, result: dict[str, Any]) -> None:
        self.log.info(
            "Loaded the results of %(workflows)d workflows into %(table)s (%(mode)s): %(rows_read)d rows read in all, "
            "%(rows_written)d written. %(from_webhooks)d came from webhooks, %(from_workflows)d from workflows' "
            "answers, %(from_tasks)d one by one, in the try that finished.",
            result,
        )
        if result["unfinished"]:
            self.log.warning("%d contacts are not finished and were left out.", result["unfinished"])


def _pages(reader: ResultReader) -> ReadPages:
    from airflow_provider_cleanlist.results.reader import CursorOfOtherResultsError
    from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError

    def read(cursor: str | None) -> Iterator[ResultPage]:
        try:
            yield from reader.read(cursor)
        except CursorOfOtherResultsError as error:
            raise CursorRefusedError from error

    return read


@contextmanager
def _as_errors_of_results(hook: CleanlistHook, inbox: Inbox | None) -> Iterator[None]:
    """Raise what goes wrong with reading results as the exception that tells Airflow whether to retry."""
    from airflow_provider_cleanlist.inbox.inbox import InboxUnavailableError
    from airflow_provider_cleanlist.results.reader import (
        ResultsNotReadyError,
        ResultsUnavailableError,
    )

    try:
        yield
    except ResultsNotReadyError as error:
        raise CleanlistResultsNotReadyError(
            f"Workflow {error.workflow_id} still runs. What was read so far is staged; the target is unchanged. Wait "
            "for the workflows first (WorkflowSensor, or wait_for_completion=True), or set on_unfinished='skip'."
        ) from None
    except ResultsUnavailableError as error:
        raise CleanlistConfigurationError(_unavailable(error, hook, inbox)) from None
    except InboxUnavailableError as error:
        raise CleanlistResultsNotReadyError(f"Delivered results cannot be read: {error}.") from error


def _unavailable(error: ResultsUnavailableError, hook: CleanlistHook, inbox: Inbox | None) -> str:
    if inbox is None:
        webhook = "[cleanlist] webhook_inbox is not set, so no webhook can have delivered it"
    else:
        from airflow_provider_cleanlist.waiting.diagnosis import why_no_webhook

        webhook = why_no_webhook(hook, error.workflow_id)
    expected = "an unknown number" if error.expected is None else error.expected
    return (
        f"Only {error.found} of {expected} results of workflow {error.workflow_id} can be read, and the target is "
        f"unchanged. Its status carries no complete results; {webhook}; and task_ids names none of its tasks. "
        "Switch one of these on: BulkEnrichOperator(push_task_ids=True) with task_ids=enrich.output['task_ids'] here, "
        "or webhooks as docs/webhooks.md describes."
    )
