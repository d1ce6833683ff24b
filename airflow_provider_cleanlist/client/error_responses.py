"""Reading error responses: the envelopes ``{"detail": ...}`` and ``{"error": {...}}``, and ``Retry-After``."""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import Any

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.messages import Request, Response
from airflow_provider_cleanlist.input_limits import (
    EXAMINED_BYTES,
    FIELD_ERROR_TEXTS,
    FIELD_ERRORS,
    HEADER_CHARACTERS,
)
from airflow_provider_cleanlist.redaction import REDACTED, Redactor
from airflow_provider_cleanlist.wording import counted

HOST_HINT = "Check the host of the connection: is it the Cleanlist API?"
"""Hint for responses that cannot be from Cleanlist."""
_REFUSALS = frozenset({400, 401, 402, 403, 404, 409, 413, 422, 503})
"""Statuses by which the API says that it has accepted nothing; so does 429, whoever sends it."""
MAX_SCOPES = 50
"""Most scopes that a message names."""
MAX_LOCATION = 10
"""Most steps of a path into the request that are read."""
_SECONDS = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_TAG = re.compile(r"<[^<>]*>")  # linear: it is not tried again inside a tag that never ends


def error_info(request: Request, response: Response, secrets: Sequence[str] = ()) -> errors.ErrorInfo:
    """Return what an error response says, whichever envelope it uses, without any value that the request carried.

    Args:
        request: What was sent.
        response: A response with a status of 300 or more.
        secrets: What was sent besides, and must not be quoted either: the API key.
    """
    body = response.json()
    envelope = body.get("error") if isinstance(body, dict) else None
    newer: Mapping[str, Any] = envelope if isinstance(envelope, dict) else {}
    redactor = Redactor(_sent(request), secrets)
    message = (
        _message(body, newer, redactor) if isinstance(body, dict) else _plain_text(request, response.body)
    )
    header_wait = retry_after_seconds(response.headers, response.received_at)
    return errors.ErrorInfo(
        operation=request.operation,
        message=redactor.quoted(message),
        status=response.status,
        code=redactor.identifier(newer.get("code")),
        retryable=newer.get("retryable") if isinstance(newer.get("retryable"), bool) else None,
        retry_after=header_wait if header_wait is not None else _milliseconds(newer.get("retry_after_ms")),
        request_id=redactor.identifier(newer.get("request_id")),
        field_errors=tuple(_field_errors(body, redactor)),
        hint=_host_hint(request, response, isinstance(body, dict)),
        is_foreign=response.status != 429 and not is_refusal(response),
    )


def is_refusal(response: Response) -> bool:
    """Return whether an error response is the API's own word that it has accepted nothing.

    Something in between, such as a load balancer whose connection broke, responds with a page, or with other JSON, to
    requests that the API has accepted as well: ``{"status": 503, "error": "Service Unavailable"}``, or problem details.

    Args:
        response: A response with a status of 300 or more.
    """
    body = response.json()
    is_problem = "problem+json" in response.headers.get("content-type", "").lower()
    if not isinstance(body, dict) or len(body) != 1 or is_problem or response.status not in _REFUSALS:
        return False
    error, detail = body.get("error"), body.get("detail")
    if isinstance(error, dict):
        return all(_text(error.get(name)).strip() for name in ("code", "problem", "request_id"))
    return bool(_text(detail).strip()) or (response.status == 422 and isinstance(detail, list))


def client_error(info: errors.ErrorInfo) -> errors.ApiError:
    """Return the exception for a response with a status from 300 to 499.

    Args:
        info: What the response says.
    """
    kind = _CLASS_BY_CODE.get(info.code or "") or _CLASS_BY_STATUS.get(
        info.status or 0, errors.BadRequestError
    )
    if info.status == 403 and info.message.rstrip(".").lower() == "not authenticated":
        kind = errors.AuthenticationError
    hint = _HINT_BY_CODE.get(info.code or "") or _HINT_BY_CLASS.get(kind, info.hint)
    return kind(replace(info, hint=hint))


