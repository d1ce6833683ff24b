"""Keys that columns of the user's keep in another form: the databases themselves say which of them are the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_cleanlist.warehouse import publish
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError
from airflow_provider_cleanlist.warehouse.loader import load

from .conftest import Database, duckdb, mariadb, psycopg, through_hook

pytestmark = pytest.mark.integration


def sqlite(request: pytest.FixtureRequest) -> Iterator[Database]:
    path = request.getfixturevalue("tmp_path") / "warehouse.db"
    database = Database(
        through_hook(request.getfixturevalue("monkeypatch"), conn_type="sqlite", host=str(path))
    )
    yield database
    database.close()


PHONES = ["+4930123", "4930123", "04930124", "4930124"]
NUMBERS = ["007", "7", "7.0", "12"]
LONG = ["900719925474099301", "900719925474099302", "900719925474099303"]
DECIMALS = ["0.1", "0.10", "0.25", "100"]
SPACES = ["ann@x.com", "ann@x.com ", "ann@x.com  ", " nn@x.com"]
CASES = ["ann@x.com", "Ann@x.com", "bob@x.com"]
IDS = ["0B0A5A3E-6F0E-4E0E-9E6A-0A0A0A0A0A0A", "0b0a5a3e-6f0e-4e0e-9e6a-0a0a0a0a0a0a"]

KINDS = [
    (psycopg, "CHAR(20)", SPACES),
    (psycopg, "VARCHAR(9)", SPACES),
    (psycopg, "VARCHAR", SPACES),
    (psycopg, "BPCHAR", SPACES),
    (psycopg, "NAME", [*SPACES, "x" * 63, "x" * 64]),
    (psycopg, "UUID", IDS),
    (psycopg, "mail", SPACES),
    (psycopg, 'VARCHAR(9) COLLATE "C"', SPACES),
    (sqlite, "TEXT COLLATE NOCASE", CASES),
    (sqlite, "VARCHAR(9) COLLATE nocase", CASES),
    (sqlite, "NUMERIC", [*PHONES, *DECIMALS, "12345678901234567891", "12345678901234567892", "abc", "7x"]),
    (sqlite, "INTEGER", [*NUMBERS, *LONG]),
    (sqlite, "REAL", [*NUMBERS, *DECIMALS, "9007199254740993", "9007199254740992"]),
    (sqlite, "", [*NUMBERS, *CASES]),
    (duckdb, "INTEGER", ["007", "7", "12"]),
    (duckdb, "DOUBLE", DECIMALS),
    (duckdb, "DECIMAL(9,2)", DECIMALS),
    (duckdb, "UUID", IDS),
    (duckdb, "ENUM('ann', 'Ann')", ["ann", "Ann"]),
    (duckdb, "VARCHAR(9)", SPACES),
    (mariadb, "INT", NUMBERS),
    (mariadb, "INT ZEROFILL", NUMBERS),
    (mariadb, "BIGINT", LONG),
    (mariadb, "BIGINT UNSIGNED", ["18446744073709551615", "18446744073709551614", *LONG]),
    (mariadb, "TINYINT", ["7.4", "7", "7.5", "8", "-7.5"]),
    (mariadb, "DOUBLE", DECIMALS),
    (mariadb, "DOUBLE(9,1)", [*DECIMALS, "0.26"]),
    (mariadb, "FLOAT(9,0)", ["1", "1.2", "2"]),
    (mariadb, "DECIMAL(9,1) ZEROFILL", [*DECIMALS, "0.26"]),
    (mariadb, "VARCHAR(9) COLLATE utf8mb4_general_ci", [*SPACES, *CASES]),
    (mariadb, "VARCHAR(9) COLLATE utf8mb4_general_nopad_ci", [*SPACES, *CASES]),
    (mariadb, "VARCHAR(9) COLLATE utf8mb4_nopad_bin", [*SPACES, *CASES]),
    (mariadb, "CHAR(12)", [*SPACES, *CASES]),
    (mariadb, "VARBINARY(12)", CASES),
]
UNKNOWN = [
    (psycopg, "mail_of_mail"),
    (sqlite, "ANY"),
    (sqlite, "TEXT COLLATE RTRIM"),
    (duckdb, "VARCHAR COLLATE NOCASE"),
    (mariadb, "ENUM('Ann', 'Bob')"),
    (mariadb, "SET('Ann', 'Bob')"),
    (mariadb, "YEAR"),
    (mariadb, "BINARY(9)"),
]
KEY = ("crm_key",)


def of(*cases: tuple) -> list:
    """Return the parameters of tests, with the marks of their databases."""
    return [
        pytest.param(
            *case,
            id=f"{case[0].__name__} {case[1]}",
            marks=[pytest.mark.warehouse] * (case[0] in (duckdb, mariadb)),
        )
        for case in cases
    ]


@pytest.fixture
def make_table(request):
    """Return a database with an empty table ``leads``, whose column ``crm_key`` has a type."""
    opened = []

    def make(open_database, kind: str) -> Database:
        opened.append(open_database(request))
        database = next(opened[-1])
        if "mail" in kind:
            database.execute("CREATE DOMAIN mail AS VARCHAR(9)", "CREATE DOMAIN mail_of_mail AS mail")
        charset = " CHARSET utf8mb4" if database.dialect == "mysql" else ""
        text = "VARCHAR(99)"
        database.execute(
            f"CREATE TABLE leads (crm_key {kind}, lead_id {text}, email {text}, _cleanlist_list_id {text}){charset}"
        )
        return database

    yield make
    for each in opened:
        next(each, None)


@pytest.fixture
def load_keys(make_spec, paged):
    def run(database: Database, keys: list[str], run_id: str, **arguments):
        leads = [
            {"lead_id": str(number), "crm_key": key, "email": f"{key} of {run_id[:1]}"}
            for number, key in enumerate(keys)
        ]
        columns = {"lead_id": None, "crm_key": None, "email": None}
        spec = make_spec(load_id=run_id, run_id=run_id, key=KEY, columns=columns, **arguments)
        return load(database.engine, spec, paged([leads]))

    return run


def keys_apart(database: Database, keys: list[str]) -> int:
    """Return how many of the keys the database tells apart once they are in a column of the key's type."""
    literals = ", ".join(f"('{key}')" for key in keys)
    database.execute(f"INSERT INTO leads (crm_key) VALUES {literals}")
    apart = database.execute("SELECT count(DISTINCT crm_key) FROM leads")[0][0]
    database.execute("DELETE FROM leads")
    return apart


