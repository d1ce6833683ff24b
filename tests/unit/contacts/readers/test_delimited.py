"""Delimited text."""

from __future__ import annotations

import csv
import io
from itertools import chain, repeat

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.errors import ColumnError, EmptyFileError, MalformedFileError
from airflow_provider_cleanlist.contacts.readers import delimited, records
from airflow_provider_cleanlist.contacts.readers.delimited import DELIMITERS, DelimitedFile
from airflow_provider_cleanlist.wording import unique_names


def table_of(text: str, **options: int) -> DelimitedFile:
    return DelimitedFile(iter(io.StringIO(text, newline="")), **options)


def read(text: str) -> tuple[str, tuple[str, ...], list[list[str]]]:
    table = table_of(text)
    return table.delimiter, table.columns, [cells for _, cells in table.records()]


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
    assume(not any(" " in row[0] and row[1:] == ["", ""] for row in rows))  # may be a footer
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


CONNECTIONS = """Notes:
"When exporting your connection data, you may notice that, for some, the address
is missing."

First Name,Last Name,URL,Email Address,Company,Position,Connected On
Mara,Okafor,https://www.linkedin.com/in/mara-example,,Northfold,,
"""


@pytest.mark.parametrize(
    ("above", "lines"),
    [
        ("", 0),
        (CONNECTIONS.partition("First Name")[0], 2),
        ("Leads of the fair in Oslo\n", 1),
        ("# exported on a Monday\n# by Teo; for Mara, and others\n", 2),
        ("Scan Pro 7\nDevice: A1\nScans: 12\nUser: x; y\n\nOperator,Teo\n", 5),
        ("\n" * 30, 0),
        ("Title\n" * 19, 19),
    ],
)
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_lines_above_the_header_are_skipped_and_counted(above, lines, delimiter):
    rows = "First Name,Last Name,URL,Company\nMara,Okafor,x,Northfold\n".replace(",", delimiter)
    table = table_of(above + rows)
    assert table.columns == ("First Name", "Last Name", "URL", "Company")
    ((number, cells),) = table.records()
    assert (table.delimiter, cells) == (delimiter, ["Mara", "Okafor", "x", "Northfold"])
    spreadsheet = list(csv.reader(io.StringIO(above + rows), delimiter=delimiter))
    assert spreadsheet[number] == cells, "row 1 is row 2 of a spreadsheet"
    said = f"Lines above the header skipped: {lines} (the header is row {number} of the file)."
    assert table.skipped_lines() == ([said] if lines else [])


def test_a_header_further_down_is_not_found():
    assert table_of("Title\n" * 20 + CONNECTIONS).columns == ("Title",)


def test_the_first_line_is_the_header_where_only_one_name_is_known():
    assert table_of("Notiz,LinkedIn\nemail,x\n").columns == ("Notiz", "LinkedIn")


def test_mapped_names_count_as_known():
    text = "Bericht\n\nRufname|Zuname|Betrieb\nMara|Okafor|Northfold\n"
    known = {"Rufname", "Zuname"}
    table = DelimitedFile(io.StringIO(text), count_known=lambda names: sum(name in known for name in names))
    assert table.columns == ("Rufname", "Zuname", "Betrieb")


def test_the_row_of_the_header_can_be_given():
    text = "First Name,Last Name\n\nMara,Okafor;x\nVorname;Name\nTeo;Lindqvist\n"
    table = table_of(text, header_row=4)
    assert (table.columns, list(table.records())) == (("Vorname", "Name"), [(4, ["Teo", "Lindqvist"])])


@pytest.mark.parametrize(("row", "problem"), [(2, "is blank"), (9, "does not exist")])
def test_a_given_row_that_is_no_header(row, problem):
    with pytest.raises(MalformedFileError, match=rf"^header_row={row}: that row of the file {problem}\.$"):
        table_of("email,company\n\na,b\n", header_row=row)


FOOTER = (
    '\n\n"Grand Totals (2 records)"\n""\n"Confidential, do not distribute"\n"Copyright (c) Quill, inc."\n'
)


@pytest.mark.parametrize("footer", [FOOTER, FOOTER + "\n", "\nGrand Totals,,\nAll rights reserved,,\n"])
def test_a_footer_is_skipped_and_counted(footer):
    table = table_of(f"First Name,Last Name,Company\nMara,Okafor,x\n{footer}")
    rows = [cells for _, cells in table.records() if any(cells)]
    assert rows == [["Mara", "Okafor", "x"]]
    (line,) = table.skipped_lines()
    assert line.startswith("Footer lines skipped: ")
    assert "Copyright" not in line


