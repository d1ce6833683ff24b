from __future__ import annotations

import sqlite3
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_provider_cleanlist.warehouse.dialects import (
    Analyze,
    database_errors,
    explain,
    is_missing_table,
)
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError
from airflow_provider_cleanlist.warehouse.locks import LockTable
from airflow_provider_cleanlist.warehouse.tables import AddColumn

SECRET = "secret@x.example"


class DriverError(Exception):
    def __init__(self, text: str, state: str | None = None, primary: str | None = None) -> None:
        super().__init__(text)
        self.sqlstate = state
        self.diag = SimpleNamespace(message_primary=primary)


class DataError(DriverError):
    pass


class ProgrammingError(DriverError):
    pass


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
        "postgresql", DriverError(f"DETAIL: {SECRET}", state, "what it says"), "Publishing into leads"
    )
    assert type(error) is expected
    assert state in str(error)
    assert SECRET not in str(error)


def test_texts_about_objects_are_passed_on_and_texts_about_data_are_not():
    about_objects = explain(
        "postgresql", DriverError("", "42501", "permission denied for table leads"), "Publishing"
    )
    assert str(about_objects) == (
        "Publishing failed: DriverError 42501: permission denied for table leads. The target's rows are unchanged."
    )
    about_data = explain("postgresql", DriverError("", "22P02", f'invalid input: "{SECRET}"'), "Publishing")
    assert SECRET not in str(about_data)
    assert "column_types" in str(about_data)


def test_errors_of_unknown_drivers_pass_on_no_text():
    for error, expected in [
        (DataError(SECRET), LoadDataError),
        (ProgrammingError(SECRET), LoadConfigurationError),
        (DriverError(SECRET), LoadError),
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
        ("postgresql", DriverError("", "42P01"), True),
        ("postgresql", DriverError("", "42501"), False),
        ("sqlite", sqlite3.OperationalError("no such table: leads"), True),
        ("sqlite", sqlite3.OperationalError("database is locked"), False),
        ("somesql", ProgrammingError("who knows"), True),
    ],
)
def test_a_missing_table_is_told_from_other_errors(dialect, orig, missing):
    error = sa.exc.ProgrammingError("SELECT", {}, orig)
    assert is_missing_table(dialect, error) is missing
    error.connection_invalidated = True
    assert not is_missing_table(dialect, error)


def test_statements_that_sqlalchemy_lacks():
    table = sa.Table("we ird", sa.MetaData(), sa.Column('a"b', sa.Text), schema="s.t")
    dialect = postgresql.dialect()
    locked = str(LockTable(table).compile(dialect=dialect))
    assert locked == 'LOCK TABLE "s.t"."we ird" IN SHARE ROW EXCLUSIVE MODE'
    analyzed = str(Analyze(table, ['a"b']).compile(dialect=dialect))
    assert analyzed == 'ANALYZE "s.t"."we ird" ("a""b")'
    added = str(AddColumn(table.c['a"b']).compile(dialect=dialect))
    assert added == 'ALTER TABLE "s.t"."we ird" ADD COLUMN "a""b" TEXT'
