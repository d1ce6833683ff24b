"""What the cells of a row say: the value that counts, and what stands for nothing."""

# ruff: noqa: RUF001

from __future__ import annotations

import csv
import datetime as dt
import math
import time
import uuid
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS
from airflow_provider_cleanlist.contacts.addresses import clean_domain, clean_email, parse_linkedin_url
from airflow_provider_cleanlist.contacts.cells import (
    clean_text,
    cleaned_values,
    is_blank,
    is_nothing,
    is_undecodable,
    plain_text,
)
from airflow_provider_cleanlist.contacts.identity import RejectionReason
from airflow_provider_cleanlist.contacts.notation import unwrapped
from airflow_provider_cleanlist.contacts.reading import RejectedRow, UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import RecordsSource
from airflow_provider_cleanlist.submission.ledger import person

FROZEN = list(
    csv.DictReader(
        Path(__file__)
        .with_name("frozen_identities.csv")
        .read_text(encoding="utf-8")
        .splitlines(keepends=True)
    )
)
MARKERS = [
    *[
        "NULL",
        "null",
        "#N/A",
        "#REF!",
        "\\N",
        "[NULL]",
        "<NA>",
        "-",
        "[not provided]",
        "N/A",
        "n/a",
        "None",
        "NaN",
        "nan",
    ],
    *[
        "--",
        "\u2013",
        "?",
        "...",
        "(blank)",
        "<null>",
        "{}",
        "#VALUE!",
        "#DIV/0!",
        "#NV",
        "undefined",
        "Unknown",
        "k.A.",
    ],
    *[
        "nicht angegeben",
        "non renseigné",
        "não informado",
        "нет данных",
        "不明",
        "未填写",
        "없음",
        '="NULL"',
        "'-",
        " - ",
    ],
]
PROFILE = "https://www.linkedin.com/in/mara-okafor-example"
MARA = {"first_name": "Mara", "last_name": "Okafor", "company_name": "Northfold"}


def read(*records: dict[str, object]) -> tuple[list[UsableRow | RejectedRow], ReadReport]:
    report = ReadReport()
    return list(read_contacts(RecordsSource(list(records)), report, deduplicate=False)), report


def contact(record: dict[str, object]) -> dict[str, object]:
    [row], _ = read(record)
    assert isinstance(row, UsableRow), row
    return row.contact.payload()


@pytest.mark.parametrize("number", range(len(FROZEN)))
def test_whoever_was_read_right_keeps_their_identity(number: int) -> None:
    """Ledgers and journals hold these hashes: another one would pay for the same person again."""
    [row], _ = read({name: FROZEN[number][name] for name in CONTACT_FIELDS})
    assert isinstance(row, UsableRow)
    assert row.identity.hex() == FROZEN[number]["identity"]


# --- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Mara", "Mara"),
        ("  Mara \t\r\n", "Mara"),
        ("\u00a0Mara\u3000\u2009", "Mara"),
        ("\u200b\ufeffMara\u200d\u2060", "Mara"),
        (" \u200b \u00a0 Mara", "Mara"),
        ("Mara  Lena", "Mara  Lena"),
        ("Foo\nBar", "Foo\nBar"),
        ("Ma\x00ra\x07", "Mara"),
        ("Ma\ud800ra", "Mara"),
        ("👩🏽\u200d💻 Lab", "👩🏽\u200d💻 Lab"),
        ("", None),
        (" \u200b\u00a0\ufeff", None),
        ("\x00", None),
        (None, None),
        (math.nan, None),
        (math.inf, None),
        (np.float32("nan"), None),
        (Decimal("NaN"), None),
        (Decimal("sNaN"), None),
        pytest.param(10**5000, None, id="huge"),
        pytest.param(-(10**5000), None, id="huge negative"),
        (10**300, "1" + "0" * 300),
        (pd.NA, None),
        (pd.NaT, None),
        (True, None),
        ({"name": "Foo"}, None),
        (["a", "b"], None),
        ([], None),
        ({"a"}, None),
        (np.array(["a", "b"]), None),
        (["Foo "], "Foo"),
        (("Foo",), "Foo"),
        (b" M\xc3\xbcller ", "Müller"),
        (7, "7"),
        (7.0, "7"),
        (7.5, "7.5"),
        (np.int64(7), "7"),
        (Decimal("7.10"), "7.10"),
        (dt.date(2026, 11, 2), "2026-11-02"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ],
)
def test_clean_text(value, expected):
    assert clean_text(value) == expected


@pytest.mark.parametrize("value", [None, "", " \u00a0\u200b", math.nan, pd.NA, pd.NaT, [], {}, b""])
def test_blank(value):
    assert is_blank(value)


@pytest.mark.parametrize("value", ["x", 0, False, ["a", "b"], {"a": 1}, dt.date(2026, 1, 1)])
def test_not_blank(value):
    assert not is_blank(value)


