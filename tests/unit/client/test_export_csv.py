"""The parser of exports, cut at every byte."""

from __future__ import annotations

import csv
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.export import csv_file
from airflow_provider_cleanlist.client.export.csv_file import (
    EXPORT_FIELDS,
    ExportParser,
    UnreadableExportError,
    columns_of_plain_csv,
    fields_of,
    missing_fields,
)
from airflow_provider_cleanlist.input_limits import EXPORT_COLUMNS, EXPORT_ROW_BYTES

ROWS = [
    ["1", 'say "hi"', "two\nlines", "Łódź, Poland"],
    ["2", "", "a\r\nb", "😀"],
    ["3", '"', "\n", ",,"],
    ["4", "plain", "", ""],
]
HEADER = ["lead_id", "title", "company", "location"]


def file_of(rows, header=HEADER, terminator="\r\n", bom=b""):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=terminator).writerows([header, *rows])
    return bom + text.getvalue().encode()


def expected(rows, header=HEADER):
    return [dict(zip(header, [cell or None for cell in row], strict=True)) for row in rows]


def parsed(data, cuts=()):
    parser = ExportParser()
    leads = []
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        leads += parser.push(data[start:end])
    return leads + parser.end(), parser


@pytest.mark.parametrize("terminator", ["\r\n", "\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_file_cut_at_any_byte_is_the_same(terminator, bom):
    data = file_of(ROWS, terminator=terminator, bom=bom)
    for cut in range(len(data) + 1):
        leads, parser = parsed(data, (cut,))
        assert leads == expected(ROWS)
        assert (parser.at, parser.rows) == (len(data), 4)


def test_a_parser_resumes_at_the_end_of_any_row():
    data = file_of(ROWS * 3)
    first = ExportParser()
    before = []
    for at in range(len(data)):
        before += first.push(data[at : at + 1])
        if first.fields is not None:
            rest = ExportParser(first.fields, first.at, first.rows)
            assert [*before, *rest.push(data[first.at :]), *rest.end()] == expected(ROWS * 3)


def test_random_files():
    dice = random.Random(19)
    for _ in range(200):
        rows = [
            [str(n), *("".join(dice.choices('a,"\n\r é', k=dice.randrange(5))) for _ in range(3))]
            for n in range(5)
        ]
        data = file_of(rows)
        cuts = sorted(dice.sample(range(len(data)), 4))
        assert parsed(data, tuple(cuts))[0] == expected(rows)


def test_the_last_row_may_lack_its_line_break():
    assert parsed(b"lead_id,title\r\n1,x")[0] == [{"lead_id": "1", "title": "x"}]
    assert parsed(b"lead_id,title")[0] == []


def test_labels_are_the_fields():
    labels = ["Lead ID", "First Name", "LAST NAME", "E-mail", "Job Title", "LinkedIn URL", "Company Domain"]
    assert fields_of(labels) == (
        "lead_id",
        "first_name",
        "last_name",
        "E-mail",
        "title",
        "linkedin_url",
        "domain",
    )
    assert fields_of([name.replace("_", " ").title() for name in EXPORT_FIELDS]) == EXPORT_FIELDS


def test_columns_of_smart_agents_keep_their_names_and_displace_no_field():
    assert fields_of(["lead_id", "ICP Score", "Email", "email"]) == ("lead_id", "ICP Score", "Email", "email")
    assert fields_of(["lead_id", "domain", "company_domain"]) == ("lead_id", "domain", "company_domain")


LABELS = ["Lead ID", "First Name", "Last Name", "Email", "Title", "Company", "Domain", "Phone"]
ALL_LABELS = [*LABELS[:7], "LinkedIn URL", "Phone", "Location"]
FIELDS = ("lead_id", "first_name", "last_name", "email", "title", "company", "domain", "phone")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Provider", "Provider (smart agent)"),
        ("provider", "provider (smart agent)"),
        ("Full Name", "Full Name (smart agent)"),
        ("full_name", "full_name (smart agent)"),
        ("email", "email (smart agent)"),
        ("title", "title (smart agent)"),
        ("EMAIL", "EMAIL"),
        ("Company Name", "Company Name"),
        ("Phone Number", "Phone Number"),
        ("Company Domain", "Company Domain"),
        ("ICP Score", "ICP Score"),
    ],
)
def test_a_smart_agent_named_like_a_field_takes_none(name, field):
    assert fields_of([*LABELS, name]) == (*FIELDS, field)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (ALL_LABELS, "Email"),
        (ALL_LABELS, "Company"),
        (ALL_LABELS, "Lead ID"),
        (EXPORT_FIELDS, "email"),
        (EXPORT_FIELDS, "lead_id"),
    ],
)
def test_a_smart_agent_with_the_very_name_of_a_column_is_told_by_its_place(header, name):
    assert fields_of([*header, name, "ICP Score"]) == (*EXPORT_FIELDS, f"{name} (smart agent)", "ICP Score")
    for first in (
        [name, *header],
        [*header[:3], "ICP Score", *header[3:], name],
        [*header[:2], name, *header[2:]],
    ):
        with pytest.raises(UnreadableExportError, match=r"columns \d+ and \d+ have the same name"):
            fields_of(first)
    with pytest.raises(UnreadableExportError, match="columns 11 and 12 have the same name"):
        fields_of([*header, name, name])


