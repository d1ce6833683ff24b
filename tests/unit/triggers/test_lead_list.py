from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.triggers import base

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.lead_lists import LeadLists
from airflow_provider_cleanlist.client.protocol import Call
from airflow_provider_cleanlist.client.rate_limit.core import Priority
from airflow_provider_cleanlist.client.responses import LeadList, LeadListPage
from airflow_provider_cleanlist.client.settings import ClientSettings, build_settings
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.input_limits import LIST_CHARACTERS
from airflow_provider_cleanlist.triggers import lead_list as module
from airflow_provider_cleanlist.triggers import list_counts
from airflow_provider_cleanlist.triggers.lead_list import CleanlistListTrigger, _differ, _pause
from airflow_provider_cleanlist.triggers.list_counts import SharedCounts

needs_airflow_3 = pytest.mark.skipif(
    not hasattr(base, "BaseEventTrigger"), reason="Airflow 2 has no watchers"
)


class TestArguments:
    def test_only_names_and_numbers_are_stored(self):
        path, kwargs = CleanlistListTrigger(list_name="Leads", interval=timedelta(minutes=2)).serialize()
        assert path == "airflow_provider_cleanlist.triggers.lead_list.CleanlistListTrigger"
        assert kwargs == {
            "list_id": None,
            "list_name": "Leads",
            "cleanlist_conn_id": "cleanlist_default",
            "interval": 120.0,
            "counts": ["lead_count"],
        }
        assert json.loads(json.dumps(kwargs)) == kwargs

    def test_a_trigger_made_again_is_the_same(self):
        trigger = CleanlistListTrigger(list_id="l1", counts=("enriched_count", "lead_count"), interval=60)
        assert CleanlistListTrigger(**trigger.serialize()[1]).serialize() == trigger.serialize()

    @needs_airflow_3
    def test_equal_watchers_have_one_hash_and_others_another(self):
        def hashed(**arguments: Any) -> int:
            return base.BaseEventTrigger.hash(*CleanlistListTrigger(**arguments).serialize())

        assert hashed(list_id="l1", interval=300) == hashed(list_id="l1", interval=timedelta(minutes=5))
        both = [["enriched_count", "lead_count"], ("lead_count", "enriched_count")]
        assert hashed(list_id="l1", counts=both[0]) == hashed(list_id="l1", counts=both[1])
        others = [{"list_id": "l2"}, {"list_name": "l1"}, {"list_id": "l1", "counts": "enriched_count"}]
        assert len({hashed(**arguments) for arguments in [{"list_id": "l1"}, *others]}) == 4

    @needs_airflow_3
    def test_airflow_takes_it_for_a_watcher(self):
        from airflow.sdk import Asset, AssetWatcher

        watcher = AssetWatcher(name="counts", trigger=CleanlistListTrigger(list_id="l1"))
        assert Asset("leads", watchers=[watcher]).watchers == [watcher]

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({}, "exactly one of list_id and list_name"),
            ({"list_id": "l1", "list_name": "Leads"}, "exactly one of list_id and list_name"),
            ({"list_id": "  "}, "exactly one of list_id and list_name"),
            ({"list_id": "l1", "interval": 29}, "at least 30 seconds"),
            ({"list_id": "l1", "interval": timedelta(0)}, "at least 30 seconds"),
            ({"list_id": "l1", "interval": "soon"}, "interval"),
            ({"list_id": "l1", "counts": ()}, "counts must be some of lead_count, enriched_count"),
            ({"list_id": "l1", "counts": ("leads",)}, "counts must be some of lead_count, enriched_count"),
            ({"list_id": "l1", "counts": None}, "counts must be some of .*, not None"),
            ({"list_id": "l1", "counts": 5}, "counts must be some of .*, not 5"),
            ({"list_id": "l1", "counts": [["x"]]}, "counts must be some of .*, not"),
            ({"list_id": "l1", "counts": ["lead_count", None]}, "counts must be some of .*, not"),
            ({"list_id": ["x"]}, "list_id must be a text, not"),
            ({"list_name": 7}, "list_name must be a text, not 7"),
            ({"list_name": "{{ var.value.list }}"}, "does not render"),
            ({"list_id": "l1", "cleanlist_conn_id": "{{ x }}"}, "does not render"),
        ],
    )
    def test_an_invalid_one_is_named_when_the_dag_is_parsed(self, arguments: dict[str, Any], named: str):
        with pytest.raises(CleanlistConfigurationError, match=named):
            CleanlistListTrigger(**arguments)


