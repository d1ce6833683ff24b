"""The numbers that the page shows, and what follows from them. Pure: time and permissions are passed in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Generic, TypeVar

PERIODS = (7, 30, 90, 365)
"""How many days back the page can look."""
DEFAULT_PERIOD = 30
PACE_DAYS = 30
"""Days whose average is the pace at which credits are spent."""

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of the ledger a page is about: everything, a DAG run, a task, or one map index of it.

    Attributes:
        dag_id: The DAG, or None for everything.
        run_id: The DAG run.
        task_id: The task, or None for the whole run.
        map_index: The map index, or None for all.
    """

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it is the whole ledger."""
        return self.dag_id is None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over batches.

    Attributes:
        contacts: Contacts submitted.
        credits_spent: Credits that finds have cost, where the end of the workflow is known.
        open_credits: Credits that the other batches may still cost, at most.
        email_lookups: Contacts whose email was looked up, in workflows that ended with a count.
        emails_found: Emails found for them.
        phone_lookups: Contacts whose phone was looked up, in workflows that ended with a count.
        phones_found: Phones found for them.
    """

    contacts: int = 0
    credits_spent: int = 0
    open_credits: int = 0
    email_lookups: int = 0
    emails_found: int = 0
    phone_lookups: int = 0
    phones_found: int = 0

    @property
    def email_percent(self) -> float | None:
        """Lookups that found an email, in per cent; None without lookups."""
        return percent(self.emails_found, self.email_lookups)

    @property
    def phone_percent(self) -> float | None:
        """Lookups that found a phone, in per cent; None without lookups."""
        return percent(self.phones_found, self.phone_lookups)


SUMS = tuple(column.name for column in fields(Sums))
"""Names of the sums."""
values_of: Callable[[Sums], tuple[int, ...]] = attrgetter(*SUMS)
"""Returns the sums in that order."""


def added(items: Iterable[Sums]) -> Sums:
    """Return the sum of sums, column by column: a page with thousands of DAGs adds tens of thousands.

    Args:
        items: The sums.
    """
    return Sums(*map(sum, zip(*map(values_of, items), strict=True)))


def percent(part: int, whole: int) -> float | None:
    """Return a share in per cent, or None of nothing.

    Args:
        part: The part.
        whole: The whole.
    """
    return 100 * part / whole if whole else None


