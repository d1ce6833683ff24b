"""What the errors of other databases mean, and that their texts pass on no value."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.codes import CODES
from airflow_provider_cleanlist.warehouse.dialects import explain, is_missing_table
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError, LoadDataError, LoadError

SECRET = "secret@x.example"


class DriverError(Exception):
    """A driver's error with the attributes that drivers give theirs."""

    def __init__(self, *args, **attributes) -> None:
        super().__init__(*args)
        self.__dict__.update(attributes)


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
    ("oracle", DriverError(SimpleNamespace(code=12899)), LoadDataError, "12899."),
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


@pytest.mark.parametrize("dialect", sorted(CODES))
def test_errors_without_a_code_may_be_tried_again(dialect):
    for error in (DriverError(), DriverError(SECRET)):
        explained = explain(dialect, error, "Publishing")
        assert type(explained) is LoadError
        assert SECRET not in str(explained)
