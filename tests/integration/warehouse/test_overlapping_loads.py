"""Loads of the same table that overlap: what one has read before another published is not published after it."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.submission.ledger.results import source_rows_spec
from airflow_provider_cleanlist.warehouse import loader
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.loader import load
from airflow_provider_cleanlist.warehouse.naming import parse_table
from airflow_provider_cleanlist.warehouse.publish import lock_target

from ...loads import Page

pytestmark = pytest.mark.integration


def lead(number: int, **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields}


def overtaken_by(other, *states):
    """Return a reader of one page whose first reading is overtaken by another load."""
    left = list(states)

    def read(cursor):
        yield Page(left.pop(0), None, "1")
        if len(left) == len(states) - 1:
            other()
        yield Page([], None, None)

    return read


@pytest.mark.parametrize(
    "arguments", [{}, {"on_missing": "delete"}, {"mode": "replace"}], ids=["merge", "delete", "replace"]
)
def test_an_older_run_that_publishes_last_reads_again(database, make_spec, paged, arguments):
    def newer():
        spec = make_spec(load_id="newer", run_id="newer", **arguments)
        load(database.open(), spec, paged([[lead(1, email="new"), lead(3)]]))

    older = overtaken_by(newer, [lead(1, email="old"), lead(2)], [lead(1, email="newest")])
    spec = make_spec(load_id="older", run_id="older", row_count_check="off", **arguments)
    load(database.engine, spec, older, batch_rows=1, pages_ahead=0)
    found = {row["lead_id"]: row.get("email") for row in database.rows()}
    # without a count of the list, nothing that is gone from it is deleted
    assert found == {"lead-1": "newest"} | ({} if "mode" in arguments else {"lead-3": None})
    assert database.stages() == []
    assert database.execute("SELECT count(*) FROM _cleanlist_loads WHERE stage <> 'lock'") == [(0,)]


# --- source rows -------------------------------------------------------------------------------------------------


@pytest.fixture
def load_rows(database, make_spec):
    """Load source rows as a load of results does: id, person, and the second of a minute in which they were read."""
    calls = iter(range(1000))

    def run(*rows, overtaken=lambda: None):
        records = [
            {
                "source": "crm/enrich",
                "source_id": source_id,
                "person": person,
                "seen_at": f"2026-01-02T03:04:{second:02}.678901+00:00",
            }
            for source_id, person, second in rows
        ]
        name = f"run {next(calls)}"
        results = make_spec(
            load_id=name, run_id=name, list_id="managed", table="results", source_changes=False
        )
        spec = source_rows_spec(results, parse_table("source_rows"))
        return load(
            database.open(), spec, overtaken_by(overtaken, records, records), batch_rows=1, pages_ahead=0
        )

    return run


def persons(database) -> dict[str, str]:
    return {row["source_id"]: row.get("person") or "" for row in database.rows("source_rows")}


def test_a_row_has_the_person_whom_it_named_when_it_was_read_last(database, load_rows):
    load_rows(("7", "ann", 1), ("8", "cy", 1))
    # a load that read the ledger before, and another one that reads and publishes meanwhile
    report = load_rows(
        ("7", "ann", 1), ("8", "dee", 5), ("9", "eve", 1), overtaken=lambda: load_rows(("7", "bob", 2))
    )
    assert report.rows_written == 3
    assert persons(database) == {"7": "bob", "8": "dee", "9": "eve"}
    load_rows(("7", "bob", 4), ("8", "", 6))
    load_rows(("7", "ann", 3), ("8", "dee", 5))
    assert persons(database) == {"7": "bob", "8": "", "9": "eve"}


def test_loads_of_the_same_moment_are_in_the_order_of_publication(database, load_rows):
    load_rows(("7", "ann", 1))
    load_rows(("7", "bob", 1))
    assert persons(database) == {"7": "bob"}


def test_a_table_without_moments_gets_them(database, load_rows):
    load_rows(("7", "ann", 1))
    database.execute("ALTER TABLE source_rows DROP COLUMN seen_at")
    load_rows(("7", "bob", 1))
    load_rows(("7", "cy", 0))
    assert persons(database) == {"7": "bob"}


# --- results of several tasks ------------------------------------------------------------------------------------


@pytest.fixture
def load_results(database, make_spec, paged):
    """Load results of contacts, as a map index of a task, by task id."""

    def run(map_index: int, found: dict[str, str | None], *, run_id="dag/run", **arguments):
        spec = make_spec(
            load_id=f"{run_id}/{map_index}",
            run_id=run_id,
            list_id="managed",
            table="results",
            key=("task_id",),
            id_field="task_id",
            known_fields=("task_id", "primary_email"),
            row_count_check="off",
            source_changes=False,
            **arguments,
        )
        records = [{"task_id": task_id, "primary_email": email} for task_id, email in found.items()]
        return load(database.engine, spec, paged([records], total=len(records)))

    return run


def results(database) -> list[tuple[str, str | None, str]]:
    rows = database.rows("results")
    return sorted((row["task_id"], row.get("primary_email"), row["_cleanlist_run_id"]) for row in rows)


@pytest.mark.parametrize("mode", ["append", "snapshot"])
def test_tasks_of_one_run_add_results_beside_each_other(database, load_results, mode):
    arguments = {"mode": mode, "snapshot_date": date(2026, 1, 2)}
    load_results(0, {"T1": "ann@x", "T2": None}, **arguments)
    load_results(1, {"T3": "cy@x"}, **arguments)
    report = load_results(0, {"T1": "ann@x", "T2": "bob@x"}, **arguments)  # cleared
    assert (report.rows_written, report.rows_removed) == (2, 0)
    found = [("T1", "ann@x"), ("T2", "bob@x"), ("T3", "cy@x")]
    assert results(database) == [(*each, "dag/run") for each in found]
    load_results(0, {"T1": "ann@x"}, run_id="dag/next", **arguments)
    # a snapshot has one copy for each day
    again = [("T1", "ann@x", "dag/next")] if mode == "append" else []
    assert results(database) == sorted([*((*each, "dag/run") for each in found), *again])
    load_results(0, {"T1": "ann@x"}, run_id="dag/next", mode=mode, snapshot_date=date(2026, 1, 3))
    assert len(results(database)) == 4


def test_replace_makes_the_results_exactly_those_of_one_task(database, load_results):
    load_results(0, {"T1": None}, mode="replace")
    assert load_results(1, {"T2": None}, mode="replace").rows_removed == 1
    assert [task_id for task_id, *_ in results(database)] == ["T2"]


# --- a target that becomes another one while the list is read ----------------------------------------------------

CREATED = "CREATE TABLE {} AS SELECT NULLIF('lead-1', '') AS lead_id, NULLIF('ann@x', '') AS email"


@pytest.mark.parametrize("exists", [True, False], ids=["rebuilt", "created"])
@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_rows_of_a_table_that_is_made_meanwhile_are_not_doubled(database, make_spec, paged, mode, exists):
    spec = make_spec(load_id="late", known_fields=("lead_id", "email"), mode=mode)
    if exists:
        load(database.engine, make_spec(known_fields=("lead_id", "email")), paged([[lead(1, email="ann@x")]]))

    def make():
        database.execute(*(["DROP TABLE leads"] * exists), CREATED.format("leads"))

    with pytest.raises(LoadConfigurationError, match=r"^leads has rows, but no column _cleanlist_list_id"):
        load(
            database.open(),
            spec,
            overtaken_by(make, [lead(1, email="ann@x")]),
            batch_rows=1,
            pages_ahead=0,
        )
    assert database.rows() == [{"lead_id": "lead-1", "email": "ann@x"}]


def test_policies_that_are_switched_on_meanwhile(database, make_spec, paged):
    if database.dialect != "postgresql":
        pytest.skip("row-level security is PostgreSQL's")
    load(database.engine, make_spec(), paged([[lead(1)]]))
    database.execute(
        "DROP ROLE IF EXISTS loads_late",
        "CREATE ROLE loads_late LOGIN",
        "GRANT ALL ON SCHEMA public TO loads_late",
        "ALTER TABLE leads OWNER TO loads_late",
        "ALTER TABLE _cleanlist_loads OWNER TO loads_late",
    )

    def hide():
        database.execute(
            "ALTER TABLE leads DROP CONSTRAINT leads_pkey",
            "ALTER TABLE leads ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE leads FORCE ROW LEVEL SECURITY",
            "CREATE POLICY none ON leads FOR ALL TO loads_late USING (false) WITH CHECK (true)",
        )

    engine = sa.create_engine(database.engine.url.set(username="loads_late"))
    with pytest.raises(LoadConfigurationError, match="Row-level security of leads applies"):
        load(engine, make_spec(load_id="late"), overtaken_by(hide, [lead(1)]), batch_rows=1, pages_ahead=0)
    engine.dispose()
    assert database.execute("SELECT count(*) FROM leads") == [(1,)]
    database.execute(
        "REASSIGN OWNED BY loads_late TO CURRENT_USER", "DROP OWNED BY loads_late", "DROP ROLE loads_late"
    )


def test_two_lists_into_a_table_that_had_no_columns_for_them(database, make_spec, paged):
    """The rows of the one that publishes first are no rows that the other would not find."""
    database.execute(CREATED.format("leads") + " WHERE 1 = 0")

    def other():
        load(database.open(), make_spec(load_id="other", list_id="M"), paged([[lead(2)]]))

    load(database.engine, make_spec(), overtaken_by(other, [lead(1)]), batch_rows=1, pages_ahead=0)
    assert [row["lead_id"] for row in database.rows()] == ["lead-1", "lead-2"]


@pytest.mark.parametrize("at", [1, 2], ids=["before reading", "before publishing"])
def test_columns_and_rows_of_another_list_that_come_just_before_the_check(
    database, make_spec, paged, monkeypatch, at
):
    if not database.has_many_writers:
        pytest.skip("it has one writer at a time")
    database.execute(CREATED.format("leads") + " WHERE 1 = 0")
    real, checks = loader.check_writable, []

    def late(engine, spec, plan):
        if spec.load_id == "mine":
            checks.append(spec)
            if len(checks) == at:
                load(database.open(), make_spec(load_id="other", list_id="M"), paged([[lead(2)]]))
        real(engine, spec, plan)

    monkeypatch.setattr(loader, "check_writable", late)
    load(database.engine, make_spec(load_id="mine"), paged([[lead(1)]]))
    assert sorted(row["lead_id"] for row in database.rows()) == ["lead-1", "lead-2"]


@pytest.mark.parametrize("is_load", [True, False], ids=["another load", "somebody"])
def test_rows_that_come_just_before_the_lock(database, make_spec, paged, monkeypatch, is_load):
    if not database.has_many_writers:
        pytest.skip("it has one writer at a time")
    database.execute(CREATED.format("leads") + " WHERE 1 = 0")
    actions = [lambda: database.execute("INSERT INTO leads (lead_id) VALUES ('lead-1')")]
    if is_load:
        actions = [lambda: load(database.open(), make_spec(load_id="other", list_id="M"), paged([[lead(2)]]))]

    def late(connection, publication):
        if actions:
            actions.pop()()
        lock_target(connection, publication)

    monkeypatch.setattr("airflow_provider_cleanlist.warehouse.loader.lock_target", late)
    expected = ["lead-1", "lead-2"] if is_load else ["lead-1"]
    if is_load:
        load(database.engine, make_spec(), paged([[lead(1)]]))
    else:
        with pytest.raises(LoadConfigurationError, match=r"^leads has rows, but no column"):
            load(database.engine, make_spec(), paged([[lead(1)]]))
    assert [row["lead_id"] for row in database.rows()] == expected
