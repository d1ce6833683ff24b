"""What an enrichment costs, and what is sent of a contact."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.client.enrichment import Contact, EnrichmentType, worst_case_credits

MARA = Contact(first_name="Mara", last_name="Okafor", company_name="Quill", email="mara@quill.example")


@pytest.mark.parametrize(
    ("kind", "worst", "found"),
    [("none", 0, 0), ("partial", 1, 2), ("phone_only", 10, 30), ("full", 11, 32)],
)
def test_what_an_enrichment_costs(kind: str, worst: int, found: int) -> None:
    assert EnrichmentType(kind).worst_case_credits == worst
    assert EnrichmentType(kind).credits(emails=2, phones=3) == found


@pytest.mark.parametrize(
    ("kind", "credits"),
    [
        (EnrichmentType.NONE, 0),
        (EnrichmentType.PARTIAL, 3),
        (EnrichmentType.PHONE_ONLY, 30),
        (EnrichmentType.FULL, 33),
    ],
)
def test_worst_case(kind: EnrichmentType, credits: int) -> None:
    assert worst_case_credits({kind: 3}) == credits


def test_a_contact_sends_only_what_is_set() -> None:
    assert MARA.payload() == {
        "first_name": "Mara",
        "last_name": "Okafor",
        "company_name": "Quill",
        "email": "mara@quill.example",
    }
    assert Contact(first_name="", last_name=None).payload() == {}
