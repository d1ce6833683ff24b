"""From rows to contacts, and the account of it."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS, Contact
from airflow_provider_cleanlist.contacts import reading
from airflow_provider_cleanlist.contacts.errors import ColumnError
from airflow_provider_cleanlist.contacts.identity import RejectionReason, identity, validate
from airflow_provider_cleanlist.contacts.reading import RejectedRow, UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport, Tally
from airflow_provider_cleanlist.contacts.sources import FileSource, RecordsSource

HEADER = "Record ID,LinkedIn URL,First Name,Last Name,Company,Website,Email"
TABLE = f"""{HEADER}
1,https://www.linkedin.com/in/mara-okafor-example,Mara,Okafor,Northfold,northfold.example,mara@northfold.example
2,,Teo,Lindqvist,,https://www.harborlight.example/,
3,de.linkedin.com/in/Mara-Okafor-example/,MARA,OKAFOR,,,
,,,,,,

6,,,,,,ines@quill.example
7,n/a,Ines,Vauban,Quill and Sextant,gmail.com,ines at quill
8,,teo,LINDQVIST,,info@harborlight.example,
9,,Jo,Do,Foo,foo.example,jo@foo.example,shifted
10,,Jo,,Foo,,
11,,Only,Name,,,only@name.example
12,,,,,,x
"""


def read(source: object, **options: object) -> tuple[list[UsableRow | RejectedRow], ReadReport]:
    report = ReadReport()
    return list(read_contacts(source, report, **options)), report


@pytest.fixture
def table(tmp_path):
    def write(text: str) -> FileSource:
        path = tmp_path / "contacts.csv"
        path.write_text(text, encoding="utf-8")
        return FileSource(path)

    return write


def test_every_row_is_accounted_for(table):
    rows, report = read(table(TABLE))
    accepted = [row for row in rows if isinstance(row, UsableRow)]
    assert [(row.number, row.contact.payload()) for row in accepted] == [
        (
            1,
            {
                "linkedin_url": "https://www.linkedin.com/in/mara-okafor-example",
                "first_name": "Mara",
                "last_name": "Okafor",
                "company_name": "Northfold",
                "company_domain": "northfold.example",
                "email": "mara@northfold.example",
            },
        ),
        (2, {"first_name": "Teo", "last_name": "Lindqvist", "company_domain": "harborlight.example"}),
        (7, {"first_name": "Ines", "last_name": "Vauban", "company_name": "Quill and Sextant"}),
    ]
    assert all(row.identity == identity(row.contact) for row in accepted)
    refused = [(row.number, row.rejection.reason) for row in rows if isinstance(row, RejectedRow)]
    assert refused == [
        (6, RejectionReason.EMAIL_ONLY),
        (9, RejectionReason.MALFORMED_ROW),
        (10, RejectionReason.MISSING_NAME),
        (11, RejectionReason.MISSING_COMPANY),
        (12, RejectionReason.MISSING_IDENTITY),
    ]
    assert (report.rows, report.accepted, report.refused_rows) == (10, 3, 5)
    assert report.blank.first_rows == [4, 5]
    assert report.duplicates.first_rows == [3, 8]
    assert {name: tally.first_rows for name, tally in report.left_out.items()} == {
        "linkedin_url": [7],
        "company_domain": [7],
        "email": [7],
    }
    assert report.unused_columns == ("Record ID",)


def test_the_summary_tells_all_of_it_without_a_value(table):
    source = table(TABLE)
    _, report = read(source)
    name = source.describe().partition(" (")[0]
    assert report.summary_lines() == [
        f"Read 10 rows from {name} (ascii, comma-separated): 3 contacts to enrich.",
        "Columns read: 'LinkedIn URL' -> linkedin_url, 'First Name' -> first_name, 'Last Name' -> last_name, "
        "'Company' -> company_name, 'Website' -> company_domain, 'Email' -> email.",
        "Columns not used: 'Record ID'.",
        "Duplicates dropped: 2 (rows 3, 8).",
        "Rows refused: 5.",
        "  email_only: 1 (row 6): only an e-mail address, which Cleanlist refuses to look up alone",
        "  malformed_row: 1 (row 9): the row has more cells than the header, so its values may be shifted",
        "  missing_name: 1 (row 10): first_name or last_name is missing, and there is no LinkedIn URL",
        "  missing_company: 1 (row 11): company_name and company_domain are missing, and there is no LinkedIn URL",
        "  missing_identity: 1 (row 12): no LinkedIn URL, no name and no company",
        "Blank rows skipped: 2 (rows 4, 5).",
        "Unusable linkedin_url left out, contact kept: 1 (row 7).",
        "Unusable company_domain left out, contact kept: 1 (row 7).",
        "Unusable email left out, contact kept: 1 (row 7).",
    ]


@pytest.mark.parametrize("cells", [",,,,,12 Jan 2020", ",,,N/A,-,12 Jan 2020"])
def test_a_row_with_nothing_in_the_columns_read_is_nobodys(table, cells):
    header = "First Name,Last Name,URL,Email Address,Company,Connected On"
    url = "https://www.linkedin.com/in/mara-example"
    rows, report = read(table(f"{header}\nMara,Okafor,{url},,Northfold,30 Nov 2026\n{cells}\n"))
    assert [row.number for row in rows] == [1]
    assert (report.rows, report.without_contact.first_rows) == (1, [2])
    assert report.summary_lines()[-1] == "Rows with nothing in the columns read skipped: 1 (row 2)."


@pytest.mark.parametrize("cells", ["Teo Lind,,,,x", ",,,x,", ",,,,x,x"])
def test_a_row_that_may_name_somebody_is_refused(table, cells):
    _, report = read(
        table(f"Name,First Name,Last Name,Email,Notes\n,Mara,Okafor,,\n{cells}\n"),
        column_mapping={"Notes": "company_name"},
    )
    assert report.refused
    assert not report.without_contact.count


@pytest.mark.parametrize("name", ["url", "URL"])
def test_a_column_of_other_urls_is_named_if_no_row_can_be_sent(name):
    record = {
        name: "https://x.example/users/1.json",
        "user_fields.first_name": "Mara",
        "user_fields.last_name": None,
    }
    _, report = read(RecordsSource([record]))
    assert report.refusal_lines() == [
        "not_a_person_url: 1 (row 1): linkedin_url is not a person's LinkedIn URL, and the rest is not enough; the "
        f"column {name!r} holds no LinkedIn profile in any row: leave it out with column_mapping={{{name!r}: None}}"
    ]
    _, report = read(RecordsSource([record, {name: "https://www.linkedin.com/in/mara-example"}]))
    assert report.refusal_lines()[0].endswith("and the rest is not enough")


def test_the_fields_of_a_user_are_read():
    names = ("first_name", "last_name", "company")
    values = dict(zip(names, ("Mara", "Okafor", "Northfold"), strict=True))
    record = {f"user_fields.{name}": value for name, value in values.items()}
    [row], _ = read(RecordsSource([record | {"user_name": "Teo", "user_email": "teo@x.example"}]))
    assert row.contact.payload() == {"first_name": "Mara", "last_name": "Okafor", "company_name": "Northfold"}


@pytest.mark.parametrize("note", ["(short text)", "(text)", "(metadata)", "(Required)"])
def test_types_behind_names_are_left_aside(table, note):
    header = f"First Name {note},Last Name {note},Company {note},Email (email),Website (url)"
    [row], _ = read(table(f"{header}\nMara,Okafor,Northfold,m@northfold.example,northfold.example\n"))
    assert len(row.contact.payload()) == 5


@pytest.mark.parametrize("name", ["Account", "Accounts", "Companies"])
def test_an_account_is_the_company_of_a_name_only(table, name):
    [row], _ = read(table(f"First Name,Last Name,{name}\nMara,Okafor,Northfold\n"))
    assert row.contact.company_name == "Northfold"
    [row], _ = read(table(f"First Name,Last Name,{name},Company Name\nMara,Okafor,7001,Northfold\n"))
    assert row.contact.company_name == "Northfold"


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("Buyer", "Attendee", "are of several people"),
        ("billing", "shipping", "are of several people"),
        ("billing", "Office", "are of several people"),
        ("Manager", "Manager", "may be somebody else's"),
    ],
)
def test_columns_of_two_people_are_named(table, first, second, why):
    names = dict.fromkeys(f"{one} {name} name" for one in (first, second) for name in ("first", "last"))
    with pytest.raises(ColumnError, match=rf"Not read, as they {why}: '{first} first name', ") as caught:
        read(table(f"Order ID,Order date,{','.join(names)},Ticket type,Company\n1,2026-11-30,A,B,C,D\n"))
    assert "is the header missing" not in str(caught.value)


def test_what_a_report_has_around_its_table(table):
    text = """Report of "new" leads,,
