"""What is MySQL's own: engines without transactions, privileges, locks, sessions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.contacts.errors import QueryError
from airflow_provider_cleanlist.contacts.sources import open_source
from airflow_provider_cleanlist.page import queries
from airflow_provider_cleanlist.submission.errors import JournalConfigurationError
from airflow_provider_cleanlist.submission.ledger.database import LedgerDatabase
from airflow_provider_cleanlist.warehouse.dialects.mysql import MYSQL
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = [pytest.mark.integration, pytest.mark.warehouse]


def lead(number: int, **fields) -> dict:
    return {"lead_id": f"lead-{number}", **fields}


@pytest.mark.parametrize("engine", ["MyISAM", "Aria"])
def test_a_table_without_transactions_is_refused_before_anything_is_read(
    mariadb_database, make_spec, paged, engine
):
    mariadb_database.execute(f"CREATE TABLE leads (lead_id VARCHAR(20)) ENGINE={engine}")
    pages = paged([[lead(1)]])
    with pytest.raises(LoadConfigurationError, match=f"of the engine {engine}, which has no transactions"):
        load(mariadb_database.engine, make_spec(), pages)
    assert pages.reads == []


def test_new_tables_have_transactions_and_exact_keys_whatever_the_server_prefers(
    mariadb_database, make_spec, paged
):
    load(mariadb_database.engine, make_spec(), paged([[lead(1)]]))
    tables = "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()"
    assert {engine for _, engine in mariadb_database.execute(tables)} == {"InnoDB"}
    columns = (
        "SELECT column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND column_key = 'PRI' AND table_name = 'leads'"
    )
    assert dict(mariadb_database.execute(columns)) == {
        "_cleanlist_list_id": "utf8mb4_bin",
        "lead_id": "utf8mb4_bin",
    }


def test_a_value_that_is_too_long_is_refused_even_where_the_server_would_cut_it(
    mariadb_database, make_spec, paged
):
    assert "STRICT" not in mariadb_database.execute("SELECT @@GLOBAL.sql_mode")[0][0]
    mariadb_database.execute("CREATE TABLE leads (lead_id VARCHAR(20), email VARCHAR(3))")
    with pytest.raises(LoadDataError, match="1406: Data too long for column 'email'") as caught:
        load(mariadb_database.engine, make_spec(), paged([[lead(1, email="secret@x.example")]]))
    assert "secret" not in str(caught.value)
    assert mariadb_database.rows() == []


def test_a_value_of_another_type_is_not_quoted(mariadb_database, make_spec, paged):
    mariadb_database.execute("CREATE TABLE leads (lead_id VARCHAR(20), email INTEGER)")
    with pytest.raises(LoadDataError, match="1366") as caught:
        load(mariadb_database.engine, make_spec(), paged([[lead(1, email="secret@x.example")]]))
    assert "secret" not in str(caught.value)
    assert mariadb_database.rows() == []


def test_a_key_that_is_longer_than_an_index_takes_is_told(mariadb_database, make_spec, paged):
    with pytest.raises(LoadDataError, match="Data too long"):
        load(mariadb_database.engine, make_spec(), paged([[{"lead_id": "x" * 256}]]))


@pytest.mark.parametrize("grants", ["SELECT", "SELECT, UPDATE"])
def test_missing_privileges_are_told_before_anything_is_read(mariadb_database, make_spec, paged, grants):
    load(mariadb_database.engine, make_spec(load_id="earlier"), paged([[lead(1)]]))
    mariadb_database.execute(
        "CREATE OR REPLACE USER reader@'127.0.0.1'", f"GRANT {grants} ON leads TO reader@'127.0.0.1'"
    )
    engine = sa.create_engine(mariadb_database.engine.url.set(username="reader"), hide_parameters=True)
    pages = paged([[lead(2)]])
    with pytest.raises(
        LoadConfigurationError, match=r"1142: (UPDATE|INSERT) command denied to user 'reader'"
    ):
        load(engine, make_spec(), pages)
    assert pages.reads == []
    engine.dispose()


def test_the_other_driver_of_the_hook(connector_database, make_spec, paged):
    types = {"score": "float", "seen": "timestamp", "vip": "boolean", "tags": "json"}
    text = "汉 🚚 ' \\ \" %s %(x)s ? \n"
    record = lead(1, email=text, score="1.1", seen="2026-01-02T03:04:05.678901Z", vip="yes", tags={"a": text})
    many = [[lead(n, email=text) for n in range(p, p + 200)] for p in range(2, 1_002, 200)]
    for _ in range(2):
        spec = make_spec(column_types=types)
        assert (
            load(connector_database.engine, spec, paged([[record], *many]), batch_rows=300).rows_written
            == 1_001
        )
    assert connector_database.engine.driver == "mysqlconnector"
    found = next(row for row in connector_database.rows() if row["lead_id"] == "lead-1")
    assert (found["email"], found["score"], found["vip"]) == (text, 1.1, 1)
    assert found["seen"].isoformat() == "2026-01-02T03:04:05.678901"
    assert connector_database.json(found["tags"]) == {"a": text}


def test_a_load_that_others_hold_up_for_too_long_ends(mariadb_database, make_spec, paged, change_database):
    change_database("mysql", lock=replace(MYSQL.lock, seconds=1))
    load(mariadb_database.engine, make_spec(load_id="earlier"), paged([[lead(1)]]))
    names = []

    @sa.event.listens_for(mariadb_database.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, executemany):
        if "get_lock" in statement:
            names.append((statement, parameters))

    load(mariadb_database.engine, make_spec(load_id="again"), paged([[lead(1)]]))
    ((statement, parameters),) = names
    with mariadb_database.open().connect() as other:
        assert other.exec_driver_sql(statement, parameters).scalar() == 1
        with pytest.raises(LoadError, match="Other loads into leads did not end within 1 s"):
            load(mariadb_database.engine, make_spec(load_id="late"), paged([[lead(2)]]))
        assert len(mariadb_database.rows()) == 1
        other.exec_driver_sql("DO RELEASE_ALL_LOCKS()")
    assert load(mariadb_database.engine, make_spec(load_id="late"), paged([[lead(2)]])).rows_written == 1


def test_an_account_without_rights_cannot_hold_up_a_load(
    mariadb_database, mariadb_server, make_spec, paged, change_database
):
    """``GET_LOCK`` needs no rights, so a name that can be told from that of the table would be anybody's."""
    for kind in ("mysql", "mariadb"):
        change_database(kind, lock=replace(MYSQL.lock, seconds=1))
    load(mariadb_database.engine, make_spec(load_id="first"), paged([[lead(1)]]))
    place = mariadb_database.execute("SELECT DATABASE()")[0][0]
    (found,) = mariadb_database.execute("SELECT stage, fingerprint FROM _cleanlist_loads")
    assert found[0] == "lock"
    mariadb_database.execute("CREATE OR REPLACE USER neighbour IDENTIFIED BY 'n'")
    url = f"mysql+mysqldb://neighbour:n@{mariadb_server['host']}:{mariadb_server['port']}"
    engine = sa.create_engine(url)
    with engine.connect() as neighbour:
        with pytest.raises(sa.exc.DBAPIError, match="1142"):
            neighbour.exec_driver_sql(f"SELECT fingerprint FROM {place}._cleanlist_loads")
        for name in (f"{place}.leads", "leads", f" {place}.leads", f"None {place}.leads"):
            held = sa.select(sa.func.get_lock(sa.func.concat("cleanlist ", sa.func.md5(name)), 0))
            assert neighbour.execute(held).scalar() == 1
        assert neighbour.exec_driver_sql("SELECT GET_LOCK('cleanlist_ledger', 0)").scalar() == 1
        load(mariadb_database.engine, make_spec(load_id="second"), paged([[lead(2)]]))
        LedgerDatabase(mariadb_database.open(), "'l'")
    engine.dispose()
    assert len(mariadb_database.rows()) == 2