# --- markers for nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "company",
    ["[[Unknown]]", "Unknown Company", "N/A.", "none.", "No", "0", "FALSE", "No Organization"],
)
def test_what_stands_for_no_company_tells_no_namesakes_apart(company: str) -> None:
    rows = [{"first_name": "Ana", "last_name": "Silva", "company_name": company}] * 2
    found = list(read_contacts(RecordsSource(rows), report := ReadReport()))
    assert [row.rejection.reason for row in found] == [RejectionReason.MISSING_COMPANY] * 2
    assert report.accepted == 0


@pytest.mark.parametrize(
    "company", ["[solidcore]", "No Limits Inc.", "Unknown Worlds", "None Such Ltd.", "007"]
)
def test_names_of_companies_that_resemble_markers(company: str) -> None:
    (row,) = read_contacts(
        RecordsSource([{"first_name": "Ana", "last_name": "Silva", "company_name": company}]), ReadReport()
    )
    assert row.contact.company_name == company


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("field", ["first_name", "last_name", "company_name"])
def test_a_marker_is_nobody_and_no_company(marker: str, field: str) -> None:
    [row], report = read({**MARA, field: marker})
    assert isinstance(row, RejectedRow)
    missing = RejectionReason.MISSING_COMPANY if field == "company_name" else RejectionReason.MISSING_NAME
    assert report.refused[missing].first_rows == [1]
    profile = {"linkedin_url": "https://www.linkedin.com/in/mara-okafor-example"}
    [row], report = read({**MARA, **profile, field: marker})
    assert isinstance(row, UsableRow)
    assert getattr(row.contact, field) is None
    assert report.left_out[field].first_rows == [1]


@pytest.mark.parametrize("marker", MARKERS)
def test_a_row_of_markers_is_blank_and_counted(marker: str) -> None:
    rows, report = read(dict.fromkeys(CONTACT_FIELDS, marker) | {"Note": ""})
    assert rows == []
    assert report.blank.first_rows == [1]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("Jennifer", "Null"),
        ("Hyun Jin", "Na"),
        ("HYUN JIN", "NA"),
        ("Nan", "Goldfinch"),
        ("Nil", "Yalter"),
        ("N.A.", "Rao"),
    ],
)
def test_names_that_look_like_markers_stay_names(first: str, last: str) -> None:
    person = {"first_name": first, "last_name": last, "company_name": "Northfold"}
    assert contact(person) == person


@pytest.mark.parametrize(
    "record",
    [
        {"first_name": "Null", "last_name": "Null", "company_name": "Northfold"},
        {
            "first_name": "Mara",
            "last_name": "Null",
            "company_name": "Null",
            "company_domain": "northfold.example",
        },
        {"first_name": "Mara", "last_name": "NULL", "company_name": "Northfold"},
        {"first_name": "MARA", "last_name": "NULL", "company_name": "NORTHFOLD"},
        {"first_name": "Mara", "last_name": "NA", "company_name": "Northfold"},
        {"first_name": "mara", "last_name": "nan", "company_name": "northfold"},
        {"first_name": "Mara", "last_name": "None", "company_name": "Northfold"},
    ],
)
def test_written_as_programs_write_it_or_repeated_it_is_a_marker(record: dict[str, object]) -> None:
    [row], report = read(record)
    assert isinstance(row, RejectedRow)
    assert report.refused.keys() == {RejectionReason.MISSING_NAME}


@pytest.mark.parametrize(
    "company", ["None of the Above Ltd", "#paid", "(RED)", "7", "Unknown Worlds", "AT&T"]
)
def test_companies_that_only_begin_like_markers_stay(company: str) -> None:
    assert contact({**MARA, "company_name": company})["company_name"] == company


def test_values_that_are_no_text_are_no_markers() -> None:
    assert is_nothing(None)
    assert not is_nothing(7)
    assert cleaned_values({"first_name": 7, "company_name": ["Foo"]}) == {
        "first_name": 7,
        "company_name": ["Foo"],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('="Bo"', "Bo"),
        (' ="Bo" ', "Bo"),
        ('="The ""Bo"" Co"', 'The "Bo" Co'),
        ("'Bo", "Bo"),
        ("'+49 30 1", "+49 30 1"),
        ("'t Hooft", "'t Hooft"),
        ("''t Hooft", "'t Hooft"),
        ("'s-Gravesande", "'s-Gravesande"),
        ("'Bo'", "'Bo'"),
        ("=mc2 Labs", "=mc2 Labs"),
        ("O'Neill", "O'Neill"),
    ],
)
def test_what_keeps_a_spreadsheet_from_changing_a_text(text: str, expected: str) -> None:
    assert unwrapped(text) == expected


