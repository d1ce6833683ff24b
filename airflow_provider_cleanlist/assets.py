"""Assets for lead lists and loaded tables, for DAGs that are scheduled on them.

Their URIs are ``cleanlist://lists/<list id>`` and ``cleanlist://tables/<connection id>/<table>``. Airflow checks them
when it parses a DAG.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow.providers.common.compat.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset

SCHEME = "cleanlist"
"""Scheme of the assets' URIs."""
MANAGED_LIST = "managed"
"""Stands for the id of the managed list, to which Cleanlist adds every enriched contact."""

_PARTS_OF_PATH = {"lists": ("list id",), "tables": ("connection id", "table")}
_ENCODED = re.compile(r"(?:[A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})+")
_FORMS = "cleanlist://lists/<list id> or cleanlist://tables/<connection id>/<table>"


def lead_list_asset(list_id: str) -> Asset:
    """Return the asset of a lead list.

    Args:
        list_id: Id of the list; ``MANAGED_LIST`` for the one to which Cleanlist adds every enriched contact.

    Returns:
        An asset with the URI ``cleanlist://lists/<list id>``.

    Raises:
        ValueError: The id is empty or a template; assets are fixed when a DAG is parsed.
    """
    return Asset(uri=_uri("lists", list_id))


def table_asset(warehouse_conn_id: str, table: str) -> Asset:
    """Return the asset of a warehouse table, named by its connection because the database is not asked.

    Args:
        warehouse_conn_id: Airflow connection of the warehouse.
        table: ``table`` or ``schema.table``, as in the loading task.

    Returns:
        An asset with the URI ``cleanlist://tables/<connection id>/<table>``.

    Raises:
        ValueError: An argument is empty or a template; assets are fixed when a DAG is parsed.
    """
    return Asset(uri=_uri("tables", warehouse_conn_id, table))


def create_asset(
    *,
    list_id: str | None = None,
    warehouse_conn_id: str | None = None,
    table: str | None = None,
    extra: dict[str, Any] | None = None,
) -> Asset:
    """Return the asset of a list or of a table, for hook lineage.

    Args:
        list_id: Id of the list.
        warehouse_conn_id: Connection of the table's warehouse.
        table: Name of the table.
        extra: Further information to store with the asset.

    Raises:
        ValueError: Neither a list nor a table is given.
    """
    uri = _uri("lists", list_id) if list_id else _uri("tables", warehouse_conn_id or "", table or "")
    return Asset(uri=uri, extra=extra)


def sanitize_uri(parts: SplitResult) -> SplitResult:
    """Check a ``cleanlist`` URI and return it in its canonical form.

    Args:
        parts: The URI.

    Raises:
        ValueError: It has neither of the two forms.
    """
    kind = parts.netloc.lower()
    path = parts.path.strip("/").split("/")
    if parts.query or parts.fragment or len(path) != len(_PARTS_OF_PATH.get(kind, ())):
        raise ValueError(f"{parts.geturl()!r} is not a Cleanlist asset: use {_FORMS}.")
    if not all(_ENCODED.fullmatch(part) for part in path):
        raise ValueError(
            f"{parts.geturl()!r} is not a Cleanlist asset: its path must be percent-encoded text; templates are not "
            "rendered in assets."
        )
    return SplitResult(SCHEME, kind, "/" + "/".join(path), "", "")


def convert_to_openlineage(asset: Asset, lineage_context: object) -> Dataset:
    """Return the OpenLineage dataset of an asset.

    Args:
        asset: An asset of the scheme ``cleanlist``.
        lineage_context: The hook or operator that reported it; not used.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=SCHEME, name=unquote(parts.netloc + parts.path))


def record_events(
    context: Mapping[str, Any],
    outlets: Iterable[object] | None,
    extra: dict[str, Any],
    produced: Callable[[], Asset],
) -> None:
    """Attach the result of a task to the events of its outlets.

    Args:
        context: Context of the task.
        outlets: The task's outlets. An asset gets the result with its event; an asset alias gets an event of the asset
            that was produced, with the result as JSON text, because aliases take flat values only.
        extra: The result; it becomes ``extra["cleanlist"]`` of the events.
        produced: Returns the asset for aliases.
    """
    for outlet in outlets or ():
        if isinstance(outlet, Asset):
            context["outlet_events"][outlet].extra = {SCHEME: extra}
        elif isinstance(outlet, AssetAlias):
            # several versions of Airflow hash the values of this extra, so it cannot nest
            context["outlet_events"][outlet].add(produced(), extra={SCHEME: json.dumps(extra)})


def _uri(kind: str, *path: str) -> str:
    for what, part in zip(_PARTS_OF_PATH[kind], path, strict=True):
        if not part.strip() or "{{" in part:
            raise ValueError(
                f"An asset needs the {what} when the DAG is parsed, not {part!r}: use an asset alias for names that "
                "are known only when the task runs."
            )
    return f"{SCHEME}://{kind}/" + "/".join(quote(part.strip(), safe="") for part in path)
