"""What a sandbox does, as one set of switches that tests and the admin side may change while it runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RetryAfterForm = Literal["seconds", "decimal", "date", "zero", "negative", "garbage", "missing"]
"""Forms that the ``Retry-After`` header of a 429 can take."""


class Settings(BaseModel):
    """Behaviour of a sandbox. The defaults are the contract's.

    Every assignment is validated, so ``sandbox.settings.window = "sometimes"`` raises at once.
    """

    model_config = ConfigDict(validate_assignment=True, extra="forbid")

    # Section 2: rate limit
    requests_per_minute: int = Field(default=60, ge=1)
    """Requests per window and organisation."""
    requests_per_minute_per_key: int | None = Field(default=None, ge=1)
    """Requests per window and key; None switches this second limit off."""
    window_seconds: float = Field(default=60.0, gt=0)
    """Length of a window, in seconds of the clock."""
    window: Literal["aligned", "first_request", "sliding"] = "aligned"
    """Windows start at multiples of their length, or at the first request, or slide over a log."""
    count_refused: bool = False
    """Sliding only: refused requests use up the allowance too."""
    retry_after: RetryAfterForm = "seconds"
    """Form of the ``Retry-After`` header of a 429."""

    # Section 3: errors
    envelope: Literal["contract", "newer", "legacy"] = "contract"
    """Error bodies: by endpoint as the contract says, or one of the two everywhere (422 stays as it is)."""

    # Sections 4 and 5: enrichment
    seconds_to_complete: float = Field(default=0.0, ge=0)
    """Duration of a workflow, in seconds of the clock (the median, when ``duration_sigma`` is set)."""
    duration_sigma: float = Field(default=0.0, ge=0)
    """Spread of durations: sigma of a log-normal distribution, drawn reproducibly per workflow."""
    polls_to_complete: int = Field(default=0, ge=0)
    """Status answers that still say "running" before a workflow (or a task) may complete."""
    progress: Literal["linear", "concave", "convex", "late"] = "linear"
    """Progress over time: even, fast then slow, slow then fast, or nothing until the end."""
    running_status: str | None = None
    """Word for a running workflow; None means ``processing`` (legacy) or ``running`` (v2)."""
    final_status: str = "completed"
    """Word for a workflow that ran to its end."""
    status_variant: Literal["summary", "flat", "results", "sparse"] = "summary"
    """Shape of the legacy workflow status: (a) to (d) of section 5.2."""
    nested_task_result: bool = False
    """Legacy task status: the object of section 5.3 nested under ``result``."""
    task_ids: Literal["all", "missing", "empty", "short", "long"] = "all"
    """``task_ids`` of a submit: one per contact, no such key, none, one too few or one too many."""
    email_rate: float = Field(default=0.7, ge=0, le=1)
    """Share of contacts without a marker for which an email is found."""
    phone_rate: float = Field(default=0.45, ge=0, le=1)
    """Share of contacts without a marker for which a phone is found."""
    managed_list_name: str = "Extension Leads"
    """Name under which managed lists are created (older pages of the vendor say ``DEFAULT``)."""
    quote_seconds: int = Field(default=300, ge=1)
    """Life of a quote, in seconds of the clock."""
    csv_import_enabled: bool = True
    """False answers CSV imports with 503, the vendor's kill switch."""
    list_cap: int | None = Field(default=None, ge=0)
    """Most lists a user may own; beyond it 403 ``list_cap_reached``."""

    # Section 6: webhooks
    allow_http_webhooks: bool = False
    """Accept ``http://`` webhook URLs on loopback."""
    webhook_timeout_seconds: float = Field(default=10.0, gt=0)
    """Real seconds a receiver has to answer."""
    webhook_copies: int = Field(default=1, ge=1)
    """Successful deliveries of one workflow: 2 shows what a repeated delivery does."""
    webhook_results_limit: int = Field(default=250, ge=0)
    """Results a delivery carries; the others are counted in ``results_truncated``."""

    # Section 8: paging
    opaque_cursors: bool = False
    """Cursors in base64 instead of decimal offsets."""
    max_page_size: int | None = Field(default=None, ge=1)
    """Rows per page at most, whatever ``limit`` asks for."""
    last_cursor: Literal["null", "missing", "empty"] = "null"
    """What the last page says in place of a cursor."""
    repeat_cursor: bool = False
    """A page asked for with a cursor gives the same cursor back."""
    empty_pages: bool = False
    """After the last row, empty pages with ever new cursors."""
    duplicate_rows: int = Field(default=0, ge=0)
    """Rows of the page before that each page repeats."""

    # Section 10.3: forms a client has to tolerate
    answers: Literal["plain", "sparse", "noisy"] = "plain"
    """Answers as documented, without their null fields, or with unknown fields in every object."""
    utc_suffix: Literal["Z", "+00:00"] = "Z"
    """How timestamps say UTC."""
    id_style: Literal["uuid", "awkward"] = "uuid"
    """New list, workflow and task ids: UUIDs, or strings that must be escaped in a URL."""
    success_status: dict[str, int] = Field(default_factory=dict)
    """HTTP status of a success by endpoint name, such as ``{"lead_list_delete": 204}``."""

    def change(self, **changes: Any) -> None:
        """Set several switches at once; nothing changes when one of them is unknown or out of range.

        Args:
            **changes: New values by name.

        Raises:
            pydantic.ValidationError: A name is unknown or a value does not fit.
        """
        checked = Settings(**{**self.model_dump(), **changes})
        for name in changes:
            setattr(self, name, getattr(checked, name))
