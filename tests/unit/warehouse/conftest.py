from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.naming import parse_table
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


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
        for number in range(int(cursor or 0), len(self.pages)):
            if number == self.fails_before:
                raise ConnectionError("the API is down")
            self.reads.append(number)
            is_last = number + 1 == len(self.pages)
            yield Page(self.pages[number], self._total(), None if is_last else str(number + 1))

    def _total(self) -> int:
        if self.total is not None:
            return self.total
        return len({lead["lead_id"] for page in self.pages for lead in page})


@pytest.fixture
def paged() -> type[PagedList]:
    return PagedList


@pytest.fixture
def engine(tmp_path) -> Iterator[sa.engine.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/warehouse.db", hide_parameters=True)
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    yield engine
    engine.dispose()


@pytest.fixture
def make_spec() -> Callable[..., LoadSpec]:
    """A spec for list L into table leads; every argument can be overridden."""

    def make(**arguments: Any) -> LoadSpec:
        table = arguments.pop("table", "leads")
        defaults: dict[str, Any] = {"list_id": "L", "load_id": "dag/run/task/-1", "run_id": "dag/run"}
        return LoadSpec(**{**defaults, **arguments, "table": parse_table(table)})

    return make


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def rows_of(engine) -> Callable[..., list[dict[str, Any]]]:
    """Rows of a table as dicts, NULLs left out, ordered by their text."""

    def rows(
        table: str = "leads", *, without: Sequence[str] = ("_cleanlist_synced_at",)
    ) -> list[dict[str, Any]]:
        with engine.connect() as connection:
            result = connection.execute(sa.select(sa.text("*")).select_from(sa.table(table))).mappings().all()
        dicts = [{k: v for k, v in row.items() if v is not None and k not in without} for row in result]
        return sorted(dicts, key=repr)

    return rows