def test_loads_beside_a_table_of_loads_without_the_secret_make_one(mariadb_database, make_spec, paged):
    load(mariadb_database.engine, make_spec(load_id="first"), paged([[lead(1)]]))
    mariadb_database.execute("DELETE FROM _cleanlist_loads")
    pages = paged([[lead(2)], [lead(3)]])

    def deleting(*arguments, **options):
        for page in pages(*arguments, **options):
            yield page
            mariadb_database.execute("DELETE FROM _cleanlist_loads WHERE stage = 'lock'")

    with pytest.raises(LoadError, match="The row 'lock' of _cleanlist_loads"):
        load(mariadb_database.engine, make_spec(load_id="second"), deleting)
    assert len(mariadb_database.rows()) == 1
    assert load(mariadb_database.engine, make_spec(load_id="second"), pages).rows_written == 2


def test_the_lock_is_free_after_the_load(mariadb_database, make_spec, paged, change_database):
    change_database("mysql", lock=replace(MYSQL.lock, seconds=1))
    for number in range(2):
        load(mariadb_database.engine, make_spec(load_id=str(number)), paged([[lead(number)]]))
        load(mariadb_database.open(), make_spec(load_id=f"other {number}"), paged([[lead(number)]]))
    assert len(mariadb_database.rows()) == 2


