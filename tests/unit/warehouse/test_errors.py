"""What the errors of every database mean, and that no value of a statement gets out with them."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.dialects import DATABASES, database_errors
from airflow_provider_cleanlist.warehouse.dialects.base import GENERIC
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError

SECRET = "secret@x.example"
CLUSTER = "Percona-XtraDB-Cluster prohibits use of"


class DriverError(Exception):
    """A driver's error with the attributes that drivers give theirs."""

    def __init__(self, *args, **attributes) -> None:
        super().__init__(*args)
        self.__dict__.update(attributes)


class DataError(DriverError):
    pass


class ProgrammingError(DriverError):
    pass


def with_state(text: str, state: str | None = None, primary: str | None = None) -> DriverError:
    """An error of a driver that knows SQLSTATE, and the message that PostgreSQL gives without its details."""
    by_server = SimpleNamespace(message_primary=primary, sqlstate=state, source_function="aclcheck_error")
    return DriverError(text, sqlstate=state, diag=by_server)


def explain(name: str, error: BaseException, doing: str) -> LoadError:
    return DATABASES.get(name, GENERIC).errors.explain(error, doing)


def is_missing_table(name: str, error: sa.exc.DBAPIError) -> bool:
    return DATABASES.get(name, GENERIC).errors.is_missing_table(error)


def named(name: str, text: str) -> DriverError:
    return type(name, (DriverError,), {})(text)


def google(code: int, reason: str) -> DriverError:
    return DriverError(SimpleNamespace(code=code, errors=[{"reason": reason, "message": SECRET}]))


CASES = [
    ("mysql", DriverError(1146, "Table 'd.leads' doesn't exist"), LoadConfigurationError, "doesn't exist"),
    ("mariadb", DriverError(1142, "INSERT command denied"), LoadConfigurationError, "INSERT command denied"),
    ("mysql", DriverError(1064, f"syntax error near '{SECRET}'"), LoadConfigurationError, "1064."),
    ("mysql", DriverError(1366, f"Incorrect integer value: '{SECRET}'"), LoadDataError, "1366."),
    ("mysql", DriverError(1406, "Data too long for column 'email'"), LoadDataError, "column 'email'"),
    (
        "mysql",
        DriverError(1366, f"Incorrect integer value: '{SECRET}' for column `crm`.`leads`.`visits` at row 1"),
        LoadDataError,
        "DriverError 1366: a value does not fit the column 'visits'.",
    ),
    (
        "mysql",
        DriverError(1292, f"Incorrect datetime value: '{SECRET}\n for column ' for column 'born' at row 12"),
        LoadDataError,
        "DriverError 1292: a value does not fit the column 'born'.",
    ),
    (
        "mysql",
        DriverError(1292, f"Truncated incorrect DOUBLE value: 'x for column `{SECRET}` at row 1'"),
        LoadDataError,
        "1292.",
    ),
    (
        "mysql",
        DriverError(1105, f"{CLUSTER} GET_LOCK with pxc_strict_mode = ENFORCING"),
        LoadConfigurationError,
        "DriverError 1105: Percona-XtraDB-Cluster prohibits use of GET_LOCK with pxc_strict_mode = ENFORCING.",
    ),
    ("mysql", DriverError(1105, f"unknown error near '{SECRET}'"), LoadError, "1105."),
    ("mysql", DriverError(1265, "Data truncated for column 'size' at row 3"), LoadDataError, "column 'size'"),
    ("mysql", DriverError(1062, f"Duplicate entry '{SECRET}'"), LoadError, "1062."),
    ("mysql", DriverError(1213, "Deadlock found"), LoadError, "Deadlock found"),
    ("mysql", DriverError(2013, "Lost connection"), LoadError, "Lost connection"),
    (
        "duckdb",
        named("CatalogException", "Catalog Error: Schema s!\nLINE 1: x"),
        LoadConfigurationError,
        "Schema s!.",
    ),
    ("duckdb", named("ConversionException", SECRET), LoadDataError, "ConversionException."),
    ("duckdb", named("ConstraintException", "NOT NULL constraint failed"), LoadDataError, "."),
    ("duckdb", named("ConstraintException", f"Duplicate key {SECRET}"), LoadError, "."),
    ("duckdb", named("TransactionException", "Conflict"), LoadError, "Conflict"),
    ("snowflake", DriverError("gone", errno=2003), LoadConfigurationError, "2003: gone"),
    ("snowflake", DriverError(SECRET, errno=100038), LoadDataError, "100038."),
    ("snowflake", DriverError(SECRET, errno=390114), LoadError, "390114."),
    ("mssql", DriverError(229, b"The INSERT permission was denied"), LoadConfigurationError, "was denied"),
    ("mssql", DriverError(8114, SECRET.encode()), LoadDataError, "8114."),
    ("mssql", DriverError(1205, b"deadlock victim"), LoadError, "deadlock victim"),
    ("oracle", DriverError(SimpleNamespace(code=12899)), LoadDataError, "12899: namespace"),
    ("oracle", DriverError(SimpleNamespace(code=1)), LoadError, "1."),
    ("trino", DriverError(SECRET, error_name="PERMISSION_DENIED"), LoadConfigurationError, None),
    ("trino", DriverError(SECRET, error_name="INVALID_CAST_ARGUMENT"), LoadDataError, "ARGUMENT."),
    ("trino", DriverError(SECRET, error_name="EXCEEDED_TIME_LIMIT"), LoadError, "LIMIT."),
    ("databricks", DriverError(f"[CAST_INVALID_INPUT] {SECRET}"), LoadDataError, "CAST_INVALID_INPUT."),
    ("databricks", DriverError(f"[DELTA_CONCURRENT_APPEND.X] {SECRET}"), LoadError, "APPEND."),
    ("redshift", DriverError({"C": "42501", "M": SECRET}), LoadConfigurationError, "42501."),
    ("redshift", DriverError({"C": "22001", "M": SECRET}), LoadDataError, "22001."),
    ("redshift", DriverError({"C": "XX000", "M": SECRET}), LoadError, "XX000."),
    ("bigquery", google(400, "invalidQuery"), LoadConfigurationError, "invalidQuery."),
    ("bigquery", google(503, "backendError"), LoadError, "backendError."),
]


