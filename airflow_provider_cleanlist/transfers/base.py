"""What the operators that load a warehouse table share: arguments, the frame of a load, errors and lineage."""

from __future__ import annotations

import hashlib
import time
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow_provider_cleanlist.arguments.operator import GivenArguments
from airflow_provider_cleanlist.arguments.values import (
    given,
    is_absent,
    mapping,
    unicode_text,
    whole_number,
)
from airflow_provider_cleanlist.assets import MANAGED_LIST, record_events, table_asset
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistDataError,
    CleanlistLoadError,
)
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.hooks.sql import sql_hook
from airflow_provider_cleanlist.lineage import load_lineage
from airflow_provider_cleanlist.redaction import shown
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError
from airflow_provider_cleanlist.warehouse.naming import TableName, parse_table

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage
    from sqlalchemy.engine import Engine

    from airflow_provider_cleanlist.warehouse.loader import LoadReport
    from airflow_provider_cleanlist.warehouse.spec import LoadSpec, Mode, SchemaEvolution
    from airflow_provider_cleanlist.warehouse.types import ColumnType

MAX_PAGE_SIZE = 500
"""Largest ``page_size``: the most leads that one request may read, and the most results staged together."""
LOAD_STATE_KEY = "cleanlist_load"
"""Key of a completed load in Airflow's task state store."""


