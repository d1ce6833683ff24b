"""SQLite: one writer at a time, and errors that only differ in their text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from airflow_provider_cleanlist.warehouse.dialects.base import (
    AS_IT_IS,
    Database,
    UpdateOfMatches,
    driver_connection,
)
from airflow_provider_cleanlist.warehouse.dialects.locks import Lock
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, LoadConfigurationError, sqlite_message
from airflow_provider_cleanlist.warehouse.types import ColumnType, Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import ColumnElement

BUSY_TIMEOUT_SECONDS = 60
_AS_NUMBER = "CASE WHEN CAST({{}} AS NUMERIC) = {{}} THEN CAST({{}} AS {kind}) ELSE {{}} END"

_REFERRING_KEYS = """
SELECT m.name, group_concat(k."from", ', ')
FROM {master} m, pragma_foreign_key_list(m.name, :place) k, pragma_foreign_keys e
WHERE e.foreign_keys AND m.type = 'table' AND lower(k."table") = lower(:name)
GROUP BY m.name, k.id ORDER BY 1, 2
"""
_MAY_LEAVE_OUT_ROWS = """
SELECT count(*) FROM {master}
WHERE lower(tbl_name) = lower(:name) AND (type = 'trigger' OR upper(sql) LIKE '%ON CONFLICT%')
"""
_COLUMNS = "SELECT name, upper(type) FROM pragma_table_xinfo(:name, :place)"
_UNIQUE_COLLATIONS = """
SELECT c.name, c.coll
FROM pragma_index_list(:name, :place) i, pragma_index_xinfo(i.name, :place) c
WHERE i."unique" AND c.key AND upper(c.coll) <> 'BINARY' AND c.name IS NOT NULL
"""
_MAY_COLLATE = """
SELECT CASE WHEN (SELECT type FROM {master} WHERE lower(name) = lower(:name)) = 'view' THEN 'view'
WHEN EXISTS (SELECT 1 FROM {master} WHERE type = 'table' AND lower(name) = lower(:name) AND sql LIKE '%COLLATE%')
THEN 'table' END
FROM {master} WHERE sql LIKE '%COLLATE%' LIMIT 1
"""
_PROBE = "_cleanlist_collations"


def _prepare(connection: Any) -> None:
    """Let tasks that write to the same file wait for each other, longer than the driver's five seconds.

    Raises:
        LoadConfigurationError: There is no file: what is written would be gone with the task.
    """
    if not any(path for _, name, path in connection.execute("PRAGMA database_list") if name == "main"):
        raise LoadConfigurationError(
            "The SQLite connection names no file, so its database is in memory and vanishes with the task: give it the "
            "path of a file as its host."
        )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")


def _execute_many(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows as the driver takes them, which is twice as fast as SQLAlchemy's way."""
    dialect = connection.dialect
    encoders = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns]
    encoded = [(index, encode) for index, encode in enumerate(encoders) if encode is not None]
    statement = str(table.insert().compile(dialect=dialect))
    ready = (_encode(row, encoded) for row in rows) if encoded else rows
    driver_connection(connection).executemany(statement, ready)


