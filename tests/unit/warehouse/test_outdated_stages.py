"""What an earlier attempt staged is used as long as the list cannot have changed since, and no longer."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadDataError
from airflow_provider_cleanlist.warehouse.loader import load


def lead(number: int, **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields}


def execute(engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def column(rows, name: str) -> list:
    return [row.get(name) for row in rows]


TARGET = (
    "CREATE TABLE leads (lead_id TEXT, title TEXT NOT NULL, "
    "_cleanlist_list_id TEXT, _cleanlist_synced_at TEXT, _cleanlist_run_id TEXT)"
)


@pytest.mark.parametrize("source", ["pages", "export"])
@pytest.mark.parametrize(
    ("wrong", "right", "arguments"),
    [
        pytest.param(None, "Boss", {"key": ("title",)}, id="no key"),
        pytest.param(None, "Boss", {"columns": {"title": None}}, id="NULL that the target refuses"),
        pytest.param("x", "7", {"column_types": {"title": "integer"}}, id="no number"),
    ],
)
def test_a_corrected_lead_is_read(engine, make_spec, paged, rows_of, source, wrong, right, arguments):
    if "columns" in arguments:
        execute(engine, TARGET)
    spec = make_spec(source=source, **arguments)
    leads = [lead(1, title="1"), lead(2, title="2"), lead(3, title=wrong)]
    pages = paged([[each] for each in leads])
    with pytest.raises(LoadDataError):
        load(engine, spec, pages, batch_rows=1)
    leads[2]["title"] = right
    leads[0]["title"] = "3"
    pages.reads.clear()
    load(engine, spec, pages, batch_rows=1)
    assert pages.reads == [0, 1, 2]
    assert sorted(map(str, column(rows_of(), "title"))) == sorted(["3", "2", right])


def test_results_of_enrichment_never_change_so_they_stay_staged(engine, make_spec, paged, rows_of):
    execute(engine, TARGET.replace("title TEXT NOT NULL", "title TEXT CHECK (length(title) < 3)"))
    spec = make_spec(source_changes=False, columns={"title": None})
    pages = paged([[lead(1, title="long")]])
    with pytest.raises(LoadDataError):
        load(engine, spec, pages)
    execute(engine, "DROP TABLE leads")
    load(engine, spec, pages)
    assert pages.reads == [0]
    assert column(rows_of(), "title") == ["long"]
