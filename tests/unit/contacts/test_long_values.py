"""Values that are longer than any that a person or company has: not read, and never lost without a word."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from airflow_provider_cleanlist.contacts.addresses import clean_domain, parse_linkedin_url
from airflow_provider_cleanlist.contacts.cells import chosen_values, clean_text, is_nothing, plain_text
from airflow_provider_cleanlist.contacts.identity import RejectionReason, identity, normalise, validate
from airflow_provider_cleanlist.contacts.notation import unwrapped
from airflow_provider_cleanlist.contacts.reading import RejectedRow, UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource, RecordsSource
from airflow_provider_cleanlist.input_limits import HOST_CHARACTERS, LABEL_CHARACTERS, VALUE_CHARACTERS

PROFILE = "https://www.linkedin.com/in/"
PERSON = {
    "linkedin_url": PROFILE + "mara-quxley",
    "first_name": "Mara",
    "last_name": "Quxley",
    "company_name": "Thistle",
    "company_domain": "thistle.example",
    "email": "mara@thistle.example",
}
LONG = 2 * VALUE_CHARACTERS
LONG_VALUES = {
    "linkedin_url": PROFILE + "\u00e9" * LONG,
    "first_name": '="' + "a" * LONG + '"',
    "last_name": "\ufdfa" * LONG,
    "company_name": "&a" * (LONG // 2) + ";b",
    "company_domain": "a." * (LONG // 2) + "example",
    "email": "a" * LONG + "@thistle.example",
}
ORDINARY = dict.fromkeys(LONG_VALUES, "a" * LONG)


def read(*records: dict[str, object]) -> tuple[list[UsableRow | RejectedRow], ReadReport]:
    report = ReadReport()
    return list(read_contacts(RecordsSource(list(records)), report)), report


@pytest.mark.parametrize("values", [LONG_VALUES, ORDINARY])
@pytest.mark.parametrize("field", PERSON)
def test_it_is_left_out_and_counted(field: str, values: dict[str, str]) -> None:
    [row], report = read(PERSON | {field: values[field]})
    assert isinstance(row, UsableRow)
    assert row.contact.payload() == {name: value for name, value in PERSON.items() if name != field}
    assert report.left_out[field].first_rows == [row.number]


@pytest.mark.parametrize("values", [LONG_VALUES, ORDINARY])
@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("linkedin_url", RejectionReason.MISSING_IDENTITY),
        ("first_name", RejectionReason.MISSING_NAME),
        ("last_name", RejectionReason.MISSING_NAME),
        ("company_name", RejectionReason.MISSING_COMPANY),
        ("company_domain", RejectionReason.MISSING_COMPANY),
    ],
)
def test_a_row_that_needs_it_is_refused(field: str, reason: RejectionReason, values: dict[str, str]) -> None:
    names = {"first_name", "last_name", "company_name"}
    needed = {"linkedin_url"} if field == "linkedin_url" else names
    needed = {"first_name", "last_name", field} if field.startswith("company") else needed
    fields = {name: value for name, value in PERSON.items() if name in needed}
    [row], report = read(fields | {field: values[field]})
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == reason
    assert (report.blank.count, report.without_contact.count) == (0, 0)


@pytest.mark.parametrize("value", ["-" * LONG, '="' + "-" * LONG + '"', b"a" * LONG, ["a" * LONG]])
def test_a_row_with_nothing_else_is_not_blank(value: object) -> None:
    [row], report = read({"first_name": value, "last_name": "", "company_name": ""})
    assert isinstance(row, RejectedRow)
    assert not report.blank.count
    assert clean_text(value) is None
    assert not is_nothing(value)


def test_white_space_stays_nothing() -> None:
    assert is_nothing(" " * LONG)
    assert read({"first_name": " " * LONG, "last_name": "", "company_name": ""})[1].blank.count == 1


@pytest.mark.parametrize("field", PERSON)
def test_another_column_counts_instead(field: str) -> None:
    values = {"one": LONG_VALUES[field], "two": PERSON[field]}
    assert chosen_values(values, {field: ("one", "two")}) == {field: PERSON[field]}


@pytest.mark.parametrize("field", ["first_name", "last_name", "company_name"])
def test_a_value_of_the_most_characters_is_read(field: str) -> None:
    longest = "a" * VALUE_CHARACTERS
    [row], report = read(PERSON | {field: longest})
    assert isinstance(row, UsableRow)
    assert row.contact.payload() == PERSON | {field: longest}
    assert not report.left_out
    wrapped = '="' + "a" * (VALUE_CHARACTERS - 3) + '"'
    assert plain_text(field, wrapped) == wrapped[2:-1]
    assert plain_text(field, wrapped + " ") is None
    assert unwrapped(wrapped + " ") == wrapped + " "


def test_a_profile_is_as_long_as_it_is_sent() -> None:
    longest = PROFILE + "a" * (VALUE_CHARACTERS - len(PROFILE))
    assert normalise({"linkedin_url": longest}).linkedin_url == longest
    assert parse_linkedin_url(longest + "a") is None
    encoded = PROFILE + "\u00e9" * (VALUE_CHARACTERS // 6 - 10)  # %C3%A9
    once = normalise({"linkedin_url": encoded})
    assert validate(once) is None
    assert normalise(once.payload()) == once
    assert parse_linkedin_url(PROFILE + "\u00e9" * (VALUE_CHARACTERS // 6)) is None


@pytest.mark.parametrize("form", ["{}", "https://www.{}/about", "mara@{}"])
@pytest.mark.parametrize("letter", ["a", "\u00e9"])
def test_a_host_is_as_long_as_the_dns_allows(letter: str, form: str) -> None:
    longest = f"{letter}." * ((HOST_CHARACTERS - 3) // 2) + "com"
    assert len(longest) == HOST_CHARACTERS
    assert clean_domain(form.format(longest)) == longest
    assert clean_domain(form.format("a" + longest)) is None


def named(domain: str) -> bytes:
    return identity(normalise({"first_name": "Mara", "last_name": "Quxley", "company_domain": domain}))


def test_a_label_is_decoded_up_to_its_length_in_the_dns() -> None:
    label = ("xn--" + "a" * LABEL_CHARACTERS)[: LABEL_CHARACTERS - 4] + "-9ia"
    assert len(label) == LABEL_CHARACTERS
    assert named(f"{label}.example") == named(label[4:].encode().decode("punycode") + ".example")
    longer = label.replace("xn--", "xn--a")
    assert named(f"{longer}.example") != named(longer[4:].encode().decode("punycode") + ".example")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("company_domain", "xn--e28h" + "a" * 400_000 + ".com"),
        ("company_name", '"=""' + "a" * 2_000_000 + '"'),
        ("company_name", "&a" * 1_000_000 + ";b"),
        ("linkedin_url", PROFILE + "\u00e9" * 2_000_000),
    ],
)
def test_a_file_with_a_very_long_value_is_read_at_once(column: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text(f"first_name,last_name,{column}\nMara,Quxley,{value}\n", encoding="utf-8")
    start = time.process_time()
    [row] = read_contacts(FileSource(path), ReadReport())
    assert isinstance(row, RejectedRow)
    assert time.process_time() - start < 3
