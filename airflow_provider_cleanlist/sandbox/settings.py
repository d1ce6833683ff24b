"""How a sandbox behaves: one set of switches, which tests and the admin endpoints may change while it runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RetryAfterForm = Literal["seconds", "decimal", "date", "zero", "negative", "garbage", "missing"]
"""Forms that the ``Retry-After`` header of a 429 can take."""


class SandboxSettings(BaseModel):
    """Switches of a sandbox. The defaults follow the vendor's documentation.

    Every assignment is validated, so ``sandbox.settings.window = "sometimes"`` raises immediately.
    """

    model_config = ConfigDict(validate_assignment=True, extra="forbid")

    # Rate limit
    requests_per_minute: int = Field(default=60, ge=1)
    """Requests per window and organisation."""
    requests_per_minute_per_key: int | None = Field(default=None, ge=1)
    """Requests per window and key; None turns this second limit off."""
    window_seconds: float = Field(default=60.0, gt=0)
    """Length of a window, in seconds of the sandbox's clock."""
    window: Literal["aligned", "first_request", "sliding"] = "aligned"
    """Windows start at multiples of their length, start with the first request, or slide."""
    count_refused: bool = False
    """Sliding windows only: refused requests count towards the limit too."""
    retry_after: RetryAfterForm = "seconds"
    """Form of the ``Retry-After`` header of a 429."""

    # Errors
    envelope: Literal["contract", "newer", "legacy"] = "contract"
    """Error bodies: as documented for each endpoint, or one of the two forms everywhere (422 never changes)."""

    # Enrichment
    seconds_to_complete: float = Field(default=0.0, ge=0)
    """Duration of a workflow, in seconds of the sandbox's clock (the median, if ``duration_sigma`` is set)."""
    duration_sigma: float = Field(default=0.0, ge=0)
    """Spread of durations: sigma of a log-normal distribution, drawn reproducibly for each workflow."""
    polls_to_complete: int = Field(default=0, ge=0)
    """Status requests answered with "running" before a workflow (or a task) can complete."""
    progress: Literal["linear", "concave", "convex", "late"] = "linear"
    """Progress over time: steady, fast then slow, slow then fast, or nothing until the end."""
    running_status: str | None = None
    """Status of a running workflow; None means ``processing``."""
    final_status: str = "completed"
    """Status of a finished workflow."""
    status_variant: Literal["summary", "flat", "results", "sparse"] = "summary"
    """Workflow status: with a summary, with counters at top level, with every result, or only the status itself."""
    nested_task_result: bool = False
    """Task status: the result is nested under ``result``."""
    task_ids: Literal["all", "shuffled", "missing", "empty", "short", "long"] = "all"
    """``task_ids`` of a submission: one per contact in their order or in another one, no such key, an empty list, one
    too few or one too many."""
    email_rate: float = Field(default=0.7, ge=0, le=1)
    """Share of contacts without a marker for which an email is found."""
    phone_rate: float = Field(default=0.45, ge=0, le=1)
    """Share of contacts without a marker for which a phone is found."""
    managed_list_name: str = "Extension Leads"
    """Name given to new managed lists (older pages of the vendor call them ``DEFAULT``)."""
    list_cap: int | None = Field(default=None, ge=0)
    """Most lists a user may own; one more is refused with 403 ``list_cap_reached``."""

    # Webhooks
    allow_http_webhooks: bool = False
    """Accept ``http://`` webhook URLs on loopback."""
    webhook_timeout_seconds: float = Field(default=10.0, gt=0)
    """Real seconds within which a receiver has to answer."""
    webhook_copies: int = Field(default=1, ge=1)
    """Successful deliveries of one workflow; 2 tests how a receiver handles repeated deliveries."""
    webhook_results_limit: int = Field(default=250, ge=0)
    """Most results in a delivery; ``results_truncated`` counts the others."""

    # Paging
    opaque_cursors: bool = False
    """Cursors in base64 instead of decimal offsets."""
    max_page_size: int | None = Field(default=None, ge=1)
    """Most rows per page, whatever ``limit`` asks for."""
    last_cursor: Literal["null", "missing", "empty"] = "null"
    """What the last page has as its cursor."""
    repeat_cursor: bool = False
    """A page requested with a cursor returns the same cursor again."""
    empty_pages: bool = False
    """After the last row come empty pages, each with a new cursor."""
    duplicate_rows: int = Field(default=0, ge=0)
    """Rows that each page repeats from the previous one."""

    # Exports as CSV
    export_labels: bool = False
    """The header has labels (``First Name``) instead of column names."""
    smart_columns: tuple[str, ...] = ()
    """Columns of smart agents that every export has after the chosen ones."""
    export_ranges: bool = True
    """Downloads can begin in the middle (``Range``)."""
    export_etags: bool = True
    """Downloads have an ``ETag``."""
    export_url_seconds: float = Field(default=86_400, ge=0)
    """How long a signed URL is valid, in seconds of the sandbox's clock."""
    export_rows_left_out: int = Field(default=0, ge=0)
    """Rows at the end of a list that its export lacks; ``row_count`` does not count them either."""
    export_row_count_error: int = 0
    """Added to the ``row_count`` of an export, which is then wrong."""
    export_file_size_error: int = 0
    """Added to the ``file_size_bytes`` of an export, which is then wrong."""
    export_bytes_per_second: int | None = Field(default=None, ge=1)
    """How fast downloads are sent, in real seconds; None is as fast as they are taken."""

    # Variations that a client has to tolerate
    answers: Literal["plain", "sparse", "noisy"] = "plain"
    """Response bodies as documented, without their null fields, or with an unknown field in every object."""
    utc_suffix: Literal["Z", "+00:00"] = "Z"
    """How timestamps write UTC."""
    id_style: Literal["uuid", "awkward"] = "uuid"
    """New list, workflow and task ids: UUIDs, or strings that must be escaped in a URL."""
    success_status: dict[str, int] = Field(default_factory=dict)
    """HTTP status of a success by endpoint name, such as ``{"lead_list_delete": 204}``."""

    def change(self, **changes: Any) -> None:
        """Change several switches together; if one name or value is invalid, none changes.

        Args:
            **changes: New values by name.

        Raises:
            pydantic.ValidationError: A name is unknown or a value is invalid.
        """
        checked = SandboxSettings(**{**self.model_dump(), **changes})
        for name in changes:
            setattr(self, name, getattr(checked, name))
