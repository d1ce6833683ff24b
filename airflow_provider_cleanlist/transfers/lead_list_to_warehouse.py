"""Loading a Cleanlist lead list into a warehouse table, exactly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.arguments.values import given
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.exceptions import (
    CleanlistAuthenticationError,
    CleanlistConfigurationError,
    CleanlistPermissionError,
    CleanlistRateLimitedError,
)
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.links import PAGE_LINKS, LeadListLink
from airflow_provider_cleanlist.redaction import redacted, shown
from airflow_provider_cleanlist.transfers.base import MAX_PAGE_SIZE, WarehouseLoadOperator
from airflow_provider_cleanlist.transfers.list_reading import (
    Choice,
    auto_spec,
    choose,
    export_of,
    export_spec,
    fields_only_exported,
    lacking_fields,
    pages_of,
    pages_spec,
)
from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError, SourceInconsistentError
from airflow_provider_cleanlist.wording import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from sqlalchemy.engine import Engine

    from airflow_provider_cleanlist.warehouse.loader import LoadReport
    from airflow_provider_cleanlist.warehouse.spec import LoadSpec, Source
    from airflow_provider_cleanlist.warehouse.types import ColumnType


class LeadListToWarehouseOperator(WarehouseLoadOperator):
    """Load a lead list into a table of any SQL database that Airflow has a connection for.

    Leads are read page by page into a staging table and then published in one transaction: readers see the old or the
    new state of the table, never a part. Each lead is there once, however often the list repeats it while it changes.
    A failed attempt leaves the rows of the table as they were, and the next one resumes after the last page that was
    staged. Memory does not grow with the list, and no lead appears in logs, XCom or errors.

    Besides the leads' own fields every row holds ``_cleanlist_list_id``, ``_cleanlist_synced_at`` (UTC, the same for
    all rows that a load writes) and ``_cleanlist_run_id`` (``dag_id/run_id``). The table is created when it is
    missing, for ``merge`` with ``key`` as its primary key. Fields become text columns in snake case; lists and objects
    become compact JSON. See ``docs/loading.md``.

    Args:
        list_id: The lead list. Exactly one of ``list_id`` and ``list_name``.
        list_name: Name of the lead list, in any letter case.
        warehouse_conn_id: Airflow connection of the warehouse; any whose hook is a ``DbApiHook``.
        table: The target, ``table`` or ``schema.table``. A part in double quotes is taken verbatim.
        schema: Schema of the target; ``table`` is then a single name, dots included.
        mode: ``merge`` updates leads of the same key in place, where anything differs, and adds the others.
            ``replace`` makes the list's rows, or the whole table, exactly the list. ``append`` adds the list as it is
            now; a re-run of the same DAG run replaces what that run added. ``snapshot`` keeps one copy of the list per
            ``snapshot_date``.
        key: Columns that identify a lead. ``("lead_id",)`` makes a table of people over all lists.
        replace_scope: What ``replace`` and ``snapshot`` replace: the rows of this ``list``, or the whole ``table``
            (for ``snapshot``: the whole day).
        on_missing: What happens to rows of this list whose leads have left it, with ``mode="merge"``: ``keep``,
            ``soft_delete`` (stamp ``_cleanlist_deleted_at``) or ``delete``. Only when as many leads were read as the
            list says it has. Use ``delete`` with ``read="export"``: pages can miss a lead of a list that changes.
        schema_evolution: What happens to lead fields that the table has no column for: ``add`` a column, ``ignore``
            them (they go into the JSON column ``_extra``), or ``fail``.
        columns: Fields to load: a list of names, or a mapping of field to column name (None keeps the field's own).
            ``lead_id`` and the fields in ``key`` are always loaded.
        exclude_columns: Fields to leave out.
        hash_columns: Fields of which only an HMAC-SHA-256 is stored, as hexadecimal text, made with the
            ``hash_secret`` of the Cleanlist connection.
        column_types: Type by column: ``text``, ``integer``, ``float``, ``boolean``, ``date``, ``timestamp`` or
            ``json``. A value that does not fit stops the load.
        snapshot_date: Day of the snapshot, ``YYYY-MM-DD``. By default the run's logical date; if it has none, the day
            it was due.
        staging_schema: Schema of the staging tables; by default the target's.
        page_size: Leads per request, 1 to 500.
        read: ``pages`` reads the list page by page; ``export`` as one CSV file, whatever its size, by two requests and
            a download; ``auto`` as an export where the list needs more than three pages, and page by page where the
            export is refused, fails, contradicts itself or lacks leads. An export has ``domain`` and the columns of
            smart agents. It lacks ``provider`` and ``full_name``, which is composed if ``columns`` names it. ``auto``
            loads the fields that both have, unless ``columns`` names others: then it always reads in the way that has
            them.
        row_count_check: Whether to ``warn`` or to ``fail`` when the number of leads read is not the list's own count,
            or ``off``.
        cleanlist_conn_id: Airflow connection of type ``cleanlist``.

    Returns:
        What was loaded, without any lead, as the task's XCom.
        ``{"list_id": str, "list_name": str | None, "table": str, "mode": str, "rows_read": int, "rows_written": int,
        "rows_deleted": int, "pages": int, "columns_added": [...], "duration_seconds": float}``. ``rows_read`` and
        ``pages`` count all attempts of the load. ``rows_written`` counts the leads of this load that the table now
        holds, changed or not. ``rows_deleted`` counts rows that ``on_missing`` deleted or marked, or that a replaced
        scope held. Outlets that are assets get the same as ``extra["cleanlist"]`` of their event; an
        asset alias gets an event of ``table_asset(warehouse_conn_id, table)`` with it as JSON text.

    Raises:
        CleanlistConfigurationError: An argument, a connection, a privilege or the table does not fit; not retried.
        CleanlistDataError: A lead does not fit the table; not retried.
        CleanlistLoadError: The warehouse failed, the count differs and ``row_count_check="fail"``, or an export
            contradicts itself; retried.
    """

    template_fields: Sequence[str] = ("list_id", "list_name", "read", *WarehouseLoadOperator.template_fields)
    operator_extra_links = (LeadListLink(), *PAGE_LINKS)
    _never_nothing = (
        *WarehouseLoadOperator._never_nothing,
        "replace_scope",
        "on_missing",
        "row_count_check",
        "read",
    )

    def __init__(
        self,
        *,
        warehouse_conn_id: str,
        table: str,
        list_id: str | None = None,
        list_name: str | None = None,
        schema: str | None = None,
        mode: str = "merge",
        key: Sequence[str] = ("_cleanlist_list_id", "lead_id"),
        replace_scope: str = "list",
        on_missing: str = "keep",
        schema_evolution: str = "add",
        columns: Sequence[str] | Mapping[str, str | None] | None = None,
        exclude_columns: Sequence[str] | None = None,
        hash_columns: Sequence[str] | None = None,
        column_types: Mapping[str, ColumnType] | None = None,
        snapshot_date: str = "{{ ds if ds is defined else dag_run.run_after | ds }}",
        staging_schema: str | None = None,
        page_size: int = MAX_PAGE_SIZE,
        read: str = "pages",
        row_count_check: str = "warn",
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
        self.list_id = list_id
        self.list_name = list_name
        self.replace_scope = replace_scope
        self.on_missing = on_missing
        self.row_count_check = row_count_check
        self.read = read

    def _load(self, context: Context, hook: CleanlistHook) -> dict[str, Any]:
        draft = self._spec(context, hook.settings.hash_secret)
        with self._open_warehouse() as engine:
            list_id, list_name, lead_count = self._find_list(hook)
            LeadListLink.remember(context, list_id)
            spec = replace(draft, list_id=list_id)
            report = self._load_list(engine, spec, hook, lead_count)
        source = {"list_id": list_id, "list_name": list_name}
        result = self._result(spec, report, source=source, counts={"pages": report.pages})
        self.log.info(
            "Loaded list %s into %s (%s): %s read in %s, %s now in the table, %s deleted.",
            list_id,
            spec.table,
            spec.mode,
            counted(report.rows_read, "row"),
            counted(report.pages, "page"),
            f"{report.rows_written:,}",
            f"{report.rows_removed:,}",
        )
        return result

    def _load_list(
        self, engine: Engine, spec: LoadSpec, hook: CleanlistHook, lead_count: int | None
    ) -> LoadReport:
        """Load the list as ``read`` says."""
        from airflow_provider_cleanlist.warehouse.loader import load

        read = self._read()
        if read == "pages":
            return load(engine, pages_spec(spec), pages_of(hook, spec.list_id, self._page_size()))
        if read == "export":
            exported = export_spec(spec)
            return load(engine, exported, export_of(hook, exported, lead_count))
        spec = auto_spec(spec)
        choice, lead_count = self._choose(engine, spec, hook, lead_count)
        self.log.info("Reading list %s by %s: %s.", spec.list_id, choice.source, choice.reason)
        if choice.source == "export":
            exported = replace(export_spec(spec), refuses_fewer=True)
            try:
                return load(engine, exported, export_of(hook, exported, lead_count))
            except (CleanlistAuthenticationError, CleanlistRateLimitedError):
                raise
            except (errors.ApiError, SourceInconsistentError, CursorRefusedError) as error:
                if only_exported := fields_only_exported(spec):
                    self.log.warning(
                        "The export cannot be used, and pages do not have %s, which columns or key name.",
                        ", ".join(only_exported),
                    )
                    raise
                self.log.warning("The export cannot be used, so the list is read by pages: %s", error)
        pages = pages_of(hook, spec.list_id, self._page_size(), empty_is_null=True)
        return load(engine, spec, pages)

    def _choose(
        self, engine: Engine, spec: LoadSpec, hook: CleanlistHook, lead_count: int | None
    ) -> tuple[Choice, int | None]:
        """Return how ``auto`` reads the list, and how many leads it has, as far as that was asked for."""
        from airflow_provider_cleanlist.warehouse.staging import is_resumable

        staged: Source | None = None
        now = datetime.now(UTC)
        if is_resumable(engine, spec, now):
            staged = "pages"
        elif not lacking_fields(spec) and is_resumable(engine, export_spec(spec), now):
            staged = "export"
        may_read_lists = True
        if staged is None and lead_count is None and not fields_only_exported(spec):
            try:
                lead_count = hook.get_lead_list(spec.list_id).lead_count
            except CleanlistPermissionError:
                may_read_lists = False
        choice = choose(lead_count, self._page_size(), spec, staged=staged, may_read_lists=may_read_lists)
        return choice, lead_count

    def _read(self) -> str:
        read = given(self.read) or "pages"
        if read not in ("pages", "export", "auto"):
            raise CleanlistConfigurationError(f"read must be pages, export or auto, not {shown(self.read)}.")
        return read

    def _check_arguments(self) -> None:
        self._read()
        for argument in ("list_id", "list_name"):
            value = getattr(self, argument)
            if isinstance(value, Collection) and not isinstance(value, str):
                raise CleanlistConfigurationError(
                    f"{argument} must be the text of one list, not a value of type {type(value).__name__}: for several "
                    "lists, map the task over them."
                )
        if (given(self.list_id) is None) is (given(self.list_name) is None):
            raise CleanlistConfigurationError("Give exactly one of list_id and list_name.")
        super()._check_arguments()

    def _spec(self, context: Context, hash_secret: str) -> LoadSpec:
        return self._load_spec(
            context,
            list_id=given(self.list_id) or "",
            hash_secret=hash_secret,
            replace_scope=self.replace_scope,
            on_missing=self.on_missing,
            row_count_check=self.row_count_check,
        )

    def _find_list(self, hook: CleanlistHook) -> tuple[str, str | None, int | None]:
        """Return id and name of the list, and how many leads it has, as far as that is known without a request."""
        if list_id := given(self.list_id):
            return list_id, None, None
        name = given(self.list_name) or ""
        found = hook.find_lead_list(name)
        if found is None:
            raise CleanlistConfigurationError(
                f"There is no lead list named {name!r} that this API key may see. {_nearest_names(hook, name)} "
                "Check the name in the Cleanlist portal, or give list_id."
            )
        self.log.info("List %r has the id %s.", redacted(found.name), found.list_id)
        return found.list_id, found.name, found.lead_count


def _nearest_names(hook: CleanlistHook, name: str) -> str:
    """Say which lists have a name like this one, else how many there are."""
    names: dict[str, str] = {}
    others = 0
    for item in hook.iter_lead_lists():
        others += 1
        if len(item.name) <= 3 * len(name):  # a longer one shares less than half with it
            names[item.name.casefold()] = item.name
    near = [
        repr(redacted(names[found])) for found in get_close_matches(name.casefold(), names, n=3, cutoff=0.5)
    ]
    return f"Similar names: {', '.join(near)}." if near else f"It may see {counted(others, 'other list')}."