@pytest.mark.parametrize(
    "footer",
    [
        ',Confidential Information - Do Not Distribute,,\n,"Copyright © 2026 quill.example, inc.",,\n',
        ",All rights reserved,,\n,Quill,,\n",
    ],
)
def test_a_footer_stands_below_the_first_column_that_has_a_name(footer):
    table = table_of(f",First Name,Last Name,Company\n,Mara,Okafor,x\n,,,\n{footer}")
    assert [cells[1] for _, cells in table.records() if any(cells)] == ["Mara"]
    assert table.skipped_lines() == ["Footer lines skipped: 2 (rows 3, 4)."]


@pytest.mark.parametrize(
    "rows",
    [
        "Mara\nTeo\n",  # no blank line before
        "\nMara\na,b,c\n",  # not at the end
        "\nhttps://www.linkedin.com/in/mara-example\n",  # a person
        "\n1004,,\n",  # an id
        "\n,,Quill and Sextant\n",  # in another column
        "\nMara,Okafor\n",
        "\n" + "Mara\n" * 21,
    ],
)
def test_what_is_no_footer(rows):
    table = table_of(f"URL,First Name,Last Name\n{rows}")
    assert sum(1 for _ in table.records()) == rows.count("\n")
    assert table.skipped_lines() == []


def test_a_repeated_header_is_skipped_and_counted():
    table = table_of("email,company\na,b\nemail,company\nemail,other\nc,d\nemail,company\n")
    assert list(table.records()) == [(1, ["a", "b"]), (3, ["email", "other"]), (4, ["c", "d"])]
    assert table.skipped_lines() == ["Further header lines skipped: 2 (rows 2, 5)."]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (r'"Mara","Thistle \"T\" Inc"', ["Mara", 'Thistle "T" Inc']),
        (r'"Mara","5\""', ["Mara", '5"']),
        (r'"M \"a\"","Thistle \"T\",' + "\n" + r'and Co"', ['M "a"', 'Thistle "T",\nand Co']),
        ('"Mara" ,"Thistle"\t', ["Mara", "Thistle"]),
        ('"Mara" , "Thistle ""T"""  ', ["Mara", 'Thistle "T"']),
        (r'"Mara" ,"Thistle \"T\" Inc"', ["Mara", 'Thistle "T" Inc']),
        (r'"Mara","\",;"', ["Mara", '",;']),
        (r'"Mara","C:\dir"', ["Mara", r"C:\dir"]),  # well-formed: a backslash is a character
    ],
)
def test_quotation_marks_as_tools_write_them(row, cells):
    text = f"First Name,Company\nTeo,x\n{row}\nlast,y\n"
    assert read(text)[2] == [["Teo", "x"], cells, ["last", "y"]]
    assert read(text * 300)[2][-2] == cells


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ('"Quality" Foods\t"Teo"', ['"Quality" Foods', "Teo"]),
        ('"Quality" Foods\t"T ""L"""', ['"Quality" Foods', 'T "L"']),
        ('"Quality"\t5" pipes', ["Quality", '5" pipes']),
        ('"Quality" \t"T\tL"', ["Quality", "T\tL"]),
    ],
)
def test_quotation_marks_in_tab_separated_text(row, cells):
    assert read(f"Company\tFirst Name\n{row}\nlast\ty\n")[2] == [cells, ["last", "y"]]


@pytest.mark.parametrize("row", ['"Quality" Foods\t"T\tL"', '"Quality\tTeo', '"a" b\tc\td'])
def test_what_could_be_read_in_several_ways_is_an_error(row):
    with pytest.raises(MalformedFileError, match="line 2"):
        read(f"Company\tFirst Name\n{row}\nlast\ty\n")


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ('"Mara" ,\\"Thistle', ["Mara", '"Thistle']),
        ('"Mara" ,\\"Thistle,"x\ny" ', ["Mara", '"Thistle', "x\ny"]),
    ],
)
def test_a_record_of_another_width_with_a_backslash_is_read_as_far_as_it_can_be(row, cells):
    """The data rows of a header with four columns."""
    assert read(f"a,b,c,d\n1,2,3,4\n{row}\n5,6,7,8\n")[2] == [list("1234"), cells, list("5678")]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("First Name;Last Name;Company", 'Ada;Roe;"Northfold\nBo;Lind;Thistle\nCy;Moe;Side"\n'),
        ("First Name,Last Name,Company,Size", 'Ada,Roe,Northfold,"5\nBo,Lind,Thistle,6"\n'),
    ],
)
def test_a_stray_quotation_mark_that_joins_rows_is_named_by_line(header, rows):
    with pytest.raises(MalformedFileError, match="opened in the record at line 3 is closed in a later one"):
        read(f"{header}\nDi,Voss,Side\n".replace("," if ";" in header else "-", ";") + rows)


