"""Loads into a real PostgreSQL, through both drivers."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse import reading, values
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError
from airflow_provider_cleanlist.warehouse.loader import LoadReport, load

from ...loads import Crash, crashing, run_together

pytestmark = pytest.mark.integration

MISSING_SCHEMA = "schema \"nowhere\" does not exist.* create 'nowhere', if there is none"
ODD_TEXT = "tab\t newline\n return\r backslash\\ \\N \\. quote\" comma, ' 汉 🚚 é %s :x"


def lead(number: int, **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields}


def leads_and(execute, *columns: str, table: str = "leads") -> list[tuple]:
    names = ", ".join(("lead_id", *columns))
    return [tuple(row) for row in execute(f"SELECT {names} FROM {table} ORDER BY lead_id, {names}")]


def test_every_mode(engine, execute, make_spec, paged):
    now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    pages = [[lead(1, email="old"), lead(2, email=ODD_TEXT)], [lead(1, email="new"), lead(3, email="")]]
    for mode in ("merge", "replace", "append", "snapshot"):
        spec = make_spec(mode=mode, table=f"t_{mode}", snapshot_date=date(2026, 1, 2), load_id=mode)
        for _ in range(2):
            report = load(engine, spec, paged(pages), utc_now=lambda: now, batch_rows=1)
            assert (report.rows_read, report.rows_written, report.pages) == (4, 3, 2)
        rows = leads_and(
            execute,
            "email",
            "_cleanlist_list_id",
            "_cleanlist_run_id",
            "_cleanlist_synced_at",
            table=f"t_{mode}",
        )
        assert rows == [
            ("lead-1", "new", "L", "dag/run", now),
            ("lead-2", ODD_TEXT, "L", "dag/run", now),
            ("lead-3", "", "L", "dag/run", now),
        ]
    assert execute("SELECT DISTINCT _cleanlist_snapshot_date FROM t_snapshot") == [(date(2026, 1, 2),)]
    left = execute("SELECT count(*) FROM pg_class WHERE relname LIKE '\\_cleanlist\\_stage%'")
    assert left == [(0,)]


def test_the_key_is_the_primary_key_of_a_new_table(engine, execute, make_spec, paged):
    load(engine, make_spec(), paged([[lead(1)]]))
    (definition,) = execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = 'leads'::regclass"
    )
    assert definition[0] == "PRIMARY KEY (_cleanlist_list_id, lead_id)"


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("on_missing", ["keep", "soft_delete", "delete"])
def test_leads_gone_from_the_list(engine, execute, make_spec, paged, on_missing, foreign):
    load(engine, make_spec(load_id="1"), paged([[lead(1), lead(2)]]))
    load(engine, make_spec(load_id="2", list_id="M"), paged([[lead(2)]]))
    if foreign:
        execute("ALTER TABLE leads ADD COLUMN owner TEXT DEFAULT 'Ada'")
    report = load(engine, make_spec(load_id="3", on_missing=on_missing), paged([[lead(1, email="x")]]))
    assert (report.rows_written, report.rows_removed) == (1, int(on_missing != "keep"))
    rows = {(r.lead_id, r._cleanlist_list_id): r for r in execute("SELECT * FROM leads")}
    expected = {("lead-1", "L"), ("lead-2", "M")} | (set() if on_missing == "delete" else {("lead-2", "L")})
    assert set(rows) == expected
    assert rows["lead-1", "L"].email == "x"
    if on_missing == "soft_delete":
        assert rows["lead-2", "L"]._cleanlist_deleted_at is not None
        assert rows["lead-2", "M"]._cleanlist_deleted_at is None
    if foreign:
        assert {row.owner for row in rows.values()} == {"Ada"}


def test_types_and_json(engine, execute, make_spec, paged):
    types = {
        "score": "float",
        "hired": "date",
        "seen": "timestamp",
        "vip": "boolean",
        "staff": "integer",
        "tags": "json",
    }
    values = {
        "score": "1.5",
        "hired": "2026-01-02",
        "seen": "2026-01-02T03:04:05+01:00",
        "vip": "no",
        "staff": 7,
    }
    tags = {"a": ["é\x00", None, ODD_TEXT]}
    load(engine, make_spec(column_types=types), paged([[lead(1, tags=tags, **values), lead(2)]]))
    (row,) = execute(
        "SELECT score, hired, seen, vip, staff, tags, pg_typeof(tags)::text FROM leads WHERE lead_id = 'lead-1'"
    )
    seen = datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert tuple(row) == (1.5, date(2026, 1, 2), seen, False, 7, {"a": ["é", None, ODD_TEXT]}, "jsonb")


def test_schemas_and_odd_names(engine, execute, make_spec, paged):
    schema, table, column = 'sch"ema.x', "per%cent :t; DROP TABLE victim", 'co"l % :c'
    execute("CREATE TABLE victim (x text)")
    execute('CREATE SCHEMA "sch""ema.x"')
    execute('CREATE SCHEMA "scr%atch ""s"')
    quoted = '"{}"."{}"'.format(schema.replace('"', '""'), table)
    spec = make_spec(
        table=quoted, staging_schema='scr%atch "s', columns={"email": column}, on_missing="soft_delete"
    )
    for number in range(3):
        load(engine, spec, paged([[lead(number, email=ODD_TEXT)], [lead(number)]]), batch_rows=1)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(sa.text("*")).select_from(sa.table(table, schema=schema))).all()
        victims = connection.execute(sa.text("SELECT count(*) FROM victim")).scalar()
    assert len(rows) == 3
    assert victims == 0
    assert execute(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname LIKE 'scr%' AND relkind = 'r'"
    ) == [("_cleanlist_loads",)]


def test_a_name_that_would_be_cut_is_refused(engine, make_spec, paged):
    with pytest.raises(LoadConfigurationError, match="longer than the 63 bytes"):
        load(engine, make_spec(table="é" * 32), paged([[lead(1)]]))


@pytest.mark.parametrize(
    ("setup", "arguments", "error", "message"),
    [
        (
            "CREATE VIEW leads AS SELECT 'x' AS lead_id UNION SELECT 'y'",
            {},
            LoadConfigurationError,
            'cannot update view "leads"',
        ),
        ("CREATE TABLE leads (lead_id uuid)", {}, LoadDataError, "column_types"),
        (
            "CREATE TABLE leads (lead_id text, email integer)",
            {},
            LoadConfigurationError,
            'column "email" is of type',
        ),
        ("CREATE TABLE leads (lead_id text, email varchar(3))", {}, LoadDataError, "22001"),
        ("CREATE TABLE leads (lead_id text, owner text NOT NULL)", {}, LoadDataError, '"owner"'),
        ("CREATE TABLE leads (lead_id text, CHECK (length(lead_id) < 3))", {}, LoadDataError, "23514"),
        ("SELECT 1", {"table": "nowhere.leads"}, LoadConfigurationError, MISSING_SCHEMA),
        (
            "SELECT 1",
            {"staging_schema": "nowhere"},
            LoadConfigurationError,
            'schema "nowhere" does not exist',
        ),
    ],
)
def test_what_does_not_fit_is_told_and_the_target_unchanged(
    engine, execute, make_spec, paged, setup, arguments, error, message
):
    execute(setup)
    with pytest.raises(error, match=message) as caught:
        load(engine, make_spec(**arguments), paged([[lead(1, email="secret@x.example")]]))
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
    if "TABLE" in setup:
        assert execute("SELECT count(*) FROM leads") == [(0,)]


@pytest.mark.parametrize(
    ("grants", "told"),
    [
        (["SELECT"], "permission denied for table leads"),
        (["SELECT", "DELETE"], "permission denied for table leads"),
        ([], "permission denied for table leads"),
    ],
)
def test_missing_privileges_are_told_before_anything_is_read(engine, execute, make_spec, paged, grants, told):
    load(engine, make_spec(load_id="earlier"), paged([[lead(1)]]))
    role = f"role_{abs(hash((engine.driver, *grants)))}"
    execute(f"CREATE ROLE {role}")
    for grant in grants:
        execute(f"GRANT {grant} ON leads TO {role}")
    engine.dispose()
    sa.event.listen(engine, "connect", lambda connection, _: _set_role(connection, role))
    pages = paged([[lead(2)]])
    with pytest.raises(LoadConfigurationError, match=told):
        load(engine, make_spec(), pages)
    assert pages.reads == []
    execute("RESET ROLE; SELECT 1")
    engine.dispose()


def _set_role(connection, role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
    connection.commit()


def test_an_identity_column_and_defaults_of_somebody_else(engine, execute, make_spec, paged):
    execute(
        "CREATE TABLE leads (id int GENERATED ALWAYS AS IDENTITY, added date DEFAULT CURRENT_DATE, lead_id text)"
    )
    for _ in range(2):
        load(engine, make_spec(), paged([[lead(1), lead(2)]]))
    assert execute("SELECT id, added = CURRENT_DATE FROM leads ORDER BY id") == [(1, True), (2, True)]


def test_a_view_that_takes_rows_is_as_good_as_a_table(engine, execute, make_spec, paged):
    execute("CREATE TABLE people (lead_id text, email text, hidden int DEFAULT 7)")
    execute("CREATE VIEW leads AS SELECT lead_id, email FROM people")
    spec = make_spec(columns={"lead_id": None})
    with pytest.raises(LoadConfigurationError, match=r"Adding column .* to leads failed"):
        load(engine, spec, paged([[lead(1)]]))
    execute(
        "ALTER TABLE people ADD COLUMN _cleanlist_list_id text, ADD COLUMN _cleanlist_run_id text, "
        "ADD COLUMN _cleanlist_synced_at timestamptz"
    )
    execute("DROP VIEW leads")
    execute("CREATE VIEW leads AS SELECT * FROM people")
    for _ in range(2):
        load(engine, spec, paged([[lead(1), lead(2)]]))
    assert execute("SELECT lead_id, hidden FROM people ORDER BY lead_id") == [("lead-1", 7), ("lead-2", 7)]


def test_a_column_that_the_database_makes_itself_is_told_before_anything_is_read(
    engine, execute, make_spec, paged
):
    execute(
        "CREATE TABLE leads (lead_id text, email text GENERATED ALWAYS AS (lead_id || '@x.example') STORED)"
    )
    pages = paged([[lead(1)]])
    with pytest.raises(LoadConfigurationError, match='column "email"'):
        load(engine, make_spec(), pages)
    assert pages.reads == []
    assert load(engine, make_spec(exclude_columns=["email"]), pages).rows_written == 1


def test_a_server_crash_that_empties_the_unlogged_stage_is_noticed(engine, execute, make_spec, paged):
    spec = make_spec()

    def broken(cursor):
        yield from paged([[lead(1)], [lead(2)]])(cursor)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        load(engine, spec, broken, batch_rows=1)
    execute(f"TRUNCATE {spec.stage.name}")
    assert load(engine, spec, paged([[lead(1)], [lead(2)]]), batch_rows=1).rows_written == 2
    assert leads_and(execute) == [("lead-1",), ("lead-2",)]


def test_a_lost_connection_between_batches_is_replaced(engine, execute, make_spec, paged, open_postgres):
    other = open_postgres()
    engine = open_postgres(engine.driver, pool_pre_ping=True)

    def cut(cursor):
        for number, page in enumerate(paged([[lead(n)] for n in range(4)])(cursor)):
            if number == 2:
                time.sleep(0.2)
                with other.begin() as connection:
                    sessions = (
                        "pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
                    )
                    connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM {sessions}"))
            yield page

    assert load(engine, make_spec(), cut, batch_rows=1).rows_written == 4


@pytest.mark.parametrize("steps", [None, 20, 26, 32])
def test_a_page_that_is_written_in_parts_is_whole_or_read_again(
    engine, execute, make_spec, paged, monkeypatch, steps
):
    for module in (reading, values):
        monkeypatch.setattr(module, "CELLS", 6)  # two or three records
    pages = [[lead(1, email="old")], [lead(2, email="x"), lead(1, email="new"), lead(3, score=1), lead(4)]]
    spec = make_spec(known_fields=("lead_id", "email"))
    if steps is not None:
        with pytest.raises(Crash), crashing(engine, steps):
            load(engine, spec, paged(pages))
    assert load(engine, spec, paged(pages)).rows_written == 4
    assert leads_and(execute, "email", "score") == [
        ("lead-1", "new", None),
        ("lead-2", "x", None),
        ("lead-3", None, "1"),
        ("lead-4", None, None),
    ]


def test_a_field_that_appears_within_a_batch(engine, execute, make_spec, paged):
    pages = [[lead(1)], [lead(2, score="7")], [lead(3)], [lead(4, score="9", tier="A")]]
    report = load(engine, make_spec(), paged(pages))
    assert (report.rows_written, report.pages) == (4, 4)
    assert leads_and(execute, "score", "tier") == [
        ("lead-1", None, None),
        ("lead-2", "7", None),
        ("lead-3", None, None),
        ("lead-4", "9", "A"),
    ]


def test_a_connection_lost_within_a_batch_loses_only_that_batch(
    engine, execute, make_spec, paged, open_postgres
):
    other = open_postgres()
    reads = []

    def cut(cursor):
        for page in paged([[lead(n)] for n in range(6)])(cursor):
            if page.cursor == "4" and not reads:
                with other.begin() as connection:
                    writers = (
                        "pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
                    )
                    connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM {writers}"))
            yield page

    def again(cursor):
        reads.append(cursor)
        return paged([[lead(n)] for n in range(6)])(cursor)

    spec = make_spec()
    with pytest.raises(LoadError, match="The target's rows are unchanged"):
        load(engine, spec, cut, batch_rows=2, pages_ahead=0)
    engine.dispose()
    assert load(engine, spec, again, batch_rows=2).rows_written == 6
    assert reads == ["2"]
    assert leads_and(execute) == [(f"lead-{n}",) for n in range(6)]


def test_rows_are_committed_while_the_list_is_slow(engine, execute, make_spec, paged):
    """No transaction stays open: it would hold vacuum back, and the rows would be lost with the process."""
    seen = []

    def slow(cursor):
        for page in paged([[lead(1)], [lead(2)]])(cursor):
            if page.cursor is None:
                time.sleep(1)
                seen.extend(execute("SELECT checkpoint FROM _cleanlist_loads"))
                seen.extend(execute("SELECT state FROM pg_stat_activity WHERE state LIKE 'idle in%'"))
            yield page

    assert load(engine, make_spec(), slow).rows_written == 2
    if engine.driver == "psycopg":
        ((checkpoint,),) = seen
        assert '"rows":1' in checkpoint.replace(" ", "")


def test_a_value_that_does_not_fit_leaves_no_transaction_open(engine, execute, make_spec, paged):
    spec = make_spec(column_types={"score": "integer"})
    with pytest.raises(LoadDataError):
        load(engine, spec, paged([[lead(1, score=1)], [lead(2, score="x")]]))
    assert execute("SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in%'") == []
    assert load(engine, spec, paged([[lead(1, score=1)]])).rows_written == 1


# --- concurrency -----------------------------------------------------------------------------------------------


def test_a_try_frozen_within_a_batch_does_not_stop_the_next_one(
    engine, execute, make_spec, paged, change_database
):
    """With psycopg 3 its transaction keeps the stage from being dropped until it thaws and finds itself replaced."""
    change_database("postgresql", ddl_settings=("SET LOCAL lock_timeout = '1s'",))
    rows = [[lead(n)] for n in range(4)]
    pages = paged(rows)
    frozen, thawed = threading.Event(), threading.Event()

    def clock() -> float:
        if len(pages.reads) == 4 and not frozen.is_set():
            frozen.set()
            thawed.wait(30)
        return time.monotonic()

    first = []

    def try_it() -> None:
        try:
            load(engine, make_spec(), pages, batch_rows=2, pages_ahead=0, clock=clock)
        except LoadError as error:
            first.append(str(error))

    thread = threading.Thread(target=try_it)
    thread.start()
    assert frozen.wait(30)
    if engine.driver == "psycopg":
        with pytest.raises(LoadError, match=r"Dropping table .* failed: LockNotAvailable"):
            load(engine, make_spec(), paged(rows))
    else:
        load(engine, make_spec(), paged(rows))
    assert leads_and(execute) == [(f"lead-{n}",) for n in range(4)]
    thawed.set()
    thread.join(30)
    assert len(first) == 1
    if engine.driver == "psycopg":
        assert [text.partition(", or")[0] for text in first] == [
            "Another attempt of this task has taken the load over"
        ]
        assert load(engine, make_spec(), paged([])).rows_written == 4, "only cleaning up was left"
    assert leads_and(execute) == [(f"lead-{n}",) for n in range(4)]
    assert execute("SELECT count(*) FROM _cleanlist_loads") == [(0,)]


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("lists", ["LL", "LM"])
def test_two_runs_into_one_table_never_double_it(
    execute, make_spec, paged, open_postgres, engine, keyed, lists
):
    if not keyed:
        execute("CREATE TABLE leads (lead_id text)")
    pages = [[lead(n, email=str(n)) for n in range(p * 500, p * 500 + 500)] for p in range(8)]
    driver = engine.driver
    barrier = threading.Barrier(2)
    reads = [0, 0]

    def loader(number: int):
        own = open_postgres(driver)
        spec = make_spec(load_id=str(number), list_id=lists[number], run_id=f"dag/{number}")

        def together(cursor):
            yield from paged(pages)(cursor)
            reads[number] += 1
            if reads[number] == 1:
                barrier.wait(20)

        return lambda: load(own, spec, together)

    results = run_together(loader(0), loader(1))
    assert all(isinstance(result, LoadReport) for result in results), results
    assert sorted(reads) == ([1, 2] if lists == "LL" else [1, 1]), "of one list, the later one reads again"
    counts = execute(
        "SELECT _cleanlist_list_id, count(*), count(DISTINCT lead_id) FROM leads GROUP BY 1 ORDER BY 1"
    )
    assert counts == [(list_id, 4000, 4000) for list_id in sorted(set(lists))]


@pytest.mark.parametrize("mode", ["merge", "replace", "snapshot"])
def test_readers_see_the_old_or_the_new_state_only(execute, make_spec, paged, open_postgres, engine, mode):
    size = 20_000

    def pages(version: str, count: int):
        return [[lead(n, email=version) for n in range(p, min(p + 500, count))] for p in range(0, count, 500)]

    spec = {"mode": mode, "snapshot_date": date(2026, 1, 1)}
    load(engine, make_spec(load_id="old", **spec), paged(pages("old", size)))
    states, waits, stop = set(), [], threading.Event()

    def read() -> None:
        with open_postgres(isolation_level="AUTOCOMMIT").connect() as connection:
            query = sa.text("SELECT count(*), count(DISTINCT lead_id), min(email), max(email) FROM leads")
            while not stop.is_set():
                started = time.monotonic()
                states.add(tuple(connection.execute(query).one()))
                waits.append(time.monotonic() - started)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        load(engine, make_spec(load_id="new", **spec), paged(pages("new", size)))
        time.sleep(0.2)
    finally:
        stop.set()
        reader.join(20)
    assert states == {(size, size, "old", "old"), (size, size, "new", "new")}
    assert len(waits) > 5


def test_a_try_killed_while_it_publishes_leaves_the_old_state(
    execute, make_spec, paged, open_postgres, engine
):
    load(engine, make_spec(load_id="old"), paged([[lead(n, email="old") for n in range(100)]]))
    before = execute("SELECT * FROM leads ORDER BY lead_id")
    doomed = open_postgres(engine.driver)

    @sa.event.listens_for(doomed, "before_cursor_execute")
    def terminate(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO leads") and "_cleanlist_stage" in statement:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            execute("SELECT pg_terminate_backend(:pid)", pid=pid)
            time.sleep(0.1)

    new = [[lead(n, email="new") for n in range(50)]]
    with pytest.raises(LoadError, match="Publishing into leads failed"):
        load(doomed, make_spec(load_id="new"), paged(new))
    assert execute("SELECT * FROM leads ORDER BY lead_id") == before
    again = paged(new)
    assert load(engine, make_spec(load_id="new"), again).rows_written == 50
    assert again.reads == []
    assert execute("SELECT email, count(*) FROM leads GROUP BY 1 ORDER BY 1") == [("new", 50), ("old", 50)]
