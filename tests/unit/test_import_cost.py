"""What a DAG file pays for importing the provider (design, invariant 8): modules, not seconds."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest
from airflow.providers.common.compat import sdk

import airflow_provider_cleanlist

HEAVY = (
    "adbc_driver_manager",
    "aiohttp",
    "duckdb",
    "fastapi",
    "google",
    "httpx",
    "numpy",
    "pandas",
    "psycopg",
    "psycopg2",
    "pyarrow",
    "redis",
    "requests",
    "snowflake",
    "sqlalchemy",
    "starlette",
    "urllib3",
    "uvicorn",
    "valkey",
)
PUBLIC_PACKAGES = ("hooks", "operators", "sensors", "transfers", "triggers")
PUBLIC_MODULES = sorted(
    name
    for _, name, is_package in pkgutil.walk_packages(
        airflow_provider_cleanlist.__path__, f"{airflow_provider_cleanlist.__name__}."
    )
    if not is_package and (name.count(".") == 1 or name.split(".")[1] in PUBLIC_PACKAGES)
)
MOST_MODULES = 40 if hasattr(sdk, "RetryPolicy") else 60
"""The design's figure is for Airflow 3.3, which itself has loaded what the provider's metadata are made of (17 modules)
and parts of the common providers by then. Earlier versions load them with the first public module.
"""
PROBE = """
import importlib, json, os, sys
try:
    from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator
except ImportError:  # Airflow 2
    from airflow.providers.common.compat.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator
import airflow.triggers.base
before = set(sys.modules)
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(name)
        print("\\n" + json.dumps([name, sorted(set(sys.modules) - before)]), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} cannot be imported")
"""


@pytest.fixture(scope="module")
def added() -> dict[str, list[str]]:
    """What importing a module adds to what every DAG file with a trigger has loaded anyway."""
    command = [sys.executable, "-c", PROBE, *PUBLIC_MODULES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


def test_the_modules_that_dags_import_are_covered() -> None:
    names = {name.removeprefix("airflow_provider_cleanlist.") for name in PUBLIC_MODULES}
    assert {
        "exceptions",
        "get_provider_info",
        "hooks.cleanlist",
        "operators.bulk_enrich",
        "sensors.workflow",
    } <= names


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_importing_a_public_module_is_cheap(module: str, added: dict[str, list[str]]) -> None:
    assert len(added[module]) <= MOST_MODULES, added[module]
    assert [name for name in added[module] if name.partition(".")[0] in HEAVY] == []
