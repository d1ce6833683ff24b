"""Why a webhook did not come, in the words of Cleanlist's delivery log (contract section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_cleanlist.client.errors import CleanlistError

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.models import WebhookDelivery
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook


def why_no_webhook(hook: CleanlistHook, workflow_id: str) -> str:
    """Return half a sentence on the deliveries of a workflow's webhook, read from Cleanlist.

    Args:
        hook: Access to the API.
        workflow_id: The workflow.
    """
    try:
        deliveries = hook.list_webhook_deliveries(workflow_id)
    except CleanlistError as error:
        return f"nothing was delivered by webhook, and Cleanlist's delivery log cannot be read ({error})"
    return describe(deliveries)


def describe(deliveries: list[WebhookDelivery]) -> str:
    """Return half a sentence on delivery attempts: how many, and how the last one ended.

    Args:
        deliveries: The attempts, in any order.
    """
    if not deliveries:
        return "nothing was delivered by webhook, and Cleanlist did not try to: it was submitted without webhook=True"
    last = max(deliveries, key=lambda delivery: delivery.attempt or 0)
    code = last.response_status_code
    answer = f"the receiver answered {code}" if code is not None else "the receiver did not answer"
    return (
        f"Cleanlist tried {len(deliveries)} times to deliver it by webhook, and at the last attempt {answer} "
        f"(status {last.status or 'unknown'})"
    )
