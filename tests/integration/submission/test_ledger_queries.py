"""Every query of ``ledger.md`` and ``howto/cost-reports.md``, as it stands there, on a ledger with known answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cleanlist.submission.ledger import person
from airflow_provider_cleanlist.submission.ledger.set_up import set_up
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[3] / "docs"
PAGES = (DOCS / "ledger.md").read_text() + (DOCS / "howto" / "cost-reports.md").read_text()
TABLES = ledger_tables(None)
SOME_PERSON = "0123456789abcdef01234567"
ADA, BO, CY = (
    {"first_name": name, "last_name": "Quxley", "company_domain": "harborlight.example"}
    for name in ("Ada", "Bo", "Cy")
)


def queries(heading: str) -> list[str]:
    """Return the SQL blocks below a heading of the pages."""
    (section,) = re.findall(rf"^###? {heading}\n(.*?)(?=^#)", PAGES, re.DOTALL | re.MULTILINE)
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Seeded:
    """A ledger and what is put into it."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._numbers = count(1)
        set_up(server.administration, TABLES, "ledger")

    def batch(
        self,
        dag_id: str,
        submitted_at: str,
        *persons: dict[str, str],
        contacts: int = 0,
        state: str = "accepted",
        kind: str = "partial",
        spent: tuple[int | None, int | None, int | None] | None = None,
    ) -> str:
        """Add a batch with these persons; ``spent`` are emails, phones and credits of one that ended."""
        number, moment = next(self._numbers), utc(submitted_at)
        batch_id, contacts = f"{number:032x}", contacts or len(persons)
        row = {
            "batch_id": batch_id,
            "organisation": "org-1",
            "dag_id": dag_id,
            "run_id": f"run-{number}",
            "task_id": "enrich",
            "map_index": -1,
            "try_number": 1,
            "token": "",
            "task_key": f"{number:032x}",
            "state": state,
            "enrichment_type": kind,
            "contacts": contacts,
            "worst_case_credits": contacts * {"partial": 1, "phone_only": 10, "full": 11}[kind],
            "workflow_id": f"wf-{number}" if state == "accepted" else None,
            "note": "",
            "submitted_at": moment,
            "changed_at": moment,
        }
        if spent is not None:
            row |= {"ended_at": moment + timedelta(minutes=5), "workflow_status": "completed"}
            row |= dict(zip(("emails_found", "phones_found", "credits_spent"), spent, strict=True))
        with self.server.administration.begin() as connection:
            connection.execute(TABLES.batches.insert(), row)
            for position, contact in enumerate(persons):
                values = {"batch_id": batch_id, "position": position, "organisation": "org-1"}
                connection.execute(TABLES.contacts.insert(), values | {"person": person(contact)})
        return batch_id

    def attempt(self, run_id: str, opened_at: str) -> None:
        """Add the latest attempt of a task instance."""
        key = {"task_key": f"{next(self._numbers):032x}", "map_index": -1, "try_number": 1, "owner": "0" * 32}
        whose = {"organisation": "org-1", "dag_id": "enrich_crm", "run_id": run_id, "task_id": "enrich"}
        with self.server.administration.begin() as connection:
            connection.execute(TABLES.attempts.insert(), {**key, **whose, "opened_at": utc(opened_at)})

    def source_row(self, source_id: str, contact: dict[str, str], seen_at: str, source: str = "") -> None:
        """Add a row of a source."""
        row = {
            "row_key": f"{next(self._numbers):032x}",
            "organisation": "org-1",
            "source": source or "enrich_crm/enrich",
            "source_id": source_id,
            "person": person(contact),
            "seen_at": utc(seen_at),
        }
        with self.server.administration.begin() as connection:
            connection.execute(TABLES.source_rows.insert(), row)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the answer, with numbers and texts of every database alike."""
        return [tuple(map(plain, row)) for row in self.server.query(query.strip().rstrip(";"))]

    def change(self, statements: str) -> None:
        self.server.run(*(part for part in statements.split(";") if part.strip()))


def plain(value: Any) -> Any:
    """Return a value as every database means it: numbers as float, moments as text to the second."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return value.partition(".")[0] if isinstance(value, str) else float(value)


@pytest.fixture
def ledger(server: Any) -> Seeded:
    if server.kind == "postgresql":
        sa.event.listen(
            server.administration,
            "connect",
            lambda connection, _: connection.cursor().execute("SET TIME ZONE 'UTC'"),
        )
    return Seeded(server)