@pytest.mark.parametrize(("open_database", "kind", "keys"), of(*KINDS))
def test_each_key_that_the_column_tells_apart_is_one_row(
    make_table, load_keys, monkeypatch, open_database, kind, keys
):
    database = make_table(open_database, kind)
    keys = list(dict.fromkeys(keys))
    apart = keys_apart(database, keys)
    told: list[str] = []
    monkeypatch.setattr(publish.log, "warning", lambda text, *values: told.append(text % values))
    for run_id in ("a first", "a second"):
        assert load_keys(database, keys, run_id).rows_written == apart
        rows = database.rows()
        assert len(rows) == apart
        if "ZEROFILL" not in kind:  # its text, which is compared, has more digits
            assert {row["_cleanlist_run_id"] for row in rows} == {"a first"}
    # staging tables of MariaDB take no notice of spaces at the end
    staged = len({key.rstrip() for key in keys} if open_database is mariadb else keys)
    folded = f"{staged - apart} of {staged} records have a key that leads takes for the same"
    assert [text.startswith(folded) for text in told] == [True] * 2 * (apart < staged)
    assert {row["email"] for row in rows} <= {f"{key} of a" for key in keys}
    for number, key in enumerate(keys):  # each alone finds its row, and no other
        load_keys(database, [key], f"{number} alone")
        rows = database.rows()
        assert len(rows) == apart
        assert [row["email"] for row in rows if row["_cleanlist_run_id"] == f"{number} alone"] == [
            f"{key} of {str(number)[0]}"
        ]
    assert load_keys(database, keys[:1], "b", on_missing="delete").rows_removed == apart - 1
    assert [row["email"] for row in database.rows()] == [f"{keys[0]} of b"]


