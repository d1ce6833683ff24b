"""Who a contact is."""

from __future__ import annotations

import re

import pytest

from airflow_provider_cleanlist.sandbox.people import Person, identity_of

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