@pytest.fixture
def spending(ledger: Seeded) -> Seeded:
    """A ledger of two DAGs over two months, with every state that a batch can be in."""
    ledger.batch("crm", "2026-10-31T23:59:59", contacts=100, spent=(60, 0, 60))
    ledger.batch("crm", "2026-11-01T00:00:00", contacts=10, kind="full", spent=(7, 3, 37))
    ledger.batch("crm", "2026-11-03T08:00:00", contacts=5, kind="phone_only", spent=(0, 2, 20))
    ledger.batch("web", "2026-11-04T08:00:00", contacts=40)
    ledger.batch("web", "2026-11-05T08:00:00", contacts=20, state="unknown")
    ledger.batch("web", "2026-11-06T08:00:00", contacts=8, state="rejected")
    ledger.batch("web", "2026-11-07T08:00:00", contacts=3, kind="full", state="intent")
    ledger.batch("web", "2026-11-08T08:00:00", contacts=50, spent=(20, 0, 20))
    ledger.batch("web", "2026-11-09T08:00:00", contacts=4, spent=(None, None, None))
    return ledger


def test_credits_by_dag_this_month(spending: Seeded) -> None:
    (query,) = queries("By DAG this month, and how many lookups found an email")
    assert spending.ask(query) == [("crm", 57, 0, 10, 7), ("web", 20, 40 + 20 + 33 + 4, 50, 20)]


def test_credits_and_find_rates_by_month(spending: Seeded) -> None:
    (query,) = queries("By DAG and month, with find rates")
    assert spending.ask(query) == [
        ("crm", "2026-10", 100, 60, 60, None),
        ("crm", "2026-11", 15, 57, 70, pytest.approx(100 * 5 / 15, abs=0.001)),
        ("web", "2026-11", 54, 20, 40, None),
    ]


def test_credits_by_day(spending: Seeded) -> None:
    (query,) = queries("By day")
    assert spending.ask(query) == [
        ("2026-11-01", 10, 37),
        ("2026-11-03", 5, 20),
        ("2026-11-04", 40, None),
        ("2026-11-05", 20, None),
        ("2026-11-07", 3, None),
        ("2026-11-08", 50, 20),
        ("2026-11-09", 4, None),
    ]


def test_the_most_expensive_runs(spending: Seeded) -> None:
    (query,) = queries("The most expensive runs")
    found = spending.ask(query)
    assert found[:4] == [
        ("web", "run-4", 40, 40),
        ("crm", "run-2", 10, 37),
        ("web", "run-7", 3, 33),
        ("crm", "run-3", 5, 20),
    ]
    assert [row[1] for row in found[4:]] == ["run-5", "run-8", "run-9"]


def test_what_a_contact_costs(spending: Seeded) -> None:
    (query,) = queries("What a contact costs")
    assert spending.ask(query) == [
        ("full", 10, pytest.approx(3.7, abs=0.001)),
        ("partial", 150, pytest.approx(80 / 150, abs=0.001)),
        ("phone_only", 5, 4),
    ]


def test_the_months_budget(spending: Seeded) -> None:
    (query,) = queries("Stop when the month's budget is used")
    used = 57 + 20 + 40 + 20 + 33 + 4
    assert spending.ask(query) == [(1,)]
    assert spending.ask(query.replace("20000", str(used + 1))) == [(1,)]
    assert spending.ask(query.replace("20000", str(used))) == [(0,)]
    assert spending.ask(query.replace("2026-11-01", "2027-01-01")) == [(1,)], "a month without a batch"


def test_outcomes_that_nobody_knows(spending: Seeded) -> None:
    (query,) = queries("Outcomes that nobody knows")
    assert spending.ask(query) == [
        ("web", "run-5", "enrich", -1, 20, 20, "2026-11-05 08:00:00"),
        ("web", "run-7", "enrich", -1, 3, 33, "2026-11-07 08:00:00"),
    ]


def test_all_workflows_of_a_run(spending: Seeded) -> None:
    (query,) = queries("All workflows of a run")
    names = {"enrich_crm": "web", "scheduled__2025-06-02": "run-5"}
    for name, seeded in names.items():
        query = query.replace(name, seeded)
    assert spending.ask(query) == [], "its outcome is unknown"
    spending.change(
        "UPDATE cleanlist_batches SET state = 'accepted', workflow_id = 'wf-5' WHERE run_id = 'run-5'"
    )
    assert spending.ask(query) == [(-1, "wf-5", "partial", 20)]


