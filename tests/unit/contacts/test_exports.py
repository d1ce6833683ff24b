"""Headers of other tools' exports, in many languages: each names the columns that hold a person.

``exports.csv`` has one header a line, as its tool writes it; ``Company=company_name`` is a column that holds the
field, a column without ``=`` must stay unread. ``source`` says where the header can be looked up: a page, a repository
and its file or folder, or that it is general knowledge, for which no public source was found. The people are invented.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS
from airflow_provider_cleanlist.contacts.columns import plan_columns
from airflow_provider_cleanlist.contacts.errors import ColumnError
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.recognition import header_key, known_names
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import RecordsSource

FILE = Path(__file__).with_name("exports.csv")
ROWS = list(csv.DictReader(FILE.read_text(encoding="utf-8").splitlines()))
EXPORTS = [
    (row["tool"], row["language"], [tuple(cell.partition("=")[::2]) for cell in row["header"].split("|")])
    for row in ROWS
]
PERSON = {
    "linkedin_url": "https://www.linkedin.com/in/mara-okafor-example",
    "first_name": "Mara",
    "last_name": "Okafor",
    "company_name": "Northfold",
    "company_domain": "northfold.example",
    "email": "mara@northfold.example",
}


def test_tools_and_languages() -> None:
    assert len({tool for tool, _, _ in EXPORTS}) >= 70
    assert len({language for _, language, _ in EXPORTS}) >= 30


def test_every_header_says_where_it_is_from() -> None:
    assert all(row["source"] for row in ROWS)
    looked_up = [row for row in ROWS if row["source"].startswith(("https://", "github.com/"))]
    assert len({row["tool"].removesuffix(" API").removesuffix(" import") for row in looked_up}) >= 40
    assert len({row["language"] for row in looked_up}) >= 30


def test_a_tool_that_the_table_names_has_a_header_here() -> None:
    written = {(tool, header_key(name)) for tool, _, header in EXPORTS for name, _ in header}
    named = {(tool, header_key(known.name)) for known in known_names() for tool in known.tools}
    assert named <= written


@pytest.mark.parametrize(
    "header", [pytest.param(cells, id=f"{tool}, {language}") for tool, language, cells in EXPORTS]
)
def test_an_export_is_read_as_its_tool_means_it(header: list[tuple[str, str]]) -> None:
    columns = [name for name, _ in header]
    fields = {field for _, field in header if field}
    plan = plan_columns(columns, {})
    assert {field: set(names) for field, names in plan.sources.items()} == {
        field: {name for name, meant in header if meant == field} for field in fields
    }
    assert plan.is_usable
    assert plan.is_header
    record = {name: PERSON.get(field, "somebody else's") for name, field in header}
    [row] = read_contacts(RecordsSource([record]), ReadReport())
    assert isinstance(row, UsableRow)
    assert row.contact.payload() == {field: PERSON[field] for field in CONTACT_FIELDS if field in fields}


@pytest.mark.parametrize(
    ("tool", "header"),
    [
        ("Close API", "id|lead_id|name|display_name|title|emails|phones|urls|date_created"),
        ("monday", "Name|Company|Title|Email|Phone|Owner"),
        ("Intercom", "Name|Email|Phone|Owner|Last seen"),
    ],
)
def test_an_export_of_full_names_is_refused_by_its_columns(tool: str, header: str) -> None:
    columns = header.split("|")
    name = next(column for column in columns if column.casefold() == "name")
    with pytest.raises(ColumnError) as caught:
        list(read_contacts(RecordsSource([dict.fromkeys(columns, "Mara Okafor")]), ReadReport()))
    assert f"{name!r}" in str(caught.value)
    assert "are not split: give first_name and last_name" in str(caught.value)
    assert "column_mapping={" in str(caught.value)
    assert "Okafor" not in str(caught.value)