@pytest.mark.parametrize(("open_database", "kind"), of(*UNKNOWN))
def test_a_key_of_which_nobody_knows_what_becomes_is_refused_before_anything_is_read(
    make_table, make_spec, paged, open_database, kind
):
    database = make_table(open_database, kind)
    pages = paged([[{"lead_id": "1", "crm_key": "Ann"}]])
    with pytest.raises(LoadConfigurationError, match="type or collation of crm_key in leads makes of a key"):
        load(database.engine, make_spec(key=KEY, known_fields=()), pages)
    assert pages.reads == []
    arguments = {"mode": "append", "key": KEY, "known_fields": ()}
    if kind in ("ANY", "mail_of_mail", "VARCHAR COLLATE NOCASE"):  # no keys are compared
        load(database.engine, make_spec(**arguments), pages)
        assert len(database.rows()) == 1


@pytest.mark.parametrize("kind", ["VARCHAR(9)", "CHAR(9)", "mail"])
@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_a_key_that_is_too_long_is_told_and_not_taken_for_its_beginning(make_table, load_keys, kind, mode):
    database = make_table(psycopg, kind)
    load_keys(database, ["ann@x.com"], "first")
    for number, keys in enumerate((["ann@x.com1", "ann@x.com"], ["ann@x.com", "ann@x.com1"])):
        with pytest.raises(LoadDataError, match=r"Too short for what is staged: crm_key \(9 characters"):
            load_keys(database, keys, str(number), mode=mode)
    assert [row["email"] for row in database.rows()] == ["ann@x.com of f"]


@pytest.mark.parametrize(
    ("open_database", "kind"),
    of((sqlite, "TEXT"), (duckdb, "VARCHAR"), (mariadb, "VARCHAR(9)"), (mariadb, "TEXT")),
)
def test_a_number_is_not_taken_for_another_text_of_its_value(make_table, load_keys, open_database, kind):
    database = make_table(open_database, kind)
    database.execute("INSERT INTO leads (crm_key, email) VALUES ('007', 'Bond')")
    for run_id in ("a first", "a second"):
        load_keys(database, ["7"], run_id, column_types={"crm_key": "integer"})
    assert sorted((row["crm_key"], row["email"]) for row in database.rows()) == [
        ("007", "Bond"),
        ("7", "7 of a"),
    ]


def test_a_column_whose_collation_has_equal_texts_is_compared_by_it(make_table, load_keys):
    database = make_table(psycopg, "TEXT")
    database.execute(
        'CREATE COLLATION "Odd one" FROM "C"',
        'ALTER TABLE leads ALTER crm_key TYPE VARCHAR(9) COLLATE "Odd one"',
        # without ICU there is none; the server needs no more to ask for a collation in each comparison
        "UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'Odd one'",
    )
    for run_id in ("a first", "a second"):
        load_keys(database, SPACES, run_id)
    assert {row["_cleanlist_run_id"] for row in database.rows()} == {"a first"}
    assert len(database.rows()) == 2


@pytest.mark.parametrize(
    ("open_database", "kind"), of((sqlite, "INTEGER"), (duckdb, "INTEGER"), (mariadb, "INTEGER"))
)
def test_a_column_in_other_letters_is_the_same_column(make_table, load_keys, open_database, kind):
    database = make_table(open_database, kind)
    database.execute(
        "DROP TABLE leads", f"CREATE TABLE leads (CRM_Key {kind}, lead_id VARCHAR(9), email VARCHAR(9))"
    )
    for run_id in ("first", "second"):
        assert load_keys(database, ["007", "7"], run_id).rows_written == 1
    assert len(database.rows()) == 1


def test_collations_are_found_without_a_trace(make_table, load_keys):
    database = make_table(sqlite, "TEXT COLLATE NOCASE")
    database.execute("CREATE INDEX odd ON leads (crm_key COLLATE BINARY)")
    before = database.execute("SELECT name FROM sqlite_master ORDER BY 1")
    load_keys(database, CASES, "first")
    assert {name for (name,) in database.execute("SELECT name FROM sqlite_master")} - {
        name for (name,) in before
    } <= {"_cleanlist_loads", "sqlite_autoindex__cleanlist_loads_1"}
