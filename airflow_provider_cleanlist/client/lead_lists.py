"""All lead lists of a key, read page by page, and those of a name among them. Pure: the caller sends the requests.

The API pages by position, so a list can slip through between two pages when another one is deleted meanwhile. The
number of lists tells, unless one is created at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_cleanlist.client import endpoints, errors
from airflow_provider_cleanlist.client.messages import Surface
from airflow_provider_cleanlist.client.protocol import Call, PageCursors
from airflow_provider_cleanlist.client.responses import (
    MANAGED_LIST_NAMES,
    LeadList,
    LeadListPage,
    is_managed_list,
)
from airflow_provider_cleanlist.input_limits import (
    LIST_CHARACTERS,
    NAME_CHARACTERS,
    PAGES_OF_LISTS,
    normal_form,
)

_OPERATION = "read the lead lists"
READINGS = 3
"""How often the lists are read in a row, at most, until none can be missing."""


@dataclass(frozen=True)
class LeadLists:
    """What a reading of all lists returned.

    Attributes:
        lists: The lists, each once.
        is_complete: Whether none can be missing; if not, what is not among them may exist all the same.
    """

    lists: Sequence[LeadList] = ()
    is_complete: bool = True

    def named(self, name: str) -> list[LeadList]:
        """Return the lists of exactly that name, else of that name in any letter case, else the managed list.

        The same name may arrive in different Unicode normal forms: macOS decomposes accents, a web form composes them.

        Args:
            name: The name.

        Raises:
            UnexpectedResponseError: No list has the name itself, and lists may be missing.
        """
        alike = self._alike(name)
        if found := [item for item in alike if item.name == name] or alike:
            return found
        self._check_complete()
        others = MANAGED_LIST_NAMES if is_managed_list(name) else ()
        return next(filter(None, map(self._alike, others)), [])

    def with_id(self, list_id: str) -> list[LeadList]:
        """Return the list of an id, if there is one.

        Args:
            list_id: The id.

        Raises:
            UnexpectedResponseError: There is none, and lists may be missing.
        """
        found = [item for item in self.lists if item.list_id == list_id]
        if not found:
            self._check_complete()
        return found

    def _alike(self, name: str) -> list[LeadList]:
        return list(self._by_name.get(_comparable(name), ()))

    @cached_property
    def _by_name(self) -> dict[str, list[LeadList]]:
        """The lists by comparable name: hundreds of triggers may ask for one each."""
        found: dict[str, list[LeadList]] = {}
        for item in self.lists:
            found.setdefault(_comparable(item.name), []).append(item)
        return found

    def _check_complete(self) -> None:
        if not self.is_complete:
            problem = (
                f"lists are missing: after {READINGS} attempts their number still changed between the pages, or fewer "
                "arrived than Cleanlist says there are"
            )
            raise errors.UnexpectedResponseError(errors.ErrorInfo(_OPERATION, problem, status=200))


def may_be_named(name: str, item: LeadList) -> bool:
    """Return whether :meth:`LeadLists.named` may return a list for a name.

    Args:
        name: The name.
        item: The list.
    """
    return bool(LeadLists([item]).named(name))


def read_lead_lists(
    surface: Surface, keep: Callable[[LeadList], LeadList | None], *, pages: int = PAGES_OF_LISTS
) -> Generator[Call[LeadListPage], LeadListPage, LeadLists]:
    """Read all lists, again if one may have slipped through.

    Args:
        surface: API surface.
        keep: Returns what to keep of a list; None keeps nothing of it.
        pages: How many pages there may be.

    Yields:
        Calls, one for each page; the caller sends back the page.

    Returns:
        The lists that were kept.

    Raises:
        UnexpectedResponseError: The pages never end or hold more than they are asked for, or what is kept is too much.
    """
    for _ in range(READINGS):
        lists = yield from _read_once(surface, keep, pages)
        if lists.is_complete:
            break
    return lists


def _read_once(
    surface: Surface, keep: Callable[[LeadList], LeadList | None], pages: int
) -> Generator[Call[LeadListPage], LeadListPage, LeadLists]:
    kept: dict[str, LeadList] = {}
    seen: set[int] = set()  # hashes: there may be many ids, and long ones
    totals: set[int] = set()
    cursor, cursors, room = None, PageCursors(_OPERATION, pages=pages), LIST_CHARACTERS
    most = pages * endpoints.MAX_LISTS_PER_PAGE
    while True:
        page = yield endpoints.list_lead_lists(surface, cursor, None)
        seen.update(hash(item.list_id) for item in page.lists)
        if len(seen) > most:
            problem = f"there are more than {most:,} of them"
            raise errors.UnexpectedResponseError(errors.ErrorInfo(_OPERATION, problem, status=200))
        for item in page.lists:
            if (part := keep(item)) is not None:
                kept[item.list_id] = part
                room -= len(str(part.model_dump()))
            if room < 0:
                problem = f"they have more than {LIST_CHARACTERS:,} characters together"
                raise errors.UnexpectedResponseError(errors.ErrorInfo(_OPERATION, problem, status=200))
        if page.total is not None:
            totals.add(page.total)
        cursor = cursors.after(page)
        if cursor is None:
            is_complete = len(totals) <= 1 and len(seen) >= max(totals, default=0)
            return LeadLists(tuple(kept.values()), is_complete)


def _comparable(name: str) -> str:
    if len(name) > NAME_CHARACTERS:
        return name
    return normal_form("NFC", normal_form("NFC", name).strip().casefold())
