"""Things that go wrong on demand (contract section 10.4)."""

from __future__ import annotations

import threading
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["status", "drop", "delay", "truncate"]
"""What can befall a request."""

EndpointName = Literal[
    "validate_key",
    "whoami",
    "credits_balance",
    "credits_estimate",
    "usage",
    "api_keys",
    "enrich_bulk",
    "enrich_status",
    "webhook_deliveries",
    "lead_list_create",
    "lead_list_index",
    "lead_list_get",
    "lead_list_contents",
    "lead_list_update",
    "lead_list_delete",
    "lead_list_add_leads",
    "lead_list_remove_leads",
    "enrich_person",
    "enrich_company",
    "enrich_list",
    "enrich_by_task",
    "enrichment_status",
    "csv_import",
    "export_json",
    "export_csv",
]
"""Names of the endpoints, as the ledger shows them."""


class _Expiring(BaseModel):
    """Something that happens a number of times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int | None = Field(default=1, ge=1)

    def spent(self) -> list[Self]:
        """Return what is left of it after it happened once: itself with one time less, or nothing."""
        if self.times is None:
            return [self]
        return [self.model_copy(update={"times": self.times - 1})] if self.times > 1 else []


class Fault(_Expiring):
    """One thing that goes wrong, once or several times; a name that no endpoint has is refused, with those there are.

    Attributes:
        kind: ``status`` answers with ``status``; ``drop`` closes the socket without an answer; ``delay``
            answers ``seconds`` late; ``truncate`` closes the socket in the middle of the body.
        endpoint: Name of the endpoint it befalls; None means any.
        after: Let the endpoint carry the request out first, and spoil only the answer. Such a fault waits
            for a request that succeeds. Always so for ``delay`` and ``truncate``.
        times: How often it happens; None means always.
        skip: Requests it lets pass first.
        status: HTTP status of kind ``status``.
        code: Code of the newer envelope; by default the status' own.
        retryable: ``error.retryable``; by default as the status suggests.
        retry_after: Value of a ``Retry-After`` header, verbatim. A 429 says ``1`` unless told otherwise;
            an empty string leaves the header out.
        headers: Further headers, such as the ``Location`` of a redirect.
        body: ``json`` in the endpoint's envelope, ``html`` as a proxy writes it, or ``empty``.
        seconds: Delay in real seconds, for clients have real timeouts.
    """

    kind: Kind
    endpoint: EndpointName | None = None
    after: bool = False
    skip: int = Field(default=0, ge=0)
    status: int = Field(default=500, ge=200, le=599)
    code: str | None = None
    retryable: bool | None = None
    retry_after: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: Literal["json", "html", "empty"] = "json"
    seconds: float = Field(default=0.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _spoils_answers(cls, data: dict[str, object]) -> dict[str, object]:
        return {**data, "after": True} if data.get("kind") in {"delay", "truncate"} else data

    @property
    def name(self) -> str:
        """How the ledger calls it."""
        return f"{self.kind}{'_after' if self.after and self.kind in {'status', 'drop'} else ''}"


class WorkflowEnding(_Expiring):
    """How coming workflows end other than well.

    Attributes:
        status: The word they end with, such as ``failed``, ``cancelled`` or one nobody knows.
        processed: Share of the contacts that are still processed, and billed, before the end, 0 to 1.
        times: How many workflows it befalls; None means all.
    """

    status: str = "failed"
    processed: float = Field(default=0.0, ge=0, le=1)


class Faults:
    """The faults waiting to happen, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._endings: list[WorkflowEnding] = []

    def add(self, fault: Fault) -> None:
        """Let a fault happen.

        Args:
            fault: The fault.
        """
        with self._lock:
            self._faults.append(fault)

    def fail(
        self,
        endpoint: EndpointName | None,
        status: int,
        *,
        times: int | None = 1,
        after: bool = False,
        skip: int = 0,
        retry_after: str | None = None,
        body: Literal["json", "html", "empty"] = "json",
    ) -> None:
        """Answer with an error status instead of carrying the request out, or although it was carried out.

        Args:
            endpoint: Name of the endpoint it befalls; None means any.
            status: HTTP status, 200 to 599.
            times: How often it happens; None means always.
            after: Carry the request out first, and spoil only the answer.
            skip: Requests it lets pass first.
            retry_after: Value of a ``Retry-After`` header, verbatim.
            body: ``json`` in the endpoint's envelope, ``html`` as a proxy writes it, or ``empty``.
        """
        self.add(
            Fault(
                kind="status",
                endpoint=endpoint,
                status=status,
                times=times,
                after=after,
                skip=skip,
                retry_after=retry_after,
                body=body,
            )
        )

    def drop(
        self, endpoint: EndpointName | None, *, after: bool, times: int | None = 1, skip: int = 0
    ) -> None:
        """Close the socket without an answer, before or after carrying the request out.

        Args:
            endpoint: Name of the endpoint it befalls; None means any.
            after: Carry the request out first.
            times: How often it happens; None means always.
            skip: Requests it lets pass first.
        """
        self.add(Fault(kind="drop", endpoint=endpoint, after=after, times=times, skip=skip))

    def delay(
        self, endpoint: EndpointName | None, seconds: float, *, times: int | None = 1, skip: int = 0
    ) -> None:
        """Carry the request out and answer so many real seconds later.

        Args:
            endpoint: Name of the endpoint it befalls; None means any.
            seconds: Delay in real seconds.
            times: How often it happens; None means always.
            skip: Requests it lets pass first.
        """
        self.add(Fault(kind="delay", endpoint=endpoint, seconds=seconds, times=times, skip=skip))

    def truncate(self, endpoint: EndpointName | None, *, times: int | None = 1, skip: int = 0) -> None:
        """Carry the request out and close the socket in the middle of the answer.

        Args:
            endpoint: Name of the endpoint it befalls; None means any.
            times: How often it happens; None means always.
            skip: Requests it lets pass first.
        """
        self.add(Fault(kind="truncate", endpoint=endpoint, times=times, skip=skip))

    def end_workflows(self, status: str = "failed", *, processed: float = 0.0, times: int | None = 1) -> None:
        """Let the next workflows to be submitted end with ``status``.

        Args:
            status: The word they end with, such as ``failed``, ``cancelled`` or one nobody knows.
            processed: Share of the contacts that are still processed, and billed, 0 to 1.
            times: How many workflows it befalls; None means all.
        """
        self.add_ending(WorkflowEnding(status=status, processed=processed, times=times))

    def add_ending(self, ending: WorkflowEnding) -> None:
        """Let coming workflows end otherwise than well.

        Args:
            ending: How they end.
        """
        with self._lock:
            self._endings.append(ending)

    def take(self, endpoint: str, *, after: bool) -> Fault | None:
        """Return the fault that befalls this request now, and use it up by one.

        Args:
            endpoint: Name of the request's endpoint.
            after: Whether the request was carried out already.
        """
        with self._lock:
            for position, fault in enumerate(self._faults):
                if fault.after != after or fault.endpoint not in {None, endpoint}:
                    continue
                if fault.skip:
                    self._faults[position] = fault.model_copy(update={"skip": fault.skip - 1})
                    continue
                self._faults[position : position + 1] = fault.spent()
                return fault
        return None

    def take_ending(self) -> WorkflowEnding | None:
        """Return how the workflow being submitted will end, if otherwise than well."""
        with self._lock:
            if not self._endings:
                return None
            ending = self._endings[0]
            self._endings[:1] = ending.spent()
            return ending

    @property
    def pending(self) -> list[Fault | WorkflowEnding]:
        """Faults that have not happened as often as they should."""
        with self._lock:
            return [*self._faults, *self._endings]

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()
            self._endings.clear()
