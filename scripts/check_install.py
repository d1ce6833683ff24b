"""Check an installed wheel from the outside: every public name imports, Airflow knows the provider.

Run by the environment's own interpreter with ``-I``, so that the checkout cannot stand in for the installation.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import warnings
from pathlib import Path

DISTRIBUTION = "airflow-provider-cleanlist"
PACKAGE = "airflow_provider_cleanlist"
PUBLIC = (
    f"{PACKAGE}.hooks.cleanlist:CleanlistHook",
    f"{PACKAGE}.operators.bulk_enrich:BulkEnrichOperator",
    f"{PACKAGE}.sensors.workflow:WorkflowSensor",
    f"{PACKAGE}.transfers.lead_list_to_warehouse:LeadListToWarehouseOperator",
    f"{PACKAGE}.retry_policy:cleanlist_retry_policy",
    f"{PACKAGE}.exceptions:CleanlistError",
)
SANDBOX = f"{PACKAGE}.sandbox.server:SandboxServer"


def problems() -> list[str]:
    """Return what is wrong with the installation."""
    package = importlib.import_module(PACKAGE)
    location = Path(package.__file__ or "").resolve()
    found = (
        [] if location.is_relative_to(Path(sys.prefix).resolve()) else [f"imported from outside: {location}"]
    )
    shortcuts = {name.partition(":")[2] for name in PUBLIC} | set(package.__all__)
    for name in [*PUBLIC, SANDBOX, *(f"{PACKAGE}:{shortcut}" for shortcut in sorted(shortcuts))]:
        module, _, attribute = name.partition(":")
        try:
            getattr(importlib.import_module(module), attribute)
        except Exception as error:  # noqa: BLE001 - whatever an import raises is the finding
            found.append(f"{name}: {type(error).__name__}: {error}")
    if importlib.metadata.version(DISTRIBUTION) != package.__version__:
        found.append(f"version {package.__version__} is not that of the distribution")
    return found + airflow_problems()


def airflow_problems() -> list[str]:
    """Return what Airflow does not know about the provider although it should."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()  # type: ignore[no-untyped-call]
    found = [] if DISTRIBUTION in manager.providers else ["Airflow does not list the provider"]
    with warnings.catch_warnings(
        action="ignore"
    ):  # Airflow 3.3 has this under a new name, earlier ones have not
        if manager.hooks.get("cleanlist") is None:
            found.append("Airflow cannot load the hook of the connection type cleanlist")
    return found


def main() -> int:
    """Print what is wrong, or the number of names that import."""
    found = problems()
    print("\n".join(found) if found else f"{PACKAGE}: every public name imports, Airflow lists the provider")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
