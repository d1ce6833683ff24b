"""Signals that wait while a batch is being sent, so that its outcome is recorded."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

HELD_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


class SignalHold:
    """Holds signals back from :meth:`hold` to :meth:`release`, which delivers them.

    SIGTERM, Ctrl-C and Airflow's execution timeout (SIGALRM) become Python exceptions or callbacks at whatever
    instruction is being executed. Between sending a request and recording its answer, that would leave the outcome
    unknown although the answer is only moments away.

    Only a main thread receives signals; in any other thread this does nothing. SIGKILL cannot be held back.
    """

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, Any] = {}
        self._received: list[int] = []

    def hold(self) -> None:
        """Begin to hold signals back; has no effect if they are held back already."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in HELD_SIGNALS:
            # None: not installed from Python, so it cannot be restored
            if signal.getsignal(number) is not None:
                self._handlers[number] = signal.signal(number, self._receive)

    def release(self) -> None:
        """Restore the handlers and deliver the signals that arrived meanwhile, each once."""
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        received, self._received = dict.fromkeys(self._received), []
        for pending in received:
            signal.raise_signal(pending)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)
