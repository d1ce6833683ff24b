"""How the ledger's tables are made, and brought up to date."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_cleanlist.submission.errors import JournalConfigurationError
from airflow_provider_cleanlist.submission.ledger.tables import (
    LEDGER_VERSION,
    LOCK_PATIENCE_SECONDS,
    LOCKED,
    NOT_ALLOWED,
    LedgerTables,
    database_errors,
    error_codes,
    table_missing,
    transaction,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine


_ATTEMPTS = 30
"""More than there are tables, columns and rows that others can make in the meantime."""
_EXISTS = {"42P07", "42710", "42701", "23505", "1050", "1060", "1062"}
"""Codes for a table, its type, a column or a row that exists."""
_LOCK_SECONDS = 3
"""How long a change of the tables waits at once, in seconds.

Everybody who comes after it waits behind it, and it waits for whoever has read them in a transaction.
"""


def set_up(engine: Engine, tables: LedgerTables, name: str) -> None:
    """Create the tables, or bring those of an older release up to date; refuse those of somebody else.

    It is safe when several processes do so at the same time: whoever finds that another one has just made what it was
    about to make begins again with what is left. No lock keeps them apart, because those that databases have before
    there is a table can be held by every account. A table that is missing although the others are in use was dropped:
    it is not made anew, because nobody would be known to have been submitted.

    Args:
        engine: The database.
        tables: The tables.
        name: What to call the ledger in errors.

    Raises:
        JournalConfigurationError: They are of a newer release, cannot be made or changed, or belong to somebody who is
            not trusted with our rights.
        JournalUnavailableError: The database does not answer.
    """
    give_up_at = time.monotonic() + LOCK_PATIENCE_SECONDS
    with database_errors(name):
        for left in reversed(range(_ATTEMPTS)):
            try:
                if _version(engine, tables, name) != LEDGER_VERSION:
                    _bring_up_to_date(engine, tables, name)
                return
            except sa.exc.DBAPIError as error:
                codes = error_codes(error)
                is_locked = bool(codes & LOCKED) and time.monotonic() < give_up_at
                if not left or not (codes & _EXISTS or is_locked):
                    raise
                if is_locked:
                    time.sleep(1.0)


def _bring_up_to_date(engine: Engine, tables: LedgerTables, name: str) -> None:
    with transaction(engine, _LOCK_SECONDS) as connection:
        missing = _missing(connection, tables)
        if missing and _are_used(connection, tables, missing) and _missing(connection, tables):
            raise table_missing(name)
        tables.metadata.create_all(connection, checkfirst=True)
        _check_owners(connection, tables, name)  # before a row is written
        _add_missing_columns(connection, tables.batches, name)
        found = connection.execute(sa.select(tables.ledger.c.version)).scalar()
        if found is None:
            connection.execute(tables.ledger.insert().values(version=LEDGER_VERSION))
        elif found < LEDGER_VERSION:
            connection.execute(tables.ledger.update().values(version=LEDGER_VERSION))


def _missing(connection: Connection, tables: LedgerTables) -> set[str]:
    """Return the names of tables that are missing, but for the one that holds nothing but the version."""
    inspector, every = sa.inspect(connection), tables.metadata.tables.values()
    names = {table.name for table in every if not inspector.has_table(table.name, schema=table.schema)}
    return names - {tables.ledger.name}


def _are_used(connection: Connection, tables: LedgerTables, missing: set[str]) -> bool:
    """Return whether something was recorded: a set-up that was interrupted leaves some of the tables, and no row."""
    recorded = [
        table for table in (tables.batches, tables.contacts, tables.attempts) if table.name not in missing
    ]
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() for table in recorded
    )


def _add_missing_columns(connection: Connection, table: sa.Table, name: str) -> None:
    """Add the columns that a table of an older release lacks; none of them needs a value in the rows that are there.

    MySQL and MariaDB commit after each, so a set-up that was interrupted leaves some of them to the next one.
    """
    inspector = sa.inspect(connection)
    present = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
    dialect = connection.dialect
    target = dialect.identifier_preparer.format_table(table)
    statements = [
        f"ALTER TABLE {target} ADD COLUMN {sa.schema.CreateColumn(column).compile(dialect=dialect)}"
        for column in table.columns
        if column.name not in present
    ]
    try:
        for statement in statements:
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        if not error_codes(error) & NOT_ALLOWED:
            raise
        raise JournalConfigurationError(
            f"the ledger {name} has tables of an older release, and its user may not change them: give it ALTER (on "
            f"PostgreSQL, the table's owner has it), or let somebody who may run {'; '.join(statements)}"
        ) from None


def _check_owners(connection: Connection, tables: LedgerTables, name: str) -> None:
    if found := tables.foreign(connection):
        raise JournalConfigurationError(
            f"the ledger {name} does not use {', '.join(found)} as a table of its own: what somebody else's table or "
            "view has in triggers, policies, defaults or functions would run with the rights of this connection. If a "
            "role of yours made it on PostgreSQL, name its schema ([cleanlist] ledger_schema) if that role owns it, or "
            "ALTER TABLE .. OWNER TO the connection's user, or to a role of which it is a member; drop it only if it "
            "never held your ledger"
        )


def _version(engine: Engine, tables: LedgerTables, name: str) -> int | None:
    """Return the version of the tables, once they are known to be ours; None where they are missing."""
    with engine.connect() as connection:
        _check_owners(connection, tables, name)
        if not sa.inspect(connection).has_table(tables.ledger.name, schema=tables.ledger.schema):
            return None
        found = connection.execute(sa.select(sa.func.max(tables.ledger.c.version))).scalar()
    if found is not None and found > LEDGER_VERSION:
        raise JournalConfigurationError(
            f"the ledger {name} has tables of version {found}, and this release knows version {LEDGER_VERSION}: "
            "upgrade the provider on every host that shares the ledger"
        )
    return None if found is None else int(found)
