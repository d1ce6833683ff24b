"""What a lookup finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.sandbox.people import Person
from airflow_provider_cleanlist.sandbox.state.lookup import MARKERS, WORST_CASE_CREDITS, look_up

RATES = {"email_rate": 0.7, "phone_rate": 0.45}
names = st.text(min_size=1, max_size=30).filter(str.strip)


def found(**fields):
    return look_up(Person(**fields), **RATES)


@pytest.mark.parametrize("word", MARKERS)
@pytest.mark.parametrize(
    "spell",
    [
        lambda word: {"first_name": "A", "last_name": word.title(), "company_name": "X"},
        lambda word: {"first_name": "A", "last_name": "B", "company_name": word.replace("-", " ").upper()},
        lambda word: {"first_name": "A", "last_name": "B", "company_domain": f"{word}.example"},
        lambda word: {"linkedin_url": f"https://www.linkedin.com/in/mara-{word}/"},
        lambda word: {"email": f"{word.replace('-', '_')}@x.example"},
    ],
)
def test_markers_decide(word, spell):
    outcome = found(**spell(word))
    marker = MARKERS[word]
    assert outcome.email_status == marker.email_status
    assert (outcome.email is not None) == (marker.email_status is not None)
    assert (outcome.phone is not None) == marker.phone


def test_all_five_email_statuses_occur_with_and_without_markers():
    five = {"verified", "likely_valid", "risky", "invalid", "unknown"}
    assert {marker.email_status for marker in MARKERS.values()} == five | {None}
    crowd = [found(first_name="P", last_name=str(number), company_name="X") for number in range(3000)]
    assert {outcome.email_status for outcome in crowd} == five | {None}


@pytest.mark.parametrize(("email_rate", "phone_rate"), [(0.7, 0.45), (0.0, 1.0), (1.0, 0.0)])
def test_rates_hold_in_the_crowd(email_rate, phone_rate):
    crowd = [
        look_up(
            Person(first_name="P", last_name=str(number), company_name="X"),
            email_rate=email_rate,
            phone_rate=phone_rate,
        )
        for number in range(4000)
    ]
    assert sum(outcome.email is not None for outcome in crowd) / 4000 == pytest.approx(email_rate, abs=0.03)
    assert sum(outcome.phone is not None for outcome in crowd) / 4000 == pytest.approx(phone_rate, abs=0.03)


@given(names, names, names)
def test_everything_found_is_invented(first, last, company):
    person = Person(first_name=first, last_name=last, company_name=company)
    outcome = look_up(person, email_rate=1, phone_rate=1)
    assert outcome == look_up(person, email_rate=1, phone_rate=1)
    if outcome.email is not None:
        assert re.fullmatch(r"[a-z0-9.-]+@[a-z0-9.-]+\.example", outcome.email)
    if outcome.phone is not None:
        assert re.fullmatch(r"\+1\d{3}55501\d\d", outcome.phone)


def test_real_domains_never_get_mail():
    outcome = found(first_name="Found-Both", last_name="X", company_domain="stripe.com")
    assert outcome.email == "found-both.x@stripe.example"
    assert outcome.domain == "stripe.com"


def test_names_come_from_the_profile_when_nothing_else_does():
    outcome = found(linkedin_url="https://www.linkedin.com/in/mara-okafor-example/")
    assert (outcome.first_name, outcome.last_name) == ("Mara", "Okafor")


@pytest.mark.parametrize("enrichment_type", WORST_CASE_CREDITS)
def test_outcomes_are_limited_to_what_was_asked(enrichment_type):
    outcome = found(first_name="A", last_name="B", company_domain="found-both.example").limited_to(
        enrichment_type
    )
    assert (outcome.email is not None) == (enrichment_type in {"partial", "full", "prospecting_only"})
    assert (outcome.phone is not None) == (enrichment_type in {"phone_only", "full"})
    assert outcome.successful == (enrichment_type != "none")