@pytest.mark.parametrize(
    "cell",
    [
        "talked to\nBo,Lind,Thistle,yes\nlater",
        "Main Street 1, Floor 2, Door 3, Left\n0150 Oslo, Norway, Earth, x",
        "a\n\nb",
    ],
)
def test_a_cell_may_hold_line_breaks(cell):
    row = ["Ada", "Roe", "Northfold", cell]
    assert read(f'First Name,Last Name,Company,Address\nAda,Roe,Northfold,"{cell}"\n')[2] == [row]


def test_long_cells():
    notes = "x" * 1_000_000
    assert read(f'email,notes\na,{notes}\nb,"{notes}"\n')[2] == [["a", notes], ["b", notes]]


def test_a_cell_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CELL_CHARACTERS", 200_000)
    before = csv.field_size_limit(131_072)
    with pytest.raises(MalformedFileError, match=r"line 2 .* longer than 200,000 characters"):
        read("email,notes\na," + "x" * 300_000)
    csv.field_size_limit(before)


def test_names_are_unique():
    assert unique_names(["Email", " Email ", "", "Email", ""]) == (
        "Email",
        "Email (2)",
        "column 3",
        "Email (3)",
        "column 5",
    )
    assert unique_names(["a (2)", "a", "a", "a (2)", "a"]) == ("a (2)", "a", "a (3)", "a (2) (2)", "a (4)")
    assert len(unique_names(["a"] * 300_000)) == 300_000


@pytest.mark.parametrize(
    "labels",
    [
        "First Name,Last Name,Company Name,\n",
        'First Name,Last Name,Where do you work?,\n"{""ImportId"":""QID1""}","{""ImportId"":""QID2""}",,\n',
        "Vorname,Nachname,Firma,\n",
    ],
)
def test_labels_below_the_header_are_no_people(labels):
    text = "firstname,lastname,company,notes\n"
    table = table_of(f"{text}{labels}Ada,Park,Thistle,\n")
    assert [cells[0] for _, cells in table.records()] == ["Ada"]
    assert table.skipped_lines()[0].startswith("Further header lines skipped: ")


@pytest.mark.parametrize(
    ("header", "other"),
    [
        ("First Name,Last Name,Company,Email", "City,State,Company,Email"),
        ("First Name,Last Name,Company,Email", "Email,Website,Phone,Company"),
        ("First Name,Last Name,Company,Notes", "Last Name,First Name,Company,Notes"),
    ],
)
def test_names_of_other_columns_directly_below_the_header_are_no_labels(header, other):
    with pytest.raises(MalformedFileError, match=r"name columns|names columns"):
        read(f"{header}\n{other}\nBoston,Massachusetts,Northfold,a\n")


@pytest.mark.parametrize(
    "row", ["Company,Park,Thistle,", "Ada,Park,Company,Email", "Ada,Mail,Thistle,Company"]
)
def test_a_person_with_one_name_of_a_column_is_a_person(row):
    _, _, records = read(f"First Name,Last Name,Company,Notes\n{row}\n")
    assert records == [row.split(",")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("First Name,Last Name,Company,LinkedIn,Email,Website", "Ada,Roe,Northfold,LinkedIn,Email,Website"),
        ("Full Name,Company,LinkedIn Profile,E-mail", "Ada Roe,Northfold,LinkedIn,Email"),
        ("Kontakt,LinkedIn,Email,Notes", "Ada Roe,LinkedIn,Email,x"),
        ("LinkedIn,Source,Channel,Tier", "https://www.linkedin.com/in/ada-roe,LinkedIn,Email,x"),
    ],
)
def test_a_person_whose_cells_are_names_of_columns_is_a_row(header, row):
    _, columns, records = read(f"{header}\n{row}\n{row.replace('Ada', 'Bo')}\n")
    assert ",".join(columns) == header
    assert records == [row.split(","), row.replace("Ada", "Bo").split(",")]