@dataclass(frozen=True, slots=True)
class TaskPlace:
    """A task instance, as the ledger names it.

    Attributes:
        dag_id: Its DAG.
        run_id: Its DAG run.
        task_id: Its task.
        map_index: Its map index; -1 where the task is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far the workflows of a task have come.

    Attributes:
        place: The task, with map index -1 for all of them.
        workflows: Workflows that it submitted.
        ended: Those whose end is recorded.
        contacts: Contacts that it submitted.
        contacts_ended: Those in workflows whose end is recorded.
        since: When the first was submitted.
    """

    place: TaskPlace
    workflows: int
    ended: int
    contacts: int
    contacts_ended: int
    since: datetime

    @property
    def percent(self) -> float:
        """Contacts in workflows that have ended, in per cent."""
        return percent(self.contacts_ended, self.contacts) or 0.0


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch of which nobody knows whether it was accepted, or whose request is on its way.

    Attributes:
        place: The task that submitted it.
        contacts: Contacts in it.
        worst_case_credits: Credits that it may have cost, at most.
        submitted_at: When its request was about to leave.
        decision: What a person has decided about it: ``skip``, ``resubmit`` or ``stop``; empty if nobody has.
        decided_by: Name of that person.
        decided_at: When; None if nobody has.
    """

    place: TaskPlace
    contacts: int
    worst_case_credits: int
    submitted_at: datetime
    decision: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """The newest of the things that a reader may see, and how many there are besides.

    Attributes:
        items: The newest, newest first.
        older: How many more the reader may see.
        hidden: How many belong to DAGs that the reader may not read.
    """

    items: tuple[T, ...] = ()
    older: int = 0
    hidden: int = 0

    def __bool__(self) -> bool:
        return bool(self.items or self.older or self.hidden)


@dataclass(frozen=True, slots=True)
class Pace:
    """What was spent in the last :data:`PACE_DAYS` days.

    Attributes:
        credits_spent: Credits, as far as ends of workflows are recorded.
        first_at: The first submission of the organisation, or None.
    """

    credits_spent: int = 0
    first_at: datetime | None = None

    def per_day(self, now: datetime) -> float:
        """Return the credits spent in a day, on average; of an organisation that began later, since it began.

        Args:
            now: The current time.
        """
        if self.first_at is None:
            return 0.0
        return self.credits_spent / min(PACE_DAYS, max(1.0, (now - self.first_at) / timedelta(days=1)))


def days_left(balance: float, pace: Pace, now: datetime) -> float | None:
    """Return for how many days credits last at a pace; None if nothing is spent.

    Args:
        balance: Credits left.
        pace: The pace.
        now: The current time.
    """
    per_day = pace.per_day(now)
    return max(0.0, balance) / per_day if per_day else None


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """What the ledger says of one organisation and scope.

    Attributes:
        organisation: Whose numbers these are; empty while the ledger knows nobody.
        organisations: All that the ledger knows.
        by_day: Sums by day of submission (UTC), oldest first; days without any are missing.
        by_dag: Sums by DAG and enrichment type.
        pace: What was spent lately.
        in_flight: Tasks with workflows whose end is not recorded.
        on_their_way: Requests that were about to leave a short time ago and have no answer yet.
        unknown: Batches of unknown outcome.
        is_of_whole_run: Whether these are the numbers of a DAG run because its task that was asked for has none.
    """

    organisation: str = ""
    organisations: tuple[str, ...] = ()
    by_day: tuple[tuple[date, Sums], ...] = ()
    by_dag: tuple[tuple[tuple[str, str], Sums], ...] = ()
    pace: Pace = field(default_factory=Pace)
    in_flight: Listing[TaskProgress] = field(default_factory=Listing)
    on_their_way: Listing[OpenBatch] = field(default_factory=Listing)
    unknown: Listing[OpenBatch] = field(default_factory=Listing)
    is_of_whole_run: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was submitted."""
        return not self.by_dag and not self.unknown

    @property
    def total(self) -> Sums:
        """The sum of everything."""
        return added(sums for _, sums in self.by_dag)

    def dags(self, readable: Collection[str]) -> list[tuple[str | None, Sums]]:
        """Return sums by DAG, dearest first; those that the reader may not read are one, last, under None.

        Args:
            readable: DAGs that the reader may read.
        """
        groups = grouped((dag_id if dag_id in readable else None, sums) for (dag_id, _), sums in self.by_dag)
        return sorted(
            groups.items(), key=lambda item: (item[0] is None, -item[1].credits_spent, item[0] or "")
        )

    def types(self) -> list[tuple[str, Sums]]:
        """Return sums by enrichment type, dearest first."""
        groups = grouped((kind, sums) for (_, kind), sums in self.by_dag)
        return sorted(groups.items(), key=lambda item: (-item[1].credits_spent, item[0]))

    def days(self, today: date, period: int) -> list[tuple[date, Sums]]:
        """Return sums by day, oldest first, without gaps.

        Args:
            today: The last day.
            period: How many days.
        """
        known: Mapping[date, Sums] = dict(self.by_day)
        days = [today - timedelta(days=back) for back in range(period - 1, -1, -1)]
        return [(day, known.get(day, Sums())) for day in days]


def grouped(items: Iterable[tuple[K, Sums]]) -> dict[K, Sums]:
    """Return the sums of each group.

    Args:
        items: Groups and numbers.
    """
    groups: dict[K, list[Sums]] = {}
    for key, sums in items:
        groups.setdefault(key, []).append(sums)
    return {key: several[0] if len(several) == 1 else added(several) for key, several in groups.items()}


def start_of_period(now: datetime, period: int) -> datetime:
    """Return the first moment (UTC) of a period of whole days that ends with today.

    Args:
        now: The current time.
        period: How many days.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=period - 1)
