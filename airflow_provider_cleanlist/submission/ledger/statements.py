"""Statements about many rows at once, in the form that each of the databases is fast with.

PostgreSQL takes the hashes or ids of a whole batch as one text: a statement of some hundred parameters costs its
drivers and SQLAlchemy more time than it costs the server. The other databases' drivers are fast with lists.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from airflow_provider_cleanlist.submission.ledger.tables import API_ID_LENGTH, read_person

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_cleanlist.submission.ledger.tables import LedgerTables


BATCHES_AT_ONCE = 50
"""Batches whose contacts are read together."""


@dataclass(slots=True)
class BatchContacts:
    """The contacts of a batch.

    Attributes:
        identities: Their hashes, one after the other.
        task_ids: The API's task ids, where they are kept.
    """

    identities: bytearray = field(default_factory=bytearray)
    task_ids: list[str] = field(default_factory=list)


class BatchStatements:
    """What is done with the contacts of a batch.

    Args:
        tables: The ledger's tables.
        dialect: SQLAlchemy's name of the database.
    """

    def __init__(self, tables: LedgerTables, dialect: str) -> None:
        self._contacts = tables.contacts
        self._dialect = dialect
        self._batches_of = self._batches_of_persons()
        self._insert = self._insert_contacts()
        self._keep_task_ids = self._update_task_ids()

    def batches_of(
        self, connection: Connection, persons: Sequence[str], organisation: str, without: str
    ) -> Sequence[tuple[str, str]]:
        """Return each person with the batches that it is in.

        Args:
            connection: A connection in a transaction.
            persons: The persons.
            organisation: Whose batches.
            without: A batch that does not count; empty for none.
        """
        parameters = {"persons": self._list(persons), "of_organisation": organisation, "without": without}
        return [(row[0], row[1]) for row in connection.execute(self._batches_of, parameters)]

    def contacts_of(
        self, connection: Connection, batch_ids: Sequence[str], *, keep_task_ids: bool
    ) -> Mapping[str, BatchContacts]:
        """Return the contacts of batches.

        Args:
            connection: A connection in a transaction.
            batch_ids: The batches.
            keep_task_ids: Whether to read the API's task ids, too.
        """
        contacts = self._contacts
        task_id: Any = contacts.c.api_task_id if keep_task_ids else sa.null()
        found: dict[str, BatchContacts] = defaultdict(BatchContacts)
        for start in range(0, len(batch_ids), BATCHES_AT_ONCE):
            query = (
                sa.select(contacts.c.batch_id, contacts.c.person, task_id)
                .where(contacts.c.batch_id.in_(batch_ids[start : start + BATCHES_AT_ONCE]))
                .order_by(contacts.c.batch_id, contacts.c.position)
            )
            for batch_id, person_hash, api_task_id in connection.execute(query):
                found[batch_id].identities += read_person(person_hash)
                if api_task_id:
                    found[batch_id].task_ids.append(api_task_id)
        return found

    def insert(
        self, connection: Connection, batch_id: str, organisation: str, persons: Sequence[str]
    ) -> None:
        """Insert the contacts of a batch.

        Args:
            connection: A connection in a transaction.
            batch_id: The batch.
            organisation: Whose it is.
            persons: The persons, by position.
        """
        whose = {"batch_id": batch_id, "organisation": organisation}
        if self._dialect == "postgresql":
            connection.execute(self._insert, whose | {"persons": self._list(persons)})
        else:
            rows = [
                whose | {"position": position, "person": person} for position, person in enumerate(persons)
            ]
            connection.execute(self._insert, rows)

    def keep_task_ids(self, connection: Connection, batch_id: str, task_ids: Sequence[str]) -> None:
        """Keep the API's task ids of a batch, if each is a text that every database can keep.

        Args:
            connection: A connection in a transaction.
            batch_id: The batch.
            task_ids: One for each contact, by position.
        """
        if not all(len(task_id) <= API_ID_LENGTH and task_id.isprintable() for task_id in task_ids):
            return
        parameters = {"of_batch": batch_id, "task_ids": json.dumps(list(task_ids))}
        connection.execute(self._keep_task_ids, parameters)

    def _list(self, persons: Sequence[str]) -> Any:
        return ",".join(persons) if self._dialect == "postgresql" else list(persons)

    def _batches_of_persons(self) -> Any:
        contacts = self._contacts
        if self._dialect == "postgresql":
            is_one = contacts.c.person == sa.any_(_array("persons"))
        else:
            is_one = contacts.c.person.in_(sa.bindparam("persons", expanding=True))
        return sa.select(contacts.c.person, contacts.c.batch_id).where(
            is_one,
            contacts.c.organisation == sa.bindparam("of_organisation"),
            contacts.c.batch_id != sa.bindparam("without"),
        )

    def _insert_contacts(self) -> Any:
        contacts = self._contacts
        if self._dialect != "postgresql":
            return contacts.insert()
        persons = sa.func.unnest(_array("persons")).table_valued("person", with_ordinality="number")
        rows = persons.render_derived()
        values = {
            "batch_id": sa.bindparam("batch_id", type_=sa.Text),
            "position": rows.c.number - 1,
            "organisation": sa.bindparam("organisation", type_=sa.Text),
            "person": rows.c.person,
        }
        return contacts.insert().from_select(list(values), sa.select(*values.values()))

    def _update_task_ids(self) -> Any:
        contacts = self._contacts
        ids, position = sa.bindparam("task_ids", type_=sa.Text), contacts.c.position
        if self._dialect == "postgresql":
            task_id: Any = sa.cast(ids, postgresql.JSONB).op("->>")(position)
        else:
            path = sa.literal("$[") + sa.cast(position, sa.String) + sa.literal("]")
            task_id = sa.func.json_extract(ids, path)
            if self._dialect != "sqlite":
                task_id = sa.func.json_unquote(task_id)
        is_of_batch = contacts.c.batch_id == sa.bindparam("of_batch")
        return contacts.update().where(is_of_batch).values(api_task_id=task_id)


def _array(parameter: str) -> Any:
    """Return a parameter, texts without commas with commas between them, as an array of PostgreSQL."""
    return sa.func.string_to_array(
        sa.bindparam(parameter, type_=sa.Text), sa.literal(","), type_=postgresql.ARRAY(sa.Text)
    )


def insert_missing(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Insert a row unless its key is there.

    Args:
        connection: A connection in a transaction.
        table: The table, whose key is one column.
        row: The row.
    """
    statement: Any
    match connection.dialect.name:
        case "postgresql":
            statement = postgresql.insert(table).on_conflict_do_nothing()
        case "sqlite":
            statement = sqlite.insert(table).on_conflict_do_nothing()
        case _:
            (key,) = table.primary_key
            statement = mysql.insert(table).on_duplicate_key_update({key.name: key})
    connection.execute(statement, [dict(row)])