@pytest.mark.parametrize(
    "text",
    [
        "LinkedIn URL;Source;Channel\nhttps://www.linkedin.com/in/ada-roe;LinkedIn;E-Mail\n",
        "Person,Origin,Medium,Reached\nAda Roe,LinkedIn,Email,ada@northfold.example\n",
        "Person,Origin,Medium,Reached\nAda Roe,LinkedIn,Email,+47 22 12 34 56\n",
        "Fornafn,Eftirnafn,Starf,Uppruni,Kanal\nAda,Roe,CTO,LinkedIn,Email\n",
        "First Name,Last Name,Company,Q1,Q2,Q3,Q4\nAda,Roe,Northfold,Email,Domain,LinkedIn,x\nBo,Roe,Larch,x,x,x,x\n",
    ],
)
def test_a_row_of_data_is_not_the_header(text):
    table = table_of(text)
    header = text.splitlines()[0]
    assert list(table.columns) == header.split(table.delimiter)


def test_a_header_below_a_title_may_have_unknown_names():
    table = table_of(
        "Leads 2026\nTier,First Name,Last Name,Company,Grade,Score A,Score B\n1,Ada,Roe,Larch,,,\n"
    )
    assert list(table.columns)[1:4] == ["First Name", "Last Name", "Company"]


@pytest.mark.parametrize(
    "above",
    [
        '"Sorted by: Country, Last Name, First Name, Company"\n',
        "Sorted by: Country, Last Name, First Name, Company\n",
        "Sorted by: Country, Last Name, First Name, Company\n\n",
        "Fields: Last Name, First Name\n",
    ],
)
def test_a_line_that_speaks_of_columns_is_no_header(above):
    table = table_of(f'{above}First Name,Last Name,Company,Email\nAda,"Pa\\"rk",Thistle,\nBo,Lind,Larch,x\n')
    assert list(table.columns) == ["First Name", "Last Name", "Company", "Email"]
    assert [cells[0] for _, cells in table.records()] == ["Ada", "Bo"]
    assert any("above the header skipped: 1" in line for line in table.skipped_lines())


def test_a_first_row_with_names_of_columns_is_no_header():
    table = table_of('First Name,Last Name,Company\nFirst,Company,"La\\"rch"\nAda,Park,Thistle\n')
    assert list(table.columns) == ["First Name", "Last Name", "Company"]


NAMES = "First Name,Last Name,Company,Email,Comment"


@pytest.mark.parametrize(
    ("header", "typed"),
    [
        (NAMES, "Last Name,First Name,Company,Email,x"),
        (NAMES, "Last Name,First Name,Company,Email,LinkedIn URL"),
        (NAMES, "First Name,Last Name,Company,Email,LinkedIn URL"),
        (NAMES, "First Name,Last Name,Company,Company Domain,Email"),
        ("First Name,Last Name,Company,Score A,Score B", "Vorname,Nachname,Firma,Website,LinkedIn"),
        ("Full Name,Company,Question 1,Question 2,Question 3", "First Name,Last Name,Company,x,y"),
        ("LinkedIn Profile,Kommentar,Wann", "First Name,Last Name,Company"),
    ],
)
@pytest.mark.parametrize("between", ["", "\n"])
def test_a_first_row_that_may_be_the_header_as_well_is_refused(header, typed, between):
    """Somebody has typed names of columns into a form; the rows below would be other people by it."""
    text = f"{header}\n{between}{typed}\nAda,Park,Thistle,x,y\n"
    with pytest.raises(
        MalformedFileError, match=r"^Rows 1 and [23] of the file both name columns.* header_row=1, "
    ):
        table_of(text)
    assert list(table_of(text, header_row=1).columns) == header.split(",")
    assert list(table_of(text, header_row=2 + len(between)).columns) == typed.split(",")


def test_a_row_farther_down_may_be_the_header_as_well():
    rows = "Ada Park,Thistle,x,y,z\n" * 5
    text = f"Full Name,Company,Q1,Q2,Q3\n{rows}First Name,Last Name,Company,LinkedIn URL,x\n{rows}"
    with pytest.raises(MalformedFileError, match=r"^Rows 1 and 7 of the file both name columns"):
        table_of(text)


@pytest.mark.parametrize("header", ["First Name,Last Name,Company,Comment", "Full Name,Company,Q1,Comment"])
@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
@pytest.mark.parametrize("above", [0, 2])
@pytest.mark.parametrize("rows_like_it", [0, 1, 30])
def test_a_row_that_names_columns_by_another_delimiter_is_no_header(header, delimiter, above, rows_like_it):
    """What somebody types into the first field of a form needs no quotation marks if it holds other delimiters."""
    names = ["First Name", "Last Name", "Company", "LinkedIn URL", "Email", "Website"]
    others = "Ada,Park,Thistle,x\n"
    like_it = f"{delimiter.join('abcdef')},x,y,z\n"
    text = f"{header}\n{others * above}{delimiter.join(names)},x,y,z\n{like_it * rows_like_it}{others * 3}"
    if rows_like_it > 1:
        with pytest.raises(
            MalformedFileError, match=rf"^Rows 1 and {above + 2} of the file both name columns"
        ):
            table_of(text)
    else:  # most rows agree on one delimiter
        assert list(table_of(text).columns) == header.split(",")
    assert list(table_of(text, header_row=1).columns) == header.split(",")


