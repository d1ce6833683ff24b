"""How a lead list is read for a load: page by page, or as one export; and which of both ``auto`` takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.client.errors import ExportInconsistentError, ExportNotResumableError
from airflow_provider_cleanlist.client.export.csv_file import EXPORT_FIELDS, missing_fields
from airflow_provider_cleanlist.exceptions import (
    CleanlistBadRequestError,
    CleanlistConfigurationError,
    CleanlistInvalidRequestError,
    CleanlistPermissionError,
)
from airflow_provider_cleanlist.input_limits import CURSOR_CHARACTERS
from airflow_provider_cleanlist.lineage import record_list_read
from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError, SourceInconsistentError
from airflow_provider_cleanlist.warehouse.spec import LEAD_FIELDS

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.responses import LeadPage
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
    from airflow_provider_cleanlist.warehouse.reading import ReadPages
    from airflow_provider_cleanlist.warehouse.spec import LoadSpec, Source

MAX_PAGES_IN_AUTO = 3
"""``auto`` reads lists of up to so many pages page by page: an export would save nothing."""
NOT_EXPORTED = ("provider",)
"""Documented fields of a lead that no export has; ``full_name`` is another one, and can be composed."""
SHARED_FIELDS = tuple(field for field in LEAD_FIELDS if field in EXPORT_FIELDS)
"""Documented fields that pages and exports have."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a list is read.

    Attributes:
        source: The way.
        reason: Why, for the log.
    """

    source: Source
    reason: str


def choose(
    lead_count: int | None,
    page_size: int,
    spec: LoadSpec,
    *,
    staged: Source | None,
    may_read_lists: bool = True,
) -> Choice:
    """Return how ``auto`` reads a list.

    Args:
        lead_count: Leads in the list, if known.
        page_size: Leads per page.
        spec: The load.
        staged: How an earlier attempt read a part of it that can be used.
        may_read_lists: Whether the key may read lists, as pages need; it may be one that may export them only.
    """
    if only_exported := fields_only_exported(spec):
        return Choice("export", f"pages do not have {', '.join(only_exported)}")
    if staged is not None:
        return Choice(staged, "an earlier attempt staged a part of it so")
    # a composed full name can differ from the lead's own
    if lacking := [field for field in _named_fields(spec) if field in (*NOT_EXPORTED, "full_name")]:
        return Choice("pages", f"an export does not have {', '.join(lacking)}")
    if not may_read_lists:
        return Choice("export", "the API key may not read lists")
    if lead_count is None:
        return Choice("pages", "its size is not known")
    pages = -(-lead_count // page_size)
    if pages <= MAX_PAGES_IN_AUTO:
        return Choice(
            "pages", f"it has {lead_count:,} leads, which need no more than {MAX_PAGES_IN_AUTO} requests"
        )
    return Choice("export", f"it has {lead_count:,} leads, which would need {pages:,} requests")


def lacking_fields(spec: LoadSpec) -> list[str]:
    """Return the fields that a load asks for by name and no export has.

    Args:
        spec: The load.
    """
    return [field for field in _named_fields(spec) if field in NOT_EXPORTED]


def fields_only_exported(spec: LoadSpec) -> list[str]:
    """Return the fields that a load asks for by name and pages never have: ``domain``, and columns of smart agents.

    Args:
        spec: The load.
    """
    return [field for field in _named_fields(spec) if field not in LEAD_FIELDS]


def _named_fields(spec: LoadSpec) -> list[str]:
    return list(dict.fromkeys((*(spec.columns or ()), *spec.key_fields)))


def auto_spec(spec: LoadSpec) -> LoadSpec:
    """Return a load as one whose columns do not depend on how the list is read.

    Fields that only one of the ways has would be overwritten with nothing, or get old, whenever ``auto`` takes the
    other one.

    Args:
        spec: The load.

    Raises:
        CleanlistConfigurationError: It asks for fields of which none of the ways has all.
    """
    if spec.columns is None:
        spec = replace(spec, columns={field: None for field in SHARED_FIELDS if not spec.is_excluded(field)})
    lacking, only_exported = lacking_fields(spec), fields_only_exported(spec)
    if lacking and only_exported:
        raise CleanlistConfigurationError(
            f"columns or key name {', '.join(lacking)}, which an export does not have, and {', '.join(only_exported)}, "
            "which pages do not have: load them by two tasks, with read='pages' and read='export'."
        )
    return spec


def pages_spec(spec: LoadSpec) -> LoadSpec:
    """Return a load as one that reads pages.

    Args:
        spec: The load.

    Raises:
        CleanlistConfigurationError: It asks for a documented field that only an export has.
    """
    if lacking := [field for field in fields_only_exported(spec) if field in EXPORT_FIELDS]:
        raise CleanlistConfigurationError(
            f"columns or key name {', '.join(lacking)}, which pages do not have: leave it out, or set read='export'."
        )
    return spec


def export_spec(spec: LoadSpec) -> LoadSpec:
    """Return a load as one that reads an export, which has other fields than pages.

    Args:
        spec: The load.

    Raises:
        CleanlistConfigurationError: It asks for a field that no export has.
    """
    if lacking := lacking_fields(spec):
        raise CleanlistConfigurationError(
            f"columns or key name {', '.join(lacking)}, which an export does not have: leave it out, or set "
            "read='pages'."
        )
    return replace(spec, source="export", known_fields=EXPORT_FIELDS)


def needed_fields(spec: LoadSpec) -> tuple[str, ...]:
    """Return the documented fields that an export must have, so that none is overwritten with nothing.

    Args:
        spec: The load.
    """
    names = {"first_name", "last_name"} if composes_full_name(spec) else set()
    wanted = {*spec.initial_fields, *names}
    return tuple(field for field in EXPORT_FIELDS if field in wanted)


def may_have_smart_agents(spec: LoadSpec) -> bool:
    """Return whether a load may take columns of smart agents from an export.

    Args:
        spec: The load.
    """
    return spec.columns is None or not {*EXPORT_FIELDS, *LEAD_FIELDS}.issuperset(_named_fields(spec))


def composes_full_name(spec: LoadSpec) -> bool:
    """Return whether a load asks for ``full_name`` by name.

    Args:
        spec: The load.
    """
    return "full_name" in _named_fields(spec)


def with_full_name(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a lead with a full name made of its names, unless the export has one.

    Args:
        lead: The lead.
    """
    if lead.get("full_name"):
        return lead
    names = [name.strip() for name in (lead.get("first_name"), lead.get("last_name")) if name]
    return {**lead, "full_name": " ".join(filter(None, names)) or None}


