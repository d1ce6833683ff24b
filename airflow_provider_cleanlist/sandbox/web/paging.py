"""Cursors, and the rows that a page shows."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.sandbox.web.errors import HttpError

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.settings import SandboxSettings


@dataclass(frozen=True, slots=True)
class PageSlice:
    """The rows of a page.

    Attributes:
        start: Index of the first row.
        stop: Index after the last row.
        cursor_fields: The ``cursor`` of the response: a string, null, or no such key.
    """

    start: int
    stop: int
    cursor_fields: dict[str, str | None]


def page_slice(settings: SandboxSettings, total: int, limit: int, cursor: str | None) -> PageSlice:
    """Return which rows a request asks for.

    Raises:
        HttpError: 400 for a malformed cursor.
    """
    size = min(limit, settings.max_page_size or limit)
    offset = _decode(cursor, opaque=settings.opaque_cursors) if cursor else 0
    start = min(offset - min(settings.duplicate_rows, size - 1, offset), total) if offset < total else total
    stop = min(start + size, total)
    following: str | None = None
    if settings.repeat_cursor and cursor:
        following = cursor
    elif stop < total:
        following = _encode(stop, opaque=settings.opaque_cursors)
    elif settings.empty_pages:
        following = _encode(max(offset, stop) + size, opaque=settings.opaque_cursors)
    if following is None:
        last: dict[str, dict[str, str | None]] = {
            "null": {"cursor": None},
            "empty": {"cursor": ""},
            "missing": {},
        }
        return PageSlice(start, stop, last[settings.last_cursor])
    return PageSlice(start, stop, {"cursor": following})


def _encode(offset: int, *, opaque: bool) -> str:
    return base64.urlsafe_b64encode(f"row:{offset}".encode()).decode() if opaque else str(offset)


def _decode(cursor: str, *, opaque: bool) -> int:
    digits = _decode_opaque(cursor) if opaque else cursor
    if not (digits.isascii() and digits.isdigit()):
        raise HttpError(400, "Malformed cursor")
    return int(digits)


def _decode_opaque(cursor: str) -> str:
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        return ""
    return text.removeprefix("row:") if text.startswith("row:") else ""