@pytest.mark.parametrize("fixture", ["mariadb_database", "connector_database"])
def test_contacts_are_read_in_a_read_only_transaction(request, fixture):
    database = request.getfixturevalue(fixture)
    database.execute("CREATE TABLE crm (email VARCHAR(50), queued INT)")
    database.execute("INSERT INTO crm VALUES ('a@x.example', 0)")
    database.execute(
        "CREATE FUNCTION mark() RETURNS VARCHAR(50) MODIFIES SQL DATA BEGIN UPDATE crm SET queued = 1; RETURN 'x'; END"
    )

    def read(sql: str) -> list[dict]:
        source = open_source(sql=sql, sql_conn_id="warehouse")
        return [dict(row.values) for row in source.rows()]

    assert read("SELECT email FROM crm") == [{"email": "a@x.example"}]
    with pytest.raises(QueryError, match=r"writes to the database \(in a read-only transaction\)"):
        read("SELECT mark() AS email")
    assert read("SELECT queued FROM crm") == [{"queued": 0}]


@pytest.fixture
def demanding_database(mariadb_database):
    """A server that takes no table without a primary key."""
    mariadb_database.execute("SET GLOBAL innodb_force_primary_key = ON")
    yield mariadb_database
    mariadb_database.execute("SET GLOBAL innodb_force_primary_key = OFF")


KEYS = {
    "merge": ["_cleanlist_list_id", "lead_id"],
    "replace": ["_cleanlist_list_id", "lead_id"],
    "append": ["_cleanlist_list_id", "_cleanlist_run_id", "lead_id"],
    "snapshot": ["_cleanlist_snapshot_date", "_cleanlist_list_id", "lead_id"],
}


@pytest.mark.parametrize("mode", KEYS)
def test_a_server_may_demand_primary_keys(demanding_database, make_spec, paged, mode):
    day = date(2026, 1, 2)
    for number in range(2):
        spec = make_spec(mode=mode, load_id=str(number), snapshot_date=day)
        load(demanding_database.engine, spec, paged([[lead(1, email="a")], [lead(1, email="b"), lead(2)]]))
    spec = make_spec(mode=mode, load_id="other", list_id="M", snapshot_date=day)
    load(demanding_database.engine, spec, paged([[lead(1)]]))
    assert len(demanding_database.rows()) == 3
    keys = (
        "SELECT column_name FROM information_schema.key_column_usage WHERE constraint_name = 'PRIMARY' "
        "AND table_schema = DATABASE() AND table_name = 'leads' ORDER BY ordinal_position"
    )
    assert [name for (name,) in demanding_database.execute(keys)] == KEYS[mode]


def test_a_key_that_the_server_cannot_have_is_not_tried_again(demanding_database, make_spec, paged):
    key = ("_cleanlist_list_id", "lead_id", "email", "title")
    record = lead(1, email="a", title="b")
    with pytest.raises(LoadConfigurationError, match="1071"):
        load(demanding_database.engine, make_spec(mode="append", key=key), paged([[record]]))


def test_a_ledger_and_its_tables_have_the_keys_that_a_server_demands(demanding_database):
    LedgerDatabase(demanding_database.engine, "ledger").introduce("organisation", 0.0)
    assert demanding_database.execute("SELECT count(*) FROM cleanlist_organisations") == [(1,)]


@pytest.mark.parametrize("mode", ["replace", "append", "snapshot"])
def test_new_tables_have_no_key_where_none_is_demanded(mariadb_database, make_spec, paged, mode):
    spec = make_spec(mode=mode, run_id="r" * 300, snapshot_date=date(2026, 1, 2))
    load(mariadb_database.engine, spec, paged([[lead(1)]]))
    keys = (
        "SELECT count(*) FROM information_schema.key_column_usage "
        "WHERE table_schema = DATABASE() AND table_name = 'leads'"
    )
    assert mariadb_database.execute(keys) == [(0,)]


