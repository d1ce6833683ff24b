"""Random loads with crashes at random steps, compared with a model of what each mode promises."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.input_limits import CELLS
from airflow_provider_cleanlist.warehouse import reading, values
from airflow_provider_cleanlist.warehouse.loader import load
from airflow_provider_cleanlist.warehouse.naming import TableName
from airflow_provider_cleanlist.warehouse.spec import LoadSpec

from ...loads import MODES, Crash, crashing

FIELDS = ("email", "title", "Smart Score", "smart_score")


@dataclass
class Run:
    """A DAG run: the list as its pages show it, and the steps after which its tries die."""

    list_id: str
    run_id: str
    day: int
    pages: list[list[dict[str, Any]]]
    crashes: list[int]


leads = st.builds(
    lambda number, others: {"lead_id": f"lead-{number}", **others},
    st.integers(1, 6),
    st.dictionaries(
        st.sampled_from(FIELDS), st.none() | st.sampled_from(["a", "b", "ü\x00", ""]), max_size=3
    ),
)
runs = st.lists(
    st.builds(
        Run,
        list_id=st.sampled_from("LM"),
        run_id=st.sampled_from(["monday", "tuesday"]),
        day=st.integers(1, 2),
        pages=st.lists(st.lists(leads, max_size=4), min_size=1, max_size=5),
        crashes=st.lists(st.integers(0, 45), max_size=4),
    ),
    min_size=1,
    max_size=4,
)


def cells(lead: dict[str, Any]) -> dict[str, str]:
    """What is stored of a lead."""
    return {raw: value.replace("\x00", "") for raw, value in lead.items() if value is not None}


@dataclass
class Model:
    """The table as a list of rows ``(list, run, day, deleted, lead)``."""

    options: dict[str, Any]
    rows: list[tuple[str, str, int, bool, dict[str, Any]]] = field(default_factory=list)

    def load(self, run: Run) -> None:
        read = {lead["lead_id"]: lead for page in run.pages for lead in page}
        mode = self.options["mode"]
        kept = [row for row in self.rows if not self._replaces(run, row, read)]
        if mode == "merge" and self.options["on_missing"] != "keep":
            gone = [row for row in kept if row[0] == run.list_id]
            kept = [row for row in kept if row[0] != run.list_id]
            if self.options["on_missing"] == "soft_delete":
                kept += [(*row[:3], True, row[4]) for row in gone]
        new = [(run.list_id, run.run_id, run.day, False, lead) for lead in read.values()]
        self.rows = kept + [self._unchanged(row) or row for row in new]

    def _unchanged(
        self, new: tuple[str, str, int, bool, dict[str, Any]]
    ) -> tuple[str, str, int, bool, dict[str, Any]] | None:
        """The row that a merge leaves alone, because it holds what would be written."""
        same = (
            row for row in self.rows if (row[0], row[3], cells(row[4])) == (new[0], new[3], cells(new[4]))
        )
        return next(same, None) if self.options["mode"] == "merge" else None

    def _replaces(
        self, run: Run, row: tuple[str, str, int, bool, dict[str, Any]], read: dict[str, Any]
    ) -> bool:
        same_list = row[0] == run.list_id
        match self.options["mode"]:
            case "merge":
                return row[4]["lead_id"] in read and (same_list or self.options["key"] == ("lead_id",))
            case "replace":
                return same_list or self.options["replace_scope"] == "table"
            case "append":
                return same_list and row[1] == run.run_id
            case _:
                return row[2] == run.day and (same_list or self.options["replace_scope"] == "table")

    def expected(self, names: dict[str, str]) -> list[str]:
        result = []
        for list_id, run_id, day, deleted, lead in self.rows:
            row = {names[raw]: value for raw, value in cells(lead).items()}
            row |= {"_cleanlist_list_id": list_id, "_cleanlist_run_id": run_id}
            if self.options["mode"] == "snapshot":
                row["_cleanlist_snapshot_date"] = f"2026-01-0{day}"
            result.append(repr((deleted, sorted(row.items()))))
        return sorted(result)


def actual(engine: sa.engine.Engine) -> list[str]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM leads")).mappings().all()
    result = []
    for row in rows:
        filled = {name: value for name, value in row.items() if value is not None}
        assert filled.pop("_cleanlist_synced_at")
        deleted = filled.pop("_cleanlist_deleted_at", None) is not None
        result.append(repr((deleted, sorted(filled.items()))))
    return sorted(result)


def committed_pages(engine: sa.engine.Engine, spec: LoadSpec) -> int | None:
    """Pages of the load that are committed; None if there is no such load in flight."""
    query = "SELECT json_extract(checkpoint, '$.pages') FROM _cleanlist_loads WHERE stage = :stage"
    with engine.connect() as connection:
        try:
            return connection.execute(sa.text(query), {"stage": spec.stage.name}).scalar()
        except sa.exc.OperationalError:
            return None


def load_with_crashes(engine, spec, run, paged, batch_rows) -> None:
    for steps in [*run.crashes, None]:
        before = committed_pages(engine, spec)
        pages = paged(run.pages)
        try:
            with crashing(engine, steps):
                load(engine, spec, pages, batch_rows=batch_rows)
                return
        except Crash:
            continue
        finally:
            if before:
                assert not pages.reads or pages.reads[0] == before, "a committed page was read again"


@settings(
    max_examples=int(os.environ.get("FAULT_EXAMPLES", "20")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    runs=runs,
    chosen=MODES,
    batch_rows=st.integers(1, 6),
    foreign=st.booleans(),
    cells_at_once=st.sampled_from([6, 12, CELLS]),  # a row of a page, two rows, pages
)
def test_the_table_is_exact_whatever_crashes(paged, runs, chosen, batch_rows, foreign, cells_at_once):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for module in (reading, values):
            patch.setattr(module, "CELLS", cells_at_once)
        engine = sa.create_engine(f"sqlite:///{Path(folder)}/w.db", hide_parameters=True)
        sa.event.listen(
            engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF")
        )
        model = Model(chosen)
        for number, run in enumerate(runs):
            spec = LoadSpec(
                list_id=run.list_id,
                load_id=f"{run.run_id}/{number}",
                run_id=run.run_id,
                table=TableName("leads"),
                snapshot_date=date(2026, 1, run.day),
                columns={
                    "lead_id": None,
                    "email": None,
                    "title": None,
                    "Smart Score": "score",
                    "smart_score": "rank",
                },
                **chosen,
            )
            load_with_crashes(engine, spec, run, paged, batch_rows)
            model.load(run)
            if foreign and number == 0:
                with engine.begin() as connection:
                    connection.execute(sa.text("ALTER TABLE leads ADD COLUMN owner TEXT"))
            names = {
                "lead_id": "lead_id",
                "email": "email",
                "title": "title",
                "Smart Score": "score",
                "smart_score": "rank",
            }
            assert actual(engine) == model.expected(names)
            left = [
                name for name in sa.inspect(engine).get_table_names() if name.startswith("_cleanlist_stage_")
            ]
            assert left == []
        engine.dispose()


def test_a_crash_at_every_step_of_one_load(engine, paged, make_spec, rows_of):
    """The first try of a merge that adds a column dies at each step in turn; the next one finds the way."""
    first = [[{"lead_id": "1", "email": "old"}, {"lead_id": "2"}]]
    pages = [
        [{"lead_id": "1", "email": "new"}],
        [{"lead_id": "3", "score": 1}],
        [{"lead_id": "1", "email": "newer"}],
    ]
    meta = {"_cleanlist_list_id": "L", "_cleanlist_run_id": "dag/next"}
    after = [{"lead_id": "1", "email": "newer", **meta}, {"lead_id": "3", "score": "1", **meta}]
    for steps in range(100):
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS leads"))
        load(engine, make_spec(load_id="earlier"), paged(first))
        before = rows_of()
        spec = make_spec(run_id="dag/next", on_missing="delete")
        try:
            with crashing(engine, steps):
                load(engine, spec, paged(pages), batch_rows=1)
        except Crash:
            assert rows_of() in (before, after), steps
            load(engine, spec, paged(pages), batch_rows=1)
            assert rows_of() == after, steps
        else:
            break
    assert rows_of() == after
    assert 30 < steps < 99
