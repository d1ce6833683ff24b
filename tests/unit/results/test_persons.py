"""Whose result it is, decided by what the result itself says."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cleanlist.results.persons import SubmittedPersons, person_of
from airflow_provider_cleanlist.results.rows import result_row
from airflow_provider_cleanlist.submission.ledger import person

ANA = {"first_name": "Ana", "last_name": "de la Cruz", "company_domain": "quill.example"}
ANA_BY_COMPANY = {"first_name": "Ana", "last_name": "de la Cruz", "company_name": "Quill & Sextant"}
ANA_BY_PROFILE = {"linkedin_url": "https://www.linkedin.com/in/ana-de-la-cruz"}
BEN = {"first_name": "Ben", "last_name": "Okoro", "company_domain": "quill.example"}
EVERYBODY = (ANA, BEN)


def submitted(*contacts: dict[str, str], order: tuple[int, ...] | None = None) -> SubmittedPersons:
    """Return who was submitted; ``order`` says whose task ids t0, t1, ... the API returned."""
    tasks = [None] * len(contacts) if order is None else [f"t{order.index(n)}" for n in range(len(contacts))]
    return SubmittedPersons.of((person(contact), task) for contact, task in zip(contacts, tasks, strict=True))


def record(task_id: str = "t0", **fields: Any) -> dict[str, Any]:
    row = result_row({"task_id": task_id, "primary_email": None, **fields}, "wf1")
    assert row is not None
    return row


def ana(task_id: str = "t0", **prospect: Any) -> dict[str, Any]:
    fields = {"first_name": "ANA", "last_name": "De La Cruz"} | prospect
    company = {"name": "Quill & Sextant", "domain": "quill.example"}
    return record(task_id, prospect=fields, company=company)


@pytest.mark.parametrize("order", [None, (0, 1), (1, 0)])
@pytest.mark.parametrize("contact", [ANA, ANA_BY_COMPANY, ANA_BY_PROFILE])
def test_it_is_whom_the_result_names_in_whatever_order_task_ids_came(
    contact: dict[str, str], order: tuple[int, ...] | None
) -> None:
    result = ana(linkedin_url="http://linkedin.com/in/Ana-de-la-Cruz/")
    assert person_of(result, submitted(contact, BEN, order=order)) == person(contact)


@pytest.mark.parametrize("order", [None, (0, 1), (1, 0)])
def test_a_result_that_names_nobody_submitted_is_nobodys(order: tuple[int, ...] | None) -> None:
    everybody = submitted(*EVERYBODY, order=order)
    for result in (
        record(prospect=None, company=None),
        record(prospect={"first_name": "Ana"}, company={"domain": "quill.example"}),
        ana(last_name="Cruz"),
        record(prospect={"first_name": 7, "last_name": ["x"]}, company="Quill"),
    ):
        assert person_of(result, everybody) is None


def test_a_person_of_another_workflow_is_not_taken() -> None:
    assert person_of(ana(), submitted(BEN, order=(0,))) is None
    assert person_of(ana(), SubmittedPersons()) is None


def test_the_task_id_decides_between_several_whom_the_result_names() -> None:
    result = ana("t1", linkedin_url="https://www.linkedin.com/in/ana-de-la-cruz")
    both = (ANA, ANA_BY_PROFILE)
    assert person_of(result, submitted(*both, order=(0, 1))) == person(ANA_BY_PROFILE)
    assert person_of(result, submitted(*both)) is None


@pytest.mark.parametrize("full_name", ["Ana de la Cruz", " ana  de la cruz "])
def test_a_full_name_is_tried_at_every_cut(full_name: str) -> None:
    result = record(prospect={"full_name": full_name}, company={"domain": "quill.example"})
    assert person_of(result, submitted(*EVERYBODY)) == person(ANA)
    for name in ("Ana", "", None):
        result = record(prospect={"full_name": name}, company={"domain": "quill.example"})
        assert person_of(result, submitted(*EVERYBODY)) is None


def test_an_echo_of_what_was_submitted_counts() -> None:
    result = record(prospect={"first_name": "Anita"}, input=ANA | {"email": None})
    assert person_of(result, submitted(*EVERYBODY)) == person(ANA)
