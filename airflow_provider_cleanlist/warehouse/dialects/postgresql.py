"""PostgreSQL: rows arrive by COPY, staging tables are unlogged, and LOCK TABLE makes loads wait for each other."""

# ruff: noqa: S608 - queries are made of this file's own constants

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_provider_cleanlist.warehouse.dialects.base import (
    Database,
    TableStatement,
    ask_catalog,
    driver_connection,
    driver_package,
    forms_by_query,
    keys_by_query,
    lengths_by_query,
    stored_by_query,
    table_lock,
    texts_by_query,
    update_from,
)
from airflow_provider_cleanlist.warehouse.errors import LoadConfigurationError
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import ColumnElement

_COPY_SPECIAL = re.compile(r"[\\\t\n\r]")

# The table of a query, by ``:name`` and ``:place``, its schema; the ``search_path`` finds it where that is NULL.
_TABLE = """(
SELECT t.oid FROM pg_class t JOIN pg_namespace s ON s.oid = t.relnamespace
WHERE t.relname = CAST(:name AS name)
AND (s.nspname = CAST(:place AS name) OR CAST(:place AS text) IS NULL AND pg_table_is_visible(t.oid)))"""
# A DELETE reaches partitions, tables that inherit, and what the rules of a view or table name. A partition has a copy
# of each key that refers to the whole. A key that is checked at the end of the transaction does not mind that a row
# is deleted and inserted again.
_REFERRING_KEYS = f"""
WITH RECURSIVE reached (oid) AS (
SELECT {_TABLE}
UNION
SELECT b.below FROM reached a JOIN (
SELECT inhparent AS above, inhrelid AS below FROM pg_inherits
UNION ALL
SELECT r.ev_class, d.refobjid FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid
WHERE d.classid = CAST('pg_rewrite' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
AND r.ev_type IN ('1', '4')
) b ON b.above = a.oid
), keys (oid, above) AS (
SELECT k.oid, k.conparentid FROM pg_constraint k JOIN reached r ON r.oid = k.confrelid WHERE k.contype = 'f'
UNION
SELECT k.oid, k.conparentid FROM pg_constraint k JOIN keys c ON c.above = k.oid
)
SELECT CAST(CAST(k.conrelid AS regclass) AS text), k.conname
FROM pg_constraint k JOIN keys c ON c.oid = k.oid
WHERE k.conparentid = 0 AND NOT (k.condeferred AND k.confdeltype = 'a')
ORDER BY 1, 2
"""
_HIDES_ROWS = f"SELECT row_security_active({_TABLE})"
# Triggers BEFORE or INSTEAD OF (bits 2 and 64), of partitions too; and what a view's condition hides is left out of it.
_MAY_LEAVE_OUT_ROWS = f"""
SELECT t.relkind = 'v'
OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = t.oid AND r.ev_type IN ('2', '3'))
OR EXISTS (SELECT 1 FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgtype & 66 <> 0
AND (g.tgrelid = t.oid OR g.tgrelid IN (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = t.oid)))
FROM pg_class t WHERE t.oid = {_TABLE}
"""
# Triggers, rules, policies, defaults, checks and expressions of a table run with the rights of whoever uses it, even
# views of whoever plans a query. Who can become us, or own what the table is in, gains nothing by it; but whoever may
# make schemas owns those that the search_path finds by our name ("$user"), so an owner counts only where the schema
# was named. A superuser counts as a member of every role, which says nothing of those roles; nor does the right to
# grant a role. All arguments have just the types that the server's functions and operators take, or those that
# somebody planted could fit better.
_FOREIGN_TABLES = """
SELECT CAST(s.nspname AS text) || '.' || CAST(t.relname AS text),
t.relkind IN ('r', 'p'), pg_get_userbyid(t.relowner)
FROM pg_class t JOIN pg_namespace s ON s.oid = t.relnamespace
JOIN pg_database d ON d.datname = current_database() JOIN pg_roles u ON u.rolname = current_user
WHERE t.relname = ANY(CAST(:names AS name[]))
AND (s.nspname = CAST(:place AS name) OR CAST(:place AS text) IS NULL AND pg_table_is_visible(t.oid))
AND NOT (t.relkind IN ('r', 'p') AND (
NOT u.rolsuper AND pg_has_role(u.oid, t.relowner, 'USAGE')
OR EXISTS (SELECT 1 FROM pg_roles r
WHERE (r.rolsuper OR r.oid IN (u.oid, d.datdba) OR CAST(:place AS text) IS NOT NULL AND r.oid = s.nspowner)
AND pg_has_role(t.relowner, r.oid, 'MEMBER'))
))
ORDER BY 1
"""
_TEXT_LENGTHS = f"""
SELECT a.attname, GREATEST(a.atttypmod, d.typtypmod) - 4
FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid
WHERE CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
IN (CAST('varchar' AS regtype), CAST('bpchar' AS regtype)) AND GREATEST(a.atttypmod, d.typtypmod) > 4
AND a.attrelid = {_TABLE}
"""


