"""Reading ahead in a thread, so that loading hides behind fetching."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


class _End(Exception):  # noqa: N818 - it is a signal
    """There are no more items."""


def prefetch(
    items: Iterator[T], ahead: int, patience: float | None = None
) -> Generator[T | None, None, None]:
    """Yield the items of an iterator that a thread runs up to ``ahead`` items in front.

    An error of the iterator is raised here, after the items before it. Closing the generator lets the thread
    end after the item it is fetching.

    Args:
        items: The iterator; it runs in one thread, with the context variables of this one.
        ahead: How many items may wait; 0 reads none ahead and needs no thread.
        patience: Seconds after which None is yielded, once, when no item has come; None waits for the next item.
    """
    if not ahead:
        yield from items
        return
    waiting: queue.Queue[tuple[T, None] | tuple[None, BaseException]] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def fetch() -> None:
        try:
            for item in items:
                waiting.put((item, None))
                if stopped.is_set():
                    return
            waiting.put((None, _End()))
        except BaseException as error:  # noqa: BLE001 - raised in the consuming thread
            waiting.put((None, error))

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(fetch,), name="cleanlist-prefetch", daemon=True).start()
    try:
        while True:
            try:
                item, error = waiting.get(timeout=patience)
            except queue.Empty:
                yield None
                item, error = waiting.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        while not waiting.empty():
            waiting.get_nowait()
