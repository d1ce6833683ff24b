"""What differs between databases is in ``dialects`` alone, on which the rest of the warehouse stands."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_cleanlist.warehouse
from airflow_provider_cleanlist.warehouse.dialects import DATABASES
from airflow_provider_cleanlist.warehouse.dialects.base import Database

PACKAGE = "airflow_provider_cleanlist.warehouse"
ROOT = Path(airflow_provider_cleanlist.warehouse.__file__).parent
SHARED = {"__init__", "base", "json_unnest", "locks"}
DRIVERS = (
    "psycopg",
    "psycopg2",
    "MySQLdb",
    "duckdb",
    "snowflake.connector",
    "google.cloud.bigquery",
    "databricks.sql",
    "pymssql",
    "oracledb",
)


def module_of(path: Path) -> str:
    return ".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


FILES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    """Modules of the warehouse that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & FILES.keys() or {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in FILES}


def test_dialects_import_only_what_stands_below_them():
    for path in (ROOT / "dialects").glob("*.py"):
        below = {name.removeprefix(f"{PACKAGE}.") for name in imports_of(path)}
        assert {name for name in below if not name.startswith("dialects.")} <= {"errors", "types"}


def test_every_file_of_a_database_is_registered():
    files = {path.stem for path in (ROOT / "dialects").glob("*.py")} - SHARED
    assert {name.removeprefix("mariadb") for name in DATABASES} - {""} == files
    assert all(isinstance(database, Database) for database in DATABASES.values())


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.py")), ids=lambda path: path.stem)
def test_no_database_is_named_outside_dialects(path):
    texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    assert not texts & DATABASES.keys()


def test_no_driver_is_imported_before_it_is_needed():
    code = f"import sys, {PACKAGE}.loader, {PACKAGE}.connect; print(*{set(DRIVERS)!r} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