def test_delimiters_in_the_text_of_rows_change_nothing():
    text = "Last Name;Company (City, Country);Email\n" + "Roe, Ada;Larch (Oslo, Norway);a\n" * 3
    assert table_of(text).delimiter == ";"
    text = "First Name,Last Name,Company,Notes\n" + "Ada,Roe,Larch,a;b;c;d\n" * 3
    assert table_of(text).delimiter == ","


@pytest.mark.parametrize(
    "above",
    [
        "Company,Acme",
        "Company: Acme,Owner: Roe,Report: Leads,Period: May",
        "Contact,Contact,Company,Company",
        "Leads,2026,May,x",
        "Name,,Company,",
    ],
)
def test_what_stands_above_a_header_gives_way(above):
    text = f"{above}\nFirst Name,Last Name,Company Name,Website\nAda,Park,Thistle,thistle.example\n"
    assert [name.rpartition(" - ")[2] for name in table_of(text).columns] == [
        "First Name",
        "Last Name",
        "Company Name",
        "Website",
    ]


@pytest.mark.parametrize(
    "other",
    [
        "Given Name,Family Name,Company",
        "Company,First Name,Last Name",
        "Last Name,First Name,Company",
        "Company,Website,Industry",
        "Name,Domain,Owner",
        "Email,Company,Vorname",
        "Subitems,Name,Owner,Status,Date",
        "Vorname;Nachname;Firma".replace(";", ","),
    ],
)
def test_another_header_farther_down_is_refused(other):
    table = table_of(f"First Name,Last Name,Company\nAda,Park,Thistle\n\n{other}\nLind,Bo,Larch\n")
    with pytest.raises(MalformedFileError, match=r"^Row 3 names columns.* give header_row=4\.$"):
        list(table.records())


@pytest.mark.parametrize(
    "row",
    [
        "Name,Page,Domain",  # a company
        "Sales,Park,Company",
        "Person,Lee,Thistle",
        "Name,Lee,Date,Status,Owner",
        "Date,Status,Website",
        "Company,Website,https://thistle.example",
        "Contact,,",
    ],
)
def test_who_is_called_like_a_column_is_a_row(row):
    text = f"First Name,Last Name,Company\nAda,Park,Thistle\n{row}\n"
    assert read(text)[2][-1] == row.split(",")


@pytest.mark.parametrize(
    "notes",
    [
        "string,string,string",
        "varchar(50),varchar(50),varchar(255)",
        "String (required),String (required),Text; optional",
        "(required),(required),",
        "Pflichtfeld,Pflichtfeld,optional",
        "Enter the contact's first name,Enter the last name,Enter the company",
        "e.g. Ada,e.g. Park,e.g. Thistle",
        "z. B. Ada,z. B. Park,z. B. Larch",
        "obbligatorio,obbligatorio,facoltativo",
        "Your first name,Your last name,Your company",
        "Text (max 80),Text (max 80),Text (max 255)\ne.g. Ada,e.g. Park,e.g. Thistle",
    ],
)
def test_notes_below_the_header_are_skipped(notes):
    table = table_of(f"First Name,Last Name,Company\n{notes}\nAda,Park,Thistle\n")
    assert [cells[0] for _, cells in table.records()] == ["Ada"]
    [line] = table.skipped_lines()
    assert line.startswith("Further header lines skipped: ")


@pytest.mark.parametrize(
    "row",
    [
        "String,Park,Thistle",
        "Text,String,Thistle",
        "Ada,Text,Required",
        "Max,Mustermann,Date",
        "Type,Park,Thistle",
        "Dateo,Integeri,Larch",
        "Your,Obbligatori,Your Larch",
    ],
)
def test_who_is_called_like_a_type_is_a_row(row):
    assert read(f"First Name,Last Name,Company\n{row}\n")[2] == [row.split(",")]


def test_notes_farther_down_are_rows():
    text = "First Name,Last Name,Company\nAda,Park,Thistle\nBo,Lind,Larch\nstring,string,string\n"
    assert len(read(text)[2]) == 3


