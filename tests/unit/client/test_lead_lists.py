from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client import lead_lists as module
from airflow_provider_cleanlist.client.lead_lists import READINGS, LeadLists, may_be_named, read_lead_lists
from airflow_provider_cleanlist.client.messages import Surface
from airflow_provider_cleanlist.client.responses import LeadList, LeadListPage

SIZE = 3
GAP = "lists are missing: after 3 attempts"


class Api:
    """Pages of lists by position, as Cleanlist's; what happens between two pages is scripted."""

    def __init__(self, names: Sequence[str], between: Callable[[Api], None] = lambda _: None) -> None:
        self.names = [*names]
        self.between = between
        self.requests = self.readings = 0
        self.total: Callable[[], int | None] = lambda: len(self.names)

    def page(self, cursor: str | None) -> LeadListPage:
        at = int(cursor or 0)
        if at:
            self.between(self)
        self.requests += 1
        self.readings += not at
        lists = [LeadList(list_id=f"id of {name}", name=name) for name in self.names[at : at + SIZE]]
        following = str(at + SIZE) if at + SIZE < len(self.names) else None
        return LeadListPage(lists=lists, total=self.total(), cursor=following)

    def read(self, name: str | None = None) -> LeadLists:
        reading = read_lead_lists(
            Surface.V2, lambda item: item if not name or may_be_named(name, item) else None
        )
        call = next(reading)
        try:
            while True:
                cursor = call.request.params.get("cursor")
                assert cursor is None or isinstance(cursor, str)
                call = reading.send(self.page(cursor))
        except StopIteration as end:
            lists: LeadLists = end.value
            return lists


def once(change: Callable[[Api], object]) -> Callable[[Api], None]:
    left = [change]

    def between(api: Api) -> None:
        if left:
            left.pop()(api)

    return between


def named(lists: Sequence[LeadList]) -> list[str]:
    return [item.name for item in lists]


@pytest.mark.parametrize(
    ("change", "requests"),
    [
        (lambda api: api.names.pop(0), 4),
        (lambda api: api.names.insert(0, "new"), 4),
        (lambda api: None, 2),
    ],
)
def test_a_list_on_the_border_of_two_pages_is_found_whatever_happens_between_them(
    change: Callable[[Api], object], requests: int
) -> None:
    api = Api(["a", "b", "c", "Prospects", "e"], once(change))
    lists = api.read("Prospects")
    assert named(lists.named("prospects")) == ["Prospects"]
    assert lists.is_complete
    assert api.requests == requests


def test_another_list_is_not_taken_for_the_managed_one_that_slipped_through() -> None:
    api = Api(["a", "b", "DEFAULT", "Extension Leads"], once(lambda api: api.names.pop(0)))
    assert named(api.read("Extension Leads").named("Extension Leads")) == ["Extension Leads"]


def test_lists_that_never_hold_still_are_an_error_unless_the_name_itself_arrived() -> None:
    api = Api([*"abcdefghijklmnop", "DEFAULT"], lambda api: api.names.pop(0))
    lists = api.read()
    assert not lists.is_complete
    assert api.readings == READINGS
    assert named(lists.named("default")) == ["DEFAULT"]
    assert [item.name for item in lists.with_id("id of DEFAULT")] == ["DEFAULT"]
    for find in (lambda: lists.named("Extension Leads"), lambda: lists.with_id("id of z")):
        with pytest.raises(errors.UnexpectedResponseError, match=GAP):
            find()


@pytest.mark.parametrize(("total", "is_complete"), [(None, True), (1, True), (5, True), (6, False)])
def test_a_total_that_is_never_reached_is_a_gap_and_a_smaller_or_absent_one_is_none(
    total: int | None, is_complete: bool
) -> None:
    api = Api(["a", "b", "c", "d", "e"])
    api.total = lambda: total
    lists = api.read()
    assert lists.is_complete is is_complete
    assert named(lists.named("d")) == ["d"]
    assert api.requests == (2 if is_complete else 2 * READINGS)


def test_the_managed_list_goes_by_its_other_name_in_a_complete_reading_only() -> None:
    managed = [LeadList(list_id="1", name="DEFAULT")]
    assert LeadLists(managed).named("Extension Leads") == managed
    assert LeadLists(managed, is_complete=False).named("default") == managed
    assert LeadLists(managed).named("Prospects") == []
    with pytest.raises(errors.UnexpectedResponseError, match=GAP):
        LeadLists(managed, is_complete=False).named("Extension Leads")


def test_names_are_made_comparable_once_for_all_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def noting(name: str) -> str:
        compared.append(name)
        return name.casefold()

    monkeypatch.setattr(module, "_comparable", noting)
    lists = LeadLists([LeadList(list_id=name, name=name) for name in ("a", "B", "b", "c")])
    assert [named(lists.named(name)) for name in ("A", "B", "b", "x")] == [["a"], ["B"], ["b"], []]
    assert compared == ["a", "B", "b", "c", "A", "B", "b", "x"]


def read_pages(*pages: Sequence[LeadList], most: int = 1000) -> LeadLists:
    """Read pages that hold what somebody likes, as a triggerer or a worker does."""
    reading = read_lead_lists(Surface.V2, lambda item: item, pages=most)
    next(reading)
    try:
        for number, lists in enumerate(pages, 1):
            reading.send(LeadListPage(lists=[*lists], cursor=f"{number}" if number < len(pages) else None))
    except StopIteration as end:
        found: LeadLists = end.value
        return found
    raise AssertionError("not all pages were wanted")


def many(count: int, first: int = 0, **fields: object) -> list[LeadList]:
    return [LeadList(list_id=f"{number}", **fields) for number in range(first, first + count)]


@pytest.mark.parametrize("pages", [(many(201),), (many(100), many(101, 100))])
def test_more_lists_than_the_pages_are_asked_for_are_an_error(pages: tuple[Sequence[LeadList], ...]) -> None:
    with pytest.raises(errors.UnexpectedResponseError, match="there are more than 200 of them"):
        read_pages(*pages, most=2)
    assert len(read_pages(many(150), many(150, 50), most=2).lists) == 200


@pytest.mark.parametrize("field", ["name", "description", "something_new"])
def test_what_is_kept_of_lists_is_bounded_whatever_it_is_called(field: str) -> None:
    lists = many(10, **{field: "x" * 500_000})
    with pytest.raises(errors.UnexpectedResponseError, match="they have more than 4,000,000 characters"):
        read_pages(*([item] for item in lists))
    assert len(read_pages(*([item] for item in lists[:7])).lists) == 7


def test_lists_without_a_name_count_by_what_they_take() -> None:
    with pytest.raises(errors.UnexpectedResponseError, match="they have more than 4,000,000 characters"):
        read_pages(*(many(100, start) for start in range(0, 40_000, 100)))
    assert len(read_pages(*(many(100, start) for start in range(0, 10_000, 100)), most=100).lists) == 10_000
