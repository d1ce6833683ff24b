"""The trigger of asset watchers on an event loop against a real server, with intervals of a fraction of a second."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.triggers import lead_list
from airflow_provider_cleanlist.triggers.lead_list import CleanlistListTrigger

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]
Connect = Callable[..., None]
INTERVAL = 0.1
LISTS, DETAILS = "lead_list_index", "lead_list_get"
BOTH = ("lead_count", "enriched_count")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lead_list, "MIN_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(lead_list, "HANDOVER_SECONDS", 0.01)
    monkeypatch.setattr(lead_list, "LONGEST_PAUSE_SECONDS", 0.2)


@pytest.fixture
def server(cleanlist_sandbox: SandboxServer, connect: Connect) -> Iterator[SandboxServer]:
    connect(cleanlist_sandbox, requests_per_minute=100_000)
    return cleanlist_sandbox


class Store:
    """What Airflow 3.3 gives to a trigger of one asset."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def aget(self, key: str) -> Any:
        return json.loads(self.values[key]) if key in self.values else None

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)


class Watch:
    """A trigger that runs; its events are kept."""

    def __init__(self, store: Store | None = None, **arguments: Any) -> None:
        self.trigger = CleanlistListTrigger(**({"interval": INTERVAL} | arguments))
        self.trigger.asset_state_store = store  # type: ignore[assignment]
        self.events: list[dict[str, Any]] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for event in self.trigger.run():
            self.events.append(json.loads(json.dumps(event.payload))["cleanlist"])

    async def stop(self) -> list[dict[str, Any]]:
        assert not self.task.done()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        return self.events


