"""Reading a list into its stage: pages are read ahead, written a batch per transaction, and progress is logged."""

from __future__ import annotations

import contextvars
import logging
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from airflow_provider_cleanlist.input_limits import CELLS, PAGES_IN_MEMORY
from airflow_provider_cleanlist.warehouse.errors import LoadError
from airflow_provider_cleanlist.warehouse.plan import Checkpoint, TargetColumns
from airflow_provider_cleanlist.warehouse.spec import LoadSpec
from airflow_provider_cleanlist.warehouse.staging import Stage
from airflow_provider_cleanlist.warehouse.types import Row
from airflow_provider_cleanlist.warehouse.values import RowMaker
from airflow_provider_cleanlist.wording import counted

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_ROWS = 10_000
BATCH_SECONDS = 30.0
QUIET_SECONDS = 0.2
"""What was written is committed when no page has arrived for this long."""
SECONDS_BETWEEN_LINES = 30.0


class RecordPage(Protocol):
    """A page of records. It may say its ``weight``, too: about how much it counts in memory, in bytes.

    Attributes:
        records: Its records.
        total: Size of the whole list, if known.
        cursor: Cursor of the next page; None on the last one.
    """

    @property
    def records(self) -> Sequence[Mapping[str, Any]]: ...  # noqa: D102
    @property
    def total(self) -> int | None: ...  # noqa: D102
    @property
    def cursor(self) -> str | None: ...  # noqa: D102


ReadPages = Callable[[str | None], Iterator[RecordPage]]
"""Reads the pages of a list, from the given cursor on; None is the beginning."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """How far reading runs ahead, and when rows are committed.

    Args:
        utc_now: Returns the time, in UTC.
        clock: Returns seconds, for progress.
        batch_rows: Minimum number of rows per commit; pages are committed as a whole.
        pages_ahead: Pages that can wait in memory while earlier ones are written.
    """

    utc_now: Callable[[], datetime]
    clock: Callable[[], float]
    batch_rows: int
    pages_ahead: int


class Memory:
    """Keeps reading from running ahead of what fits: pages that wait, and rows that are not committed.

    Args:
        limit: Weight in bytes beyond which no other page is read.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    def within(self, pages: Iterator[RecordPage]) -> Iterator[RecordPage]:
        """Yield pages, each read once there is room for it."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held < self._limit)
            page = next(pages, None)
            if page is None:
                return
            with self._changed:
                self._held += weight_of(page)
            yield page
            del page  # it is not kept while the next one is read; the same below

    def free(self, weight: int) -> None:
        """Make room: what counted so much is in the database, or nobody needs it."""
        with self._changed:
            self._held -= weight
            self._changed.notify_all()

    def close(self) -> None:
        """Let the reader go, which waits for room."""
        self.free(sys.maxsize)

    def is_full(self, uncommitted: int) -> bool:
        """Return whether uncommitted rows of so much weight have to be committed, so that reading goes on."""
        return uncommitted * 2 >= self._limit


def weight_of(page: RecordPage) -> int:
    """Return how much a page counts, in bytes; 0 if it does not say."""
    return getattr(page, "weight", 0)


class StageWriter:
    """Writes pages to the stage, a batch of them per transaction.

    Args:
        stage: The stage.
        spec: The load.
        target: Columns of the target; None if it does not exist.
        pacing: How far to read ahead, and when to commit.
    """

    def __init__(self, stage: Stage, spec: LoadSpec, target: TargetColumns | None, pacing: Pacing) -> None:
        self._stage = stage
        self._pacing = pacing
        self._maker = RowMaker(spec, stage.checkpoint.fields, target)
        self._cleaned_before = stage.checkpoint.cleaned
        self._at = stage.checkpoint
        self._uncommitted = 0
        self._uncommitted_weight = 0
        self._cells = 0
        self._memory = Memory(PAGES_IN_MEMORY)
        self._oldest = pacing.clock()
        self._now = pacing.utc_now()
        self._progress = Progress(pacing.clock(), stage.checkpoint.rows)

    def read(self, read_pages: ReadPages) -> None:
        """Read and stage the rest of the list. If reading fails, what was read is committed."""
        if self._at.complete:
            log.info("An earlier attempt read the whole list: %s.", _amount(self._at))
            return
        if self._stage.resumed:
            log.info("Resuming after page %d (%s).", self._at.pages, counted(self._at.rows, "row"))
        within = self._memory.within(read_pages(self._at.cursor))
        pages = prefetch(within, self._pacing.pages_ahead, QUIET_SECONDS)
        with closing(self._stage), closing(self._memory), closing(pages):
            try:
                for page in pages:
                    self._add(page) if page is not None else self._rest()
                    del page
            except LoadError:
                raise
            except Exception:
                self._commit()
                raise
            self._at = replace(self._at, complete=True)
            self._commit()
        log.info("Read %s.", self._progress.summary(self._at, self._pacing.clock()))
        if self._at.cleaned:
            log.warning(
                "Removed what databases cannot store (NUL, lone surrogates, NaN in JSON) from %s.",
                counted(self._at.cleaned, "value"),
            )

    def _rest(self) -> None:
        """Close the transaction while there is nothing to write, because it would hold locks."""
        if self._stage.is_open:
            self._commit()

    def _add(self, page: RecordPage) -> None:
        self._now = self._pacing.utc_now()
        number = self._at.pages + 1
        if not self._uncommitted:
            self._oldest = self._pacing.clock()
        rows_of_page = 0
        for rows in self._maker.batches(page.records, number):
            self._stage_rows(rows)
            rows_of_page += len(rows)
        self._uncommitted_weight += weight_of(page)
        self._at = replace(
            self._at,
            pages=number,
            rows=self._at.rows + rows_of_page,
            cursor=page.cursor,
            complete=page.cursor is None,
            total=self._at.total if page.total is None else page.total,
            fields=self._maker.fields,
            cleaned=self._cleaned_before + self._maker.cleaned,
        )
        is_due = should_commit(
            self._uncommitted, self._pacing.clock() - self._oldest, self._pacing.batch_rows
        )
        if is_due or self._memory.is_full(self._uncommitted_weight):
            self._commit()
        if line := self._progress.line(self._at, self._pacing.clock()):
            log.info("%s", line)

    def _stage_rows(self, rows: Sequence[Row]) -> None:
        fields = self._maker.fields
        cells = len(rows) * len(fields)
        if self._cells + cells > CELLS or (self._stage.is_open and fields != self._at.fields):
            self._flush()  # rows of a page whose end is not covered by a checkpoint yet are read again after a crash
        self._stage.add(rows, self._maker.columns)
        self._at = replace(self._at, fields=fields)
        self._uncommitted += len(rows)
        self._cells += cells

    def _commit(self) -> None:
        if self._at != self._stage.checkpoint:
            self._flush()

    def _flush(self) -> None:
        self._stage.commit(self._at, self._now)
        self._memory.free(self._uncommitted_weight)
        self._uncommitted = self._uncommitted_weight = self._cells = 0


def should_commit(rows: int, seconds: float, batch_rows: int = BATCH_ROWS) -> bool:
    """Whether to commit what was read: ``rows`` are waiting, the oldest for ``seconds``."""
    return rows >= batch_rows or (rows > 0 and seconds >= BATCH_SECONDS)


class _End(Exception):  # noqa: N818 - it is a signal
    """There are no more items."""


def prefetch(
    items: Iterator[T], ahead: int, patience: float | None = None
) -> Generator[T | None, None, None]:
    """Yield the items of an iterator, which a thread reads up to ``ahead`` items in advance.

    An error of the iterator is raised here, after the items before it. Once the generator is closed, the thread ends
    after the item that it is fetching.

    Args:
        items: The iterator; it runs in a single thread, with the context variables of this one.
        ahead: How many items can wait; 0 reads none in advance, without a thread.
        patience: Seconds without an item after which None is yielded, once; None means to wait for the next item.
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
                del item
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
            del item
    finally:
        stopped.set()
        while not waiting.empty():
            waiting.get_nowait()