class WarehouseLoadOperator(GivenArguments):
    """Loads records from Cleanlist into a table of any SQL database that Airflow has a connection for.

    A subclass says in :meth:`_load` where its records come from; its own signature shows users every argument with
    its default.

    Args:
        warehouse_conn_id: Airflow connection of the warehouse.
        table: The target, ``table`` or ``schema.table``.
        schema: Schema of the target.
        mode: ``merge``, ``replace``, ``append`` or ``snapshot``.
        key: Columns that identify a record.
        schema_evolution: What happens to fields without a column: ``add``, ``ignore`` or ``fail``.
        columns: Fields to load, or a mapping of field to column name; None loads all.
        exclude_columns: Fields to leave out.
        hash_columns: Fields of which only an HMAC-SHA-256 is stored.
        column_types: Type by column.
        snapshot_date: Day of the snapshot.
        staging_schema: Schema of the staging tables; None is the target's.
        page_size: Records per page, 1 to 500.
        cleanlist_conn_id: Airflow connection of type ``cleanlist``.
    """

    template_fields: Sequence[str] = (
        "table",
        "schema",
        "mode",
        "key",
        "schema_evolution",
        "columns",
        "exclude_columns",
        "hash_columns",
        "snapshot_date",
        "staging_schema",
        "warehouse_conn_id",
        "cleanlist_conn_id",
    )
    ui_color = "#dff3ec"
    default_page_size = MAX_PAGE_SIZE
    _required: ClassVar[Sequence[str]] = ("warehouse_conn_id", "table")
    _never_nothing: ClassVar[Sequence[str]] = (
        "schema",
        "mode",
        "columns",
        "exclude_columns",
        "hash_columns",
        "column_types",
        "snapshot_date",
        "staging_schema",
        "page_size",
        "cleanlist_conn_id",
    )

    def __init__(
        self,
        *,
        warehouse_conn_id: str,
        table: str,
        schema: str | None,
        mode: str,
        key: Sequence[str],
        schema_evolution: str,
        columns: Sequence[str] | Mapping[str, str | None] | None,
        exclude_columns: Sequence[str] | None,
        hash_columns: Sequence[str] | None,
        column_types: Mapping[str, ColumnType] | None,
        snapshot_date: str,
        staging_schema: str | None,
        page_size: int,
        cleanlist_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
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
        self._started = 0.0
        self._default_schema: str | None = None
        self._loaded: dict[str, Any] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the records, resuming where an earlier attempt stopped, and return what the class describes."""
        self._started = time.monotonic()
        self._check_arguments()
        hook = CleanlistHook(self.cleanlist_conn_id)
        hook.get_conn()
        with load_errors_for_airflow():
            result = self._load(context, hook)
        record_events(
            context, self.outlets, result, lambda: table_asset(self.warehouse_conn_id, result["table"])
        )
        self._loaded = result
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the lineage of the load: the list that was read into the table that was written."""
        if self._loaded is None:
            return None
        return load_lineage(
            warehouse_conn_id=self.warehouse_conn_id,
            table=self._table(),
            default_schema=self._default_schema,
            # a load that names no list is of enrichment results: of contacts in the managed list
            result={"list_id": MANAGED_LIST, "list_name": None, **self._loaded},
        )

    @abstractmethod
    def _load(self, context: Context, hook: CleanlistHook) -> dict[str, Any]:
        """Read the records, load them, and return the task's result.

        Args:
            context: Context of the task.
            hook: Access to Cleanlist.
        """

    def _check_arguments(self) -> None:
        """Raise CleanlistConfigurationError for arguments that are invalid whatever the connections hold."""
        self._check_given()
        self._page_size()

    def _table(self) -> TableName:
        return parse_table(given(self.table) or "", given(self.schema))

    def _mode(self) -> str:
        return given(self.mode) or "merge"

    def _page_size(self) -> int:
        size = whole_number("page_size", self.page_size)
        if size is None:
            return self.default_page_size
        if not 1 <= size <= MAX_PAGE_SIZE:
            raise CleanlistConfigurationError(f"page_size must be 1 to {MAX_PAGE_SIZE}, not {size}.")
        return size

    def _load_spec(self, context: Context, *, list_id: str, hash_secret: str, **particulars: Any) -> LoadSpec:
        """Return the load that the arguments describe; particulars are what only this kind of load has.

        Raises:
            CleanlistConfigurationError: An argument cannot be read.
            LoadConfigurationError: An argument is unknown or contradicts another one.
        """
        from airflow_provider_cleanlist.warehouse.spec import LoadSpec

        ti = context["ti"]
        run = f"{ti.dag_id}/{context['run_id']}"
        mode = self._mode()
        return LoadSpec(
            list_id=list_id,
            load_id=f"{run}/{ti.task_id}/{ti.map_index}",
            run_id=run,
            table=self._table(),
            mode=cast("Mode", mode),
            key=_names("key", self.key),
            schema_evolution=cast("SchemaEvolution", self.schema_evolution),
            columns=_columns(self.columns),
            exclude_columns=_names("exclude_columns", self.exclude_columns),
            hash_columns=_names("hash_columns", self.hash_columns),
            column_types=dict(mapping("column_types", self.column_types) or {}),
            snapshot_date=_snapshot_date(self.snapshot_date, context) if mode == "snapshot" else None,
            staging_schema=given(self.staging_schema),
            hash_secret=hash_secret or None,
            **particulars,
        )

    @contextmanager
    def _open_warehouse(self) -> Iterator[Engine]:
        engine = open_warehouse(self.warehouse_conn_id)
        try:
            self._default_schema = engine.dialect.default_schema_name
            yield engine
        finally:
            engine.dispose()

    def _result(
        self, spec: LoadSpec, report: LoadReport, *, source: Mapping[str, Any], counts: Mapping[str, int]
    ) -> dict[str, Any]:
        """Return the task's result: what the records came from, what every load reports, and counts of this kind."""
        return {
            **source,
            "table": str(spec.table),
            "mode": spec.mode,
            "rows_read": report.rows_read,
            "rows_written": report.rows_written,
            "rows_deleted": report.rows_removed,
            **counts,
            "columns_added": list(report.columns_added),
            "duration_seconds": round(time.monotonic() - self._started, 3),
        }


class CompletedLoadCache:
    """The result of a load that an earlier attempt of the same task completed, kept in Airflow's task state store.

    A worker that is killed after publishing and before Airflow knows of the success is retried, and must not read
    everything again. A task that was cleared is to load again: clearing raises ``max_tries``. Before Airflow 3.3
    there is no such store, and nothing is kept.

    Args:
        context: Context of the task.
        *identity: What makes it the same load.
    """

    def __init__(self, context: Context, *identity: object) -> None:
        self._store: Any = context.get("task_state_store")
        self._digest = ""
        if self._store is not None:
            text = repr((context["ti"].max_tries, *identity))
            self._digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def get(self) -> dict[str, Any] | None:
        """Return the result of the load if it is completed, else None."""
        found = None if self._store is None else self._store.get(LOAD_STATE_KEY)
        if not isinstance(found, dict) or found.get("of") != self._digest:
            return None
        result: dict[str, Any] = found["result"]
        return result

    def put(self, result: dict[str, Any]) -> None:
        """Keep the result of the load.

        Args:
            result: Small JSON values, nothing personal.
        """
        if self._store is not None:
            self._store.set(LOAD_STATE_KEY, {"of": self._digest, "result": result})


@contextmanager
def load_errors_for_airflow() -> Iterator[None]:
    """Raise errors of the warehouse as the exceptions that tell Airflow whether to retry.

    Raises:
        CleanlistConfigurationError: For an argument, a connection or a table that does not fit.
        CleanlistDataError: For records that do not fit.
        CleanlistLoadError: For a warehouse that failed.
    """
    try:
        yield
    except LoadConfigurationError as error:
        raise CleanlistConfigurationError(str(error)) from None
    except LoadDataError as error:
        raise CleanlistDataError(str(error)) from None
    except LoadError as error:
        raise CleanlistLoadError(str(error)) from None


def open_warehouse(conn_id: str) -> Engine:
    """Return an engine for a warehouse connection.

    Args:
        conn_id: Airflow connection.

    Raises:
        CleanlistConfigurationError: The connection is missing or is not a SQL database connection.
    """
    from airflow_provider_cleanlist.warehouse.connect import open_engine

    return open_engine(sql_hook(conn_id, "warehouse_conn_id"), conn_id)


def _names(argument: str, names: Collection[str] | None) -> tuple[str, ...]:
    if names is None:
        return ()
    is_list = isinstance(names, Collection) and not isinstance(names, str | bytes | Mapping)
    if not is_list or not all(isinstance(name, str) for name in names):
        raise CleanlistConfigurationError(f"{argument} must be a list of names, not {shown(names)}.")
    if any(map(is_absent, names)):
        raise CleanlistConfigurationError(
            f"{argument} holds a name that is empty here: a template in it may have rendered as nothing."
        )
    return tuple(map(unicode_text, names))


def _columns(columns: Sequence[str] | Mapping[str, str | None] | None) -> dict[str, str | None] | None:
    if columns is None:
        return None
    if not isinstance(columns, Mapping):
        return dict.fromkeys(_names("columns", columns))
    fields = _names("columns", list(columns))
    return dict(zip(fields, (given(name) for name in columns.values()), strict=True))


def _snapshot_date(value: Any, context: Context) -> date:
    """Return the day of a snapshot: by default the run's logical date, and the day it was due if it has none."""
    if is_absent(value):
        value = context.get("logical_date") or context["dag_run"].run_after
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    try:
        return datetime.fromisoformat(str(value).strip()).date()
    except ValueError:
        raise CleanlistConfigurationError(
            f"snapshot_date={shown(value)} is not a date: use YYYY-MM-DD."
        ) from None