def test_thousands_of_apostrophes_take_no_time() -> None:
    start = time.process_time()
    assert [plain_text("company_name", "'" * 2_000 + "Bo") for _ in range(500)] == ["Bo"] * 500
    assert time.process_time() - start < 1.5


def test_wrapped_values_are_sent_unwrapped() -> None:
    wrapped = {name: f'="{value}"' for name, value in MARA.items()} | {
        "company_domain": "'https://northfold.example"
    }
    assert contact(wrapped) == {**MARA, "company_domain": "northfold.example"}


# --- the value that counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first", ["-", "", "N/A", "https://www.linkedin.com/company/northfold", "linkedin.com/in/undefined"]
)
def test_the_first_usable_profile_wins(first: str) -> None:
    assert contact({"LinkedIn": first, "Profile URL": PROFILE}) == {"linkedin_url": PROFILE}


def test_the_first_usable_domain_company_and_name_win() -> None:
    record = {
        **{"First Name": "-", "Given Name": "Mara", "Last Name": "Okafor"},
        **{
            "Company": "NULL",
            "Account Name": "Northfold",
            "Website": "N/A",
            "Email Domain": "northfold.example",
        },
        **{"Email": "email_not_unlocked@domain.com", "Work Email": "mara@northfold.example"},
    }
    assert contact(record) == {
        **MARA,
        "company_domain": "northfold.example",
        "email": "mara@northfold.example",
    }


def test_an_object_beside_its_name_is_not_the_name() -> None:
    record = {
        "first_name": "Mara",
        "last_name": "Okafor",
        "organization": {"id": 7},
        "organization_name": "Northfold",
    }
    assert contact(record) == MARA


def test_the_first_column_wins_while_it_is_usable() -> None:
    assert contact({**MARA, "Account Name": "Elsewhere"})["company_name"] == "Northfold"


def test_without_a_usable_value_the_row_says_what_is_wrong() -> None:
    [row], report = read({"LinkedIn": "linkedin.com/in/undefined", "Profile URL": "-"})
    assert isinstance(row, RejectedRow)
    assert report.refused.keys() == {RejectionReason.NOT_A_PERSON_URL}
    assert row.values["linkedin_url"] == "linkedin.com/in/undefined"


def test_repeated_columns_of_a_data_frame_are_read_in_order() -> None:
    rows = [["Mara", "Okafor", "Acme Ltd", "Wrong Corp"], ["Teo", "Lindqvist", None, "Harbor"]]
    frame = pd.DataFrame(rows, columns=["first_name", "last_name", "company", "company"])
    found = list(read_contacts(RecordsSource(frame), ReadReport()))
    assert [row.contact.company_name for row in found] == ["Acme Ltd", "Harbor"]


def test_three_people_with_a_placeholder_profile_are_three() -> None:
    people = [
        {**MARA, "first_name": name, "LinkedIn URL": "https://www.linkedin.com/in/undefined"}
        for name in "ABC"
    ]
    report = ReadReport()
    rows = list(read_contacts(RecordsSource(people), report))
    assert [row.contact.first_name for row in rows] == ["A", "B", "C"]
    assert report.left_out["linkedin_url"].count == 3


@pytest.mark.parametrize(
    ("cell", "company"),
    [
        ("Thistle;Side Co", "Thistle"),
        (";Thistle", "Thistle"),
        ("Smith &amp; Sons;Other", "Smith & Sons"),
        ("A & B", "A & B"),
        ('"Thistle";"Side Co"', "Thistle"),
        ("Thistle (https://n.example/1); Side Co", "Thistle"),
    ],
)
def test_the_first_of_several_companies_in_a_cell(cell: str, company: str) -> None:
    assert contact({**MARA, "company_name": cell})["company_name"] == company


# --- how tools write a value -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "company"),
    [
        # SharePoint's lookups and choices
        ("12;#Thistle", "Thistle"),
        ("12;#Thistle;#14;#Side", "Thistle"),
        ("Thistle;#13;#Side;#14", "Thistle"),
        (";#Thistle;#Side;#", "Thistle"),
        # Google, Notion, Markdown, spreadsheets, HTML, Airtable
        ("Thistle ::: Side", "Thistle"),
        ("Thistle (https://www.notion.so/Thistle-1?pvs=21)", "Thistle"),
        ("Thistle (UK), Inc. (https://n.example/1), Side (https://n.example/2)", "Thistle (UK), Inc."),
        ("[Thistle](https://thistle.example)", "Thistle"),
        ('=HYPERLINK("https://thistle.example"; "Thistle")', "Thistle"),
        ('<a href="https://thistle.example">Thistle</a>', "Thistle"),
        ("Thistle<br/>", "Thistle"),
        ('"Thistle, Inc.",Side', "Thistle, Inc."),
        # JSON, and lists as Python writes them
        ('{"id": 5, "name": "Thistle"}', "Thistle"),
        ('{"attributes": {"type": "Account"}, "Name": "Thistle"}', "Thistle"),
        ('["Thistle", "Side"]', "Thistle"),
        ("['Thistle']", "Thistle"),
        ("['Thistle', 'Side']", "Thistle"),
        ('[{"label": "Thistle"}, {"label": "Side"}]', "Thistle"),
        # what only looks like these
        ("Thistle (Berlin)", "Thistle (Berlin)"),
        ("Thistle (https://thistle.example) GmbH", "Thistle (https://thistle.example) GmbH"),
        ("Thistle::Side", "Thistle::Side"),
        ("Thistle, Side", "Thistle, Side"),
        ("{Thistle}", "{Thistle}"),
        ("[Thistle]", "[Thistle]"),
        ("['Thistle' Side]", "['Thistle' Side]"),
    ],
)
def test_a_company_is_read_without_its_notation(cell: str, company: str) -> None:
    assert contact({**MARA, "company_name": cell}) == {**MARA, "company_name": company}