@pytest.mark.parametrize(("dialect", "error", "expected", "told"), CASES)
def test_errors_are_told_by_what_heals_them(dialect, error, expected, told):
    explained = explain(dialect, error, "Publishing")
    assert type(explained) is expected
    if told is not None:
        assert told in str(explained)
        assert SECRET not in str(explained)


@pytest.mark.parametrize(
    ("dialect", "orig", "missing"),
    [
        ("mysql", DriverError(1146, "x"), True),
        ("mysql", DriverError(1142, "x"), False),
        ("duckdb", named("CatalogException", "x"), True),
        ("duckdb", named("IOException", "x"), False),
        ("snowflake", DriverError("x", errno=2003), True),
        ("snowflake", DriverError("x", errno=3001), False),
        ("mssql", DriverError(208, b"x"), True),
        ("mssql", DriverError(229, b"x"), False),
        ("oracle", DriverError(SimpleNamespace(code=942)), True),
        ("oracle", DriverError(SimpleNamespace(code=1031)), False),
        ("redshift", DriverError({"C": "42P01"}), True),
        ("redshift", DriverError({"C": "42501"}), False),
        ("trino", DriverError("x", error_name="TABLE_NOT_FOUND"), True),
        ("trino", DriverError("x", error_name="PERMISSION_DENIED"), False),
        ("databricks", DriverError("[TABLE_OR_VIEW_NOT_FOUND] x"), True),
        ("databricks", DriverError("[INSUFFICIENT_PERMISSIONS] x"), False),
        ("bigquery", google(404, "notFound"), True),
        ("bigquery", google(403, "accessDenied"), False),
    ],
)
def test_a_missing_table_is_told_from_other_errors(dialect, orig, missing):
    assert is_missing_table(dialect, sa.exc.ProgrammingError("SELECT", {}, orig)) is missing


@pytest.mark.parametrize("dialect", sorted(DATABASES.keys() - {"sqlite"}))  # whose texts hold no values
def test_errors_without_a_code_may_be_tried_again(dialect):
    for error in (DriverError(), DriverError(SECRET)):
        explained = explain(dialect, error, "Publishing")
        assert type(explained) is LoadError
        assert SECRET not in str(explained)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("42501", LoadConfigurationError),
        ("42804", LoadConfigurationError),
        ("3F000", LoadConfigurationError),
        ("28P01", LoadConfigurationError),
        ("55000", LoadConfigurationError),
        ("22001", LoadDataError),
        ("23502", LoadDataError),
        ("23505", LoadError),
        ("40001", LoadError),
        ("40P01", LoadError),
        ("42P01", LoadError),
        ("57P01", LoadError),
        ("08006", LoadError),
        ("53100", LoadError),
        ("55P03", LoadError),
    ],
)
def test_postgres_errors_are_told_by_what_heals_them(state, expected):
    error = explain(
        "postgresql", with_state(f"DETAIL: {SECRET}", state, "what it says"), "Publishing into leads"
    )
    assert type(error) is expected
    assert state in str(error)
    assert SECRET not in str(error)


def test_texts_about_objects_are_passed_on_and_texts_about_data_are_not():
    about_objects = explain(
        "postgresql", with_state("", "42501", "permission denied for table leads"), "Publishing"
    )
    assert str(about_objects) == (
        "Publishing failed: DriverError 42501: permission denied for table leads. The target's rows are unchanged."
    )
    about_data = explain("postgresql", with_state("", "22P02", f'invalid input: "{SECRET}"'), "Publishing")
    assert SECRET not in str(about_data)
    assert "column_types" in str(about_data)


