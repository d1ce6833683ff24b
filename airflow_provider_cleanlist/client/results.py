"""Progress and results of enrichments, whatever the shape of the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator

from airflow_provider_cleanlist.client.responses import (
    ApiModel,
    OptionalText,
    Text,
    Texts,
    count_or_none,
    id_or_none,
    text_or_none,
)


class WorkflowState(StrEnum):
    """What a workflow's status word means.

    Attributes:
        RUNNING: Not ended, or an unknown word.
        COMPLETED: Ended, whether or not anything was found.
        FAILED: Failed or cancelled.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


_RUNNING_WORDS = frozenset(
    {"processing", "pending", "running", "queued", "in_progress", "started", "submitted"}
)
_COMPLETED_WORDS = frozenset(
    {
        "completed",
        "complete",
        "completed_with_errors",
        "partially_completed",
        "completed_partially",
        "success",
        "succeeded",
        "done",
        "finished",
    }
)
_LONGEST_WORD = 64
_OWN_WORDS = frozenset({"completed", "failed", "cancelled", "canceled"})
"""Words for an end that the API's documentation uses; the others are anybody's."""
_FAILED_WORDS = frozenset({"failed", "cancelled", "canceled", "error", "errored", "terminated", "timed_out"})


def workflow_state(status: str | None) -> WorkflowState:
    """Return what a status word means; one that says no end means running.

    Args:
        status: The word as the API sent it, in any letter case, with underscores, hyphens or spaces, or None.
    """
    word = _word(status)
    if word in _COMPLETED_WORDS:
        return WorkflowState.COMPLETED
    return WorkflowState.FAILED if word in _FAILED_WORDS else WorkflowState.RUNNING


def is_in_progress(status: str | None) -> bool:
    """Return whether a status word says that something has not ended; an unknown or missing one says nothing.

    Args:
        status: As for :func:`workflow_state`.
    """
    return _word(status) in _RUNNING_WORDS


def _word(status: str | None) -> str:
    return "_".join((status or "")[:_LONGEST_WORD].lower().replace("-", " ").replace("_", " ").split())


@dataclass(frozen=True, slots=True, repr=False)
class WorkflowStatus:
    """Progress of one workflow, whatever the shape of the response.

    Attributes:
        workflow_id: The requested workflow.
        status: Status word as sent, empty if missing.
        total: Contacts in the workflow, or None if the response does not say.
        successful: Contacts for which something was found, or None.
        failed: Contacts for which nothing was found, or None.
        emails_found: Emails found so far, or None.
        phones_found: Phones found so far, or None.
        processed: Contacts processed so far, or None.
        lead_list_id: List that receives the contacts, or None.
        results: Raw results per contact, if the response contained any.
        truncated: How many results it says that it leaves out; at least that many if it gives no number.
        is_named: Whether the response repeats the workflow's id.
    """

    workflow_id: str
    status: str = ""
    total: int | None = None
    successful: int | None = None
    failed: int | None = None
    emails_found: int | None = None
    phones_found: int | None = None
    processed: int | None = None
    lead_list_id: str | None = None
    results: tuple[Mapping[str, Any], ...] = ()
    truncated: int = 0
    is_named: bool = True

    @property
    def state(self) -> WorkflowState:
        """What the status word means."""
        return workflow_state(self.status)

    @property
    def is_unknown(self) -> bool:
        """Whether the status word says neither that the workflow runs nor that it has ended."""
        return self.state is WorkflowState.RUNNING and not is_in_progress(self.status)

    @property
    def is_bare(self) -> bool:
        """Whether it holds nothing but a word for an end that whatever is on the way may say, such as ``error``."""
        facts = (self.total, self.processed, self.emails_found, self.phones_found, self.lead_list_id)
        is_end = self.state is not WorkflowState.RUNNING and _word(self.status) not in _OWN_WORDS
        return is_end and not (self.is_named or self.results or any(fact is not None for fact in facts))

    @property
    def progress(self) -> float | None:
        """Share of contacts processed, 0.0 to 1.0, or None if the response does not say."""
        if self.total is None or self.processed is None or self.total <= 0:
            return None
        return min(1.0, max(0.0, self.processed / self.total))

    def __repr__(self) -> str:
        """Show status and counts, never results."""
        return f"WorkflowStatus({self.workflow_id!r}, {self.status!r}, {self.processed}/{self.total})"

    @classmethod
    def parse(cls, workflow_id: str, body: Mapping[str, Any]) -> WorkflowStatus:
        """Read a status response, with counters in ``summary``, at top level, or absent.

        Args:
            workflow_id: The requested workflow.
            body: The decoded response.

        Returns:
            The progress.
        """
        summary = body.get("summary")
        sources = [summary, body] if isinstance(summary, Mapping) else [body]
        total = _count(sources, "total", "total_contacts", "total_leads")
        successful = _count(sources, "successful", "succeeded", "completed")
        failed = _count(sources, "failed")
        processed = _first_count(sources, "processed")
        if processed is None and (successful is not None or failed is not None):
            processed = (successful or 0) + (failed or 0)
        percent = count_or_none(body.get("progress"))
        if processed is None and percent is not None and total is not None:
            processed = total * percent // 100
        processed = None if processed is None else max(0, processed)
        results = body.get("results")
        return cls(
            workflow_id=workflow_id,
            status=text_or_none(body.get("status")) or "",
            total=total,
            successful=successful,
            failed=failed,
            emails_found=_count(sources, "emails_found"),
            phones_found=_count(sources, "phones_found"),
            processed=processed,
            lead_list_id=text_or_none(body.get("lead_list_id")),
            results=tuple(item for item in results if isinstance(item, Mapping))
            if isinstance(results, list)
            else (),
            truncated=_truncated(body.get("results_truncated")),
            is_named=id_or_none(body.get("workflow_id")) is not None,
        )