Run by Mara; for Teo,,

First Name,Last Name,Company
Mara,Okafor,Northfold
First Name,Last Name,Company
Teo,Lindqvist,Harborlight

Grand Totals (2 records)
Confidential
"""
    rows, report = read(table(text))
    assert [(row.number, row.contact.first_name) for row in rows] == [(4, "Mara"), (6, "Teo")]
    assert report.rows == 2
    assert report.summary_lines()[1:] == [
        "Lines above the header skipped: 2 (the header is row 4 of the file).",
        "Further header lines skipped: 1 (row 5).",
        "Footer lines skipped: 2 (rows 8, 9).",
        "Columns read: 'First Name' -> first_name, 'Last Name' -> last_name, 'Company' -> company_name.",
        "Blank rows skipped: 1 (row 7).",
    ]


def test_a_mapping_finds_the_header(table):
    mapping = {"Rufname": "first_name", "Zuname": "last_name", "Betrieb": "company_name"}
    rows, _ = read(table("Bericht\n\nRufname;Zuname;Betrieb\nMara;Okafor;x\n"), column_mapping=mapping)
    assert [row.contact.last_name for row in rows] == ["Okafor"]


def test_representations_show_no_values(table):
    rows, report = read(table(TABLE))
    text = repr(rows) + repr(report)
    assert not [word for word in ("Mara", "Teo", "quill", "harborlight", "Jo,") if word in text]
    assert "UsableRow(row 1)" in text
    assert "RejectedRow(row 6, email_only)" in text


def test_refused_rows_carry_their_values_for_a_file_of_rejects(table):
    rows, _ = read(table(TABLE))
    refused = next(row for row in rows if isinstance(row, RejectedRow))
    assert refused.values["email"] == "ines@quill.example"


def test_duplicates_can_be_kept(table):
    rows, report = read(table(TABLE), deduplicate=False)
    assert [row.number for row in rows if isinstance(row, UsableRow)] == [1, 2, 3, 7, 8]
    assert report.duplicates.count == 0


def test_the_first_column_with_a_value_gives_the_field():
    records = [
        {"Company": "", "Account Name": "Foo", "First Name": "Mara", "Last Name": "Okafor"},
        {"Company": "Bar", "Account Name": "Foo", "First Name": "Mara", "Last Name": "Okafor"},
    ]
    rows, report = read(RecordsSource(records))
    assert [row.contact.company_name for row in rows] == ["Foo", "Bar"]
    assert report.columns["company_name"] == ("Company", "Account Name")
    assert "'Company' + 'Account Name' -> company_name" in report.summary_lines()[1]


@pytest.mark.parametrize("first", ["Acme Ltd", ""])
def test_a_repeated_column_gives_the_field_in_order(table, first):
    cells = [first, "Second Corp", "Mara", "Okafor"]
    names = ["company", "company", "first_name", "last_name"]
    expected = first or "Second Corp"
    frame = RecordsSource(pd.DataFrame([cells], columns=names))
    file = table(f"{','.join(names)}\n{','.join(cells)}\n")
    for source in (frame, file):
        for mapping in (None, {"company": "company_name"}):
            rows, _ = read(source, column_mapping=mapping)
            assert [row.contact.company_name for row in rows] == [expected]


PEOPLE = "Company,First Name,Last Name,LinkedIn,First Name,Last Name,LinkedIn\nBeta,,Turing,,Eve,Online,\n"
SECOND_PERSON = ("LinkedIn (2)", "First Name (2)", "Last Name (2)")


def test_repeated_columns_of_several_people_are_refused_by_name(table):
    with pytest.raises(ColumnError, match=r"holds several people: 'LinkedIn \(2\)', 'First") as caught:
        next(read_contacts(table(PEOPLE), ReadReport()))
    assert "column_mapping={'LinkedIn (2)': None, " in str(caught.value)
    assert "Turing" not in str(caught.value)


def test_the_people_of_further_columns_can_be_left_out_or_chosen(table):
    rows, _ = read(table(PEOPLE), column_mapping=dict.fromkeys(SECOND_PERSON))
    assert [row.rejection.reason for row in rows] == [RejectionReason.MISSING_NAME]
    chosen = {"First Name (2)": "first_name", "Last Name (2)": "last_name", "LinkedIn (2)": "linkedin_url"}
    rows, _ = read(table(PEOPLE), column_mapping=chosen)
    assert [row.contact.payload() for row in rows] == [
        {"first_name": "Eve", "last_name": "Online", "company_name": "Beta"}
    ]


@pytest.mark.parametrize(
    "columns",
    [
        ["Company", "First Name", "Last Name", "Email", "First Name.1", "Email.1"],
        ["LinkedIn", "Full Name", "LinkedIn", "Full Name"],
        ["First Name", "Last Name", "Company", "First Name", "Last Name", "Company"],
    ],
)
@pytest.mark.parametrize("mapping", [None, {"Company": "company_name"}, {"First Name": "first_name"}])
def test_several_people_in_data_frames(columns, mapping):
    source = RecordsSource(pd.DataFrame([["x"] * len(columns)], columns=columns))
    known = {name: field for name, field in (mapping or {}).items() if name in columns}
    with pytest.raises(ColumnError, match="Each row holds several people"):
        read(source, column_mapping=known)


def test_several_people_in_rows_with_their_own_columns():
    records = [{"LinkedIn": "x", "LinkedIn (2)": "y"}, {"Email": "a@b.example", "Email (2)": "c@d.example"}]
    with pytest.raises(ColumnError, match="Each row holds several people"):
        read(RecordsSource(records))


@pytest.mark.parametrize("repeated", ["Email", "LinkedIn", "Company"])
def test_one_repeated_field_of_a_person_is_a_further_source_of_it(table, repeated):
    source = table(f"{repeated},First Name,Last Name,Company,{repeated},Company\n,Mara,Okafor,Northfold,,x\n")
    rows, _ = read(source)
    assert [row.contact.payload()["company_name"] for row in rows] == ["Northfold"]


DOCTOR = {"company": "Acme", "doctor": {"first_name": "Greg", "last_name": "House"}}


def test_rows_that_omit_keys_do_not_name_somebody_else(tmp_path):
    path = tmp_path / "people.jsonl"
    rows = [{"first_name": "Ada", "last_name": "Lovelace", **DOCTOR}, DOCTOR]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(
        ColumnError, match=r"'doctor.first_name' as first_name, 'doctor.last_name' as"
    ) as caught:
        read(FileSource(path))
    assert "Greg" not in str(caught.value)
    people, report = read(
        FileSource(path), column_mapping={"doctor.first_name": None, "doctor.last_name": None}
    )
    assert [type(row) for row in people] == [UsableRow, RejectedRow]
    assert report.refused[RejectionReason.MISSING_NAME].first_rows == [2]


def test_objects_of_different_rows_are_not_one_person():
    records = [
        {f"{who}.first_name": "Ada", f"{who}.last_name": "L", f"{who}.company": "Acme"}
        for who in ("buyer", "seller")
    ]
    with pytest.raises(ColumnError, match=r"'seller.company' as company_name. Give every row"):
        read(RecordsSource(records))
    rows, _ = read(RecordsSource(records[:1] * 2))
    assert len(rows) == 1


def test_columns_beyond_those_remembered_are_compared_too(monkeypatch):
    monkeypatch.setattr(reading, "_MAX_SHAPES", 5)
    person = {"first_name": "Ada", "last_name": "L", "company": "Acme"}
    records = [{**person, f"key {number}": 1} for number in range(20)]
    doctor = {"company": "Acme", "doctor.first_name": "Greg", "doctor.last_name": "House"}
    assert len(read(RecordsSource(records))[0]) == 1
    with pytest.raises(ColumnError, match="doctor"):
        read(RecordsSource([*records, doctor]))


def test_omitted_nulls_of_known_names_are_no_difference():
    rows, _ = read(
        RecordsSource(
            [
                {"first_name": "Ada", "last_name": "L", "company_name": "Acme", "website": "acme.example"},
                {"linkedin_url": "linkedin.com/in/ada"},
                {"last_name": "M", "first_name": "Bo", "company_name": "Acme"},
            ]
        )
    )
    assert [type(row) for row in rows] == [UsableRow, UsableRow, UsableRow]


def test_rows_may_bring_their_own_columns():
    records = [
        {"linkedin": "linkedin.com/in/mara-okafor-example", "id": 1},
        {"firstName": "Teo", "lastName": "Lindqvist", "organization": "Harbor", "note": "x"},
        {"note": "nothing else"},
        {},
        Contact(linkedin_url="linkedin.com/in/teo-example"),
    ]
    rows, report = read(RecordsSource(records))
    assert [type(row) for row in rows] == [UsableRow, UsableRow, RejectedRow, UsableRow]
    assert report.unused_columns == ("id", "note")
    assert report.columns["linkedin_url"] == ("linkedin", "linkedin_url")
    assert report.blank.first_rows == [4]


def test_many_shapes_of_rows_stay_bounded(monkeypatch):
    monkeypatch.setattr(reading, "_MAX_SHAPES", 10)
    records = [{"linkedin_url": f"linkedin.com/in/x{number}", f"key {number}": 1} for number in range(100)]
    rows, report = read(RecordsSource(records))
    assert len(rows) == 100
    assert len(report.unused_columns) <= 10


def test_long_names_of_many_shapes_stay_bounded(monkeypatch):
    monkeypatch.setattr(reading, "_MAX_CHARACTERS", 10_000)
    plans = reading._Plans(RecordsSource([]), {})
    for number in range(100):
        columns = ("linkedin_url", f"{'k' * 900}{number}")
        assert plans.of(columns, number).sources == {"linkedin_url": ("linkedin_url",)}
        assert sum(map(len, chain.from_iterable(plans._plans))) <= 10_000
    records = [
        {"linkedin_url": f"linkedin.com/in/x{number}", "k" * 900 + str(number): 1} for number in range(100)
    ]
    assert len(read(RecordsSource(records))[0]) == 100


def test_a_mapping_names_columns_in_another_language(table):
    source = table("Vorname,Nachname,Firma\nMara,Okafor,Northfold\n")
    mapping = {"Vorname": "first_name", "nachname": "last_name", "Firma": "company_name"}
    rows, report = read(source, column_mapping=mapping)
    assert [row.contact.payload() for row in rows] == [
        {"first_name": "Mara", "last_name": "Okafor", "company_name": "Northfold"}
    ]
    assert report.columns["last_name"] == ("Nachname",)


def test_a_mapping_can_take_the_domain_from_the_email_column(table):
    source = table("First Name,Last Name,Email\nMara,Okafor,mara@northfold.example\nTeo,Lind,teo@gmail.com\n")
    rows, report = read(source, column_mapping={"Email": "company_domain"})
    assert rows[0].contact.company_domain == "northfold.example"
    assert report.refused[RejectionReason.NOT_A_COMPANY_DOMAIN].first_rows == [2]


def test_a_mapping_to_an_unknown_column_is_an_error_before_any_row(table):
    source = table(TABLE)
    report = ReadReport()
    with pytest.raises(
        ColumnError, match=r"names 'Firma', which the source does not have.*'Record ID', 'LinkedIn"
    ):
        next(read_contacts(source, report, column_mapping={"Firma": "company_name"}))


def test_a_mapping_to_an_unknown_column_of_rows_with_their_own():
    with pytest.raises(ColumnError, match=r"names 'Firma'.*'linkedin_url'"):
        read(RecordsSource([{"linkedin_url": "linkedin.com/in/x"}]), column_mapping={"Firma": "company_name"})


def test_a_mapping_to_an_unknown_field_is_an_error():
    with pytest.raises(ColumnError, match="'phone'"):
        read(RecordsSource([]), column_mapping={"Phone": "phone"})


def test_no_usable_columns(table):
    source = table("Full Name,Email,City\nMara Okafor,SECRET,Oslo\n")
    with pytest.raises(ColumnError) as caught:
        read(source)
    message = str(caught.value)
    assert message.startswith(source.describe())
    assert (
        "No usable columns. Recognised: 'Email' as email. Columns seen: 'Full Name', 'Email', 'City'."
        in message
    )
    assert "Full names ('Full Name') are not split" in message
    assert "column_mapping" in message
    assert "SECRET" not in message


def test_a_missing_header_does_not_show_the_first_person(table):
    with pytest.raises(ColumnError, match=r"is the header missing\?") as caught:
        read(table("Mara,Okafor,mara@x.example\nTeo,L,t@x.example\n"))
    assert "Mara" not in str(caught.value)


def test_nor_does_one_that_holds_a_recognised_word_by_chance(table):
    rows, report = read(table("Mara,Okafor,LinkedIn\nTeo,L,x\n"))
    assert [type(row) for row in rows] == [RejectedRow]
    assert "Mara" not in "".join(report.summary_lines())


def test_a_wrong_mapping_for_a_missing_header_does_not_show_the_first_person(table):
    with pytest.raises(ColumnError, match="'Firma'") as caught:
        read(table("Mara,Okafor,x\n"), column_mapping={"Firma": "company_name"})
    assert "Okafor" not in str(caught.value)


def test_a_header_alone_is_checked_too(table):
    assert read(table(f"{HEADER}\n"))[1].rows == 0
    with pytest.raises(ColumnError, match="No usable columns"):
        read(table("Email,Phone\n"))


@pytest.mark.parametrize("records", [[{"email": "x"}], [{"a": 1}, {"b": 2}], pd.DataFrame({"email": ["x"]})])
def test_records_without_usable_columns(records):
    with pytest.raises(ColumnError, match="No usable columns"):
        read(RecordsSource(records))


def test_no_records_is_no_error():
    rows, report = read(RecordsSource([]))
    assert rows == []
    assert report.summary_lines() == ["Read 0 rows from contacts: 0 contacts to enrich."]


def test_an_empty_data_frame_is_no_error():
    rows, report = read(RecordsSource(pd.DataFrame()))
    assert rows == []
    assert report.summary_lines() == ["Read 0 rows from contacts (DataFrame): 0 contacts to enrich."]


def test_values_that_are_no_text_are_left_out_and_counted():
    records = [
        {"linkedin_url": "linkedin.com/in/mara-example", "company": {"name": "Foo"}, "email": ["a@b.example"]}
    ]
    rows, report = read(RecordsSource(records))
    assert rows[0].contact.email == "a@b.example"
    assert report.left_out["company_name"].count == 1


@pytest.mark.parametrize("name", [b"Jos\xe9", b"Jos\xe8", [b"Jos\xe9"]])
@pytest.mark.parametrize("field", ["first_name", "company_name", "linkedin_url"])
def test_bytes_whose_text_is_unknown_are_refused(field, name):
    person = {"first_name": "José", "last_name": b"Garc\xc3\xada", "company_name": "Acme"}
    rows, report = read(RecordsSource([{**person, field: name}, person]))
    assert [type(row) for row in rows] == [RejectedRow, UsableRow]
    assert report.refused[RejectionReason.UNREADABLE_TEXT].first_rows == [1]
    assert rows[1].contact.last_name == "García"


def test_another_column_with_readable_text_is_used():
    person = {"first_name": b"Jos\xe9", "Given Name": "José", "last_name": "García", "company": "Acme"}
    rows, _ = read(RecordsSource([person]))
    assert rows[0].contact.first_name == "José"


def test_data_frame_with_missing_values():
    columns = {"First Name": ["Mara", None], "Last Name": ["Okafor", float("nan")], "Company": ["Foo", pd.NA]}
    frame = pd.DataFrame(columns)
    rows, report = read(RecordsSource(frame))
    assert len(rows) == 1
    assert report.blank.first_rows == [2]


def test_tally_keeps_twenty_rows():
    tally = Tally()
    for number in range(1, 1026):
        tally.add(number)
    assert str(tally) == f"1,025 (rows {', '.join(map(str, range(1, 21)))} and 1,005 more)"
    assert str(Tally()) == "0"


cells = st.sampled_from(
    [
        "",
        " ",
        None,
        "Mara",
        "Foo",
        "foo.example",
        "linkedin.com/in/a",
        "https://de.linkedin.com/in/A/",
        "n/a",
        "a@b.example",
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(CONTACT_FIELDS, cells))), st.booleans())
def test_rows_add_up_and_contacts_are_distinct_and_valid(records, deduplicate):
    rows, report = read(RecordsSource(records), deduplicate=deduplicate)
    accepted = [row for row in rows if isinstance(row, UsableRow)]
    assert report.rows + report.blank.count == len(records)
    assert report.rows == report.accepted + report.duplicates.count + report.refused_rows
    assert report.accepted == len(accepted)
    assert all(validate(row.contact) is None for row in accepted)
    if deduplicate:
        assert len({row.identity for row in accepted}) == len(accepted)


def test_the_documentation_lists_the_reasons():
    text = Path(__file__).parents[3].joinpath("docs", "contacts.md").read_text(encoding="utf-8")
    for reason in RejectionReason:
        assert f"| `{reason}` |" in text


@pytest.mark.parametrize(
    ("header", "mapping"),
    [
        ("First Name,Last Name,Company,ada@northfold.example", {}),
        ("Account Name,City,Phone,ada@northfold.example", {}),
        ("LinkedIn,Email,Name,ada@northfold.example", {"Firma": None}),
        ("First Name,Last Name,Company,ada@northfold.example,First Name,Last Name", {}),
    ],
)
def test_no_message_shows_an_address_that_stands_in_the_header(table, header, mapping):
    source = table(f"{header}\nMara,Okafor,Northfold,1,2,3\n")
    report = ReadReport()
    try:
        list(read_contacts(source, report, column_mapping=mapping))
        shown = "\n".join(report.summary_lines())
    except ColumnError as error:
        shown = str(error)
    assert "ada@" not in shown
    assert any(words in shown for words in ("'column 4'", "is the header missing", "First Name (2)"))


@pytest.mark.parametrize(
    "value", [np.array([1, 2]), np.array(["a"]), Decimal("sNaN"), pytest.param(10**5000, id="huge")]
)
@pytest.mark.parametrize("field", ["first_name", "email", "linkedin_url", "company_name"])
def test_values_in_memory_that_refuse_to_be_compared_or_spelled(field: str, value: object) -> None:
    ada: dict[str, object] = {"first_name": "Ada", "last_name": "Roe", "company_name": "Larch"}
    report = ReadReport()
    assert len(list(read_contacts(RecordsSource([ada | {field: value}]), report))) == 1
    assert report.rows == 1
