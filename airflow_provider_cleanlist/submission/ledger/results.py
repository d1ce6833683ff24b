"""What the organisation's ledger says of the persons and source rows behind results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError, CleanlistLoadError
from airflow_provider_cleanlist.results.persons import person_of
from airflow_provider_cleanlist.results.reader import ResultPage
from airflow_provider_cleanlist.results.rows import PERSON
from airflow_provider_cleanlist.submission.errors import JournalConfigurationError, JournalError
from airflow_provider_cleanlist.submission.task import ledger_database
from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError, LoadConfigurationError
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

if TYPE_CHECKING:
    from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase

SOURCE_ROW_FIELDS = ("source", "source_id", "person", "seen_at")
"""Fields of a source row."""
ROWS_PER_PAGE = 500
"""Source rows that are staged together."""


class PersonFinder:
    """Adds to records of results whose they are, as far as the ledger and the results themselves tell.

    Args:
        ledger: The organisation's ledger.

    Attributes:
        unknown: Records so far of which it cannot be told.
    """

    def __init__(self, ledger: LedgerDatabase) -> None:
        self._ledger = ledger
        self._workflow_id: str | None = None
        self._submitted: frozenset[str] = frozenset()
        self.unknown = 0

    def page(self, page: ResultPage) -> ResultPage:
        """Return a page whose records have the field ``_cleanlist_person``.

        Args:
            page: The page.
        """
        return ResultPage([self._record(dict(record)) for record in page.records], page.cursor)

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        person = person_of(record, self._submitted_in(record["workflow_id"]))
        self.unknown += person is None
        return record | {PERSON: person}

    def _submitted_in(self, workflow_id: str) -> frozenset[str]:
        """Return who was submitted in a workflow; records come workflow by workflow."""
        if workflow_id != self._workflow_id:
            contacts = self._ledger.contacts_of([workflow_id])
            self._submitted = frozenset(contact.person for contact in contacts)
            self._workflow_id = workflow_id
        return self._submitted


def source_rows_spec(results: LoadSpec, table: TableName) -> LoadSpec:
    """Return the load of source rows that goes with a load of results.

    Args:
        results: The load of results.
        table: The table for source rows.

    Raises:
        LoadConfigurationError: The results go into the same table.
    """
    if table == results.table:
        raise LoadConfigurationError(
            f"source_rows_table and table are both {table}: the rows of a source need a table of their own."
        )
    return LoadSpec(
        list_id=results.list_id,
        load_id=results.load_id,
        run_id=results.run_id,
        table=table,
        key=("source", "source_id"),
        row_count_check="off",
        staging_schema=results.staging_schema,
        known_fields=SOURCE_ROW_FIELDS,
        id_field="source_id",
        column_types={"seen_at": "timestamp"},
        reads=uuid4().hex,  # the ledger is read anew by each attempt: rows may have become somebody else meanwhile
        newest_by="seen_at",  # loads of one run and of others overlap, and each reads the ledger at a moment of its own
    )


def source_row_pages(
    ledger: LedgerDatabase, workflow_ids: Sequence[str], dag_id: str, run_id: str
) -> Callable[[str | None], Iterator[ResultPage]]:
    """Return what reads source rows page by page; reading cannot resume, and starts over.

    These are the rows of everybody in the workflows, and then all that their tasks and the DAG run have read: a row
    that has become somebody else, or nobody, must not keep the person whom the table has.

    Args:
        ledger: The organisation's ledger.
        workflow_ids: The workflows.
        dag_id: The DAG that loads.
        run_id: Its run.
    """

    def read(cursor: str | None) -> Iterator[ResultPage]:
        if cursor is not None:
            raise CursorRefusedError
        records: list[dict[str, str]] = []
        rows = chain(
            ledger.source_rows_of(workflow_ids), ledger.source_rows_read(workflow_ids, dag_id, run_id)
        )
        for number, (*row, seen_at) in enumerate(rows, start=1):
            records.append(dict(zip(SOURCE_ROW_FIELDS, (*row, seen_at.isoformat()), strict=True)))
            if len(records) == ROWS_PER_PAGE:
                yield ResultPage(records, str(number))
                records = []
        yield ResultPage(records, None)

    return read


@contextmanager
def open_ledger(conn_id: str | None, source_rows_table: str | None) -> Iterator[LedgerDatabase | None]:
    """Open the ledger, or yield None where there is none; its errors tell Airflow whether to retry.

    Args:
        conn_id: Airflow connection of its database; None takes ``[cleanlist] ledger_conn_id``.
        source_rows_table: The table for source rows, which needs a ledger; None for none.

    Raises:
        CleanlistConfigurationError: The ledger is missing although it is needed, or cannot be used as it is.
        CleanlistLoadError: It cannot be used at present.
    """
    try:
        ledger = ledger_database(conn_id)
        if ledger is None:
            if source_rows_table:
                raise CleanlistConfigurationError(
                    "source_rows_table needs a ledger: set ledger_conn_id, or [cleanlist] ledger_conn_id, to the "
                    "Airflow connection of the PostgreSQL, MySQL, MariaDB or SQLite database that BulkEnrichOperator "
                    "used, too."
                )
            yield None
            return
        try:
            yield ledger
        finally:
            ledger.engine.dispose()
    except JournalConfigurationError as error:
        text = str(error)
        raise CleanlistConfigurationError(f"{text[:1].upper()}{text[1:].removesuffix('.')}.") from None
    except JournalError as error:
        raise CleanlistLoadError(
            f"Whose results these are cannot be read: {error}. The target is unchanged; the next attempt resumes."
        ) from None