@pytest.mark.parametrize("cell", ['{"id": 5}', "[7]", '[{"id": 5}]', '{"name": null}', "12;#"])
def test_a_record_without_a_name_is_no_company(cell: str) -> None:
    [row], _ = read({**MARA, "company_name": cell})
    assert isinstance(row, RejectedRow)
    by_domain = {**MARA, "company_name": cell, "company_domain": "northfold.example"}
    [row], report = read(by_domain)
    assert isinstance(row, UsableRow)
    assert row.contact.company_name is None
    assert report.left_out["company_name"].first_rows == [1]


@pytest.mark.parametrize(
    "name", ["12;#Mara", '["Mara"]', "Mara (https://n.example/1)", "<b>Mara</b>", '{"value": "Mara"}']
)
def test_a_name_is_read_without_its_notation(name: str) -> None:
    assert contact({**MARA, "first_name": name}) == MARA


@pytest.mark.parametrize("name", ["12;#Mara;#13;#Bo", '["Mara", "Bo"]', "Mara ::: Bo", '{"first": "Mara"}'])
def test_several_people_in_a_cell_are_nobody(name: str) -> None:
    [row], _ = read({**MARA, "first_name": name})
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == RejectionReason.NOT_A_NAME


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("'Mara'", "Mara"), ('"Mara"', "Mara"), ("\u201cMara\u201d", "Mara"), ("\u2018Mara\u2019", "Mara")],
        *[
            ("\u201eMara\u201c", "Mara"),
            ("`Mara`", "Mara"),
            ("'O''Brien'", "O'Brien"),
            ("'O'Brien'", "O'Brien"),
        ],
        *[('"Mara ""Bo"" Lee"', 'Mara "Bo" Lee'), ("\"'Mara'\"", "Mara")],
        *[('Mara "Bo"', 'Mara "Bo"'), ('"Bo" Mara "Lee"', '"Bo" Mara "Lee"'), ("O'Brien", "O'Brien")],
        *[("'t Hooft'", "'t Hooft'"), ("'Bo' and 'Lee'", "'Bo' and 'Lee'"), ("\u201cMara", "\u201cMara")],
    ],
)
def test_quotation_marks_around_a_name_are_taken_off(text: str, expected: str) -> None:
    for field in ("last_name", "company_name"):
        assert contact({**MARA, field: text})[field] == expected


def test_a_quoted_marker_is_nothing() -> None:
    for marker in ("'NULL'", '"n/a"', '["NULL"]'):
        [row], report = read({**MARA, "last_name": marker})
        assert isinstance(row, RejectedRow)
        assert report.refused.keys() == {RejectionReason.MISSING_NAME}


# --- what is no name ---------------------------------------------------------------------------------------------

TEMPLATES = [
    *[
        "{{last_name}}",
        "{{ contact.last_name }}",
        "${name}",
        "#{name}",
        "%LASTNAME%",
        "%%last_name%%",
        "*|LNAME|*",
    ],
    *[
        "[Last Name]",
        "{Last Name}",
        "<Last Name>",
        "<<Last Name>>",
        "{!Contact.LastName}",
        "<%= last %>",
        "__NAME__",
    ],
    *["\u00abNachname\u00bb", "{{last_name|default:'friend'}}"],
]


@pytest.mark.parametrize("text", TEMPLATES)
@pytest.mark.parametrize("field", ["first_name", "last_name"])
def test_a_placeholder_of_a_template_is_nobody(text: str, field: str) -> None:
    [row], report = read({**MARA, field: text})
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == RejectionReason.NOT_A_NAME
    assert "an unfilled template" in report.refusal_lines()[0]
    profile = {**MARA, field: text, "linkedin_url": PROFILE}
    assert contact(profile) == {name: value for name, value in profile.items() if name != field}


