"""What Python's csv writes in any dialect, encoding and order, with lines around it, comes back as the same people."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.contacts.readers.delimited import DELIMITERS
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource

HEADERS = ("First Name", "Last Name", "Company", "Notes", "Record ID")
FIELDS = ("first_name", "last_name", "company_name")
ABOVE = (
    "",
    "Leads of the fair\n",
    "# Monday; all, of them\n\n",
    'Notes:\n"When exporting, you may\nnotice"\n\n',
)
BELOW = ("", '\n"Grand Totals (2 records)"\n\n"Copyright (c) Quill, inc."\n', "\n\nConfidential\n")
UNICODE = ("utf-8", "utf-8-sig", "utf-16")
CODE_PAGES = ("cp1250", "cp1251", "shift_jis", "gb18030", "mac_roman", "cp437")

words = st.text("abcdeäñłЖ明é'-. \t", min_size=1, max_size=6).map(lambda text: f"K{text.strip()}o")
notes = st.text("ab,;|\t\"'\\\n\r é#=-", max_size=12)


def unequal(rows: list[list[str]]) -> list[list[str]]:
    """Make every row another person."""
    return [[f"{row[0]}{number}", *row[1:]] for number, row in enumerate(rows)]


people = st.lists(st.tuples(words, words, words, notes).map(list), min_size=1, max_size=6).map(unequal)


class Unix(csv.unix_dialect):
    pass


class Spark(csv.unix_dialect):
    doublequote = False
    escapechar = "\\"


DIALECTS: dict[str, dict[str, Any]] = {
    "excel": {"dialect": csv.excel},
    "unix": {"dialect": Unix},
    "spark": {"dialect": Spark},
    "all but numbers": {"quoting": csv.QUOTE_NONNUMERIC},
    "old mac": {"lineterminator": "\r"},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written") / "people.csv"


@settings(deadline=None, max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=people,
    order=st.permutations(range(len(HEADERS))),
    dialect=st.sampled_from(sorted(DIALECTS)),
    delimiter=st.sampled_from(sorted(DELIMITERS)),
    above=st.sampled_from(ABOVE),
    below=st.sampled_from(BELOW),
    encoding=st.sampled_from((*UNICODE, *CODE_PAGES)),
)
def test_the_same_people_come_back(path, rows, order, dialect, delimiter, above, below, encoding):
    is_given = encoding in CODE_PAGES
    rows = [[cell.encode(encoding, "ignore").decode(encoding) for cell in row] for row in rows]
    options = DIALECTS[dialect]
    if (
        dialect == "old mac"
    ):  # csv does not quote line feeds there before Python 3.13, and no reader could tell them
        rows = [[cell.replace("\n", "\r") for cell in row] for row in rows]
    written = io.StringIO(newline="")
    writer = csv.writer(written, **{**options, "delimiter": delimiter})
    table = [HEADERS, *((*row, str(number)) for number, row in enumerate(rows))]
    writer.writerows([[record[position] for position in order] for record in table])
    end = options.get("lineterminator", "\n")
    text = above.replace("\n", end) + written.getvalue() + below.replace("\n", end)
    path.write_bytes(text.encode(encoding))
    report = ReadReport()
    found = list(read_contacts(FileSource(path, encoding=encoding if is_given else None), report))
    assert all(isinstance(row, UsableRow) for row in found)
    contacts = [
        tuple(getattr(row.contact, field) for field in FIELDS) for row in found if isinstance(row, UsableRow)
    ]
    assert contacts == [tuple(row[:3]) for row in rows]
    assert [row.number for row in found] == sorted({row.number for row in found})
