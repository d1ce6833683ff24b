"""The Cleanlist API as Python methods. Knows nothing of Airflow."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from airflow_provider_cleanlist.client import endpoints, errors, models, results
from airflow_provider_cleanlist.client.endpoints import OMITTED, Call, Omitted
from airflow_provider_cleanlist.client.protocol import DEFAULT_MAX_WAIT_SECONDS, Prefix, RetryPolicy
from airflow_provider_cleanlist.client.rate_limit import RateLimiter
from airflow_provider_cleanlist.client.settings import ClientSettings
from airflow_provider_cleanlist.client.transport import SendObserver, Transport

T = TypeVar("T")


def _same(error: errors.ApiError) -> Exception:
    return error


class CleanlistClient:
    """Typed, paced, retrying access to every endpoint that the provider uses.

    Safe to share between threads. All methods raise :class:`.errors.ApiError` subclasses.

    Args:
        settings: Host, key, timeouts and API surface.
        limiter: The shared request budget.
        translate: Turns an error into the one that callers see; by default the same.
    """

    def __init__(
        self,
        settings: ClientSettings,
        limiter: RateLimiter,
        *,
        translate: Callable[[errors.ApiError], Exception] = _same,
    ) -> None:
        self._transport = Transport(
            settings.host,
            settings.api_key,
            timeout=settings.timeout_seconds,
            limiter=limiter,
            policy=RetryPolicy(max_retries=settings.max_retries, window_seconds=settings.window_seconds),
        )
        self._lists = Prefix.V1 if settings.lead_lists_api == "v1" else Prefix.V2
        self._translate = translate

    def run(self, call: Call[T], observer: SendObserver | None = None) -> T:
        """Make one call, blocking.

        Args:
            call: One of :mod:`.endpoints`.
            observer: Follows the sending, for requests that must not be lost track of.
        """
        try:
            return self._transport.run(call, observer)
        except errors.ApiError as error:
            raise self._translate(error) from None

    async def arun(self, call: Call[T]) -> T:
        """Make one call without blocking the event loop.

        Args:
            call: One of :mod:`.endpoints`.
        """
        try:
            return await self._transport.arun(call)
        except errors.ApiError as error:
            raise self._translate(error) from None

    def validate_key(self, *, max_wait: float = DEFAULT_MAX_WAIT_SECONDS) -> models.KeyValidation:
        """Check the API key, free of charge (contract section 1.3).

        Args:
            max_wait: Seconds to wait at most for the request budget and between tries.

        Raises:
            AuthenticationError: Also when the API answers that the key is not valid.
        """
        validation = self.run(endpoints.validate_key(max_wait))
        if not validation.valid:
            info = errors.ErrorInfo("check the API key", "the key is not valid", status=200)
            raise self._translate(errors.AuthenticationError(info))
        return validation

    def whoami(self) -> models.Whoami:
        """Read the key's organisation, plan and scopes (contract section 1.4)."""
        return self.run(endpoints.whoami())

    def get_credit_balance(self) -> models.CreditBalance:
        """Read the organisation's balance (contract section 7)."""
        return self.run(endpoints.get_credit_balance())

    def submit_bulk_enrichment(
        self,
        contacts: Sequence[models.Contact],
        enrichment_type: models.EnrichmentType = models.EnrichmentType.PARTIAL,
        webhook_url: str | None = None,
        observer: SendObserver | None = None,
    ) -> models.BulkEnrichment:
        """Submit 1 to 250 contacts in one request; each may be billed (contract section 4).

        Args:
            contacts: The contacts, each with a valid identity.
            enrichment_type: What to look for.
            webhook_url: HTTPS address that receives the results.
            observer: Told right before the request leaves, so that a crash leaves a record.

        Raises:
            SubmissionUnknownError: It is not known whether the API accepted the request.
            ValueError: No contacts, or more than 250.
        """
        if not 1 <= len(contacts) <= models.MAX_CONTACTS_PER_REQUEST:
            raise ValueError(
                f"one submission takes 1 to {models.MAX_CONTACTS_PER_REQUEST} contacts, not {len(contacts)}"
            )
        return self.run(endpoints.submit_bulk_enrichment(contacts, enrichment_type, webhook_url), observer)

    def get_workflow_status(self, workflow_id: str) -> results.WorkflowStatus:
        """Read the progress of one workflow, at the low priority of polls (contract section 5.2)."""
        return self.run(endpoints.get_workflow_status(workflow_id))

    def get_task_result(self, task_id: str) -> results.EnrichmentResult:
        """Read what was found for one contact (contract section 5.3)."""
        return self.run(endpoints.get_task_result(task_id))

    def list_webhook_deliveries(self, workflow_id: str) -> list[models.WebhookDelivery]:
        """Read the delivery attempts of one workflow's webhook (contract section 6)."""
        return self.run(endpoints.list_webhook_deliveries(workflow_id))

    def create_lead_list(
        self, name: str, description: str | None = None, folder_id: str | None = None
    ) -> models.LeadList:
        """Create a list, or return the one of that name with ``reused`` set (contract section 8.3)."""
        return self.run(endpoints.create_lead_list(self._lists, name, description, folder_id))

    def iter_lead_lists(self, folder_id: str | None = None) -> Iterator[models.LeadList]:
        """Yield all lists that the key's user may see, page by page (contract section 8.4)."""

        def page(cursor: str | None) -> tuple[list[models.LeadList], str | None]:
            answer = self.run(endpoints.list_lead_lists(self._lists, cursor, folder_id))
            return answer.lists, answer.cursor

        for lists in self._pages("read the lead lists", page, None):
            yield from lists

    def get_lead_list(self, list_id: str) -> models.LeadList:
        """Read one list with its live ``lead_count`` (contract section 8.5)."""
        return self.run(endpoints.get_lead_list(self._lists, list_id))

    def update_lead_list(
        self,
        list_id: str,
        *,
        name: str | Omitted = OMITTED,
        description: str | Omitted | None = OMITTED,
        folder_id: str | Omitted | None = OMITTED,
    ) -> models.LeadList:
        """Rename, describe or move a list (contract section 8.7).

        Args:
            list_id: The list.
            name: New name; omitted keeps it.
            description: New description; None clears it, omitted keeps it.
            folder_id: New folder; None takes the list out of its folder, omitted keeps it.

        Raises:
            ValueError: Nothing to change.
        """
        given = {"name": name, "description": description, "folder_id": folder_id}
        changes = {key: value for key, value in given.items() if not isinstance(value, Omitted)}
        if not changes:
            raise ValueError("nothing to change: give a name, a description or a folder_id")
        return self.run(endpoints.update_lead_list(self._lists, list_id, changes))

    def delete_lead_list(self, list_id: str) -> None:
        """Delete a list; its leads stay in Cleanlist (contract section 8.8)."""
        self.run(endpoints.delete_lead_list(self._lists, list_id))

    def add_leads(self, list_id: str, lead_ids: Sequence[str]) -> int:
        """Add leads to a list, in requests of 1,000, free of charge (contract section 8.9).

        Returns:
            How many were added; those already there are skipped.
        """
        return sum(
            self.run(endpoints.add_leads(self._lists, list_id, chunk, uuid.uuid4().hex)).added or 0
            for chunk in _chunks(lead_ids, endpoints.MAX_LEADS_PER_ADD)
        )

    def remove_leads(self, list_id: str, lead_ids: Sequence[str]) -> int:
        """Remove leads from a list, in requests of 100 (contract section 8.9).

        Returns:
            How many were removed; unknown ids are ignored.
        """
        return sum(
            self.run(endpoints.remove_leads(self._lists, list_id, chunk)).removed or 0
            for chunk in _chunks(lead_ids, endpoints.MAX_LEADS_PER_REMOVE)
        )

    def iter_lead_pages(
        self, list_id: str, page_size: int = endpoints.MAX_LEADS_PER_PAGE, cursor: str | None = None
    ) -> Iterator[models.LeadPage]:
        """Yield a list's contents page by page (contract sections 8.6 and 8.10).

        The same lead may come twice when the list changes meanwhile.

        Args:
            list_id: The list.
            page_size: Leads per request, 1 to 500.
            cursor: Where to go on, from :attr:`.models.LeadPage.cursor`; None starts at the beginning.

        Raises:
            UnexpectedAnswerError: The API sends the reader in circles.
        """

        def page(at: str | None) -> tuple[models.LeadPage, str | None]:
            answer = self.run(endpoints.get_leads(self._lists, list_id, page_size, at))
            return answer, answer.cursor

        return self._pages(f"read the leads of list {list_id}", page, cursor)

    def iter_export_pages(
        self,
        list_id: str,
        columns: Sequence[str] | None = None,
        page_size: int = endpoints.MAX_LEADS_PER_PAGE,
        cursor: str | None = None,
    ) -> Iterator[models.LeadPage]:
        """Yield a list's JSON export page by page (contract section 9).

        Args:
            list_id: The list.
            columns: Columns to export; None takes the API's default columns.
            page_size: Leads per request, 1 to 500.
            cursor: Where to go on; None starts at the beginning.
        """

        def page(at: str | None) -> tuple[models.LeadPage, str | None]:
            answer = self.run(endpoints.export_json(list_id, columns, page_size, at))
            return answer, answer.cursor

        return self._pages(f"export list {list_id}", page, cursor)

    async def aget_workflow_status(self, workflow_id: str) -> results.WorkflowStatus:
        """Asynchronous :meth:`get_workflow_status`."""
        return await self.arun(endpoints.get_workflow_status(workflow_id))

    async def aget_task_result(self, task_id: str) -> results.EnrichmentResult:
        """Asynchronous :meth:`get_task_result`."""
        return await self.arun(endpoints.get_task_result(task_id))

    def _pages(
        self, operation: str, fetch: Callable[[str | None], tuple[T, str | None]], cursor: str | None
    ) -> Iterator[T]:
        """Follow cursors to the end; a cursor that comes again would never end."""
        seen = {cursor}
        while True:
            page, cursor = fetch(cursor)
            if cursor is not None and cursor in seen:
                info = errors.ErrorInfo(
                    operation, "the same page cursor came twice, so reading would never end", status=200
                )
                raise self._translate(errors.UnexpectedAnswerError(info))
            yield page
            if cursor is None:
                return
            seen.add(cursor)


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
