"""Refusals, and the two envelopes they are written in (contract section 3)."""

from __future__ import annotations

import secrets
from typing import Any, Literal

LEGACY_DETAILS = {
    400: "Bad request",
    401: "Not authenticated",
    402: "Insufficient credits",
    403: "API access is not included in your plan",
    404: "Not found",
    409: "Conflict",
    413: "Payload too large",
    422: "Validation failed",
    429: "Rate limit exceeded",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service temporarily unavailable",
    504: "Gateway timeout",
}
CODES = {
    400: "validation_error",
    401: "unauthorized",
    402: "insufficient_credits",
    403: "feature_gated",
    404: "not_found",
    409: "quote_conflict",
    413: "payload_too_large",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}
RETRYABLE = {429, 500, 502, 503, 504}


class ApiError(Exception):
    """An answer other than success.

    Args:
        status: HTTP status.
        problem: Text for people; by default the usual one of the status.
        code: Code of the newer envelope; by default the usual one of the status.
        fix: What to do about it.
        details: Structured details of the newer envelope.
        retryable: Whether to try again; by default as the status suggests.
        retry_after_ms: Milliseconds to wait.
        headers: Headers of the answer.
        extra: Further fields of the newer envelope, such as those of credit errors.
        form: The body as the API writes it, as a proxy would (``html``), or none.
    """

    def __init__(
        self,
        status: int,
        problem: str | None = None,
        *,
        code: str | None = None,
        fix: str | None = None,
        details: dict[str, Any] | None = None,
        retryable: bool | None = None,
        retry_after_ms: int | None = None,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
        form: Literal["json", "html", "empty"] = "json",
    ) -> None:
        self.status = status
        self.problem = problem or LEGACY_DETAILS.get(status, "Request failed")
        self.code = code or CODES.get(status, "error")
        self.fix = fix
        self.details = details
        self.retryable = status in RETRYABLE if retryable is None else retryable
        self.retry_after_ms = retry_after_ms
        self.headers = headers or {}
        self.extra = extra or {}
        self.form = form
        super().__init__(f"{status} {self.code}")

    def body(self, *, legacy: bool) -> dict[str, Any]:
        """Return the body in one of the two envelopes."""
        if legacy:
            return {"detail": self.problem}
        error = {
            "code": self.code,
            "problem": self.problem,
            "cause": None,
            "fix": self.fix,
            "retryable": self.retryable,
            "retry_after_ms": self.retry_after_ms,
            "docs_url": f"https://docs.cleanlist.ai/errors/{self.code.replace('_', '-')}",
            "request_id": f"req_{secrets.token_hex(8)}",
            **self.extra,
        }
        return {"error": error if self.details is None else {**error, "details": self.details}}


class InvalidBodyError(ApiError):
    """422: the body has the wrong shape. Written as a ``detail`` list on every endpoint.

    Args:
        entries: One object with ``type``, ``loc``, ``msg`` and perhaps ``input`` per fault.
    """

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        super().__init__(422)
        self.entries = entries

    def body(self, *, legacy: bool) -> dict[str, Any]:
        """Return the list of faults; both envelopes agree on it."""
        del legacy
        return {"detail": self.entries}

    @classmethod
    def at(cls, loc: list[str | int], msg: str, value: Any) -> InvalidBodyError:
        """Return the refusal of a single value."""
        return cls([{"type": "value_error", "loc": loc, "msg": msg, "input": value}])


def insufficient_credits(*, status: int, cost: int, available: float) -> ApiError:
    """Return the refusal for lack of credits: 402 on the legacy surface, 400 on v2 (conflict C4)."""
    return ApiError(
        status,
        "Insufficient credits",
        code="insufficient_credits",
        fix="Top up the organization's credits.",
        retryable=False,
        extra={
            "estimated_cost_credits": cost,
            "available_credits": available,
            "shortfall_credits": cost - available,
        },
    )
