"""SQL queries through any DbApiHook: rows out, streamed by the server where the driver can, and nothing is written.

A source that writes loses its marks when the task fails after paying, or commits them when nothing was paid. So the
text of a query is checked, and where the database has read-only transactions, it runs in one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from airflow_provider_cleanlist.contacts.columns import source_columns
from airflow_provider_cleanlist.contacts.errors import ColumnError, QueryError, SourceUnavailableError
from airflow_provider_cleanlist.redaction import redacted
from airflow_provider_cleanlist.warehouse.errors import postgres_message, sqlite_message

_FETCH_ROWS = 2_000
_POSTGRES_DRIVERS = frozenset({"psycopg", "psycopg2"})
_READ_ONLY = {
    "MySQLdb": "START TRANSACTION READ ONLY",
    "mariadb": "START TRANSACTION READ ONLY",
    "mysql": "START TRANSACTION READ ONLY",
    "psycopg": "SET TRANSACTION READ ONLY",
    "psycopg2": "SET TRANSACTION READ ONLY",
    "pymysql": "START TRANSACTION READ ONLY",
    "sqlite3": "PRAGMA query_only = ON",
}
"""What makes a connection read only, by the package of its driver."""
_DATA_ERROR_CLASSES = ("22", "23")  # SQLSTATE: data exception, integrity constraint violation
_UNSUPPORTED_CLASSES = ("0A", "42")  # SQLSTATE: feature not supported, syntax error
_LASTING_CLASSES = ("0A", "25", "28", "3D", "3F", "42")
"""SQLSTATE: what is wrong with the query, its privileges or the names in it stays so."""
_LASTING_CODES = frozenset({1044, 1045, 1046, 1049, 1052, 1054, 1064, 1065, 1142, 1143, 1146, 1305, 1370})
"""The same in numbers of MySQL and MariaDB."""
_WORD = re.compile(r"[^\s!-/:-@\[-^`{-~]+")  # whatever is neither white space nor punctuation of ASCII
_WORDS_OF_MYSQL = """
    access ambiguous an at by check clause column command corresponds create database delete denied does doesn
    empty error execute exist field for from function group have having in insert is line list manual mariadb
    mysql near no not on order password procedure query right routine select selected server show sql syntax t
    table that the to unknown use user using version view was where yes you your
"""
"""What the messages of these numbers consist of, besides names."""
_LASTING_TEXT = re.compile(
    "no such|syntax error|unable to open|invalid uri|not a database|bindings|ambiguous|incomplete input|"
    "user-defined function"
)
"""The same in words of SQLite."""
_READ_ONLY_STATE = "25006"
_READ_ONLY_CODE = 1792  # of MySQL and MariaDB
_READ_ONLY_TEXT = "attempt to write a readonly database"  # of SQLite

_QUOTED = r"""\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|(?P<name>"(?:[^"]|"")*"|`[^`]*`)"""
_NOT_CODE = (
    re.compile(rf"(?<![\w])[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|{_QUOTED}", re.DOTALL),
    re.compile(rf"'(?:[^'\\]|\\.|'')*'|{_QUOTED}", re.DOTALL),  # with backslashes, as MySQL reads strings
)
_WRITING_WORDS = """
    ALTER ATTACH BEGIN CLUSTER COMMIT COPY CREATE DELETE DETACH DO DROP GRANT IMPORT INSERT LOAD LOCK MERGE NOTIFY
    REFRESH REINDEX RENAME REPLACE RESET REVOKE ROLLBACK SAVEPOINT SET START TRUNCATE UNLOAD UPDATE UPSERT VACUUM
"""
_FIRST_WORD = re.compile(rf"[\s(]*({'|'.join(_WRITING_WORDS.split())})\b", re.IGNORECASE)
_INNER_WRITE = re.compile(
    r"[()]\s*(?:(INSERT)\s+(?:\w+\s+){0,3}INTO|(DELETE)\s+FROM|(MERGE)\s+INTO|(REPLACE)\s+INTO"
    r"|(UPDATE)\s+[\w.]+(?:\s+\w+){0,2}\s+SET)\b",
    re.IGNORECASE,
)


class ConnectionHook(Protocol):
    """What is needed of a ``DbApiHook``."""

    def get_conn(self) -> Any:
        """Return a new DB-API connection."""


