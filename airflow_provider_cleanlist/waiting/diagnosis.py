"""Why a webhook did not come, in the words of Cleanlist's delivery log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.client.endpoints import list_webhook_deliveries
from airflow_provider_cleanlist.client.errors import CleanlistError
from airflow_provider_cleanlist.client.redaction import redacted
from airflow_provider_cleanlist.inbox.inbox import InboxUnavailableError, expected

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.models import WebhookDelivery
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

TOLD_AT_MOST = 3
"""Workflows whose deliveries one message tells at most."""
MAX_WAIT_SECONDS = 20.0
"""How long the question waits for its place in the request budget: an error message is not worth more."""


def why_no_webhook(hook: CleanlistHook, workflow_id: str) -> str:
    """Return half a sentence on the deliveries of a workflow's webhook, read from Cleanlist.

    Args:
        hook: Access to the API.
        workflow_id: The workflow.
    """
    call = list_webhook_deliveries(workflow_id)
    call = replace(call, request=replace(call.request, max_wait=MAX_WAIT_SECONDS))
    try:
        deliveries = hook.get_conn().run(call)
    except CleanlistError as error:
        return f"nothing was delivered by webhook, and Cleanlist's delivery log cannot be read ({error})"
    return describe(deliveries)


def why_still_waiting(hook: CleanlistHook, running_ids: Sequence[str]) -> str:
    """Return sentences on the webhooks that a wait waited for in vain; empty if none were to come.

    Args:
        hook: Access to the API.
        running_ids: Workflows whose end was not seen.
    """
    try:
        silent = expected(running_ids[:TOLD_AT_MOST])
    except InboxUnavailableError as error:
        return f"What webhooks delivered cannot be read: {error}."
    told = [f"Of workflow {workflow_id}, {why_no_webhook(hook, workflow_id)}." for workflow_id in silent]
    return " ".join(told)


def describe(deliveries: Sequence[WebhookDelivery]) -> str:
    """Return half a sentence on delivery attempts: how many, and how the last one ended.

    Args:
        deliveries: The attempts, in any order.
    """
    if not deliveries:
        return (
            "nothing was delivered by webhook, and Cleanlist did not try to: it has not ended, or was submitted "
            "without webhook=True"
        )
    last = max(deliveries, key=lambda delivery: delivery.attempt or 0)
    code = last.response_status_code
    answer = f"the receiver answered {code}" if code is not None else "the receiver did not answer"
    said = redacted(last.error_message or "", None)
    detail = f": {said}" if said else ""
    times = f"{len(deliveries)} time{'s' if len(deliveries) != 1 else ''}"
    return (
        f"Cleanlist tried {times} to deliver it by webhook, and at the last attempt {answer} "
        f"(status {last.status or 'unknown'}{detail})"
    )
