"""The web application that receives webhooks.

It responds once the payload is stored, and with a server error if it cannot be stored, so that Cleanlist tries again. A
request without a genuine token reveals nothing and stores nothing. Bodies and tokens are never logged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from airflow_provider_cleanlist.client.messages import PARSED_ON_LOOP_BYTES, json_or_none
from airflow_provider_cleanlist.client.responses import id_or_none, text_or_none
from airflow_provider_cleanlist.client.results import WorkflowState, workflow_state
from airflow_provider_cleanlist.inbox import tokens
from airflow_provider_cleanlist.inbox.inbox import ForeignWorkflowError, Inbox, InboxUnavailableError
from airflow_provider_cleanlist.inbox.settings import WEBHOOK_PATH
from airflow_provider_cleanlist.input_limits import (
    WEBHOOK,
    WEBHOOK_ADDRESSES,
    WEBHOOK_ATTEMPTS,
    WEBHOOK_SECONDS,
    WEBHOOKS_AT_ONCE,
)

log = logging.getLogger(__name__)

STORE_SECONDS = 9.0
"""How long storing may take before the response says that it failed."""
UNANNOUNCED_SECONDS = (1.0, 4.0, 15.0, 60.0, 300.0)
"""Pauses after which the receiver checks whether a workflow that was delivered early has been announced."""
COMPLETED_EVENT = "enrichment.completed"
"""The event of a workflow that has ended."""

OnNew = Callable[[str, Mapping[str, Any]], None]
"""Called with the workflow and the payload of each new delivery, once the workflow is announced."""


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818  # it becomes a response
    """A request that is refused.

    Attributes:
        status: HTTP status of the response.
        reason: The reason for the log; quotes nothing from the request.
    """

    status: int
    reason: str


class QuietLog:
    """Logs at most one warning per period, so that an attack cannot flood the log.

    Args:
        seconds: Length of the period in seconds.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = -float("inf")
        self._suppressed = 0

    def warning(self, text: str) -> None:
        """Log a warning, or count it if the period is not over.

        Args:
            text: The warning.
        """
        now = self._clock()
        if now < self._next:
            self._suppressed += 1
            return
        log.warning("%s (Similar warnings suppressed since the last one: %d.)", text, self._suppressed)
        self._next, self._suppressed = now + self._seconds, 0


