"""Databricks: rows arrive as JSON documents, and one MERGE publishes, because a transaction holds one statement."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_cleanlist.warehouse.dialects.base import Database, is_distinct
from airflow_provider_cleanlist.warehouse.dialects.json_unnest import DOCUMENT, JsonUnnest
from airflow_provider_cleanlist.warehouse.errors import NEVER, ErrorCodes, any_of
from airflow_provider_cleanlist.warehouse.types import DatabaseTypes, NamedType


def _error_class(error: Any) -> str:
    """Return the error class that begins a message in brackets, without its subclass."""
    found = re.search(r"\[([A-Z_]+)[.\]]", str(error))
    return found[1] if found else ""


DATABRICKS = Database(
    name="databricks",
    types=DatabaseTypes(float=NamedType("DOUBLE"), timestamp=NamedType("TIMESTAMP")),
    errors=ErrorCodes(
        code=_error_class,
        denied=any_of("INSUFFICIENT_PERMISSIONS PERMISSION_DENIED"),
        missing=any_of("TABLE_OR_VIEW_NOT_FOUND SCHEMA_NOT_FOUND"),
        configuration=any_of(".*_NOT_FOUND INSUFFICIENT_PERMISSIONS PERMISSION_DENIED UNRESOLVED_.*"),
        data=any_of("CAST_.* DELTA_.*CONSTRAINT.* NUMERIC_VALUE_OUT_OF_RANGE"),
        harmless=NEVER,
    ),
    ignores_case=True,
    enforces_keys=False,
    insert=JsonUnnest(
        f"(SELECT explode(from_json(:{DOCUMENT}, 'array<array<string>>')) AS cells) AS batch",
        first=0,
        max_bytes=4_000_000,
    ),
    counts_affected=False,
    differs=is_distinct,
    publishes_by_merge=True,
)
