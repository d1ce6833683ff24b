"""MySQL and MariaDB: texts are compared byte by byte, sessions are strict, and loads wait for a lock by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from airflow_provider_cleanlist.warehouse.dialects.base import (
    Database,
    ask_catalog,
    driver_package,
    execute_many,
    first_argument,
    forms_by_query,
    keys_by_query,
    lengths_by_query,
    stored_by_query,
    texts_by_query,
    update_from,
)
from airflow_provider_cleanlist.warehouse.dialects.locks import NamedLock
from airflow_provider_cleanlist.warehouse.errors import ErrorCodes, LoadConfigurationError, any_of, whole_text
from airflow_provider_cleanlist.warehouse.types import ColumnType, DatabaseTypes, Row

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import ColumnElement

_EXACT = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}
_TEXT = mysql.LONGTEXT(**_EXACT)
_CHARACTERS = mysql.CHAR(charset="utf8mb4")
_KEY_LENGTH = 255  # three of them fit into an index

_ABOUT_OBJECTS = "1044 1045 1049 1054 1142 1143 1146 1173 1153 1227 1288 1347 1471 1059 1906 3105 3750 4119"
_ABOUT_COLUMNS = "1048 1264 1364 1406 1451 1452 3819 4025"
# Triggers of a table run with the rights of their definer, functions of a view with those of whoever reads it.
_NO_TABLES = """
SELECT CONCAT(COALESCE(CONCAT(:place, '.'), ''), table_name) FROM information_schema.tables
WHERE table_schema = COALESCE(:place, DATABASE()) AND table_name IN :names
AND table_type NOT IN ('BASE TABLE', 'SYSTEM VERSIONED')
ORDER BY 1
"""
# The text of a view quotes each table with its schema.
_REFERRING_KEYS = """
SELECT DISTINCT CONCAT(k.table_schema, '.', k.table_name), k.constraint_name
FROM information_schema.key_column_usage k LEFT JOIN information_schema.views v
ON v.table_schema = COALESCE(:place, DATABASE()) AND v.table_name = :name
AND INSTR(v.view_definition, CONCAT('`', k.referenced_table_schema, '`.`', k.referenced_table_name, '`')) > 0
WHERE k.referenced_table_schema = COALESCE(:place, DATABASE()) AND k.referenced_table_name = :name
OR k.referenced_table_name IS NOT NULL AND v.table_name IS NOT NULL
ORDER BY 1, 2
"""
_TEXT_LENGTHS = """
SELECT column_name, character_maximum_length
FROM information_schema.columns
WHERE table_schema = COALESCE(:place, DATABASE()) AND table_name = :name AND character_maximum_length > 0
"""
# A text that the column's character set lacks becomes "?" here, and an error where it is written.
# Texts for ``CHAR`` lose spaces at their end, and a ``BIT`` is read as the character of its number.
# Of what is too long for a ``VARCHAR``, spaces at the end are cut. The stage's ``utf8mb4_bin`` takes no notice of such
# spaces, and prevails over other collations. By way of ``DECIMAL``, an integer is rounded as where it is written.
_STORED_FORMS = """
SELECT column_name, CASE
WHEN data_type IN ('tinytext', 'text', 'mediumtext', 'longtext', 'varbinary', 'tinyblob', 'blob', 'mediumblob',
'longblob') OR data_type = 'varchar' AND collation_name = 'utf8mb4_bin' THEN '{}'
WHEN data_type = 'varchar'
THEN CONCAT('CONVERT(CONCAT(LEFT({}, ', character_maximum_length, '), RTRIM(SUBSTRING({}, ',
character_maximum_length + 1, '))) USING ', character_set_name, ') COLLATE ', collation_name)
WHEN data_type = 'char'
THEN CONCAT('TRIM(TRAILING '' '' FROM CONVERT({} USING ', character_set_name, ')) COLLATE ', collation_name)
WHEN data_type IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint')
THEN CONCAT('CAST(CAST({} AS DECIMAL(65, 30)) AS ', IF(column_type LIKE '%unsigned%', 'UNSIGNED)', 'SIGNED)'))
WHEN data_type = 'timestamp' THEN CONCAT('CAST({} AS ', REPLACE(column_type, 'timestamp', 'datetime'), ')')
WHEN data_type = 'double' AND numeric_scale IS NOT NULL THEN CONCAT('ROUND({} + 0e0, ', numeric_scale, ')')
WHEN data_type = 'double' THEN '({} + 0e0)'
WHEN data_type = 'float' AND numeric_scale IS NOT NULL THEN CONCAT('CAST(ROUND({}, ', numeric_scale, ') AS FLOAT)')
WHEN data_type = 'float' THEN 'CAST({} AS FLOAT)'
WHEN data_type = 'bit' AND numeric_precision < 8 THEN 'IF({} IS NULL, NULL, CHAR({} USING utf8mb4))'
WHEN data_type IN ('decimal', 'date', 'datetime', 'uuid')
THEN CONCAT('CAST({} AS ', REPLACE(REPLACE(column_type, ' unsigned', ''), ' zerofill', ''), ')') END
FROM information_schema.columns
WHERE table_schema = COALESCE(:place, DATABASE()) AND table_name = :name
"""
# A ``TIMESTAMP`` is a moment, which a session reads and writes in its own time zone; ours are in UTC.
_WRITTEN_FORMS = """
SELECT column_name, 'CONVERT_TZ({}, ''+00:00'', @@SESSION.time_zone)'
FROM information_schema.columns
WHERE table_schema = COALESCE(:place, DATABASE()) AND table_name = :name AND data_type = 'timestamp'
"""
_ENGINE_WITHOUT_TRANSACTIONS = """
SELECT t.engine FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine
WHERE t.table_schema = COALESCE(:place, DATABASE()) AND t.table_name = :name AND e.transactions <> 'YES'
"""
_PORTION_CHARACTERS = 256 * 1024
_CONDITIONS = """
SELECT index_name, CONCAT('UNIQUE (', GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR ', '), ')')
FROM information_schema.statistics
WHERE table_schema = COALESCE(:place, DATABASE()) AND table_name = :name AND non_unique = 0
GROUP BY index_name
UNION ALL
SELECT c.constraint_name, CONCAT('CHECK ', c.check_clause)
FROM information_schema.check_constraints c JOIN information_schema.table_constraints t
ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name
WHERE t.table_schema = COALESCE(:place, DATABASE()) AND t.table_name = :name AND t.constraint_type = 'CHECK'
"""
_COLUMN = r"[`']([^`'.]+)[`']"
_DUPLICATE = re.compile(r"Duplicate entry .* for key '(?:[^'.]+\.)?([^'.]+)'", re.DOTALL)
_MISFIT = re.compile(rf".* for column (?:\S+\.)?{_COLUMN} at row \d+", re.DOTALL)


def _code(error: Any) -> str:
    """Return the number of an error; for what a cluster forbids, which shares its number with others, ``PXC``."""
    number = first_argument(error)
    forbids = number == "1105" and whole_text(error).startswith("Percona-XtraDB-Cluster prohibits")
    return "PXC" if forbids else number


def _adopt(connection: Any) -> None:
    if driver_package(connection) == "MySQLdb":
        from MySQLdb.cursors import Cursor

        connection.cursorclass = Cursor


def _prepare(connection: Any) -> None:
    """Send and receive all of Unicode, and refuse values that do not fit instead of cutting them.

    Settings that protect people who type SQL, or turn empty texts into NULL, do not apply.
    """
    if hasattr(connection, "set_character_set"):
        connection.set_character_set("utf8mb4")
    cursor = connection.cursor()
    cursor.execute("SET NAMES utf8mb4")
    cursor.execute("SET SESSION sql_safe_updates = 0, sql_big_selects = 1")
    cursor.execute("SELECT @@SESSION.sql_mode")
    modes = {mode for mode in str(cursor.fetchone()[0] or "").split(",") if mode != "EMPTY_STRING_IS_NULL"}
    cursor.execute("SET SESSION sql_mode = %s", (",".join(filter(None, modes | {"STRICT_ALL_TABLES"})),))
    cursor.close()


def _insert_in_portions(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows by statements that servers take: MySQL Connector makes a single one of all rows."""
    portion: list[Row] = []
    size = 0
    for row in rows:
        characters = sum(len(value) if isinstance(value, str) else 32 for value in row)
        if portion and size + characters > _PORTION_CHARACTERS:
            execute_many(connection, table, portion)
            portion, size = [], 0
        if characters > _PORTION_CHARACTERS:
            _check_packet(connection, characters)
        portion.append(row)
        size += characters
    execute_many(connection, table, portion)


