"""Error responses, in the two forms that the API has: ``{"detail": ...}`` and ``{"error": {...}}``."""

from __future__ import annotations

import secrets
from typing import Any, Literal

PROBLEMS = {
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
"""Usual text of an error, by status."""
ERROR_CODES = {
    400: "validation_error",
    401: "unauthorized",
    402: "insufficient_credits",
    403: "feature_gated",
    404: "not_found",
    409: "conflict",
    413: "payload_too_large",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}
"""Usual code of an error in the newer body, by status."""
RETRYABLE = {429, 500, 502, 503, 504}


class HttpError(Exception):
    """An error response.

    Args:
        status: HTTP status.
        problem: Text for people; by default the usual one for the status.
        code: Code in the newer body; by default the usual one for the status.
        fix: What to do about it.
        details: Structured details in the newer body.
        retryable: Whether a retry can help; by default the usual answer for the status.
        retry_after_ms: Milliseconds to wait.
        headers: Headers of the response.
        extra: More fields of the newer body, such as the credits that are missing.
        form: ``json`` as the API writes errors, ``html`` as a proxy does, or ``empty``.
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
        self.problem = problem or PROBLEMS.get(status, "Request failed")
        self.code = code or ERROR_CODES.get(status, "error")
        self.fix = fix
        self.details = details
        self.retryable = status in RETRYABLE if retryable is None else retryable
        self.retry_after_ms = retry_after_ms
        self.headers = headers or {}
        self.extra = extra or {}
        self.form = form
        super().__init__(f"{status} {self.code}")

    def body(self, *, legacy: bool) -> dict[str, Any]:
        """Return the body: ``{"detail": ...}`` if ``legacy``, else ``{"error": {...}}``."""
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


class InvalidBodyError(HttpError):
    """422: the body has the wrong shape. Every endpoint answers with a ``detail`` list.

    Args:
        entries: One object with ``type``, ``loc``, ``msg`` and perhaps ``input`` for each invalid value.
    """

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        super().__init__(422)
        self.entries = entries

    def body(self, *, legacy: bool) -> dict[str, Any]:
        """Return the list of invalid values, which is the same in both forms."""
        del legacy
        return {"detail": self.entries}

    @classmethod
    def at(cls, loc: list[str | int], msg: str, value: Any) -> InvalidBodyError:
        """Return the error for a single invalid value."""
        return cls([{"type": "value_error", "loc": loc, "msg": msg, "input": value}])


def insufficient_credits(*, cost: int, available: float) -> HttpError:
    """Return the error for too few credits: 402, as the vendor's introduction to the API says."""
    return HttpError(
        402,
        fix="Top up the organization's credits.",
        extra={
            "estimated_cost_credits": cost,
            "available_credits": available,
            "shortfall_credits": cost - available,
        },
    )
