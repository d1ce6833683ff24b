"""The same loads into every database that can run here: what a load promises does not depend on the database."""

from __future__ import annotations

import os
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import reading, values
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError
from airflow_provider_cleanlist.warehouse.loader import LoadReport, load

from ...loads import Crash, crashing, run_together

pytestmark = pytest.mark.integration

ODD_TEXT = "tab\t newline\n return\r backslash\\ \\N \\. quote\" comma, ' 汉 🚚 é %s :x ? {} $1 ''"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
META = ("_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id")
EVERY_STEP = "FAULT_EXAMPLES" in os.environ


def lead(number: int | str, **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields}


def row(number: int | str, list_id: str = "L", run_id: str = "dag/run", **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields, "_cleanlist_list_id": list_id, "_cleanlist_run_id": run_id}


def in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@pytest.fixture
def load_pages(database, make_spec, paged):
    """Load pages; each call is a load of its own unless ``load_id`` says otherwise."""
    calls = iter(range(1000))

    def run(*pages, total=None, batch_rows=2, **arguments):
        arguments.setdefault("load_id", f"load {next(calls)}")
        if database.is_imitated:  # it reads every statement with a parser in Python
            arguments.setdefault("known_fields", ("lead_id", "email", "phone", "title", "company"))
        return load(database.engine, make_spec(**arguments), paged(pages, total), batch_rows=batch_rows)

    return run


# --- modes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["merge", "replace", "append", "snapshot"])
def test_every_mode(database, make_spec, paged, mode):
    pages = [[lead(1, email="old"), lead(2, email=ODD_TEXT)], [lead(1, email="new"), lead(3, title="x")]]
    spec = make_spec(mode=mode, snapshot_date=date(2026, 1, 2))
    for _ in range(2):
        report = load(database.engine, spec, paged(pages), utc_now=lambda: NOW, batch_rows=1)
        assert (report.rows_read, report.rows_written, report.pages) == (4, 3, 2)
    day = {"_cleanlist_snapshot_date": date(2026, 1, 2)} if mode == "snapshot" else {}
    rows = database.rows(without=())
    assert {in_utc(found.pop("_cleanlist_synced_at")) for found in rows} == {NOW}
    assert rows == [
        row(1, email="new") | day,
        row(2, email=ODD_TEXT) | day,
        row(3, title="x") | day,
    ]
    assert database.stages() == []
    assert database.execute("SELECT count(*) FROM _cleanlist_loads WHERE stage <> 'lock'") == [(0,)]


@pytest.mark.parametrize("steps", [None, 12, 16, 20])
def test_a_page_that_is_written_in_parts_is_whole_or_read_again(
    database, make_spec, paged, monkeypatch, steps
):
    for module in (reading, values):
        monkeypatch.setattr(module, "CELLS", 6)  # two or three records
    pages = [[lead(1, email="old")], [lead(2, email="x"), lead(1, email="new"), lead(3, score=1), lead(4)]]
    spec = make_spec(known_fields=("lead_id", "email"))
    if steps is not None:
        with pytest.raises(Crash), crashing(database.engine, steps):
            load(database.engine, spec, paged(pages))
    assert load(database.engine, spec, paged(pages)).rows_written == 4
    assert database.rows() == [row(1, email="new"), row(2, email="x"), row(3, score="1"), row(4)]


def test_merge_updates_adds_and_keeps(database, load_pages):
    load_pages([lead(1, email="old"), lead(2)])
    report = load_pages([lead(1, email="new"), lead(3)], run_id="dag/next")
    assert (report.rows_written, report.rows_removed) == (2, 0)
    assert database.rows() == [row(1, run_id="dag/next", email="new"), row(2), row(3, run_id="dag/next")]


def test_two_lists_share_a_table_without_touching_each_other(database, load_pages):
    load_pages([lead(1, email="a")])
    load_pages([lead(1, email="b"), lead(3)], list_id="M", on_missing="delete")
    assert load_pages([lead(2)], list_id="M", mode="replace").rows_removed == 2
    assert database.rows() == [row(1, email="a"), row(2, list_id="M")]
    assert load_pages([lead(5)], mode="replace", replace_scope="table").rows_removed == 2
    assert database.rows() == [row(5)]


def test_a_table_of_people_has_each_of_them_once(database, load_pages):
    load_pages([lead(1, email="a"), lead(2)], key=("lead_id",))
    load_pages([lead(1, email="b")], list_id="M", key=("lead_id",))
    assert database.rows() == [row(1, list_id="M", email="b"), row(2)]
    load_pages([lead(1, email="c")], mode="replace", key=("lead_id",))
    assert database.rows() == [row(1, email="c")]


