"""Lead lists, leads, and which lead is on which list."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_cleanlist.sandbox.state.accounts import User
from airflow_provider_cleanlist.sandbox.state.generated import GeneratedLeads, parse_lead_id

ROW_FIELDS = (
    "lead_id",
    "first_name",
    "last_name",
    "full_name",
    "email",
    "phone",
    "title",
    "company",
    "location",
    "linkedin_url",
    "provider",
)


@dataclass(slots=True)
class Lead:
    """A person known to an organisation. Change it only with ``fill``, which renews the cached JSON."""

    lead_id: str
    organization_id: str
    identity: str
    first_name: str | None = None
    last_name: str | None = None
    full_name: str | None = None
    email: str | None = None
    phone: str | None = None
    title: str | None = None
    company: str | None = None
    domain: str | None = None
    location: str | None = None
    linkedin_url: str | None = None
    provider: str | None = None
    _json: str | None = field(default=None, repr=False)

    def fill(self, **values: str | None) -> None:
        """Set the fields that have a value; None never overwrites a known one."""
        for name, value in values.items():
            if value is not None:
                setattr(self, name, value)
        self._json = None

    def row(self) -> dict[str, Any]:
        """Return the lead as an object, with the company's domain, which only exports show."""
        return {name: getattr(self, name) for name in (*ROW_FIELDS, "domain")}

    def row_json(self) -> str:
        """Return the lead as JSON, with the fields that ``GET /lead-lists/{id}/leads`` shows."""
        if self._json is None:
            values = {name: getattr(self, name) for name in ROW_FIELDS}
            self._json = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        return self._json


@dataclass(slots=True)
class Folder:
    """A user's folder for lists."""

    folder_id: str
    owner: User


class Members:
    """The leads on a list: first generated ones, by index, then others by id in the order they were added."""

    def __init__(self) -> None:
        self.generated = GeneratedLeads(0, 0)
        self._indexes: range | array[int] = range(0)
        self._ids: dict[str, None] = {}
        self._order: list[str] | None = []

    def __len__(self) -> int:
        return len(self._indexes) + len(self._ids)

    def __contains__(self, lead_id: str) -> bool:
        return lead_id in self._ids or self._generated_index(lead_id) is not None

    def generate(self, leads: GeneratedLeads) -> None:
        """Put generated leads on the list, replacing earlier generated ones."""
        self.generated = leads
        self._indexes = range(len(leads))

    def add(self, lead_id: str) -> bool:
        """Put a lead on the list; return False if it is on it already."""
        if lead_id in self:
            return False
        self._ids[lead_id] = None
        if self._order is not None:
            self._order.append(lead_id)
        return True

    def remove(self, lead_ids: Iterable[str]) -> int:
        """Take leads off the list and return how many were removed."""
        before = len(self)
        indexes = set()
        for lead_id in set(lead_ids):
            if lead_id in self._ids:
                del self._ids[lead_id]
                self._order = None
            elif (index := self._generated_index(lead_id)) is not None:
                indexes.add(index)
        if indexes:
            self._indexes = array("I", (index for index in self._indexes if index not in indexes))
        return before - len(self)

    def page(self, start: int, stop: int) -> tuple[Sequence[int], list[str]]:
        """Return the leads between two positions: the indexes of generated ones and the ids of others."""
        split = len(self._indexes)
        if self._order is None:
            self._order = list(self._ids)
        return self._indexes[start:stop], self._order[max(0, start - split) : max(0, stop - split)]

    def generated_enriched(self) -> int:
        """Return how many generated leads on the list have been enriched."""
        return sum(map(GeneratedLeads.enriched, self._indexes))

    def _generated_index(self, lead_id: str) -> int | None:
        parsed = parse_lead_id(lead_id) if self.generated.count else None
        if parsed is None or parsed[0] != self.generated.seed:
            return None
        position = bisect_left(self._indexes, parsed[1])
        found = position < len(self._indexes) and self._indexes[position] == parsed[1]
        return parsed[1] if found else None


@dataclass(slots=True)
class StoredList:
    """A lead list with its members."""

    list_id: str
    name: str
    owner: User
    created_at: float
    description: str | None = None
    folder_id: str | None = None
    visibility: Literal["private", "organization", "shared"] = "private"
    shared_with: frozenset[str] = frozenset()
    is_protected: bool = False
    members: Members = field(default_factory=Members)

    def visible_to(self, user: User) -> bool:
        """Whether a user may read the list: it is theirs, visible to the organisation, or shared with them."""
        if self.owner.user_id == user.user_id:
            return True
        if self.owner.organization is not user.organization:
            return False
        return self.visibility == "organization" or user.user_id in self.shared_with


