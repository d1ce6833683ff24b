"""The Cleanlist API for Airflow tasks, through an Airflow connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_cleanlist.arguments.values import given
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.endpoints import OMITTED, Omitted
from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS, Contact, EnrichmentType
from airflow_provider_cleanlist.client.settings import ClientSettings, build_settings
from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistError,
    CleanlistUnexpectedResponseError,
    to_airflow,
)
from airflow_provider_cleanlist.hooks import connection_form
from airflow_provider_cleanlist.hooks.sql import is_in_environment, unreadable_connection
from airflow_provider_cleanlist.lineage import record_list_read, record_submission
from airflow_provider_cleanlist.redaction import shown

if TYPE_CHECKING:
    import pandas as pd
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_cleanlist.client.client import CleanlistClient
    from airflow_provider_cleanlist.client.responses import (
        BulkEnrichment,
        CreditBalance,
        KeyValidation,
        LeadList,
        LeadPage,
        WebhookDelivery,
    )
    from airflow_provider_cleanlist.client.results import EnrichmentResult, WorkflowStatus

_TEST_MAX_WAIT_SECONDS = 20.0
_TEST_TIMEOUT_SECONDS = 10.0


class CleanlistHook(BaseHook):
    """Access to Cleanlist through an Airflow connection of type ``cleanlist``.

    All processes that use the same organisation share one request budget. Methods that call the API raise the errors of
    :mod:`airflow_provider_cleanlist.exceptions`.

    Args:
        cleanlist_conn_id: Id of the Airflow connection, whose password is the API key; ``None``, ``"None"`` and blank
            text are the default one.
    """

    conn_name_attr = "cleanlist_conn_id"
    default_conn_name = "cleanlist_default"
    conn_type = "cleanlist"
    hook_name = "Cleanlist"

    def __init__(self, cleanlist_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cleanlist_conn_id = given(cleanlist_conn_id) or self.default_conn_name

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the fields of the connection form, for Airflow before 3.2."""
        return connection_form.widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the connection form shows the standard fields, for Airflow before 3.2."""
        return connection_form.ui_field_behaviour("hidden_fields")

    @cached_property
    def settings(self) -> ClientSettings:
        """The connection's settings, checked.

        Raises:
            CleanlistConfigurationError: A setting is missing or invalid.
        """
        with self._naming_connection():
            connection = self.get_connection(self.cleanlist_conn_id)
            extra = _extra_of(connection)
            return build_settings(connection.host, connection.password, extra, port=connection.port)

    @cached_property
    def _client(self) -> CleanlistClient:
        return self._client_of(self.settings, _shared_client)

    def get_conn(self) -> CleanlistClient:
        """Return the client behind this hook. Hooks with the same settings share one per process, safe for threads."""
        return self._client

    async def aget_settings(self) -> ClientSettings:
        """Return the connection's settings, checked, without blocking the event loop.

        The connection is looked up once per hook; afterwards :attr:`settings` and :meth:`get_conn` do not block either.

        Raises:
            CleanlistConfigurationError: A setting is missing or invalid.
        """
        if "settings" not in self.__dict__:
            from asgiref.sync import sync_to_async  # with it, Airflow can look up connections from a thread

            # BaseHook.aget_connection() masks secrets with a blocking call before Airflow 3.3.2, which may deadlock.
            await sync_to_async(lambda: self.settings)()
        return self.settings

    async def aget_conn(self) -> CleanlistClient:
        """Return the client behind this hook without blocking the event loop.

        Raises:
            CleanlistConfigurationError: A setting is missing or invalid.
        """
        await self.aget_settings()
        return self.get_conn()

    def test_connection(self) -> tuple[bool, str]:
        """Check key and host for Airflow's *Test* button.

        Returns:
            Whether the connection works, and one of a few fixed sentences with the host at most: Airflow shows them
            unredacted. Its UI tests a connection under a random id, which would tell nobody anything.
        """
        try:
            timeout = min(_TEST_TIMEOUT_SECONDS, self.settings.timeout_seconds)
            settings = replace(self.settings, max_retries=1, timeout_seconds=timeout)
            client = self._client_of(settings, _new_client)
            client.validate_key(max_wait=_TEST_MAX_WAIT_SECONDS)
        except CleanlistConfigurationError as error:
            problem = str(error)
        except CleanlistError as error:
            problem = connection_form.failure_text(error)
        except Exception as error:  # noqa: BLE001  # Airflow would show a traceback, or nothing
            problem = connection_form.UNEXPECTED.format(kind=type(error).__name__)
        else:
            return True, connection_form.CONNECTED
        if "settings" not in self.__dict__ or repr(self.cleanlist_conn_id) in problem:
            return False, problem  # it names the connection and what to correct in it
        return False, f"{problem} Host: {self.settings.host}."

    def validate_key(self) -> KeyValidation:
        """Check the API key, free of charge, and return its user and organisation.

        Raises:
            CleanlistAuthenticationError: The key is not valid.
        """
        return self._client.validate_key()

    def get_credit_balance(self) -> CreditBalance:
        """Return the organisation's credit balance."""
        return self._client.get_credit_balance()

    def submit_bulk_enrichment(
        self,
        contacts: Sequence[Contact | Mapping[str, str | None]],
        enrichment_type: str = "partial",
        webhook_url: str | None = None,
    ) -> BulkEnrichment:
        """Submit 1 to 250 contacts in one request, which may bill each of them.

        The hook keeps no record, so calling this method again may be billed again. The safe way is
        :class:`~airflow_provider_cleanlist.operators.bulk_enrich.BulkEnrichOperator`.

        Args:
            contacts: Each a :class:`~airflow_provider_cleanlist.client.enrichment.Contact` or a mapping of its fields.
            enrichment_type: ``none``, ``partial``, ``phone_only`` or ``full``.
            webhook_url: HTTPS address that receives the results.

        Returns:
            Workflow id and task ids.

        Raises:
            CleanlistSubmissionUnknownError: It is not known whether the API accepted the request.
            CleanlistConfigurationError: An argument is invalid; nothing was sent.
        """
        if enrichment_type not in list(EnrichmentType):
            raise CleanlistConfigurationError(
                f"enrichment_type must be one of {', '.join(EnrichmentType)}, not {shown(enrichment_type)}."
            )
        if not isinstance(contacts, Iterable):
            raise CleanlistConfigurationError(f"contacts must be a list, not {type(contacts).__name__}.")
        typed = [item if isinstance(item, Contact) else _contact(item) for item in contacts]
        record_submission(self)
        return self._client.submit_bulk_enrichment(typed, EnrichmentType(enrichment_type), webhook_url)

    def get_workflow_status(self, workflow_id: str) -> WorkflowStatus:
        """Return the progress of one workflow. Status polls have low priority in the request budget.

        Args:
            workflow_id: The workflow.
        """
        return self._client.get_workflow_status(workflow_id)

    async def aget_workflow_status(self, workflow_id: str) -> WorkflowStatus:
        """Asynchronous :meth:`get_workflow_status`, for triggers."""
        return await (await self.aget_conn()).aget_workflow_status(workflow_id)

    def get_task_result(self, task_id: str) -> EnrichmentResult:
        """Return what was found for one contact.

        Args:
            task_id: The contact's task.
        """
        return self._client.get_task_result(task_id)

    async def aget_task_result(self, task_id: str) -> EnrichmentResult:
        """Asynchronous :meth:`get_task_result`."""
        return await (await self.aget_conn()).aget_task_result(task_id)

    def list_webhook_deliveries(self, workflow_id: str) -> list[WebhookDelivery]:
        """Return the delivery attempts of a workflow's webhook.

        Args:
            workflow_id: The workflow.
        """
        return self._client.list_webhook_deliveries(workflow_id)

    def create_lead_list(
        self, name: str, description: str | None = None, folder_id: str | None = None
    ) -> LeadList:
        """Create a list, or return the existing one of that name, in any letter case, with ``reused`` set.

        Args:
            name: Name of the list.
            description: Its description, if it is created.
            folder_id: Its folder, if it is created.
        """
        return self._client.create_lead_list(name, description, folder_id)

    def iter_lead_lists(self, folder_id: str | None = None) -> Iterator[LeadList]:
        """Yield all lists that the key's user may see.

        A list may be yielded twice, or be missing, if lists are deleted or created meanwhile.

        Args:
            folder_id: Only the lists of this folder; None yields all.
        """
        return self._client.iter_lead_lists(folder_id)

    def get_lead_list(self, list_id: str) -> LeadList:
        """Return one list with its live ``lead_count``.

        Args:
            list_id: The list.
        """
        return self._client.get_lead_list(list_id)

    def find_lead_list(self, name: str) -> LeadList | None:
        """Find a list by its name, in any letter case, by reading all lists.

        The managed list, to which Cleanlist adds every enriched contact, is found under either of its names. Lists that
        change meanwhile are read again, up to three times in all.

        Args:
            name: Name of the list.

        Returns:
            The list, or None if there is none.

        Raises:
            CleanlistConfigurationError: The name is empty, or several lists have it: use the id.
            CleanlistUnexpectedResponseError: There is none among those that arrived, and some are missing.
        """
        if not isinstance(name, str) or not name.strip():
            raise CleanlistConfigurationError("The name of the lead list must be text, and not empty.")
        found = self._client.lead_lists_named(name)
        if len(found) > 1:
            ids = ", ".join(item.list_id for item in found[:10])
            raise CleanlistConfigurationError(
                f"{len(found)} lead lists are named {name!r}: give list_id instead, one of {ids}."
            )
        return found[0] if found else None

    def update_lead_list(
        self,
        list_id: str,
        *,
        name: str | Omitted = OMITTED,
        description: str | Omitted | None = OMITTED,
        folder_id: str | Omitted | None = OMITTED,
    ) -> LeadList:
        """Rename, describe or move a list, and return the updated one.

        Args:
            list_id: The list.
            name: New name; omitted keeps it.
            description: New description; None clears it, omitted keeps it.
            folder_id: New folder; None takes the list out of its folder, omitted keeps it.

        Raises:
            CleanlistConfigurationError: Nothing to change.
        """
        return self._client.update_lead_list(list_id, name=name, description=description, folder_id=folder_id)

    def delete_lead_list(self, list_id: str) -> None:
        """Delete a list; its leads stay in Cleanlist.

        Args:
            list_id: The list.
        """
        self._client.delete_lead_list(list_id)

    def add_leads(self, list_id: str, lead_ids: Sequence[str]) -> int:
        """Add leads to a list, free of charge, and return how many were new in it.

        Args:
            list_id: The list.
            lead_ids: Ids of leads, any number.
        """
        return self._client.add_leads(list_id, lead_ids)

    def remove_leads(self, list_id: str, lead_ids: Sequence[str]) -> int:
        """Remove leads from a list and return how many were in it.

        Args:
            list_id: The list.
            lead_ids: Ids of leads, any number.
        """
        return self._client.remove_leads(list_id, lead_ids)

    def iter_lead_pages(
        self, list_id: str, page_size: int = 500, cursor: str | None = None
    ) -> Iterator[LeadPage]:
        """Yield a list's contents page by page.

        The API pages by position, so a lead may be yielded twice if the list changes meanwhile: keep the last copy of
        each ``lead_id``.

        Args:
            list_id: The list.
            page_size: Leads per request, 1 to 500.
            cursor: Where to continue, from :attr:`LeadPage.cursor`; None starts at the beginning.
        """
        record_list_read(self, list_id)
        return self._client.iter_lead_pages(list_id, page_size, cursor)

    def get_leads_df(self, list_id: str, read: str = "pages") -> pd.DataFrame:
        """Read a whole list into memory: one row per lead, the last copy of each.

        Args:
            list_id: The list.
            read: ``pages`` reads it page by page, ``export`` as one CSV file: one request, all values text.

        Returns:
            A data frame with the fields of the leads as columns, in the order of their first appearance. Without leads,
            it has the columns of the export, or ``lead_id`` alone.

        Raises:
            CleanlistConfigurationError: pandas is not installed, or ``read`` is something else.
            CleanlistUnexpectedResponseError: The export contradicts itself.
        """
        if read not in ("pages", "export"):
            raise CleanlistConfigurationError(f"read must be pages or export, not {shown(read)}.")
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise CleanlistConfigurationError(
                "get_leads_df needs pandas: pip install 'airflow-provider-cleanlist[pandas]'."
            ) from None
        record_list_read(self, list_id)
        pages = (
            self._client.iter_lead_pages(list_id)
            if read == "pages"
            else self._client.iter_export_file(list_id)
        )
        try:
            leads: dict[str, dict[str, Any]] = {}
            fields: tuple[str, ...] = ("lead_id",)
            for page in pages:
                leads |= {lead["lead_id"]: lead for lead in page.leads}
                fields = page.fields or fields
        except (errors.ExportInconsistentError, errors.ExportNotResumableError) as error:
            info = errors.ErrorInfo(f"export list {list_id}", str(error))
            raise CleanlistUnexpectedResponseError(info) from None
        return pd.DataFrame.from_records(list(leads.values()), columns=None if leads else fields)

    def _client_of(
        self, settings: ClientSettings, make: Callable[[ClientSettings, str], CleanlistClient]
    ) -> CleanlistClient:
        with self._naming_connection():
            return make(settings, self.cleanlist_conn_id)

    @contextmanager
    def _naming_connection(self) -> Iterator[None]:
        """Add the id of the connection to errors of its settings, and say what to do where there is none."""
        try:
            yield
        except AirflowNotFoundException:
            if is_in_environment(self.cleanlist_conn_id):
                raise unreadable_connection(self.cleanlist_conn_id) from None
            raise CleanlistConfigurationError(
                f"There is no connection {self.cleanlist_conn_id!r}. Add it under Admin > Connections with the type "
                "Cleanlist and the API key as its password, or set cleanlist_conn_id to one that exists."
            ) from None
        except errors.ConfigurationError as error:
            raise CleanlistConfigurationError(
                f"Connection {self.cleanlist_conn_id!r} cannot be used: {error}."
            ) from None