def _check_packet(connection: Connection, characters: int) -> None:
    """Refuse a row on which the server would hang up, often before it can be read why.

    Raises:
        LoadConfigurationError: The server takes no row of that size.
    """
    most = connection.execute(sa.text("SELECT @@max_allowed_packet")).scalar_one()
    if characters > most:
        raise LoadConfigurationError(
            f"A row has {characters:,} characters, and the server takes {most:,} bytes at once (1153: "
            "max_allowed_packet). Raise that setting, or leave the long column out."
        )


def _check(connection: Connection, table: sa.Table) -> None:
    """Refuse a table in an engine without transactions.

    Raises:
        LoadConfigurationError: The table is in such an engine.
    """
    if engine := ask_catalog(connection, table, _ENGINE_WITHOUT_TRANSACTIONS).scalar():
        raise LoadConfigurationError(
            f"{table.name} is a table of the engine {engine}, which has no transactions: ALTER TABLE .. ENGINE=InnoDB."
        )


def _foreign_tables(connection: Connection, schema: str | None, names: Sequence[str]) -> list[str]:
    query = sa.text(_NO_TABLES).bindparams(sa.bindparam("names", expanding=True))
    found = connection.execute(query, {"place": schema, "names": list(names)})
    return [f"{name} (no table)" for name in found.scalars()]