@pytest.mark.parametrize(
    "agents", [["lead_id"], ["first_name"], ["lead_id", "email"], ["lead_id", "first_name"]]
)
@pytest.mark.parametrize(
    "labels",
    [ALL_LABELS, [*map(str.lower, ALL_LABELS)], [*map(str.upper, ALL_LABELS)], ["ID", *ALL_LABELS[1:]]],
)
def test_a_smart_agent_with_the_name_of_a_field_takes_none_in_a_header_of_labels(agents, labels):
    named = tuple(f"{agent} (smart agent)" for agent in agents)
    assert fields_of([*labels, *agents]) == (*EXPORT_FIELDS, *named)


@pytest.mark.parametrize("agents", [["Lead ID"], ["Lead ID", "First Name", "Email"]])
def test_smart_agents_with_labels_take_no_field_in_a_header_of_names(agents):
    assert fields_of([*FIELDS, *agents]) == (*FIELDS, *agents)
    assert fields_of([*agents, *FIELDS]) == (*agents, *FIELDS)


@pytest.mark.parametrize("header", [LABELS, FIELDS])
@pytest.mark.parametrize("other", ["Company Name", "Phone Number", "Company Domain", "Job Title", "Provider"])
def test_another_label_in_front_of_a_field_takes_none(header, other):
    field = "Provider (smart agent)" if other == "Provider" else other
    assert fields_of([other, *header]) == (field, *FIELDS)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"provider,provider (smart agent)\n", "columns 1 and 2 have the same name"),
        (b"lead_id,lead_id\n", "columns 1 and 2 have the same name"),
        (b"lead_id,\n", "column 2 has no name"),
        (b",".join([b"x%d" % n for n in range(EXPORT_COLUMNS + 1)]) + b"\n", "more than 2000 columns"),
        (b"\n" + b'"a\nb",' * EXPORT_COLUMNS + b"c\n", "more than 2000 columns"),
        (b",".join([b"x%04000d" % n for n in range(70)]) + b"\n", "names have more than 262,144 characters"),
        (b"lead_id,email\n1,a@x.example,secret\n", "row 1 has 3 cells instead of 2"),
        (b"lead_id,email\n1,a@x.example\n2\n", "row 2 has 1 cells instead of 2"),
        (b'lead_id,email\n1,"a@x.example', "not CSV at row 1"),
        (b'lead_id,email\n1,"a"b\n', "not CSV at row 1"),
        (b"lead_id,email\n1,\xff\n", "not UTF-8 at row 1"),
        (b'lead_id,email\n1,"' + b"a" * EXPORT_ROW_BYTES, "row 1 is larger than"),
        (b'lead_id,email\n1,"' + b"a" * 200_000 + b'"\n', "a cell may be too long"),
    ],
)
def test_what_cannot_be_read_is_refused_without_its_values(data, problem, monkeypatch):
    before = csv.field_size_limit(131_072)
    try:
        with pytest.raises(UnreadableExportError, match=problem) as caught:
            parsed(data)
    finally:
        csv.field_size_limit(before)
    assert "x.example" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_header_that_is_too_wide_makes_no_object_of_each_cell(monkeypatch):
    monkeypatch.setattr(csv_file, "columns_of_plain_csv", None)
    monkeypatch.setattr(csv_file, "csv", None)
    for cell in (b"a,", b'"",', b'"a,b",'):
        with pytest.raises(UnreadableExportError, match="more than 2000 columns"):
            ExportParser().push(cell * 10_000 + b"a\n")