@pytest.mark.parametrize(
    "text", ["{{company}}", "[Company]", "%COMPANY%", "Dear {{company}}", "<Firma>", "*|COMPANY|*"]
)
def test_a_placeholder_of_a_template_is_no_company(text: str) -> None:
    [row], _ = read({**MARA, "company_name": text})
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == RejectionReason.NOT_A_NAME
    by_domain = {**MARA, "company_name": text, "company_domain": "northfold.example"}
    assert "company_name" not in contact(by_domain)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "mara@northfold.example",
            "Okafor <mara@northfold.example>",
            "https://northfold.example",
            "O****",
            "[redacted]",
        ],
        *["[object Object]"],
    ],
)
def test_an_address_or_a_mask_is_nobodys_name(text: str) -> None:
    [row], _ = read({**MARA, "last_name": text})
    assert isinstance(row, RejectedRow)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("Mara", "xxx"),
        ("XXXX", "Okafor"),
        ("Test", "Test"),
        ("test", " TEST"),
        ("String", "string"),
        ("Mara", "--None--"),
    ],
)
def test_what_is_filled_in_to_have_something_is_nobody(first: str, last: str) -> None:
    [row], _ = read({**MARA, "first_name": first, "last_name": last})
    assert isinstance(row, RejectedRow)


@pytest.mark.parametrize(
    ("first", "last", "company"),
    [
        *[
            ("Test", "Okafor", "Northfold"),
            ("Mara", "Test", "Test"),
            ("Total", "Okafor", "Total"),
            ("Tess", "String", "Foo"),
        ],
        *[
            ("Mara", "Foo", "Foo"),
            ("Mara", "III", "Northfold"),
            ("Sales", "Okafor", "Northfold"),
            ("Mara", "Info", "Info"),
        ],
        *[
            ("Mara", "Okafor", "[solidcore]"),
            ("Mara", "Okafor", "AAA"),
            ("Mara", "Okafor", "<packt>"),
            ("(Bo)", "Lind", "X"),
        ],
        *[
            ("Mara", "Okafor", "100%"),
            ("Mara", "Okafor", "Yahoo!"),
            ("Mara", "Okafor", "\u00abNorthfold\u00bb"),
        ],
        *[
            ("M*ra", "Okafor", "Test Test"),
            ("Mara", "O'Kafor @ Northfold", "A$"),
            ("Jo & Bo", "Lind", "A{B}C"),
        ],
    ],
)
def test_who_and_what_is_called_like_it_stays(first: str, last: str, company: str) -> None:
    fields = {"first_name": first, "last_name": last, "company_name": company}
    assert contact(fields) == fields


def test_a_role_is_nobody_beside_its_mailbox() -> None:
    sales = {"first_name": "Sales", "last_name": "Team", "company_name": "Northfold"}
    [row], _ = read({**sales, "email": "Sales@northfold.example"})
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == RejectionReason.MISSING_NAME
    for email in ("team@northfold.example", "sales.team@northfold.example"):
        assert contact({**sales, "email": email}) == {**sales, "email": email}
    for role in ("No-Reply", "Webmaster", "Postmaster"):
        [row], _ = read({**sales, "first_name": role, "email": f"{role}@northfold.example"})
        assert isinstance(row, RejectedRow)
    assert contact({**MARA, "email": "info@northfold.example"}) == {**MARA, "email": "info@northfold.example"}
    [row], _ = read({"email": "info@northfold.example"} | dict.fromkeys(MARA))
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == RejectionReason.EMAIL_ONLY


def test_a_column_with_a_name_is_used_instead_of_a_placeholder() -> None:
    record = {
        "First Name": "{{first_name}}",
        "Given Name": "Mara",
        "Last Name": "Okafor",
        "Company": "Northfold",
    }
    assert contact(record) == MARA


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            ("O&#39;Brien", "O'Brien"),
            ("O&#x27;Brien", "O'Brien"),
            ("M&uuml;ller", "M\u00fcller"),
            ("A&amp;amp;B", "A&B"),
        ],
        *[("Jos\\u00e9", "Jos\u00e9"), ("\\u5c0f\\u6797", "\u5c0f\u6797"), ("Ann&nbsp;Lee", "Ann\u00a0Lee")],
        *[("Park&nbsp;", "Park"), ("O&rsquo;Brien", "O\u2019Brien")],
        # incomplete, unknown, or nothing that can be read
        *[
            ("Lee &copyright", "Lee &copyright"),
            ("A&B", "A&B"),
            ("R&foo;D", "R&foo;D"),
            ("M&uuml ller", "M&uuml ller"),
        ],
        *[
            ("Jos\\u00e", "Jos\\u00e"),
            ("J\\ud83d", "J\\ud83d"),
            ("J&#0;o", "J&#0;o"),
            ("J&#xD800;o", "J&#xD800;o"),
        ],
        *[("Jos&Atilde;&copy;", "Jos&Atilde;&copy;"), ("&copyfoo;x", "&copyfoo;x")],
    ],
)
def test_entities_and_escapes_are_decoded(text: str, expected: str) -> None:
    assert contact({**MARA, "last_name": text})["last_name"] == expected
    if ";" not in expected:
        assert contact({**MARA, "company_name": text})["company_name"] == expected


