"""API calls as values, those of the account and of lead lists: nothing is sent here. Others: :mod:`.enrichment`.

A response about another list than the one that was asked for is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from airflow_provider_cleanlist.client import errors, responses
from airflow_provider_cleanlist.client.messages import Repeat, Request, Surface, valid_id
from airflow_provider_cleanlist.client.protocol import Call, Ok, refuse_another
from airflow_provider_cleanlist.input_limits import EXPORT_SECONDS, PAGE
from airflow_provider_cleanlist.wording import counted

T = TypeVar("T")

MAX_LISTS_PER_PAGE = 100
"""The API's limit for the lists on one page."""
MAX_LEADS_PER_PAGE = 500
"""The API's limit for the leads on one page."""
MAX_LEADS_PER_ADD = 1000
"""The API's limit for the leads that one request adds to a list."""
MAX_LEADS_PER_REMOVE = 100
"""The API's limit for the leads that one request removes from a list."""


class Omitted:
    """Type of an argument that was not given, where None has a meaning of its own."""

    def __repr__(self) -> str:
        """Show the name that signatures use."""
        return "OMITTED"


OMITTED = Omitted()
"""The one value of :class:`Omitted`."""


def _model(model: type[T]) -> Callable[[Ok], T]:
    return lambda ok: model.model_validate(ok.mapping())  # type: ignore[attr-defined]


def _of_list(request: Request, list_id: str, parse: Callable[[Ok], T]) -> Call[T]:
    """Return a call about one list, whose response must not name another one."""

    def checked(ok: Ok) -> T:
        if isinstance(ok.body, Mapping):
            refuse_another(request, ok, list_id, ok.body.get("list_id"))
        return parse(ok)

    return Call(request, checked)


def validate_key(max_wait: float) -> Call[responses.KeyValidation]:
    """Return the call ``GET /auth/validate-key``.

    Args:
        max_wait: Seconds that it may wait for the request budget and before retries.
    """
    request = Request("check the API key", "GET", Surface.V1, "/auth/validate-key", max_wait=max_wait)
    return Call(request, _model(responses.KeyValidation))


def whoami(surface: Surface) -> Call[responses.Whoami]:
    """Return the call ``GET /whoami``.

    Args:
        surface: API surface.
    """
    return Call(Request("read the key's owner", "GET", surface, "/whoami"), _model(responses.Whoami))


def get_credit_balance() -> Call[responses.CreditBalance]:
    """Return the call ``GET /credits/balance``."""
    request = Request("read the credit balance", "GET", Surface.V1, "/credits/balance")
    return Call(request, _model(responses.CreditBalance))


def create_lead_list(
    surface: Surface, name: str, description: str | None, folder_id: str | None
) -> Call[responses.LeadList]:
    """Return the call ``POST /lead-lists``, which returns an existing list of the same name (in any letter case).

    Args:
        surface: API surface.
        name: Name of the list.
        description: Its description if it is created, or None.
        folder_id: Its folder if it is created, or None.
    """

    def parse(ok: Ok) -> responses.LeadList:
        body = dict(ok.mapping())
        if body.get("reused") is None:
            body["reused"] = ok.status == 200
        return responses.LeadList.model_validate(body)

    body = {"name": name, "description": description, "folder_id": folder_id}
    body = {key: value for key, value in body.items() if value is not None}
    return Call(Request("create the lead list", "POST", surface, "/lead-lists", body=body), parse)


