"""What a load says when the database refuses: which columns are too short, and which privileges it needs."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError
from airflow_provider_cleanlist.warehouse.loader import load

pytestmark = pytest.mark.integration

LEAD = {"lead_id": "1", "email": "secret@x.example", "title": "äöüß€"}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("email VARCHAR(5), title VARCHAR(5)", ["email (5 characters; the longest value has 16)"]),
        (
            "email VARCHAR(15), title CHAR(4), _cleanlist_run_id VARCHAR(3)",
            [
                "email (15 characters; the longest value has 16), title (4 characters; the longest value has 5), ",
                "_cleanlist_run_id (3 characters; the longest value has 7)",
            ],
        ),
        ("email VARCHAR(16), title CHAR(5)", []),
    ],
)
def test_columns_that_are_too_short_are_named(database, make_spec, paged, columns, told):
    if database.dialect not in ("postgresql", "mysql"):
        pytest.skip("it takes texts of any length")
    database.execute(f"CREATE TABLE leads (lead_id VARCHAR(20), {columns})")
    if not told:
        assert load(database.engine, make_spec(), paged([[LEAD]])).rows_written == 1
        return
    with pytest.raises(LoadDataError) as caught:
        load(database.engine, make_spec(), paged([[LEAD]]))
    message = str(caught.value)
    assert f"Too short for what is staged: {''.join(told)}. Widen the columns" in message
    assert "secret" not in message
    assert database.execute("SELECT count(*) FROM leads") == [(0,)]


WIDE = {"lead_id": "1", "email": "secret@x.example", "visits": 70_000, "score": 1234.5, "tier": 3}
TYPES = {"visits": "integer", "score": "float", "tier": "integer"}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("visits SMALLINT", "visits (smallint)"),
        ("visits INTEGER, score NUMERIC(5,2)", "score (numeric(5,2))"),
        ("visits SMALLINT, score NUMERIC(5,2), tier SMALLINT", "score (numeric(5,2)), visits (smallint)"),
        ("visits small_count", "visits (small_count)"),
        ("visits INTEGER, score NUMERIC(6,2), tier SMALLINT", None),
    ],
)
def test_columns_that_are_too_narrow_for_a_number_are_named_on_postgresql(
    open_postgres, make_spec, paged, columns, told
):
    engine = open_postgres("psycopg")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE DOMAIN small_count AS BIGINT CHECK (value < 1000)")
        connection.exec_driver_sql(f"CREATE TABLE leads (lead_id VARCHAR(20), {columns})")
    spec = make_spec(column_types=TYPES)
    if told is None:
        assert load(engine, spec, paged([[WIDE]])).rows_written == 1
        return
    with pytest.raises(LoadDataError) as caught:
        load(engine, spec, paged([[WIDE]]))
    message = str(caught.value)
    assert f"Out of range for what is staged: {told}. Widen the columns" in message
    assert not any(secret in message for secret in ("70000", "1234", "secret"))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("tier INTEGER CHECK (tier > 5)", "It demands CHECK ((tier > 5))."),
        (
            "tier INTEGER, CONSTRAINT ranked CHECK (tier > 5 OR tier < 0)",
            "It demands CHECK (((tier > 5) OR (tier < 0))).",
        ),
        ("tier INTEGER, due DATE NOT NULL", 'null value in column "due"'),
        ("tier INTEGER CHECK (tier > 2)", None),
    ],
)
def test_a_condition_of_the_table_is_named_on_postgresql(open_postgres, make_spec, paged, columns, told):
    engine = open_postgres("psycopg")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE leads (lead_id VARCHAR(20), {columns})")
    spec = make_spec(column_types=TYPES)
    if told is None:
        assert load(engine, spec, paged([[WIDE]])).rows_written == 1
        return
    with pytest.raises(LoadDataError) as caught:
        load(engine, spec, paged([[WIDE]]))
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("types", "columns", "told"),
    [
        ("", "title UUID", "title (uuid)"),
        ("CREATE TYPE size AS ENUM ('s', 'm')", "title size, email TEXT", "title (size)"),
        ("CREATE DOMAIN mail AS TEXT CHECK (value LIKE '%%.org')", "email mail, title TEXT", "email (mail)"),
        ("CREATE TYPE size AS ENUM ('äöüß€', 'm')", "title size, tags DATE", None),
    ],
)
def test_columns_whose_type_refuses_a_text_are_named_on_postgresql(
    open_postgres, make_spec, paged, types, columns, told
):
    engine = open_postgres("psycopg")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"{types}; CREATE TABLE leads (lead_id VARCHAR(20), {columns})")
    if told is None:
        assert load(engine, make_spec(), paged([[LEAD]])).rows_written == 1
        return
    with pytest.raises(LoadDataError) as caught:
        load(engine, make_spec(), paged([[LEAD]]))
    assert f"Values that the type refuses are staged for: {told}. Change the columns" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("secret", "äöüß€"))


TWINS = [{"lead_id": str(number), "email": "secret@x.example", "title": "twin"} for number in (1, 2)]
LONG = "".join(
    hashlib.sha256(bytes([number])).hexdigest() for number in range(120)
)  # 7,680 of few repetitions


@pytest.mark.parametrize(
    ("table", "leads", "told"),
    [
        ("email TEXT UNIQUE", TWINS, "It demands UNIQUE (email). Two rows would have the same value there"),
        (
            "email TEXT; CREATE UNIQUE INDEX one ON leads (lower(email))",
            TWINS,
            "It demands UNIQUE (lower(email)).",
        ),
        ("email TEXT, EXCLUDE (email WITH =)", TWINS, "It demands EXCLUDE USING btree (email WITH =)."),
        (
            "PRIMARY KEY (lead_id)",
            TWINS,
            "It demands UNIQUE (lead_id). Two rows would have the same value there",
        ),
        ("email TEXT UNIQUE DEFERRABLE INITIALLY DEFERRED", TWINS, "It demands UNIQUE (email)."),
        ("title TEXT UNIQUE", [{"lead_id": "1", "title": LONG}], "54000: index row"),
        ("email TEXT; $REFUSE", TWINS, "A trigger or function raised it; its own words are left out"),
        ("email TEXT, UNIQUE (email, lead_id)", TWINS, None),
    ],
)
def test_what_the_table_refuses_in_every_attempt_is_not_retried(
    open_postgres, make_spec, paged, table, leads, told
):
    engine = open_postgres("psycopg")
    columns, _, statements = table.partition(";")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE leads (lead_id VARCHAR(20), {columns})")
        connection.exec_driver_sql(statements.replace("$REFUSE", REFUSE) or "SELECT 1")
        if columns.startswith("PRIMARY"):
            connection.exec_driver_sql("ALTER TABLE leads ADD COLUMN _cleanlist_list_id TEXT")
            connection.exec_driver_sql("INSERT INTO leads VALUES ('1', 'other list')")
    if told is None:
        assert load(engine, make_spec(), paged([leads])).rows_written == 2
        return
    with pytest.raises(LoadDataError) as caught:
        load(engine, make_spec(), paged([leads]))
    assert told in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("secret", "twin", LONG[:9]))


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not %%', NEW.email; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("RAISE EXCEPTION USING errcode = '42501', message = 'denied for ' || NEW.email", "42501"),
        ("EXECUTE format('INSERT INTO %%I SELECT 1', NEW.email)", "42P01"),
        ("RAISE EXCEPTION USING errcode = '40001', message = NEW.email, constraint = NEW.email", "40001"),
        ("PERFORM to_tsquery(NEW.email || ' x')", "42601"),
    ],
)
def test_what_a_trigger_says_is_left_out_whatever_its_code(
    open_postgres, make_spec, paged, driver, body, state
):
    engine = open_postgres(driver)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE leads (lead_id TEXT, email TEXT)")
        connection.exec_driver_sql(REFUSE.replace("RAISE EXCEPTION 'not %%', NEW.email", body))
    with pytest.raises(LoadError, match=rf" {state}\. .*The database's own words are left out") as caught:
        load(engine, make_spec(), paged([[{"lead_id": "1", "email": "Featherstone"}]]))
    assert "eatherstone" not in str(caught.value)


def test_what_sqlite_says_of_a_value_is_left_out(tmp_path, make_spec, paged):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'warehouse.db'}", hide_parameters=True)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE leads (lead_id TEXT, email TEXT CHECK (json_extract('{}', email) IS NULL))"
        )
    with pytest.raises(LoadError, match=r"OperationalError.*own words are left out") as caught:
        load(engine, make_spec(), paged([[LEAD]]))
    assert "secret" not in str(caught.value)
    engine.dispose()


def test_a_database_that_is_read_only_is_not_tried_again(open_postgres, make_spec, paged):
    engine = open_postgres("psycopg", connect_args={"options": "-c default_transaction_read_only=on"})
    with pytest.raises(
        LoadConfigurationError, match="25006: cannot execute CREATE TABLE in a read-only transaction"
    ):
        load(engine, make_spec(), paged([TWINS]))


def test_a_unique_column_is_named_on_sqlite(tmp_path, make_spec, paged):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'warehouse.db'}", hide_parameters=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE leads (lead_id TEXT, email TEXT UNIQUE)")
    with pytest.raises(
        LoadDataError, match=r"UNIQUE constraint failed: leads\.email.* Two rows would have"
    ) as caught:
        load(engine, make_spec(), paged([TWINS]))
    assert "secret" not in str(caught.value)
    engine.dispose()


@pytest.mark.warehouse
def test_a_unique_column_is_named_on_mariadb(mariadb_database, make_spec, paged):
    mariadb_database.execute(
        "CREATE TABLE leads (lead_id VARCHAR(50), email VARCHAR(50), CONSTRAINT one UNIQUE (email))",
        "CREATE TABLE refusing (lead_id VARCHAR(50))",
        "CREATE TRIGGER refuse BEFORE INSERT ON refusing FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
    )
    with pytest.raises(LoadDataError, match=r"for the key 'one'\..* It demands UNIQUE \(email\)\.") as caught:
        load(mariadb_database.engine, make_spec(), paged([TWINS]))
    assert "secret" not in str(caught.value)
    with pytest.raises(LoadDataError, match="A trigger or function raised it"):
        load(mariadb_database.engine, make_spec(table="refusing"), paged([TWINS]))


@pytest.mark.warehouse
@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("visits SMALLINT", "Out of range value for column 'visits'"),
        ("score DECIMAL(5,2)", "Out of range value for column 'score'"),
        ("email INT", "a value does not fit the column 'email'"),
        ("email DATETIME", "a value does not fit the column 'email'"),
        ("email ENUM('a', 'b')", "a value does not fit the column 'email'"),
        ("email VARCHAR(9)", "Data too long for column 'email'"),
        ("due DATE NOT NULL", "'due' doesn't have a default value"),
        ("tier INTEGER, CONSTRAINT ranked CHECK (tier > 5)", "It demands CHECK `tier` > 5."),
        ("tier INTEGER CHECK (tier > 5)", "tier"),
    ],
)
def test_the_column_is_named_on_mariadb(mariadb_database, make_spec, paged, columns, told):
    mariadb_database.execute(f"CREATE TABLE leads (lead_id VARCHAR(20), {columns})")
    with pytest.raises(LoadDataError) as caught:
        load(mariadb_database.engine, make_spec(column_types=TYPES), paged([[WIDE]]))
    assert told in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("70000", "1234", "secret"))


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ({}, "SELECT, INSERT, UPDATE"),
        ({"on_missing": "delete"}, "SELECT, INSERT, UPDATE, DELETE"),
        ({"on_missing": "soft_delete"}, "SELECT, INSERT, UPDATE"),
        ({"mode": "replace"}, "SELECT, INSERT, DELETE"),
        ({"mode": "append"}, "SELECT, INSERT, DELETE"),
        ({"mode": "snapshot"}, "SELECT, INSERT, DELETE"),
    ],
)
def test_the_privileges_that_a_message_asks_for_are_enough(
    open_postgres, make_spec, paged, arguments, changes
):
    owner, role = open_postgres("psycopg"), f"loader_{abs(hash((*arguments.items(), changes)))}"

    def run(*statements: str) -> None:
        with owner.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    run("CREATE SCHEMA staging")
    arguments = {**arguments, "snapshot_date": date(2026, 1, 2), "staging_schema": "staging"}
    load(owner, make_spec(load_id="earlier", **arguments), paged([[{"lead_id": "1"}, {"lead_id": "2"}]]))
    run(f"CREATE ROLE {role}", f"GRANT USAGE, CREATE ON SCHEMA staging TO {role}")
    engine = open_postgres("psycopg")
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute(f"SET ROLE {role}") and None)
    sa.event.listen(engine, "connect", lambda connection, _: connection.commit())
    needed = (
        rf"This load needs {changes} on leads \(.*SELECT, INSERT, UPDATE, DELETE on staging._cleanlist_loads"
    )
    for table, grants in (("leads", changes), ("staging._cleanlist_loads", "SELECT, INSERT, UPDATE, DELETE")):
        pages = paged([[{"lead_id": "1", "email": "x"}]])
        with pytest.raises(LoadConfigurationError, match=f"permission denied for table .*{needed}"):
            load(engine, make_spec(**arguments), pages)
        assert pages.reads == []
        run(f"GRANT {grants} ON {table} TO {role}")
    assert load(engine, make_spec(**arguments), pages).rows_written == 1
    run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.warehouse
def test_a_denial_of_another_kind_names_them_too(mariadb_database, make_spec, paged):
    load(mariadb_database.engine, make_spec(load_id="earlier"), paged([[{"lead_id": "1"}]]))
    mariadb_database.execute(
        "CREATE OR REPLACE USER writer@'127.0.0.1'",
        "GRANT SELECT, INSERT, UPDATE ON leads TO writer@'127.0.0.1'",
    )
    engine = sa.create_engine(mariadb_database.engine.url.set(username="writer"), hide_parameters=True)
    with pytest.raises(
        LoadConfigurationError, match="DELETE on _cleanlist_loads, and CREATE in the schema of"
    ):
        load(engine, make_spec(), paged([[{"lead_id": "1"}]]))
    engine.dispose()