def pages_of(hook: CleanlistHook, list_id: str, page_size: int, *, empty_is_null: bool = False) -> ReadPages:
    """Return a reader of a list's pages.

    Args:
        hook: Access to Cleanlist.
        list_id: The list.
        page_size: Leads per page.
        empty_is_null: Whether empty texts are read as null, as an export has them.
    """

    def read(cursor: str | None) -> Iterator[LeadPage]:
        if cursor is not None and len(cursor) > CURSOR_CHARACTERS:
            raise CursorRefusedError
        pages = hook.iter_lead_pages(list_id, page_size, cursor)
        if empty_is_null:
            pages = (replace(page, leads=[*map(_with_nulls, page.leads)]) for page in pages)
        try:
            first = next(pages, None)
        except (CleanlistBadRequestError, CleanlistInvalidRequestError) as error:
            if cursor is None:
                raise
            raise CursorRefusedError from error
        if first is not None:
            yield first
            yield from pages

    return read


def _with_nulls(lead: dict[str, Any]) -> dict[str, Any]:
    return {field: None if value == "" else value for field, value in lead.items()}


def export_of(hook: CleanlistHook, spec: LoadSpec, lead_count: int | None = None) -> ReadPages:
    """Return a reader of a list's export, whose pages have the size of the list itself as their total.

    Args:
        hook: Access to Cleanlist.
        spec: The load, as :func:`export_spec` returns it.
        lead_count: Leads in the list, if it was asked for them just before.
    """
    list_id, composes = spec.list_id, composes_full_name(spec)

    def read(cursor: str | None) -> Iterator[LeadPage]:
        record_list_read(hook, list_id)
        # when reading resumes, the checkpoint has it, but only a count of now shows that no lead has joined since
        asks = cursor is None or spec.on_missing != "keep"
        total = _lead_count(hook, spec, lead_count) if asks else None
        try:
            pages = hook.get_conn().iter_export_file(
                list_id, cursor, needed_fields(spec), smart_agents=may_have_smart_agents(spec)
            )
            for page in pages:
                leads = [*map(with_full_name, page.leads)] if composes else page.leads
                _check_columns(spec, leads)
                yield replace(page, leads=leads, total=total)
        except ExportNotResumableError as error:
            raise CursorRefusedError(
                f"The export of list {list_id} cannot be read on: {error}. Nothing was written; the next attempt asks "
                "for a new one. read='pages' reads the list without an export."
            ) from None
        except ExportInconsistentError as error:
            raise SourceInconsistentError(
                f"The export of list {list_id} contradicts itself: {error}. Nothing was written; the next attempt "
                "asks for a new one. read='pages' reads the list without an export."
            ) from None

    return read


def _lead_count(hook: CleanlistHook, spec: LoadSpec, known: int | None) -> int | None:
    """Return how many leads the list has; None if the key may export it only and nobody insists on the count."""
    if known is not None:
        return known
    try:
        return hook.get_lead_list(spec.list_id).lead_count
    except CleanlistPermissionError:
        if spec.row_count_check == "fail":
            raise
        return None


def _check_columns(spec: LoadSpec, leads: Sequence[dict[str, Any]]) -> None:
    """Refuse an export that lacks a column that was asked for by name, which would be overwritten with nothing.

    Raises:
        CleanlistConfigurationError: It lacks one.
    """
    for lead in leads[:1]:
        if lacking := missing_fields(_named_fields(spec), lead):
            if agents := [name for field in lacking if (name := f"{field} (smart agent)") in lead]:
                raise CleanlistConfigurationError(
                    f"columns or key name {', '.join(map(repr, lacking))}, which the export of list {spec.list_id} "
                    f"does not have. Nothing was written. Name {', '.join(map(repr, agents))} instead: a smart agent "
                    "with the name of a documented field is called so here."
                )
            raise CleanlistConfigurationError(
                f"columns or key name {', '.join(map(repr, lacking))}, which the export of list {spec.list_id} does "
                "not have: a smart agent may have been renamed or removed. Nothing was written. Name it as in the "
                "header of the export, or leave it out."
            )
