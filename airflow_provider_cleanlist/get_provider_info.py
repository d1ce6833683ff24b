"""Provider metadata, read by Airflow through the entry point ``apache_airflow_provider``."""

from __future__ import annotations

from typing import Any

from airflow_provider_cleanlist.hooks.connection_form import conn_fields, ui_field_behaviour

_PACKAGE = "airflow_provider_cleanlist"
_INTEGRATION = "Cleanlist"
_PORTAL = "https://app.cleanlist.ai"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the shape of Airflow's ``provider.yaml`` schema."""
    return {
        "package-name": "airflow-provider-cleanlist",
        "name": "Cleanlist",
        "description": "Enrich B2B contacts with Cleanlist and load lead lists into your warehouse.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.cleanlist.ai",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks.cleanlist"),
        "operators": _modules("operators.bulk_enrich"),
        "sensors": _modules("sensors.workflow"),
        "triggers": _modules("triggers.workflow", "triggers.lead_list"),
        "transfers": [
            {
                "source-integration-name": _INTEGRATION,
                "target-integration-name": "Common SQL",
                "python-module": f"{_PACKAGE}.transfers.{module}",
            }
            for module in ("lead_list_to_warehouse", "enrichment_results_to_warehouse")
        ],
        "connection-types": [
            {
                "connection-type": "cleanlist",
                "hook-name": "Cleanlist",
                "hook-class-name": f"{_PACKAGE}.hooks.cleanlist.CleanlistHook",
                "ui-field-behaviour": ui_field_behaviour(),
                "conn-fields": conn_fields(),
            }
        ],
        "extra-links": [f"{_PACKAGE}.links.{name}" for name in ("LeadListLink", "PageLink", "WorkflowLink")],
        "asset-uris": [_assets()],
        "dataset-uris": [_assets()],  # the name of it before Airflow 3
        "plugins": [{"name": "cleanlist", "plugin-class": f"{_PACKAGE}.webhooks.plugin.CleanlistPlugin"}],
        "config": {
            "cleanlist": {"description": "Settings of the Cleanlist provider.", "options": _options()}
        },
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{name}" for name in names]}]


def _assets() -> dict[str, Any]:
    return {
        "schemes": ["cleanlist"],
        "handler": f"{_PACKAGE}.assets.sanitize_uri",
        "factory": f"{_PACKAGE}.assets.create_asset",
        "to_openlineage_converter": f"{_PACKAGE}.assets.convert_to_openlineage",
    }


def _options() -> dict[str, Any]:
    return {
        "journal_path": _option(
            "Where BulkEnrichOperator records what was submitted, so that a later attempt submits nothing twice: a "
            "local directory shared by all workers, or an object storage URI. Empty: Airflow's task state store, "
            "available since 3.3; on older versions a task cannot be retried without this option or a ledger.",
            default="",
            example="s3://aws_default@my-bucket/cleanlist-journal",
        ),
        "ledger_conn_id": _option(
            "Airflow connection of the PostgreSQL, MySQL, MariaDB or SQLite database that holds the organisation's "
            "ledger: who was submitted when, by which task, for what. Empty: no ledger.",
            default="",
            example="cleanlist_ledger",
        ),
        "ledger_schema": _option(
            "Schema of the ledger's tables. Empty: the connection's own.",
            default="",
        ),
        "skip_submitted_within_days": _option(
            "BulkEnrichOperator leaves out contacts that anybody who shares the ledger has submitted within so many "
            "days, where the operator does not say otherwise. Empty: nobody is left out for that.",
            default="",
            example="90",
        ),
        "page_conn_id": _option(
            "Cleanlist connection whose credits and request budget the page Browse > Cleanlist shows (Airflow 3.1 and "
            "later).",
            default="cleanlist_default",
        ),
        "webhook_inbox": _option(
            "Where the results that Cleanlist delivers by webhook are stored: a local directory shared by API "
            "servers, triggerers and workers, or an object storage URI. Contains personal data. Empty: webhooks are "
            "not received.",
            default="",
            example="s3://aws_default@my-bucket/cleanlist-inbox",
        ),
        "webhook_secret": {
            **_option(
                "Secret that signs the addresses Cleanlist delivers to, at least 16 characters. To change it, give "
                "several, separated by commas: the first one signs. Empty: webhooks are not received.",
                default="",
            ),
            "sensitive": True,
        },
        "portal_list_url": _option(
            "Address that the extra link of a lead list opens; ``{list_id}`` stands for the id of the list.",
            default=_PORTAL,
        ),
        "portal_workflow_url": _option(
            "Address that the extra link of a workflow opens; ``{workflow_id}`` stands for the id of the workflow.",
            default=_PORTAL,
        ),
    }


def _option(description: str, *, default: str, example: str | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": "string",
        "default": default,
        "example": example,
    }
