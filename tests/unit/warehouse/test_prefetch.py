from __future__ import annotations

import contextvars
import threading
import time
from contextlib import closing

import pytest

from airflow_provider_cleanlist.warehouse.prefetch import prefetch


def test_items_come_in_order():
    assert list(prefetch(iter(range(100)), ahead=3)) == list(range(100))


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ConnectionError("down")

    pages = prefetch(items(), ahead=3)
    assert next(pages) == 1
    with pytest.raises(ConnectionError, match="down"):
        next(pages)


def test_even_what_is_no_exception_is_passed_on():
    def items():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        next(prefetch(items(), ahead=1))


def test_at_most_so_many_items_wait():
    fetched = []

    def items():
        for number in range(50):
            fetched.append(number)
            yield number

    with closing(prefetch(items(), ahead=2)) as pages:
        next(pages)
        time.sleep(0.1)
        assert len(fetched) <= 1 + 2 + 1


def test_nothing_is_read_ahead_if_nothing_may_wait():
    items = iter(range(3))
    with closing(prefetch(items, ahead=0)) as pages:
        assert next(pages) == 0
        assert list(items) == [1, 2]


def test_fetching_goes_on_while_the_consumer_works():
    def items():
        for number in range(4):
            time.sleep(0.05)
            yield number

    started = time.monotonic()
    for _ in prefetch(items(), ahead=4):
        time.sleep(0.05)
    assert time.monotonic() - started < 0.35


def test_closing_ends_the_thread():
    with closing(prefetch(iter(range(10**9)), ahead=1)) as pages:
        next(pages)
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "cleanlist-prefetch"]
    thread.join(5)
    assert not thread.is_alive()


def test_the_thread_sees_the_context_of_its_consumer():
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    assert list(prefetch((variable.get() for _ in range(1)), ahead=1)) == ["mine"]


def test_silence_is_told_once_until_the_next_item():
    go_on = threading.Event()

    def items():
        yield 1
        go_on.wait(10)
        yield 2

    with closing(prefetch(items(), ahead=1, patience=0.01)) as pages:
        assert next(pages) == 1
        assert next(pages) is None
        go_on.set()
        assert next(pages) == 2
        assert list(pages) == []
