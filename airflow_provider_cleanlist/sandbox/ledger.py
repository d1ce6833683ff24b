"""What a sandbox received, accepted and charged: what tests assert on.

Contacts are recorded as identities (``people.identity_of``), API keys as key ids: nothing personal, nothing secret.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class RequestEntry:
    """One request received.

    Attributes:
        time: Time of arrival by the sandbox's clock, in seconds since the epoch.
        method: HTTP method.
        path: Path without the query.
        endpoint: Name of the endpoint, or None for an unknown path.
        key_id: Id of the API key, or None without a valid one.
        status: HTTP status of the response; None while in progress, or when there was none.
        accepted: Whether the request was processed, whatever happened to the response.
        fault: Name of the fault that happened to it, if any.
    """

    time: float
    method: str
    path: str
    endpoint: str | None
    key_id: str | None = None
    status: int | None = None
    accepted: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Submit:
    """One enrichment accepted.

    Attributes:
        time: Time of acceptance by the sandbox's clock, in seconds since the epoch.
        endpoint: Name of the endpoint.
        workflow_id: The workflow that was started.
        enrichment_type: What was requested.
        key_id: Id of the API key.
        identities: Identity of each contact, in order of submission.
    """

    time: float
    endpoint: str
    workflow_id: str
    enrichment_type: str
    key_id: str
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Charge:
    """Credits charged for one thing that was found.

    Attributes:
        identity: Identity of the contact.
        item: ``email``, ``phone``, or ``contact`` for type ``prospecting_only``.
        credits: Credits charged.
        workflow_id: The workflow that found it.
    """

    identity: str
    item: str
    credits: int
    workflow_id: str


@dataclass
class SandboxLedger:
    """Everything one sandbox recorded; safe to read while it runs.

    Attributes:
        entries: Requests received, in order of arrival.
        accepted_submits: Enrichments accepted.
        charges: Credits charged.
        task_reads: How often the finished result of each task was returned, by task id.
    """

    entries: list[RequestEntry] = field(default_factory=list)
    accepted_submits: list[Submit] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    task_reads: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def record_request(self, entry: RequestEntry) -> RequestEntry:
        """Record a request that has arrived, and return its entry, to which the status is added later.

        Args:
            entry: The request.
        """
        with self._lock:
            self.entries.append(entry)
        return entry

    def record_submit(self, submit: Submit) -> None:
        """Record an accepted enrichment.

        Args:
            submit: The enrichment.
        """
        with self._lock:
            self.accepted_submits.append(submit)

    def record_charge(self, charge: Charge) -> None:
        """Record credits charged.

        Args:
            charge: The charge.
        """
        with self._lock:
            self.charges.append(charge)

    def record_task_read(self, task_id: str) -> None:
        """Record that the finished result of a task was returned.

        Args:
            task_id: The task.
        """
        with self._lock:
            self.task_reads[task_id] += 1

    def requests(
        self,
        *,
        endpoint: str | None = None,
        status: int | None = None,
        method: str | None = None,
        key_id: str | None = None,
        fault: str | None = None,
    ) -> list[RequestEntry]:
        """Return the requests that match every given argument, in order of arrival.

        Args:
            endpoint: Name of the endpoint.
            status: HTTP status of the response.
            method: HTTP method.
            key_id: Id of the API key.
            fault: Name of the fault that happened to the request.
        """
        with self._lock:
            entries = list(self.entries)
        return [
            entry
            for entry in entries
            if (endpoint is None or entry.endpoint == endpoint)
            and (status is None or entry.status == status)
            and (method is None or entry.method == method)
            and (key_id is None or entry.key_id == key_id)
            and (fault is None or entry.fault == fault)
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of requests by endpoint and status; without a response the status is ``none``."""
        counts: dict[str, dict[str, int]] = {}
        for entry in self.requests():
            row = counts.setdefault(entry.endpoint or "unknown", {})
            status = "none" if entry.status is None else str(entry.status)
            row[status] = row.get(status, 0) + 1
        return counts

    @property
    def credits_charged(self) -> int:
        """Sum of all charges."""
        with self._lock:
            return sum(charge.credits for charge in self.charges)

    def times_submitted(self) -> Counter[str]:
        """Return how often each identity was submitted."""
        with self._lock:
            return Counter(identity for submit in self.accepted_submits for identity in submit.identities)

    def contacts_submitted_twice(self) -> dict[str, int]:
        """Return the identities that were submitted more than once, and how often."""
        return {identity: times for identity, times in self.times_submitted().items() if times > 1}

    def times_billed(self) -> Counter[str]:
        """Return how often each identity was billed, for the item that it was billed for most often."""
        with self._lock:
            by_item = Counter((charge.identity, charge.item) for charge in self.charges)
        times: Counter[str] = Counter()
        for (identity, _), count in by_item.items():
            times[identity] = max(times[identity], count)
        return times

    def contacts_billed_twice(self) -> dict[str, int]:
        """Return the identities that were billed more than once for the same item, and how often."""
        return {identity: times for identity, times in self.times_billed().items() if times > 1}

    def requests_per_window(self, seconds: float) -> dict[int, Counter[str]]:
        """Return how many requests were admitted and how many refused with 429, by window since the epoch.

        Args:
            seconds: Length of a window in seconds.
        """
        windows: dict[int, Counter[str]] = {}
        for entry in self.requests():
            kind = "refused" if entry.status == 429 else "admitted"
            windows.setdefault(int(entry.time // seconds), Counter())[kind] += 1
        return windows

    def summary(self) -> dict[str, object]:
        """Return the totals as JSON data."""
        submitted = self.times_submitted()
        return {
            "requests": len(self.requests()),
            "requests_by_endpoint": self.counts(),
            "accepted_submits": len(self.accepted_submits),
            "contacts_submitted": submitted.total(),
            "contacts_submitted_twice": len(self.contacts_submitted_twice()),
            "credits_charged": self.credits_charged,
            "contacts_billed": len(self.times_billed()),
            "contacts_billed_twice": len(self.contacts_billed_twice()),
        }

    def clear(self) -> None:
        """Delete all records."""
        with self._lock:
            self.entries.clear()
            self.accepted_submits.clear()
            self.charges.clear()
            self.task_reads.clear()