@pytest.mark.parametrize(
    ("state", "message", "fields", "is_told"),
    [
        ("42P01", 'relation "secret" does not exist', {}, False),
        ("42601", 'syntax error in tsquery: "secret"', {}, False),
        ("42601", 'syntax error in tsquery: ""secret""', {}, False),
        ("42601", 'syntax error in tsquery: "secret" "secret"', {}, False),
        ("42601", 'syntax error in tsquery: "x "id" secret"', {}, False),
        ("42601", 'syntax error in tsquery: \u00bb"id" secret\u00ab', {}, False),
        ("42704", 'type "no" does not exist', {}, False),  # a part of the word nowhere
        ("42501", "secret may not", {"source_function": "exec_stmt_raise", "context": "PL/pgSQL"}, False),
        ("40001", "busy with secret", {"context": "PL/pgSQL function refuse()"}, False),
        ("42704", 'type "secret" does not exist', {"statement_position": "9", "context": "line 3"}, False),
        ("23514", 'row violates "ranked"', {"constraint_name": "ranked", "context": "at RAISE"}, False),
        ("P0001", "no secret", {"statement_position": "9"}, False),
        ("42703", 'column "secret" does not exist', {"statement_position": "9"}, True),
        ("23502", 'null value in column "secret"', {"column_name": "secret"}, True),
        ("40P01", "deadlock detected", {}, True),
        ("3F000", 'schema "nowhere" does not exist', {}, True),
    ],
)
def test_postgres_is_quoted_where_the_server_speaks_of_the_statement_or_a_table(
    state, message, fields, is_told
):
    diagnosis = SimpleNamespace(message_primary=message, sqlstate=state, **fields)
    error = DriverError(message, sqlstate=state, diag=diagnosis)
    explained = str(
        DATABASES["postgresql"].errors.explain(error, "Staging", "CREATE TABLE nowhere.x (id INT)")
    )
    assert (message in explained) == is_told
    assert ("own words are left out, because" in explained) != is_told


def test_errors_of_unknown_drivers_pass_on_no_text():
    for error, expected in [
        (DataError(SECRET), LoadDataError),
        (ProgrammingError(SECRET), LoadConfigurationError),
        (with_state(SECRET), LoadError),
    ]:
        explained = explain("somesql", error, "Publishing")
        assert type(explained) is expected
        assert str(explained).startswith(f"Publishing failed: {type(error).__name__}. ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attempt to write a readonly database", LoadConfigurationError),
        ("unknown database s", LoadConfigurationError),
        ("NOT NULL constraint failed: leads.owner", LoadDataError),
        ("datatype mismatch", LoadDataError),
        ("UNIQUE constraint failed: leads.lead_id", LoadError),
        ("database is locked", LoadError),
        ("database or disk is full", LoadError),
    ],
)
def test_sqlite_errors_are_told_by_their_text(text, expected):
    assert type(explain("sqlite", sqlite3.OperationalError(text), "Staging")) is expected


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (
            ["CREATE TABLE t AS SELECT CAST(x'6a' || x'fc' AS TEXT) AS name", "SELECT name FROM t"],
            LoadDataError,
        ),
        (
            [
                "CREATE TABLE t (name TEXT)",
                f"CREATE TRIGGER no BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, '{SECRET} is known'); END",
                "INSERT INTO t VALUES ('x')",
            ],
            LoadDataError,
        ),
    ],
)
def test_texts_of_sqlite_that_can_quote_values_are_left_out(engine, statements, expected):
    *setup, last = statements
    with engine.begin() as connection:
        for statement in setup:
            connection.exec_driver_sql(statement)
    with pytest.raises(LoadError) as caught, database_errors(engine, "Trying"), engine.begin() as connection:
        list(connection.exec_driver_sql(last))
    assert type(caught.value) is expected
    by_trigger = " A trigger or function raised it; its own words are left out, because they can hold values."
    ending = by_trigger if len(setup) == 2 else ""
    assert str(caught.value).endswith(f"Error. The target's rows are unchanged.{ending}")


def test_nothing_of_a_statement_comes_out(engine):
    with pytest.raises(LoadError) as caught, database_errors(engine, "Trying"), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO missing VALUES (:x)"), {"x": SECRET})
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_errors_of_the_bare_driver_are_told_too(engine):
    with (
        pytest.raises(LoadError, match="no such table"),
        database_errors(engine, "Trying"),
        engine.begin() as connection,
    ):
        connection.connection.driver_connection.execute("SELECT * FROM missing")


def test_errors_of_sqlalchemy_itself_are_mistakes_in_what_was_asked(engine):
    with (
        pytest.raises(LoadConfigurationError, match="Trying failed: CompileError"),
        database_errors(engine, "Trying"),
    ):
        raise sa.exc.CompileError(SECRET)


def test_other_errors_pass(engine):
    with pytest.raises(ZeroDivisionError), database_errors(engine, "Trying"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("dialect", "orig", "missing"),
    [
        ("postgresql", with_state("", "42P01"), True),
        ("postgresql", with_state("", "42501"), False),
        ("sqlite", sqlite3.OperationalError("no such table: leads"), True),
        ("sqlite", sqlite3.OperationalError("database is locked"), False),
        ("somesql", ProgrammingError("who knows"), True),
    ],
)
def test_a_table_is_missing_only_while_the_connection_is_alive(dialect, orig, missing):
    error = sa.exc.ProgrammingError("SELECT", {}, orig)
    assert is_missing_table(dialect, error) is missing
    error.connection_invalidated = True
    assert not is_missing_table(dialect, error)
