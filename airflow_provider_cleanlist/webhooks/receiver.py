"""The web application that receives what Cleanlist delivers.

It answers once the payload is stored, and with a server error if it cannot be stored, so that Cleanlist tries again.
Whoever has no genuine token learns nothing and leaves nothing behind. Bodies and tokens are never logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response

from airflow_provider_cleanlist.client.models import text_or_none
from airflow_provider_cleanlist.client.results import WorkflowState, workflow_state
from airflow_provider_cleanlist.inbox import tokens
from airflow_provider_cleanlist.inbox.inbox import ForeignWorkflowError, Inbox, InboxUnavailableError
from airflow_provider_cleanlist.inbox.settings import WEBHOOK_PATH

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Largest body that is read."""
MAX_ID_LENGTH = 512
"""Longest workflow id that is taken."""
BODY_SECONDS = 9.0
"""Cleanlist itself gives up after 10 s, so whoever sends more slowly is not Cleanlist."""
STORE_SECONDS = 9.0
"""How long storing may take before the answer says that it failed."""
COMPLETED_EVENT = "enrichment.completed"
"""Event that tells a workflow's end."""

OnNew = Callable[[str, Mapping[str, Any]], None]
"""Told the workflow and the payload of everything new."""


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818  # it is an answer
    """A request that is not taken, and the answer to it.

    Attributes:
        status: Status of the answer.
        reason: For the log; holds nothing of what was sent.
    """

    status: int
    reason: str


class QuietLog:
    """Logs at most one line per period, however many there would be.

    Args:
        seconds: Length of the period in seconds.
        clock: Seconds.
    """

    def __init__(self, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = -float("inf")
        self._suppressed = 0

    def warning(self, text: str) -> None:
        """Log a line, or count it.

        Args:
            text: The line.
        """
        now = self._clock()
        if now < self._next:
            self._suppressed += 1
            return
        log.warning("%s (%d more like this since the last line.)", text, self._suppressed)
        self._next, self._suppressed = now + self._seconds, 0


class Receiver:
    """Takes deliveries.

    Args:
        secrets: Secrets that genuine tokens are made with.
        open_inbox: Returns what keeps the deliveries; asked on another thread, for each of them.
        on_new: Told what is new after it was stored, on another thread; what it raises is logged.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        open_inbox: Callable[[], Inbox],
        on_new: OnNew | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = tuple(secrets)
        self._open_inbox = open_inbox
        self._on_new = on_new
        self._clock = clock
        self._refusals = QuietLog()
        self._failures = QuietLog()
        self._stores = ThreadPoolExecutor(max_workers=8, thread_name_prefix="cleanlist-webhook")
        self._tellers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cleanlist-webhook-event")

    async def take(self, token: str, request: Request) -> int:
        """Take one delivery and return the status of the answer.

        Args:
            token: The token in its address.
            request: The request.
        """
        try:
            genuine = tokens.verify(self._secrets, token, self._clock())
            if genuine is None:
                raise Refusal(404, "its token is not genuine or has expired")
            workflow_id, payload = read_payload(await _body(request))
            if not is_final(payload):
                return 200
            await self._keep(genuine.batch, workflow_id, payload)
        except Refusal as refusal:
            quiet = self._failures if refusal.status >= 500 else self._refusals
            quiet.warning(f"A webhook was answered with {refusal.status}: {refusal.reason}.")
            return refusal.status
        return 200

    async def _keep(self, batch: str, workflow_id: str, payload: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        storing = loop.run_in_executor(self._stores, self._store, batch, workflow_id, payload)
        try:
            is_new = await asyncio.wait_for(storing, STORE_SECONDS)
        except TimeoutError:
            raise Refusal(503, f"the inbox took longer than {STORE_SECONDS:g} s") from None
        except ForeignWorkflowError:
            raise Refusal(404, "its batch was delivered before with another workflow") from None
        except InboxUnavailableError as error:
            raise Refusal(503, str(error)) from None
        if is_new and self._on_new is not None:
            self._tellers.submit(self._tell, self._on_new, workflow_id, payload)

    def _store(self, batch: str, workflow_id: str, payload: Mapping[str, Any]) -> bool:
        return self._open_inbox().store(batch, workflow_id, payload, self._clock())

    def _tell(self, on_new: OnNew, workflow_id: str, payload: Mapping[str, Any]) -> None:
        try:
            on_new(workflow_id, payload)
        except Exception as error:  # noqa: BLE001  # the payload is stored, whatever becomes of the event
            log.warning(
                "Nobody was told that workflow %r was delivered: %s.", workflow_id, type(error).__name__
            )


def build_app(receiver: Receiver, prefix: str = "") -> FastAPI:
    """Return the application: ``POST <prefix>/webhook/<token>`` and nothing else.

    Args:
        receiver: Takes the deliveries.
        prefix: Path that the address begins with; empty where the application is mounted under it.
    """
    app = FastAPI(
        title="Cleanlist webhooks", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )

    @app.post(f"{prefix}{WEBHOOK_PATH}{{token}}")
    async def webhook(token: str, request: Request) -> Response:
        return Response(status_code=await receiver.take(token, request))

    return app


def read_payload(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the workflow that a payload names, and the payload.

    Args:
        body: What was sent.

    Raises:
        Refusal: It is no payload.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "its body is not JSON") from None
    workflow_id = text_or_none(payload.get("workflow_id")) if isinstance(payload, dict) else None
    if workflow_id is None or len(workflow_id) > MAX_ID_LENGTH:
        raise Refusal(400, "its body names no workflow")
    return workflow_id, payload


def is_final(payload: Mapping[str, Any]) -> bool:
    """Return whether a payload tells a workflow's end: other events may come some day, and are not kept.

    Args:
        payload: The payload.
    """
    if payload.get("event") == COMPLETED_EVENT:
        return True
    return workflow_state(text_or_none(payload.get("status"))) is not WorkflowState.RUNNING


async def _body(request: Request) -> bytes:
    """Return the body, unless it is too long or comes too slowly."""
    too_long = Refusal(413, f"its body is longer than {MAX_BODY_BYTES} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        raise too_long
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise too_long
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, f"its body took longer than {BODY_SECONDS:g} s") from None
    return b"".join(parts)
