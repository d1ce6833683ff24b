from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.protocol import Call
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.triggers.shared_poller import MAX_IN_FLIGHT, InFlightRequests
from airflow_provider_cleanlist.waiting.wait import StatusCheck, status_call


class ManualPoller:
    """Lets requests leave, and answers them, when the test says so."""

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(0)
        self.responses = asyncio.Semaphore(0)
        self.waiting = self.sent = self.cancelled = 0
        self.error: errors.CleanlistError | None = None

    async def run(self, call: Call[WorkflowStatus], on_sending: Callable[[], None]) -> WorkflowStatus:
        try:
            self.waiting += 1
            await self.places.acquire()
            self.waiting -= 1
            self.sent += 1
            on_sending()
            await self.responses.acquire()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return WorkflowStatus(str(call.request.params["workflow_id"]), "processing")


def check(workflow_id: str) -> StatusCheck:
    return StatusCheck(workflow_id, status_call(workflow_id, 60.0))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[ManualPoller, InFlightRequests], Coroutine[Any, Any, None]]) -> ManualPoller:
    async def go() -> ManualPoller:
        poller = ManualPoller()
        async with InFlightRequests(poller) as requests:  # type: ignore[arg-type]
            await asyncio.wait_for(test(poller, requests), 10)
        return poller

    return asyncio.run(go())


def test_the_next_request_may_be_sent_when_the_last_has_left():
    async def test(poller: ManualPoller, requests: InFlightRequests) -> None:
        first = asyncio.create_task(requests.send(check("a")))
        await settle()
        assert not first.done()
        assert poller.waiting == 1
        poller.places.release()
        await first
        assert requests.collect() == ()

    assert run(test).cancelled == 1


def test_results_are_collected_once_with_the_workflow_they_belong_to():
    async def test(poller: ManualPoller, requests: InFlightRequests) -> None:
        poller.places.release()
        await requests.send(check("a"))
        poller.responses.release()
        await requests.pause_until_result(asyncio.sleep(60))
        assert requests.collect() == (("a", WorkflowStatus("a", "processing")),)
        assert requests.collect() == ()

    run(test)


def test_no_more_are_in_flight_than_the_client_has_threads():
    async def test(poller: ManualPoller, requests: InFlightRequests) -> None:
        for _ in range(MAX_IN_FLIGHT):
            poller.places.release()
        for number in range(MAX_IN_FLIGHT - 1):
            await requests.send(check(f"wf{number}"))
        last = asyncio.create_task(requests.send(check("last")))
        await settle()
        assert poller.sent == MAX_IN_FLIGHT
        assert not last.done()
        poller.responses.release()
        await last

    run(test)


def test_an_error_is_a_result():
    async def test(poller: ManualPoller, requests: InFlightRequests) -> None:
        poller.error = errors.TransportError(errors.ErrorInfo("read the status", "no answer"))
        poller.places.release()
        poller.responses.release()
        await requests.send(check("a"))
        await requests.pause_until_result(asyncio.sleep(60))
        assert requests.collect() == (("a", poller.error),)

    run(test)


def test_a_pause_that_no_result_ends_passes():
    async def test(poller: ManualPoller, requests: InFlightRequests) -> None:
        await requests.pause_until_result(asyncio.sleep(0.01))
        poller.places.release()
        await requests.send(check("a"))
        await requests.pause_until_result(asyncio.sleep(0.01))
        assert requests.collect() == ()

    run(test)


def test_a_pause_that_fails_raises():
    async def fail() -> None:
        raise RuntimeError("the marker broke")

    async def test(poller: ManualPoller, requests: InFlightRequests) -> None:
        poller.places.release()
        await requests.send(check("a"))
        with pytest.raises(RuntimeError, match="the marker broke"):
            await requests.pause_until_result(fail())

    run(test)


def test_requests_without_a_result_are_cancelled_at_the_end():
    async def test(poller: ManualPoller, requests: InFlightRequests) -> None:
        poller.places.release()
        await requests.send(check("a"))

    assert run(test).cancelled == 1