def test_a_key_of_two_fields(database, load_pages):
    key = ("_cleanlist_list_id", "company", "title")
    load_pages([lead(1, company="x", title="a"), lead(2, company="x", title="b")], key=key)
    load_pages([lead(3, company="x", title="a")], key=key)
    assert database.rows() == [row(2, company="x", title="b"), row(3, company="x", title="a")]


def test_append_adds_per_run_and_a_rerun_adds_nothing(database, load_pages):
    load_pages([lead(1)], mode="append", run_id="dag/monday")
    load_pages([lead(1), lead(2)], mode="append", run_id="dag/tuesday")
    report = load_pages([lead(1), lead(3)], mode="append", run_id="dag/tuesday")
    assert (report.rows_written, report.rows_removed) == (2, 2)
    assert database.rows() == [
        row(1, run_id="dag/monday"),
        row(1, run_id="dag/tuesday"),
        row(3, run_id="dag/tuesday"),
    ]


def test_snapshot_keeps_one_copy_per_day(database, load_pages):
    monday, tuesday = date(2026, 1, 5), date(2026, 1, 6)
    load_pages([lead(1)], mode="snapshot", snapshot_date=monday)
    load_pages([lead(1)], mode="snapshot", snapshot_date=tuesday)
    load_pages([lead(3)], mode="snapshot", snapshot_date=monday)
    days = [(found["lead_id"], found["_cleanlist_snapshot_date"]) for found in database.rows()]
    assert days == [("lead-1", tuesday), ("lead-3", monday)]


@pytest.mark.parametrize(
    ("on_missing", "foreign"),
    [("keep", True), ("soft_delete", False), ("soft_delete", True), ("delete", False), ("delete", True)],
)
def test_leads_gone_from_the_list(database, load_pages, on_missing, foreign):
    load_pages([lead(1), lead(2)])
    load_pages([lead(2)], list_id="M")
    if foreign:
        database.execute(
            "ALTER TABLE leads ADD COLUMN owner VARCHAR(20)",
            "UPDATE leads SET owner = 'Ada' WHERE lead_id <> 'x'",
        )
    report = load_pages([lead(1, email="new"), lead(3)], on_missing=on_missing)
    assert (report.rows_written, report.rows_removed) == (2, int(on_missing != "keep"))
    found = {(r["lead_id"], r["_cleanlist_list_id"]): r for r in database.rows()}
    expected = {("lead-1", "L"), ("lead-3", "L"), ("lead-2", "M"), ("lead-2", "L")}
    assert set(found) == (expected - {("lead-2", "L")} if on_missing == "delete" else expected)
    assert found["lead-1", "L"]["email"] == "new"
    deleted = [key for key, values in found.items() if "_cleanlist_deleted_at" in values]
    assert deleted == ([("lead-2", "L")] if on_missing == "soft_delete" else [])
    if foreign:
        assert {values.get("owner") for key, values in found.items() if key[0] != "lead-3"} == {"Ada"}
    assert load_pages([lead(1, email="new"), lead(3)], on_missing=on_missing).rows_removed == 0
    load_pages([lead(1), lead(2), lead(3)])
    assert not any("_cleanlist_deleted_at" in values for values in database.rows())


# --- what comes in -----------------------------------------------------------------------------------------------


def test_each_lead_once_the_last_copy_of_the_last_page_wins(database, load_pages):
    """A list that moves while it is read shows leads twice, on the same page or on later ones."""
    report = load_pages(
        [lead(1, email="a"), lead(2, email="a"), lead(2, email="b")],
        [lead(1, email="b"), lead(3)],
        [lead(2, email="c")],
    )
    assert (report.rows_read, report.rows_written) == (6, 3)
    assert database.rows() == [row(1, email="b"), row(2, email="c"), row(3)]


def test_keys_are_compared_exactly(database, load_pages):
    pages = [lead("a"), lead("A")], [lead("á"), lead("À"), lead("ß"), lead("ss")]
    for _ in range(2):
        assert load_pages(*pages).rows_written == 6
    assert sorted(found["lead_id"] for found in database.rows()) == sorted(
        lead(name)["lead_id"] for name in ("a", "A", "á", "À", "ß", "ss")
    )


