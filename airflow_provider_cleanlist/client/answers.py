"""Reading failed answers: both error envelopes, ``Retry-After`` in every form (contract section 3)."""

from __future__ import annotations

import email.utils
import json
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.client import errors

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.protocol import Request, Response

MAX_MESSAGE_LENGTH = 500
_REDACTED = "<redacted>"


def error_info(request: Request, answer: Response) -> errors.ErrorInfo:
    """Describe a failed answer, whichever envelope it uses, without any value that the request carried.

    Args:
        request: What was asked.
        answer: An answer with a status of 300 or more.
    """
    body = _json_or_none(answer.body)
    envelope = body.get("error") if isinstance(body, dict) else None
    newer: Mapping[str, Any] = envelope if isinstance(envelope, dict) else {}
    message = _message(body, newer, answer.body)
    header_wait = retry_after_seconds(answer.headers, answer.received_at)
    return errors.ErrorInfo(
        operation=request.operation,
        message=_without_values_of(request, message),
        status=answer.status,
        code=_text(newer.get("code")),
        retryable=newer.get("retryable") if isinstance(newer.get("retryable"), bool) else None,
        retry_after=header_wait if header_wait is not None else _milliseconds(newer.get("retry_after_ms")),
        request_id=_text(newer.get("request_id")),
        field_errors=tuple(_field_errors(body, request)),
        hint=_hint(answer.status, isinstance(body, dict), request),
    )


def client_error(info: errors.ErrorInfo) -> errors.ApiError:
    """Return the exception for an answer of 300 to 499 (contract section 3.3)."""
    if info.code in _CLASS_BY_CODE:
        return _CLASS_BY_CODE[info.code](info)
    if info.status == 403 and info.message == "Not authenticated":
        return errors.AuthenticationError(info)
    return _CLASS_BY_STATUS.get(info.status or 0, errors.BadRequestError)(info)


_CLASS_BY_CODE: dict[str, type[errors.ApiError]] = {
    "insufficient_credits": errors.InsufficientCreditsError,
    "list_protected": errors.ProtectedListError,
    "validation_error": errors.InvalidRequestError,
}
_CLASS_BY_STATUS: dict[int, type[errors.ApiError]] = {
    401: errors.AuthenticationError,
    402: errors.InsufficientCreditsError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.InvalidRequestError,
}


def retry_after_seconds(headers: Mapping[str, str], received_at: float) -> float | None:
    """Read a ``Retry-After`` header: whole or decimal seconds, or an HTTP date; None if absent or unreadable.

    An HTTP date is compared with the answer's own ``Date`` header when there is one, so that a wrong local clock
    does no harm. Never negative.

    Args:
        headers: The answer's headers, names in lower case.
        received_at: Wall clock at arrival, seconds since the epoch.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until = _http_date(text)
        if until is None:
            return None
        server_now = _http_date(headers.get("date", ""))
        seconds = until - (received_at if server_now is None else server_now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _http_date(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _json_or_none(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _message(body: Any, newer: Mapping[str, Any], raw: bytes) -> str:
    if newer:
        parts = [text for key in ("problem", "cause", "fix") if (text := _text(newer.get(key)))]
        return " ".join(parts) or _text(newer.get("message")) or ""
    if not isinstance(body, dict):
        return " ".join(raw.decode("utf-8", "replace").split())[:MAX_MESSAGE_LENGTH]
    for key in ("error", "detail", "message"):
        value = body.get(key)
        if isinstance(value, str) and value:
            return value[:MAX_MESSAGE_LENGTH]
        if isinstance(value, list) and value:
            return f"{len(value)} field{'s' if len(value) != 1 else ''} refused"
        if isinstance(value, dict):
            return _text(value.get("message")) or _text(value.get("msg")) or ""
    return ""


def _field_errors(body: Any, request: Request) -> Iterator[errors.FieldError]:
    entries = body.get("detail") if isinstance(body, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("loc"), list):
            location = tuple(part for part in entry["loc"] if isinstance(part, str | int))
            message = _without_values_of(request, _text(entry.get("msg")) or "refused")
            yield errors.FieldError(location, message, _contact_index(location))


def _contact_index(location: tuple[str | int, ...]) -> int | None:
    for part, following in pairwise(location):
        if part == "contacts" and isinstance(following, int):
            return following
    return None


def _hint(status: int, is_json: bool, request: Request) -> str | None:
    if 300 <= status < 400:
        return (
            "Redirects are not followed, so that the key stays with the configured host: set the host that it "
            "leads to in the connection if that is the Cleanlist API."
        )
    if status == 401:
        return "Check the API key (password of the connection): it may be mistyped, expired or revoked."
    if status == 402:
        return "Top up the organisation's credits, then run the task again."
    if status == 403:
        return "The plan or the scopes of the key's user do not allow this; see the Cleanlist portal."
    if not is_json or (status == 404 and request.method == "POST"):
        return "Check the host of the connection: is it the Cleanlist API?"
    return None


def _without_values_of(request: Request, message: str) -> str:
    contacts = (request.body or {}).get("contacts")
    for value in sorted(_texts_in(contacts), key=len, reverse=True):
        if len(value) >= 3:
            message = message.replace(value, _REDACTED)
    return message


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for nested in value.values():
            yield from _texts_in(nested)
    elif isinstance(value, list | tuple):
        for nested in value:
            yield from _texts_in(nested)


def _text(value: Any) -> str | None:
    return value[:MAX_MESSAGE_LENGTH] if isinstance(value, str) and value else None


def _milliseconds(value: Any) -> float | None:
    return max(0.0, value / 1000) if isinstance(value, int | float) and not isinstance(value, bool) else None