def replace(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], newest_by: str | None = None
) -> None:
    """Insert rows, or replace the other columns of those whose key is there.

    Args:
        connection: A connection in a transaction.
        table: The table, whose key is one column.
        rows: The rows, all with the same columns, each key once.
        newest_by: A column with a moment: a row that is there with a later one stays. By default none stays.
    """
    (key,) = table.primary_key
    names = list(rows[0])
    others = [name for name in names if name != key.name]
    statement: Any
    match connection.dialect.name:
        case "postgresql":
            statement = postgresql.insert(table)
        case "sqlite":
            statement = sqlite.insert(table)
        case _:
            statement = mysql.insert(table)
            assigned: dict[str, Any] = {name: statement.inserted[name] for name in others}
            if newest_by is not None:
                is_newer = statement.inserted[newest_by] >= table.c[newest_by]
                assigned = {name: sa.func.if_(is_newer, assigned[name], table.c[name]) for name in others}
            # the moment last, because a later assignment sees what an earlier one has changed
            last = sorted(assigned.items(), key=lambda item: item[0] == newest_by)
            connection.execute(statement.on_duplicate_key_update(last), list(rows))
            return
    parameters: Any = list(rows)
    changed = {name: statement.excluded[name] for name in others}
    is_due = None if newest_by is None else statement.excluded[newest_by] >= table.c[newest_by]
    if connection.dialect.name == "postgresql":
        arrays = [sa.bindparam(name, type_=postgresql.ARRAY(table.c[name].type)) for name in names]
        columns = sa.func.unnest(*arrays).table_valued(*names).render_derived()
        statement = statement.from_select(names, sa.select(*(columns.c[name] for name in names)))
        parameters = {name: [row[name] for row in rows] for name in names}
    upsert = statement.on_conflict_do_update(index_elements=[key], set_=changed, where=is_due)
    connection.execute(upsert, parameters)
