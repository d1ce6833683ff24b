"""Write the tables of ``docs/reference/configuration.md`` from where Airflow and pip read them.

``.venv/bin/python scripts/make_reference.py`` writes; a test fails when the page is older than the code.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from make_reliability_table import with_tables

from airflow_provider_cleanlist.get_provider_info import get_provider_info
from airflow_provider_cleanlist.hooks.form import FIELDS, LABELS, PLACEHOLDERS, FormField

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "configuration.md"
EXTRAS = {
    "pandas": "`CleanlistHook.get_leads_df`; `BulkEnrichOperator(contacts=<DataFrame>)` needs what made the frame",
    "parquet": "`BulkEnrichOperator(contacts_path=...)` with Parquet files",
    "redis": "`rate_limit_store` on Redis or Valkey",
    "sandbox": "the sandbox as a command and as a pytest fixture",
    "webhooks": "the webhook receiver as a process of its own",
}
"""What each extra of the package is for; any other one brings a warehouse's drivers."""

WAREHOUSES = {
    "bigquery": "BigQuery",
    "duckdb": "DuckDB",
    "mssql": "SQL Server",
    "mysql": "MySQL and MariaDB",
    "postgres": "PostgreSQL",
    "sqlite": "SQLite",
}
"""Names of warehouses that are not written like their extras with a capital letter."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    cells = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)


def code(text: object) -> str:
    """Return a value as inline code; nothing for nothing."""
    return "" if text in (None, "") else f"`{text}`"


def options(info: dict[str, Any]) -> str:
    """Return the options of Airflow's configuration."""
    rows = (
        (
            code(name),
            str(option["description"]).replace("``", "`"),
            code(option["default"]) or "empty",
            code(f"AIRFLOW__CLEANLIST__{name.upper()}"),
        )
        for name, option in info["config"]["cleanlist"]["options"].items()
    )
    return table(["Option", "Meaning", "Default", "Environment variable"], rows)


def allowed(field: FormField) -> str:
    """Return the values that a field takes."""
    if field.choices:
        return ", ".join(code(choice) for choice in field.choices)
    if field.minimum is not None and field.maximum is not None:
        return f"{field.type}, {field.minimum:,} to {field.maximum:,}"
    return "secret text, masked" if field.secret else "text"


def fields() -> str:
    """Return the fields of the connection."""
    rows = [
        (code(name), label, "text", code(PLACEHOLDERS["host"]) if name == "host" else "required", "")
        for name, label in LABELS.items()
    ]
    rows += [
        (
            code(f"extra.{field.name}"),
            field.label,
            allowed(field),
            code(field.default) or "empty",
            field.description,
        )
        for field in FIELDS
    ]
    return table(["Field", "In the form", "Takes", "Default", "Meaning"], rows)


def extras(pyproject: dict[str, Any]) -> str:
    """Return the extras of the package."""
    declared = pyproject["project"]["optional-dependencies"]
    rows = (
        (
            code(name),
            EXTRAS.get(name, f"loading into {WAREHOUSES.get(name, name.title())}"),
            ", ".join(code(item) for item in needs),
        )
        for name, needs in declared.items()
    )
    return table(["Extra", "For", "Brings"], rows)


def current() -> dict[str, str]:
    """Return the tables as the code has them now."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {"options": options(get_provider_info()), "fields": fields(), "extras": extras(pyproject)}


def main() -> int:
    """Write the page."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), current()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
