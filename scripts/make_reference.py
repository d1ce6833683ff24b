"""Write what ``docs/reference`` takes from the code: tables of options, fields and extras, and modules without a place.

``.venv/bin/python scripts/make_reference.py`` writes; a test fails when a page is older than the code.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from doc_coverage import PACKAGE, USER_MODULES, is_public, module_name
from make_reliability_table import with_tables

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS
from airflow_provider_cleanlist.client.settings import SETTINGS, Setting
from airflow_provider_cleanlist.contacts.recognition import FULL_NAME, known_names
from airflow_provider_cleanlist.get_provider_info import get_provider_info

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
AUTOMODULE = """```{{eval-rst}}
.. automodule:: {module}
   :members:
   :show-inheritance:
```"""
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
    """Return the options of Airflow's configuration, each under a heading of its own."""
    parts = []
    for name, option in info["config"]["cleanlist"]["options"].items():
        facts = {
            "Default": code(option["default"]) or "empty",
            "Example": code(option["example"]),
            "Environment variable": code(f"AIRFLOW__CLEANLIST__{name.upper()}"),
        }
        told = "  \n".join(f"{fact}: {text}" for fact, text in facts.items() if text)
        parts.append(f"### `{name}`\n\n{str(option['description']).replace('``', '`')}\n\n{told}")
    return "\n\n".join(parts)


def allowed(setting: Setting) -> str:
    """Return the values that a setting takes."""
    if setting.choices:
        return ", ".join(code(choice) for choice in setting.choices)
    if isinstance(setting.default, int | float):
        kind = "number" if isinstance(setting.default, float) else "whole number"
        return f"{kind}, {setting.minimum:,} to {setting.maximum:,}"
    return "text, masked" if setting.secret else "text"


def default(setting: Setting) -> str:
    """Return the default of a setting."""
    if setting.default is None:
        return "required"
    shown = f"{setting.default:g}" if isinstance(setting.default, float) else setting.default
    return code(shown) or "empty"


def fields() -> str:
    """Return the fields of the connection."""
    rows = [
        (
            code(setting.connection_field or f"extra.{name}"),
            setting.label,
            allowed(setting),
            default(setting),
            setting.description,
        )
        for name, setting in SETTINGS.items()
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


def column_names(field: str) -> str:
    """Return the column names that are known for a contact field, in order of precedence."""
    rows = (
        (
            code(known.name),
            ", ".join(sorted(known.languages)),
            known.beside and f"beside {code(known.beside)}",
            ", ".join(known.tools),
        )
        for known in known_names()
        if known.field == field
    )
    return table(
        ["Name", "Languages", "Counts only", "Written by"], [[cell or "" for cell in row] for row in rows]
    )


def modules() -> set[str]:
    """Return the names of the public modules that hold anything."""
    paths = [
        path for path in (ROOT / PACKAGE).rglob("*.py") if path.name != "__init__.py" and is_public(path.stem)
    ]
    return {name for path in paths if USER_MODULES.fullmatch(name := module_name(path))}


def documented(text: str) -> list[str]:
    """Return the names of the modules that a page documents."""
    return re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE)


def without_place(pages: Mapping[str, str]) -> str:
    """Return blocks for the public modules that have no place of their own on any page.

    Args:
        pages: Pages by name.
    """
    texts = with_tables(pages["internals.md"], {"further modules": ""})
    placed = {
        name
        for page in (*pages.values(), texts)
        if page is not pages["internals.md"]
        for name in documented(page)
    }
    return "\n\n".join(AUTOMODULE.format(module=name) for name in sorted(modules() - placed))


def updated(pages: Mapping[str, str]) -> dict[str, str]:
    """Return the pages with what the code says now.

    Args:
        pages: Pages by name.
    """
    return {
        "configuration.md": with_tables(pages["configuration.md"], current()),
        "column-names.md": with_tables(
            pages["column-names.md"],
            {f"names of {field}": column_names(field) for field in (*CONTACT_FIELDS, FULL_NAME)},
        ),
        "internals.md": with_tables(pages["internals.md"], {"further modules": without_place(pages)}),
    }


def current() -> dict[str, str]:
    """Return the tables as the code has them now."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {"options": options(get_provider_info()), "fields": fields(), "extras": extras(pyproject)}


def main() -> int:
    """Write the pages."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}
    for name, text in updated(pages).items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