@pytest.mark.parametrize(
    ("collation", "first", "then"),
    [
        ("utf8mb4_general_ci", "abc", "ABC"),
        ("utf8mb4_unicode_ci", "élan", "elan"),
        ("utf8mb4_general_ci", "abc", "abc "),
        ("latin1_swedish_ci", "abc", "aBc"),
        ("utf8mb4_bin", "abc", "abc "),
    ],
)
@pytest.mark.parametrize("on_missing", ["keep", "delete"])
def test_a_key_that_the_table_takes_for_the_same_is_updated_in_place(
    mariadb_database, make_spec, paged, collation, first, then, on_missing
):
    character_set = collation.partition("_")[0]
    mariadb_database.execute(
        f"CREATE TABLE leads (lead_id VARCHAR(20) CHARACTER SET {character_set} COLLATE {collation}, "
        "owner VARCHAR(9) DEFAULT 'Ada', email VARCHAR(20), _cleanlist_list_id VARCHAR(20), "
        "PRIMARY KEY (_cleanlist_list_id, lead_id))"
    )
    spec = {"on_missing": on_missing}
    load(
        mariadb_database.engine, make_spec(load_id="1", **spec), paged([[{"lead_id": first, "email": "old"}]])
    )
    mariadb_database.execute("UPDATE leads SET owner = 'Bo'")
    pages = paged([[{"lead_id": first, "email": "older"}], [{"lead_id": then, "email": "new"}]])
    load(mariadb_database.engine, make_spec(load_id="2", **spec), pages)
    found = mariadb_database.execute("SELECT lead_id, email, owner FROM leads")
    assert [tuple(row) for row in found] == [(then, "new", "Bo")]


def test_keys_that_the_table_tells_apart_are_two(mariadb_database, make_spec, paged):
    for number in "12":
        pages = paged([[{"lead_id": "abc"}, {"lead_id": "ABC"}, {"lead_id": "ábc"}]])
        load(mariadb_database.engine, make_spec(load_id=number), pages)
    assert len(mariadb_database.rows()) == 3


@pytest.mark.parametrize(
    ("kind", "first", "then", "as_type"),
    [
        ("FLOAT", 0.123456789, 0.12345, "float"),
        ("FLOAT(7,3)", 0.12345, 0.125, "float"),
        ("DATE", "2026-01-02T23:30:00Z", "2026-01-03T23:30:00Z", "timestamp"),
        ("TIMESTAMP NULL", "2026-03-29T02:30:00.4Z", "2026-03-29T02:30:01Z", "timestamp"),
        ("UUID", "0B0A5A3E-6F0E-4E0E-9E6A-0A0A0A0A0A0A", "0c0a5a3e-6f0e-4e0e-9e6a-0a0a0a0a0a0a", "text"),
        ("CHAR(9)", "a ", "b", "text"),
        ("CHAR(9) COLLATE utf8mb4_bin", "a ", "A", "text"),
        ("BIT(1)", True, False, "boolean"),
        ("DOUBLE", 0.123456789, 0.12345678, "float"),
        ("VARCHAR(9)", "a", "a ", "text"),
    ],
)
@pytest.mark.parametrize("fixture", ["mariadb_database", "connector_database"])
def test_a_column_that_keeps_less_of_a_value_does_not_count_as_changed(
    request, make_spec, paged, fixture, kind, first, then, as_type
):
    database = request.getfixturevalue(fixture)
    database.execute(f"CREATE TABLE leads (lead_id VARCHAR(9) PRIMARY KEY, own {kind}) CHARSET utf8mb4")
    for run_id, value in (("first", first), ("same", first), ("next", then), ("none", None), ("same", None)):
        spec = make_spec(
            load_id=f"{run_id} {value}",
            run_id=run_id,
            key=("lead_id",),
            column_types={"own": as_type},
            known_fields=(),
        )
        load(database.engine, spec, paged([[lead(1, own=value)]]))
        expected = {"first": "first", "same": "none" if value is None else "first"}.get(run_id, run_id)
        assert database.execute("SELECT _cleanlist_run_id FROM leads") == [(expected,)]


