"""Cursors and the slice of a list they stand for (contract section 8.10)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_cleanlist.sandbox.errors import ApiError

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.settings import Settings


@dataclass(frozen=True, slots=True)
class Page:
    """Rows ``start`` to ``stop - 1``, and how the answer names the next page.

    ``cursor_fields`` is what the answer says under ``cursor``: the key with a string or null, or no key.
    """

    start: int
    stop: int
    cursor_fields: dict[str, str | None]


def page(settings: Settings, total: int, limit: int, cursor: str | None) -> Page:
    """Return the page that a request asks for.

    Raises:
        ApiError: 400 for a malformed cursor.
    """
    size = min(limit, settings.max_page_size or limit)
    offset = decode(cursor, opaque=settings.opaque_cursors) if cursor else 0
    start = min(offset - min(settings.duplicate_rows, size - 1, offset), total) if offset < total else total
    stop = min(start + size, total)
    following: str | None = None
    if settings.repeat_cursor and cursor:
        following = cursor
    elif stop < total:
        following = encode(stop, opaque=settings.opaque_cursors)
    elif settings.empty_pages:
        following = encode(max(offset, stop) + size, opaque=settings.opaque_cursors)
    if following is None:
        last: dict[str, dict[str, str | None]] = {
            "null": {"cursor": None},
            "empty": {"cursor": ""},
            "missing": {},
        }
        return Page(start, stop, last[settings.last_cursor])
    return Page(start, stop, {"cursor": following})


def encode(offset: int, *, opaque: bool) -> str:
    """Write an offset as a cursor."""
    return base64.urlsafe_b64encode(f"row:{offset}".encode()).decode() if opaque else str(offset)


def decode(cursor: str, *, opaque: bool) -> int:
    """Read a cursor.

    Raises:
        ApiError: 400 when it is none of ours.
    """
    digits = _opened(cursor) if opaque else cursor
    if not (digits.isascii() and digits.isdigit()):
        raise ApiError(400, "Malformed cursor")
    return int(digits)


def _opened(cursor: str) -> str:
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        return ""
    return text.removeprefix("row:") if text.startswith("row:") else ""
