"""Delimited text."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.errors import EmptyFileError, MalformedFileError
from airflow_provider_cleanlist.contacts.readers.delimited import DELIMITERS, DelimitedFile, unique_names


def read(text: str) -> tuple[str, tuple[str, ...], list[list[str]]]:
    table = DelimitedFile(iter(io.StringIO(text, newline="")))
    return table.delimiter, table.columns, list(table.records())


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_delimiter_is_found(delimiter):
    rows = [
        ["First Name", "Last Name", "Company", "Notes"],
        ["Mara", "Okafor", "Northfold, Inc.", "a; b | c\td, e"],
        ["Teo", "Lindqvist", 'Harbor "Light"', "two\nlines; here"],
    ]
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    found, columns, records = read(written.getvalue())
    assert (found, list(columns), records) == (delimiter, rows[0], rows[1:])


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("LinkedIn URL\nhttps://www.linkedin.com/in/x\n", ","),
        ("Vorname;Nachname;Firma\nJo;Do;Foo, Bar, Baz & Co\n", ";"),
        ("Vorname|Nachname|Firma\nJo|Do|Foo, Bar\n", "|"),
        ("Company, Inc;First Name;Last Name\na;b;c\n", ";"),
        ("\n\nFirst Name\tLast Name\nJo\tDo\n", "\t"),
    ],
)
def test_delimiters_in_odd_tables(text, delimiter):
    assert read(text)[0] == delimiter


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(list(DELIMITERS)),
    st.lists(
        st.lists(st.text("ab,;|\t\"'\n\r é", max_size=5).map(str.strip), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_what_a_csv_writer_writes_is_read_back(delimiter, rows, quote_all):
    written = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(written, delimiter=delimiter, quoting=quoting)
    writer.writerow(["First Name", "Last Name", "Company"])
    writer.writerows(rows)
    found, _, records = read(written.getvalue())
    assert (found, records) == (delimiter, rows)


def test_the_hint_of_excel_is_obeyed():
    assert read("sep=;\r\nFirst Name;Last Name\r\nJo;Do\r\n") == (
        ";",
        ("First Name", "Last Name"),
        [["Jo", "Do"]],
    )


def test_blank_lines_before_the_header_are_skipped_and_after_it_are_records():
    assert read("\n,,\nemail,company\n\na,b\n")[1:] == (("email", "company"), [[], ["a", "b"]])


def test_space_after_a_delimiter_does_not_break_quotes():
    assert read('email, company\nx, "Foo, Inc"\n')[2] == [["x", "Foo, Inc"]]


@pytest.mark.parametrize("text", ["", "\n\n", " , ,\n"])
def test_no_record(text):
    with pytest.raises(EmptyFileError):
        read(text)


def test_an_open_quotation_mark_is_named_by_line():
    text = 'email,company\na,b\nSECRET,"Foo\nc,d\ne,f\n'
    with pytest.raises(MalformedFileError, match=r"record at line 3 is never closed") as caught:
        read(text)
    assert "SECRET" not in str(caught.value)


def test_an_open_quotation_mark_in_a_large_file_does_not_swallow_it():
    text = 'email,company\na,"b\n' + "c,d\n" * 100_000
    with pytest.raises(MalformedFileError, match="line 2"):
        read(text)


def test_text_after_a_closing_quotation_mark_is_named_by_line():
    with pytest.raises(MalformedFileError, match=r"line 2 .*must be doubled"):
        read('email,company\nx,"Foo "Bar" Inc"\n')


def test_line_numbers_count_the_hint_line():
    with pytest.raises(MalformedFileError, match=r"line 3 "):
        read('sep=,\nemail,company\nx,"Foo "Bar" Inc"\n')


def test_names_are_unique():
    assert unique_names(["Email", " Email ", "", "Email", ""]) == (
        "Email",
        "Email (2)",
        "column 3",
        "Email (3)",
        "column 5",
    )
