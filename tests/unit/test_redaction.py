"""No personal data in what the API is quoted with."""

from __future__ import annotations

import json
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.input_limits import QUOTED_CHARACTERS
from airflow_provider_cleanlist.redaction import REDACTED, identifier_or_none, redacted

CONTACTS = [
    {
        "first_name": "Jürgen",
        "last_name": "Ng",
        "company_name": "Quill and Sextant",
        "company_domain": "quill.example",
        "linkedin_url": "https://www.linkedin.com/in/juergen-ng-example/",
    },
    {"first_name": "Con", "last_name": "Þórðar'son"},
]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("No contact Jürgen Ng at Quill and Sextant.", f"No contact {REDACTED} {REDACTED} at {REDACTED}."),
        ("JÜRGEN, ng; quill AND sextant", f"{REDACTED}, {REDACTED}; {REDACTED}"),
        ("bad value 'Jürgen'", f"bad value '{REDACTED}'"),
        (r"bad value \"J\u00fcrgen\"", rf"bad value \"{REDACTED}\""),
        ("name=J%C3%BCrgen&x=1", f"name={REDACTED}&x=1"),
        ("name=J\u0075\u0308rgen", f"name={REDACTED}"),
        ("Quill\n  and\tSextant", REDACTED),
        ("see juergen-ng-example", f"see {REDACTED}"),
        ("first_name=Con", f"first_name={REDACTED}"),
        ("Contact refused", "Contact refused"),
        ("Singing", "Singing"),
        ("Þórðar'son", REDACTED),
    ],
)
def test_values_of_the_request_are_taken_out(said: str, expected: str) -> None:
    assert redacted(said, CONTACTS) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("mara@quill.example is taken", f"{REDACTED} is taken"),
        ("<mara.okafor+x@quill.example>", f"<{REDACTED}>"),
        ("https://de.linkedin.com/in/mara-okafor/?x=1 is known", f"{REDACTED} is known"),
        ("linkedin.com/in/mara", REDACTED),
        ("call +1 (202) 555-0143 now", f"call {REDACTED} now"),
        ("+12025550143", REDACTED),
        ("List 0b0f9c0e-6a53-4f52-8c8b-3d9a1f0c7a11 has 12345678 rows", None),
        ("2026-06-14T09:31:42+00:00", None),
        ("up to 250 per request, see https://docs.cleanlist.ai/errors/validation-error", None),
    ],
)
def test_what_looks_personal_goes_without_knowing_it(said: str, expected: str | None) -> None:
    assert redacted(said, None) == (said if expected is None else expected)


def test_a_message_is_one_line_of_limited_length() -> None:
    assert redacted(" a\n\n b\tc ", None) == "a b c"
    assert redacted("x" * 9000, None) == "x" * QUOTED_CHARACTERS


@pytest.mark.parametrize("before", range(QUOTED_CHARACTERS - 20, QUOTED_CHARACTERS + 3))
def test_a_value_cut_by_the_limit_leaves_no_part_of_itself(before: int) -> None:
    said = "-" * (before - 1) + " Quill and Sextant, mara@quill.example"
    shown = redacted(said, CONTACTS)
    assert "Q" not in shown
    assert "m" not in shown
    assert len(shown) <= QUOTED_CHARACTERS + len(REDACTED)


# A few letters, such as U+FC70, are spelled with a space in the form that is compared.
letters = st.characters(categories=("L",)).filter(lambda it: " " not in unicodedata.normalize("NFKC", it))
words = st.text(alphabet=letters, min_size=2, max_size=12)


@given(st.lists(words, min_size=1, max_size=5, unique=True), words, st.sampled_from([str, json.dumps, quote]))
def test_a_value_between_other_words_never_survives(values: list[str], filler: str, spell: object) -> None:
    said = " / ".join(f"({spell(value)})" for value in values)  # type: ignore[operator]
    shown = redacted(said, [{"first_name": value, "last_name": filler} for value in values])
    assert shown == " / ".join(f'("{REDACTED}")' if spell is json.dumps else f"({REDACTED})" for _ in values)


@pytest.mark.parametrize("code", ["insufficient_scope", "req_0a1b2c3d", "a.b:c-d", "X" * 100])
def test_identifiers_pass(code: str) -> None:
    assert identifier_or_none(code) == code


@pytest.mark.parametrize("code", [None, "", 7, True, [], "Mara Okafor", "m@x", "X" * 101, "a\n", "ü"])
def test_what_could_say_more_than_an_identifier_does_not(code: object) -> None:
    assert identifier_or_none(code) is None
