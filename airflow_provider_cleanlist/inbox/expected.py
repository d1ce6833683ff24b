"""Which workflows a webhook is to come for, and what that spares those who wait for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError

log = logging.getLogger(__name__)

SAFETY_POLL_SECONDS = 600.0
"""How often a workflow is looked at whose end a webhook will tell: a lost webhook costs no more than that delay."""

_AT_ONCE = 8


def mark_expected(workflow_ids: Sequence[str]) -> None:
    """Tell all who will wait for workflows that webhooks come for them. Without an inbox there is nobody to tell.

    Never raises for what the storage does: then the workflows are polled as if no webhook came.

    Args:
        workflow_ids: Workflows that were submitted with addresses of the provider's receiver.
    """
    try:
        inbox = Inbox.configured() if workflow_ids else None
        if inbox is not None:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(inbox.mark_expected, workflow_ids))
    except InboxUnavailableError as error:
        log.warning("Waiting for these workflows will cost status requests: %s.", error)


def expected(workflow_ids: Sequence[str]) -> list[str]:
    """Return those workflows for which webhooks are to come.

    Args:
        workflow_ids: The workflows.

    Raises:
        InboxUnavailableError: It cannot be told.
    """
    inbox = Inbox.configured() if workflow_ids else None
    if inbox is None or not inbox.is_expected(workflow_ids[0]):
        return []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = pool.map(inbox.is_expected, workflow_ids)
        return [
            workflow_id for workflow_id, is_expected in zip(workflow_ids, told, strict=True) if is_expected
        ]


def safety_poll_interval(chosen: float | None, workflow_ids: Sequence[str]) -> float | None:
    """Return the seconds between two looks at a workflow; None follows the budget-aware schedule.

    Looks become rare where webhooks are to come for all workflows.

    Args:
        chosen: What the user says.
        workflow_ids: The workflows.
    """
    if chosen is not None:
        return chosen
    try:
        is_safe = bool(workflow_ids) and len(expected(workflow_ids)) == len(workflow_ids)
    except InboxUnavailableError as error:
        log.warning("Whether webhooks are to come cannot be told: %s.", error)
        return None
    return SAFETY_POLL_SECONDS if is_safe else None
