"""Why a webhook was not delivered, according to Cleanlist's log of delivery attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.client.enrichment import list_webhook_deliveries
from airflow_provider_cleanlist.client.errors import CleanlistError
from airflow_provider_cleanlist.inbox.inbox import InboxUnavailableError, expected
from airflow_provider_cleanlist.redaction import redacted
from airflow_provider_cleanlist.wording import counted

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.responses import WebhookDelivery
    from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook

MAX_EXPLAINED = 3
"""Most workflows whose deliveries one message explains: each costs a request."""
MAX_WAIT_SECONDS = 20.0
"""How long the request may wait for its place in the budget: an error message is not worth a longer delay."""


def why_no_webhook(hook: CleanlistHook, workflow_id: str) -> str:
    """Return a clause on the delivery attempts for a workflow's webhook, as Cleanlist reports them.

    Args:
        hook: Access to the API.
        workflow_id: The workflow.
    """
    call = list_webhook_deliveries(workflow_id)
    call = replace(call, request=replace(call.request, max_wait=MAX_WAIT_SECONDS))
    try:
        deliveries = hook.get_conn().run(call)
    except CleanlistError as error:
        return f"no webhook was delivered, and Cleanlist's delivery log cannot be read ({error})"
    return describe(deliveries, hook.settings.api_key)


def why_still_waiting(hook: CleanlistHook, running_ids: Sequence[str]) -> str:
    """Return sentences on the webhooks that a wait expected in vain; empty if it expected none.

    Args:
        hook: Access to the API.
        running_ids: Workflows that are still running, as far as the wait knows.
    """
    try:
        overdue = expected(running_ids[:MAX_EXPLAINED])
    except InboxUnavailableError as error:
        return f"Webhook deliveries cannot be read: {error}."
    return " ".join(
        f"For workflow {workflow_id}, {why_no_webhook(hook, workflow_id)}." for workflow_id in overdue
    )


def describe(deliveries: Sequence[WebhookDelivery], *secrets: str) -> str:
    """Return a clause on delivery attempts: how many there were, and how the last one ended.

    Args:
        deliveries: The attempts, in any order.
        *secrets: What the log must not be quoted with, besides addresses and personal data: the API key.
    """
    if not deliveries:
        return (
            "Cleanlist has not tried to deliver a webhook: the workflow has not ended, or it was submitted without "
            "webhook=True"
        )
    last = max(deliveries, key=lambda delivery: delivery.attempt or 0)
    code = last.response_status_code
    answer = f"the receiver answered {code}" if code is not None else "the receiver did not answer"
    reason = redacted(last.error_message or "", secrets)
    detail = f": {reason}" if reason else ""
    return (
        f"Cleanlist tried {counted(len(deliveries), 'time')} to deliver its webhook, and at the last attempt {answer} "
        f"(status {redacted(last.status or '', secrets) or 'unknown'}{detail})"
    )
