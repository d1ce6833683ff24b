"""SQL queries through any DbApiHook: rows out, streamed by the server where the driver can."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from airflow_provider_cleanlist.contacts.errors import QueryError
from airflow_provider_cleanlist.contacts.readers.delimited import unique_names

_FETCH_ROWS = 2_000
_POSTGRES_DRIVERS = frozenset({"psycopg", "psycopg2"})
_DATA_ERROR_CLASSES = ("22", "23")  # SQLSTATE: data exception, integrity constraint violation


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
        QueryError: If the data made the query fail (a cast, an overflow). Other errors of the driver pass through.
    """
    with closing(hook.get_conn()) as connection:
        try:
            cursor = _open_cursor(connection)
            cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
            rows = cursor.fetchmany(_FETCH_ROWS)
            if cursor.description is None:
                raise QueryError("The query returns no rows: it is not a SELECT.")
            columns = unique_names([str(column[0]) for column in cursor.description])
            if not rows:
                yield columns, ()
            while rows:
                for row in rows:
                    yield (tuple(row), tuple(row.values())) if isinstance(row, Mapping) else (columns, row)
                rows = cursor.fetchmany(_FETCH_ROWS)
        except Exception as error:
            if _is_about_data(error):
                raise QueryError(_explain(error)) from None
            raise


def _open_cursor(connection: Any) -> Any:
    if type(connection).__module__.partition(".")[0] not in _POSTGRES_DRIVERS:
        return connection.cursor()
    name = f"cleanlist_{uuid.uuid4().hex}"
    return connection.cursor(name=name, withhold=bool(connection.autocommit))


def _sql_state(error: Exception) -> str | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state if isinstance(state, str) else None


def _is_about_data(error: Exception) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"DataError", "IntegrityError"}) or (_sql_state(error) or "").startswith(
        _DATA_ERROR_CLASSES
    )


def _explain(error: Exception) -> str:
    state = _sql_state(error)
    code = f", SQLSTATE {state}" if state else ""
    return (
        f"The query failed on the data it reads ({type(error).__name__}{code}). The database's message is left "
        "out because it may quote values; run the query in a database client to see it."
    )
