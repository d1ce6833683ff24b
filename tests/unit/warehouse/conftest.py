from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from ...loads import make_spec, paged  # noqa: F401

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path) -> Iterator[sa.engine.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/warehouse.db", hide_parameters=True)
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    yield engine
    engine.dispose()


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
