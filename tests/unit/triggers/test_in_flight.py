from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.endpoints import Call
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.triggers.in_flight import MOST_AT_ONCE, InFlightRequests
from airflow_provider_cleanlist.waiting.wait import Ask, status_call


class SharedPoller:
    """Lets requests leave, and answers them, when the test says so."""

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(0)
        self.answers = asyncio.Semaphore(0)
        self.waiting = self.sent = self.given_up = 0
        self.error: errors.CleanlistError | None = None

    async def status(self, call: Call[WorkflowStatus], on_sending: Callable[[], None]) -> WorkflowStatus:
        try:
            self.waiting += 1
            await self.places.acquire()
            self.waiting -= 1
            self.sent += 1
            on_sending()
            await self.answers.acquire()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.error is not None:
            raise self.error
        return WorkflowStatus(str(call.request.params["workflow_id"]), "processing")


def ask(workflow_id: str) -> Ask:
    return Ask(workflow_id, status_call(workflow_id, 60.0))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[SharedPoller, InFlightRequests], Coroutine[Any, Any, None]]) -> SharedPoller:
    async def go() -> SharedPoller:
        desk = SharedPoller()
        async with InFlightRequests(desk) as asks:  # type: ignore[arg-type]
            await asyncio.wait_for(test(desk, asks), 10)
        return desk

    return asyncio.run(go())


def test_the_next_request_may_begin_when_the_last_has_left():
    async def test(desk: SharedPoller, asks: InFlightRequests) -> None:
        first = asyncio.create_task(asks.begin(ask("a")))
        await settle()
        assert not first.done()
        assert desk.waiting == 1
        desk.places.release()
        await first
        assert asks.taken() == ()

    assert run(test).given_up == 1


def test_answers_are_taken_once_with_the_workflow_they_belong_to():
    async def test(desk: SharedPoller, asks: InFlightRequests) -> None:
        desk.places.release()
        await asks.begin(ask("a"))
        desk.answers.release()
        await asks.answered(asyncio.sleep(60))
        assert asks.taken() == (("a", WorkflowStatus("a", "processing")),)
        assert asks.taken() == ()

    run(test)


def test_no_more_are_under_way_than_the_client_has_threads():
    async def test(desk: SharedPoller, asks: InFlightRequests) -> None:
        for _ in range(MOST_AT_ONCE):
            desk.places.release()
        for number in range(MOST_AT_ONCE - 1):
            await asks.begin(ask(f"wf{number}"))
        last = asyncio.create_task(asks.begin(ask("last")))
        await settle()
        assert desk.sent == MOST_AT_ONCE
        assert not last.done()
        desk.answers.release()
        await last

    run(test)


def test_an_error_is_an_answer():
    async def test(desk: SharedPoller, asks: InFlightRequests) -> None:
        desk.error = errors.TransportError(errors.ErrorInfo("read the status", "no answer"))
        desk.places.release()
        desk.answers.release()
        await asks.begin(ask("a"))
        await asks.answered(asyncio.sleep(60))
        assert asks.taken() == (("a", desk.error),)

    run(test)


def test_a_pause_that_no_answer_ends_passes():
    async def test(desk: SharedPoller, asks: InFlightRequests) -> None:
        await asks.answered(asyncio.sleep(0.01))
        desk.places.release()
        await asks.begin(ask("a"))
        await asks.answered(asyncio.sleep(0.01))
        assert asks.taken() == ()

    run(test)


def test_a_pause_that_fails_is_heard_of():
    async def fail() -> None:
        raise RuntimeError("the marker broke")

    async def test(desk: SharedPoller, asks: InFlightRequests) -> None:
        desk.places.release()
        await asks.begin(ask("a"))
        with pytest.raises(RuntimeError, match="the marker broke"):
            await asks.answered(fail())

    run(test)


def test_requests_without_an_answer_are_given_up_at_the_end():
    async def test(desk: SharedPoller, asks: InFlightRequests) -> None:
        desk.places.release()
        await asks.begin(ask("a"))

    assert run(test).given_up == 1
