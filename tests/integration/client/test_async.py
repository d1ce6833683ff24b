"""The asynchronous driver: the loop stays free, the budget is kept, cancelled requests leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_cleanlist.client import endpoints, errors
from airflow_provider_cleanlist.client.messages import Surface
from airflow_provider_cleanlist.client.rate_limit.core import Budget

pytestmark = pytest.mark.integration

WHOAMI = endpoints.whoami(Surface.V2)


def hang(peer: Any) -> None:
    peer.read_request()
    peer.read_request()


async def lag_while(work: asyncio.Future[Any]) -> float:
    """Return by how much the loop was late at worst while ``work`` ran."""
    worst = 0.0
    while not work.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        worst = max(worst, time.monotonic() - before - 0.01)
    return worst


def test_the_results_and_errors_are_those_of_the_blocking_driver(
    serve: Any, always: Any, connect: Any
) -> None:
    client = connect(serve(always({"status": "completed", "task_id": "t"})).url)
    refused = connect(serve(always({"detail": "Not authenticated"}, "401 Unauthorized")).url)
    assert asyncio.run(client.aget_workflow_status("w")) == client.get_workflow_status("w")
    assert asyncio.run(client.aget_task_result("t")) == client.get_task_result("t")
    with pytest.raises(errors.AuthenticationError, match="read the result of task t"):
        asyncio.run(refused.aget_task_result("t"))
    with pytest.raises(errors.ConfigurationError):
        asyncio.run(client.aget_workflow_status(""))


def test_failures_are_retried_with_pauses(serve: Any, connect: Any) -> None:
    script = [("503 Service Unavailable", {}), ("429 Too Many", {"Retry_After": "0"}), ("200 OK", {})]

    def behave(peer: Any) -> None:
        while peer.read_request():
            status, headers = script.pop(0)
            peer.answer({}, status, **headers)

    server = serve(behave)
    asyncio.run(connect(server.url, max_retries=1).arun(WHOAMI))
    assert len(server.requests) == 3


def test_a_hung_server_leaves_the_loop_free(serve: Any, connect: Any) -> None:
    client = connect(serve(hang).url, timeout_seconds=0.8)

    async def main() -> tuple[float, list[Any]]:
        work = asyncio.gather(*(client.arun(WHOAMI) for _ in range(8)), return_exceptions=True)
        return await lag_while(work), await work

    lag, outcomes = asyncio.run(main())
    assert lag < 0.3
    assert all(isinstance(outcome, errors.TransportError) for outcome in outcomes)


def test_a_hung_host_does_not_hold_up_another(serve: Any, connect: Any) -> None:
    hung, other = connect(serve(hang).url, timeout_seconds=2), connect(serve().url)

    async def main() -> float:
        stuck = [asyncio.ensure_future(hung.arun(WHOAMI)) for _ in range(20)]
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await asyncio.gather(*(other.arun(WHOAMI) for _ in range(10)))
        seconds = time.monotonic() - started
        for task in stuck:
            task.cancel()
        return seconds

    assert asyncio.run(main()) < 1.5


def test_requests_that_queue_behind_hung_ones_still_keep_the_budget(serve: Any, connect: Any) -> None:
    """Places booked while all threads hang must not be used all at once when the threads come free."""
    hangs = [0.7] * 4

    def behave(peer: Any) -> None:
        while peer.read_request():
            if hangs:
                time.sleep(hangs.pop())
            peer.answer({})

    server = serve(behave)
    budget = Budget(5, 0.5)
    client = connect(server.url, budget=budget)

    async def main() -> None:
        await asyncio.gather(*(client.arun(WHOAMI) for _ in range(25)))

    asyncio.run(main())
    assert len(server.requests) == 25
    assert server.shortest_window(budget.requests) >= 0.8 * budget.window


def test_polls_that_queue_behind_hung_ones_still_keep_the_budget(serve: Any, connect: Any) -> None:
    hangs = [1.0] * 4

    def behave(peer: Any) -> None:
        while peer.read_request():
            if hangs:
                time.sleep(hangs.pop())
            peer.answer({"status": "processing"})

    server = serve(behave)
    budget = Budget(5, 1.0)
    client = connect(server.url, budget=budget)

    async def main() -> None:
        await asyncio.gather(*(client.aget_workflow_status(f"w{number}") for number in range(15)))

    asyncio.run(main())
    assert len(server.requests) == 15
    assert server.shortest_window(budget.requests) >= 0.8 * budget.window


def test_a_429_stops_those_who_wait_for_a_thread(serve: Any, always: Any, connect: Any) -> None:
    server = serve(always({}, "429 Too Many Requests", Retry_After="60"))
    client = connect(server.url)

    async def main() -> None:
        tasks = [asyncio.ensure_future(client.arun(WHOAMI)) for _ in range(40)]
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()

    asyncio.run(main())
    assert 1 <= len(server.requests) <= 4


def test_cancelled_requests_give_their_threads_back_when_they_end(serve: Any, connect: Any) -> None:
    hung = threading.Event()

    def behave(peer: Any) -> None:
        while peer.read_request():
            if not hung.is_set():
                hung.wait(5)
            peer.answer({})

    server = serve(behave)
    client = connect(server.url)

    async def main() -> float:
        tasks = [asyncio.ensure_future(client.arun(WHOAMI)) for _ in range(6)]
        await asyncio.to_thread(server.wait_for, 4)
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(it, asyncio.CancelledError)
            for it in await asyncio.gather(*tasks, return_exceptions=True)
        )
        late = [asyncio.ensure_future(client.arun(WHOAMI)) for _ in range(8)]
        await asyncio.sleep(0.1)
        assert len(server.requests) == 4
        hung.set()
        started = time.monotonic()
        await asyncio.gather(*late)
        return time.monotonic() - started

    assert asyncio.run(main()) < 2.0
    assert len(server.requests) == 12


def test_a_cancelled_request_that_hangs_holds_up_nobody(serve: Any, connect: Any) -> None:
    hung = threading.Event()
    first = [True]

    def behave(peer: Any) -> None:
        while peer.read_request():
            if first:
                first.pop()
                hung.wait(5)
            peer.answer({})

    server = serve(behave)
    client = connect(server.url)

    async def main() -> float:
        task = asyncio.ensure_future(client.arun(WHOAMI))
        await asyncio.to_thread(server.wait_for, 1)
        task.cancel()
        started = time.monotonic()
        await asyncio.gather(*(client.arun(WHOAMI) for _ in range(12)))
        return time.monotonic() - started

    try:
        assert asyncio.run(main()) < 3.0
    finally:
        hung.set()


def test_cancelling_while_waiting_for_the_budget_sends_nothing(serve: Any, connect: Any) -> None:
    server = serve()
    client = connect(server.url, budget=Budget(1, 30.0))

    async def main() -> None:
        await client.arun(WHOAMI)
        task = asyncio.ensure_future(client.arun(WHOAMI))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(server.requests) == 1


def test_several_loops_use_one_client(serve: Any, connect: Any) -> None:
    server = serve()
    client = connect(server.url)

    def loop(_: int) -> None:
        async def main() -> None:
            await asyncio.gather(*(client.arun(WHOAMI) for _ in range(6)))

        asyncio.run(main())

    loop(0)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(loop, range(8)))
    assert len(server.requests) == 54


def http_threads() -> int:
    gc.collect()
    return sum(thread.name.startswith("cleanlist-http") for thread in threading.enumerate())


def falls_to(threads: int) -> bool:
    deadline = time.monotonic() + 5
    while http_threads() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    return http_threads() <= threads


def test_clients_and_loops_leave_no_threads_behind(serve: Any, connect: Any) -> None:
    url = serve().url
    before = http_threads()
    client = connect(url)
    for _ in range(5):
        asyncio.run(client.arun(WHOAMI))
    assert falls_to(before + 1)
    del client
    assert falls_to(before)
