"""Signals that wait until a request and its answer are written down.

SIGTERM, Ctrl-C and Airflow's execution timeout (SIGALRM) become Python exceptions or callbacks at whatever
instruction is being executed. Between the sending of a request and the record of its answer that would leave an
outcome that nobody knows, although the answer is only moments away.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

HELD_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


class SignalHold:
    """Holds signals back from :meth:`hold` to :meth:`release`, which delivers them.

    Only a main thread receives signals; in any other thread this does nothing. SIGKILL cannot be held back.
    """

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, Any] = {}
        self._received: list[int] = []

    def hold(self) -> None:
        """Begin to hold signals back; once more is the same as once."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in HELD_SIGNALS:
            if (
                signal.getsignal(number) is not None
            ):  # None: installed by other than Python, cannot be put back
                self._handlers[number] = signal.signal(number, self._receive)

    def release(self) -> None:
        """Put the handlers back and deliver what came meanwhile, each signal once."""
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        received, self._received = dict.fromkeys(self._received), []
        for pending in received:
            signal.raise_signal(pending)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)