def read_query(
    hook: ConnectionHook, sql: str, parameters: Sequence[object] | Mapping[str, object] | None
) -> Generator[tuple[tuple[str, ...], Sequence[object]]]:
    """Run a query on its own connection and yield its column names with each row.

    PostgreSQL streams through a server-side cursor; other drivers through ``fetchmany``, with what buffering they
    do themselves. A query without rows yields its column names once, with an empty row.

    Args:
        hook: The hook whose connection runs the query.
        sql: One query.
        parameters: What the driver binds to the query's placeholders, in the driver's own style.

    Raises:
        ColumnError: If it has more columns than are read.
        QueryError: If the query writes, cannot be run as it is, or its data made it fail (a cast, an overflow).
        SourceUnavailableError: If the database cannot be reached or fails.
    """
    sql = sql.removeprefix("\ufeff")  # of a file that an editor saved as "UTF-8 with BOM"
    check_reads_only(sql)
    with closing(_connect(hook)) as connection:
        try:
            _make_read_only(connection)
            cursor = _open_cursor(connection)
            _execute(cursor, sql, parameters)
            rows = cursor.fetchmany(_FETCH_ROWS)
            if cursor.description is None:
                raise QueryError("The query returns no rows: it is not a SELECT.")
            columns = source_columns([str(column[0]) for column in cursor.description])
            if not rows:
                yield columns, ()
            while rows:
                for row in rows:
                    yield (tuple(row), tuple(row.values())) if isinstance(row, Mapping) else (columns, row)
                rows = cursor.fetchmany(_FETCH_ROWS)
        except (QueryError, ColumnError):
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise what they like
            if _is_of_sqlite(error) and _cannot_be_compiled(connection, sql, parameters, error):
                raise _translated(error, str(error)) from None
            raise _translated(error, _message(error, sql)) from None


def _connect(hook: ConnectionHook) -> Any:
    try:
        return hook.get_conn()
    except Exception as error:  # noqa: BLE001 - hooks and drivers raise what they like
        raise _translated(error, _message(error, None)) from None


def _execute(cursor: Any, sql: str, parameters: Sequence[object] | Mapping[str, object] | None) -> None:
    if not parameters:
        cursor.execute(sql)
        return
    try:
        cursor.execute(sql, parameters)
    except Exception as error:
        is_of_driver = isinstance(error, ValueError | TypeError | LookupError) or (
            _sql_state(error) is None and re.search("placeholder|parameter", str(error))
        )
        if is_of_driver:
            raise QueryError(
                f"The query does not fit its parameters ({type(error).__name__}). Give every placeholder a value, and "
                "write a % that is none as %%, as in LIKE 'A%%'."
            ) from None
        raise


def _translated(error: Exception, message: str) -> QueryError | SourceUnavailableError:
    """Return the error for one of a driver, with what of the database's message quotes no values."""
    if _is_about_writing(error):
        return QueryError(_WRITES.format(what="in a read-only transaction"))
    if _is_about_data(error):
        return QueryError(_explain(error))
    code = _sql_state(error) or _number(error)
    kind = f"{type(error).__name__} {code}" if code else type(error).__name__
    said = redacted(message.strip().partition("\n")[0]).rstrip(".")
    what = f"{kind}: {said}" if said else kind
    if not said and (code or _is_of_sqlite(error)):
        what += " (its message is left out because it may quote values; a database client shows it)"
    if _is_lasting(error):
        return QueryError(f"The query cannot be run: {what}. Correct it, or what it reads.")
    return SourceUnavailableError(f"the database of the query cannot be read at the moment: {what}.")


def _is_lasting(error: Exception) -> bool:
    """Return whether a later attempt would fail alike."""
    if state := _sql_state(error):
        return state.startswith(_LASTING_CLASSES)
    if _is_of_sqlite(error):
        return _LASTING_TEXT.search(str(error)) is not None
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"ProgrammingError", "NotSupportedError"}) or _number(error) in _LASTING_CODES


def _message(error: Exception, sql: str | None) -> str:
    """Return what the database said of a query, or of the connection if there is none; empty if it may quote values."""
    if _is_of_sqlite(error):
        return sqlite_message(error)
    if getattr(error, "diag", None) is not None:
        return postgres_message(error, sql or "")
    if _number(error) not in _LASTING_CODES or len(error.args) < 2:
        return ""
    return str(error.args[1]) if sql is None else _without_values(error, sql)


