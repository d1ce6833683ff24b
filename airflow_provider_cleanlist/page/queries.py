"""The queries behind the page. They read batches only, never a contact, and change nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from airflow_provider_cleanlist.client.enrichment import EnrichmentType
from airflow_provider_cleanlist.page.figures import (
    PACE_DAYS,
    LedgerFigures,
    Listing,
    OpenBatch,
    Pace,
    Scope,
    Sums,
    TaskPlace,
    TaskProgress,
    start_of_period,
)
from airflow_provider_cleanlist.submission.history import IN_FLIGHT_SECONDS, BatchState
from airflow_provider_cleanlist.submission.journal import DECIDED_BY_LENGTH
from airflow_provider_cleanlist.submission.ledger.tables import (
    DATABASES,
    ID_LENGTH,
    LEDGER_VERSION,
    ORGANISATION_LENGTH,
    LedgerTables,
    ledger_tables,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

log = logging.getLogger(__name__)

T = TypeVar("T")

STATEMENT_SECONDS = 5
"""How long a query may take."""
LONGEST_LIST = 100
"""Rows of a list at most: workflows in flight, requests on their way, unknown outcomes."""
WAITED_FOR_DAYS = 2
"""Days after which a workflow without a recorded end counts as one that nobody waited for."""
OLDEST_DAYS = 365
"""Days after which an unknown outcome is not shown."""


class LedgerProblem(Enum):
    """Why there are no numbers of the ledger."""

    NOT_CONFIGURED = "not configured"
    NOT_MADE = "not made"
    UNUSABLE = "unusable"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    OLDER = "older"
    NEWER = "newer"
    LATE = "late"


class ReadError(Exception):
    """The ledger was reached, and a query of it failed.

    Args:
        problem: What that means.
    """

    def __init__(self, problem: LedgerProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Question:
    """What a page wants to know of the ledger.

    Attributes:
        scope: The part of the ledger.
        period: How many days back.
        organisation: Whose numbers; empty for the one of the connection.
        readable: DAGs that the reader may read. Lists hold nothing of others, which are only counted.
    """

    scope: Scope
    period: int
    organisation: str = ""
    readable: frozenset[str] = frozenset()


def ask(
    engine: Engine, schema: str | None, question: Question, key_hash: str, now: datetime
) -> LedgerFigures | LedgerProblem:
    """Return what the ledger says; of a task that is not in it, what it says of the task's DAG run.

    Args:
        engine: The ledger's database.
        schema: Schema of its tables; None for the connection's own.
        question: What is wanted.
        key_hash: Hash of the connection's host and key, whose organisation is the default; empty if there is none.
        now: The current time.

    Raises:
        ReadError: A query failed.
    """
    if engine.dialect.name not in DATABASES:
        return LedgerProblem.UNUSABLE
    tables = ledger_tables(schema)
    with _reading(engine) as connection, _failures():
        problem = _distrust(connection, tables) or _problem(connection, tables)
        if problem is not None:
            return problem
        organisations = _organisations(connection, tables, key_hash)
        if not organisations:
            return LedgerFigures()
        organisation = question.organisation if question.organisation in organisations else organisations[0]
        reader = _Reader(connection, tables, organisation, question, now)
        figures = _figures(reader, tuple(sorted(organisations)))
        scope = question.scope
        if figures.is_empty and scope.task_id is not None:
            run = replace(question, scope=Scope(scope.dag_id, scope.run_id))
            figures = _figures(replace(reader, question=run), figures.organisations)
            figures = replace(figures, is_of_whole_run=True)
        return figures


@contextmanager
def _failures() -> Iterator[None]:
    """Tell a query that took too long from one that failed; a connection that was lost is neither."""
    begun = time.monotonic()
    try:
        yield
    except Exception as error:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            raise
        is_late = time.monotonic() - begun >= STATEMENT_SECONDS
        raise ReadError(LedgerProblem.LATE if is_late else LedgerProblem.UNREADABLE) from error


def _distrust(connection: Connection, tables: LedgerTables) -> LedgerProblem | None:
    """Refuse tables by which somebody else could act with the rights of the page; to be asked before they are read."""
    found = tables.foreign(connection)
    if not found:
        return None
    log.warning(
        "The page does not read %s: what somebody else's table or view has in policies or functions would run with the "
        "rights of its connection. If a role of yours made it on PostgreSQL, name its schema in [cleanlist] "
        "ledger_schema if that role owns it, or ALTER TABLE .. OWNER TO a role of which the connection's user is a "
        "member.",
        ", ".join(found),
    )
    return LedgerProblem.UNREADABLE


def _problem(connection: Connection, tables: LedgerTables) -> LedgerProblem | None:
    """Return why the tables cannot be read by this release, or None if they can."""
    inspector, version = sa.inspect(connection), tables.ledger
    if not inspector.has_table(tables.batches.name, schema=tables.batches.schema):
        return LedgerProblem.NOT_MADE
    if not inspector.has_table(version.name, schema=version.schema):
        return None
    found = connection.execute(sa.select(sa.func.max(version.c.version))).scalar()
    if found is None or found == LEDGER_VERSION:
        return None
    return LedgerProblem.OLDER if found < LEDGER_VERSION else LedgerProblem.NEWER


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """Yield a connection whose statements end in time and write nothing; it is closed afterwards.

    The transaction is rolled back, because messages of ``NOTIFY`` leave a read-only one with its commit.
    """
    kind = engine.dialect.name
    with engine.connect() as connection, connection.begin() as transaction:
        connection.detach()
        if kind == "postgresql":
            connection.exec_driver_sql(
                f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
            )
        elif kind == "sqlite":
            end = time.monotonic() + STATEMENT_SECONDS
            driver: Any = connection.connection.dbapi_connection
            driver.set_progress_handler(lambda: time.monotonic() > end, 100_000)
        else:
            is_mariadb = getattr(engine.dialect, "is_mariadb", False)
            limit = "max_statement_time = " if is_mariadb else "max_execution_time = 1000 * "
            connection.exec_driver_sql(f"SET SESSION {limit}{STATEMENT_SECONDS}")
            connection.exec_driver_sql("START TRANSACTION READ ONLY")
        yield connection
        transaction.rollback()


def _organisations(connection: Connection, tables: LedgerTables, key_hash: str) -> list[str]:
    """Return the organisations that the ledger knows, that of the connection's key first."""
    query = sa.select(tables.organisations.c.organisation).order_by(tables.organisations.c.first_seen_at)
    known = [str(row[0])[:ORGANISATION_LENGTH] for row in connection.execute(query)]
    keys = tables.keys.c
    own = connection.execute(sa.select(keys.organisation).where(keys.key_hash == key_hash)).scalar()
    return sorted(known, key=lambda organisation: organisation != own)