def _casts(types: str) -> str:
    """Return the query for the columns of some types, each with the SQL that casts a value, ``{}``, to its type."""
    return f"""
SELECT a.attname, 'CAST({{}} AS ' || format_type(a.atttypid, a.atttypmod) || ')'
FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid
JOIN pg_type y ON y.oid = CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
WHERE NOT a.attisdropped AND a.attnum > 0 AND a.attrelid = {_TABLE} AND ({types})
"""


# Types that no text becomes without a cast.
_CAST_NAMES = "'uuid', 'inet', 'cidr', 'macaddr', 'macaddr8', 'xml', 'time', 'timetz', 'interval'"
_OWN_TYPES = f"y.typtype = 'e' OR y.typname IN ({_CAST_NAMES})"
_WRITTEN_FORMS = _casts(_OWN_TYPES)
# A cast does what a column does, but cuts texts that the column would refuse: of what is too long for it, the column
# only cuts spaces. A domain over a domain of text can have a length that is not looked for.
_STORED_FORMS = f"""
SELECT a.attname, CASE
WHEN y.typtype = 'd' AND d.typcategory = 'S' THEN NULL
WHEN y.oid = CAST('pg_catalog.bpchar' AS regtype) THEN 'CAST({{}} AS bpchar)'
WHEN y.oid = CAST('pg_catalog.varchar' AS regtype) AND GREATEST(a.atttypmod, d.typtypmod) >= 4
THEN '(left(CAST({{}} AS text), ' || CAST(GREATEST(a.atttypmod, d.typtypmod) - 4 AS text)
|| ') || rtrim(substr(CAST({{}} AS text), ' || CAST(GREATEST(a.atttypmod, d.typtypmod) - 3 AS text) || '), '' ''))'
WHEN y.oid NOT IN (CAST('pg_catalog.text' AS regtype), CAST('pg_catalog.varchar' AS regtype))
THEN 'CAST({{}} AS ' || format_type(a.atttypid, a.atttypmod) || ')'
WHEN o.collisdeterministic THEN '{{}}'
ELSE 'CAST({{}} AS text)' END || CASE
WHEN o.collisdeterministic OR o.oid IS NULL THEN ''
ELSE ' COLLATE ' || quote_ident(CAST(s.nspname AS text)) || '.' || quote_ident(CAST(o.collname AS text)) END
FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid
JOIN pg_type y ON y.oid = CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
LEFT JOIN pg_collation o ON o.oid = a.attcollation LEFT JOIN pg_namespace s ON s.oid = o.collnamespace
WHERE NOT a.attisdropped AND a.attnum > 0 AND a.attrelid = {_TABLE}
"""
_PUBLISHED = """
SELECT count(*) FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname
WHERE (p.pubupdate OR p.pubdelete) AND t.tablename = :name AND t.schemaname = COALESCE(:place, current_schema())
"""
_COLUMN_TYPES = f"""
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE NOT attisdropped AND attnum > 0 AND attrelid = {_TABLE}
"""
_CONDITIONS = f"""
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('c', 'x') AND conrelid = {_TABLE}
UNION ALL
SELECT i.relname, 'UNIQUE ' || substr(pg_get_indexdef(i.oid), strpos(pg_get_indexdef(i.oid), '('))
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indisunique AND x.indrelid = {_TABLE}
"""


def _copy_statement(table: sa.Table) -> str:
    statement: str | None = table.info.get("copy")
    if statement is None:
        name = ".".join(_quoted(part) for part in (table.schema, table.name) if part)
        columns = ", ".join(_quoted(column.name) for column in table.columns)
        statement = table.info["copy"] = f"COPY {name} ({columns}) FROM STDIN"
    return statement


def _quoted(name: str) -> str:
    """Return a name for a statement of COPY, in which drivers leave a ``%`` as it is."""
    return '"' + name.replace('"', '""') + '"'


class CopyStream:
    """Rows into a table through an open COPY, which takes them in while the next ones are made (psycopg 3).

    Args:
        connection: An open connection in a transaction.
        table: The table; rows have a value for each of its columns, in order.
    """

    def __init__(self, connection: Connection, table: sa.Table) -> None:
        with ExitStack() as stack:
            cursor = stack.enter_context(driver_connection(connection).cursor())
            self._copy = stack.enter_context(cursor.copy(_copy_statement(table)))
            self._stack = stack.pop_all()

    def write(self, rows: Sequence[Row]) -> None:
        """Send rows."""
        write_row = self._copy.write_row
        for row in rows:
            write_row(row)

    def close(self) -> None:
        """Wait until all rows are in the table."""
        self._stack.close()