_CLASS_BY_CODE: dict[str, type[errors.ApiError]] = {
    "insufficient_credits": errors.InsufficientCreditsError,
    "list_protected": errors.PermissionDeniedError,
    "validation_error": errors.InvalidRequestError,
}
_CLASS_BY_STATUS: dict[int, type[errors.ApiError]] = {
    401: errors.AuthenticationError,
    402: errors.InsufficientCreditsError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.InvalidRequestError,
}
_HINT_BY_CODE = {"list_protected": "Cleanlist manages this list: use another one."}
_HINT_BY_CLASS: dict[type[errors.ApiError], str] = {
    errors.AuthenticationError: "Check the API key (password of the connection): it may be mistyped, expired or "
    "revoked.",
    errors.InsufficientCreditsError: "Top up the organisation's credits, then run the task again.",
    errors.PermissionDeniedError: "The plan or the scopes of the key's user do not allow this; see the Cleanlist "
    "portal.",
}


def retry_after_seconds(headers: Mapping[str, str], received_at: float) -> float | None:
    """Return the pause that a ``Retry-After`` header asks for: seconds or an HTTP date; None if unreadable.

    An HTTP date is compared with the ``Date`` header of the same response when there is one, so that a wrong local
    clock does no harm. Never negative.

    Args:
        headers: Headers of the response, names in lower case.
        received_at: Wall clock at arrival, seconds since the epoch.
    """
    text = headers.get("retry-after", "").strip()
    if len(text) > HEADER_CHARACTERS:
        return None
    if _SECONDS.fullmatch(text):
        seconds = float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    until = _http_date(text)
    if until is None:
        return None
    server_now = _http_date(headers.get("date", ""))
    return max(0.0, until - (received_at if server_now is None else server_now))


def _http_date(text: str) -> float | None:
    if len(text) > HEADER_CHARACTERS:
        return None
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


def _message(body: Mapping[str, Any], newer: Mapping[str, Any], redactor: Redactor) -> str:
    if newer:
        parts = [text for key in ("problem", "cause", "fix") if (text := _text(newer.get(key)))]
        return " ".join([*(parts or [_text(newer.get("message"))]), *_scopes(newer.get("details"), redactor)])
    for key in ("error", "detail", "message"):
        value = body.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value:
            return f"{counted(len(value), 'field')} rejected"
        if isinstance(value, dict):
            return _text(value.get("message")) or _text(value.get("msg"))
    return ""


def _scopes(details: Any, redactor: Redactor) -> Iterator[str]:
    """Spell out which scopes a 403 requires and which the key has."""
    for name in ("required", "granted"):
        scopes = details.get(name) if isinstance(details, Mapping) else None
        if isinstance(scopes, list):
            names = filter(None, map(redactor.identifier, scopes[:MAX_SCOPES]))
            yield f"{name.capitalize()}: {', '.join(names) or 'none'}."


def _plain_text(request: Request, raw: bytes) -> str:
    """Quote the start of a response that is not JSON, unless it could echo contacts in an unforeseen spelling."""
    sent_contacts = bool(request.body and request.body.get("contacts"))
    if sent_contacts or not raw.strip():
        return "the response is not JSON" if raw.strip() else ""
    return " ".join(_TAG.sub(" ", raw[:EXAMINED_BYTES].decode("utf-8", "replace")).split())


def _field_errors(body: Any, redactor: Redactor) -> Iterator[errors.FieldError]:
    entries = body.get("detail") if isinstance(body, dict) else None
    quoted: dict[str, str] = {}

    def quote(text: str) -> str:
        if text not in quoted and len(quoted) < FIELD_ERROR_TEXTS:
            quoted[text] = redactor.quoted(text)
        return quoted.get(text, REDACTED)

    for entry in entries[:FIELD_ERRORS] if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("loc"), list):
            parts = [part for part in entry["loc"][:MAX_LOCATION] if isinstance(part, str | int)]
            location = tuple(quote(part) if isinstance(part, str) else part for part in parts)
            message = quote(_text(entry.get("msg"))) or "rejected"
            yield errors.FieldError(location, message, _contact_index(parts))


def _contact_index(location: Sequence[str | int]) -> int | None:
    for part, following in pairwise(location):
        if part == "contacts" and isinstance(following, int):
            return following
    return None


def _host_hint(request: Request, response: Response, is_json: bool) -> str | None:
    if 300 <= response.status < 400:
        return (
            "Redirects are not followed, because the key is for the configured host only: if this one leads to the "
            "Cleanlist API, set its target as the host of the connection."
        )
    if response.status < 500 and (not is_json or (response.status == 404 and request.method == "POST")):
        return HOST_HINT
    return None


def _sent(request: Request) -> list[Any]:
    """Return what a request carried, except for words of the API itself."""
    return [value for name, value in (request.body or {}).items() if name != "enrichment_type"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
