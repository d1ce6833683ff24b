"""What the arguments of an enrichment say about how contacts are submitted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_provider_cleanlist.arguments.values import choice, given, present, whole_number
from airflow_provider_cleanlist.client.enrichment import MAX_CONTACTS_PER_REQUEST, EnrichmentType
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.redaction import shown
from airflow_provider_cleanlist.submission.history import OnUnknown
from airflow_provider_cleanlist.submission.options import OnInvalid, SubmissionOptions


def enrichment_options(operator: Any) -> SubmissionOptions:
    """Return the options of an operator whose arguments were checked for being nothing.

    Args:
        operator: A ``BulkEnrichOperator``, rendered.

    Raises:
        CleanlistConfigurationError: An argument is invalid.
    """
    if operator.contacts is None and given(operator.contacts_path) is given(operator.sql) is None:
        for source in ("contacts_path", "sql"):
            present(source, getattr(operator, source), is_given=False)
    batch_size = whole_number("batch_size", operator.batch_size)
    if batch_size is None:
        batch_size = MAX_CONTACTS_PER_REQUEST
    if not 1 <= batch_size <= MAX_CONTACTS_PER_REQUEST:
        raise CleanlistConfigurationError(
            f"batch_size must be 1 to {MAX_CONTACTS_PER_REQUEST}, not {batch_size}."
        )
    return SubmissionOptions(
        enrichment_type=choice("enrichment_type", operator.enrichment_type, EnrichmentType.PARTIAL),
        batch_size=batch_size,
        max_credits=whole_number("max_credits", operator.max_credits),
        on_unknown=choice("on_unknown_submission", operator.on_unknown_submission, OnUnknown.FAIL),
        on_invalid=choice("on_invalid_contact", operator.on_invalid_contact, OnInvalid.FAIL),
        webhook_url=given(operator.webhook_url),
        skip_submitted_within=_window(operator.skip_submitted_within),
        estimate_only=operator.estimate_only,
    )


def _window(window: Any) -> timedelta | None:
    from airflow_provider_cleanlist.submission.task import configured_window

    if window is None:
        return configured_window()
    if not isinstance(window, timedelta) or window <= timedelta(0):
        raise CleanlistConfigurationError(
            f"skip_submitted_within must be a timedelta above zero, such as timedelta(days=90), not {shown(window)}."
        )
    return window
