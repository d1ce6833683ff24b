from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.naming import parse_table
from airflow_provider_cleanlist.warehouse.spec import LoadSpec


@dataclass
class Page:
    leads: Sequence[dict[str, Any]]
    total: int | None
    cursor: str | None


@dataclass
class PagedList:
    """A list read page by page; the cursor is the number of the next page. It notes which pages were read."""

    pages: Sequence[Sequence[dict[str, Any]]]
    total: int | None = None
    reads: list[int] = field(default_factory=list)

    def __call__(self, cursor: str | None) -> Iterator[Page]:
        total = self.total
        if total is None:
            total = len({lead["lead_id"] for page in self.pages for lead in page})
        for number in range(int(cursor or 0), len(self.pages)):
            self.reads.append(number)
            yield Page(self.pages[number], total, str(number + 1) if number + 1 < len(self.pages) else None)


@pytest.fixture
def paged() -> type[PagedList]:
    return PagedList


@pytest.fixture
def make_spec() -> Callable[..., LoadSpec]:
    def make(**arguments: Any) -> LoadSpec:
        table = arguments.pop("table", "leads")
        defaults: dict[str, Any] = {"list_id": "L", "load_id": "dag/run/task/-1", "run_id": "dag/run"}
        return LoadSpec(**{**defaults, **arguments, "table": parse_table(table)})

    return make


@pytest.fixture(params=["psycopg", "psycopg2"])
def engine(
    request: pytest.FixtureRequest, open_postgres: Callable[..., sa.engine.Engine]
) -> sa.engine.Engine:
    return open_postgres(request.param)


@pytest.fixture
def execute(engine: sa.engine.Engine) -> Callable[..., list[Any]]:
    """Run a statement and return its rows."""

    def run(statement: str, **parameters: Any) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement), parameters)
            return list(result) if result.returns_rows else []

    return run