@pytest.mark.parametrize(
    "totals",
    [
        "Total,25,,3",
        "Total,1 contact,1 company,1 e-mail",
        "Grand Total:,2,,",
        "Summe;2 Kontakte;EUR;1.200".replace(";", ","),
        ",Subtotal,,3",
        "Subtotal,Count,of records,2",
        "TOTAL,$3,20 %,",
        "итого,2,,",
        "Grand Totals (3),,,",
        ",Gesamt: 1,,",
        "Row count: 3",
        "Total: 2",
        "(3 rows)",
    ],
)
def test_totals_are_skipped_wherever_they_come(totals):
    table = table_of(f"First Name,Last Name,Company,Email\nAda,Park,Thistle,\n{totals}\nBo,Lind,Larch,\n")
    assert [cells[0] for _, cells in table.records()] == ["Ada", "Bo"]
    assert table.skipped_lines() == ["Totals skipped: 1 (row 2)."]


@pytest.mark.parametrize(
    "row",
    [
        "Total,Okafor,Thistle,",
        "Total,Okafor,Thistle,250",
        "Sum,Okafor,3 Suisses,",
        "Total,Okafor,7-Eleven,total@thistle.example",
        "Ada,Total,12,3",
        "Total,,,",
        "Total 3,,,",
        "Total: Okafor,,,",
        "Agence: 3,,,",
        "Gesamt: 1,Okafor,,",
    ],
)
def test_who_is_called_total_is_a_row(row):
    text = f"First Name,Last Name,Company,Email\n{row}\n"
    assert read(text)[2] == [row.split(",")]


def test_groups_above_the_header_belong_to_the_names_if_several_are_people():
    table = table_of(
        "Customer,,Account Manager,,\nFull Name,Company,First Name,Last Name,E-mail\nAda Park,Thistle,Bo,Lind,\n"
    )
    assert table.columns == (
        "Customer - Full Name",
        "Customer - Company",
        "Account Manager - First Name",
        "Account Manager - Last Name",
        "Account Manager - E-mail",
    )
    assert [cells[2] for _, cells in table.records()] == ["Bo"]


@pytest.mark.parametrize(
    "above",
    ["Person,,,Address,", "Contacts of 2026,,,,", "Contact,,Employer,,", "Owner,Jane,,,", "Owner,,Jane,,"],
)
def test_what_else_stands_above_the_header_does_not(above):
    table = table_of(f"{above}\nFirst Name,Last Name,Company,City,Email\nAda,Park,Thistle,,\n")
    assert table.columns == ("First Name", "Last Name", "Company", "City", "Email")


@pytest.mark.parametrize(
    "above", ["Account,,Account Owner,,", "Deal,,Sales rep,,", "Account,Account,Owner,Owner,Owner"]
)
def test_a_group_of_colleagues_alone_belongs_to_its_names(above):
    table = table_of(f"{above}\nCompany,Website,First Name,Last Name,Email\nThistle,,Bo,Lind,\n")
    assert table.columns[2:4] == tuple(
        f"{above.split(',')[2]} - {name}" for name in ("First Name", "Last Name")
    )


def test_groups_of_one_persons_data_are_no_people():
    header = "Personal details,,,Work,,\nFirst Name,Last Name,LinkedIn,Company,Email,LinkedIn"
    table = table_of(f"{header}\nAda,Park,,Thistle,,\n")
    assert table.columns == ("First Name", "Last Name", "LinkedIn", "Company", "Email", "LinkedIn (2)")


def test_with_a_header_row_its_names_stand_alone():
    text = "Customer,,Account Manager,\nFull Name,Company,First Name,Last Name\nAda Park,Thistle,Bo,Lind\n"
    table = DelimitedFile(iter(text.splitlines(keepends=True)), header_row=2)
    assert table.columns == ("Full Name", "Company", "First Name", "Last Name")


@pytest.mark.parametrize(
    "footer",
    [
        "Exported by,Jane Smith,Sales Team",
        "Generated By: Jane,Sales Ops,Us\nFilters: Region = EU,Owner = All,Open",
    ],
)
def test_a_footer_of_several_cells_is_known_by_its_words(footer):
    table = table_of(f"First Name,Last Name,Company\nAda,Park,Thistle\n\n{footer}\n")
    assert [cells[0] for _, cells in table.records() if cells] == ["Ada"]
    assert any("Footer lines skipped" in line for line in table.skipped_lines())