def list_lead_lists(
    surface: Surface, cursor: str | None, folder_id: str | None
) -> Call[responses.LeadListPage]:
    """Return the call ``GET /lead-lists`` for one page.

    Args:
        surface: API surface.
        cursor: Where the page begins; None is the first page.
        folder_id: Only the lists of this folder; None reads all.

    Raises:
        UnexpectedResponseError: By its ``parse``: the page has more lists than were asked for.
    """
    params = _params(limit=MAX_LISTS_PER_PAGE, cursor=cursor, folder_id=folder_id)
    request = Request("read the lead lists", "GET", surface, "/lead-lists", params=params)

    def parse(ok: Ok) -> responses.LeadListPage:
        lists = ok.mapping().get("lists")
        if isinstance(lists, list) and len(lists) > MAX_LISTS_PER_PAGE:
            problem = f"a page has more lists than the {MAX_LISTS_PER_PAGE} that were asked for"
            raise _unreadable(request, ok, problem)
        return responses.LeadListPage.model_validate(ok.mapping())

    return Call(request, parse)


def get_lead_list(surface: Surface, list_id: str) -> Call[responses.LeadList]:
    """Return the call ``GET /lead-lists/{id}``.

    Args:
        surface: API surface.
        list_id: The list.
    """
    request = Request(f"read lead list {list_id}", "GET", surface, _path(list_id))
    return _of_list(request, list_id, _model(responses.LeadList))


def update_lead_list(
    surface: Surface, list_id: str, changes: Mapping[str, str | None]
) -> Call[responses.LeadList]:
    """Return the call ``PATCH /lead-lists/{id}``.

    Args:
        surface: API surface.
        list_id: The list.
        changes: ``name``, ``description``, ``folder_id``: None clears, a missing key keeps the value.

    Raises:
        ConfigurationError: Nothing to change.
    """
    if not changes:
        raise errors.ConfigurationError("nothing to change: give a name, a description or a folder_id")
    request = Request(f"change lead list {list_id}", "PATCH", surface, _path(list_id), body=dict(changes))
    return _of_list(request, list_id, _model(responses.LeadList))


def delete_lead_list(surface: Surface, list_id: str) -> Call[None]:
    """Return the call ``DELETE /lead-lists/{id}``, which leaves the leads themselves in Cleanlist.

    Args:
        surface: API surface.
        list_id: The list.
    """
    request = Request(f"delete lead list {list_id}", "DELETE", surface, _path(list_id), repeat=Repeat.DELETES)
    return _of_list(request, list_id, lambda _: None)


def get_leads(surface: Surface, list_id: str, page_size: int, cursor: str | None) -> Call[responses.LeadPage]:
    """Return the call ``GET /lead-lists/{id}/leads`` for one page.

    Args:
        surface: API surface.
        list_id: The list.
        page_size: Leads per page, 1 to 500.
        cursor: Where the page begins; None is the first page.

    Raises:
        UnexpectedResponseError: By its ``parse``: the page has more leads than a page may have.
    """
    request = Request(
        f"read the leads of list {list_id}",
        "GET",
        surface,
        f"{_path(list_id)}/leads",
        params=_params(limit=_page_size(page_size), cursor=cursor),
        limit=PAGE,
    )
    return _of_list(request, list_id, lambda ok: _lead_page(request, list_id, ok))


def export_json(
    surface: Surface, list_id: str, columns: Sequence[str] | None, page_size: int, cursor: str | None
) -> Call[responses.LeadPage]:
    """Return the call ``GET /export/json`` for one page: the only paged read that has company domains.

    Args:
        surface: API surface.
        list_id: The list.
        columns: Columns to export; None takes the API's default columns.
        page_size: Leads per page, 1 to 500.
        cursor: Where the page begins; None is the first page.

    Raises:
        UnexpectedResponseError: By its ``parse``: the page has more leads than a page may have.
    """
    request = Request(
        f"export list {list_id}",
        "GET",
        surface,
        "/export/json",
        params={
            **_params(list_id=valid_id(list_id), limit=_page_size(page_size), cursor=cursor),
            **({"columns": list(columns)} if columns else {}),
        },
        limit=PAGE,
    )
    return _of_list(request, list_id, lambda ok: _lead_page(request, list_id, ok, needs_id=not columns))