def test_types_and_json(database, load_pages):
    types = {
        "score": "float",
        "hired": "date",
        "seen": "timestamp",
        "vip": "boolean",
        "staff": "integer",
        "tags": "json",
    }
    record = lead(
        1,
        score="1.1",
        hired="2026-01-02",
        seen="2026-01-02T03:04:05.678901+01:00",
        vip="no",
        staff=2**62,
        tags={"a": ["é\x00", None, ODD_TEXT], "n": 1.5},
        note={"x": [ODD_TEXT]},
    )
    load_pages([record, lead(2)], column_types=types)
    first, second = database.rows()
    assert second == row(2)
    assert first["score"] == 1.1
    assert first["hired"] == date(2026, 1, 2)
    assert in_utc(first["seen"]) == datetime(2026, 1, 2, 2, 4, 5, 678901, tzinfo=UTC)
    assert first["vip"] in (False, 0)
    assert first["staff"] == 2**62
    assert database.json(first["tags"]) == {"a": ["é", None, ODD_TEXT], "n": 1.5}
    assert database.json(first["note"]) == {"x": [ODD_TEXT]}


def test_long_text(database, load_pages):
    text = "汉字 & 🚚 " * 20_000
    load_pages([lead(1, title=text)])
    assert database.rows()[0]["title"] == text


def test_empty_text_is_no_null(database, load_pages):
    load_pages([lead(1, email="", title=None)])
    assert database.rows() == [row(1, email="")]


