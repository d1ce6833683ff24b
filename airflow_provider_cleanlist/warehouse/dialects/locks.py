"""How loads into one table wait for each other while they publish, without holding up readers.

Without a lock, two loads that find the same rows missing would both insert them, unless a primary key stops one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_cleanlist.warehouse.errors import LoadError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

LOCK_ROW = "lock"
"""Row of the table of loads in flight that is no load; its fingerprint is the secret of locks by name."""


def spellings(name: str, schema: str | None, default_schema: str | None) -> frozenset[str]:
    """Return how the table of loads in flight may give a table: its default schema can be named or left out.

    Args:
        name: The table.
        schema: Its schema, if it is named.
        default_schema: Where the connection looks for a table without a schema; None if that is unknown.
    """
    named = {f"{schema}.{name}" if schema else name}
    if default_schema and schema in (None, default_schema):
        named |= {name, f"{default_schema}.{name}"}
    return frozenset(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock of a table or a row, which nobody can hold without rights on it.

    Args:
        statement: Makes the statement that waits for the lock: of the connection's default schema, the target, and the
            table of loads in flight, which has a row of this load.
        excludes_writers: Whether nobody at all can write to the target while it is held.
    """

    statement: Callable[[str | None, sa.Table, sa.Table], Any]
    excludes_writers: bool = False

    def take(self, connection: Connection, target: sa.Table, registry: sa.Table) -> None:
        """Keep other loads out of a table until the transaction ends.

        Args:
            connection: An open connection at the beginning of a transaction.
            target: The table.
            registry: The table of loads in flight.
        """
        connection.execute(self.statement(connection.dialect.default_schema_name, target, registry))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLock:
    """A lock by a name, which every account of the server can hold that knows it.

    So the name rests on a secret, which whoever has no rights on the table of loads in flight cannot read.

    Args:
        statement: Makes the statement that waits for the lock: of the connection's default schema, the target, the
            secret and ``seconds``.
        is_granted: Whether the statement's answer means that the lock is held.
        seconds: How long it waits.
        by_session: Whether the lock is held until the session ends instead of the transaction.
    """

    statement: Callable[[str | None, sa.Table, str, int], Any]
    is_granted: Callable[[Any], bool]
    seconds: int = 600
    by_session: bool = False
    excludes_writers = False

    def prepare(self, engine: Engine, registry: sa.Table) -> None:
        """Make the secret, unless another load has.

        Args:
            engine: The warehouse.
            registry: The table of loads in flight.
        """
        with engine.connect() as connection:
            if connection.execute(secret_query(registry)).scalar() is not None:
                return
        row = {"stage": LOCK_ROW, "fingerprint": secrets.token_hex(16)}
        try:
            with engine.begin() as connection:
                connection.execute(registry.insert().values(row))
        except sa.exc.IntegrityError:  # at this very moment
            pass

    def take(self, connection: Connection, target: sa.Table, registry: sa.Table) -> None:
        """Keep other loads out of a table until the transaction or the session ends.

        Args:
            connection: An open connection at the beginning of a transaction.
            target: The table.
            registry: The table of loads in flight.

        Raises:
            LoadError: Other loads hold it for too long, or somebody has deleted the secret.
        """
        if self.by_session:
            connection.detach()  # it would go back to the pool with the lock
        # Shared, because MySQL would answer all later queries of the transaction as of before the wait.
        secret = connection.execute(secret_query(registry).with_for_update(read=True)).scalar()
        if secret is None:
            raise LoadError(
                f"The row {LOCK_ROW!r} of {registry.name}, by which loads wait for each other, is missing or empty: "
                "delete it if it is there. The next attempt makes it anew."
            )
        statement = self.statement(connection.dialect.default_schema_name, target, secret, self.seconds)
        if not self.is_granted(connection.execute(statement).scalar()):
            raise LoadError(f"Other loads into {target.name} did not end within {self.seconds} s.")


def secret_query(registry: sa.Table) -> sa.Select[Any]:
    """Return the query for the secret of locks by name.

    Args:
        registry: The table of loads in flight.
    """
    return sa.select(registry.c.fingerprint).where(registry.c.stage == LOCK_ROW)
