"""Fill a ledger with a year of submissions that look like a company's, to show and measure the page with.

Used by the browser's tests, which also make the pictures of the documentation.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from airflow_provider_cleanlist.submission.ledger.set_up import set_up
from airflow_provider_cleanlist.submission.ledger.tables import ledger_tables

DAYS = 365
BATCH = 250
CREDITS = {"partial": 1, "full": 11, "phone_only": 10}
"""Credits that a contact of each enrichment type may cost, at most."""


@dataclass(frozen=True, slots=True)
class SeededTask:
    """A task that submits contacts.

    Attributes:
        dag_id: Its DAG.
        task_id: Its task.
        enrichment_type: What it asks for.
        contacts: Contacts on a working day, on average.
    """

    dag_id: str
    task_id: str
    enrichment_type: str
    contacts: int


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task instance that is not through.

    Attributes:
        dag_id: Its DAG.
        run_id: Its DAG run.
        task_id: Its task.
        map_index: Its map index; -1 where the task is not mapped.
        state: State of its batches: ``accepted`` without an end for most of them, ``intent`` or ``unknown``.
        batches: How many.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str
    batches: int


def seed(
    url: str | sa.engine.URL,
    organisation: str,
    now: datetime,
    tasks: Sequence[SeededTask],
    open_tasks: Sequence[OpenTask],
) -> int:
    """Fill a ledger, which is made if it is missing; return how many contacts it holds then.

    Args:
        url: SQLAlchemy's address of its database.
        organisation: Whose submissions they are.
        now: When the year ends.
        tasks: What ran every working day.
        open_tasks: What is not through, of the last hour.
    """
    engine = sa.create_engine(url)
    tables = ledger_tables(None)
    set_up(engine, tables, "'seeded'")
    chance = random.Random(18)
    rows = [*_year(chance, organisation, now, tasks), *_open(organisation, now, open_tasks)]
    organisations = tables.organisations
    try:
        with engine.begin() as connection:
            known = sa.select(organisations.c.organisation).where(
                organisations.c.organisation == organisation
            )
            if connection.execute(known).first() is None:
                first = {
                    "organisation": organisation,
                    "first_seen_at": now - timedelta(days=DAYS),
                    "turns": 0,
                }
                connection.execute(organisations.insert(), [first])
            connection.execute(tables.batches.insert(), rows)
    finally:
        engine.dispose()
    return sum(row["contacts"] for row in rows)


def _row(organisation: str, place: tuple[str, str, str, int], number: int, **values: Any) -> dict[str, Any]:
    dag_id, run_id, task_id, map_index = place
    key = hashlib.sha256(repr((*place, number, values["submitted_at"])).encode()).hexdigest()
    return {
        "batch_id": key[:32],
        "organisation": organisation,
        "dag_id": dag_id,
        "run_id": run_id,
        "task_id": task_id,
        "map_index": map_index,
        "try_number": 1,
        "token": "",
        "task_key": key[32:],
        "state": "accepted",
        "workflow_id": f"wf_{key[:12]}",
        "note": "",
        "ended_at": None,
        "workflow_status": None,
        "emails_found": None,
        "phones_found": None,
        "credits_spent": None,
    } | values


def _year(
    chance: random.Random, organisation: str, now: datetime, tasks: Sequence[SeededTask]
) -> Iterator[dict[str, Any]]:
    for back in range(DAYS - 1, 0, -1):
        at = now - timedelta(days=back)
        if at.weekday() >= 5:
            continue
        growth = 0.6 + 0.8 * (DAYS - back) / DAYS
        for task in tasks:
            left = round(task.contacts * growth * chance.uniform(0.5, 1.5))
            number = 0
            while left > 0:
                contacts = min(BATCH, left)
                place = (task.dag_id, f"scheduled__{at:%Y-%m-%d}T02:00:00+00:00", task.task_id, -1)
                yield _row(
                    organisation,
                    place,
                    number,
                    enrichment_type=task.enrichment_type,
                    contacts=contacts,
                    worst_case_credits=CREDITS[task.enrichment_type] * contacts,
                    submitted_at=at,
                    changed_at=at,
                    **_end(chance, task.enrichment_type, contacts, at),
                )
                left, number = left - contacts, number + 1


def _end(chance: random.Random, enrichment_type: str, contacts: int, at: datetime) -> dict[str, Any]:
    emails = 0 if enrichment_type == "phone_only" else round(contacts * chance.uniform(0.68, 0.86))
    phones = 0 if enrichment_type == "partial" else round(contacts * chance.uniform(0.22, 0.38))
    return {
        "ended_at": at + timedelta(minutes=chance.uniform(3, 25)),
        "workflow_status": "completed",
        "emails_found": emails,
        "phones_found": phones,
        "credits_spent": emails + 10 * phones,
    }


def _open(organisation: str, now: datetime, tasks: Sequence[OpenTask]) -> Iterator[dict[str, Any]]:
    for place, task in enumerate(tasks):
        for number in range(task.batches):
            at = now - timedelta(minutes=1 + 7 * place, seconds=number)
            values: dict[str, Any] = {"state": task.state}
            if task.state != "accepted":
                values["workflow_id"] = None
            elif number % 5 > 1:
                values |= {"ended_at": at, "workflow_status": "completed"}
                values |= {"emails_found": 190, "phones_found": 70, "credits_spent": 890}
            yield _row(
                organisation,
                (task.dag_id, task.run_id, task.task_id, task.map_index),
                number,
                enrichment_type="full",
                contacts=BATCH,
                worst_case_credits=CREDITS["full"] * BATCH,
                submitted_at=at,
                changed_at=at,
                **values,
            )
