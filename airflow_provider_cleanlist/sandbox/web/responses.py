"""Response types: JSON, and responses that do not arrive whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

from fastapi import Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

CloseConnection = Callable[["Scope", "Receive"], Awaitable[None]]
"""Closes the connection of a request without a response."""


def dump(content: Any) -> bytes:
    """Write JSON as compactly as the API does; lone surrogates, which UTF-8 cannot hold, become question marks."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


class Json(Response):
    """A response in JSON; bytes are sent as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return content if isinstance(content, bytes) else dump(content)


class NoResponse(Response):
    """No response: the connection is closed."""

    def __init__(self, close_connection: CloseConnection) -> None:
        super().__init__()
        self._close_connection = close_connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close the connection."""
        del send
        await self._close_connection(scope, receive)


class TruncatedResponse(Response):
    """The first half of a response; then the server closes the connection, as the promised length is missing."""

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.body, whole.status_code, dict(whole.headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the first half."""
        del scope, receive
        body = bytes(self.body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


class SlowResponse(Response):
    """A response that is sent at a limited speed, in parts of 50 milliseconds."""

    def __init__(self, whole: Response, bytes_per_second: int) -> None:
        super().__init__(whole.body, whole.status_code, dict(whole.headers))
        self._at_once = max(1, bytes_per_second // 20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        del scope, receive
        body = bytes(self.body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, len(body), self._at_once):
            await send(
                {"type": "http.response.body", "body": body[start : start + self._at_once], "more_body": True}
            )
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b""})


def reshaped(body: Any, style: Literal["plain", "sparse", "noisy"]) -> Any:
    """Return JSON data without null fields (``sparse``) or with an unknown field in every object (``noisy``)."""
    if style == "plain":
        return body
    if isinstance(body, list):
        return [reshaped(item, style) for item in body]
    if not isinstance(body, dict):
        return body
    kept = {
        name: reshaped(value, style) for name, value in body.items() if style == "noisy" or value is not None
    }
    return kept | {"x_unheard_of": {"since": [2031, None]}} if style == "noisy" else kept