@pytest.mark.parametrize(
    "text",
    [
        '"First Name,Last Name,Company"\n"Ada,Park,Thistle"\n"Bo,Lind,""Larch, Inc."""\n',
        '"First Name;Last Name;Company";;\n"Ada;Park;Thistle";;\n"Bo;Lind;Larch, Inc.";;\n',
        '"First Name,Last Name,Company"\nAda,Park,Thistle\n"Bo,Lind,""Larch, Inc."""\n',
        '"Report, of contacts"\n\n"First Name\tLast Name\tCompany"\n"Ada\tPark\tThistle"\n"Bo\tLind\tLarch, Inc."\n',
    ],
)
def test_rows_that_stand_whole_in_the_first_cells_are_read(text):
    table = table_of(text)
    assert table.columns == ("First Name", "Last Name", "Company")
    rows = [cells for _, cells in table.records()]
    assert rows == [["Ada", "Park", "Thistle"], ["Bo", "Lind", "Larch, Inc."]]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (
            '"First Name","Last Name","Company"\n"Ada, B.","Park","Larch; Inc."\n',
            ("First Name", "Last Name", "Company"),
        ),
        ('"LinkedIn URL"\n"https://www.linkedin.com/in/ada-park, Ada"\n', ("LinkedIn URL",)),
        ('"Comment"\n"Dear Ada, thanks"\n', ("Comment",)),
    ],
)
def test_quoted_cells_with_delimiters_are_cells(text, columns):
    table = table_of(text)
    assert table.columns == columns
    assert len(list(table.records())) == 1


@pytest.mark.parametrize("again", ["first_name,LAST NAME,Company ", '"First  Name",LastName,company'])
def test_the_header_in_another_spelling_is_skipped_wherever_it_comes(again):
    table = table_of(f"First Name,Last Name,Company\nAda,Park,Thistle\n{again}\nBo,Lind,Larch\n")
    assert [cells[0] for _, cells in table.records()] == ["Ada", "Bo"]
    assert table.skipped_lines() == ["Further header lines skipped: 1 (row 2)."]


@pytest.mark.parametrize("row", ["First Name,Park,Thistle", "firstname,lastname,Thistle", "First Name,,"])
def test_part_of_the_header_is_a_row(row):
    text = f"First Name,Last Name,Company\nAda,Park,Thistle\n{row}\n"
    assert len(read(text)[2]) == 2


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("Name (Last, First),Company", '"Park, Ada",Thistle', ("Name (Last,First)", "Company")),
        ("Notes (a, b, c),First Name,Last Name", "x,Ada,Park", ("Notes (a,b,c)", "First Name", "Last Name")),
        ("Name (Last,First),Company", "Park,Ada,Thistle", ("Name (Last", "First)", "Company")),
        ("Size (cm,First Name,Last Name", "9,Ada,Park", ("Size (cm", "First Name", "Last Name")),
        (
            "First Name (given),Last Name,Company",
            "Ada,Park,Thistle",
            ("First Name (given)", "Last Name", "Company"),
        ),
    ],
)
def test_a_name_that_a_delimiter_in_its_brackets_cuts_is_one_if_the_rows_say_so(header, row, columns):
    found, read_columns, records = read(f"{header}\n{row}\n")
    assert (found, read_columns) == (",", columns)
    assert len(records[0]) == len(columns)


def test_apostrophes_around_every_name_of_the_header_enclose_cells():
    text = "'First Name','Last Name','Company'\n'Ada','O''Park','Thistle, Inc.'\nBo,Lind,Side Co\n"
    _, columns, records = read(text)
    assert columns == ("First Name", "Last Name", "Company")
    assert records == [["Ada", "O'Park", "Thistle, Inc."], ["Bo", "Lind", "Side Co"]]


@pytest.mark.parametrize("header", ["'First Name',Last Name,Company", "First Name,Last Name,'Company'"])
def test_other_apostrophes_belong_to_the_text(header):
    _, _, records = read(f"{header}\n'Ada',Park,'t Hooft\n")
    assert records == [["'Ada'", "Park", "'t Hooft"]]


def test_a_record_that_a_quotation_mark_never_closes_ends_somewhere(monkeypatch):
    monkeypatch.setattr(records, "LOOK_CHARACTERS", 1000)
    taken = []
    lines = chain(["email,notes\n", "a,b\n"] + ["c,d\n"] * 60, repeat('"\n', 1), repeat('","\n', 10_000))
    table = DelimitedFile(line for line in lines if not taken.append(line))
    with pytest.raises(MalformedFileError, match=r"record at line 63 is longer than 1,000 characters\."):
        list(table.records())
    assert len(taken) < 500


def test_a_quotation_mark_that_is_open_in_tabbed_text_belongs_to_its_value(monkeypatch):
    monkeypatch.setattr(records, "LOOK_CHARACTERS", 1000)
    rows = ["email\tnotes\n", 'a\t"five" inch or 5" "\n', *["b\tc\n"] * 1000]
    assert read("".join(rows))[2] == [["a", '"five" inch or 5" "'], *[["b", "c"]] * 1000]