def _encode(row: Row, encoders: Sequence[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    values = list(row)
    for index, encode in encoders:
        values[index] = encode(values[index])
    return values


def _lock(_default: str | None, table: sa.Table, _registry: sa.Table) -> sa.Update:
    """Return a statement that changes nothing and makes this connection the one that writes to the table's file."""
    column = next(iter(table.columns))
    return table.update().values({column: column}).where(sa.text("1 = 0"))


def _ask_master(connection: Connection, table: sa.Table, query: str) -> Any:
    """Return what the catalog of a table's file says."""
    place = table.schema or "main"
    master = f"{connection.dialect.identifier_preparer.quote(place)}.sqlite_master"
    return connection.execute(sa.text(query.format(master=master)), {"name": table.name, "place": place})


def _stored_forms(connection: Connection, table: sa.Table) -> dict[str, str | None]:
    """Return what columns make of values, by their affinities and collations."""
    forms = {name: _affinity_form(declared) for name, declared in _ask_master(connection, table, _COLUMNS)}
    collations: dict[str, str] = {}
    match _ask_master(connection, table, _MAY_COLLATE).scalar():
        case "view":  # whose collations nothing tells
            return dict.fromkeys(forms)
        case "table":
            collations = _column_collations(connection, table, [*forms])
    collations |= dict(iter(_ask_master(connection, table, _UNIQUE_COLLATIONS)))
    return {name: _collated(form, collations.get(name, "BINARY")) for name, form in forms.items()}


def _collated(form: str | None, collation: str) -> str | None:
    """Return a form as it compares; joins of SQLite miss texts that RTRIM takes for the same (seen with 3.40)."""
    match collation.upper():
        case "BINARY":
            return form
        case "NOCASE" if form is not None:
            return f"{form} COLLATE NOCASE"
    return None


def _affinity_form(declared: str) -> str | None:
    """Return what a column makes of a value, by the type that it was declared with; texts stay as they are.

    A comparison gives the affinity of its one side to the other: what a text would be as a number equals it only if the
    text is a number and nothing else.
    """
    if "INT" in declared:
        return _AS_NUMBER.format(kind="NUMERIC")
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT", "BLOB")) or not declared:
        return AS_IT_IS
    if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return _AS_NUMBER.format(kind="REAL")
    # ANY keeps texts in STRICT tables, and makes numbers of them elsewhere
    return None if declared == "ANY" else _AS_NUMBER.format(kind="NUMERIC")


def _column_collations(connection: Connection, table: sa.Table, names: Sequence[str]) -> dict[str, str]:
    """Return the collations of columns other than BINARY, which only an index tells: one of no row, which is undone."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    place = table.schema or "main"
    index, columns = f"{quote(place)}.{quote(_PROBE)}", ", ".join(map(quote, names))
    cursor = driver_connection(connection).cursor()
    cursor.execute(f"SAVEPOINT {_PROBE}")
    try:
        cursor.execute(f"CREATE INDEX {index} ON {quote(table.name)} ({columns}) WHERE 0")
        found = cursor.execute("SELECT name, coll FROM pragma_index_xinfo(?, ?) WHERE key", (_PROBE, place))
        return {name: collation for name, collation in found if collation.upper() != "BINARY"}
    finally:
        cursor.execute(f"ROLLBACK TO {_PROBE}")
        cursor.execute(f"RELEASE {_PROBE}")


def _referring_keys(connection: Connection, table: sa.Table) -> list[str]:
    """Return the foreign keys that refer to a table, if the session enforces any."""
    found = _ask_master(connection, table, _REFERRING_KEYS)
    return [f"{name} (FOREIGN KEY ({columns}))" for name, columns in found]


def _may_leave_out_rows(connection: Connection, table: sa.Table) -> bool:
    return bool(_ask_master(connection, table, _MAY_LEAVE_OUT_ROWS).scalar())


@compiles(UpdateOfMatches, "sqlite")
def _compile_update(element: UpdateOfMatches, compiler: Any, **options: Any) -> str:
    """Return ``UPDATE .. FROM``, which SQLAlchemy 1.4 lacks for SQLite."""
    matches = element.matches

    def sql(clause: Any) -> str:
        return str(compiler.process(clause, **options))

    written = [f"{compiler.preparer.quote(name)} = {sql(value)}" for name, value in matches.values.items()]
    lines = [
        f"UPDATE {compiler.preparer.format_table(matches.target)}",
        f"SET {', '.join(written)}",
        f"FROM {compiler.process(matches.source, asfrom=True, **options)}",
        f"WHERE {sql(matches.same_key)} AND ({sql(matches.differs)})",
    ]
    return "\n".join(lines)


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], _: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ, whatever the collation of the column."""
    return sa.type_coerce(old, sa.Text()).collate("BINARY").is_distinct_from(sa.type_coerce(new, sa.Text()))


def _category(error: Any) -> str:
    """Return the message, unless a trigger words it."""
    by_trigger = getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_TRIGGER"
    return "TRIGGER" if by_trigger else str(error)


SQLITE = Database(
    name="sqlite",
    errors=ErrorCodes(
        code=lambda _: "",
        category=_category,
        text=lambda error, _: sqlite_message(error),
        missing=re.compile("(no such table|unknown database).*", re.DOTALL),
        configuration=re.compile(
            ".*(readonly|no such column|unknown database|cannot modify|unable to open|syntax|has no column"
            "|generated column|may not be altered|unknown datatype).*",
            re.DOTALL,
        ),
        data=re.compile(
            "TRIGGER|.*(datatype mismatch|NOT NULL|CHECK|FOREIGN KEY|too big|Could not decode).*", re.DOTALL
        ),
        harmless=re.compile("(?!TRIGGER|Could not decode).*", re.DOTALL),
        unique=re.compile("UNIQUE constraint failed.*", re.DOTALL),
        raised=re.compile("TRIGGER"),
    ),
    prepare=_prepare,
    ignores_case=True,
    lock=Lock(statement=_lock, excludes_writers=True),
    referring_keys=_referring_keys,
    may_leave_out_rows=_may_leave_out_rows,
    stored_forms=_stored_forms,
    text_form="CAST({} AS TEXT)",
    update=UpdateOfMatches,
    differs=_differs,
    folds_keys=True,
    insert_by_driver={"pysqlite": _execute_many},
)