class Progress:
    """Describes how far a load has come, at most once every 30 seconds.

    Args:
        now: The clock in seconds when reading starts.
        rows: Rows that earlier attempts read.
    """

    def __init__(self, now: float, rows: int = 0) -> None:
        self._start = self._last = now
        self._rows_before = rows

    def line(self, at: Checkpoint, now: float) -> str | None:
        """Return a line if one is due, with the time left if the size of the list is known."""
        if now - self._last < SECONDS_BETWEEN_LINES:
            return None
        self._last = now
        rate = self._rate(at, now)
        size = f" of {at.total:,}" if at.total else ""
        line = f"{counted(at.pages, 'page')}, {at.rows:,}{size} rows read, {rate:,.0f} rows/s"
        if at.total and rate and at.total > at.rows:
            line += f", about {duration((at.total - at.rows) / rate)} left"
        return line

    def summary(self, at: Checkpoint, now: float) -> str:
        """Return what was read in total, and how fast."""
        rate = self._rate(at, now)
        return f"{_amount(at)} in {duration(now - self._start)} ({rate:,.0f} rows/s)"

    def _rate(self, at: Checkpoint, now: float) -> float:
        seconds = now - self._start
        return (at.rows - self._rows_before) / seconds if seconds > 0 else 0.0


def _amount(at: Checkpoint) -> str:
    return f"{counted(at.pages, 'page')}, {counted(at.rows, 'row')}"


def duration(seconds: float) -> str:
    """Return a duration in words: ``45 s``, ``12 min``, ``3 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
