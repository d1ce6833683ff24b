"""Signals that wait until a batch is recorded: real signals to this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_cleanlist.submission.signals import HELD_SIGNALS, SignalHold


class Interrupted(BaseException):
    """What a handler of Airflow raises."""


@pytest.fixture
def received() -> Iterator[list[int]]:
    """Signals handled, by handlers as Airflow's: one returns, the other one raises."""
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        seen.append(number)

    def interrupt(number: int, frame: Any) -> None:
        seen.append(number)
        raise Interrupted

    handlers = {signal.SIGTERM: note, signal.SIGALRM: interrupt}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield seen
    for number, handler in previous.items():
        signal.signal(number, handler)


def test_a_held_signal_arrives_at_release(received: list[int]) -> None:
    hold = SignalHold()
    hold.hold()
    signal.raise_signal(signal.SIGTERM)
    assert received == []
    hold.release()
    assert received == [signal.SIGTERM]


def test_an_exception_of_a_handler_comes_out_of_release(received: list[int]) -> None:
    hold = SignalHold()
    hold.hold()
    signal.raise_signal(signal.SIGALRM)
    with pytest.raises(Interrupted):
        hold.release()


def test_several_of_a_kind_arrive_once(received: list[int]) -> None:
    hold = SignalHold()
    hold.hold()
    for _ in range(3):
        signal.raise_signal(signal.SIGTERM)
    hold.release()
    assert received == [signal.SIGTERM]


def test_handlers_are_back_after_release(received: list[int]) -> None:
    before = [signal.getsignal(number) for number in HELD_SIGNALS]
    hold = SignalHold()
    hold.hold()
    hold.hold()
    assert all(signal.getsignal(number) not in before for number in HELD_SIGNALS)
    hold.release()
    hold.release()
    assert [signal.getsignal(number) for number in HELD_SIGNALS] == before
    signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]


def test_an_ignored_signal_stays_ignored() -> None:
    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        hold = SignalHold()
        hold.hold()
        signal.raise_signal(signal.SIGTERM)
        hold.release()
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_other_threads_hold_nothing(received: list[int]) -> None:
    hold = SignalHold()
    thread = threading.Thread(target=hold.hold)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]
    hold.release()