def test_commas_and_line_breaks_within_a_name_are_no_columns():
    parser = ExportParser()
    parser.push(b'lead_id,"' + b",\n" * EXPORT_COLUMNS + b'a"\n1,b\n')
    assert parser.fields == ("lead_id", ",\n" * EXPORT_COLUMNS + "a")


def test_a_long_name_of_a_column_is_one():
    assert fields_of(["lead_id", "x" * 100_000]) == ("lead_id", "x" * 100_000)


def test_missing_fields_are_named_in_order():
    assert missing_fields(("lead_id", "phone", "email"), ("email", "lead_id")) == ["phone"]


@pytest.mark.parametrize("row", [b",Mara\n", b"  1,Mara\n,Ada\n"])
def test_a_lead_without_an_id_is_refused_by_its_row(row: bytes):
    number = row.count(b"\n")
    with pytest.raises(UnreadableExportError, match=f"row {number} has no lead_id"):
        ExportParser().push(b"lead_id,first_name\n" + row)


def test_an_empty_cell_of_another_column_is_no_value():
    assert ExportParser().push(b"lead_id,first_name\n1,\n") == [{"lead_id": "1", "first_name": None}]


def columns_by_reader(text: str) -> list[list[str]] | None:
    """Return the columns of CSV as Python's reader finds them; None if it refuses, or finds rows of other widths."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        return [list(column) for column in zip(*rows, strict=True)]
    except (csv.Error, ValueError):
        return None


CELLS = st.text(st.sampled_from('a1 ",\n\ré😀\x01\u2028'), max_size=4)


@given(
    rows=st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1)),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    terminator=st.sampled_from(["\n", "\r\n"]),
)
def test_plain_csv_is_read_as_pythons_reader_reads_it(rows, quoting, terminator):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=terminator).writerows(rows)
    found = columns_of_plain_csv(text.getvalue().encode())
    unquoted = any("\r" in cell for row in rows for cell in row)  # the writer leaves it so before a line feed
    assert found == columns_by_reader(text.getvalue()) or (found is None and unquoted)


@given(text=st.text(st.sampled_from('a",\n\r\x00'), max_size=14))
def test_what_is_not_plain_is_left_to_pythons_reader(text):
    found = columns_of_plain_csv(text.encode())
    if found is not None:
        assert found == columns_by_reader(text)


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1,say "hi"\n',
        'a,b\n1, "x"\n',
        'a,b\n1,"x" \n',
        "a,b\n\n1,2\n",
        "a,b\r1,2\n",
        "a,b\n1,2",
        "a,b\n1\n1,2,3\n",
        "a,b\n1,\0\n",
        "a\n1\n",
        'a,b\n1,"' + "x" * 131_073 + '"\n',
        "a,b\n1," + "x" * 131_073 + "\n",
    ],
)
def test_it_says_what_it_does_not_read(text):
    assert columns_of_plain_csv(text.encode()) is None


def test_a_row_of_another_width_is_named_by_its_number_in_any_part():
    parser = ExportParser()
    parser.push(b"lead_id,title\n" + b"1,x\n" * 7)
    with pytest.raises(UnreadableExportError, match="row 9 has 3 cells instead of 2"):
        parser.push(b"1,x\n1,x,y\n1\n")