async def until(happened: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110  # what is waited for is in the server
            await asyncio.sleep(0.01)


async def checks(server: SandboxServer, count: int) -> None:
    """Wait for further successful checks of the lists."""

    def made() -> int:
        return len(server.ledger.requests(endpoint=LISTS, status=200))

    wanted = made() + count
    await until(lambda: made() >= wanted)


def new_list(server: SandboxServer, name: str = "Watched", leads: int = 4) -> Any:
    made = server.state.lists.add_list(name, server.state.accounts.user, 0.0)
    server.state.lists.generate(made, leads)
    return made


def add_lead(server: SandboxServer, to: Any, provider: str | None = None) -> Any:
    organization = server.state.accounts.user.organization.organization_id
    lead = server.state.lists.lead_of(f"lead-{len(to.members)}", organization, first_name="Mara")
    to.members.add(lead.lead_id)
    return lead


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_only_a_change_fires(server: SandboxServer) -> None:
    watched, other = new_list(server), new_list(server, "Other")

    async def test() -> None:
        watch = Watch(list_id=watched.list_id, counts=BOTH)
        await checks(server, 3)
        add_lead(server, other)
        await checks(server, 3)
        assert watch.events == []
        lead = add_lead(server, watched)
        await until(lambda: len(watch.events) == 1)
        lead.fill(provider="leadmagic")
        await until(lambda: len(watch.events) == 2)
        await checks(server, 3)
        first, second = await watch.stop()
        enriched = first["enriched_count"]
        assert first == {
            "list_id": watched.list_id,
            "lead_count": 5,
            "enriched_count": enriched,
            "previous": {"lead_count": 4, "enriched_count": enriched},
        }
        assert (second["lead_count"], second["enriched_count"]) == (5, enriched + 1)

    run(test)


def test_a_list_is_watched_by_its_name_and_by_its_lead_count_alone(server: SandboxServer) -> None:
    watched = new_list(server, "By Name")

    async def test() -> None:
        watch = Watch(list_name="by name", counts=("lead_count",))
        await checks(server, 2)
        add_lead(server, watched).fill(provider="leadmagic")
        await until(lambda: watch.events)
        (event,) = await watch.stop()
        assert (event["lead_count"], event["enriched_count"]) == (5, None)
        assert not [entry for entry in server.ledger.requests() if watched.list_id in entry.path]

    run(test)


def test_two_watchers_of_one_list_keep_their_counts_apart(server: SandboxServer) -> None:
    watched, store = new_list(server), Store()

    async def test() -> None:
        leads, enriched = (Watch(store, list_id=watched.list_id, counts=name) for name in BOTH)
        await until(lambda: len(store.values) == 2)
        add_lead(server, watched)
        await until(lambda: leads.events)
        await checks(server, 3)
        assert len(await leads.stop()) == 1
        assert await enriched.stop() == []

    async def after_a_restart() -> None:
        watches = [Watch(store, list_id=watched.list_id, counts=name) for name in BOTH]
        await checks(server, 3)
        assert [await watch.stop() for watch in watches] == [[], []]

    run(test)
    run(after_a_restart)


def test_a_lead_count_is_reported_while_the_details_of_the_list_fail(
    server: SandboxServer, connect: Connect, logged: Callable[[], str]
) -> None:
    connect(server, requests_per_minute=100_000, max_retries=0)
    watched, store = new_list(server), Store()

    def stored(name: str) -> Any:
        return json.loads(next(iter(store.values.values()), "{}")).get(name)

    async def test() -> None:
        server.faults.fail(DETAILS, 500, times=None)
        watch = Watch(store, list_id=watched.list_id, counts=BOTH)
        await until(lambda: stored("lead_count") == 4)
        add_lead(server, watched)
        await until(lambda: watch.events)
        server.faults.clear()
        await until(lambda: stored("enriched_count") is not None)
        (event,) = await watch.stop()
        assert (event["lead_count"], event["enriched_count"]) == (5, None)

    run(test)
    assert f"The enriched_count of lead list {watched.list_id} is not known: " in logged()


def test_watchers_of_one_connection_share_one_request(server: SandboxServer) -> None:
    lists = [new_list(server, f"List {number}") for number in range(8)]

    async def test() -> None:
        watches = [Watch(list_id=item.list_id, counts=("lead_count",), interval=0.5) for item in lists]
        await checks(server, 3)
        for watch in watches:
            assert await watch.stop() == []
        assert len(server.ledger.requests()) in (3, 4), "the next check may have begun"

    run(test)


def test_a_change_while_nobody_watched_is_noticed_with_a_state_store_only(server: SandboxServer) -> None:
    watched, store = new_list(server), Store()

    async def test() -> None:
        first = [Watch(store, list_id=watched.list_id), Watch(None, list_id=watched.list_id)]
        await until(lambda: store.values)
        for watch in first:
            assert await watch.stop() == []

    async def after_a_restart() -> None:
        kept, blind = Watch(store, list_id=watched.list_id), Watch(None, list_id=watched.list_id)
        await until(lambda: kept.events and json.loads(next(iter(store.values.values())))["lead_count"] == 5)
        assert [event["previous"]["lead_count"] for event in await kept.stop()] == [4]
        assert await blind.stop() == []
        again = Watch(store, list_id=watched.list_id)
        await checks(server, 2)
        assert await again.stop() == []

    run(test)
    add_lead(server, watched)
    run(after_a_restart)


def test_an_event_that_was_not_handed_over_is_made_again(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, store = new_list(server), Store()
    monkeypatch.setattr(lead_list, "HANDOVER_SECONDS", 60.0)

    async def test() -> None:
        watch = Watch(store, list_id=watched.list_id)
        await until(lambda: store.values)
        add_lead(server, watched)
        await until(lambda: watch.events)
        await watch.stop()
        again = Watch(store, list_id=watched.list_id)
        await until(lambda: again.events)
        assert await again.stop() == watch.events

    run(test)


def test_a_store_that_fails_delays_the_watch_and_loses_nothing(server: SandboxServer) -> None:
    watched, store = new_list(server), Store()

    async def test() -> None:
        watch = Watch(store, list_id=watched.list_id)
        await until(lambda: store.values)
        await watch.stop()
        add_lead(server, watched)
        broken, store.aget = store.aget, _refuse  # type: ignore[method-assign]
        watch = Watch(store, list_id=watched.list_id)
        await checks(server, 2)
        store.aget = broken  # type: ignore[method-assign]
        await until(lambda: watch.events)
        assert len(await watch.stop()) == 1

    run(test)


async def _refuse(_: str) -> None:
    raise ConnectionError("no answer")


def test_a_refused_key_is_named_and_its_successor_used(
    server: SandboxServer, connect: Connect, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = new_list(server)
    right = json.loads(server.connection_json())
    wrong = right | {"password": "clapi_" + "w" * 58}
    wrong["extra"] = {"rate_limit_store": "memory://", "requests_per_minute": 100_000}
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(wrong))

    async def test() -> None:
        watch = Watch(list_id=watched.list_id)
        await until(lambda: len(server.ledger.requests(status=401)) >= 3)
        connect(server, requests_per_minute=100_000)
        await checks(server, 2)
        add_lead(server, watched)
        await until(lambda: watch.events)
        await watch.stop()

    run(test)
    text = logged()
    assert f"Checking lead list {watched.list_id} failed: " in text
    assert "HTTP 401" in text
    assert "connection 'cleanlist_default'" in text
    assert wrong["password"] not in text


def test_a_list_that_is_not_there_is_named_and_may_appear(
    server: SandboxServer, logged: Callable[[], str]
) -> None:
    async def test() -> None:
        watch = Watch(list_name="Later")
        await checks(server, 2)
        watched = new_list(server, "Later")
        await checks(server, 2)
        add_lead(server, watched)
        await until(lambda: watch.events)
        await watch.stop()

    run(test)
    text = logged()
    assert (
        "Checking lead list 'Later' failed: The API key of connection 'cleanlist_default' may see no such"
        in text
    )
    assert "Watching lead list 'Later': 4 leads" in text


def test_an_api_that_fails_for_a_while_does_not_end_the_watch(
    server: SandboxServer, connect: Connect
) -> None:
    connect(server, requests_per_minute=100_000, max_retries=0)
    watched = new_list(server)

    async def test() -> None:
        watch = Watch(list_id=watched.list_id)
        await checks(server, 2)
        server.faults.fail(LISTS, 500, times=6)
        await until(lambda: server.ledger.requests(endpoint=LISTS, status=500))
        add_lead(server, watched)
        await until(lambda: watch.events, 20.0)
        assert len(server.ledger.requests(endpoint=LISTS, status=500)) == 6
        assert len(await watch.stop()) == 1

    run(test)