@dataclass(frozen=True, slots=True)
class WorkflowEnd:
    """How a workflow ended.

    Attributes:
        workflow_id: The workflow.
        status: ``completed`` or ``failed``.
        emails_found: Contacts with an email, or None if no response said.
        phones_found: Contacts with a phone, or None if no response said.
    """

    workflow_id: str
    status: str
    emails_found: int | None
    phones_found: int | None


def _truncated(value: object) -> int:
    return 1 if value is True else max(0, count_or_none(value) or 0)


def _count(sources: list[Mapping[str, Any]], *names: str) -> int | None:
    """Return a count; None also for less than nothing, which would lower what was spent."""
    count = _first_count(sources, *names)
    return count if count is None or count >= 0 else None


def _first_count(sources: list[Mapping[str, Any]], *names: str) -> int | None:
    return next(
        (
            count
            for source in sources
            for name in names
            if (count := count_or_none(source.get(name))) is not None
        ),
        None,
    )


_RESULT_KEYS = ("primary_email", "prospect", "personal_phone_numbers", "email")


class EnrichmentResult(ApiModel):
    """What enrichment found for one contact.

    Attributes:
        task_id: Task of the contact.
        workflow_id: Its workflow.
        status: Status word as sent, empty if missing.
        email: The email found, or None.
        email_status: How reliable the email is, such as ``verified`` or ``risky``; an open set of words.
        other_emails: Further emails.
        phones: Phones found.
        prospect: The person's fields as sent.
        company: The company's fields as sent.
        raw: The response as received.
    """

    task_id: OptionalText = None
    workflow_id: OptionalText = None
    status: Text = ""
    email: OptionalText = None
    email_status: OptionalText = None
    other_emails: Texts = Field(default_factory=list)
    phones: Texts = Field(default_factory=list)
    prospect: dict[str, Any] = Field(default_factory=dict)
    company: dict[str, Any] = Field(default_factory=dict)
    raw: dict[str, Any] = Field(default_factory=dict)

    @property
    def state(self) -> WorkflowState:
        """What the status word means."""
        return workflow_state(self.status)

    @property
    def is_about_a_task(self) -> bool:
        """Whether the response says anything of a task: by a field of a result, or by a task with its status."""
        named = bool(self.task_id and self.status)
        return named or any(key in result_object(self.raw) for key in _RESULT_KEYS)

    @field_validator("other_emails", "phones", mode="before")
    @classmethod
    def _flatten(cls, value: object) -> list[str]:
        return _flat_texts(value)

    @field_validator("prospect", "company", mode="before")
    @classmethod
    def _as_object(cls, value: object) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return dict(value)
        return {"name": value} if isinstance(value, str) and value else {}

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> EnrichmentResult:
        """Read one result, whether it is the body itself or nested in it.

        Args:
            body: The decoded response.

        Returns:
            The result.
        """
        result = result_object(body)
        phones = result.get("personal_phone_numbers")
        return cls(
            task_id=result.get("task_id") or body.get("task_id"),
            workflow_id=result.get("workflow_id") or body.get("workflow_id"),
            status=result.get("status") or body.get("status"),
            email=_single_text(result.get("primary_email")) or _single_text(result.get("email")),
            email_status=result.get("primary_email_status") or result.get("email_status"),
            other_emails=result.get("other_emails"),
            phones=phones if phones else result.get("phone"),
            prospect=result.get("prospect"),
            company=result.get("company"),
            raw=dict(body),
        )


def result_object(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object in a response that holds the fields of a result: the response itself, or one in it.

    Args:
        body: The decoded response.
    """
    if any(key in body for key in _RESULT_KEYS):
        return body
    for key in ("result", "results", "data"):
        nested = body.get(key)
        if isinstance(nested, list):
            nested = nested[0] if nested else None
        if isinstance(nested, Mapping):
            return nested
    return body


def _flat_texts(value: object) -> list[str]:
    """Turn a text, an object with a value, or a list of either into a list of texts."""
    items = value if isinstance(value, list) else [value]
    return [text for item in items if (text := _single_text(item))]


def _single_text(item: object) -> str | None:
    if isinstance(item, Mapping):
        return next((str(item[key]) for key in ("number", "phone", "value", "email") if item.get(key)), None)
    return text_or_none(item)