def _without_values(error: Exception, sql: str) -> str:
    """Return a message of MySQL or MariaDB with *** for each word that is neither the server's own nor in the query.

    The number does not tell who speaks, and of what: functions give words of their own any number, and procedures run
    statements that they make of values.
    """
    known = {*_WORDS_OF_MYSQL.split(), *_WORD.findall(sql.casefold())}
    known |= {str(line) for line in range(1, sql.count("\n") + 2)}
    known |= {
        str(code).casefold() for code in (_number(error), _sql_state(error))
    }  # MySQL Connector begins with them
    message = _WORD.sub(lambda word: word[0] if word[0].casefold() in known else "***", str(error.args[1]))
    return message if _WORD.search(message.replace("***", "")) else ""


def _number(error: Exception) -> int | None:
    """Return the number that drivers of MySQL put before the message of an error."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else None


def _cannot_be_compiled(
    connection: Any, sql: str, parameters: Sequence[object] | Mapping[str, object] | None, error: Exception
) -> bool:
    """Return whether SQLite said it of the query's text and the schema, before it read a row."""
    try:
        _execute(connection.cursor(), f"EXPLAIN {sql}", parameters)
    except Exception as again:  # noqa: BLE001 - whatever it is
        return str(again) == str(error)
    return False


def _is_of_sqlite(error: Exception) -> bool:
    return type(error).__module__ == "sqlite3"


_WRITES = (
    "The query writes to the database ({what}): it is not a SELECT that only reads. What it writes would be undone or "
    "kept whatever becomes of the contacts. Give a query that only reads, and write in a task of its own, "
    "after this one."
)


def check_reads_only(sql: str) -> None:
    """Check the text of a query: one statement, and none that obviously writes.

    Args:
        sql: The text. Strings, quoted names and comments do not count.

    Raises:
        QueryError: It is not a single query, or it writes.
    """
    readings = [
        not_code.sub(lambda match: " q " if match["name"] else " ", sql).strip().rstrip("; \n\t")
        for not_code in _NOT_CODE
    ]
    if all(";" in code for code in readings):
        raise QueryError("sql holds several statements. Give a single query.")
    writes = [_FIRST_WORD.match(code) or _INNER_WRITE.search(code) for code in readings]
    if writes[0] and all(writes):
        word = next(filter(None, writes[0].groups()))
        raise QueryError(_WRITES.format(what=word.upper()))


def _make_read_only(connection: Any) -> None:
    driver = _driver(connection)
    statement = _READ_ONLY.get(driver)
    if statement is None:
        return
    if driver in _POSTGRES_DRIVERS and connection.autocommit:
        connection.autocommit = False  # else each statement is a transaction of its own
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
    except Exception as error:  # a server that only speaks the protocol of the database, such as Redshift
        if not (_sql_state(error) or "").startswith(_UNSUPPORTED_CLASSES):
            raise
        connection.rollback()
    finally:
        cursor.close()


def _driver(connection: Any) -> str:
    return type(connection).__module__.partition(".")[0]


def _open_cursor(connection: Any) -> Any:
    if _driver(connection) not in _POSTGRES_DRIVERS:
        return connection.cursor()
    return connection.cursor(name=f"cleanlist_{uuid.uuid4().hex}")


def _sql_state(error: Exception) -> str | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state if isinstance(state, str) else None


def _is_about_writing(error: Exception) -> bool:
    if _sql_state(error) == _READ_ONLY_STATE or error.args[:1] == (_READ_ONLY_CODE,):
        return True
    return _READ_ONLY_TEXT in str(error)


def _is_about_data(error: Exception) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"DataError", "IntegrityError"} or isinstance(error, ValueError | ArithmeticError):
        return True  # the latter two from drivers that convert values
    if str(error).startswith("Could not decode to UTF-8"):  # SQLite
        return True
    return (_sql_state(error) or "").startswith(_DATA_ERROR_CLASSES)


def _explain(error: Exception) -> str:
    state = _sql_state(error)
    code = f", SQLSTATE {state}" if state else ""
    return (
        f"The query failed on the data it reads ({type(error).__name__}{code}). The database's message is left "
        "out because it may quote values; run the query in a database client to see it."
    )
