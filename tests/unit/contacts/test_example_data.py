"""The example exports: made by the script, and read as it says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource

ROOT = Path(__file__).parents[3]
DATA = ROOT / "dags_examples" / "data"
FILES = ("hubspot_contacts.csv", "salesforce_leads.csv")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_example_contacts", ROOT / "scripts" / "make_example_contacts.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def read(name: str) -> tuple[list[UsableRow], ReadReport]:
    report = ReadReport()
    rows = read_contacts(FileSource(DATA / name), report)
    return [row for row in rows if isinstance(row, UsableRow)], report


@pytest.mark.parametrize("name", FILES)
def test_the_script_writes_these_very_files(script, name):
    assert script.FILES[name]() == (DATA / name).read_bytes()


def test_hubspot_export():
    contacts, report = read("hubspot_contacts.csv")
    assert report.source.endswith("hubspot_contacts.csv (utf-8, comma-separated)")
    assert (report.rows, report.accepted, len(contacts)) == (998, 868, 868)
    assert report.duplicates.count == 70
    assert {reason.value: tally.count for reason, tally in report.refused.items()} == {
        "missing_name": 16,
        "missing_company": 14,
        "not_a_person_url": 13,
        "not_a_company_domain": 7,
        "email_only": 6,
        "malformed_row": 2,
        "missing_identity": 2,
    }
    assert report.blank.first_rows == [100, 400, 401, 900]
    assert {name: tally.count for name, tally in report.left_out.items()} == {"linkedin_url": 8}
    assert len(report.unused_columns) == 7


def test_salesforce_report():
    contacts, report = read("salesforce_leads.csv")
    assert report.source.endswith("salesforce_leads.csv (cp1252, semicolon-separated)")
    assert (report.rows, report.accepted, len(contacts)) == (150, 132, 132)
    assert report.duplicates.count == 12
    assert {reason.value: tally.count for reason, tally in report.refused.items()} == {"missing_company": 6}


@pytest.mark.parametrize("name", FILES)
def test_nobody_in_it_exists(name):
    """Domains end in .example, LinkedIn names in -example, and there are no phone numbers."""
    data = (DATA / name).read_bytes()
    text = data.decode("utf-8-sig" if name.startswith("hubspot") else "cp1252")
    urls = re.findall(r"(?:https?://|www\.|@)([^/\s\"?#]+)", text)
    assert len(urls) > 50
    assert not [url for url in urls if not re.search(r"(^|\.)(linkedin\.com|example)$", url, re.IGNORECASE)]
    contacts, _ = read(name)
    slugs = [contact.contact.linkedin_url for contact in contacts if contact.contact.linkedin_url]
    assert len(slugs) > 30
    assert all(slug.endswith("-example") for slug in slugs)
    assert not re.search(r"\+\d{6,}|\(\d{3}\)", text)


def test_it_is_as_untidy_as_an_export():
    text = (DATA / "hubspot_contacts.csv").read_bytes().decode("utf-8")
    assert text.startswith("\ufeff")
    signs = ['""', "\n", "Ольга", "小林", "🚀", "Groß", "%C3%BC", "%2D", "?trk=", "\u200b", "\u00a0"]
    assert [sign for sign in signs if sign not in text] == []
