"""The public names, from the package itself and from their own modules."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import airflow_provider_cleanlist as package

DESIGN = {
    "BulkEnrichOperator": "operators.bulk_enrich",
    "CleanlistError": "exceptions",
    "CleanlistHook": "hooks.cleanlist",
    "EnrichmentResultsToWarehouseOperator": "transfers.enrichment_results_to_warehouse",
    "LeadListToWarehouseOperator": "transfers.lead_list_to_warehouse",
    "WorkflowSensor": "sensors.workflow",
    "cleanlist_retry_policy": "retry_policy",
    "lead_list_asset": "assets",
    "table_asset": "assets",
}


def test_the_names_are_those_of_the_design() -> None:
    assert set(package.__all__) == set(DESIGN)


@pytest.mark.parametrize(("name", "module"), DESIGN.items())
def test_a_name_is_the_one_of_its_module(name: str, module: str) -> None:
    assert getattr(package, name) is getattr(importlib.import_module(f"{package.__name__}.{module}"), name)


def test_other_names_are_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="'airflow_provider_cleanlist' has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from airflow_provider_cleanlist import Nothing  # noqa: F401


def test_names_are_listed_for_completion() -> None:
    assert {*DESIGN, "__version__"} <= set(dir(package))


def test_importing_the_package_imports_nothing_else() -> None:
    probe = (
        "import __future__, importlib, json, sys, typing; before = set(sys.modules); import airflow_provider_cleanlist;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == ["airflow_provider_cleanlist"]