@pytest.fixture
def set_global(mariadb_database):
    """Set a variable of the server until the test ends."""
    before: dict[str, str] = {}

    def set_to(name: str, value: object) -> None:
        before.setdefault(name, mariadb_database.execute(f"SELECT @@GLOBAL.{name}")[0][0])
        with mariadb_database.open().connect() as connection:
            connection.execute(sa.text(f"SET GLOBAL {name} = :value"), {"value": value})
        mariadb_database.engine.dispose()

    yield set_to
    with mariadb_database.open().connect() as connection:
        for name, value in before.items():
            connection.execute(sa.text(f"SET GLOBAL {name} = :value"), {"value": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sql_safe_updates", 1),
        ("max_join_size", 1),
        ("sql_mode", "EMPTY_STRING_IS_NULL"),
        ("sql_mode", "ANSI,NO_BACKSLASH_ESCAPES"),
    ],
)
def test_settings_of_the_server_do_not_matter(mariadb_database, set_global, make_spec, paged, name, value):
    set_global(name, value)
    leads = [lead(number, email="", title="a\\'\"b") for number in range(3)]
    for run_id in ("first", "same"):
        spec = make_spec(load_id=run_id, run_id=run_id, on_missing="delete", known_fields=())
        load(mariadb_database.engine, spec, paged([leads]))
    found = mariadb_database.execute("SELECT DISTINCT email, title, _cleanlist_run_id FROM leads")
    assert found == [("", "a\\'\"b", "first")]


def test_a_timestamp_is_the_moment_whatever_the_time_zone_of_the_server(
    mariadb_database, set_global, make_spec, paged
):
    mariadb_database.execute(
        "CREATE TABLE leads (lead_id VARCHAR(9) PRIMARY KEY, seen TIMESTAMP NULL, noted DATETIME)"
    )
    set_global("time_zone", "+05:30")
    types = {"seen": "timestamp", "noted": "timestamp"}
    moment = "2026-03-29T02:30:00Z"
    for run_id in ("first", "same"):
        spec = make_spec(load_id=run_id, run_id=run_id, key=("lead_id",), column_types=types, known_fields=())
        load(mariadb_database.engine, spec, paged([[lead(1, seen=moment, noted=moment)]]))
    query = "SELECT UNIX_TIMESTAMP(seen), CAST(noted AS CHAR), _cleanlist_run_id FROM leads"
    assert mariadb_database.execute(query) == [(1774751400, "2026-03-29 02:30:00", "first")]


def test_many_long_texts_are_sent_in_portions(connector_database, set_global, make_spec, paged):
    set_global("max_allowed_packet", 1_048_576)
    connector_database.engine.dispose()
    leads = [lead(number, notes="x" * 300_000) for number in range(5)]
    assert load(connector_database.engine, make_spec(known_fields=()), paged([leads])).rows_written == 5
    with pytest.raises(LoadConfigurationError, match=r"1153: .*max_allowed_packet"):
        load(connector_database.engine, make_spec(load_id="2"), paged([[lead(1, notes="x" * 2_000_000)]]))


def test_a_column_that_the_server_computes_is_told_at_once(mariadb_database, make_spec, paged):
    mariadb_database.execute("CREATE TABLE leads (lead_id VARCHAR(9) PRIMARY KEY, low INT AS (1) STORED)")
    with pytest.raises(LoadConfigurationError, match=r"1906: .*'low'"):
        load(
            mariadb_database.engine, make_spec(key=("lead_id",), known_fields=()), paged([[lead(1, low="x")]])
        )


def test_a_planted_view_runs_nothing(mariadb_database, make_spec, paged):
    for statement in (
        "CREATE TABLE loot (n int)",
        "CREATE FUNCTION f() RETURNS int MODIFIES SQL DATA SQL SECURITY INVOKER "
        "BEGIN INSERT INTO loot VALUES (1); RETURN 1; END",
        "CREATE SQL SECURITY INVOKER VIEW _cleanlist_loads AS SELECT f() AS stage",
        "CREATE SQL SECURITY INVOKER VIEW cleanlist_organisations AS SELECT f() AS organisation",
    ):
        mariadb_database.execute(statement)
    with pytest.raises(
        LoadConfigurationError, match=r"use _cleanlist_loads \(no table\) as a table of its own"
    ):
        load(mariadb_database.engine, make_spec(), paged([[lead(1)]]))
    place = mariadb_database.execute("SELECT DATABASE()")[0][0]
    for schema, name in ((None, ""), (place, f"{place}.")):
        with pytest.raises(
            JournalConfigurationError, match=rf"use {name}cleanlist_organisations \(no table\)"
        ):
            LedgerDatabase(mariadb_database.engine, "'ledger'", schema)
        question = queries.Question(queries.Scope(), 7)
        found = queries.ask(mariadb_database.engine, schema, question, "", datetime.now(UTC))
        assert found is queries.LedgerProblem.UNREADABLE
    with (
        pytest.raises(sa.exc.DBAPIError, match="READ ONLY"),
        queries._reading(mariadb_database.engine) as connection,
    ):
        connection.exec_driver_sql("SELECT f()")
    assert mariadb_database.execute("SELECT n FROM loot") == []
