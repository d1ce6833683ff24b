"""What the error codes of databases without SQLSTATE in their drivers mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of one database.

    Args:
        of: Reads the code from a driver's error; empty if it has none.
        missing: Codes of a table, schema or database that is not there.
        configuration: Codes of objects, privileges, types or names that do not fit.
        data: Codes of values that do not fit.
        harmless: Codes whose text names objects and never quotes values.
    """

    of: Callable[[Any], str]
    missing: re.Pattern[str]
    configuration: re.Pattern[str]
    data: re.Pattern[str]
    harmless: re.Pattern[str]


def _any_of(*codes: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{code})" for code in codes) if codes else r"(?!)")


def _first_argument(error: Any) -> str:
    return str(error.args[0]) if error.args and isinstance(error.args[0], int) else ""


def _number(error: Any) -> str:
    return str(getattr(error, "errno", None) or "")


def _class_name(error: Any) -> str:
    return type(error).__name__


def _oracle(error: Any) -> str:
    return str(getattr(error.args[0], "code", "")) if error.args else ""


def _trino(error: Any) -> str:
    return str(getattr(error, "error_name", None) or "")


def _databricks(error: Any) -> str:
    found = re.search(r"\[([A-Z_]+)[.\]]", str(error))
    return found[1] if found else ""


def _bigquery(error: Any) -> str:
    cause = error.args[0] if error.args else None
    reasons = [str(item.get("reason", "")) for item in getattr(cause, "errors", ()) or ()]
    return reasons[0] if reasons else str(getattr(cause, "code", "") or "")


_MYSQL_HARMLESS = (
    "1044",
    "1045",
    "1049",
    "1054",
    "1142",
    "1143",
    "1146",
    "1227",
    "1288",
    "1347",
    "1471",
    "1059",
)
_MYSQL_DATA_HARMLESS = ("1048", "1264", "1364", "1406", "3819", "4025")

_BY_DATABASE: dict[str, Codes] = {
    "mysql": Codes(
        of=_first_argument,
        missing=_any_of("1146", "1049"),
        configuration=_any_of(
            *_MYSQL_HARMLESS, "1064", "1071", "1101", "1103", "1118", "1166", "1170", "1267"
        ),
        data=_any_of(*_MYSQL_DATA_HARMLESS, "1265", "1292", "1366", "1452", "3140"),
        harmless=_any_of(*_MYSQL_HARMLESS, *_MYSQL_DATA_HARMLESS, "1205", "1213", "2006", "2013"),
    ),
    "duckdb": Codes(
        of=_class_name,
        missing=_any_of("CatalogException"),
        configuration=_any_of(
            "CatalogException", "BinderException", "ParserException", "PermissionException"
        ),
        data=_any_of("ConversionException", "OutOfRangeException", "InvalidInputException"),
        harmless=_any_of("CatalogException", "TransactionException"),
    ),
    "snowflake": Codes(
        of=_number,
        missing=_any_of("2003", "2043"),
        configuration=_any_of("2003", "2043", "3001", "904", "1003", "2022", "90105", "90106"),
        data=_any_of("100035", "100038", "100040", "100072", "100078", "100132"),
        harmless=_any_of("2003", "2043", "3001", "904", "90105", "90106", "100072"),
    ),
    "mssql": Codes(
        of=_first_argument,
        missing=_any_of("208"),
        configuration=_any_of(
            "102", "207", "229", "230", "262", "468", "2760", "4405", "4406", "4902", "206", "15247"
        ),
        data=_any_of("515", "547", "220", "241", "242", "245", "8114", "8115", "8152", "2628"),
        harmless=_any_of("207", "208", "229", "230", "262", "515", "1205", "2760", "4405", "4406"),
    ),
    "oracle": Codes(
        of=_oracle,
        missing=_any_of("942"),
        configuration=_any_of(
            "904", "910", "932", "972", "1017", "1031", "1720", "1732", "1733", "1779", "1918", "1950"
        ),
        data=_any_of("1400", "1401", "1407", "1438", "1722", "18[0-9]{2}", "2290", "2291", "12899"),
        harmless=_any_of("60", "904", "942", "1031", "1400", "1407", "1950", "2290"),
    ),
    "trino": Codes(
        of=_trino,
        missing=_any_of("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "CATALOG_NOT_FOUND"),
        configuration=_any_of(
            ".*_NOT_FOUND", "PERMISSION_DENIED", "NOT_SUPPORTED", "TYPE_MISMATCH", "SYNTAX_ERROR"
        ),
        data=_any_of("INVALID_CAST_ARGUMENT", "NUMERIC_VALUE_OUT_OF_RANGE", "CONSTRAINT_VIOLATION"),
        harmless=_any_of(".*_NOT_FOUND", "PERMISSION_DENIED"),
    ),
    "databricks": Codes(
        of=_databricks,
        missing=_any_of("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"),
        configuration=_any_of(
            ".*_NOT_FOUND", "INSUFFICIENT_PERMISSIONS", "PERMISSION_DENIED", "UNRESOLVED_.*"
        ),
        data=_any_of("CAST_.*", "DELTA_.*CONSTRAINT.*", "NUMERIC_VALUE_OUT_OF_RANGE"),
        harmless=_any_of(),
    ),
    "bigquery": Codes(
        of=_bigquery,
        missing=_any_of("notFound", "404"),
        configuration=_any_of("notFound", "404", "accessDenied", "403", "invalidQuery"),
        data=_any_of("invalid$"),
        harmless=_any_of("notFound", "accessDenied"),
    ),
}
CODES: Mapping[str, Codes] = {**_BY_DATABASE, "mariadb": _BY_DATABASE["mysql"]}
"""By dialect."""
