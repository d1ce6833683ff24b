"""The options of a submission, checked and typed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.submission.history import OnUnknown


class OnInvalid(StrEnum):
    """What the user wants done about contacts that Cleanlist cannot look up."""

    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class SubmissionOptions:
    """What the user asked for, with the operator's arguments as types.

    Attributes:
        enrichment_type: What to find: emails, phones, both or neither.
        batch_size: Contacts per request, 1 to 250.
        max_credits: Most credits that the whole task may cost in the worst case, or None.
        on_unknown: What to do about contacts of unknown outcome.
        on_invalid: What to do about contacts that Cleanlist refuses.
        webhook_url: Address that receives the results, or None.
        skip_submitted_within: Leave out contacts that anybody submitted within that time; None leaves none out.
        estimate_only: Send nothing, and report what it would cost.
    """

    enrichment_type: EnrichmentType = EnrichmentType.PARTIAL
    batch_size: int = 250
    max_credits: int | None = None
    on_unknown: OnUnknown = OnUnknown.FAIL
    on_invalid: OnInvalid = OnInvalid.FAIL
    webhook_url: str | None = None
    skip_submitted_within: timedelta | None = None
    estimate_only: bool = False