@pytest.mark.parametrize(
    "text",
    [
        *["A&amp;amp;amp;amp;B", "&#39;Bo", "A&#59;B", "&amp;" + "amp;" * 9 + "B", "Jos&amp;Atilde;&copy;"],
        *["M\\u0026uuml;ller", "R&foo;D", "&amp;" * 99 + "B"],
        *[
            "''Bo''",
            "\"'Bo'\"",
            '["12;#Bo"]',
            "&quot;Bo&quot;",
            "<<b>b>Bo",
            '\'"Bo"',
            '{"name": "[\\"Bo\\"]"}',
        ],
    ],
)
def test_who_is_sent_is_the_person_of_the_ledger(text: str) -> None:
    [row], _ = read({**MARA, "first_name": text, "company_name": text})
    assert isinstance(row, UsableRow)
    assert person(row.contact) == row.identity.hex() == person(row.contact.payload())


def test_an_entity_is_the_same_person_as_its_character() -> None:
    rows, _ = read({**MARA, "last_name": "O&#39;Brien"}, {**MARA, "last_name": "O'Brien"})
    assert len({row.identity for row in rows if isinstance(row, UsableRow)}) == 1


# --- foreign text costs no more than its length ------------------------------------------------------------------

PATTERNS = [
    *["{{", "\\u00", "*|", "&amp;", ";#", " ::: ", " (https://", "<b", '["', "['", "', '", "''", "\u201c"],
    *[".", " ", ";", "&", "'", '"', "-", "=", "[", "a.", "@a", "](", "<a ", ",;| ", "www.", "%25", "a@."],
    *["linkedin.com/in/", '=HYPERLINK("'],
]


@pytest.mark.parametrize(
    "text",
    [pattern * (20_000 // len(pattern)) for pattern in PATTERNS],
    ids=lambda text: text[:12],
)
def test_hostile_cells_take_linear_time(text: str) -> None:
    started = time.process_time()
    for wrapped in (text, f"x@{text} @", f'="{text}', f"https://www.linkedin.com/in/{text} ", f"'{text}"):
        parse_linkedin_url(wrapped)
        clean_domain(wrapped)
        clean_email(wrapped)
        cleaned_values(dict.fromkeys(CONTACT_FIELDS, wrapped))
        is_nothing(wrapped)
    assert time.process_time() - started < 1


# --- what is nobody's name, and text that lost letters -----------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last"),
    [
        *[("Membre", "de LinkedIn"), ("LinkedIn", "Mitglied"), ("Mara", "LinkedIn-Mitglied")],
        *[("LinkedIn", "Member"), ("linkedin member", "Park"), ("2020", "2021"), ("Mara", "+49 30 1")],
        *[("Response", "Response"), ("Open-Ended Response", "Open-Ended Response")],
        *[
            ("Vacant", "vacant"),
            ("Guest", "Guest"),
            ("Mara", "Loading..."),
            ("Mara", "(en blanco)"),
            ("n.n.", "n.n."),
        ],
        *[("Mara", "okänd"), ("no_company", "Park"), ("Mara", "[no proporcionado]"), ("Mara", "(Kein Wert)")],
    ],
)
def test_no_name(first: str, last: str) -> None:
    [row], report = read({**MARA, "first_name": first, "last_name": last})
    assert isinstance(row, RejectedRow)
    assert report.refused.keys() == {RejectionReason.MISSING_NAME}


@pytest.mark.parametrize(
    ("company", "sent"),
    [
        (["Northfold", "Side Co"], "Northfold"),
        ([{"name": "Northfold"}], "Northfold"),
        ([{"name": "Northfold"}, {"name": "Side Co"}], "Northfold"),
        (["Northfold"], "Northfold"),
    ],
)
@pytest.mark.parametrize("also", [{}, {"account_name": None}])
def test_a_list_is_read_as_its_text(company: object, sent: str, also: dict[str, object]) -> None:
    names = {"first_name": "Mara", "last_name": "Okafor"}
    emails = ["n/a", "mara@northfold.example", "m@x.example"]
    [row], _ = read({**names, "company": company, "email": emails, **also})
    assert isinstance(row, UsableRow)
    assert row.contact.payload() == {**names, "company_name": sent, "email": "mara@northfold.example"}


def nested(depth: int, value: object) -> object:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [1, 2, 150])
def test_the_only_value_of_lists_in_lists_is_read(depth: int) -> None:
    assert clean_text(nested(depth, " Okafor ")) == "Okafor"
    assert is_undecodable(nested(depth, b"\xff"))
    assert not is_undecodable(nested(depth, b"a"))


