"""The trigger on an event loop against a real server, in a window of 2 s in place of a minute."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.sandbox.server import SandboxServer
from airflow_provider_cleanlist.triggers.shared_poller import SharedPoller
from airflow_provider_cleanlist.triggers.workflow import WorkflowTrigger
from airflow_provider_cleanlist.waiting.outcome import (
    conclude,
    outcome_from_json,
)
from airflow_provider_cleanlist.waiting.wait import WaitRequest

from .conftest import STATUS, polls_of, request_for, submit

pytestmark = [pytest.mark.integration]
Connect = Callable[..., None]
quick = pytest.mark.cleanlist_sandbox(seconds_to_complete=1.5, window_seconds=2)
brief = pytest.mark.cleanlist_sandbox(seconds_to_complete=0.1, window_seconds=0.2)


async def event_of(trigger: WorkflowTrigger) -> dict[str, Any]:
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return json.loads(json.dumps(events[0]))


def fire(request: WaitRequest, **passthrough: Any) -> dict[str, Any]:
    return asyncio.run(event_of(WorkflowTrigger.of(request, passthrough)))


@quick
def test_the_event_carries_the_summary_and_what_was_passed_through(
    cleanlist_sandbox: SandboxServer, connect: Connect
):
    connect(cleanlist_sandbox)
    ids = submit(cleanlist_sandbox, 5)
    event = fire(request_for(ids), batches=5)
    summary = conclude(outcome_from_json(event))
    assert (summary["workflows"], summary["completed"], summary["total"]) == (5, 5, 200)
    assert summary["successful"] + summary["failed_contacts"] == 200
    assert summary["emails_found"] == cleanlist_sandbox.ledger.credits_charged
    assert event["passthrough"] == {"batches": 5}
    assert not cleanlist_sandbox.ledger.requests(status=429)


@quick
@pytest.mark.parametrize("variant", ["summary", "flat", "results", "sparse"])
def test_every_shape_of_the_answer_is_understood(
    cleanlist_sandbox: SandboxServer, connect: Connect, variant: str
):
    connect(cleanlist_sandbox)
    cleanlist_sandbox.settings.change(status_variant=variant, running_status="Enriching")
    ids = submit(cleanlist_sandbox, 3)
    summary = conclude(outcome_from_json(fire(request_for(ids))))
    assert summary["completed"] == 3
    assert summary["total"] == (0 if variant == "sparse" else 120)


@quick
def test_failed_workflows_arrive_as_such(cleanlist_sandbox: SandboxServer, connect: Connect):
    connect(cleanlist_sandbox)
    cleanlist_sandbox.faults.end_workflows("failed", times=1)
    ids = submit(cleanlist_sandbox, 3)
    outcome = outcome_from_json(fire(request_for(ids)))
    assert outcome.failed_ids == (ids[0],)
    with pytest.raises(exceptions.CleanlistWorkflowFailedError, match=ids[0]):
        conclude(outcome)


@pytest.mark.cleanlist_sandbox(seconds_to_complete=1000, window_seconds=2)
def test_the_deadline_ends_the_wait_on_time(cleanlist_sandbox: SandboxServer, connect: Connect):
    connect(cleanlist_sandbox)
    ids = submit(cleanlist_sandbox, 2)
    started = time.monotonic()
    outcome = outcome_from_json(fire(request_for(ids, seconds=2.0)))
    assert 2.0 <= time.monotonic() - started < 3.0
    with pytest.raises(
        exceptions.CleanlistWaitTimeoutError, match=f"2 of 2 workflows were still running: {ids[0]}"
    ):
        conclude(outcome)


@quick
def test_an_id_that_nobody_knows_fails_and_the_others_are_waited_for(
    cleanlist_sandbox: SandboxServer, connect: Connect
):
    connect(cleanlist_sandbox)
    ids = submit(cleanlist_sandbox, 2)
    request = request_for([*ids, "public_bulk_lost"], submitted_at=time.time() - 60)
    outcome = outcome_from_json(fire(request))
    assert outcome.completed == 2
    with pytest.raises(exceptions.CleanlistNotFoundError, match="public_bulk_lost"):
        conclude(outcome)


@brief
def test_server_errors_are_waited_out(cleanlist_sandbox: SandboxServer, connect: Connect):
    connect(cleanlist_sandbox, max_retries=0)
    ids = submit(cleanlist_sandbox, 1)
    cleanlist_sandbox.faults.fail(STATUS, 500, times=3)
    cleanlist_sandbox.faults.drop(STATUS, after=True, times=2)
    assert conclude(outcome_from_json(fire(request_for(ids))))["completed"] == 1


@brief
def test_errors_that_do_not_end_become_a_typed_event(cleanlist_sandbox: SandboxServer, connect: Connect):
    connect(cleanlist_sandbox, max_retries=0)
    ids = submit(cleanlist_sandbox, 1)
    cleanlist_sandbox.faults.fail(STATUS, 502, times=None)
    outcome = outcome_from_json(fire(request_for(ids)))
    with pytest.raises(exceptions.CleanlistServerError, match=ids[0]) as caught:
        conclude(outcome)
    assert "continue at Cleanlist" in str(caught.value)
    assert len(cleanlist_sandbox.ledger.requests(endpoint=STATUS)) == 6


@quick
def test_a_refused_key_becomes_a_typed_event(cleanlist_sandbox: SandboxServer, connect: Connect):
    connect(cleanlist_sandbox)
    ids = submit(cleanlist_sandbox, 2)
    cleanlist_sandbox.state.accounts.key.revoked = True
    with pytest.raises(exceptions.CleanlistAuthenticationError):
        conclude(outcome_from_json(fire(request_for(ids))))


@pytest.mark.cleanlist_sandbox(seconds_to_complete=3, window_seconds=2)
def test_a_key_that_was_changed_is_looked_up_anew(
    cleanlist_sandbox: SandboxServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    connect(cleanlist_sandbox)
    ids = submit(cleanlist_sandbox, 2)

    async def rotate() -> dict[str, Any]:
        waiting = asyncio.create_task(event_of(WorkflowTrigger.of(request_for(ids))))
        await _until(lambda: bool(cleanlist_sandbox.ledger.requests(endpoint=STATUS)))
        accounts = cleanlist_sandbox.state.accounts
        new_key = accounts.add_key("clapi_new")
        accounts.key.revoked = True
        connection = json.loads(os.environ["AIRFLOW_CONN_CLEANLIST_DEFAULT"]) | {"password": new_key.secret}
        monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
        return await waiting

    assert conclude(outcome_from_json(asyncio.run(rotate())))["completed"] == 2
    assert cleanlist_sandbox.ledger.requests(status=401)


def test_a_missing_connection_becomes_a_typed_event():
    request = request_for(["wf1"], cleanlist_conn_id="absent_one")
    with pytest.raises(exceptions.CleanlistConfigurationError, match="absent_one"):
        conclude(outcome_from_json(fire(request)))


def test_a_server_that_is_not_there_becomes_a_typed_event(monkeypatch: pytest.MonkeyPatch):
    connection = {"conn_type": "cleanlist", "password": "k", "host": "http://127.0.0.1:9"}
    connection["extra"] = {"max_retries": 0, "rate_limit_store": "memory://", "window_seconds": 0.1}  # type: ignore[assignment]
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
    with pytest.raises(exceptions.CleanlistTransportError):
        conclude(outcome_from_json(fire(request_for(["wf1"]))))


def test_a_setting_of_the_triggerer_becomes_a_typed_event(monkeypatch: pytest.MonkeyPatch):
    connection = {"conn_type": "cleanlist", "password": "k", "host": "https://127.0.0.1:9"}
    connection["extra"] = {"max_retries": 5, "rate_limit_store": "memory://", "window_seconds": 0.1}  # type: ignore[assignment]
    monkeypatch.setenv("AIRFLOW_CONN_CLEANLIST_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(exceptions.CleanlistConfigurationError, match="REQUESTS_CA_BUNDLE"):
        conclude(outcome_from_json(fire(request_for(["wf1"]))))


@pytest.mark.cleanlist_sandbox(seconds_to_complete=2, duration_sigma=0.5, window_seconds=2)
def test_a_successor_polls_only_what_had_not_ended(
    cleanlist_sandbox: SandboxServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    """The store is a dict here; that Airflow's own keeps it is shown with a real triggerer."""
    connect(cleanlist_sandbox)
    ids = submit(cleanlist_sandbox, 12)
    kept: dict[str, Any] = {}

    async def save(_: object, snapshot: dict[str, Any]) -> bool:
        kept.update(json.loads(json.dumps(snapshot)))
        return True

    async def load(_: object) -> dict[str, Any] | None:
        return kept or None

    monkeypatch.setattr("airflow_provider_cleanlist.triggers.progress.SavedProgress.save", save)
    monkeypatch.setattr("airflow_provider_cleanlist.triggers.progress.SavedProgress.load", load)
    monkeypatch.setattr("airflow_provider_cleanlist.waiting.wait.SAVE_EVERY_SECONDS", 0.2)
    kwargs = WorkflowTrigger.of(request_for(ids)).serialize()[1] | {"deferred_at": None}

    async def move() -> tuple[dict[str, int], dict[str, Any]]:
        first = asyncio.create_task(event_of(WorkflowTrigger(**kwargs)))
        await _until(lambda: len(kept.get("done", [])) >= 4)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.sleep(0.2)
        polled = polls_of(cleanlist_sandbox)
        before = {ids[index]: polled[ids[index]] for index, *_ in kept["done"]}
        return before, await event_of(WorkflowTrigger(**kwargs))

    before, event = asyncio.run(move())
    assert conclude(outcome_from_json(event))["completed"] == 12
    assert len(before) >= 4
    assert {workflow_id: polls_of(cleanlist_sandbox)[workflow_id] for workflow_id in before} == before


