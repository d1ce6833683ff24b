"""Failures on demand: responses that fail, get lost or come late, and workflows that end badly."""

from __future__ import annotations

import threading
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["status", "drop", "delay", "truncate"]
"""What can happen to a request."""

EndpointName = Literal[
    "validate_key",
    "whoami",
    "credits_balance",
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
    "export_json",
    "export_csv",
    "export_download",
]
"""Names of the endpoints, as the ledger shows them."""


class _Repeated(BaseModel):
    """Something that happens a number of times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int | None = Field(default=1, ge=1)

    def after_one(self) -> list[Self]:
        """Return what is left after it happened once: itself with one time less, or nothing."""
        if self.times is None:
            return [self]
        return [self.model_copy(update={"times": self.times - 1})] if self.times > 1 else []


class Fault(_Repeated):
    """A failure that happens to one or more requests.

    Attributes:
        kind: ``status`` answers with ``status``; ``drop`` closes the socket without an answer; ``delay``
            answers ``seconds`` late; ``truncate`` closes the socket in the middle of the body.
        endpoint: Name of the endpoint; None means any. Unknown names are refused, with a list of the valid ones.
        after: Process the request first, and spoil only the response. Such a fault waits for a request that
            succeeds. Always true for ``delay`` and ``truncate``.
        times: How many requests it happens to; None means all.
        skip: How many requests to let pass first.
        status: HTTP status for kind ``status``.
        code: Error code in the newer error body; by default the usual one for the status.
        retryable: ``error.retryable`` in the newer error body; by default the usual one for the status. No effect where
            errors have the older body, as those of ``enrich_bulk`` do unless ``envelope`` is ``newer``.
        retry_after: Value of a ``Retry-After`` header, verbatim. A 429 has ``1`` by default; an empty string
            leaves the header out.
        headers: More headers, such as the ``Location`` of a redirect.
        body: ``json`` as the endpoint writes errors, ``html`` as a proxy does, or ``empty``.
        seconds: Delay in real seconds, because clients have real timeouts.
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
    def _processed_first(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("kind") in ("delay", "truncate"):
            return {**data, "after": True}
        return data

    @property
    def name(self) -> str:
        """Name of the fault in the ledger."""
        return f"{self.kind}{'_after' if self.after and self.kind in {'status', 'drop'} else ''}"


class WorkflowEnding(_Repeated):
    """How the next workflows end, other than completed.

    Attributes:
        status: Their final status, such as ``failed``, ``cancelled`` or an unknown one.
        processed: Share of the contacts that is still processed, and billed, before the end, 0 to 1.
        times: How many workflows end so; None means all.
    """

    status: str = "failed"
    processed: float = Field(default=0.0, ge=0, le=1)


class Faults:
    """The faults that are still to happen, in the order in which they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._endings: list[WorkflowEnding] = []

    def add(self, fault: Fault) -> None:
        """Add a fault.

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
        """Answer with a status of your choice, without or after processing the request.

        Args:
            endpoint: Name of the endpoint; None means any.
            status: HTTP status, 200 to 599.
            times: How many requests it happens to; None means all.
            after: Process the request first, and spoil only the response.
            skip: How many requests to let pass first.
            retry_after: Value of a ``Retry-After`` header, verbatim.
            body: ``json`` as the endpoint writes errors, ``html`` as a proxy does, or ``empty``.
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
        self, endpoint: EndpointName | None, *, after: bool = False, times: int | None = 1, skip: int = 0
    ) -> None:
        """Close the socket without a response, before or after processing the request.

        Args:
            endpoint: Name of the endpoint; None means any.
            after: Process the request first.
            times: How many requests it happens to; None means all.
            skip: How many requests to let pass first.
        """
        self.add(Fault(kind="drop", endpoint=endpoint, after=after, times=times, skip=skip))

    def delay(
        self, endpoint: EndpointName | None, seconds: float, *, times: int | None = 1, skip: int = 0
    ) -> None:
        """Process the request, and respond late.

        Args:
            endpoint: Name of the endpoint; None means any.
            seconds: Delay in real seconds.
            times: How many requests it happens to; None means all.
            skip: How many requests to let pass first.
        """
        self.add(Fault(kind="delay", endpoint=endpoint, seconds=seconds, times=times, skip=skip))

    def truncate(self, endpoint: EndpointName | None, *, times: int | None = 1, skip: int = 0) -> None:
        """Process the request, and close the socket in the middle of the response.

        Args:
            endpoint: Name of the endpoint; None means any.
            times: How many requests it happens to; None means all.
            skip: How many requests to let pass first.
        """
        self.add(Fault(kind="truncate", endpoint=endpoint, times=times, skip=skip))

    def end_workflows(self, status: str = "failed", *, processed: float = 0.0, times: int | None = 1) -> None:
        """Let the next workflows that are submitted end with ``status``.

        Args:
            status: Their final status, such as ``failed``, ``cancelled`` or an unknown one.
            processed: Share of the contacts that is still processed, and billed, 0 to 1.
            times: How many workflows end so; None means all.
        """
        self.add_ending(WorkflowEnding(status=status, processed=processed, times=times))

    def add_ending(self, ending: WorkflowEnding) -> None:
        """Let coming workflows end other than completed.

        Args:
            ending: How they end.
        """
        with self._lock:
            self._endings.append(ending)

    def take(self, endpoint: str, *, after: bool) -> Fault | None:
        """Return the fault that happens to this request now, if any, and count it as happened.

        Args:
            endpoint: Name of the request's endpoint.
            after: Whether the request was processed already.
        """
        with self._lock:
            for position, fault in enumerate(self._faults):
                if fault.after != after or fault.endpoint not in {None, endpoint}:
                    continue
                if fault.skip:
                    self._faults[position] = fault.model_copy(update={"skip": fault.skip - 1})
                    continue
                self._faults[position : position + 1] = fault.after_one()
                return fault
        return None

    def take_ending(self) -> WorkflowEnding | None:
        """Return how the workflow that is being submitted will end, if other than completed."""
        with self._lock:
            if not self._endings:
                return None
            ending = self._endings[0]
            self._endings[:1] = ending.after_one()
            return ending

    @property
    def pending(self) -> list[Fault | WorkflowEnding]:
        """Faults and endings that are still to happen."""
        with self._lock:
            return [*self._faults, *self._endings]

    def clear(self) -> None:
        """Remove all faults and endings."""
        with self._lock:
            self._faults.clear()
            self._endings.clear()
