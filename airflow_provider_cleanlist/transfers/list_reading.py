"""How a lead list is read for a load: page by page, or as one export; and which of both ``auto`` takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_cleanlist.client.errors import ExportInconsistentError, ExportNotResumableError
from airflow_provider_cleanlist.client.export.csv_file import EXPORT_FIELDS
from airflow_provider_cleanlist.exceptions import (
    CleanlistBadRequestError,
    CleanlistConfigurationError,
    CleanlistInvalidRequestError,
)
from airflow_provider_cleanlist.lineage import record_list_read
from airflow_provider_cleanlist.warehouse.errors import CursorRefusedError, SourceInconsistentError

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.responses import LeadPage
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
    from airflow_provider_cleanlist.warehouse.reading import ReadPages
    from airflow_provider_cleanlist.warehouse.spec import LoadSpec

Source = Literal["pages", "export"]
"""The ways to read a list."""
MAX_PAGES_IN_AUTO = 3
"""``auto`` reads lists of up to so many pages page by page: an export would save nothing."""
NOT_EXPORTED = ("provider",)
"""Documented fields of a lead that no export has; ``full_name`` is another one, and can be composed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a list is read.

    Attributes:
        source: The way.
        reason: Why, for the log.
    """

    source: Source
    reason: str


def choose(lead_count: int | None, page_size: int, spec: LoadSpec, *, staged: Source | None) -> Choice:
    """Return how ``auto`` reads a list.

    Args:
        lead_count: Leads in the list, if known.
        page_size: Leads per page.
        spec: The load.
        staged: How an earlier attempt read a part of it that can be used.
    """
    if staged is not None:
        return Choice(staged, "an earlier attempt staged a part of it so")
    if lacking := lacking_fields(spec):
        return Choice("pages", f"an export does not have {', '.join(lacking)}")
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
    named = dict.fromkeys((*(spec.columns or ()), *spec.key_fields))
    return [field for field in named if field in NOT_EXPORTED and not spec.is_excluded(field)]


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


def composes_full_name(spec: LoadSpec) -> bool:
    """Return whether a load asks for ``full_name`` by name.

    Args:
        spec: The load.
    """
    return "full_name" in (*(spec.columns or ()), *spec.key_fields)


def with_full_name(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a lead with a full name made of its names, unless the export has one.

    Args:
        lead: The lead.
    """
    if lead.get("full_name"):
        return lead
    names = [name.strip() for name in (lead.get("first_name"), lead.get("last_name")) if name]
    return {**lead, "full_name": " ".join(filter(None, names)) or None}


def pages_of(hook: CleanlistHook, list_id: str, page_size: int) -> ReadPages:
    """Return a reader of a list's pages.

    Args:
        hook: Access to Cleanlist.
        list_id: The list.
        page_size: Leads per page.
    """

    def read(cursor: str | None) -> Iterator[LeadPage]:
        pages = hook.iter_lead_pages(list_id, page_size, cursor)
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


def export_of(hook: CleanlistHook, list_id: str, spec: LoadSpec) -> ReadPages:
    """Return a reader of a list's export.

    Args:
        hook: Access to Cleanlist.
        list_id: The list.
        spec: The load, as :func:`export_spec` returns it.
    """
    composes = composes_full_name(spec)

    def read(cursor: str | None) -> Iterator[LeadPage]:
        record_list_read(hook, list_id)
        try:
            for page in hook.get_conn().iter_export_file(list_id, cursor, needed_fields(spec)):
                yield replace(page, leads=[*map(with_full_name, page.leads)]) if composes else page
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
