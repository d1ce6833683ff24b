"""Reading failed answers: both error envelopes, ``Retry-After`` in every form (contract section 3)."""

from __future__ import annotations

import email.utils
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.redaction import identifier_or_none, redacted

if TYPE_CHECKING:
    from airflow_provider_cleanlist.client.protocol import Request, Response

HOST_HINT = "Check the host of the connection: is it the Cleanlist API?"
"""Hint for answers that cannot be from Cleanlist."""
_SECONDS = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_TAG = re.compile(r"<[^>]*>")


def json_or_none(raw: bytes) -> Any:
    """Decode a JSON body, or return None if it is none.

    Args:
        raw: The body as it came.
    """
    try:
        return from_json(
            raw, cache_strings="keys"
        )  # twice as fast as json.loads, but without lone surrogates
    except ValueError:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            return None


def error_info(request: Request, answer: Response) -> errors.ErrorInfo:
    """Return what a failed answer says, whichever envelope it uses, without any value that the request carried.

    Args:
        request: What was asked.
        answer: An answer with a status of 300 or more.
    """
    body = json_or_none(answer.body)
    envelope = body.get("error") if isinstance(body, dict) else None
    newer: Mapping[str, Any] = envelope if isinstance(envelope, dict) else {}
    contacts = _contacts(request)
    message = _message(body, newer) if isinstance(body, dict) else _plain_text(answer.body, contacts)
    header_wait = retry_after_seconds(answer.headers, answer.received_at)
    return errors.ErrorInfo(
        operation=request.operation,
        message=redacted(message, contacts),
        status=answer.status,
        code=identifier_or_none(newer.get("code")),
        retryable=newer.get("retryable") if isinstance(newer.get("retryable"), bool) else None,
        retry_after=header_wait if header_wait is not None else _milliseconds(newer.get("retry_after_ms")),
        request_id=identifier_or_none(newer.get("request_id")),
        field_errors=tuple(_field_errors(body, contacts)),
        hint=_host_hint(request, answer, isinstance(body, dict)),
    )


def client_error(info: errors.ErrorInfo) -> errors.ApiError:
    """Return the exception for an answer of 300 to 499 (contract section 3.3).

    Args:
        info: The answer, described.
    """
    kind = _CLASS_BY_CODE.get(info.code or "") or _CLASS_BY_STATUS.get(
        info.status or 0, errors.BadRequestError
    )
    if info.status == 403 and info.message.rstrip(".").lower() == "not authenticated":
        kind = errors.AuthenticationError
    return kind(replace(info, hint=_HINT_BY_CLASS.get(kind, info.hint)))


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
_HINT_BY_CLASS: dict[type[errors.ApiError], str] = {
    errors.AuthenticationError: "Check the API key (password of the connection): it may be mistyped, expired or "
    "revoked.",
    errors.InsufficientCreditsError: "Top up the organisation's credits, then run the task again.",
    errors.PermissionDeniedError: "The plan or the scopes of the key's user do not allow this; see the Cleanlist "
    "portal.",
    errors.ProtectedListError: "Cleanlist manages this list itself: use another one.",
}


def retry_after_seconds(headers: Mapping[str, str], received_at: float) -> float | None:
    """Return the pause that a ``Retry-After`` header asks for: seconds or an HTTP date; None if unreadable.

    An HTTP date is compared with the answer's own ``Date`` header when there is one, so that a wrong local clock
    does no harm. Never negative.

    Args:
        headers: The answer's headers, names in lower case.
        received_at: Wall clock at arrival, seconds since the epoch.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    until = _http_date(text)
    if until is None:
        return None
    server_now = _http_date(headers.get("date", ""))
    return max(0.0, until - (received_at if server_now is None else server_now))


def _http_date(text: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _milliseconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = value / 1000
    except OverflowError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _message(body: Mapping[str, Any], newer: Mapping[str, Any]) -> str:
    if newer:
        parts = [text for key in ("problem", "cause", "fix") if (text := _text(newer.get(key)))]
        return " ".join([*(parts or [_text(newer.get("message"))]), *_scopes(newer.get("details"))])
    for key in ("error", "detail", "message"):
        value = body.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value:
            return f"{len(value)} field{'s' if len(value) != 1 else ''} refused"
        if isinstance(value, dict):
            return _text(value.get("message")) or _text(value.get("msg"))
    return ""


def _scopes(details: Any) -> Iterator[str]:
    """Spell out which scopes a 403 asked for and which the key has (contract section 1.5)."""
    for name in ("required", "granted"):
        scopes = details.get(name) if isinstance(details, Mapping) else None
        if isinstance(scopes, list):
            yield f"{name.capitalize()}: {', '.join(filter(None, map(identifier_or_none, scopes))) or 'none'}."


def _plain_text(raw: bytes, contacts: Any) -> str:
    """Quote an answer that is not JSON, unless it could echo contacts in a spelling that nobody foresees."""
    if contacts or not raw.strip():
        return "the answer is not JSON" if raw.strip() else ""
    return _TAG.sub(" ", raw.decode("utf-8", "replace"))


def _field_errors(body: Any, contacts: Any) -> Iterator[errors.FieldError]:
    entries = body.get("detail") if isinstance(body, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("loc"), list):
            parts = [part for part in entry["loc"] if isinstance(part, str | int)]
            location = tuple(redacted(part, contacts) if isinstance(part, str) else part for part in parts)
            message = redacted(_text(entry.get("msg")), contacts) or "refused"
            yield errors.FieldError(location, message, _contact_index(parts))


def _contact_index(location: Sequence[str | int]) -> int | None:
    for part, following in pairwise(location):
        if part == "contacts" and isinstance(following, int):
            return following
    return None


def _host_hint(request: Request, answer: Response, is_json: bool) -> str | None:
    if 300 <= answer.status < 400:
        return (
            "Redirects are not followed, so that the key stays with the configured host: set the host that it "
            "leads to in the connection if that is the Cleanlist API."
        )
    if answer.status < 500 and (not is_json or (answer.status == 404 and request.method == "POST")):
        return HOST_HINT
    return None


def _contacts(request: Request) -> Any:
    return request.body.get("contacts") if request.body else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