def _copy_psycopg2(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    with driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(_copy_statement(table), _CopyFile(rows))


class _CopyFile:
    """Rows as a file in the text format of COPY, made while it is read."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._lines = (self._line(row) for row in rows)
        self._rest = b""

    @staticmethod
    def _line(row: Row) -> bytes:
        cells = [r"\N" if value is None else _copy_text(str(value)) for value in row]
        return ("\t".join(cells) + "\n").encode()

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        chunks, length = [self._rest], len(self._rest)
        while length < size and (line := next(self._lines, None)) is not None:
            chunks.append(line)
            length += len(line)
        data = b"".join(chunks)
        self._rest = data[size:]
        return data[:size]


def _copy_text(text: str) -> str:
    if _COPY_SPECIAL.search(text) is None:
        return text
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _adopt(connection: Any) -> None:
    # here, too: SQLAlchemy asks for the version before it lets us prepare the session
    _speak_utf8(connection)
    match driver_package(connection):
        case "psycopg":
            from psycopg.rows import tuple_row

            connection.row_factory = tuple_row
        case "psycopg2":
            connection.cursor_factory = None


def _prepare(connection: Any) -> None:
    """Prepare no statements (psycopg 3): behind pgbouncer, the next transaction can have another session.

    Nothing else outlives a transaction either: settings are ``SET LOCAL``, and locks are the transaction's. pgbouncer
    itself keeps track of the encoding.
    """
    _speak_utf8(connection)
    if driver_package(connection) == "psycopg":
        connection.prepare_threshold = None


def _speak_utf8(connection: Any) -> None:
    """Send and receive all of Unicode, whatever the encoding of the database and of the environment."""
    match driver_package(connection):
        case "psycopg" if connection.info.parameter_status("client_encoding") != "UTF8":
            connection.execute("SET client_encoding TO 'UTF8'")
            connection.commit()
        case "psycopg2" if connection.encoding != "UTF8":
            connection.set_client_encoding("UTF8")


def _make_updatable(connection: Connection, table: sa.Table) -> None:
    """Give a new table without a key a replica identity, if a publication would refuse changes of its rows."""
    if table.primary_key.columns:
        return
    if ask_catalog(connection, table, _PUBLISHED).scalar():
        connection.execute(TableStatement("ALTER TABLE {table} REPLICA IDENTITY FULL", table))


def _check(connection: Connection, table: sa.Table) -> None:
    """Refuse a table of which policies may hide rows: a load cannot find, update or delete what it does not see.

    Raises:
        LoadConfigurationError: Row-level security applies to the role of the connection.
    """
    if ask_catalog(connection, table, _HIDES_ROWS).scalar():
        raise LoadConfigurationError(
            f"Row-level security of {table} applies to the role of this connection, and rows that it hides would be "
            "inserted again. Nothing was written. Use a role with BYPASSRLS, or the table's owner without FORCE ROW "
            "LEVEL SECURITY."
        )


def _foreign_tables(connection: Connection, schema: str | None, names: Sequence[str]) -> list[str]:
    found = connection.execute(sa.text(_FOREIGN_TABLES), {"place": schema, "names": list(names)})
    return [f"{name} ({f'of {owner!r}' if is_table else 'no table'})" for name, is_table, owner in found]


def _may_leave_out_rows(connection: Connection, table: sa.Table) -> bool:
    return bool(ask_catalog(connection, table, _MAY_LEAVE_OUT_ROWS).scalar())


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], _: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ as texts: every type has one, and ``json`` and ``citext`` compare otherwise."""
    stored, given = (sa.cast(value, sa.Text()).collate("C") for value in (old, new))
    return stored.is_distinct_from(given)


POSTGRESQL = Database(
    name="postgresql",
    types=DatabaseTypes(json=postgresql.JSONB()),
    connects_by_hook=True,
    adopt=_adopt,
    prepare=_prepare,
    staging_prefixes=("UNLOGGED",),
    # A worker cut off from the network can hold a table for as long as the server believes that it is alive.
    ddl_settings=("SET LOCAL lock_timeout = '60s'",),
    complete_target=_make_updatable,
    insert_by_driver={"psycopg2": _copy_psycopg2},
    stream_by_driver={"psycopg": CopyStream},
    # A crash of the server empties unlogged tables anyway, so commits need not wait for the disk.
    staging_settings=("SET LOCAL synchronous_commit = off",),
    # By default, 200,000 keys are sorted on disk in 0.21 s; grouping them in memory takes 0.15 s.
    count_settings=("SET LOCAL work_mem = '64MB'", "SET LOCAL max_parallel_workers_per_gather = 0"),
    check_target=_check,
    text_lengths=lengths_by_query(_TEXT_LENGTHS),
    stored_forms=stored_by_query(_STORED_FORMS),
    written_forms=forms_by_query(_WRITTEN_FORMS),
    column_types=texts_by_query(_COLUMN_TYPES),
    conditions=texts_by_query(_CONDITIONS),
    referring_keys=keys_by_query(_REFERRING_KEYS),
    foreign_tables=_foreign_tables,
    may_leave_out_rows=_may_leave_out_rows,
    update=update_from,
    differs=_differs,
    folds_keys=True,
    plans_exists=True,
    lock=table_lock("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"),
    # The planner guesses badly: a merge into a table with as many rows is three times as fast after ANALYZE.
    analyze=lambda table, columns: TableStatement("ANALYZE {table} ({columns})", table, columns),
)