@pytest.mark.parametrize("depth", [300, 900, 5000])
def test_lists_that_are_nested_too_deeply_hold_no_value(depth: int) -> None:
    assert clean_text(nested(depth, "Okafor")) is None
    assert not is_undecodable(nested(depth, b"\xff"))
    rows, _ = read({**MARA, "company_name": "Northfold", "email": nested(depth, "mara@northfold.example")})
    assert isinstance(rows[0], UsableRow)
    assert "email" not in rows[0].contact.payload()


def test_a_list_of_first_names_is_no_name() -> None:
    [row], _ = read({**MARA, "first_name": ["Mara", "Teo"]})
    assert isinstance(row, RejectedRow)


@pytest.mark.parametrize("field", ["linkedin_url", "company_domain", "email"])
def test_the_null_of_databases_is_blank(field: str) -> None:
    rows, report = read({**MARA, "company_name": "Northfold", field: "\\N"})
    assert isinstance(rows[0], UsableRow)
    assert not report.left_out
    [row], _ = read({"first_name": "Mara", field: "\\N", "linkedin_url": "\\N"})
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == RejectionReason.MISSING_NAME


def test_a_hidden_member_is_sent_by_url_only() -> None:
    url = "https://www.linkedin.com/sales/lead/ACwAAA2,OUT_OF_NETWORK,Ab2"
    hidden = {
        "first_name": "LinkedIn",
        "last_name": "Member",
        "company_name": "Northfold",
        "linkedin_url": url,
    }
    rows, _ = read(hidden, hidden | {"first_name": "Mara", "linkedin_url": None})
    assert [row.contact.payload() for row in rows if isinstance(row, UsableRow)] == [
        {"company_name": "Northfold", "linkedin_url": url},
        {"first_name": "Mara", "last_name": "Member", "company_name": "Northfold"},
    ]


@pytest.mark.parametrize(
    ("first", "last", "company"),
    [
        ("Info Requested", "Info Requested", "Info Requested"),
        ("Vorname", "Nachname", "Firma X"),
        ("First Name", "Last Name", "Thistle"),
        ("=CONCATENATE(A1;B1)", "Park", "Thistle"),
        ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "Thistle"),
        ("1.5E+10", "Park", "Thistle"),
        ("Ada\nBo", "Park", "Thistle"),
        # both names together: markers, departments, users of programs
        ("Not", "Available", "Thistle"),
        ("To be", "announced", "Thistle"),
        ("Help", "Desk", "Thistle"),
        ("Automated", "Process", "Thistle"),
        ("Test", "Lead", "Thistle"),
        ("*First Name", "*Last Name", "*Company"),
        # comments
        ("#Bo", "Lind", "Thistle"),
        ("// old list", "Lind", "Thistle"),
        ("-- end", "of", "file"),
        ("First Name (cont.)", "Last Name (cont.)", "Company (cont.)"),
        # dates that Excel made of names, and names that were cut off
        ("4-Mar", "Park", "Thistle"),
        ("April", "1-May", "Thistle"),
        ("Ada", "Pa...", "Thistle"),
        ("Ada", "Par\u2026", "Thistle"),
        # addresses and numbers of shifted cells
        ("Ada", "Park", "ada@thistle.example"),
        ("Ada", "Park", "+47 912 34 567"),
    ],
)
def test_what_programs_and_forms_write_is_not_a_name(first: str, last: str, company: str) -> None:
    [row], report = read({"first_name": first, "last_name": last, "company_name": company})
    assert isinstance(row, RejectedRow)
    assert report.refused.keys() == {RejectionReason.NOT_A_NAME}


def test_names_of_columns_are_nobody_beside_several_companies() -> None:
    record = {"first_name": "First Name", "last_name": "Last Name", "company_name": "Thistle;Side"}
    [row], _ = read(record)
    assert isinstance(row, RejectedRow)


@pytest.mark.parametrize("company", ["Keine", "aucune", "no company", "see above", "ninguna"])
def test_a_company_that_says_none_is_none(company: str) -> None:
    [row], report = read({**MARA, "company_name": company})
    assert isinstance(row, RejectedRow)
    assert report.refused.keys() == {RejectionReason.MISSING_COMPANY}
    assert contact({**MARA, "last_name": company.rsplit(maxsplit=1)[-1].title()})["last_name"]


