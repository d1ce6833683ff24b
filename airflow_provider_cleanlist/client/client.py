"""The Cleanlist API as Python methods. Knows nothing of Airflow."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ParamSpec, TypeVar

from airflow_provider_cleanlist.client import endpoints, enrichment, errors, responses, results
from airflow_provider_cleanlist.client.endpoints import OMITTED, Omitted
from airflow_provider_cleanlist.client.export.reader import ExportReader
from airflow_provider_cleanlist.client.lead_lists import may_be_named, read_lead_lists
from airflow_provider_cleanlist.client.messages import DEFAULT_MAX_WAIT_SECONDS, Request
from airflow_provider_cleanlist.client.protocol import Call, Page, PageCursors, RetryLimits
from airflow_provider_cleanlist.client.rate_limit.core import RateLimiter
from airflow_provider_cleanlist.client.settings import ClientSettings
from airflow_provider_cleanlist.client.transport import SendObserver, Transport
from airflow_provider_cleanlist.input_limits import PAGES, PAGES_OF_LISTS

P = ParamSpec("P")
T = TypeVar("T")
PageT = TypeVar("PageT", bound=Page)


def _same(error: errors.CleanlistError) -> Exception:
    return error


class CleanlistClient:
    """Every endpoint that the provider uses, as a typed method that paces itself and retries.

    Safe to share between threads, event loops and forked processes. All methods raise subclasses of
    :class:`.errors.ApiError`, and :class:`.errors.ConfigurationError` for invalid arguments and for settings of this
    machine that keep requests from leaving.

    Args:
        settings: Host, key, timeouts and API surface.
        limiter: The shared request budget.
        translate: Turns an error into the one that callers see; by default it stays the same.
    """

    def __init__(
        self,
        settings: ClientSettings,
        limiter: RateLimiter,
        *,
        translate: Callable[[errors.CleanlistError], Exception] = _same,
    ) -> None:
        self._settings = settings
        self._transport = Transport(
            settings.host,
            settings.api_key,
            timeout=settings.timeout_seconds,
            limiter=limiter,
            limits=RetryLimits(max_retries=settings.max_retries, window_seconds=settings.window_seconds),
        )
        self._surface = settings.surface
        self._translate = translate

    def run(self, call: Call[T], observer: SendObserver | None = None) -> T:
        """Make one call, blocking, and return what its response says.

        Args:
            call: One of :mod:`.endpoints` or :mod:`.enrichment`.
            observer: Told about each sending, for requests whose outcome must not be lost.
        """
        try:
            return self._transport.run(call, observer)
        except (errors.ApiError, errors.ConfigurationError) as error:
            raise self._translate(error) from None

    async def arun(self, call: Call[T], on_sending: Callable[[], None] | None = None) -> T:
        """Make one call without blocking the event loop, and return what its response says.

        Args:
            call: One of :mod:`.endpoints` or :mod:`.enrichment`.
            on_sending: Called right before each sending, when the request budget has let it through.
        """
        try:
            return await self._transport.arun(call, on_sending)
        except (errors.ApiError, errors.ConfigurationError) as error:
            raise self._translate(error) from None

    def validate_key(self, *, max_wait: float = DEFAULT_MAX_WAIT_SECONDS) -> responses.KeyValidation:
        """Check the API key, free of charge.

        Args:
            max_wait: Seconds that it may wait for the request budget and before retries.

        Returns:
            The key's user and organisation.

        Raises:
            AuthenticationError: The key is not valid.
        """
        validation = self._ask(endpoints.validate_key, max_wait)
        if not validation.valid:
            info = errors.ErrorInfo("check the API key", "the key is not valid", status=200)
            raise self._translate(errors.AuthenticationError(info))
        return validation

    def whoami(self) -> responses.Whoami:
        """Return the key's organisation, plan and scopes, free of charge."""
        return self._ask(endpoints.whoami, self._surface)

    def get_credit_balance(self) -> responses.CreditBalance:
        """Return the organisation's credit balance."""
        return self._ask(endpoints.get_credit_balance)

    def submit_bulk_enrichment(
        self,
        contacts: Sequence[enrichment.Contact],
        enrichment_type: enrichment.EnrichmentType = enrichment.EnrichmentType.PARTIAL,
        webhook_url: str | None = None,
        observer: SendObserver | None = None,
    ) -> responses.BulkEnrichment:
        """Submit 1 to 250 contacts in one request; each may be billed.

        Args:
            contacts: The contacts, each with a valid identity.
            enrichment_type: What to look for.
            webhook_url: HTTPS address that receives the results.
            observer: Told right before the request leaves, so that a crash leaves a record of it.

        Returns:
            Workflow id and task ids.

        Raises:
            SubmissionUnknownError: It is not known whether the API accepted the request.
            ConfigurationError: No contacts, or more than 250.
        """
        call = self._call(enrichment.submit_bulk_enrichment, contacts, enrichment_type, webhook_url)
        return self.run(call, observer)

    def get_workflow_status(self, workflow_id: str) -> results.WorkflowStatus:
        """Return the progress of one workflow. Status polls have low priority in the request budget.

        Args:
            workflow_id: The workflow.
        """
        return self._ask(enrichment.get_workflow_status, workflow_id)

    async def aget_workflow_status(self, workflow_id: str) -> results.WorkflowStatus:
        """Asynchronous :meth:`get_workflow_status`."""
        return await self.arun(self._call(enrichment.get_workflow_status, workflow_id))

    def get_task_result(self, task_id: str) -> results.EnrichmentResult:
        """Return what was found for one contact.

        Args:
            task_id: The contact's task.
        """
        return self._ask(enrichment.get_task_result, task_id)

    async def aget_task_result(self, task_id: str) -> results.EnrichmentResult:
        """Asynchronous :meth:`get_task_result`."""
        return await self.arun(self._call(enrichment.get_task_result, task_id))

    def list_webhook_deliveries(self, workflow_id: str) -> list[responses.WebhookDelivery]:
        """Return the delivery attempts of one workflow's webhook.

        Args:
            workflow_id: The workflow.
        """
        return self._ask(enrichment.list_webhook_deliveries, workflow_id)

    def create_lead_list(
        self, name: str, description: str | None = None, folder_id: str | None = None
    ) -> responses.LeadList:
        """Create a list, or return the existing one of that name, in any letter case, with ``reused`` set.

        Args:
            name: Name of the list.
            description: Its description, if it is created.
            folder_id: Its folder, if it is created.
        """
        return self._ask(endpoints.create_lead_list, self._surface, name, description, folder_id)

    def iter_lead_lists(self, folder_id: str | None = None) -> Iterator[responses.LeadList]:
        """Yield all lists that the key's user may see, page by page.

        A list may be yielded twice, or be missing, if lists change meanwhile.

        Args:
            folder_id: Only the lists of this folder; None yields all.

        Raises:
            UnexpectedResponseError: The pages never end.
        """

        def page(cursor: str | None) -> responses.LeadListPage:
            return self._ask(endpoints.list_lead_lists, self._surface, cursor, folder_id)

        for lists in self._pages("read the lead lists", page, None, PAGES_OF_LISTS):
            yield from lists.lists

    def lead_lists_named(self, name: str) -> list[responses.LeadList]:
        """Return the lists of a name, in any letter case; none is missing because lists change meanwhile.

        Args:
            name: The name; the managed list is found under either of its names.

        Raises:
            UnexpectedResponseError: The pages never end, or lists are missing on each of several readings.
        """
        reading = read_lead_lists(self._surface, lambda item: item if may_be_named(name, item) else None)
        call = next(reading)
        try:
            while True:
                call = reading.send(self.run(call))
        except StopIteration as end:
            found: list[responses.LeadList] = end.value.named(name)
            return found
        except errors.UnexpectedResponseError as error:
            raise self._translate(error) from None

    def get_lead_list(self, list_id: str) -> responses.LeadList:
        """Return one list with its live ``lead_count``.

        Args:
            list_id: The list.
        """
        return self._ask(endpoints.get_lead_list, self._surface, list_id)

    def update_lead_list(
        self,
        list_id: str,
        *,
        name: str | Omitted = OMITTED,
        description: str | Omitted | None = OMITTED,
        folder_id: str | Omitted | None = OMITTED,
    ) -> responses.LeadList:
        """Rename, describe or move a list.

        Args:
            list_id: The list.
            name: New name; omitted keeps it.
            description: New description; None clears it, omitted keeps it.
            folder_id: New folder; None takes the list out of its folder, omitted keeps it.

        Returns:
            The updated list.

        Raises:
            ConfigurationError: Nothing to change.
        """
        given = {"name": name, "description": description, "folder_id": folder_id}
        changes = {key: value for key, value in given.items() if not isinstance(value, Omitted)}
        return self._ask(endpoints.update_lead_list, self._surface, list_id, changes)

    def delete_lead_list(self, list_id: str) -> None:
        """Delete a list; its leads stay in Cleanlist.

        Args:
            list_id: The list.
        """
        self._ask(endpoints.delete_lead_list, self._surface, list_id)

    def add_leads(self, list_id: str, lead_ids: Sequence[str]) -> int:
        """Add leads to a list, free of charge, in requests of up to 1,000.

        Args:
            list_id: The list.
            lead_ids: Ids of leads, any number.

        Returns:
            How many were added; those already in the list are skipped.
        """
        return sum(
            self._ask(endpoints.add_leads, self._surface, list_id, chunk, uuid.uuid4().hex).added or 0
            for chunk in _chunks(self._list_of_ids(lead_ids), endpoints.MAX_LEADS_PER_ADD)
        )

    def remove_leads(self, list_id: str, lead_ids: Sequence[str]) -> int:
        """Remove leads from a list, in requests of up to 100.

        Args:
            list_id: The list.
            lead_ids: Ids of leads, any number.

        Returns:
            How many were removed; unknown ids are ignored.
        """
        return sum(
            self._ask(endpoints.remove_leads, self._surface, list_id, chunk).removed or 0
            for chunk in _chunks(self._list_of_ids(lead_ids), endpoints.MAX_LEADS_PER_REMOVE)
        )

    def iter_lead_pages(
        self, list_id: str, page_size: int = endpoints.MAX_LEADS_PER_PAGE, cursor: str | None = None
    ) -> Iterator[responses.LeadPage]:
        """Yield a list's contents page by page.

        A lead may be yielded twice if the list changes meanwhile.

        Args:
            list_id: The list.
            page_size: Leads per request, 1 to 500.
            cursor: Where to continue, from :attr:`.responses.LeadPage.cursor`; None starts at the beginning.

        Raises:
            UnexpectedResponseError: The pages never end.
        """

        def page(at: str | None) -> responses.LeadPage:
            return self._ask(endpoints.get_leads, self._surface, list_id, page_size, at)

        return self._pages(f"read the leads of list {list_id}", page, cursor)

    def iter_export_pages(
        self,
        list_id: str,
        columns: Sequence[str] | None = None,
        page_size: int = endpoints.MAX_LEADS_PER_PAGE,
        cursor: str | None = None,
    ) -> Iterator[responses.LeadPage]:
        """Yield a list's JSON export page by page: the only read that yields company domains.

        Args:
            list_id: The list.
            columns: Columns to export; None takes the API's default columns.
            page_size: Leads per request, 1 to 500.
            cursor: Where to continue; None starts at the beginning.

        Raises:
            UnexpectedResponseError: The pages never end.
        """

        def page(at: str | None) -> responses.LeadPage:
            return self._ask(endpoints.export_json, self._surface, list_id, columns, page_size, at)

        return self._pages(f"export list {list_id}", page, cursor)

    def iter_export_file(
        self,
        list_id: str,
        cursor: str | None = None,
        needed: Sequence[str] = ("lead_id",),
        *,
        smart_agents: bool = True,
    ) -> Iterator[responses.LeadPage]:
        """Yield a list's CSV export part by part: any list by one request and one download.

        The leads have the API's default columns and those of smart agents, all as text; an empty cell is None. The last
        page comes once number of rows and size have proved right.

        Args:
            list_id: The list.
            cursor: Where to resume, from a page of an earlier attempt; None asks for a new file.
            needed: Fields that the file must have.
            smart_agents: Whether to ask for the columns of smart agents, too.

        Raises:
            ExportNotResumableError: The file of the earlier attempt cannot be continued.
            ExportInconsistentError: The file is not what the API says it is, or cannot be read.
        """
        reader = ExportReader(
            list_id,
            lambda: self._ask(endpoints.export_csv, self._surface, list_id, smart_agents=smart_agents),
            api_key=self._settings.api_key,
            timeout=self._transport.timeout,
            max_retries=self._settings.max_retries,
            is_api_local=self._settings.is_local,
            needed=tuple(needed),
        )
        try:
            yield from reader.pages(cursor)
        except (errors.ApiError, errors.ConfigurationError) as error:
            raise self._translate(error) from None

    def _ask(self, endpoint: Callable[P, Call[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(self._call(endpoint, *args, **kwargs))

    def _call(self, endpoint: Callable[P, Call[T]], *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        """Return a call whose request can be sent; an argument that makes it impossible is the caller's mistake."""
        try:
            call = endpoint(*args, **kwargs)
            _check_sendable(call.request)
        except errors.ConfigurationError as error:
            raise self._translate(error) from None
        except (AttributeError, TypeError, ValueError) as error:
            problem = f"an argument of {endpoint.__name__} has a type or value that no request can hold"
            raise self._translate(errors.ConfigurationError(f"{problem} ({type(error).__name__})")) from None
        return call

    def _list_of_ids(self, lead_ids: Sequence[str]) -> list[str]:
        if isinstance(lead_ids, str) or not isinstance(lead_ids, Iterable):
            found = type(lead_ids).__name__
            raise self._translate(errors.ConfigurationError(f"lead_ids must be a list of ids, not {found}"))
        return list(lead_ids)

    def _pages(
        self, operation: str, fetch: Callable[[str | None], PageT], start: object, pages: int = PAGES
    ) -> Iterator[PageT]:
        """Follow cursors to the end; refuse those that would never get there."""
        cursor = start if isinstance(start, str) else None
        if cursor is not start:
            found = type(start).__name__
            raise self._translate(errors.ConfigurationError(f"cursor must be text or None, not {found}"))
        cursors = PageCursors(operation, cursor, pages=pages)
        while True:
            page = fetch(cursor)
            try:
                cursor = cursors.after(page)
            except errors.UnexpectedResponseError as error:
                raise self._translate(error) from None
            yield page
            if cursor is None:
                return


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _check_sendable(request: Request) -> None:
    """Refuse a request that cannot be written as text: a body of other types than JSON's, or invalid Unicode."""
    json.dumps(request.body)
    json.dumps([request.path, dict(request.params)], ensure_ascii=False).encode()
