"""Loads into SQLite: modes, tries, moving lists and bad input."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import loader, tables
from airflow_provider_cleanlist.warehouse.dialects import DATABASES
from airflow_provider_cleanlist.warehouse.dialects.base import GENERIC
from airflow_provider_cleanlist.warehouse.dialects.sqlite import SQLITE
from airflow_provider_cleanlist.warehouse.errors import (
    CursorRefusedError,
    LoadConfigurationError,
    LoadDataError,
    LoadError,
    SourceInconsistentError,
)
from airflow_provider_cleanlist.warehouse.loader import LoadReport, load
from airflow_provider_cleanlist.warehouse.spec import LEAD_FIELDS

from ...loads import Page

META = ("_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id")


def lead(number: int, **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields}


def row(number: int, list_id: str = "L", run_id: str = "dag/run", **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields, "_cleanlist_list_id": list_id, "_cleanlist_run_id": run_id}


def execute(engine, *statements: str) -> list[tuple]:
    """Run statements in one transaction and return the rows of the last one."""
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


def tables_in(engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


@pytest.fixture
def load_pages(engine, make_spec, paged):
    """Load pages; each call is a load of its own unless ``load_id`` says otherwise."""
    calls = iter(range(1000))

    def run(*pages, total=None, batch_rows=2, **arguments):
        arguments.setdefault("load_id", f"load {next(calls)}")
        return load(engine, make_spec(**arguments), paged(pages, total), batch_rows=batch_rows)

    return run


def test_a_new_table_holds_the_list_and_nothing_is_left_behind(engine, load_pages, rows_of):
    report = load_pages([lead(1, email="a"), lead(2)], [lead(3, score=7)])
    assert report == LoadReport(rows_read=3, rows_written=3, rows_removed=0, pages=2)
    assert rows_of() == [row(1, email="a"), row(2), row(3, score="7")]
    assert tables_in(engine) == {"leads", "_cleanlist_loads"}
    assert execute(engine, "SELECT count(*) FROM _cleanlist_loads") == [(0,)]


def test_a_merge_counts_what_the_table_holds_and_the_run_id_shows_what_changed(load_pages, rows_of):
    load_pages([lead(1, email="a"), lead(2)], run_id="first")
    report = load_pages([lead(1, email="b"), lead(2)], run_id="second")
    assert report.rows_written == 2
    assert [r["lead_id"] for r in rows_of() if r["_cleanlist_run_id"] == "second"] == ["lead-1"]


def test_documented_columns_exist_even_for_an_empty_list(engine, load_pages):
    assert load_pages([]).rows_written == 0
    columns = [column["name"] for column in sa.inspect(engine).get_columns("leads")]
    assert columns == [*LEAD_FIELDS, *META]
    assert sa.inspect(engine).get_pk_constraint("leads")["constrained_columns"] == [
        "_cleanlist_list_id",
        "lead_id",
    ]


def test_all_rows_of_a_load_have_the_same_time(engine, load_pages, now, make_spec, paged):
    load(engine, make_spec(), paged([[lead(1), lead(2)]]), utc_now=lambda: now)
    times = execute(engine, "SELECT DISTINCT _cleanlist_synced_at FROM leads")
    assert times == [("2026-11-22 12:00:00.000000",)]


def test_merge_updates_adds_and_keeps(load_pages, rows_of):
    load_pages([lead(1, email="old"), lead(2)])
    report = load_pages([lead(1, email="new"), lead(3)], run_id="dag/next")
    assert (report.rows_written, report.rows_removed) == (2, 0)
    assert rows_of() == [row(1, run_id="dag/next", email="new"), row(2), row(3, run_id="dag/next")]


def test_two_lists_share_a_table_without_touching_each_other(load_pages, rows_of):
    load_pages([lead(1, email="a")])
    load_pages([lead(1, email="b")], list_id="M", mode="merge", on_missing="delete")
    load_pages([lead(2)], list_id="M", mode="replace")
    assert rows_of() == [row(1, email="a"), row(2, list_id="M")]


def test_a_table_of_people_has_each_of_them_once(load_pages, rows_of):
    load_pages([lead(1, email="a"), lead(2)], key=("lead_id",))
    load_pages([lead(1, email="b")], list_id="M", key=("lead_id",))
    assert rows_of() == [row(1, list_id="M", email="b"), row(2)]
    load_pages([lead(1, email="c")], mode="replace", key=("lead_id",))
    assert rows_of() == [row(1, email="c")]


def test_a_key_of_two_fields(load_pages, rows_of):
    key = ("_cleanlist_list_id", "company", "title")
    load_pages([lead(1, company="x", title="a"), lead(2, company="x", title="b")], key=key)
    load_pages([lead(3, company="x", title="a")], key=key)
    assert rows_of() == [row(2, company="x", title="b"), row(3, company="x", title="a")]


@pytest.mark.parametrize(
    ("scope", "kept"), [("list", [{"lead_id": "lead-9", "_cleanlist_list_id": "M"}]), ("table", [])]
)
def test_replace(load_pages, rows_of, scope, kept):
    load_pages([lead(9)], list_id="M")
    load_pages([lead(1), lead(2)])
    report = load_pages([lead(2), lead(3)], mode="replace", replace_scope=scope)
    assert (report.rows_written, report.rows_removed) == (2, 3 - len(kept))
    assert [{k: r[k] for k in ("lead_id", "_cleanlist_list_id")} for r in rows_of()] == [
        *({"lead_id": f"lead-{n}", "_cleanlist_list_id": "L"} for n in (2, 3)),
        *kept,
    ]


def test_replacing_by_an_empty_list_empties_its_rows(load_pages, rows_of):
    load_pages([lead(1)])
    assert load_pages([], mode="replace").rows_removed == 1
    assert rows_of() == []


def test_an_empty_page_without_a_total_replaces_nothing(engine, make_spec, load_pages, rows_of):
    load_pages([lead(1)])
    for _ in range(2):
        with pytest.raises(
            LoadError, match=r"it may not be empty\. Nothing was written; the next attempt reads"
        ):
            load(engine, make_spec(mode="replace"), lambda _: iter([Page([], None, None)]))
    assert [row["lead_id"] for row in rows_of()] == ["lead-1"]


def test_append_adds_per_run_and_a_rerun_adds_nothing(load_pages, rows_of):
    load_pages([lead(1)], mode="append", run_id="dag/monday")
    load_pages([lead(1), lead(2)], mode="append", run_id="dag/tuesday")
    report = load_pages([lead(1), lead(3)], mode="append", run_id="dag/tuesday")
    assert (report.rows_written, report.rows_removed) == (2, 2)
    assert rows_of() == [
        row(1, run_id="dag/monday"),
        row(1, run_id="dag/tuesday"),
        row(3, run_id="dag/tuesday"),
    ]


def test_snapshot_keeps_one_copy_per_day(load_pages, rows_of):
    monday, tuesday = date(2026, 1, 5), date(2026, 1, 6)
    load_pages([lead(1)], mode="snapshot", snapshot_date=monday)
    load_pages([lead(2)], mode="snapshot", snapshot_date=monday, list_id="M")
    load_pages([lead(1)], mode="snapshot", snapshot_date=tuesday)
    load_pages([lead(3)], mode="snapshot", snapshot_date=monday)
    days = [(r["lead_id"], r["_cleanlist_list_id"], r["_cleanlist_snapshot_date"]) for r in rows_of()]
    assert days == [
        ("lead-1", "L", "2026-01-06"),
        ("lead-2", "M", "2026-01-05"),
        ("lead-3", "L", "2026-01-05"),
    ]
    load_pages([lead(4)], mode="snapshot", snapshot_date=monday, replace_scope="table")
    assert [(r["lead_id"], r["_cleanlist_snapshot_date"]) for r in rows_of()] == [
        ("lead-1", "2026-01-06"),
        ("lead-4", "2026-01-05"),
    ]


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("on_missing", ["keep", "soft_delete", "delete"])
def test_leads_gone_from_the_list(engine, load_pages, rows_of, on_missing, foreign):
    load_pages([lead(1), lead(2)])
    load_pages([lead(2)], list_id="M")
    if foreign:
        execute(engine, "ALTER TABLE leads ADD COLUMN owner TEXT")
    report = load_pages([lead(1, email="new")], on_missing=on_missing)
    assert (report.rows_written, report.rows_removed) == (1, 0 if on_missing == "keep" else 1)
    own = {r["lead_id"]: "_cleanlist_deleted_at" in r for r in rows_of() if r["_cleanlist_list_id"] == "L"}
    expected = {"keep": {"lead-1": False, "lead-2": False}, "soft_delete": {"lead-1": False, "lead-2": True}}
    assert own == expected.get(on_missing, {"lead-1": False})
    assert row(2, list_id="M") in rows_of()
    assert load_pages([lead(1, email="new")], on_missing=on_missing).rows_removed == 0
    load_pages([lead(1), lead(2)], on_missing="keep")
    assert not any("_cleanlist_deleted_at" in r for r in rows_of())


@pytest.mark.parametrize("total", [3, None])
def test_nothing_is_deleted_unless_the_count_is_right(
    engine, make_spec, load_pages, rows_of, paged, total, caplog
):
    load_pages([lead(1), lead(2)])
    pages = paged([[lead(1)]], total)
    pages._total = lambda: total
    with caplog.at_level(logging.WARNING):
        report = load(engine, make_spec(on_missing="delete", row_count_check="off", load_id="x"), pages)
    assert report.rows_removed == 0
    assert len(rows_of()) == 2
    assert "Rows that are gone from the list are kept" in caplog.text


def test_columns_of_somebody_else_keep_their_values_in_a_merge(engine, load_pages, rows_of):
    load_pages([lead(1), lead(2)])
    execute(
        engine,
        "ALTER TABLE leads ADD COLUMN owner TEXT",
        "ALTER TABLE leads ADD COLUMN stage TEXT DEFAULT 'new'",
        "UPDATE leads SET owner = 'Ada', stage = 'won' WHERE lead_id = 'lead-1'",
    )
    load_pages([lead(1, email="late"), lead(3)], [lead(1, email="latest")])
    assert rows_of() == [
        row(1, email="latest", owner="Ada", stage="won"),
        row(2, stage="new"),
        row(3, stage="new"),
    ]


def test_each_lead_once_the_last_copy_of_the_last_page_wins(load_pages, rows_of):
    report = load_pages(
        [lead(1, email="a"), lead(2, email="a"), lead(2, email="b")],
        [lead(1, email="b"), lead(3)],
        [lead(2, email="c")],
    )
    assert (report.rows_read, report.rows_written) == (6, 3)
    assert rows_of() == [row(1, email="b"), row(2, email="c"), row(3)]


@pytest.mark.parametrize("mode", ["merge", "replace", "append", "snapshot"])
def test_duplicates_are_dropped_in_every_mode(load_pages, rows_of, mode):
    load_pages([lead(1, email="a")], [lead(1, email="b")], mode=mode, snapshot_date=date(2026, 1, 1))
    assert [r["email"] for r in rows_of()] == ["b"]


def test_smart_columns_that_appear_between_pages(load_pages, rows_of):
    load_pages([lead(1)], [lead(2, **{"ICP Score": 1})], [lead(3, **{"Tags": ["a"], "ICP Score": 2})])
    assert rows_of() == [row(1), row(2, icp_score="1"), row(3, icp_score="2", tags='["a"]')]


def test_colliding_columns_are_told_apart_whatever_page_they_come_on(engine, load_pages, rows_of):
    pages = [[lead(1, **{"Company Size": "11"})], [lead(2, **{"company_size": "50"})]]
    load_pages(*pages, table="one")
    load_pages(*reversed(pages), table="other")
    assert rows_of("one") == rows_of("other")
    assert len({name for r in rows_of("one") for name in r if name.startswith("company_size_")}) == 2


def test_a_column_that_a_second_field_of_its_name_leaves_unfilled_is_told(load_pages, rows_of, caplog):
    load_pages([lead(1, **{"ICP Score": "old"})])
    load_pages([lead(1, **{"ICP Score": "new"})])
    assert rows_of() == [row(1, icp_score="new")]
    assert "Nothing fills" not in caplog.text
    load_pages([lead(1, **{"ICP Score": "newer", "ICP score": "other"})])
    assert rows_of()[0]["icp_score_bd2bc152"] == "newer"
    said = "the column icp_score of leads: .*'ICP Score' goes into icp_score_bd2bc152 and 'ICP score' goes into icp"
    assert re.search(said, caplog.text)
    caplog.clear()
    load_pages([lead(1, **{"ICP Score": "newest"})])
    assert rows_of()[0]["icp_score_bd2bc152"] == "newest"
    assert re.search(
        r"the column icp_score of leads: .*'ICP Score' goes into icp_score_bd2bc152\.", caplog.text
    )


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        pytest.param({"ICP Score": "a", "ICP score": "b"}, {}, id="a new table"),
        pytest.param({"Email": "an agent's"}, {}, id="a documented field"),
        pytest.param(
            {"ICP Score": "a", "ICP score": "b"},
            {"columns": {"ICP Score": None}},
            id="only one of them is loaded",
        ),
    ],
)
def test_no_other_column_is_told(engine, load_pages, caplog, fields, arguments):
    if arguments:
        execute(engine, "CREATE TABLE leads (lead_id TEXT, icp_score TEXT)")
    load_pages([lead(1, **fields)], **arguments)
    load_pages([lead(1, email="own", **fields)], **arguments)
    assert "Nothing fills" not in caplog.text


def test_new_columns_are_reported(load_pages):
    assert load_pages([lead(1)]).columns_added == ()
    assert load_pages([lead(1, score=1)]).columns_added == ("score",)
    assert load_pages([lead(1, score=1)], on_missing="soft_delete").columns_added == (
        "_cleanlist_deleted_at",
    )


def test_types_are_kept(engine, load_pages):
    types = {"score": "float", "hired": "date", "seen": "timestamp", "vip": "boolean", "staff": "integer"}
    record = lead(1, score="1.5", hired="2026-01-02", seen="2026-01-02T03:04:05+01:00", vip="yes", staff="7")
    load_pages([record], column_types=types)
    (result,) = execute(engine, "SELECT score, hired, seen, vip, staff FROM leads")
    assert result == (1.5, "2026-01-02", "2026-01-02 02:04:05.000000", 1, 7)


def test_extra_and_hashes_and_renames(load_pages, rows_of):
    load_pages(
        [lead(1, email="a", phone="1", smart=True)],
        schema_evolution="ignore",
        hash_columns=["email"],
        hash_secret="s",
        exclude_columns=["phone"],
    )
    (loaded,) = rows_of()
    assert len(loaded["email"]) == 64
    assert loaded["_extra"] == '{"smart":true}'
    assert "phone" not in loaded
    load_pages([lead(1, email="a", smart=1)], table="small", columns={"lead_id": "Lead Id", "smart": None})
    assert rows_of("small") == [
        {"Lead Id": "lead-1", "smart": "1", "_cleanlist_list_id": "L", "_cleanlist_run_id": "dag/run"}
    ]


@pytest.mark.parametrize(
    "table", ['we"ird', "x; DROP TABLE victim", "a b", "percent%s", "col:on", "Ünï", "select"]
)
def test_odd_names_are_only_names(engine, load_pages, rows_of, table):
    execute(engine, "CREATE TABLE victim (x TEXT)")
    quoted = '"{}"'.format(table.replace('"', '""'))
    fields = {'"; DROP TABLE victim; --': "v", "%(x)s": "p", ":y": "c", "'": "q"}
    for _ in range(2):
        load_pages([lead(1, **fields)], table=quoted, columns={"lead_id": None, **dict.fromkeys(fields)})
    with engine.connect() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar()
    assert count == 1
    assert "victim" in tables_in(engine)


def test_columns_named_by_the_user_are_taken_verbatim(load_pages, rows_of):
    names = {"lead_id": 'i"d', "email": "per%cent", "phone": "col:on", "title": "); DROP TABLE leads; --"}
    for _ in range(2):
        load_pages([lead(1, email="e", phone="p", title="t")], columns=names)
    values = {'i"d': "lead-1", "per%cent": "e", "col:on": "p", "); DROP TABLE leads; --": "t"}
    assert rows_of() == [{**values, "_cleanlist_list_id": "L", "_cleanlist_run_id": "dag/run"}]


def test_hostile_values_are_only_values(load_pages, rows_of):
    text = "'); DROP TABLE leads; -- \\N \t \r\n \\. %s :x {}"
    load_pages([lead(1, email=text, company=""), lead(2)], list_id=text, run_id=text)
    assert rows_of() == [row(1, text, text, email=text, company=""), row(2, text, text)]


# --- tries -----------------------------------------------------------------------------------------------------


def test_a_try_goes_on_after_the_last_committed_page(engine, make_spec, paged, rows_of):
    pages = [[lead(n)] for n in range(6)]
    broken = paged(pages, fails_before=5)
    with pytest.raises(ConnectionError):
        load(engine, make_spec(), broken, batch_rows=2)
    assert "leads" not in tables_in(engine)
    again = paged(pages)
    assert load(engine, make_spec(), again, batch_rows=2).rows_read == 6
    assert (broken.reads, again.reads) == ([0, 1, 2, 3, 4], [5])
    assert len(rows_of()) == 6


def test_a_complete_stage_is_published_without_reading_again(engine, make_spec, paged, load_pages, rows_of):
    load_pages([])

    def break_the_table(_):
        yield from paged([[lead(1)], [lead(2)]])(None)
        execute(engine, "CREATE TRIGGER t BEFORE INSERT ON leads BEGIN INSERT INTO nowhere VALUES (1); END")

    with pytest.raises(LoadError, match="no such table"):
        load(engine, make_spec(), break_the_table, batch_rows=1)
    execute(engine, "DROP TRIGGER t")
    again = paged([])
    assert load(engine, make_spec(), again).rows_written == 2
    assert again.reads == []
    assert len(rows_of()) == 2


def test_a_published_load_only_cleans_up(engine, make_spec, paged, monkeypatch, rows_of):
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_cleanlist.warehouse.staging.Stage.drop", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(engine, make_spec(), paged([[lead(1)]]))
    execute(engine, "UPDATE leads SET email = 'changed since'")
    again = paged([[lead(1)], [lead(2)]])
    assert load(engine, make_spec(), again) == LoadReport(
        rows_read=1, rows_written=1, rows_removed=0, pages=1
    )
    assert again.reads == []
    assert rows_of() == [row(1, email="changed since")]
    assert tables_in(engine) == {"leads", "_cleanlist_loads"}


@pytest.mark.parametrize("mode", ["merge", "append", "replace"])
def test_leads_without_a_key_do_not_become_one(engine, make_spec, paged, mode):
    spec = make_spec(key=("email",), mode=mode)
    leads = [lead(1, email="a"), lead(2, email=""), lead(3, email=" "), lead(4, email="")]
    with pytest.raises(LoadDataError, match="3 of 4 rows have no value in email"):
        load(engine, spec, paged([leads]))
    assert "leads" not in tables_in(engine)


def test_ignored_fields_are_read_again_once_the_target_has_a_column_for_them(
    engine, make_spec, paged, rows_of
):
    key = ("lead_id",)
    load(engine, make_spec(load_id="before", key=key, schema_evolution="ignore"), paged([[lead(9)]]))
    pages = [[lead(1, score="11")], [lead(2, score="22")], [lead(3, score="33")]]
    ignoring = make_spec(key=key, schema_evolution="ignore")
    with pytest.raises(ConnectionError):
        load(engine, ignoring, paged(pages, fails_before=2), batch_rows=1)
    both = [lead(1, score="11"), lead(2, score="22")]
    load(engine, make_spec(list_id="M", load_id="other", key=key), paged([both]))
    load(engine, ignoring, paged(pages), batch_rows=1)
    assert {found["lead_id"]: found.get("score") for found in rows_of()} == {
        "lead-1": "11",
        "lead-2": "22",
        "lead-3": "33",
        "lead-9": None,
    }


def test_a_resumed_load_whose_columns_were_renamed_keeps_what_was_staged(engine, make_spec, paged, rows_of):
    pages = [[lead(n, score=str(n))] for n in (1, 2, 3)]
    for name, fails_before in (("points", 2), ("rank", None)):
        columns = {"lead_id": "lead_id", "score": name}
        spec = make_spec(columns=columns, column_types={name: "integer"})
        try:
            load(engine, spec, paged(pages, fails_before=fails_before), batch_rows=1)
        except ConnectionError:
            assert name == "points"
    assert [found["rank"] for found in rows_of()] == [1, 2, 3]


def test_a_published_load_that_is_wanted_otherwise_is_done_again(
    engine, make_spec, paged, monkeypatch, rows_of
):
    load(engine, make_spec(load_id="before"), paged([[lead(2)]]))
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_cleanlist.warehouse.staging.Stage.drop", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(engine, make_spec(), paged([[lead(1)]]))
    assert len(rows_of()) == 2
    report = load(engine, make_spec(mode="replace"), paged([[lead(1)]]))
    assert report.rows_removed == 2
    assert rows_of() == [row(1)]


@pytest.mark.parametrize("change", [{"columns": {"email": None}}, {"later": timedelta(hours=25)}])
def test_a_stage_made_otherwise_or_long_ago_is_not_used(engine, make_spec, paged, now, change, rows_of):
    pages = [[lead(n, email="e", phone="p")] for n in range(3)]
    with pytest.raises(ConnectionError):
        load(engine, make_spec(), paged(pages, fails_before=2), utc_now=lambda: now, batch_rows=1)
    later = now + change.pop("later", timedelta())
    again = paged(pages)
    load(engine, make_spec(**change), again, utc_now=lambda: later, batch_rows=1)
    assert again.reads == [0, 1, 2]
    assert ("phone" in rows_of()[0]) is ("columns" not in change)


@pytest.mark.parametrize("damage", ["DROP TABLE {}", "DELETE FROM {}"])
def test_a_damaged_stage_is_read_again(engine, make_spec, paged, damage, rows_of):
    pages = [[lead(n)] for n in range(3)]
    with pytest.raises(ConnectionError):
        load(engine, make_spec(), paged(pages, fails_before=2), batch_rows=1)
    execute(engine, damage.format(make_spec().stage.name))
    again = paged(pages)
    load(engine, make_spec(), again, batch_rows=1)
    assert again.reads == [0, 1, 2]
    assert len(rows_of()) == 3


class Clock:
    """The time of day; looking at it for the n-th time makes something happen, in the thread that loads."""

    def __init__(self, now, look, happening):
        self._now, self._look, self._happening = now, look, happening
        self._looks = 0

    def __call__(self):
        self._looks += 1
        if self._looks == self._look:
            self._happening()
        return self._now


def test_a_stage_that_loses_rows_during_the_load_is_not_published(engine, make_spec, paged, now):
    spec = make_spec()
    clock = Clock(now, 5, lambda: execute(engine, f"DELETE FROM {spec.stage.name}"))
    with pytest.raises(LoadError, match="holds 1 rows, but 3 were written"):
        load(engine, spec, paged([[lead(1)], [lead(2)], [lead(3)]]), batch_rows=1, utc_now=clock)
    assert tables_in(engine) == {"_cleanlist_loads"}
    assert load(engine, spec, paged([[lead(1)]])).rows_read == 1


@pytest.mark.parametrize("look", range(2, 7))
def test_of_two_tries_at_once_only_one_publishes(engine, make_spec, paged, now, rows_of, look):
    """A worker that lost its heartbeat goes on while Airflow runs the next try from start to end."""
    pages = [[lead(n)] for n in range(3)]
    clock = Clock(now, look, lambda: load(engine, make_spec(), paged(pages), batch_rows=1))
    with pytest.raises(LoadError):
        load(engine, make_spec(), paged(pages), batch_rows=1, utc_now=clock)
    assert rows_of() == [row(n) for n in range(3)]
    assert execute(engine, "SELECT count(*) FROM _cleanlist_loads") == [(0,)]


@pytest.mark.parametrize("look", [2, 3])
def test_a_try_that_is_overtaken_by_a_running_one_stops(engine, make_spec, paged, now, look):
    def overtake():
        with pytest.raises(ConnectionError):
            load(engine, make_spec(), paged([[lead(0)], [lead(1)]], fails_before=1), batch_rows=1)

    clock = Clock(now, look, overtake)
    with pytest.raises(LoadError, match="Another attempt of this task has taken the load over"):
        load(engine, make_spec(), paged([[lead(n)] for n in range(3)]), batch_rows=1, utc_now=clock)
    assert "leads" not in tables_in(engine)


@pytest.mark.parametrize(
    ("failure", "said"),
    [(SourceInconsistentError, "not whole"), (CursorRefusedError, "Another attempt of this task")],
)
def test_an_attempt_that_fails_leaves_the_stage_of_the_one_that_took_over(
    engine, make_spec, paged, rows_of, failure, said
):
    pages = [[lead(n)] for n in range(3)]
    with pytest.raises(ConnectionError):
        load(engine, make_spec(), paged(pages, fails_before=1), batch_rows=1)

    def overtaken(_):
        with pytest.raises(ConnectionError):
            load(engine, make_spec(), paged(pages, fails_before=2), batch_rows=1)
        raise failure("not whole")
        yield

    with pytest.raises(LoadError, match=said):
        load(engine, make_spec(), overtaken, batch_rows=1)
    cursors = []

    def rest(cursor):
        cursors.append(cursor)
        return paged(pages)(cursor)

    assert load(engine, make_spec(), rest).rows_read == 3
    assert cursors == ["2"]
    assert rows_of() == [row(n) for n in range(3)]


def test_a_refused_cursor_begins_anew(engine, make_spec, paged, rows_of):
    pages = paged([[lead(1)], [lead(2)]], fails_before=1)
    with pytest.raises(ConnectionError):
        load(engine, make_spec(), pages, batch_rows=1)

    def refusing(cursor):
        if cursor is not None:
            raise CursorRefusedError
        return paged([[lead(3)], [lead(4)]])(None)

    load(engine, make_spec(), refusing, batch_rows=1)
    assert rows_of() == [row(3), row(4)]


def test_abandoned_stages_are_dropped_and_others_left_alone(engine, make_spec, paged, now, load_pages):
    def fail(load_id, at):
        with pytest.raises(ConnectionError):
            load(
                engine,
                make_spec(load_id=load_id),
                paged([[lead(1)], []], fails_before=1),
                utc_now=lambda: at,
                batch_rows=1,
            )

    fail("abandoned", now - timedelta(days=3))
    fail("running", now - timedelta(hours=1))
    execute(
        engine,
        "CREATE TABLE customers (x TEXT)",
        "INSERT INTO _cleanlist_loads (stage, updated_at) VALUES ('customers', '2000-01-01')",
    )
    load(engine, make_spec(load_id="new"), paged([[lead(1)]]), utc_now=lambda: now)
    left = {name for name in tables_in(engine) if name.startswith("_cleanlist_stage_")}
    assert left == {make_spec(load_id="running").stage.name}
    assert "customers" in tables_in(engine)


# --- what stops a load -----------------------------------------------------------------------------------------


def test_a_wrong_count_is_told(load_pages, caplog):
    with caplog.at_level(logging.WARNING):
        load_pages([lead(1), lead(1)], total=2)
    assert "Read 1 distinct records (2 rows), but the list's last page reported a total of 2" in caplog.text


def test_a_wrong_count_fails_if_asked_and_the_next_try_reads_again(engine, make_spec, paged, rows_of):
    spec = make_spec(row_count_check="fail")
    with pytest.raises(LoadError, match="Nothing was written"):
        load(engine, spec, paged([[lead(1)]], 2))
    assert tables_in(engine) == {"_cleanlist_loads"}
    load(engine, spec, paged([[lead(1), lead(2)]], 2))
    assert len(rows_of()) == 2


def test_null_keys_stop_the_load(load_pages, engine):
    with pytest.raises(LoadDataError, match="1 of 2 rows have no value in email"):
        load_pages([lead(1, email="a"), lead(2)], key=("email",))
    assert "leads" not in tables_in(engine)


@pytest.mark.parametrize(
    ("setup", "arguments", "error", "message"),
    [
        (
            "CREATE VIEW leads AS SELECT 'x' AS lead_id",
            {},
            LoadConfigurationError,
            "cannot modify leads because it is",
        ),
        ("CREATE TABLE leads (id TEXT)", {"schema_evolution": "fail"}, LoadConfigurationError, "'lead_id'"),
        ("CREATE TABLE leads (id TEXT)", {"schema_evolution": "ignore"}, LoadConfigurationError, "lead_id"),
        (
            "CREATE TABLE leads (lead_id TEXT, owner TEXT NOT NULL)",
            {},
            LoadDataError,
            "NOT NULL constraint failed: leads.owner",
        ),
        ("CREATE TABLE leads (lead_id INTEGER PRIMARY KEY)", {}, LoadDataError, "datatype mismatch"),
        ("SELECT 1", {"table": "nowhere.leads"}, LoadConfigurationError, r"nowhere\..*unknown database"),
        ("SELECT 1", {"staging_schema": "nowhere"}, LoadConfigurationError, r"nowhere\..*unknown database"),
    ],
)
def test_what_does_not_fit_is_told_and_the_target_unchanged(
    engine, load_pages, setup, arguments, error, message
):
    execute(engine, setup)
    before = sa.inspect(engine).get_table_names(), sa.inspect(engine).get_view_names()
    with pytest.raises(error, match=message) as caught:
        load_pages([lead(1, email="secret@x.example")], **arguments)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert set(before[0]) <= tables_in(engine)
    if "TABLE" in setup:
        assert execute(engine, "SELECT count(*) FROM leads") == [(0,)]


def test_a_view_is_refused_before_anything_is_read(engine, make_spec, paged):
    execute(engine, "CREATE VIEW leads AS SELECT 'x' AS lead_id")
    pages = paged([[lead(1)]])
    with pytest.raises(LoadConfigurationError):
        load(engine, make_spec(), pages)
    assert pages.reads == []


def test_a_read_only_database(engine, make_spec, paged, tmp_path):
    execute(engine, "CREATE TABLE leads (lead_id TEXT)")
    url = f"sqlite:///file:{tmp_path}/warehouse.db?mode=ro&uri=true"
    with pytest.raises(LoadConfigurationError, match="attempt to write a readonly database"):
        load(sa.create_engine(url, hide_parameters=True), make_spec(), paged([[lead(1)]]))


def test_a_database_that_nothing_is_known_about_merges_in_place_too(engine, load_pages, rows_of, monkeypatch):
    portable = replace(SQLITE, update=GENERIC.update, differs=GENERIC.differs, folds_keys=False)
    monkeypatch.setitem(DATABASES, "sqlite", portable)
    load_pages([lead(1, email="old"), lead(2, email="a"), lead(3)])
    execute(engine, "ALTER TABLE leads ADD COLUMN owner TEXT DEFAULT 'Ada'")
    load_pages([lead(1, email="older"), lead(2, email="a"), lead(4)], [lead(1, email="new")], run_id="next")
    assert rows_of() == [
        row(1, run_id="next", email="new", owner="Ada"),
        row(2, email="a", owner="Ada"),
        row(3, owner="Ada"),
        row(4, run_id="next", owner="Ada"),
    ]


def test_a_stage_emptied_right_before_publishing_never_empties_the_target(
    engine, load_pages, rows_of, monkeypatch
):
    """As after a crash of a PostgreSQL server, which truncates unlogged tables."""
    load_pages([lead(1)])
    prepare = loader._prepare_target

    def prepare_and_lose(engine, spec, fields):
        execute(engine, f"DELETE FROM {spec.stage.name}")
        return prepare(engine, spec, fields)

    monkeypatch.setattr(loader, "_prepare_target", prepare_and_lose)
    with pytest.raises(LoadError, match="holds 0 rows instead of 2"):
        load_pages([lead(2), lead(3)], mode="replace")
    assert rows_of() == [row(1)]


def test_tables_and_columns_that_somebody_else_makes_at_the_same_moment(
    engine, load_pages, rows_of, monkeypatch
):
    execute_ddl = tables._execute_ddl

    def too_late(engine, statement, doing):
        execute_ddl(engine, statement, doing)
        execute_ddl(engine, statement, doing)

    monkeypatch.setattr(tables, "_execute_ddl", too_late)
    load_pages([lead(1)])
    load_pages([lead(2, score=1)])
    assert rows_of() == [row(1), row(2, score="1")]


def test_an_abandoned_stage_that_cannot_be_dropped_stays_and_is_told(engine, load_pages, caplog):
    load_pages([lead(1)])
    execute(
        engine,
        "CREATE VIEW _cleanlist_stage_view AS SELECT 1",
        "INSERT INTO _cleanlist_loads (stage, updated_at) VALUES ('_cleanlist_stage_view', '2000-01-01')",
    )
    assert load_pages([lead(1)]).rows_written == 1
    assert "An abandoned staging table remains: Dropping table _cleanlist_stage_view failed" in caplog.text


def test_progress_is_told(load_pages, engine, make_spec, paged, caplog):
    seconds = iter(range(0, 10_000, 40))
    with caplog.at_level(logging.INFO):
        load(engine, make_spec(), paged([[lead(1)], [lead(2)]]), clock=lambda: next(seconds))
    assert "1 page, 1 of 2 rows read" in caplog.text


DAMAGES = {
    "no JSON": {"checkpoint": "nope"},
    "deep": {"checkpoint": "[" * 100_000},
    "a list": {"checkpoint": "[]"},
    "null": {"checkpoint": None},
    "another key": {"x": 1},
    "fields of numbers": {"fields": [1, 2]},
    "fields in a text": {"fields": "abc"},
    "pages in a text": {"pages": "1"},
    "huge pages": {"pages": 10**30},
    "huge rows": {"rows": 10**30},
    "a cursor that is a mapping": {"cursor": {"a": 1}},
    "a total in a text": {"total": "many"},
    "cleaned": {"cleaned": "x"},
    "a part of a report": {"report": {"rows_read": 1}},
    "a report in a text": {"report": "x"},
    "a time": {"updated_at": "yesterday"},
    "no time": {"updated_at": None},
    "the first time": {"updated_at": "0001-01-01T00:00:00+14:00"},
    "the last time": {"updated_at": "9999-12-31T23:59:59-14:00"},
    "an attempt": {"attempt": "x"},
    "no attempt": {"attempt": None},
    "the last attempt": {"attempt": 2**63 - 1},
    "nothing": {},
}
RESUMED = ("an attempt", "no attempt", "the last attempt", "nothing")
"""What the number of an attempt is does not matter to what it staged."""


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_record_counts_as_no_checkpoint(engine, make_spec, paged, rows_of, now, name):
    pages = [[lead(1)], [lead(2)], [lead(3)]]
    spec = make_spec(load_id="one")
    with pytest.raises(ConnectionError):
        load(engine, spec, paged(pages, fails_before=2), batch_rows=1, utc_now=lambda: now)
    columns, changes = {"checkpoint", "updated_at", "attempt"}, DAMAGES[name]
    if changes and not columns & set(changes):
        ((document,),) = execute(engine, "SELECT checkpoint FROM _cleanlist_loads")
        changes = {"checkpoint": json.dumps({**json.loads(document), **changes})}
    for column, value in changes.items():
        with engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE _cleanlist_loads SET {column} = :v"), {"v": value})
    again = paged(pages)
    report = load(engine, spec, again, batch_rows=1, utc_now=lambda: now)
    assert again.reads == ([2] if name in RESUMED else [0, 1, 2])
    assert report.rows_written == 3
    assert len(rows_of("leads")) == 3
    assert execute(engine, "SELECT * FROM _cleanlist_loads") == []


def test_a_report_of_a_load_is_read_as_it_was_written():
    report = LoadReport(3, 3, 0, 2, ("Name",))
    assert LoadReport.from_dict(json.loads(json.dumps(asdict(report)))) == report
    for damage in ({"rows_read": "3"}, {"pages": True}, {"x": 1}, {"columns_added": "ab"}):
        with pytest.raises(ValueError, match="damaged"):
            LoadReport.from_dict({**asdict(report), "columns_added": [], **damage})