@pytest.mark.parametrize("error", ["#¡REF!", "#ДЕЛ/0!", "#ЗНАЧ!", "#EMPTY!", "#NOMBRE?"])
def test_errors_of_spreadsheets_in_any_language_are_nothing(error: str) -> None:
    _, report = read({**MARA, "last_name": error})
    assert report.refused.keys() == {RejectionReason.MISSING_NAME}


@pytest.mark.parametrize(
    ("first", "last", "company"),
    [
        ("Thomas", "Thomas", "Thistle"),
        ("Ada", "Roe", "Roe"),
        ("Guest", "Response", "Thistle"),
        ("Given", "Last", "Thistle"),
        ("50 Cent", "Park", "Thistle"),
        ("Ada", "Park", "Garden\nCentre"),
        ("Ada", "Park", "=mc2 Labs"),
        ("Ada", "Park", "#1 Cochran!"),
        ("Guest", "Lead", "Guest"),
        ("Process", "Automated", "Thistle"),
        ("Ada", "Vacant", "Vacant Desk"),
        ("Desk", "Okafor", "#paid"),
        ("Ada", "Park", "Ada Park"),
        ("-Ada", "Blank", "//Thistle"),
        ("March", "Day", "4-Mar"),
        ("Ada (Bo)", "Last (Ltd)", "And so on..."),
        ("Ada", "Park Jr.", "3-D Works"),
        ("Ada", "Park", "thistle.example"),
        ("Ada", "Park", "Park @ Thistle"),
        ("Ada", "Park", "+1 Labs"),
    ],
)
def test_who_is_called_like_a_form_is_a_person(first: str, last: str, company: str) -> None:
    person = {"first_name": first, "last_name": last, "company_name": company}
    assert contact(person) == person


@pytest.mark.parametrize(
    ("first", "last"), [("Linked", "Inman"), ("X Æ A-12", "Musk"), ("7even", "Okafor"), ("Member", "Li")]
)
def test_odd_names(first: str, last: str) -> None:
    person = {**MARA, "first_name": first, "last_name": last}
    assert contact(person) == person


@pytest.mark.parametrize(
    "text",
    [
        "Jos\ufffd",
        "JosÃ©",
        "GarcÃ\xada",
        "MÃ¼ller",
        "Å\x81ukasz WiÅ›niewski",
        "ÐŸÐµÑ‚Ñ€",
        "ä½\x90è—¤",
        "Oâ€™Neill",
    ],
)
@pytest.mark.parametrize("field", ["first_name", "company_name"])
def test_text_that_lost_letters_is_refused(text: str, field: str) -> None:
    [row], report = read({**MARA, field: text})
    assert isinstance(row, RejectedRow)
    assert report.refused.keys() == {RejectionReason.UNREADABLE_TEXT}
    assert text not in repr(row)


@pytest.mark.parametrize(
    ("damaged", "by"),
    [
        ("company_name", "company_domain"),
        ("company_domain", "linkedin_url"),
        ("email", "company_name"),
        ("first_name", "linkedin_url"),
        ("last_name", "linkedin_url"),
    ],
)
@pytest.mark.parametrize("text", ["JosÃ©.example", "Jos\ufffd.example", b"jos\xe9.example"])
def test_damaged_text_is_left_out_where_the_rest_says_who_it_is(text: object, damaged: str, by: str) -> None:
    whole = MARA | {"linkedin_url": PROFILE, "company_domain": "northfold.example"}
    record = {name: whole[name] for name in ("first_name", "last_name", by)} | {damaged: text}
    [row], report = read(record)
    assert isinstance(row, UsableRow)
    assert row.contact.payload() == {name: value for name, value in record.items() if name != damaged}
    assert report.left_out[damaged].first_rows == [1]
    [row], _ = read({**record, by: None})
    assert isinstance(row, RejectedRow)
    assert row.rejection.reason == RejectionReason.UNREADABLE_TEXT


def test_a_damaged_domain_or_profile_is_refused_as_it_decides_who_it_is() -> None:
    for field in ("company_domain", "linkedin_url"):
        [row], _ = read({**MARA, field: "JosÃ©.example"})
        assert isinstance(row, RejectedRow)
        assert row.rejection.reason == RejectionReason.UNREADABLE_TEXT


@pytest.mark.parametrize(
    "text",
    [
        "SÃO PAULO",
        "Ângela",
        "Ö&Ä",
        "Café™",
        "Åsa",
        "Ñandú",
        "José",
        "“IRMÔ",
        "Îles d’Or",
        "Петр",
        "佐藤",
        "Ægir®",
        "Œuvre",
        "Zoé…",
    ],
)
def test_whole_text_is_read(text: str) -> None:
    assert contact({**MARA, "company_name": text})["company_name"] == text


def test_a_readable_column_is_used_instead_of_damaged_text() -> None:
    record = {**MARA, "company_name": "MÃ¼ller", "Account Name": "Müller"}
    assert contact(record)["company_name"] == "Müller"
