"""Apache Airflow provider for Cleanlist.

The public names can be imported from here as well as from their own modules; nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_cleanlist._version import __version__ as __version__
    from airflow_provider_cleanlist.assets import lead_list_asset, table_asset
    from airflow_provider_cleanlist.exceptions import CleanlistError
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
    from airflow_provider_cleanlist.operators.bulk_enrich import BulkEnrichOperator
    from airflow_provider_cleanlist.retry_policy import cleanlist_retry_policy
    from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
    from airflow_provider_cleanlist.transfers.enrichment_results_to_warehouse import (
        EnrichmentResultsToWarehouseOperator,
    )
    from airflow_provider_cleanlist.transfers.lead_list_to_warehouse import LeadListToWarehouseOperator

__all__ = [
    "BulkEnrichOperator",
    "CleanlistError",
    "CleanlistHook",
    "EnrichmentResultsToWarehouseOperator",
    "LeadListToWarehouseOperator",
    "WorkflowSensor",
    "cleanlist_retry_policy",
    "lead_list_asset",
    "table_asset",
]

_MODULES = {
    "BulkEnrichOperator": "operators.bulk_enrich",
    "CleanlistError": "exceptions",
    "CleanlistHook": "hooks.cleanlist",
    "EnrichmentResultsToWarehouseOperator": "transfers.enrichment_results_to_warehouse",
    "LeadListToWarehouseOperator": "transfers.lead_list_to_warehouse",
    "WorkflowSensor": "sensors.workflow",
    "__version__": "_version",
    "cleanlist_retry_policy": "retry_policy",
    "lead_list_asset": "assets",
    "table_asset": "assets",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
