"""Provider metadata, read by Airflow through the entry point ``apache_airflow_provider``."""

from __future__ import annotations

from typing import Any

_HOOK = "airflow_provider_cleanlist.hooks.cleanlist.CleanlistHook"
_INTEGRATION = "Cleanlist"


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
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_cleanlist.hooks.cleanlist"],
            }
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_cleanlist.operators.bulk_enrich"],
            }
        ],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_cleanlist.sensors.workflow"],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_cleanlist.triggers.workflow"],
            }
        ],
        "transfers": [
            {
                "source-integration-name": _INTEGRATION,
                "target-integration-name": "Common SQL",
                "python-module": "airflow_provider_cleanlist.transfers.lead_list_to_warehouse",
            }
        ],
        "connection-types": [
            {
                "connection-type": "cleanlist",
                "hook-name": "Cleanlist",
                "hook-class-name": _HOOK,
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "port", "schema"],
                    "relabeling": {"password": "API key", "host": "Host"},
                    "placeholders": {"host": "https://api.cleanlist.ai", "password": "clapi_..."},
                },
                "conn-fields": _connection_fields(),
            }
        ],
    }


def _connection_fields() -> dict[str, Any]:
    return {
        "requests_per_minute": _field(
            "Requests per minute",
            "Limit of the organisation; all its processes share it.",
            ["integer", "null"],
            minimum=1,
            default=60,
        ),
        "rate_limit_store": _field(
            "Rate limit store",
            "Where the limit is shared. Empty: by all processes of this host. Also file:///dir, redis://... or memory://.",
            ["string", "null"],
        ),
        "rate_limit_scope": _field(
            "Rate limit scope",
            "Name of the organisation's budget; set the same one on all connections whose keys belong together.",
            ["string", "null"],
        ),
        "rate_limit_share": _field(
            "Rate limit share",
            "Part of the limit for this installation, where hosts have no common store.",
            ["number", "null"],
            minimum=0.001,
            maximum=1,
            default=1,
        ),
        "window_seconds": _field(
            "Window (seconds)",
            "Length of the limit's window; only tests change it.",
            ["number", "null"],
            minimum=0.01,
            default=60,
        ),
        "timeout_seconds": _field(
            "Timeout (seconds)",
            "How long to wait for an answer.",
            ["number", "null"],
            minimum=0.1,
            default=30,
        ),
        "max_retries": _field(
            "Retries",
            "Tries after the first one for transient failures. Submissions of unknown outcome are never repeated.",
            ["integer", "null"],
            minimum=0,
            default=5,
        ),
        "lead_lists_api": _field(
            "Lead lists API",
            "API surface for lead lists: v2 or v1.",
            ["string", "null"],
            enum=["v2", "v1", None],
            default="v2",
        ),
        "webhook_base_url": _field(
            "Webhook base URL", "Public HTTPS address of the webhook receiver.", ["string", "null"]
        ),
        "webhook_secret": _field(
            "Webhook secret", "Signs webhook addresses.", ["string", "null"], format="password"
        ),
        "hash_secret": _field(
            "Hash secret", "Key of hashed warehouse columns.", ["string", "null"], format="password"
        ),
    }


def _field(label: str, description: str, types: list[str], **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": types, **schema}}
