"""Foreign text in normal form: the same as Unicode's, but for rows of marks that no language has."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.addresses import clean_domain, parse_linkedin_url
from airflow_provider_cleanlist.contacts.identity import identity, normalise
from airflow_provider_cleanlist.contacts.recognition import header_key
from airflow_provider_cleanlist.input_limits import MARKS_IN_A_ROW, normal_form
from airflow_provider_cleanlist.warehouse.naming import snake_case

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
MARKS = "\u0301\u0316\u0315\u0f73\u05b4"
"""Out of order, and one that is two marks once it is decomposed."""
LONG = MARKS * 20_000


@pytest.mark.parametrize("form", FORMS)
@given(st.text(st.characters(codec="utf-8") | st.sampled_from(MARKS), max_size=200))
def test_text_of_any_language_is_in_unicodes_form(form: str, text: str) -> None:
    rows = "".join("m" if unicodedata.combining(letter) or letter == "\u0f73" else " " for letter in text)
    if max(map(len, rows.split()), default=0) <= MARKS_IN_A_ROW:
        assert normal_form(form, text) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("form", FORMS)
def test_of_a_longer_row_the_first_marks_count(form: str) -> None:
    text = f"a{LONG}b" * 2
    kept = f"a{LONG[:MARKS_IN_A_ROW]}b" * 2
    assert normal_form(form, text) == unicodedata.normalize(form, kept)


def test_whatever_is_compared_is_compared_so() -> None:
    """With time by the square of the row, this test would take many minutes."""
    names = [
        {"first_name": f"Zoe{marks}", "last_name": "Q", "company_name": "A"} for marks in (LONG, LONG * 2)
    ]
    assert len({identity(normalise(name)) for name in names}) == 1
    assert header_key(f"First{LONG}Name") == "firstname"
    assert snake_case(f"First{MARKS * 200}Name") == "first_name"
    assert snake_case(f"First{LONG}Name") == "first"
    assert parse_linkedin_url(f"https://www.linkedin.com/in/zoe{LONG}") == parse_linkedin_url(
        f"https://www.linkedin.com/in/zoe{LONG * 2}"
    )
    clean_domain(f"zoe{LONG}.example")
