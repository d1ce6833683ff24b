"""Delivery of finished workflows to webhooks on loopback."""

from __future__ import annotations

import heapq
import http.client
import ipaddress
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_cleanlist.sandbox.clock import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_cleanlist.sandbox.clock import Clock
    from airflow_provider_cleanlist.sandbox.settings import SandboxSettings

BACKOFF_SECONDS = (1, 2, 4, 8)
"""Waits between the five attempts."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver a workflow."""

    delivery_id: str
    workflow_id: str
    attempt: int
    status: str
    response_status_code: int | None
    error_message: str | None
    created_at: float

    def row(self, utc_suffix: str) -> dict[str, Any]:
        """Return the attempt as ``/webhooks/deliveries`` shows it."""
        return {
            "id": self.delivery_id,
            "workflow_id": self.workflow_id,
            "attempt": self.attempt,
            "status": self.status,
            "response_status_code": self.response_status_code,
            "error_message": self.error_message,
            "created_at": iso(self.created_at, utc_suffix),
        }


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class Scheduler:
    """Runs actions at given instants, on its own threads, which start with the first action."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None

    def at(self, instant: float, action: Callable[[], None]) -> None:
        """Run ``action`` at ``instant``, in seconds since the epoch."""
        with self._clock.changed:
            self._number += 1
            heapq.heappush(self._queue, (instant, self._number, action))
            if self._thread is None and not self._stopped:
                self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sandbox-webhook")
                self._thread = threading.Thread(target=self._run, name="sandbox-scheduler", daemon=True)
                self._thread.start()
            self._clock.changed.notify_all()

    def clear(self) -> None:
        """Drop the actions that have not started."""
        with self._clock.changed:
            self._queue.clear()

    def stop(self) -> None:
        """Drop the actions that have not started, and wait for running ones."""
        with self._clock.changed:
            self._stopped = True
            self._queue.clear()
            self._clock.changed.notify_all()
        if self._thread is not None and self._pool is not None:
            self._thread.join()
            self._pool.shutdown()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            if self._pool is not None:
                self._pool.submit(action)

    def _next(self) -> Callable[[], None] | None:
        with self._clock.changed:
            while not self._stopped:
                timeout = self._clock.wait_timeout(self._queue[0][0]) if self._queue else None
                if timeout == 0:
                    return heapq.heappop(self._queue)[2]
                self._clock.changed.wait(timeout)
        return None


class Webhooks:
    """Delivers finished workflows, with at most five attempts each, and keeps a log of the attempts."""

    def __init__(self, settings: SandboxSettings, clock: Clock, scheduler: Scheduler) -> None:
        self._settings = settings
        self._clock = clock
        self._scheduler = scheduler
        self._deliveries: list[Delivery] = []

    def send(self, url: str, payload: dict[str, Any]) -> None:
        """Start to deliver a payload."""
        body = json.dumps(payload, ensure_ascii=False).encode()
        for _ in range(self._settings.webhook_copies):
            self._scheduler.at(
                self._clock.now(), partial(self._attempt, url, payload["workflow_id"], body, 1)
            )

    def deliveries(self, workflow_id: str) -> list[Delivery]:
        """Return the attempts to deliver a workflow, oldest first."""
        return [delivery for delivery in self._deliveries if delivery.workflow_id == workflow_id]

    def clear(self) -> None:
        """Delete the log."""
        self._deliveries.clear()

    def _attempt(self, url: str, workflow_id: str, body: bytes, attempt: int) -> None:
        code, error = _post(url, body, self._settings.webhook_timeout_seconds)
        delivered = code is not None and 200 <= code < 300
        now = self._clock.now()
        self._deliveries.append(
            Delivery(
                delivery_id=str(uuid.uuid4()),
                workflow_id=workflow_id,
                attempt=attempt,
                status="delivered" if delivered else "failed",
                response_status_code=code,
                error_message=error,
                created_at=now,
            )
        )
        if not delivered and attempt <= len(BACKOFF_SECONDS):
            again = partial(self._attempt, url, workflow_id, body, attempt + 1)
            self._scheduler.at(now + BACKOFF_SECONDS[attempt - 1], again)


def _post(url: str, body: bytes, timeout: float) -> tuple[int | None, str | None]:
    """Post to a webhook on loopback; return the HTTP status and an error message, or None for either."""
    parts = urlsplit(url)
    if parts.hostname is None or not is_loopback(parts.hostname):
        return None, "the sandbox delivers to loopback only"
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname, parts.port, timeout=timeout)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__
    else:
        return answer.status, None if 200 <= answer.status < 300 else answer.reason or "error"
    finally:
        connection.close()
