"""A merge changes rows in place: what refers to them, what triggers see, and what refuses to be deleted."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = pytest.mark.integration

TYPES = {"score": "float", "staff": "integer", "vip": "boolean", "seen": "timestamp", "tags": "json"}
FIRST = {
    "lead_id": "1",
    "email": "ann@x.example",
    "title": None,
    "score": 0.1,
    "staff": 7,
    "vip": True,
    "seen": "2026-01-02T03:04:05.678901Z",
    "tags": {"b": [1, "é"], "a": None},
}
CHANGES = [
    {"email": "Ann@x.example"},
    {"email": "ann@x.example "},
    {"email": ""},
    {"title": ""},
    {"score": 0.30000000000000004 - 0.2},
    {"score": None},
    {"staff": 8},
    {"vip": False},
    {"seen": "2026-01-02T03:04:05.678902Z"},
    {"tags": {"b": [1, "É"], "a": None}},
]


@pytest.fixture
def load_leads(database, make_spec, paged):
    calls = iter(range(1000))

    def run(*leads, **arguments):
        arguments.setdefault("load_id", f"load {next(calls)}")
        known = ("lead_id", "email", "title")
        return load(database.engine, make_spec(known_fields=known, **arguments), paged([leads]))

    return run


def written_by(database) -> dict[str, str]:
    return {row["lead_id"]: row["_cleanlist_run_id"] for row in database.rows()}


def test_only_rows_in_which_something_differs_are_written(database, load_leads):
    leads = [{**FIRST, "lead_id": str(number)} for number in range(len(CHANGES) + 1)]
    load_leads(*leads, column_types=TYPES, run_id="first")
    load_leads(*leads, column_types=TYPES, run_id="same")
    assert set(written_by(database).values()) == {"first"}
    changed = [lead | change for lead, change in zip(leads, CHANGES, strict=False)]
    load_leads(*changed, leads[-1], column_types=TYPES, run_id="next")
    assert written_by(database) == {lead["lead_id"]: "next" for lead in changed} | {
        leads[-1]["lead_id"]: "first"
    }
    rows = {row["lead_id"]: row for row in database.rows()}
    assert [rows[number].get("email") for number in "012"] == ["Ann@x.example", "ann@x.example ", ""]


def test_a_lead_that_comes_back_or_changes_its_list_is_written(database, load_leads):
    load_leads({"lead_id": "1"}, {"lead_id": "2"}, run_id="first", key=("lead_id",))
    load_leads({"lead_id": "1"}, run_id="other", list_id="M", key=("lead_id",))
    assert written_by(database) == {"1": "other", "2": "first"}
    load_leads({"lead_id": "3"}, run_id="gone", on_missing="soft_delete", key=("lead_id",))
    load_leads({"lead_id": "2"}, {"lead_id": "3"}, run_id="back", on_missing="soft_delete", key=("lead_id",))
    assert written_by(database) == {"1": "other", "2": "back", "3": "gone"}
    assert not any("_cleanlist_deleted_at" in row for row in database.rows())


@pytest.fixture
def notes(database, load_leads):
    """A table of thirty notes whose key refers to the leads of a first load."""
    if database.is_imitated:
        pytest.skip("Snowflake enforces no foreign keys")
    load_leads(*({"lead_id": str(number)} for number in range(3)), key=("lead_id",))

    def make(action: str = "") -> None:
        if database.dialect == "duckdb" and action:
            pytest.skip("DuckDB has no actions of foreign keys")
        column = "VARCHAR(255)" + (" COLLATE utf8mb4_bin" if database.dialect == "mysql" else "")
        database.execute(
            f"CREATE TABLE notes (id INTEGER, lead_id {column}, "
            f"CONSTRAINT of_lead FOREIGN KEY (lead_id) REFERENCES leads (lead_id) {action})",
            "INSERT INTO notes VALUES " + ", ".join(f"({number}, '{number % 3}')" for number in range(30)),
        )

    return make


def count_notes(database) -> int:
    return database.execute("SELECT count(*) FROM notes WHERE lead_id IS NOT NULL")[0][0]


@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE"])
def test_tables_that_refer_to_the_target_keep_their_rows(database, load_leads, notes, action):
    notes(action)
    for email in ("a@x.example", "b@x.example"):
        leads = [{"lead_id": "0", "email": email}, {"lead_id": "1"}, {"lead_id": "4", "email": email}]
        load_leads(*leads, key=("lead_id",), run_id=email)
        assert count_notes(database) == 30
    assert written_by(database) == {"0": email, "1": "dag/run", "2": "dag/run", "4": email}


@pytest.mark.parametrize("action", ["", "ON DELETE SET NULL"])
def test_rows_to_which_others_refer_are_not_replaced(database, load_leads, make_spec, paged, notes, action):
    notes(action)
    pages = paged([[{"lead_id": "0"}]])
    with pytest.raises(
        LoadConfigurationError, match=r"mode='replace' would .*notes \((of_lead|notes_)"
    ) as caught:
        load(database.engine, make_spec(mode="replace", known_fields=()), pages)
    assert "Use mode='merge'" in str(caught.value)
    assert pages.reads == []
    assert count_notes(database) == 30


@pytest.mark.parametrize("mode", ["append", "snapshot"])
def test_what_only_adds_rows_is_refused_when_it_is_repeated(
    database, load_leads, make_spec, paged, notes, mode
):
    if database.dialect == "duckdb":
        pytest.skip("DuckDB adds no column to a table to which others refer")
    database.execute("ALTER TABLE leads ADD COLUMN _cleanlist_snapshot_date DATE")
    notes("ON DELETE CASCADE")
    arguments = {"mode": mode, "run_id": "fresh", "snapshot_date": date(2026, 1, 2)}
    assert load_leads({"lead_id": "7"}, **arguments).rows_written == 1
    database.execute("INSERT INTO notes VALUES (31, '7')")
    pages = paged([[{"lead_id": "8"}]])
    with pytest.raises(LoadConfigurationError, match=f"mode='{mode}' would delete rows of leads"):
        load(database.engine, make_spec(**arguments, known_fields=()), pages)
    assert pages.reads == []
    assert count_notes(database) == 31


def test_a_lead_to_which_others_refer_is_not_deleted_as_missing(database, load_leads, notes):
    notes()
    with pytest.raises(LoadDataError) as caught:
        load_leads({"lead_id": "0", "email": "secret@x.example"}, key=("lead_id",), on_missing="delete")
    assert "secret" not in str(caught.value)
    assert sorted(written_by(database)) == ["0", "1", "2"]


# --- PostgreSQL's own -------------------------------------------------------------------------------------------------

TRIGGER = (
    "CREATE TABLE seen (what TEXT)",
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN INSERT INTO seen VALUES (TG_OP); RETURN NULL; END $$",
    "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON leads FOR EACH ROW EXECUTE FUNCTION note()",
)


@pytest.fixture
def postgres(open_postgres) -> sa.engine.Engine:
    return open_postgres("psycopg")


def run(engine: sa.engine.Engine, *statements: str) -> list[tuple]:
    with engine.begin() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def test_triggers_see_what_changes_and_nothing_else(postgres, make_spec, paged):
    leads = [{"lead_id": str(number), "email": "a"} for number in range(30)]
    load(postgres, make_spec(load_id="1"), paged([leads]))
    run(postgres, *TRIGGER)
    load(postgres, make_spec(load_id="2", run_id="same"), paged([leads]))
    assert run(postgres, "SELECT count(*) FROM seen") == [(0,)]
    changed = [leads[0] | {"email": "A"}, *leads[1:-1], {"lead_id": "new"}]
    load(postgres, make_spec(load_id="3", on_missing="delete"), paged([changed]))
    assert run(postgres, "SELECT what FROM seen ORDER BY 1") == [("DELETE",), ("INSERT",), ("UPDATE",)]


COLUMNS = "lead_id TEXT, email TEXT, _cleanlist_list_id TEXT, _cleanlist_run_id TEXT, _cleanlist_synced_at TIMESTAMPTZ"
SKIP = "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"
ACT = "CREATE TRIGGER act BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION act()"
LEFT_OUT = {
    "trigger": (
        f"CREATE TABLE leads ({COLUMNS})",
        SKIP.format("IF NEW.lead_id = '2' THEN RETURN NULL; END IF; RETURN NEW;"),
        ACT.format("leads"),
    ),
    "trigger of a partition": (
        f"CREATE TABLE leads ({COLUMNS}) PARTITION BY LIST (lead_id)",
        "CREATE TABLE one PARTITION OF leads FOR VALUES IN ('1')",
        "CREATE TABLE two PARTITION OF leads FOR VALUES IN ('2')",
        SKIP.format("RETURN NULL;"),
        ACT.format("two"),
    ),
    "rule": (
        f"CREATE TABLE leads ({COLUMNS})",
        "CREATE RULE skip AS ON INSERT TO leads WHERE NEW.lead_id = '2' DO INSTEAD NOTHING",
    ),
    "view": (
        f"CREATE TABLE base ({COLUMNS})",
        "CREATE VIEW leads AS SELECT * FROM base WHERE lead_id <> '2'",
    ),
}
TAKEN = {
    "trigger that changes": (
        f"CREATE TABLE leads ({COLUMNS})",
        SKIP.format("NEW.email = upper(NEW.email); RETURN NEW;"),
        ACT.format("leads"),
    ),
    "trigger that redirects": (
        f"CREATE TABLE leads ({COLUMNS})",
        "CREATE TABLE child () INHERITS (leads)",
        SKIP.format("INSERT INTO child VALUES (NEW.*); RETURN NULL;"),
        ACT.format("leads"),
    ),
    "trigger on keys of another type": (
        f"CREATE TABLE leads ({COLUMNS.replace('lead_id TEXT', 'lead_id INTERVAL')})",
        SKIP.format("RETURN NEW;"),
        ACT.format("leads"),
    ),
    "view of all": (f"CREATE TABLE base ({COLUMNS})", "CREATE VIEW leads AS SELECT * FROM base"),
}


@pytest.mark.parametrize("made", LEFT_OUT)
def test_what_leaves_out_rows_fails_the_load(postgres, make_spec, paged, made):
    run(postgres, *LEFT_OUT[made])
    leads = [{"lead_id": number, "email": "secret@x.example"} for number in "12"]
    for mode in ("merge", "append"):
        with pytest.raises(
            LoadConfigurationError, match="condition of leads left out 1 of 2 records"
        ) as caught:
            load(postgres, make_spec(mode=mode, known_fields=()), paged([leads]))
        assert "secret" not in str(caught.value)
    assert run(postgres, "SELECT count(*) FROM leads") == [(0,)]


@pytest.mark.parametrize("made", TAKEN)
def test_what_takes_all_rows_does_not(postgres, make_spec, paged, made):
    run(postgres, *TAKEN[made])
    leads = [{"lead_id": number, "email": "a@x.example"} for number in "12"]
    for mode in ("append", "append", "replace", "merge"):
        spec = make_spec(mode=mode, known_fields=())
        assert load(postgres, spec, paged([leads])).rows_written == 2
    assert run(postgres, "SELECT count(*) FROM leads") == [(2,)]


@pytest.mark.parametrize(
    "tables",
    [
        (
            "CREATE TABLE leads (lead_id TEXT, email TEXT)",
            "CREATE TRIGGER t BEFORE INSERT ON leads WHEN new.lead_id = '2' BEGIN SELECT RAISE(IGNORE); END",
        ),
        ("CREATE TABLE leads (lead_id TEXT, email TEXT UNIQUE ON CONFLICT IGNORE)",),
        ("CREATE TABLE leads (lead_id TEXT, email TEXT UNIQUE on conflict replace)",),
    ],
)
def test_what_leaves_out_rows_of_sqlite_fails_the_load(tmp_path, make_spec, paged, tables):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'warehouse.db'}")
    run(engine, *tables)
    leads = [{"lead_id": number, "email": "a@x.example"} for number in "12"]
    with pytest.raises(LoadConfigurationError, match="left out 1 of 2 records"):
        load(engine, make_spec(known_fields=()), paged([leads]))
    assert run(engine, "SELECT count(*) FROM leads") == [(0,)]
    engine.dispose()


def test_columns_of_other_types_are_compared_by_what_they_hold(postgres, make_spec, paged):
    run(
        postgres,
        "CREATE TABLE leads (lead_id VARCHAR(9) PRIMARY KEY, email VARCHAR(30), tags JSON, score REAL, staff INTEGER, "
        "note TEXT, title CHARACTER(9), _cleanlist_run_id VARCHAR(40))",
    )
    types = {"tags": "json", "score": "float", "staff": "integer", "note": "integer"}
    lead = {"lead_id": "1", "email": "a", "tags": {"b": 1, "a": 2}, "score": 0.1, "staff": 7, "note": 3}
    for run_id in ("first", "same"):
        spec = make_spec(load_id=run_id, run_id=run_id, key=("lead_id",), column_types=types)
        load(postgres, spec, paged([[lead]]))
    assert run(postgres, "SELECT _cleanlist_run_id FROM leads") == [("first",)]
    run(postgres, "UPDATE leads SET note = 'not a number'")
    load(postgres, make_spec(load_id="3", key=("lead_id",), column_types=types), paged([[lead]]))
    assert run(postgres, "SELECT note FROM leads") == [("3",)]


def test_a_key_that_is_checked_at_the_end_of_the_transaction_allows_to_replace(postgres, make_spec, paged):
    load(postgres, make_spec(load_id="1", key=("lead_id",)), paged([[{"lead_id": "1"}]]))
    run(
        postgres,
        "CREATE TABLE notes (lead_id TEXT REFERENCES leads (lead_id) DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO notes VALUES ('1')",
    )
    load(postgres, make_spec(load_id="2", mode="replace", key=("lead_id",)), paged([[{"lead_id": "1"}]]))
    with pytest.raises(LoadDataError, match="violates foreign key constraint"):
        load(postgres, make_spec(load_id="3", mode="replace", key=("lead_id",)), paged([[{"lead_id": "2"}]]))
    assert run(postgres, "SELECT lead_id FROM leads") == [("1",)]


NARROW = {
    "postgresql": ("numeric(10,2)", "timestamp(0)", "float4"),
    "mysql": ("DECIMAL(10,2)", "DATETIME(0)", "DOUBLE"),
    "mariadb": ("DECIMAL(10,2)", "DATETIME(0)", "DOUBLE"),
    "duckdb": ("DECIMAL(10,2)", "TIMESTAMP_S", "FLOAT"),
    "sqlite": ("NUMERIC(10,2)", "DATETIME", "REAL"),
}


def test_a_value_is_compared_as_a_narrower_column_holds_it(database, load_leads):
    if database.engine.dialect.name not in NARROW:
        pytest.skip("its types are not looked up")
    price, seen, score = NARROW[database.engine.dialect.name]
    database.execute(
        f"CREATE TABLE leads (lead_id VARCHAR(20), price {price}, seen {seen}, score {score}, "
        "_cleanlist_list_id VARCHAR(20), PRIMARY KEY (_cleanlist_list_id, lead_id))"
    )
    types = {"price": "float", "seen": "timestamp", "score": "float"}
    lead = {"lead_id": "1", "price": 12.3456, "seen": "2026-01-02T03:04:05.3Z", "score": 0.123456789}
    load_leads(lead, column_types=types, run_id="first")
    load_leads(lead, column_types=types, run_id="same")
    assert written_by(database) == {"1": "first"}
    load_leads(lead | {"price": 12.36}, column_types=types, run_id="price")
    assert written_by(database) == {"1": "price"}
    load_leads(lead | {"price": 12.36, "seen": "2026-01-02T03:04:06.3Z"}, column_types=types, run_id="seen")
    assert written_by(database) == {"1": "seen"}