def test_watchers_of_one_list_keep_their_counts_apart():
    counts = [
        "lead_count",
        "enriched_count",
        ("lead_count", "enriched_count"),
        ["enriched_count", "lead_count"],
    ]
    keys = [CleanlistListTrigger(list_id="l1", counts=names)._state_key() for names in counts]
    assert len({*keys}) == 3
    assert keys[2] == keys[3]


class TestPause:
    def test_it_doubles_with_each_failure_up_to_an_hour(self):
        assert [_pause(300, failures) for failures in range(6)] == [300, 600, 1200, 2400, 3600, 3600]

    def test_it_is_never_shorter_than_the_interval(self):
        assert [_pause(7200, failures) for failures in (0, 1, 5000)] == [7200, 7200, 7200]


def counts(leads: int | None, enriched: int | None, list_id: str = "l1") -> dict[str, Any]:
    return {"list_id": list_id, "lead_count": leads, "enriched_count": enriched}


@pytest.mark.parametrize(
    ("previous", "current", "changed"),
    [
        (counts(3, 1), counts(3, 1), False),
        (counts(3, 1), counts(4, 1), True),
        (counts(3, 1), counts(2, 1), True),
        (counts(3, 1), counts(3, 0), True),
        (counts(0, 0), counts(0, 0), False),
        (counts(3, None), counts(3, 2), False),
        (counts(3, 2), counts(3, None), False),
        (counts(3, 1), counts(3, 1, "l2"), True),
        ({"list_id": "l1", "lead_count": 3}, counts(3, 1), False),
    ],
)
def test_what_counts_as_a_change(previous: dict[str, Any], current: dict[str, Any], changed: bool):
    assert _differ(previous, current) is changed


class Answers:
    """A poller that answers from a function of the path and the cursor, and keeps the requests."""

    def __init__(self, answer: Callable[[str, Any], Any]) -> None:
        self.answer = answer
        self.calls: list[Call[Any]] = []

    async def settings(self) -> ClientSettings:
        return build_settings("http://127.0.0.1:9", "clapi_x", {})

    async def run(self, call: Call[Any]) -> Any:
        self.calls.append(call)
        await asyncio.sleep(0)
        return self.answer(call.request.path, call.request.params.get("cursor"))


def page(*list_ids: str, cursor: str | None = None) -> LeadListPage:
    lists = [LeadList(list_id=list_id, lead_count=1) for list_id in list_ids]
    return LeadListPage(lists=lists, cursor=cursor)