@dataclass(frozen=True, slots=True)
class _Reader:
    """One organisation's batches, as a question sees them."""

    connection: Connection
    tables: LedgerTables
    organisation: str
    question: Question
    now: datetime

    def batches(self, days: int, *conditions: Any) -> Any:
        """Return the conditions of a query for batches of the scope and the last days."""
        columns, scope = self.tables.batches.c, self.question.scope
        within = [
            column == value
            for column, value in (
                (columns.dag_id, scope.dag_id),
                (columns.run_id, scope.run_id),
                (columns.task_id, scope.task_id),
                (columns.map_index, scope.map_index),
            )
            if value is not None
        ]
        if scope.is_everything:
            within.append(columns.submitted_at >= start_of_period(self.now, days))
        return sa.and_(columns.organisation == self.organisation, *within, *conditions)

    def rows(self, query: Any) -> Sequence[Any]:
        """Return the rows of a query."""
        return self.connection.execute(query).all()

    def newest(self, query: Any, moment: str, as_item: Callable[[Any], T]) -> Listing[T]:
        """Return the newest rows of DAGs that the reader may read, and how many others there are.

        Args:
            query: Selects rows with a ``dag_id``.
            moment: The column that says when.
            as_item: Makes an item of a row.
        """
        table = query.subquery()
        when, dag_id = table.c[moment], table.c.dag_id
        by_dag = self.rows(
            sa.select(dag_id, sa.func.count()).group_by(dag_id).order_by(sa.func.max(when).desc())
        )
        readable = [row for row in by_dag if row[0] in self.question.readable]
        number = sum(row[1] for row in readable)
        # The newest of all are of those DAGs whose newest is the newest: so many rows, no more DAGs.
        dags = [row[0] for row in readable[:LONGEST_LIST]]
        found = sa.select(table).where(dag_id.in_(dags)).order_by(when.desc()).limit(LONGEST_LIST)
        items = tuple(map(as_item, self.rows(found))) if dags else ()
        return Listing(items, number - len(items), sum(row[1] for row in by_dag) - number)


def _figures(reader: _Reader, organisations: tuple[str, ...]) -> LedgerFigures:
    return LedgerFigures(
        organisation=reader.organisation,
        organisations=organisations,
        by_day=_by_day(reader),
        by_dag=_by_dag(reader),
        pace=_pace(reader),
        in_flight=_in_flight(reader),
        on_their_way=_open_batches(reader, is_on_its_way=True),
        unknown=_open_batches(reader, is_on_its_way=False),
    )


_EMAILS = (EnrichmentType.PARTIAL.value, EnrichmentType.FULL.value)
_PHONES = (EnrichmentType.PHONE_ONLY.value, EnrichmentType.FULL.value)