def _extra_of(connection: Connection) -> Mapping[str, Any]:
    """Return what a connection's extra holds; Airflow reads one that is not JSON as an empty one.

    Raises:
        ConfigurationError: It is not a JSON object.
    """
    try:
        is_object = isinstance(json.loads((connection.extra or "").strip() or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise errors.ConfigurationError("extra must be a JSON object")
    extra: Mapping[str, Any] = connection.extra_dejson  # its secrets are masked from here on
    return extra


def _new_client(settings: ClientSettings, conn_id: str) -> CleanlistClient:
    from airflow_provider_cleanlist.client.client import CleanlistClient
    from airflow_provider_cleanlist.client.rate_limit import open_limiter

    limiter = open_limiter(settings.rate_limit_store, settings.scope, settings.budget)
    named = f"connection {conn_id!r}, host {settings.host}"
    return CleanlistClient(settings, limiter, translate=lambda error: to_airflow(error, named))


_shared_client = lru_cache(maxsize=32)(_new_client)


def _contact(fields: Mapping[str, str | None]) -> Contact:
    """Read a contact; an error names what is wrong with it, never its values."""
    if not isinstance(fields, Mapping) or not set(fields) <= set(CONTACT_FIELDS):
        raise CleanlistConfigurationError(
            f"Each contact must be a Contact or a mapping of {', '.join(CONTACT_FIELDS)}."
        )
    return Contact(**fields)