class TestSharedCounts:
    def test_many_ask_at_once_and_one_request_with_low_priority_is_sent(self):
        poller = Answers(lambda *_: page("a", "b"))

        async def ask() -> list[Any]:
            shared = SharedCounts(poller)  # type: ignore[arg-type]
            return await asyncio.gather(*(shared.latest(300.0) for _ in range(20)))

        readings = asyncio.run(ask())
        assert [item.list_id for item in readings[0].lead_lists.lists] == ["a", "b"]
        assert all(reading is readings[0] for reading in readings)
        assert [call.request.priority for call in poller.calls] == [Priority.POLL]

    def test_all_pages_are_read_and_a_list_that_moved_counts_once(self):
        poller = Answers(lambda _, cursor: page("b", "c") if cursor else page("a", "b", cursor="2"))
        reading = asyncio.run(SharedCounts(poller).latest(300.0))  # type: ignore[arg-type]
        assert [item.list_id for item in reading.lead_lists.lists] == ["a", "b", "c"]

    def test_pages_that_never_end_are_an_error(self):
        poller = Answers(lambda *_: page("a", cursor="again"))
        reading = asyncio.run(SharedCounts(poller).latest(300.0))  # type: ignore[arg-type]
        assert "reading would never end" in str(reading.error)
        assert len(poller.calls) == 2

    def test_names_are_kept_up_to_a_total(self):
        def lists(name: str) -> list[LeadList]:
            return [LeadList(list_id=f"{name[:1]}{n}", name=name, lead_count=1) for n in range(100)]

        def latest(name: str) -> Any:
            pages = [LeadListPage(lists=lists(f"{n}{name}"), cursor=f"c{n}") for n in range(9)]
            poller = Answers(lambda *_: pages.pop(0) if pages else page("last"))
            return asyncio.run(SharedCounts(poller).latest(300.0))  # type: ignore[arg-type]

        assert len(latest("x" * 400).lead_lists.lists) == 901
        refused = latest("x" * (LIST_CHARACTERS // 899))
        assert "more than 4,000,000 characters" in str(refused.error)
        assert refused.lead_lists.lists == ()

    def test_more_lists_than_100_pages_hold_are_an_error(self):
        poller = Answers(lambda *_: page(*map(str, range(10_001))))
        reading = asyncio.run(SharedCounts(poller).latest(300.0))  # type: ignore[arg-type]
        assert "there are more than 10,000 of them" in str(reading.error)

    def test_names_are_compared_beside_the_event_loop(self, monkeypatch: pytest.MonkeyPatch):
        named, threads = LeadLists.named, []

        def noting(lists: LeadLists, name: str) -> list[LeadList]:
            threads.append(threading.current_thread())
            return named(lists, name)

        lists = [LeadList(list_id="a", name="Prospects", lead_count=7)]
        shared = SharedCounts(Answers(lambda *_: LeadListPage(lists=lists)))  # type: ignore[arg-type]
        monkeypatch.setattr(LeadLists, "named", noting)
        monkeypatch.setattr(module, "shared_counts", lambda _: shared)
        trigger = CleanlistListTrigger(list_name="prospects", counts=["lead_count"])
        _, current = asyncio.run(trigger._check())
        assert current == counts(7, None, "a")
        assert len(threads) == 1
        assert threads != [threading.current_thread()]

    def test_pages_are_worked_through_beside_the_event_loop(self, monkeypatch: pytest.MonkeyPatch):
        threads = []

        def noting(item: LeadList, name: str) -> LeadList:
            threads.append(threading.current_thread())
            return LeadList(list_id=item.list_id, name=name)

        monkeypatch.setattr(list_counts, "_counts_of", noting)
        poller = Answers(lambda _, cursor: page("b") if cursor else page("a", cursor="2"))
        reading = asyncio.run(SharedCounts(poller).latest(300.0))  # type: ignore[arg-type]
        assert [item.list_id for item in reading.lead_lists.lists] == ["a", "b"]
        assert len(threads) == 2
        assert threading.current_thread() not in threads

    def test_searches_run_one_at_a_time_and_fail_alone(self):
        running, most = [], []

        def search(lists: LeadLists) -> int:
            running.append(1)
            most.append(len(running))
            time.sleep(0.001)
            running.pop()
            if len(most) == 3:
                raise errors.NotFoundError(errors.ErrorInfo("find a list", "gone"))
            return len(lists.lists)

        async def ask() -> list[Any]:
            shared = SharedCounts(Answers(lambda *_: page("a", "b")))  # type: ignore[arg-type]
            reading = await shared.latest(300.0)
            return await asyncio.gather(
                *(shared.found(reading, search) for _ in range(8)), return_exceptions=True
            )

        results = asyncio.run(ask())
        assert [item for item in results if item != 2] == [results[2]]
        assert isinstance(results[2], errors.NotFoundError)
        assert most == [1] * 8

    def test_the_details_of_a_list_are_kept_without_its_texts(self):
        single = LeadList(list_id="a", name="n" * 9000, description="d" * 9000, enriched_count=1)
        poller = Answers(lambda path, _: single if path.endswith("/a") else page("a"))

        async def ask() -> LeadList:
            shared = SharedCounts(poller)  # type: ignore[arg-type]
            reading = await shared.latest(300.0)
            return await shared.with_enriched_count(reading, reading.lead_lists.lists[0])

        assert asyncio.run(ask()) == LeadList(list_id="a", enriched_count=1)

    def test_the_enriched_count_is_asked_for_once_per_reading_and_only_where_the_page_lacks_it(self):
        poller = Answers(lambda *_: LeadList(list_id="a", lead_count=2, enriched_count=1))
        known = LeadList(list_id="b", lead_count=5, enriched_count=5)

        async def ask() -> list[LeadList]:
            shared = SharedCounts(poller)  # type: ignore[arg-type]
            poller.answer, single = lambda *_: page("a"), poller.answer
            reading = await shared.latest(300.0)
            poller.answer = single
            wanted = [reading.lead_lists.lists[0], reading.lead_lists.lists[0], known]
            return [await shared.with_enriched_count(reading, item) for item in wanted]

        assert [item.enriched_count for item in asyncio.run(ask())] == [1, 1, 5]
        assert [call.request.path for call in poller.calls] == ["/lead-lists", "/lead-lists/a"]

    @pytest.mark.parametrize(
        ("failing", "kind", "read", "requests"),
        [
            ("abcdef", errors.ServerError, "", 2),
            ("abcdef", errors.TransportError, "", 2),
            ("bd", errors.ServerError, "ac", 4),
            ("b", errors.ServerError, "acdef", 6),  # one list's own fault
            ("abcde", errors.NotFoundError, "f", 6),
            ("", errors.ServerError, "abcdef", 6),
        ],
    )
    def test_details_that_fail_are_asked_for_no_more_in_the_same_check(
        self, failing: str, kind: type[errors.ApiError], read: str, requests: int
    ):
        def answer(path: str, _: Any) -> Any:
            if path == "/lead-lists":
                return page(*"abcdef")
            if path[-1] in failing:
                raise kind(errors.ErrorInfo(f"read lead list {path[-1]}", "down"))
            return LeadList(list_id=path[-1], enriched_count=1)

        poller = Answers(answer)

        async def check(shared: SharedCounts) -> str:
            reading = await shared.latest(0.0)
            known = [shared.with_enriched_count(reading, item) for item in reading.lead_lists.lists]
            results = await asyncio.gather(*known, return_exceptions=True)
            assert all(isinstance(item, LeadList | kind) for item in results)
            return "".join(item.list_id for item in results if isinstance(item, LeadList))

        async def check_twice() -> list[str]:
            shared = SharedCounts(poller)  # type: ignore[arg-type]
            return [await check(shared), await check(shared)]

        assert asyncio.run(check_twice()) == [read, read]
        assert len(poller.calls) == 2 * (1 + requests)  # the next check asks again

    @pytest.mark.parametrize(
        ("lists", "interval", "warnings"), [(75, 300.0, 0), (76, 300.0, 1), (76, 304.0, 0)]
    )
    def test_details_of_many_lists_are_warned_of_once(
        self, caplog: pytest.LogCaptureFixture, lists: int, interval: float, warnings: int
    ):
        names = [f"l{number}" for number in range(lists)]
        single = LeadList(list_id="a", enriched_count=1)
        poller = Answers(lambda path, _: page(*names) if path == "/lead-lists" else single)

        async def check_twice() -> None:
            shared = SharedCounts(poller)  # type: ignore[arg-type]
            for _ in range(2):
                reading = await shared.latest(interval)
                await asyncio.gather(
                    *(shared.with_enriched_count(reading, item) for item in reading.lead_lists.lists)
                )
                reading.read_at -= interval

        asyncio.run(check_twice())
        assert len(poller.calls) == 2 + 2 * lists
        said = [
            record.message for record in caplog.records if "more than a quarter of the 300" in record.message
        ]
        assert len(said) == warnings