def _sums(columns: Any) -> list[Any]:
    """Return the columns of :class:`Sums`, in its order."""

    def total(value: Any, *conditions: Any) -> Any:
        counted = sa.case((sa.and_(*conditions), value), else_=0) if conditions else value
        return sa.func.coalesce(sa.func.sum(counted), 0)

    emails = columns.enrichment_type.in_(_EMAILS), columns.emails_found.is_not(None)
    phones = columns.enrichment_type.in_(_PHONES), columns.phones_found.is_not(None)
    return [
        total(columns.contacts),
        total(columns.credits_spent, columns.credits_spent.is_not(None)),
        total(columns.worst_case_credits, columns.credits_spent.is_(None)),
        total(columns.contacts, *emails),
        total(columns.emails_found, *emails),
        total(columns.contacts, *phones),
        total(columns.phones_found, *phones),
    ]


def _by_day(reader: _Reader) -> tuple[tuple[date, Sums], ...]:
    columns = reader.tables.batches.c
    moment: Any = columns.submitted_at
    if reader.connection.dialect.name == "postgresql":
        moment = sa.func.timezone(sa.literal_column("'UTC'"), moment)  # a parameter would not group
    day = sa.func.date(moment)
    condition = reader.batches(reader.question.period, columns.state != BatchState.REJECTED.value)
    rows = reader.rows(sa.select(day, *_sums(columns)).where(condition).group_by(day).order_by(day))
    return tuple((date.fromisoformat(str(row[0])[:10]), Sums(*map(int, row[1:]))) for row in rows)


def _by_dag(reader: _Reader) -> tuple[tuple[tuple[str, str], Sums], ...]:
    columns = reader.tables.batches.c
    keys = columns.dag_id, columns.enrichment_type
    condition = reader.batches(reader.question.period, columns.state != BatchState.REJECTED.value)
    rows = reader.rows(sa.select(*keys, *_sums(columns)).where(condition).group_by(*keys))
    return tuple(
        ((str(row[0])[:ID_LENGTH], str(row[1])[:ID_LENGTH]), Sums(*map(int, row[2:]))) for row in rows
    )


def _pace(reader: _Reader) -> Pace:
    columns = reader.tables.batches.c
    condition = reader.batches(PACE_DAYS, columns.state != BatchState.REJECTED.value)
    spent = sa.func.coalesce(sa.func.sum(columns.credits_spent), 0)
    first = sa.select(sa.func.min(columns.submitted_at)).where(columns.organisation == reader.organisation)
    (row,) = reader.rows(sa.select(spent, first.scalar_subquery()).where(condition))
    return Pace(int(row[0]), row[1])


def _in_flight(reader: _Reader) -> Listing[TaskProgress]:
    columns = reader.tables.batches.c
    keys = columns.dag_id, columns.run_id, columns.task_id
    ended = columns.ended_at.is_not(None)
    workflows = sa.func.count().label("workflows")
    count_ended = sa.func.sum(sa.case((ended, 1), else_=0)).label("ended")
    contacts = sa.func.sum(columns.contacts).label("contacts")
    contacts_ended = sa.func.sum(sa.case((ended, columns.contacts), else_=0)).label("contacts_ended")
    since = sa.func.min(columns.submitted_at).label("since")
    is_recent = columns.submitted_at >= reader.now - timedelta(days=WAITED_FOR_DAYS)
    condition = reader.batches(WAITED_FOR_DAYS + 1, columns.state == BatchState.ACCEPTED.value, is_recent)
    query = (
        sa.select(*keys, workflows, count_ended, contacts, contacts_ended, since)
        .where(condition)
        .group_by(*keys)
        .having(count_ended < workflows)
    )
    return reader.newest(
        query,
        "since",
        lambda row: TaskProgress(
            _place(row), int(row[3]), int(row[4]), int(row[5]), int(row[6]), _aware(row[7])
        ),
    )


def _open_batches(reader: _Reader, *, is_on_its_way: bool) -> Listing[OpenBatch]:
    columns = reader.tables.batches.c
    recent = reader.now - timedelta(seconds=IN_FLIGHT_SECONDS)
    intent, unknown = columns.state == BatchState.INTENT.value, columns.state == BatchState.UNKNOWN.value
    if is_on_its_way:
        condition = sa.and_(intent, columns.changed_at > recent)
    else:
        condition = sa.or_(unknown, sa.and_(intent, columns.changed_at <= recent))
    place = columns.dag_id, columns.run_id, columns.task_id, columns.map_index
    size = columns.contacts, columns.worst_case_credits, columns.submitted_at
    decided = columns.decision, columns.decided_by, columns.decided_at
    query = sa.select(*place, *size, *decided).where(reader.batches(OLDEST_DAYS, condition))
    return reader.newest(
        query,
        "submitted_at",
        lambda row: OpenBatch(
            _place(row, int(row[3])),
            int(row[4]),
            int(row[5]),
            row[6],
            (row[7] or "")[:ID_LENGTH],
            (row[8] or "")[:DECIDED_BY_LENGTH],
            row[9],
        ),
    )


def _place(row: Any, map_index: int = -1) -> TaskPlace:
    """Return the task that a row begins with, its ids as long as their columns say; SQLite takes longer ones."""
    dag_id, run_id, task_id = (str(text)[:ID_LENGTH] for text in row[:3])
    return TaskPlace(dag_id, run_id, task_id, map_index)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
