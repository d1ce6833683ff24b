"""A LinkedIn URL in rows of different people: nobody knows whose it is, so nobody's result is taken for theirs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from airflow_provider_cleanlist.contacts.identity import Deduplicator, RejectionReason
from airflow_provider_cleanlist.contacts.reading import RejectedRow, UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import RecordsSource

URL = "https://www.linkedin.com/in/our-default-profile"
FIRST = ["Ada", "Grace", "Katherine", "Dorothy", "Mary", "Annie", "Joan", "Hedy", "Radia", "Barbara"]
LAST = [
    "Lovelace",
    "Hopper",
    "Johnson",
    "Vaughan",
    "Jackson",
    "Easley",
    "Clarke",
    "Lamarr",
    "Perlman",
    "Liskov",
]


def read(*people: tuple[str | None, str | None], **options: Any) -> tuple[list[int], list[int], ReadReport]:
    rows = [{"first_name": first, "last_name": last, "linkedin_url": URL} for first, last in people]
    report = ReadReport()
    found = list(read_contacts(RecordsSource(rows), report, **options))
    sent = [row.number for row in found if isinstance(row, UsableRow)]
    return sent, [row.number for row in found if isinstance(row, RejectedRow)], report


@pytest.mark.parametrize("deduplicate", [True, False])
def test_rows_of_different_people_are_refused(deduplicate: bool) -> None:
    sent, refused, report = read(("Ada", "Lovelace"), ("Grace", "Hopper"), deduplicate=deduplicate)
    assert (sent, refused) == ([1], [2])
    assert list(report.refused) == [RejectionReason.ANOTHERS_URL]
    assert report.duplicates.count == 0


def test_a_placeholder_that_no_rule_knows() -> None:
    people = [(first, last) for first in FIRST for last in LAST]
    sent, refused, report = read(*people)
    assert sent == [1]
    assert len(refused) == 56
    assert report.duplicates.count == 43


@pytest.mark.parametrize(
    "other",
    [
        ("ada", "LOVELACE"),
        ("Lovelace", "Ada"),
        ("Ada", "Byron"),
        ("Augusta Ada", "King"),
        ("A.", "King-Noel"),
        ("Àda", "Løvelace"),
        ("Ада", "Лавлейс"),
        ("愛達", "勒芙蕾絲"),
        (None, "Hopper"),
        ("Grace", None),
        (None, None),
    ],
)
def test_one_person_in_other_spellings_stays_one(other: tuple[str | None, str | None]) -> None:
    for people in ((("Ada", "Lovelace"), other), (other, ("Ada", "Lovelace"))):
        sent, refused, report = read(*people)
        assert (sent, refused, report.duplicates.count) == ([1], [], 1)


def test_the_ids_of_refused_rows_name_nobody() -> None:
    from airflow_provider_cleanlist.contacts.source_ids import SourceIds

    rows = [
        {"id": "1", "first_name": "Ada", "last_name": "Lovelace", "linkedin_url": URL},
        {"id": "2", "first_name": "Grace", "last_name": "Hopper", "linkedin_url": URL},
    ]
    with SourceIds("id") as ids:
        list(read_contacts(RecordsSource(rows), ReadReport(), source_ids=ids))
        found = dict(ids.rows())
    assert found["1"]
    assert found["2"] == b""


def test_marks_survive_growing() -> None:
    rng = random.Random(3)
    marks = {rng.randbytes(12): rng.randrange(1, 2**26) for _ in range(20_000)}
    seen = Deduplicator()
    plain = rng.randbytes(12)
    seen.add(plain)
    for identity, mark in marks.items():
        assert seen.add(identity, mark)
        assert not seen.add(identity, 1)
    assert all(seen.mark(identity) == mark for identity, mark in marks.items())
    assert seen.mark(plain) == 0 == seen.mark(b"nobody......")