@pytest.fixture
def lines_read(monkeypatch) -> list[int]:
    """The lengths of all lines that the csv module was given, also of those that it was given again."""
    lengths: list[int] = []
    original = records._Lines.__next__

    def counted(lines: records._Lines) -> str:
        line = original(lines)
        lengths.append(len(line))
        return line

    monkeypatch.setattr(records._Lines, "__next__", counted)
    monkeypatch.setattr(records, "LOOK_CHARACTERS", 50_000)
    return lengths


@pytest.mark.parametrize(
    ("header", "row", "end"),
    [
        ("first_name,last_name,company_name", r'x","y\"",Acme', ""),  # open as far as the end
        ("first_name,last_name,company_name", r'x","y\"",Acme', '"\n'),  # closed there
        ("first_name,last_name,company_name", r'x","y\",b,c,d', ""),  # open if the backslash counts
        ("first_name\tlast_name\tcompany_name", 'x"\t"y""\tAcme', ""),  # literal
    ],
)
def test_what_is_read_again_is_bounded(header, row, end, lines_read):
    assert len(read(f"{header}\n" + f"{row}\n" * 20 + end)[2]) >= 19
    lines_read.clear()
    text = f"{header}\n" + f"{row}\n" * 2000 + end
    with pytest.raises(MalformedFileError, match=r"Too many records above line \d+ have a quotation mark"):
        read(text)
    assert sum(lines_read) < 300_000


@pytest.mark.parametrize(
    ("header", "row", "cells"),
    [
        ("a,b", r'"the \"5\" one",c', ['the "5" one', "c"]),
        ("a,b", r'"12\"",Acme', ['12"', "Acme"]),
        ("a,b", r'"12\"",""', ['12"', ""]),
        ("a,b", r'"C:\",Acme,', ["C:\\", "Acme", ""]),
        ("a,b", '"Acme" ,c', ["Acme", "c"]),
        ("a\tb", '"Acme""\tc', ['"Acme""', "c"]),
        ("a\tb", '"five" inch or 5" "\tc', ['"five" inch or 5" "', "c"]),
    ],
)
@pytest.mark.parametrize(("times", "between"), [(2000, 0), (20, 1000)])
def test_ordinary_records_are_read_again_without_end(header, row, cells, times, between, lines_read):
    plain = header.replace("a", "u").replace("b", "v") + "\n"
    text = f"{header}\n" + f"{row}\n{plain * between}" * times
    found = read(text)[2]
    assert found.count(cells) == times
    assert len(found) == times * (between + 1)
    assert sum(lines_read) < 5 * len(text)


def test_a_record_is_as_wide_as_a_sheet():
    text = "email,notes\n" + "a,b\n" * 60
    assert read(f'{text}a,"{"," * 20_000}"\n')[2][-1] == ["a", "," * 20_000]
    assert len(read(text + "," * 16_383)[2][-1]) == 16_384
    with pytest.raises(ColumnError, match=r"record at line 62 has 16,385 cells\."):
        read(text + "," * 16_384)


def test_the_header_is_searched_for_so_far(monkeypatch):
    monkeypatch.setattr(delimited, "LOOK_CHARACTERS", 1000)
    monkeypatch.setattr(records, "LOOK_CHARACTERS", 1000)
    header = "email,notes\na,b\n"
    assert read("\n" * 900 + header)[1:] == (("email", "notes"), [["a", "b"]])
    for text, row in (("\n" * 2000 + header, None), ("x,y\n" * 900 + header, 901)):
        taken: list[str] = []
        lines = (line for line in text.splitlines(keepends=True) if not taken.append(line))
        with pytest.raises(MalformedFileError, match="header is not within the first 1,000 characters"):
            DelimitedFile(lines, header_row=row)
        assert len(taken) < 1100
    assert read(f"{'t' * 600}\n{'t' * 600}\n{header}")[1] == ("t" * 600,)


def test_blank_lines_behind_a_footer_are_held_together():
    text = "email,notes\na,b\n\nExported by Mara\n" + "\n" * 5000
    table = table_of(text)
    rows = list(table.records())
    assert rows == [(1, ["a", "b"]), (2, []), *[(number, []) for number in range(4, 5004)]]
    assert table.skipped_lines() == ["Footer lines skipped: 1 (row 3)."]
    assert [number for number, _ in table_of(text + "c,d\n").records()] == list(range(1, 5005))