class ListStore:
    """All lists, leads and folders of a sandbox."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self.lists: dict[str, StoredList] = {}
        self.leads: dict[str, Lead] = {}
        self.folders: dict[str, Folder] = {}
        self._by_identity: dict[tuple[str, str], Lead] = {}
        self._generated: dict[int, tuple[GeneratedLeads, str]] = {}

    def add_folder(self, owner: User) -> Folder:
        """Create a folder, as a user would in the portal."""
        folder = Folder(self._new_id(), owner)
        self.folders[folder.folder_id] = folder
        return folder

    def add_list(self, name: str, owner: User, now: float, **fields: Any) -> StoredList:
        """Create a list, whether or not one of this name exists."""
        lead_list = StoredList(self._new_id(), name, owner, now, **fields)
        self.lists[lead_list.list_id] = lead_list
        return lead_list

    def named(self, name: str, owner: User) -> StoredList | None:
        """Return the user's own list of this name, ignoring case and surrounding blanks."""
        key = name.strip().casefold()
        return next(
            (
                item
                for item in self.lists.values()
                if item.owner is owner and item.name.strip().casefold() == key
            ),
            None,
        )

    def visible(self, user: User, folder_id: str | None = None) -> list[StoredList]:
        """Return the lists that a user may read, newest first, then by id."""
        lists = [
            item
            for item in self.lists.values()
            if item.visible_to(user) and (folder_id is None or item.folder_id == folder_id)
        ]
        return sorted(lists, key=lambda item: (-item.created_at, item.list_id))

    def managed(self, user: User, name: str, now: float) -> StoredList:
        """Return the user's managed list, which is created if it is missing."""
        if user.managed_list_id is None:
            user.managed_list_id = self.add_list(name, user, now, is_protected=True).list_id
        return self.lists[user.managed_list_id]

    def generate(self, lead_list: StoredList, count: int) -> None:
        """Put generated leads on a list, replacing earlier generated ones."""
        seed = lead_list.members.generated.seed or len(self._generated) + 1
        leads = GeneratedLeads(seed, count)
        self._generated[seed] = (leads, lead_list.owner.organization.organization_id)
        lead_list.members.generate(leads)

    def lead_of(self, identity: str, organization_id: str, **fields: str | None) -> Lead:
        """Return the lead of this identity in an organisation, created or completed from ``fields``."""
        lead = self._by_identity.get((organization_id, identity))
        if lead is None:
            lead = Lead(self._new_id(), organization_id, identity)
            self._by_identity[organization_id, identity] = lead
            self.leads[lead.lead_id] = lead
        lead.fill(**{name: value for name, value in fields.items() if getattr(lead, name) is None})
        return lead

    def knows(self, lead_id: str, organization_id: str) -> bool:
        """Whether the organisation has a lead with this id."""
        if lead_id in self.leads:
            return self.leads[lead_id].organization_id == organization_id
        parsed = parse_lead_id(lead_id)
        if parsed is None or parsed[0] not in self._generated:
            return False
        leads, owner = self._generated[parsed[0]]
        return parsed[1] < len(leads) and owner == organization_id

    def rows_json(self, lead_list: StoredList, start: int, stop: int) -> str:
        """Return the leads between two positions as a JSON array."""
        indexes, lead_ids = lead_list.members.page(start, stop)
        generated = lead_list.members.generated.row_json
        return f"[{','.join((*map(generated, indexes), *map(self._row_json, lead_ids)))}]"

    def rows(self, lead_list: StoredList, start: int, stop: int) -> list[dict[str, Any]]:
        """Return the leads between two positions as objects, with the company's domain."""
        indexes, lead_ids = lead_list.members.page(start, stop)
        generated = lead_list.members.generated.row
        return [*map(generated, indexes), *(self.row(lead_id) for lead_id in lead_ids)]

    def row(self, lead_id: str) -> dict[str, Any]:
        """Return a lead as an object, with the company's domain."""
        if lead_id in self.leads:
            return self.leads[lead_id].row()
        leads, index = self._locate(lead_id)
        return leads.row(index)

    def enriched_count(self, lead_list: StoredList) -> int:
        """Return how many leads on the list have been enriched."""
        _, lead_ids = lead_list.members.page(0, len(lead_list.members))
        others = sum(row["provider"] is not None for row in map(self.row, lead_ids))
        return lead_list.members.generated_enriched() + others

    def _row_json(self, lead_id: str) -> str:
        if lead_id in self.leads:
            return self.leads[lead_id].row_json()
        leads, index = self._locate(lead_id)
        return leads.row_json(index)

    def _locate(self, lead_id: str) -> tuple[GeneratedLeads, int]:
        seed, index = parse_lead_id(lead_id) or (0, 0)
        return self._generated[seed][0], index
