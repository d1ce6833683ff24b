"""What a lookup finds, who a contact is, and leads without number."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.sandbox.generated import GeneratedLeads, parse_lead_id
from airflow_provider_cleanlist.sandbox.lists import ListStore, Members
from airflow_provider_cleanlist.sandbox.outcomes import MARKERS, WORST_CASE_CREDITS, look_up
from airflow_provider_cleanlist.sandbox.people import Person, identity_of

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
    assert outcome.found == (enrichment_type != "none")


SPELLINGS = [
    "https://www.linkedin.com/in/jürgen-groß",
    "http://linkedin.com/in/J%C3%BCrgen-gro%C3%9F/",
    "de.linkedin.com/in/jürgen-groß?trk=people",
    "https://www.linkedin.com/in/JÜRGEN-GROSS#about",
]


def test_spellings_of_a_profile_are_one_identity():
    identities = {identity_of(Person(linkedin_url=url, first_name=str(n))) for n, url in enumerate(SPELLINGS)}
    assert len(identities) == 1
    assert re.fullmatch("[0-9a-f]{16}", identities.pop())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"company_name": "Acme"}, {"company_name": " ACME "}, True),
        ({"company_domain": "acme.example"}, {"company_domain": "Acme.example", "company_name": "X"}, True),
        ({"company_name": "Acme"}, {"company_name": "Acme Ltd"}, False),
        ({"company_name": "Acme"}, {"linkedin_url": "https://linkedin.com/in/acme"}, False),
    ],
)
def test_identity_by_name_and_company(one, other, same):
    base = {"first_name": "Zoë", "last_name": "Falk"}
    assert (identity_of(Person(**base, **one)) == identity_of(Person(**base, **other))) is same


def test_bare_emails_are_told_apart():
    assert identity_of(Person(email="a@x.example")) != identity_of(Person(email="b@x.example"))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_generated_ids_can_be_read_back(seed, index):
    leads = GeneratedLeads(seed, index + 1)
    row = leads.row(index)
    assert parse_lead_id(row["lead_id"]) == (seed, index)
    assert row == leads.row(index)
    assert (row["provider"] is not None) == GeneratedLeads.enriched(index)


def test_generated_leads_differ_and_hold_awkward_text():
    leads = GeneratedLeads(1, 20_000)
    rows = [json.loads(leads.row_json(index)) for index in range(len(leads))]
    assert len({row["lead_id"] for row in rows}) == len({row["linkedin_url"] for row in rows}) == 20_000
    text = "".join(leads.row_json(index) for index in range(200))
    for awkward in ("田中", "Наталья", '\\"Q\\"', "\\n", "🚚"):
        assert awkward in text
    emails = [row["email"] for row in rows if row["email"]]
    assert len(set(emails)) == len(emails) == 18_000
    assert all(email.endswith(".example") for email in emails)
    assert {row["title"] for row in rows} > {None, "VP Sales"}


def test_generated_rows_have_the_fields_of_real_ones():
    store = ListStore(lambda: "id")
    assert list(json.loads(GeneratedLeads(1, 1).row_json(0))) == list(
        json.loads(store.lead_of("identity", "org").row_json())
    )


@given(st.integers(0, 30), st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)))
def test_members_behave_as_an_ordered_set(count, removed, added):
    leads, members = GeneratedLeads(7, count), Members()
    members.generate(leads)
    ids = [GeneratedLeads(7, 50).row(index)["lead_id"] for index in range(41)]
    expected = ids[:count]
    assert members.remove(ids[index] for index in removed) == len(
        {index for index in removed if index < count}
    )
    expected = [lead_id for lead_id in expected if lead_id not in {ids[index] for index in removed}]
    for index in added:
        assert members.add(ids[index]) == (ids[index] not in expected)
        if ids[index] not in expected:
            expected.append(ids[index])
    indexes, others = members.page(0, len(members))
    assert [leads.row(index)["lead_id"] for index in indexes] + others == expected
    assert len(members) == len(expected)
    assert all(lead_id in members for lead_id in expected)
