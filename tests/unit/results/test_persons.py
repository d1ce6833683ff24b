"""Whose result it is, decided by what the result itself says."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cleanlist.contacts.identity import normalise
from airflow_provider_cleanlist.results import persons
from airflow_provider_cleanlist.results.persons import person_of
from airflow_provider_cleanlist.results.rows import result_in
from airflow_provider_cleanlist.submission.ledger import person

ANA = {"first_name": "Ana", "last_name": "de la Cruz", "company_domain": "quill.example"}
ANA_BY_COMPANY = {"first_name": "Ana", "last_name": "de la Cruz", "company_name": "Quill & Sextant"}
ANA_BY_PROFILE = {"linkedin_url": "https://www.linkedin.com/in/ana-de-la-cruz"}
BEN = {"first_name": "Ben", "last_name": "Okoro", "company_domain": "quill.example"}
EVERYBODY = (ANA, BEN)


def submitted(*contacts: dict[str, str]) -> frozenset[str]:
    return frozenset(map(person, contacts))


def record(task_id: str = "t0", **fields: Any) -> dict[str, Any]:
    row = result_in({"task_id": task_id, "primary_email": None, **fields}, "wf1")
    assert row is not None
    return row


def ana(task_id: str = "t0", **prospect: Any) -> dict[str, Any]:
    fields = {"first_name": "ANA", "last_name": "De La Cruz"} | prospect
    company = {"name": "Quill & Sextant", "domain": "quill.example"}
    return record(task_id, prospect=fields, company=company)


@pytest.mark.parametrize("task_id", ["t0", "t1", "t7"])
@pytest.mark.parametrize("contact", [ANA, ANA_BY_COMPANY, ANA_BY_PROFILE])
def test_it_is_whom_the_result_names_whatever_its_task_id(contact: dict[str, str], task_id: str) -> None:
    result = ana(task_id, linkedin_url="http://linkedin.com/in/Ana-de-la-Cruz/")
    assert person_of(result, submitted(contact, BEN)) == person(contact)


def test_a_result_that_names_nobody_submitted_is_nobodys() -> None:
    for result in (
        record(prospect=None, company=None),
        record(prospect={"first_name": "Ana"}, company={"domain": "quill.example"}),
        ana(last_name="Cruz"),
        record(prospect={"first_name": 7, "last_name": ["x"]}, company="Quill"),
    ):
        assert person_of(result, submitted(*EVERYBODY)) is None


def test_a_person_of_another_workflow_is_not_taken() -> None:
    assert person_of(ana(), submitted(BEN)) is None
    assert person_of(ana(), submitted()) is None


def test_a_profile_that_was_submitted_decides_before_names() -> None:
    """A namesake at the same company, submitted by name, gets her own result and nobody else's."""
    both = submitted(ANA, ANA_BY_PROFILE)
    for task_id in ("t0", "t1"):
        assert person_of(ana(task_id, linkedin_url=ANA_BY_PROFILE["linkedin_url"]), both) == person(
            ANA_BY_PROFILE
        )
        assert person_of(ana(task_id, linkedin_url="https://www.linkedin.com/in/ana-2"), both) == person(ANA)
        assert person_of(ana(task_id), both) == person(ANA)


def test_names_of_two_submitted_contacts_are_nobodys() -> None:
    two = submitted(ANA, ANA_BY_COMPANY)
    assert person_of(ana(), two) is None
    assert person_of(
        record(prospect={"full_name": "Ana de la Cruz"}, company={"domain": "quill.example"}), two
    ) == (person(ANA))


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


@pytest.mark.parametrize("outer", [{}, {"input": None}, {"input": {}}, {"status": "completed"}])
@pytest.mark.parametrize("key", ["result", "data"])
def test_an_echo_counts_wherever_the_result_is_nested(key: str, outer: dict[str, Any]) -> None:
    """Of two namesakes, the one who was submitted by profile, which the result does not name."""
    inner = {"task_id": "t0", "primary_email": None, "input": ANA_BY_PROFILE}
    inner |= {
        "prospect": {"first_name": "Ana", "last_name": "de la Cruz"},
        "company": {"domain": "quill.example"},
    }
    row = result_in({"task_id": "t0", **outer, key: inner}, "wf1")
    assert row is not None
    assert person_of(row, submitted(ANA, ANA_BY_PROFILE)) == person(ANA_BY_PROFILE)


def test_an_echo_beside_a_nested_result_counts() -> None:
    row = result_in({"input": ANA, "result": {"task_id": "t0", "primary_email": None}}, "wf1")
    assert row is not None
    assert person_of(row, submitted(*EVERYBODY)) == person(ANA)