@pytest.mark.cleanlist_sandbox(seconds_to_complete=0, window_seconds=2)
def test_a_slow_server_does_not_leave_the_budget_unused(cleanlist_sandbox: SandboxServer, connect: Connect):
    """One request after the other would take 30 times 0.3 s; the budget has a place for one every 34 ms."""
    connect(cleanlist_sandbox)
    ids = submit(cleanlist_sandbox, 30)
    cleanlist_sandbox.faults.delay(STATUS, 0.3, times=None)
    started = time.monotonic()
    event = fire(request_for(ids, submitted_at=time.time() - 600))
    assert conclude(outcome_from_json(event))["completed"] == 30
    assert time.monotonic() - started < 5.0
    assert max(polls_of(cleanlist_sandbox).values()) == 1
    assert not cleanlist_sandbox.ledger.requests(status=429)


class TestManyTriggers:
    @pytest.mark.cleanlist_sandbox(seconds_to_complete=0, window_seconds=2)
    def test_the_budget_is_shared_fairly(
        self, cleanlist_sandbox: SandboxServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ):
        connect(cleanlist_sandbox)
        groups = [submit(cleanlist_sandbox, 12 if number % 6 == 0 else 3) for number in range(24)]
        waits: dict[str, list[float]] = {}
        run = SharedPoller.run

        async def timed(poller: SharedPoller, call: Any, on_sending: Callable[[], None]) -> WorkflowStatus:
            asked_at = time.monotonic()
            answer = await run(poller, call, on_sending)
            group = next(number for number, ids in enumerate(groups) if answer.workflow_id in ids)
            waits.setdefault(str(group), []).append(time.monotonic() - asked_at)
            return answer

        monkeypatch.setattr(SharedPoller, "run", timed)
        requests = [request_for(ids, submitted_at=time.time() - 600) for ids in groups]

        async def wait_for_all() -> list[dict[str, Any]]:
            return await asyncio.gather(*(event_of(WorkflowTrigger.of(request)) for request in requests))

        events = asyncio.run(wait_for_all())
        assert sum(conclude(outcome_from_json(event))["completed"] for event in events) == sum(
            map(len, groups)
        )
        assert not cleanlist_sandbox.ledger.requests(status=429)
        means = [statistics.fmean(seconds) for seconds in waits.values()]
        assert max(means) <= 1.5 * statistics.fmean(means)

    @pytest.mark.cleanlist_sandbox(
        seconds_to_complete=4, duration_sigma=0.3, window_seconds=2, requests_per_minute=200
    )
    def test_the_event_loop_stays_responsive(self, cleanlist_sandbox: SandboxServer, connect: Connect):
        connect(cleanlist_sandbox)
        ids = submit(cleanlist_sandbox, 200, contacts=5)

        async def wait_for_all() -> tuple[list[dict[str, Any]], list[float]]:
            lags: list[float] = []
            watchdog = asyncio.create_task(_watch_loop(lags))
            triggers = [WorkflowTrigger.of(request_for([workflow_id])) for workflow_id in ids]
            events = await asyncio.gather(*(event_of(trigger) for trigger in triggers))
            watchdog.cancel()
            return events, lags

        events, lags = asyncio.run(wait_for_all())
        assert all(event["status"] == "finished" for event in events)
        assert not cleanlist_sandbox.ledger.requests(status=429)
        assert len(lags) > 100
        assert statistics.quantiles(lags, n=100)[98] < 0.1


async def _watch_loop(lags: list[float]) -> None:
    while True:
        asleep_at = time.monotonic()
        await asyncio.sleep(0.01)
        lags.append(time.monotonic() - asleep_at - 0.01)


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - the server lives in another thread
        await asyncio.sleep(0.02)
