"""Everything that can go wrong between us and the Cleanlist API (contract section 3).

The classes say what happened; whether a retry can help is decided in :mod:`.protocol` and, for whole Airflow
tasks, by the classes of :mod:`airflow_provider_cleanlist.exceptions` that mirror these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One refused field of a 422 answer.

    Attributes:
        location: Path into the request, such as ``("body", "contacts", 7)``.
        message: What the API has against it. Never the refused value.
        index: Position of the contact in the request, or None when the error is not about a contact.
    """

    location: tuple[str | int, ...]
    message: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What is known of a failed request. Holds no personal data and no key.

    Attributes:
        operation: Name of the call, such as ``submit bulk enrichment``; empty when ``message`` is the whole text.
        message: What the API said, or what happened to the connection.
        status: HTTP status, or None when no answer came.
        code: Machine-readable code of the newer envelope, or None.
        retryable: What the API itself says about repeating, or None.
        retry_after: Seconds the API asks to wait, or None.
        request_id: The API's id of the request, for its support, or None.
        field_errors: Refused fields of a 422 answer.
        hint: What to do about it.
    """

    operation: str
    message: str
    status: int | None = None
    code: str | None = None
    retryable: bool | None = None
    retry_after: float | None = None
    request_id: str | None = None
    field_errors: tuple[FieldError, ...] = ()
    hint: str | None = None

    def __str__(self) -> str:
        """Return one sentence: what failed, how, and what to do."""
        if not self.operation:
            return self.message
        status = f"HTTP {self.status}" if self.status is not None else "no answer"
        parts = [f"Cleanlist could not {self.operation} ({status}{', ' + self.code if self.code else ''})"]
        if self.message:
            parts.append(f": {self.message.rstrip('.')}")
        parts.append(".")
        if self.hint:
            parts.append(f" {self.hint}")
        if self.request_id:
            parts.append(f" Cleanlist's request id: {self.request_id}.")
        return "".join(parts)


class CleanlistError(Exception):
    """Base of every error of this package."""


class ConfigurationError(CleanlistError, ValueError):
    """A setting or an argument is invalid; nothing was sent. The text holds no secret and no personal data."""


class ApiError(CleanlistError):
    """A request to the API failed for good; ``info`` has the particulars.

    Args:
        info: What is known, or only its text: that is all Airflow keeps where it stores an exception.
    """

    def __init__(self, info: ErrorInfo | str) -> None:
        super().__init__(info)
        self.info = ErrorInfo("", info) if isinstance(info, str) else info

    def __str__(self) -> str:
        """Return the sentence of ``info``."""
        return str(self.info)


class BadRequestError(ApiError):
    """The request makes no sense to the API (400, 405, 413, 3xx and other 4xx)."""


class AuthenticationError(ApiError):
    """The API key is missing, malformed, expired or revoked (401)."""


class InsufficientCreditsError(ApiError):
    """The organisation's balance does not cover the request (402, or 400 ``insufficient_credits``)."""


class PermissionDeniedError(ApiError):
    """The plan or the key's scopes do not allow the request (403)."""


class ProtectedListError(PermissionDeniedError):
    """The list is managed by Cleanlist and cannot be renamed or deleted (403 ``list_protected``)."""


class NotFoundError(ApiError):
    """No such workflow, task, list or folder, or no right to see it (404)."""


class ConflictError(ApiError):
    """The request contradicts the state on the server (409)."""


class InvalidRequestError(ApiError):
    """The API refused fields of the request (422); ``info.field_errors`` names them."""


class RateLimitedError(ApiError):
    """The request budget stayed exhausted for longer than the request was allowed to wait (429)."""


class ServerError(ApiError):
    """The API failed on its side (5xx) and stayed so over all retries."""


class TransportError(ApiError):
    """No answer came from the API over all retries: DNS, connection, TLS, timeout."""


class UnexpectedAnswerError(ApiError):
    """The API answered with success, but not with what its contract says."""


class SubmissionUnknownError(ApiError):
    """A credit-spending request may or may not have been accepted: it must not be repeated blindly."""

    def __str__(self) -> str:
        """Return what is unknown, why, and what to do about it."""
        if not self.info.operation:
            return self.info.message
        status = f"HTTP {self.info.status}" if self.info.status is not None else ""
        why = ": ".join(filter(None, (status, self.info.message)))
        hint = self.info.hint or "If it was, its contacts are billed: do not repeat it blindly."
        return (
            f"It is not known whether Cleanlist accepted the request to {self.info.operation} ({why}). {hint}"
        )