@pytest.fixture
def people(ledger: Seeded) -> Seeded:
    """A ledger with three persons of a source, one of them under two ids, and one of another source."""
    ledger.batch("enrich_crm", "2024-12-31T23:59:59", ADA, BO)
    ledger.batch("enrich_crm", "2025-01-01T00:00:00", BO, CY, kind="full")
    ledger.batch("other", "2026-11-05T08:00:00", BO, state="unknown")
    ledger.source_row("1", ADA, "2024-12-31T23:59:59")
    ledger.source_row("2", BO, "2026-11-05T08:00:00")
    ledger.source_row("3", CY, "2025-01-01T00:00:00")
    ledger.source_row("4", BO, "2026-11-05T08:00:00")
    ledger.source_row("x", CY, "2026-11-05T08:00:00", source="other/enrich")
    return ledger


BO_WAS_SUBMITTED = [
    ("2024-12-31 23:59:59", "partial", "enrich_crm", "accepted"),
    ("2025-01-01 00:00:00", "full", "enrich_crm", "accepted"),
    ("2026-11-05 08:00:00", "partial", "other", "unknown"),
]


def test_who_was_submitted_when(people: Seeded) -> None:
    by_id, by_person = queries("Who was submitted when")
    assert people.ask(by_id) == [
        ("1", *BO_WAS_SUBMITTED[0]),
        *[("2", *row) for row in BO_WAS_SUBMITTED],
        ("3", *BO_WAS_SUBMITTED[1]),
        *[("4", *row) for row in BO_WAS_SUBMITTED],
    ]
    found = people.ask(by_person.replace(SOME_PERSON, person(BO)))
    assert [(*row[:3], row[4]) for row in found] == BO_WAS_SUBMITTED
    assert [(row[3], row[5]) for row in found] == [("run-1", "wf-1"), ("run-2", "wf-2"), ("run-3", None)]


def test_what_was_found_for_each_row(people: Seeded) -> None:
    (query,) = queries("What was found for each row")
    people.change(
        "CREATE TABLE enrichment_results (_cleanlist_person VARCHAR(24), primary_email VARCHAR(200), "
        "primary_email_status VARCHAR(20));"
        f"INSERT INTO enrichment_results VALUES ('{person(BO)}', 'bo@x', 'risky'), (NULL, 'somebody@x', 'verified')"
    )
    assert people.ask(query) == [("2", "bo@x", "risky"), ("4", "bo@x", "risky")]


def left(ledger: Seeded, table: str, column: str = "person") -> Sequence[Any]:
    names = {person(contact): name for contact, name in ((ADA, "Ada"), (BO, "Bo"), (CY, "Cy"))}
    return sorted(
        names.get(value, value) for (value,) in ledger.ask(f"SELECT {column} FROM cleanlist_{table}")
    )


def test_a_person_is_erased_and_may_be_submitted_again(people: Seeded) -> None:
    def history() -> Any:
        identity, window = bytes.fromhex(person(BO)), timedelta(days=36_500)
        journal = people.server.journal(run="later", window=window)
        (found,) = journal.histories([identity])
        return found.bought

    assert history()
    by_id, statements = queries("Erasure of a person")
    assert people.ask(by_id.replace("4711", "4")) == [(person(BO),)]
    people.change(statements.replace(SOME_PERSON, person(BO)))
    assert left(people, "contacts") == ["Ada", "Cy"]
    assert left(people, "source_rows", "source_id") == ["1", "3", "x"]
    assert len(left(people, "batches", "batch_id")) == 3
    assert not history()


def test_what_is_older_than_the_retention_goes(people: Seeded) -> None:
    people.attempt("old", "2024-12-31T23:59:59")
    people.attempt("new", "2025-01-01T00:00:00")
    (statements,) = queries("Retention")
    people.change(statements)
    assert left(people, "attempts", "run_id") == ["new"]
    assert left(people, "batches", "run_id") == ["run-2", "run-3"]
    assert left(people, "contacts") == ["Bo", "Bo", "Cy"]
    assert left(people, "source_rows", "source_id") == ["2", "3", "4", "x"]


def test_every_query_of_the_pages_is_run_here() -> None:
    used = re.findall(r'queries\("(.*)"\)', Path(__file__).read_text())
    assert sum(len(queries(heading)) for heading in set(used)) == PAGES.count("```sql")