def test_many_leads_at_once(database, load_pages):
    size = database.many
    pages = [
        [lead(f"{n:05d}", email=f"{n}@x.example", title=ODD_TEXT) for n in range(p, p + size // 10)]
        for p in range(0, size, size // 10)
    ]
    for _ in range(2):
        assert load_pages(*pages, batch_rows=size // 3).rows_written == size
    assert database.execute("SELECT count(*), count(DISTINCT lead_id), count(DISTINCT email) FROM leads") == [
        (size, size, size)
    ]
    assert {found["title"] for found in database.rows()} == {ODD_TEXT}


def test_an_empty_list(database, load_pages):
    assert load_pages([]).rows_written == 0
    assert database.rows() == []
    load_pages([lead(1)])
    assert load_pages([], mode="replace").rows_removed == 1
    assert database.rows() == []


# --- columns -----------------------------------------------------------------------------------------------------


def test_columns_that_appear_between_pages_and_loads(database, load_pages):
    pages = [[lead(1)], [lead(2, **{"ICP Score": 1})], [lead(3, **{"Tags": ["a"], "ICP Score": 2})]]
    assert load_pages(*pages, batch_rows=1).columns_added == ()
    assert database.rows() == [row(1), row(2, icp_score="1"), row(3, icp_score="2", tags='["a"]')]
    assert load_pages([lead(1, Region="é")]).columns_added == ("region",)
    assert database.rows()[0] == row(1, region="é")


def test_new_fields_go_into_extra_or_stop(database, load_pages):
    load_pages([lead(1, smart=ODD_TEXT)], schema_evolution="ignore")
    (found,) = database.rows()
    assert database.json(found.pop("_extra")) == {"smart": ODD_TEXT}
    assert found == row(1)
    with pytest.raises(LoadConfigurationError, match="schema_evolution='fail'"):
        load_pages([lead(1, fresh="x")], schema_evolution="fail")


def test_renames_hashes_and_exclusions(database, load_pages):
    load_pages(
        [lead(1, email="a", phone="1", title="t")],
        columns={"lead_id": "Lead Id", "email": "E-Mail", "title": None},
        hash_columns=["email"],
        hash_secret="s",
    )
    (found,) = database.rows()
    assert len(found.pop("E-Mail")) == 64
    assert found == {
        "Lead Id": "lead-1",
        "title": "t",
        "_cleanlist_list_id": "L",
        "_cleanlist_run_id": "dag/run",
    }


@pytest.mark.parametrize(
    "table",
    [
        'we"ird',
        "x'; DROP TABLE victim; --",
        "a b`c",
        "percent%s",
        "col:on ?",
        "select",
        "Mixed",
        "brack]et[s",
    ],
)
def test_odd_names_are_only_names(database, load_pages, table):
    database.execute("CREATE TABLE victim (x VARCHAR(10))")
    odd = {
        "lead_id": 'i"d',
        "email": "per%cent %s",
        "phone": "col:on ?",
        "title": "); DROP TABLE victim; --`'",
    }
    table, columns = database.name(table), {raw: database.name(name) for raw, name in odd.items()}
    quoted = '"{}"'.format(table.replace('"', '""'))
    fields = {"email": "e", "phone": "p", "title": "t"}
    for number in range(2):
        pages = [lead(1, **fields)], [lead(2 + number)]
        load_pages(*pages, table=quoted, columns=columns, on_missing="soft_delete")
    meta = {"_cleanlist_list_id": "L", "_cleanlist_run_id": "dag/run"}
    rows = [{k: v for k, v in r.items() if k != "_cleanlist_deleted_at"} for r in database.rows(table)]
    values = {columns[raw]: value for raw, value in fields.items()}
    ids = [{columns["lead_id"]: f"lead-{number}", **meta} for number in (1, 2, 3)]
    assert rows == [ids[0] | values, *ids[1:]]
    assert database.execute("SELECT count(*) FROM victim") == [(0,)]


def test_names_that_cannot_be_quoted_are_refused(database, load_pages):
    for character in database.unquotable:
        with pytest.raises(LoadConfigurationError, match=f"which names on {database.dialect} cannot have"):
            load_pages([lead(1)], table=f"odd{character}name")
        with pytest.raises(LoadConfigurationError, match=f"which names on {database.dialect} cannot have"):
            load_pages([lead(1)], columns={"lead_id": f"odd{character}name"})


def test_hostile_values_are_only_values(database, load_pages):
    text = "'); DROP TABLE leads; -- \\N \t \r\n \\. %s %(x)s :x ? {} \\' \" ` $$"
    for _ in range(2):
        load_pages([lead(1, email=text, company="\\"), lead(2)], list_id=text, run_id=text)
    assert database.rows() == [row(1, text, text, email=text, company="\\"), row(2, text, text)]


# --- tries -------------------------------------------------------------------------------------------------------


def test_a_try_goes_on_after_the_last_committed_page(database, make_spec, paged):
    pages = [[lead(n)] for n in range(6)]
    broken = paged(pages, fails_before=5)
    with pytest.raises(ConnectionError):
        load(database.engine, make_spec(), broken, batch_rows=2)
    again = paged(pages)
    assert load(database.open(), make_spec(), again, batch_rows=2).rows_read == 6
    assert (broken.reads, again.reads) == ([0, 1, 2, 3, 4], [5])
    assert database.rows() == [row(n) for n in range(6)]


@pytest.mark.parametrize("damage", ["DROP TABLE {}", "DELETE FROM {} WHERE _page = 1"])
def test_a_damaged_stage_is_read_again(database, make_spec, paged, damage):
    pages = [[lead(n)] for n in range(3)]
    with pytest.raises(ConnectionError):
        load(database.engine, make_spec(), paged(pages, fails_before=2), batch_rows=1)
    database.execute(damage.format(make_spec().stage.name))
    again = paged(pages)
    load(database.engine, make_spec(), again, batch_rows=1)
    assert again.reads == [0, 1, 2]
    assert database.rows() == [row(n) for n in range(3)]


class Clock:
    """The time of day; looking at it for the n-th time makes something happen, in the thread that loads."""

    def __init__(self, look, happening):
        self._look, self._happening = look, happening
        self._looks = 0

    def __call__(self):
        self._looks += 1
        if self._looks == self._look:
            self._happening()
        return NOW


@pytest.mark.parametrize("look", [2, 3, 5])
def test_of_two_tries_at_once_only_one_publishes(database, make_spec, paged, look):
    """A worker that lost its heartbeat goes on while Airflow runs the next try from start to end."""
    pages = [[lead(n)] for n in range(3)]
    clock = Clock(look, lambda: load(database.open(), make_spec(), paged(pages), batch_rows=1))
    with pytest.raises(LoadError):
        load(database.engine, make_spec(), paged(pages), batch_rows=1, utc_now=clock)
    assert database.rows() == [row(n) for n in range(3)]
    assert database.execute("SELECT count(*) FROM _cleanlist_loads WHERE stage <> 'lock'") == [(0,)]


def test_abandoned_stages_are_dropped(database, make_spec, paged):
    def fail(load_id, at):
        pages = paged([[lead(1)], []], fails_before=1)
        with pytest.raises(ConnectionError):
            load(database.engine, make_spec(load_id=load_id), pages, utc_now=lambda: at, batch_rows=1)

    fail("abandoned", NOW - timedelta(days=3))
    fail("running", NOW - timedelta(hours=1))
    load(database.engine, make_spec(load_id="new"), paged([[lead(1)]]), utc_now=lambda: NOW)
    assert [name.lower() for name in database.stages()] == [make_spec(load_id="running").stage.name]


def test_a_crash_at_every_step_of_one_load(database, make_spec, paged):
    """The first try of a merge that adds a column dies at each step in turn; the next one finds the way."""
    first = [[lead(1, email="old"), lead(2)]]
    pages = [[lead(1, email="new")], [lead(3, score=1)], [lead(1, email="newer")]]
    after = [row(1, run_id="dag/next", email="newer"), row(3, run_id="dag/next", score="1")]
    outcomes = []
    stride = 1 if EVERY_STEP else 10 if database.is_imitated else 5
    for steps in range(0, 100, stride):
        database.execute("DROP TABLE IF EXISTS leads")
        load(database.engine, make_spec(load_id="earlier"), paged(first))
        before = database.rows()
        spec = make_spec(run_id="dag/next", on_missing="delete")
        try:
            with crashing(database.engine, steps):
                load(database.engine, spec, paged(pages), batch_rows=1)
        except Crash:
            found = database.rows()
            assert found in (before, after), steps
            outcomes.append(found == after)
            load(database.engine, spec, paged(pages), batch_rows=1)
            assert database.rows() == after, steps
            assert database.stages() == []
        else:
            break
    assert database.rows() == after
    assert len(outcomes) > 30 / stride
    assert outcomes == sorted(outcomes)


# --- others at the same time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lists", ["LL", "LM"])
@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_two_runs_into_one_table_never_double_it(database, make_spec, paged, lists, mode):
    if not database.has_many_writers:
        pytest.skip("it has one writer at a time")
    pages = [[lead(f"{n:05d}", email=str(n)) for n in range(p, p + 500)] for p in range(0, 2000, 500)]
    barrier = threading.Barrier(2)
    reads = [0, 0]

    def spec(number: int):
        return make_spec(load_id=str(number), list_id=lists[number], run_id=f"dag/{number}", mode=mode)

    def loader(number: int):
        engine = database.open()

        def together(cursor):
            yield from paged(pages)(cursor)
            reads[number] += 1
            if reads[number] == 1:
                barrier.wait(20)

        return lambda: load(engine, spec(number), together)

    results = run_together(loader(0), loader(1))
    assert all(isinstance(result, LoadReport) for result in results), results
    assert sorted(reads) == ([1, 2] if lists == "LL" else [1, 1]), "of one list, the later one reads again"
    counts = database.execute(
        "SELECT _cleanlist_list_id, count(*), count(DISTINCT lead_id) FROM leads GROUP BY 1 ORDER BY 1"
    )
    assert counts == [(list_id, 2000, 2000) for list_id in sorted(set(lists))]


@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_readers_see_the_old_or_the_new_state_only(database, make_spec, paged, mode):
    size = database.many

    def pages(version: str):
        return [[lead(n, email=version) for n in range(size)]]

    load(database.engine, make_spec(load_id="old", mode=mode), paged(pages("old")))
    reader_engine = database.open()
    states, reads, stop = set(), [], threading.Event()

    def read() -> None:
        query = sa.text("SELECT count(*), count(DISTINCT lead_id), min(email), max(email) FROM leads")
        while not stop.is_set():
            with reader_engine.connect() as connection:
                states.add(tuple(connection.execute(query).one()))
            reads.append(None)
            stop.wait(0.005)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        load(database.engine, make_spec(load_id="new", mode=mode), paged(pages("new")))
        before_the_end = len(reads)
        while len(reads) < before_the_end + 2 and reader.is_alive():
            stop.wait(0.01)
    finally:
        stop.set()
        reader.join(20)
    assert states == {(size, size, "old", "old"), (size, size, "new", "new")}


# --- what does not fit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setup", "error"),
    [
        ("CREATE VIEW leads AS SELECT 'x' AS lead_id UNION SELECT 'y'", LoadConfigurationError),
        ("CREATE TABLE leads (lead_id VARCHAR(20), email INTEGER)", LoadError),
        ("CREATE TABLE leads (lead_id VARCHAR(20), owner VARCHAR(9) NOT NULL)", LoadDataError),
        ("CREATE TABLE leads (lead_id VARCHAR(20), CHECK (lead_id <> 'lead-1'))", LoadDataError),
    ],
)
def test_what_does_not_fit_is_told_and_the_target_unchanged(database, load_pages, setup, error):
    if database.is_imitated and "TABLE" in setup:
        pytest.skip("the imitation raises errors of its own")
    database.execute(setup)
    with pytest.raises(error) as caught:
        load_pages([lead(1, email="secret@x.example")])
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
    if "TABLE" in setup:
        assert database.rows() == []


def test_a_schema_that_is_not_there(database, load_pages):
    with pytest.raises(LoadConfigurationError, match="nowhere"):
        load_pages([lead(1)], table="nowhere.leads")