def _lock(_default: str | None, table: sa.Table, secret: str, seconds: int) -> sa.Select[Any]:
    """Return the query that answers 1 once this session holds the lock of a table's name."""
    place = sa.func.coalesce(table.schema, sa.func.database())
    name = sa.func.concat("cleanlist ", sa.func.md5(sa.func.concat(secret, " ", place, ".", table.name)))
    return sa.select(sa.func.get_lock(name, seconds))


def _differs(old: ColumnElement[Any], new: ColumnElement[Any], _: ColumnType) -> ColumnElement[bool]:
    """Return whether two values differ as bytes of text: collations ignore case, accents or spaces at the end."""
    stored, given = (sa.cast(sa.cast(value, _CHARACTERS), sa.BINARY()) for value in (old, new))
    return stored.is_distinct_from(given)


MYSQL = Database(
    name="mysql",
    types=DatabaseTypes(
        text=_TEXT,
        timestamp=mysql.DATETIME(fsp=6),
        json=_TEXT,
        key=mysql.VARCHAR(_KEY_LENGTH, **_EXACT),
        document=_TEXT,
    ),
    errors=ErrorCodes(
        keyless=any_of("1173 3750"),
        code=first_argument,
        category=_code,
        denied=any_of("1044 1142 1143 1227"),
        too_long=any_of("1406"),
        check=any_of("3819 4025"),
        unique=any_of("1062 1586"),
        raised=any_of("1644"),
        no_access=re.compile("^(?:1044|1045|1049|1698) "),
        column=_MISFIT,
        key=_DUPLICATE,
        missing=any_of("1146 1049"),
        configuration=any_of(_ABOUT_OBJECTS, "PXC 1064 1071 1101 1103 1118 1166 1170 1267 1792"),
        data=any_of(_ABOUT_COLUMNS, "1265 1292 1366 1644 3140"),
        harmless=any_of(_ABOUT_OBJECTS, _ABOUT_COLUMNS, "PXC 1205 1213 1792 2006 2013"),
    ),
    connects_by_hook=True,
    drivers_by_url=frozenset({"pymysql"}),
    adopt=_adopt,
    prepare=_prepare,
    ignores_case=True,
    unquotable={"mysqlconnector": "%"},  # it is doubled, and sent so where a statement has no parameters
    table_options={"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"},
    keys_stages=True,
    check_target=_check,
    text_lengths=lengths_by_query(_TEXT_LENGTHS),
    stored_forms=stored_by_query(_STORED_FORMS),
    text_form="CONVERT({} USING utf8mb4) COLLATE utf8mb4_bin",
    written_forms=forms_by_query(_WRITTEN_FORMS),
    insert_by_driver={"mysqlconnector": _insert_in_portions},
    conditions=texts_by_query(_CONDITIONS),
    referring_keys=keys_by_query(_REFERRING_KEYS),
    foreign_tables=_foreign_tables,
    update=update_from,
    differs=_differs,
    folds_keys=True,
    # By name, because LOCK TABLES would end the transaction.
    lock=NamedLock(statement=_lock, is_granted=lambda answer: answer == 1, by_session=True),
)
MARIADB = replace(MYSQL, name="mariadb", connects_by_hook=False)
