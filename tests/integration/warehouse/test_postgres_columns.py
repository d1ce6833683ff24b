"""Columns of PostgreSQL's own types, tables that are published, and databases of other encodings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.connect import open_engine
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = pytest.mark.integration

ID = "0B0A5A3E-6F0E-4E0E-9E6A-0A0A0A0A0A0A"


@pytest.fixture
def engine(open_postgres) -> sa.engine.Engine:
    return open_postgres("psycopg")


@pytest.fixture
def load_leads(engine, make_spec, paged):
    calls = iter(range(1000))

    def run(*leads, **arguments):
        arguments = {"load_id": f"load {next(calls)}", "known_fields": (), "key": ("lead_id",), **arguments}
        return load(engine, make_spec(**arguments), paged([leads]))

    return run


OWN_TYPES = {
    "uuid": (ID, ID.lower().replace("0b", "0c")),
    "status": ("valid", "risky"),
    "checked_status": ("valid", "risky"),
    "inet": ("10.0.0.1", "10.0.0.2"),
    "macaddr": ("08:00:2B:01:02:03", "08:00:2b:01:02:04"),
    "time": ("9:30", "9:30:01"),
    "interval": ("90 minutes", "2 hours"),
}


@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_a_text_becomes_a_value_of_the_columns_own_type(execute, load_leads, mode):
    execute("CREATE TYPE status AS ENUM ('valid', 'risky')")
    execute("CREATE DOMAIN checked_status AS status CHECK (value IS NOT NULL)")
    columns = ", ".join(f"own_{kind} {kind}" for kind in OWN_TYPES)
    execute(f"CREATE TABLE leads (lead_id TEXT PRIMARY KEY, {columns})")
    lead = {"lead_id": "1"} | {f"own_{kind}": first for kind, (first, _) in OWN_TYPES.items()}
    for run_id in ("first", "same"):
        load_leads(lead, {"lead_id": "2", "own_checked_status": "risky"}, run_id=run_id, mode=mode)
    written = {"merge": "first", "replace": "same"}[mode]
    assert execute("SELECT DISTINCT _cleanlist_run_id FROM leads") == [(written,)]
    for kind, (_, then) in OWN_TYPES.items():
        lead |= {f"own_{kind}": then}
        load_leads(lead, run_id=kind, mode=mode)
        expected = f"CAST(CAST('{then}' AS {kind}) AS text)"
        changed = execute(
            f"SELECT CAST(own_{kind} AS text) = {expected}, _cleanlist_run_id FROM leads WHERE lead_id = '1'"
        )
        assert changed == [(True, kind)]


@pytest.mark.parametrize("on_missing", ["keep", "delete"])
def test_a_key_may_be_of_such_a_type(execute, load_leads, on_missing):
    execute("CREATE TABLE leads (lead_id UUID PRIMARY KEY, email TEXT)")
    load_leads({"lead_id": ID, "email": "a"}, run_id="first")
    load_leads({"lead_id": ID.lower(), "email": "a"}, run_id="same", on_missing=on_missing)
    assert execute("SELECT _cleanlist_run_id FROM leads") == [("first",)]
    load_leads({"lead_id": ID}, {"lead_id": ID.lower(), "email": "b"}, run_id="next", on_missing=on_missing)
    assert execute("SELECT email, _cleanlist_run_id FROM leads") == [("b", "next")]


def test_a_value_that_the_type_lacks_is_not_quoted(execute, load_leads):
    execute(
        "CREATE TYPE status AS ENUM ('valid', 'risky')",
    )
    execute("CREATE TABLE leads (lead_id TEXT PRIMARY KEY, own status)")
    with pytest.raises(LoadDataError) as caught:
        load_leads({"lead_id": "1", "own": "SECRET"})
    assert "SECRET" not in str(caught.value)
    assert execute("SELECT * FROM leads") == []


@pytest.mark.parametrize("kind", ["BIGINT", "TEXT[]", "BYTEA"])
def test_other_types_are_asked_for_in_column_types(execute, load_leads, kind):
    execute(f"CREATE TABLE leads (lead_id TEXT PRIMARY KEY, own {kind})")
    with pytest.raises(LoadConfigurationError, match="name them in column_types, or change the table"):
        load_leads({"lead_id": "1", "own": "7"})


@pytest.mark.parametrize("kind", ["TIMESTAMP", "DATE", "TIMESTAMPTZ", "INTEGER"])
def test_a_column_that_keeps_less_of_a_value_does_not_count_as_changed(execute, load_leads, kind):
    execute(f"CREATE TABLE leads (lead_id TEXT PRIMARY KEY, own {kind})")
    types = {"own": "float" if kind == "INTEGER" else "timestamp"}
    first, then = (
        (2.4, 3.4) if kind == "INTEGER" else ("2026-01-02T23:30:00+05:30", "2026-01-03T23:30:00+05:30")
    )
    for run_id in ("first", "same"):
        load_leads({"lead_id": "1", "own": first}, run_id=run_id, column_types=types)
    assert execute("SELECT _cleanlist_run_id FROM leads") == [("first",)]
    load_leads({"lead_id": "1", "own": then}, run_id="next", column_types=types)
    assert execute("SELECT _cleanlist_run_id FROM leads") == [("next",)]


def test_a_domain_keeps_as_much_as_the_type_below_it(execute, load_leads):
    execute("CREATE DOMAIN price AS NUMERIC(10, 2)")
    execute("CREATE DOMAIN code AS VARCHAR(4)")
    execute("CREATE TABLE leads (lead_id TEXT PRIMARY KEY, own price, short code)")
    for run_id in ("first", "same"):
        load_leads(
            {"lead_id": "1", "own": 12.3456, "short": "abcd"}, run_id=run_id, column_types={"own": "float"}
        )
    assert execute("SELECT own, _cleanlist_run_id FROM leads") == [(Decimal("12.35"), "first")]
    with pytest.raises(LoadDataError, match=r"short \(4 characters; the longest value has 5\)"):
        load_leads({"lead_id": "1", "own": 12.3456, "short": "abcde"}, column_types={"own": "float"})


@pytest.mark.parametrize("mode", ["replace", "append", "snapshot"])
def test_tables_that_are_published_can_be_loaded_again(execute, load_leads, mode):
    """A publication refuses changes in tables without a replica identity, which a primary key is."""
    execute("CREATE PUBLICATION everything FOR ALL TABLES")
    for load_id in ("1", "1", "2"):
        load_leads({"lead_id": "1"}, mode=mode, load_id=load_id, snapshot_date=date(2026, 1, 2))
    assert execute("SELECT relreplident FROM pg_class WHERE relname = 'leads'") in ([("f",)], [(b"f",)])


@pytest.mark.parametrize(
    ("mode", "statement"),
    [
        ("merge", "CREATE PUBLICATION p FOR ALL TABLES"),
        ("replace", None),
        ("replace", "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert')"),
    ],
)
def test_other_tables_keep_the_usual_identity(execute, load_leads, mode, statement):
    if statement:
        execute(statement)
    for _ in range(2):
        load_leads({"lead_id": "1"}, mode=mode)
    assert execute("SELECT relreplident FROM pg_class WHERE relname = 'leads'") in ([("d",)], [(b"d",)])


@pytest.fixture
def encoded_database(postgres_server: sa.engine.URL, encoding: str) -> Iterator[sa.engine.URL]:
    administration = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    name = f"encoded_{encoding.lower()}"
    with administration.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
        yield postgres_server.set(database=name)
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    administration.dispose()


@pytest.mark.parametrize(
    ("encoding", "driver"),
    [("LATIN1", "psycopg"), ("LATIN1", "psycopg2"), ("SQL_ASCII", "psycopg"), ("UTF8", "psycopg2")],
)
def test_texts_arrive_whole_whatever_the_encoding_of_the_database(
    encoded_database, encoding, driver, make_spec, paged
):
    url = encoded_database.set(drivername=f"postgresql+{driver}")
    module: Any = pytest.importorskip(driver)
    conninfo = f"host={url.query['host']} user={url.username} dbname={url.database}"
    source = SimpleNamespace(
        get_conn=lambda: module.connect(conninfo),
        get_sqlalchemy_engine=lambda options=None: sa.create_engine(url, **(options or {})),
    )
    engine = open_engine(source, "warehouse")
    load(engine, make_spec(known_fields=()), paged([[{"lead_id": "1", "email": "Zoë"}]]))
    with engine.connect() as connection:
        stored = "SELECT encode(convert_to(email, 'UTF8'), 'hex') FROM leads"
        if encoding == "SQL_ASCII":  # which keeps bytes as they come
            stored = "SELECT encode(CAST(email AS bytea), 'hex') FROM leads"
        assert connection.exec_driver_sql(stored).scalar() == "Zoë".encode().hex()
    pages = paged([[{"lead_id": "1", "email": "汉 SECRET"}]])
    if encoding == "LATIN1":
        with pytest.raises(LoadDataError) as caught:
            load(engine, make_spec(load_id="2", known_fields=()), pages)
        assert "SECRET" not in str(caught.value)
    else:
        assert load(engine, make_spec(load_id="2", known_fields=()), pages).rows_written == 1
    engine.dispose()


# The extension, which the test server lacks, in SQL.
CITEXT = (
    "CREATE TYPE citext",
    "CREATE FUNCTION citextin(cstring) RETURNS citext LANGUAGE internal IMMUTABLE STRICT AS 'textin'",
    "CREATE FUNCTION citextout(citext) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout'",
    "CREATE TYPE citext (INPUT = citextin, OUTPUT = citextout, STORAGE = extended, CATEGORY = 'S', COLLATABLE = true)",
    "CREATE CAST (citext AS text) WITHOUT FUNCTION AS IMPLICIT",
    "CREATE CAST (text AS citext) WITHOUT FUNCTION AS ASSIGNMENT",
    "CREATE FUNCTION citext_cmp(citext, citext) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS "
    "'SELECT bttextcmp(lower(CAST($1 AS text)), lower(CAST($2 AS text)))'",
    *(
        f"CREATE FUNCTION citext_{name}(citext, citext) RETURNS bool LANGUAGE sql IMMUTABLE STRICT AS "
        f"'SELECT citext_cmp($1, $2) {sign} 0'"
        for name, sign in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">"))
    ),
    *(
        f"CREATE OPERATOR {sign} (LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_{name})"
        for name, sign in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">"))
    ),
    "CREATE OPERATOR CLASS citext_ops DEFAULT FOR TYPE citext USING btree AS "
    "OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 citext_cmp(citext, citext)",
)


@pytest.mark.parametrize("on_missing", ["keep", "delete"])
def test_keys_of_citext_compare_without_case(execute, load_leads, on_missing):
    for statement in CITEXT:
        execute(statement)
    execute("CREATE TABLE leads (lead_id citext PRIMARY KEY, email citext)")
    leads = [{"lead_id": "Ann", "email": "a@x.example"}, {"lead_id": "ANN", "email": "b@x.example"}]
    for run_id in ("first", "same"):
        load_leads(*leads, {"lead_id": "bob"}, run_id=run_id, on_missing=on_missing)
    found = "SELECT CAST(lead_id AS text), CAST(email AS text), _cleanlist_run_id FROM leads ORDER BY 1"
    assert execute(found) == [("ANN", "b@x.example", "first"), ("bob", None, "first")]
    load_leads(
        {"lead_id": "ann", "email": "B@x.example"}, {"lead_id": "bob"}, run_id="next", on_missing=on_missing
    )
    assert execute(found) == [("ann", "B@x.example", "next"), ("bob", None, "first")]