class Attempts:
    """Counts the requests to each address, so that one whose holder never ends anything costs little.

    Args:
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._until = -float("inf")

    def allow(self, batch: str) -> bool:
        """Count a request, and return whether it is one of the first of this hour.

        Args:
            batch: Name of the batch that the address is for.
        """
        now = self._clock()
        if now >= self._until or len(self._counts) >= WEBHOOK_ADDRESSES:
            self._counts, self._until = {}, now + 3600
        self._counts[batch] = self._counts.get(batch, 0) + 1
        return self._counts[batch] <= WEBHOOK_ATTEMPTS


class Receiver:
    """Verifies and stores deliveries.

    Args:
        secrets: Secrets that tokens may be signed with.
        open_inbox: Returns the inbox; called for each delivery, on a thread that may block.
        on_new: Called on a thread of its own with each new delivery, once its workflow is announced; errors are logged.
        clock: Returns the time in seconds since the epoch.
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
        self._attempts = Attempts()
        self._large_parser = ThreadPoolExecutor(1, thread_name_prefix="cleanlist-webhook-parser-large")
        self._parsers = ThreadPoolExecutor(
            WEBHOOKS_AT_ONCE - 1, thread_name_prefix="cleanlist-webhook-parser"
        )
        self._stores = ThreadPoolExecutor(max_workers=8, thread_name_prefix="cleanlist-webhook")
        self._notifiers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cleanlist-webhook-event")

    async def receive(self, token: str, request: Request) -> int:
        """Verify and store one delivery, and return the HTTP status of the response.

        Args:
            token: The token in the address.
            request: The request.
        """
        try:
            genuine = tokens.verify(self._secrets, token, self._clock())
            if genuine is None:
                raise Refusal(404, "the token is not genuine or has expired")
            if not self._attempts.allow(genuine.batch):
                raise Refusal(429, f"an address was used {WEBHOOK_ATTEMPTS} times within an hour")
            body = await _body(request)
            loop = asyncio.get_running_loop()
            parsers = self._large_parser if len(body) > PARSED_ON_LOOP_BYTES else self._parsers
            workflow_id, payload = await loop.run_in_executor(parsers, read_payload, body)
            if not is_final(payload):
                return 200
            await self._store(genuine.batch, workflow_id, payload)
        except Refusal as refusal:
            quiet = self._failures if refusal.status >= 500 else self._refusals
            quiet.warning(f"A webhook request was answered with {refusal.status}: {refusal.reason}.")
            return refusal.status
        return 200

    async def _store(self, batch: str, workflow_id: str, payload: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        storing = loop.run_in_executor(self._stores, self._store_blocking, batch, workflow_id, payload)
        try:
            is_new = await asyncio.wait_for(storing, STORE_SECONDS)
        except TimeoutError:
            raise Refusal(503, f"the inbox took longer than {STORE_SECONDS:g} s") from None
        except ForeignWorkflowError:
            raise Refusal(404, "the batch and the workflow do not belong together") from None
        except InboxUnavailableError as error:
            raise Refusal(503, str(error)) from None
        if is_new and self._on_new is not None:
            self._notify_later(loop, self._on_new, workflow_id, UNANNOUNCED_SECONDS)

    def _store_blocking(self, batch: str, workflow_id: str, payload: Mapping[str, Any]) -> bool:
        return self._open_inbox().store(batch, workflow_id, payload, self._clock())

    def _notify_later(
        self,
        loop: asyncio.AbstractEventLoop,
        on_new: OnNew,
        workflow_id: str,
        pauses: Sequence[float],
    ) -> None:
        """Notify of a delivery on another thread, now or after one of the pauses, once its workflow is announced."""

        def notify() -> None:
            if self._notify(on_new, workflow_id) or not pauses or loop.is_closed():
                return
            loop.call_soon_threadsafe(
                loop.call_later, pauses[0], self._notify_later, loop, on_new, workflow_id, pauses[1:]
            )

        self._notifiers.submit(notify)

    def _notify(self, on_new: OnNew, workflow_id: str) -> bool:
        """Notify of a delivery, and return False if its workflow is not announced yet."""
        try:
            payload = self._open_inbox().payload(workflow_id)
            if payload is None:
                return False
            on_new(workflow_id, payload)
        except Exception as error:  # noqa: BLE001  # the payload is stored, with or without the event
            log.warning("No asset event was emitted for workflow %r: %s.", workflow_id, type(error).__name__)
        return True


def build_app(receiver: Receiver, prefix: str = "") -> FastAPI:
    """Return the application: ``POST <prefix>/webhook/<token>`` and nothing else.

    Args:
        receiver: Handles the deliveries.
        prefix: Path at which the application is served; empty if it is mounted there.
    """
    app = FastAPI(
        title="Cleanlist webhooks", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )

    @app.post(f"{prefix}{WEBHOOK_PATH}{{token}}")
    async def webhook(token: str, request: Request) -> Response:
        return Response(status_code=await receiver.receive(token, request))

    return app


def read_payload(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the workflow id in a payload, and the payload.

    Args:
        body: Body of the request.

    Raises:
        Refusal: The body is not a valid payload.
    """
    if problem := WEBHOOK.problem(body):
        raise Refusal(400, f"the body is refused: {problem}")
    payload = json_or_none(body)
    if payload is None:
        raise Refusal(400, "the body is not JSON")
    workflow_id = id_or_none(payload.get("workflow_id")) if isinstance(payload, dict) else None
    if workflow_id is None:
        raise Refusal(400, "the body contains no valid workflow id")
    return workflow_id, payload


def is_final(payload: Mapping[str, Any]) -> bool:
    """Return whether a payload reports the end of a workflow; other events, which Cleanlist may add, are not stored.

    Args:
        payload: The payload.
    """
    if payload.get("event") == COMPLETED_EVENT:
        return True
    return workflow_state(text_or_none(payload.get("status"))) is not WorkflowState.RUNNING


async def _body(request: Request) -> bytes:
    """Return the body, unless it is too long or arrives too slowly."""
    too_long = Refusal(413, f"the body is longer than {WEBHOOK.size} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > WEBHOOK.size:
        raise too_long
    parts, size = [], 0
    try:
        async with asyncio.timeout(WEBHOOK_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > WEBHOOK.size:
                    raise too_long
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {WEBHOOK_SECONDS:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "the sender hung up") from None
    return b"".join(parts)
