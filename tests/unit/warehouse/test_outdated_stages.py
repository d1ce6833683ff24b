"""What an earlier attempt staged is used as long as the list cannot have changed since, and no longer."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadDataError, LoadError, StageLostError
from airflow_provider_cleanlist.warehouse.loader import load

from ...loads import Page


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


@pytest.fixture
def fail_publishing(engine, make_spec, paged):
    """Stage a whole list by a run of its own whose publication fails."""

    def fail(leads, **arguments):
        load(engine, make_spec(load_id="setup", **{"list_id": "setup", **arguments}), paged([[lead(0)]]))

        def break_the_table(_):
            yield from paged([leads])(None)
            execute(
                engine, "CREATE TRIGGER t BEFORE INSERT ON leads BEGIN INSERT INTO nowhere VALUES (1); END"
            )

        with pytest.raises(LoadError, match="no such table"):
            load(engine, make_spec(load_id="old", run_id="old", **arguments), break_the_table)
        execute(engine, "DROP TRIGGER t")

    return fail


@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_an_older_run_never_brings_its_values_back(
    engine, make_spec, paged, rows_of, fail_publishing, caplog, mode
):
    fail_publishing([lead(1, title="10:00")], mode=mode)
    load(engine, make_spec(load_id="new", run_id="new", mode=mode), paged([[lead(1, title="12:00")]]))
    again = paged([[lead(1, title="13:00")]])
    with caplog.at_level("INFO"):
        load(engine, make_spec(load_id="old", run_id="old", mode=mode), again)
    assert again.reads == [0]
    assert "13:00" in column(rows_of(), "title")
    assert "Another run has loaded the list into leads since" in caplog.text


def test_an_older_run_never_deletes_a_lead_that_a_newer_one_loaded(engine, make_spec, paged, rows_of):
    old = make_spec(load_id="old", run_id="old", on_missing="delete")
    with pytest.raises(ConnectionError):
        load(engine, old, paged([[lead(1)], [lead(2)]], fails_before=1), batch_rows=1)
    now = [[lead(1)], [lead(2)], [lead(3)]]
    load(engine, make_spec(load_id="new", run_id="new", on_missing="delete"), paged(now))
    assert load(engine, old, paged(now)).rows_removed == 0
    assert column(rows_of(), "lead_id") == ["lead-1", "lead-2", "lead-3"]


@pytest.mark.parametrize(
    ("arguments", "newer"),
    [
        pytest.param({}, {"list_id": "M"}, id="another list"),
        pytest.param({}, {"table": "others"}, id="another table"),
        pytest.param({"mode": "append"}, {}, id="rows of each run"),
        pytest.param({"source_changes": False}, {}, id="results of enrichment"),
    ],
)
def test_other_loads_leave_a_stage_as_it_is(
    engine, make_spec, paged, rows_of, fail_publishing, arguments, newer
):
    fail_publishing([lead(1, title="old")], **arguments)
    load(engine, make_spec(load_id="new", run_id="new", **{**arguments, **newer}), paged([[lead(1)]]))
    pages = paged([])
    load(engine, make_spec(load_id="old", run_id="old", **arguments), pages)
    assert pages.reads == []
    assert "old" in column(rows_of(), "title")


@pytest.mark.parametrize(
    ("old", "new"), [("leads", "main.leads"), ("main.leads", "leads"), ("leads", "Leads")]
)
def test_another_spelling_of_the_table_is_the_same_table(
    engine, make_spec, paged, rows_of, fail_publishing, old, new
):
    fail_publishing([lead(1, title="10:00")], table=old)
    load(engine, make_spec(load_id="new", run_id="new", table=new), paged([[lead(1, title="12:00")]]))
    again = paged([[lead(1, title="13:00")]])
    load(engine, make_spec(load_id="old", run_id="old", table=old), again)
    assert again.reads == [0]
    assert "13:00" in column(rows_of(), "title")


def test_nothing_is_published_if_older_stages_cannot_be_marked(
    engine, make_spec, paged, rows_of, fail_publishing
):
    fail_publishing([lead(1, title="old")])
    execute(
        engine,
        "CREATE TRIGGER u BEFORE UPDATE OF fingerprint ON _cleanlist_loads "
        "WHEN NEW.fingerprint = 'outdated' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    with pytest.raises(LoadError, match=r"^Publishing into leads failed"):
        load(engine, make_spec(load_id="new", run_id="new"), paged([[lead(1, title="new")]]))
    assert "new" not in column(rows_of(), "title")


STATES = {
    "10:00": [[lead(1, title="10:00")], [lead(2, title="10:00")]],
    "11:00": [[lead(1, title="11:00")], [lead(3, title="11:00")]],
    "12:00": [[lead(1, title="12:00")], [lead(4, title="12:00")]],
}


@pytest.fixture
def overtaken(engine, make_spec, paged):
    """Load the states of a list, one a reading, while other runs load the next state before a certain page."""

    def run(times: int, before: int, **arguments) -> int:
        left = list(STATES)

        def read(cursor):
            pages = [*STATES[left.pop(0)], []]
            for number, page in enumerate(pages):
                if number == before and len(STATES) - len(left) <= times:
                    spec = make_spec(load_id=f"newer {len(left)}", run_id="newer", **arguments)
                    load(engine, spec, paged(STATES[left[0]]))
                yield Page(page, 2, str(number + 1) if number < 2 else None)

        load(engine, make_spec(load_id="old", run_id="old", **arguments), read, batch_rows=1, pages_ahead=0)
        return len(STATES) - len(left)

    return run


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize(
    "arguments", [{}, {"on_missing": "delete"}, {"mode": "replace"}], ids=["merge", "delete", "replace"]
)
def test_a_run_that_is_overtaken_while_it_reads_reads_again(engine, rows_of, overtaken, arguments, before):
    """The newer run has deleted what is gone, and the older one must not bring it back."""
    assert overtaken(1, before, **arguments) == 2
    assert {"11:00"} == set(column(rows_of(), "title"))
    assert column(rows_of(), "lead_id") == ["lead-1", "lead-3"]
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM _cleanlist_loads")).scalar() == 0


def test_a_run_that_is_overtaken_again_stops(rows_of, overtaken):
    with pytest.raises(StageLostError, match="another run has just loaded the same list into leads"):
        overtaken(2, 1)
    assert "12:00" in column(rows_of(), "title")
    assert "10:00" not in column(rows_of(), "title")


@pytest.mark.parametrize(
    "arguments", [{"mode": "append"}, {"source_changes": False}], ids=["append", "results"]
)
def test_runs_with_rows_of_their_own_do_not_overtake_each_other(rows_of, overtaken, arguments):
    assert overtaken(1, 2, **arguments) == 1
    assert "10:00" in column(rows_of(), "title")
