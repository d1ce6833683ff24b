"""Everything that can go wrong between the client and the Cleanlist API.

The classes say what happened. Whether to send a request again is decided in :mod:`.protocol`; whether Airflow retries
the task, by the classes of :mod:`airflow_provider_cleanlist.exceptions` that mirror these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One rejected field of a 422 response.

    Attributes:
        location: Path into the request, such as ``("body", "contacts", 7)``.
        message: Why the API rejected it; never the rejected value.
        index: Position of the contact in the request, or None when the error is not about a contact.
    """

    location: tuple[str | int, ...]
    message: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What is known about a failed request. Contains no personal data and no key.

    Attributes:
        operation: Name of the call, such as ``submit bulk enrichment``; empty when ``message`` is the whole text.
        message: What the API said, or what happened to the connection.
        status: HTTP status, or None if there was no response.
        code: Error code of the API, where its response has one, or None.
        retryable: Whether the API itself advises a retry, or None.
        retry_after: Seconds that the API asks to wait, or None.
        request_id: The API's id of the request, for its support, or None.
        field_errors: Rejected fields of a 422 response.
        hint: What to do about it.
        connection: Which connection and host the request went to, where that may be the mistake; else empty.
        decision: What a user has to decide, as one short line above an unknown outcome; else empty.
        is_foreign: Whether something in between may have answered instead of the API, such as a page to sign in on.
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
    connection: str = ""
    decision: str = ""
    is_foreign: bool = False

    def __str__(self) -> str:
        """Say what failed, how, and what to do about it."""
        if not self.operation:
            return self.message
        parts = [f"Cleanlist could not {self.operation}"]
        if self.status is not None:
            parts.append(f" (HTTP {self.status}{', ' + self.code if self.code else ''})")
        if self.message:
            parts.append(f": {self.message.rstrip('.')}")
        parts.append(".")
        if self.hint:
            parts.append(f" {self.hint}")
        if self.connection:
            parts.append(f" Used: {self.connection}.")
        if self.request_id:
            parts.append(f" Cleanlist's request id: {self.request_id}.")
        return "".join(parts)


class CleanlistError(Exception):
    """Base of every error of this package."""


class ConfigurationError(CleanlistError, ValueError):
    """A setting or an argument is invalid; nothing was sent. The text holds no secret and no personal data."""


class ExportNotResumableError(CleanlistError):
    """What an earlier attempt read of an export cannot be continued: its file is gone, or not surely the same."""


class ExportInconsistentError(CleanlistError):
    """The file of an export is not what the API says it is, or cannot be read; nothing of it may be used."""


class ApiError(CleanlistError):
    """A request to the API failed for good; ``info`` has the details.

    Args:
        info: The details, or only their text: Airflow keeps no more where it stores an exception.
    """

    def __init__(self, info: ErrorInfo | str) -> None:
        super().__init__(info)
        self.info = ErrorInfo("", info) if isinstance(info, str) else info

    def __str__(self) -> str:
        """Return the text of ``info``."""
        return str(self.info)


class BadRequestError(ApiError):
    """The API rejected the request (400, 405, 409, 413, 3xx, and 4xx without a class of their own)."""


class AuthenticationError(ApiError):
    """The API key is missing, malformed, expired or revoked (401)."""


class InsufficientCreditsError(ApiError):
    """The organisation's balance does not cover the request (402, or 400 ``insufficient_credits``)."""


class PermissionDeniedError(ApiError):
    """The plan or the key's scopes do not allow the request, or Cleanlist manages the list itself (403)."""


class NotFoundError(ApiError):
    """There is no such workflow, task, list or folder, or the key's user may not see it (404)."""


class InvalidRequestError(ApiError):
    """The API rejected fields of the request (422); ``info.field_errors`` names them."""


class RateLimitedError(ApiError):
    """The request budget was exhausted for longer than the request may wait (429)."""


class ServerError(ApiError):
    """The API failed (5xx), on every retry."""


class TransportError(ApiError):
    """There was no response, on any retry: DNS, connection, TLS, timeout."""


class UnexpectedResponseError(ApiError):
    """The API reported success, but its response lacks what it should contain, or is about something else."""


class SubmissionUnknownError(ApiError):
    """A credit-spending request may or may not have been accepted: it must not be repeated blindly."""

    def __str__(self) -> str:
        """Say what has to be decided, in a line of its own, then what is unknown, why, and what to do about it."""
        if not self.info.operation:
            return self.info.message
        status = f"HTTP {self.info.status}" if self.info.status is not None else ""
        why = ": ".join(filter(None, (status, self.info.message)))
        hint = self.info.hint or "If it was, its contacts are billed: do not repeat it blindly."
        text = (
            f"It is not known whether Cleanlist accepted the request to {self.info.operation} ({why}). {hint}"
        )
        return f"{self.info.decision}\n{text}" if self.info.decision else text