def test_an_echo_decides_before_what_was_found() -> None:
    def found(echo: dict[str, Any]) -> dict[str, Any]:
        prospect = {"first_name": "Ana", "last_name": "de la Cruz", **ANA_BY_PROFILE}
        company = {"name": "Quill & Sextant", "domain": "quill.example"}
        return record(prospect=prospect, company=company, input=echo)

    everybody = submitted(ANA, ANA_BY_PROFILE, ANA_BY_COMPANY)
    for contact in (ANA, ANA_BY_PROFILE, ANA_BY_COMPANY):
        assert person_of(found(contact), everybody) == person(contact)
    assert person_of(found(BEN), everybody) == person(ANA_BY_PROFILE)  # nobody submitted Ben
    assert person_of(found(BEN), submitted(ANA, ANA_BY_COMPANY)) is None
    assert person_of(found({"first_name": 7, "linkedin_url": []}), submitted(ANA)) == person(ANA)


class TestSomebodyWhoWasErased:
    """The ledger has forgotten whom the echo names; their namesake at the same company does not get their result."""

    @staticmethod
    def found(echo: dict[str, Any], **prospect: Any) -> dict[str, Any]:
        return ana(**prospect) | {"raw": {"input": echo}}

    @pytest.mark.parametrize(
        "erased", [ANA_BY_PROFILE, ANA_BY_PROFILE | ANA, ANA_BY_PROFILE | ANA_BY_COMPANY]
    )
    @pytest.mark.parametrize("namesake", [ANA, ANA_BY_COMPANY])
    def test_by_profile(self, erased: dict[str, str], namesake: dict[str, str]) -> None:
        assert person_of(self.found(erased, **ANA_BY_PROFILE), submitted(namesake, BEN)) is None
        assert person_of(self.found(erased, **ANA_BY_PROFILE), submitted(namesake, erased)) == person(erased)

    def test_by_another_name(self) -> None:
        anita = ANA | {"first_name": "Anita"}
        assert person_of(self.found(anita), submitted(ANA)) is None
        assert person_of(self.found(anita), submitted(ANA, anita)) == person(anita)

    def test_an_echo_in_another_form_still_counts(self) -> None:
        both = ANA | ANA_BY_COMPANY | {"email": None, "linkedin_url": ""}
        assert person_of(self.found(both), submitted(ANA_BY_COMPANY, BEN)) == person(ANA_BY_COMPANY)
        shouted = {name: value.upper() for name, value in ANA.items()}
        assert person_of(self.found(shouted), submitted(*EVERYBODY)) == person(ANA)
        assert person_of(self.found({"company_domain": "quill.example"}), submitted(*EVERYBODY)) == person(
            ANA
        )


@pytest.mark.parametrize(
    ("words", "is_found"), [(["Ana"] * 10, True), (["Ana"] * 11, False), (["Ana", "B" * 200], False)]
)
def test_a_full_name_that_is_no_name_is_nobodys(words: list[str], is_found: bool) -> None:
    hashes = submitted({"first_name": "Ana", "last_name": " ".join(words[1:]), "company_name": "Acme"})
    found = record(prospect={"full_name": " ".join(words)}, company={"name": "Acme"})
    assert (person_of(found, hashes) in hashes) is is_found


def test_the_names_that_are_compared_do_not_grow_with_a_full_name(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Any] = []
    monkeypatch.setattr(persons, "normalise", lambda contact: compared.append(contact) or normalise(contact))
    person_of(record(prospect={"full_name": "a " * 100_000}, company={"name": "Acme"}), frozenset({"00"}))
    assert len(compared) == 6


@pytest.mark.parametrize(
    "prospect",
    [
        {"linkedin_url": "https://www.linkedin.com/in/" + "\u00e9" * 20_000},
        {"first_name": "Ana", "last_name": "\ufdfa" * 20_000, "company_name": "Quill"},
        {"first_name": "Ana", "last_name": "Cruz", "company_name": "&a" * 10_000 + ";b"},
        {"first_name": "Ana", "last_name": "Cruz", "company_domain": "xn--" + "a" * 20_000 + ".example"},
    ],
)
def test_a_person_whose_values_are_longer_than_any_is_nobody(prospect: dict[str, str]) -> None:
    row = record(input=prospect, prospect=prospect)
    assert not frozenset().union(*persons.named_persons(row))
    assert person_of(row, submitted(*EVERYBODY)) is None


def test_one_value_that_is_too_long_does_not_hide_the_person() -> None:
    row = record(input=ANA | {"linkedin_url": "https://www.linkedin.com/in/" + "a" * 20_000})
    assert person_of(row, submitted(*EVERYBODY)) == person(ANA)