def export_csv(surface: Surface, list_id: str, *, smart_agents: bool = True) -> Call[responses.SignedExport]:
    """Return the call ``POST /export/csv/signed-url``, which writes a list to a file and returns its signed address.

    Args:
        surface: API surface.
        list_id: The list.
        smart_agents: Whether the file has the columns of smart agents, too.
    """

    def parse(ok: Ok) -> responses.SignedExport:
        body = ok.mapping()
        address = body.get("download_url")
        if not isinstance(address, str) or not address:
            raise ValueError("no address in the response")
        return responses.SignedExport(
            list_id,
            address,
            responses.count_or_none(body.get("row_count")),
            responses.count_or_none(body.get("file_size_bytes")),
        )

    request = Request(
        f"export list {list_id}",
        "POST",
        surface,
        "/export/csv/signed-url",
        body={"list_id": valid_id(list_id), **({} if smart_agents else {"include_smart_agents": False})},
        slow_seconds=EXPORT_SECONDS,
    )
    return _of_list(request, list_id, parse)


def add_leads(
    surface: Surface, list_id: str, lead_ids: Sequence[str], idempotency_key: str
) -> Call[responses.AddedLeads]:
    """Return the call ``POST /lead-lists/{id}/leads``, which the idempotency key makes safe to repeat.

    Args:
        surface: API surface.
        list_id: The list.
        lead_ids: 1 to 1,000 ids of leads.
        idempotency_key: Repeating a request with the same key adds nothing.
    """
    request = Request(
        f"add {counted(len(lead_ids), 'lead')} to list {list_id}",
        "POST",
        surface,
        f"{_path(list_id)}/leads",
        body={"lead_ids": list(lead_ids), "idempotency_key": idempotency_key},
    )
    return _of_list(request, list_id, _model(responses.AddedLeads))


def remove_leads(surface: Surface, list_id: str, lead_ids: Sequence[str]) -> Call[responses.RemovedLeads]:
    """Return the call ``DELETE /lead-lists/{id}/leads`` with a body.

    Args:
        surface: API surface.
        list_id: The list.
        lead_ids: 1 to 100 ids of leads.
    """
    request = Request(
        f"remove {counted(len(lead_ids), 'lead')} from list {list_id}",
        "DELETE",
        surface,
        f"{_path(list_id)}/leads",
        body={"lead_ids": list(lead_ids)},
    )
    return _of_list(request, list_id, _model(responses.RemovedLeads))


def _path(list_id: str) -> str:
    return f"/lead-lists/{quote(valid_id(list_id), safe='')}"


def _page_size(value: int) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_LEADS_PER_PAGE:
        raise errors.ConfigurationError(f"page_size must be 1 to {MAX_LEADS_PER_PAGE}, not {value}")
    return value


def _params(**values: str | int | None) -> dict[str, str | int | list[str]]:
    return {key: value for key, value in values.items() if value is not None}


def _unreadable(request: Request, ok: Ok, problem: str) -> errors.UnexpectedResponseError:
    return errors.UnexpectedResponseError(errors.ErrorInfo(request.operation, problem, status=ok.status))


def _lead_page(request: Request, list_id: str, ok: Ok, *, needs_id: bool = True) -> responses.LeadPage:
    body = ok.mapping()
    leads = body.get("leads")
    if not isinstance(leads, list):
        raise ValueError("no leads in the response")
    if len(leads) > MAX_LEADS_PER_PAGE:
        raise _unreadable(
            request, ok, f"a page has more leads than the {MAX_LEADS_PER_PAGE} that a page may have"
        )
    for lead in leads:
        if not isinstance(lead, dict) or (needs_id and not lead.get("lead_id")):
            raise ValueError("a lead without an id")
    return responses.LeadPage(
        list_id=list_id,
        leads=leads,
        total=responses.count_or_none(body.get("total")),
        cursor=responses.cursor_or_none(body.get("cursor")),
        weight=ok.weight,
    )
