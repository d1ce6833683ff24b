"""What tests of loads share: lists, specs, crashes, and loads at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st

from airflow_provider_cleanlist.warehouse.naming import parse_table
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

MODES = st.one_of(
    st.fixed_dictionaries(
        {
            "mode": st.just("merge"),
            "on_missing": st.sampled_from(["keep", "soft_delete", "delete"]),
            "key": st.sampled_from([("_cleanlist_list_id", "lead_id"), ("lead_id",)]),
        }
    ),
    st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["replace", "append", "snapshot"]),
            "replace_scope": st.sampled_from(["list", "table"]),
        }
    ),
)
"""Every mode with what it can be combined with, as arguments of a spec."""


@dataclass
class Page:
    records: Sequence[dict[str, Any]]
    total: int | None
    cursor: str | None


@dataclass
class PagedList:
    """A list read page by page; the cursor is the number of the next page. It notes which pages were read."""

    pages: Sequence[Sequence[dict[str, Any]]]
    total: int | None = None
    fails_before: int | None = None
    reads: list[int] = field(default_factory=list)

    def __call__(self, cursor: str | None) -> Iterator[Page]:
        total = self._total()
        for number in range(int(cursor or 0), len(self.pages)):
            if number == self.fails_before:
                raise ConnectionError("the API is down")
            self.reads.append(number)
            yield Page(self.pages[number], total, str(number + 1) if number + 1 < len(self.pages) else None)

    def _total(self) -> int | None:
        if self.total is not None:
            return self.total
        return len({lead["lead_id"] for page in self.pages for lead in page})


@pytest.fixture
def paged() -> type[PagedList]:
    return PagedList


@pytest.fixture
def make_spec() -> Callable[..., LoadSpec]:
    """A spec for list L into table leads; every argument can be overridden."""

    def make(**arguments: Any) -> LoadSpec:
        table = arguments.pop("table", "leads")
        defaults: dict[str, Any] = {"list_id": "L", "load_id": "dag/run/task/-1", "run_id": "dag/run"}
        return LoadSpec(**{**defaults, **arguments, "table": parse_table(table)})

    return make


class Crash(BaseException):
    """The process dies here."""


@contextmanager
def crashing(engine: sa.engine.Engine, steps: int | None) -> Iterator[None]:
    """Die before the n-th statement or commit; what is not committed then is lost. None never dies."""
    left = [steps]

    def step(*_: Any) -> None:
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

    with listening(engine, step, step):
        yield


@contextmanager
def listening(
    engine: sa.engine.Engine, on_statement: Callable[..., None], on_commit: Callable[..., None]
) -> Iterator[None]:
    """Call functions before each statement and each commit; then close all connections."""
    sa.event.listen(engine, "before_cursor_execute", on_statement)
    sa.event.listen(engine, "commit", on_commit)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", on_statement)
        sa.event.remove(engine, "commit", on_commit)
        engine.dispose()


def run_together(*functions: Callable[[], Any]) -> list[Any]:
    """Call functions in threads at the same time; return what each returns or raises."""
    results: list[Any] = [None] * len(functions)

    def run(index: int) -> None:
        try:
            results[index] = functions[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
