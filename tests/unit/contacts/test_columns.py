"""Recognition of columns."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from airflow_provider_cleanlist.client.enrichment import CONTACT_FIELDS
from airflow_provider_cleanlist.contacts import columns as columns_module
from airflow_provider_cleanlist.contacts.columns import (
    check_mapping,
    listed,
    masked,
    plan_columns,
    unusable_columns_error,
)
from airflow_provider_cleanlist.contacts.errors import ColumnError
from airflow_provider_cleanlist.contacts.recognition import (
    FULL_NAME,
    header_key,
    is_header_name,
    known_names,
)

EXPORTS = {
    "HubSpot": (
        "Record ID|First Name|Last Name|Email|Phone Number|Contact owner|Lead Status|LinkedIn URL|Associated Company|"
        "Associated Company IDs|Website URL",
        {
            "linkedin_url": ("LinkedIn URL",),
            "first_name": ("First Name",),
            "last_name": ("Last Name",),
            "company_name": ("Associated Company",),
            "company_domain": ("Website URL",),
            "email": ("Email",),
        },
        ("Record ID", "Phone Number", "Contact owner", "Lead Status", "Associated Company IDs"),
    ),
    "HubSpot API": (
        "hs_object_id|firstname|lastname|email|hs_linkedin_url|company|website|hs_email_domain|jobtitle",
        {
            "linkedin_url": ("hs_linkedin_url",),
            "first_name": ("firstname",),
            "last_name": ("lastname",),
            "company_name": ("company",),
            "company_domain": ("website", "hs_email_domain"),
            "email": ("email",),
        },
        ("hs_object_id", "jobtitle"),
    ),
    "Salesforce report": (
        "First Name|Last Name|Title|Company / Account|Email|Website|LinkedIn Profile|Lead Owner|Rating",
        {
            "linkedin_url": ("LinkedIn Profile",),
            "first_name": ("First Name",),
            "last_name": ("Last Name",),
            "company_name": ("Company / Account",),
            "company_domain": ("Website",),
            "email": ("Email",),
        },
        ("Title", "Lead Owner", "Rating"),
    ),
    "Salesforce API": (
        "Id|FirstName|LastName|Account.Name|Account.Website|Email|LinkedIn_URL__c",
        {
            "linkedin_url": ("LinkedIn_URL__c",),
            "first_name": ("FirstName",),
            "last_name": ("LastName",),
            "company_name": ("Account.Name",),
            "company_domain": ("Account.Website",),
            "email": ("Email",),
        },
        ("Id",),
    ),
    "Apollo": (
        "First Name|Last Name|Title|Company|Company Name for Emails|Email|Email Status|Person Linkedin Url|Website|"
        "Company Linkedin Url|Facebook Url",
        {
            "linkedin_url": ("Person Linkedin Url",),
            "first_name": ("First Name",),
            "last_name": ("Last Name",),
            "company_name": ("Company", "Company Name for Emails"),
            "company_domain": ("Website",),
            "email": ("Email",),
        },
        ("Title", "Email Status", "Company Linkedin Url", "Facebook Url"),
    ),
    "Sales Navigator, Evaboot": (
        "First Name|Last Name|Current Job|Company Name|Company Domain|Company Website|Linkedin URL Unique ID|"
        "Linkedin URL Public|Sales Navigator URL|Email",
        {
            "linkedin_url": ("Linkedin URL Public", "Linkedin URL Unique ID", "Sales Navigator URL"),
            "first_name": ("First Name",),
            "last_name": ("Last Name",),
            "company_name": ("Company Name",),
            "company_domain": ("Company Domain", "Company Website"),
            "email": ("Email",),
        },
        ("Current Job",),
    ),
    "Sales Navigator, PhantomBuster": (
        "profileUrl|fullName|firstName|lastName|companyName|title|companyId|companyUrl|linkedInProfileUrl",
        {
            "linkedin_url": ("linkedInProfileUrl", "profileUrl"),
            "first_name": ("firstName",),
            "last_name": ("lastName",),
            "company_name": ("companyName",),
        },
        ("fullName", "title", "companyId", "companyUrl"),
    ),
    "LinkedIn connections": (
        "First Name|Last Name|URL|Email Address|Company|Position|Connected On",
        {
            "linkedin_url": ("URL",),
            "first_name": ("First Name",),
            "last_name": ("Last Name",),
            "company_name": ("Company",),
            "email": ("Email Address",),
        },
        ("Position", "Connected On"),
    ),
    "plain": (
        "|".join(CONTACT_FIELDS),
        {field: (field,) for field in CONTACT_FIELDS},
        (),
    ),
}


@pytest.mark.parametrize("system", EXPORTS)
def test_exports_are_recognised(system):
    header, sources, unused = EXPORTS[system]
    plan = plan_columns(header.split("|"), {})
    assert plan.sources == sources
    assert plan.unused == unused
    assert plan.is_usable
    assert plan.is_header


@pytest.mark.parametrize("header", ["First Name", "first_name", "FIRST-NAME", "firstName", " First  Name:"])
def test_case_and_separators_do_not_matter(header):
    assert plan_columns([header], {}).sources == {"first_name": (header,)}


@pytest.mark.parametrize(
    "header", ["Company Linkedin Url", "First Name (kana)", "Company Email", "Linkedin Bio"]
)
def test_only_whole_names_count(header):
    assert plan_columns([header], {}).unused == (header,)


def test_no_header_stands_for_two_fields():
    keys = [
        header_key(known.name) for known in known_names() if not known.beside and known.field != FULL_NAME
    ]
    assert len(keys) == len(set(keys))


def test_fields_are_the_contact_fields():
    assert tuple(dict.fromkeys(known.field for known in known_names())) == (*CONTACT_FIELDS, FULL_NAME)


def test_a_name_that_counts_only_beside_another_says_which():
    beside = {known.beside for known in known_names() if known.beside}
    assert beside <= set(CONTACT_FIELDS)
    assert all(known.languages and known.beside != known.field for known in known_names())


@pytest.mark.parametrize(
    ("columns", "usable"),
    [
        (["LinkedIn URL"], True),
        (["First Name", "Last Name", "Company"], True),
        (["First Name", "Last Name", "Website"], True),
        (["First Name", "Last Name"], False),
        (["Last Name", "Company"], False),
        (["Email"], False),
        (["Full Name", "Company"], False),
        ([], False),
    ],
)
def test_usable(columns, usable):
    assert plan_columns(columns, {}).is_usable is usable


def test_mapping_comes_first_and_alone_serves_its_field():
    columns = ["Website", "Domain", "Corp Site", "Vorname", "Email"]
    mapping = {"Corp Site": "company_domain", "vor_name": "first_name", "Email": None}
    plan = plan_columns(columns, mapping)
    assert plan.sources == {"first_name": ("Vorname",), "company_domain": ("Corp Site",)}
    assert plan.unused == ("Website", "Domain", "Email")


def test_a_mapped_column_serves_nothing_else():
    plan = plan_columns(["Email", "Website"], {"Email": "company_domain"})
    assert plan.sources == {"company_domain": ("Email",)}
    assert plan.unused == ("Website",)


def test_several_columns_for_one_field_keep_the_order_of_the_mapping():
    plan = plan_columns(["a", "b"], {"b": "linkedin_url", "a": "linkedin_url"})
    assert plan.sources == {"linkedin_url": ("b", "a")}


def test_an_exact_name_is_preferred():
    plan = plan_columns(["E-Mail", "email"], {"email": "email"})
    assert plan.sources["email"] == ("email",)


@pytest.mark.parametrize(
    ("columns", "mapping", "is_header"),
    [
        (["Mara", "Okafor", "LinkedIn"], {}, False),
        (["Mara", "Okafor", "Northfold"], {}, False),
        (["Email", "Kunde"], {}, False),
        (["Email", "Kunde"], {"Kunde": "company_name"}, True),
        (["Email", "Company"], {}, True),
        (["Email", "Full Name"], {}, True),
        (["Phone", "City", "Status"], {}, True),
        (["contact_nm", "org_nm", "tel"], {}, True),
        (["Rufname", "Zweitname", "Datum", "Telefon"], {}, False),
        (["Mara", "Okafor", "Account Manager", "Sales Lead"], {}, False),
        (["Mara", "Okafor", "Lead Engineer", "Status"], {}, False),
        (["Name", "Status", "mara@northfold.example"], {}, False),
        (["Title", "Status", "Phone", "+49 30 123456"], {}, False),
        (["Title", "Website", "https://northfold.example"], {}, False),
        (["McDonald", "deVries", "Northfold"], {}, False),
        (["ada_roe", "northfold_as", "active_user"], {}, False),
        (["Full Name", "Ada Roe", "Company", "Northfold"], {}, False),
        (["First Name", "Ada", "Last Name", "Roe", "Company", "Northfold"], {}, False),
        (["Full Name", "Phone", "Company", "City"], {}, True),
        (["Company", "Kunde", "Domain"], {}, True),
        (["Ada", "Roe", "Northfold", "LinkedIn", "Email"], {}, False),
        (["https://northfold.example", "LinkedIn", "Email"], {}, False),
        (["First Name", "Last Name", "Kunde", "Rufname", "Branche"], {}, True),
    ],
)
def test_a_header_is_sure_by_two_names_or_the_mapping(columns, mapping, is_header):
    assert plan_columns(columns, mapping).is_header is is_header


def test_mapping_to_an_unknown_field_is_an_error():
    with pytest.raises(ColumnError, match=r"'firstname', 'phone'.*first_name") as caught:
        check_mapping({"A": "phone", "B": "firstname", "C": "email", "D": None})
    assert "'email'" not in str(caught.value)


def test_the_message_holds_a_mapping_to_copy():
    columns = ["Kontakt", "Status", "City", "Email", "x" * 61]
    message = str(unusable_columns_error(plan_columns(columns, {}), columns))
    assert "Recognised: 'Email' as email. Columns seen: 'Kontakt', 'Status', 'City', 'Email'" in message
    mapping = ast.literal_eval(message.rpartition("column_mapping=")[2])
    assert mapping == {"Kontakt": None, "Status": None, "City": None}
    check_mapping(mapping)
    assert all(field in message for field in CONTACT_FIELDS)


@pytest.mark.parametrize(
    ("header", "others"),
    [
        (
            "Candidate First Name|Candidate Last Name|Candidate LinkedIn|Contact First Name|Contact Last Name|Company",
            ("Contact First Name", "Contact Last Name"),
        ),
        (
            "Contact First Name|Contact Last Name|Lead First Name|Lead Last Name|Lead Email|Company",
            ("Lead First Name", "Lead Last Name", "Lead Email"),
        ),
        ("contact.first_name|contact.last_name|lead.first_name|company", ("lead.first_name",)),
        ("Contact First Name|Contact Last Name|Contact Email|Lead Email|Company", ()),
        (
            "1. First Name|1. Last Name|2. First Name|2. Last Name|Company",
            ("2. First Name", "2. Last Name"),
        ),
        (
            "Company|1) First Name|1) Last Name|1) LinkedIn|2) First Name|2) Last Name|2) LinkedIn",
            ("2) LinkedIn", "2) First Name", "2) Last Name"),
        ),
        ("1. First Name|2. Last Name|3. Company|4. Email", ()),
        ("1. First Name|2. Last Name|3. Company|4. Email|5. Email", ()),
        ("Person - First name|Person - Last name|Person - Email|Company|properties.firstname", ()),
    ],
)
def test_names_of_two_people_side_by_side_are_several_people(header, others):
    columns = header.split("|")
    assert plan_columns(columns, {}).of_others == others
    assert plan_columns(columns, dict.fromkeys(others)).of_others == ()


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("First Name|Last Name|Company|LinkedIn|Manager|LinkedIn (2)", {"LinkedIn (2)"}),
        ("First Name|Last Name|Company|LinkedIn|Chef|LinkedIn.1", {"LinkedIn.1"}),
        ("First Name|Last Name|Company|LinkedIn|Post Author|Profile URL", {"Profile URL"}),
        (
            "LinkedIn|First Name|Last Name|Company|Hiring Contact|Contact LinkedIn URL",
            {"Contact LinkedIn URL"},
        ),
        ("First Name|Last Name|Company|Email|Manager|Email (2)|Company (2)", {"Email (2)", "Company (2)"}),
        ("First Name|Last Name|LinkedIn|Website|Full Name|Email|LinkedIn (2)", {"Email", "LinkedIn (2)"}),
        ("First Name|Last Name|Company|LinkedIn|LinkedIn (2)|Manager", set()),
        ("LinkedIn|Phone|First Name|Last Name|Company|City|LinkedIn (2)|Company (2)", set()),
        ("First Name|Last Name|Company|Manager|LinkedIn|Email", set()),
        ("linkedInProfileUrl|fullName|firstName|lastName|companyName|title|companyUrl|profileUrl", set()),
    ],
)
def test_what_is_behind_somebody_else_is_no_further_source(header, left):
    columns = header.split("|")
    plan = plan_columns(columns, {})
    unread = {"Manager", "Chef", "Post Author", "Hiring Contact", "Full Name", "Phone", "City"}
    assert set(plan.unused) - unread - {"fullName", "title", "companyUrl"} == left
    assert not plan.of_others
    for column in left:
        field = "linkedin_url" if "LinkedIn" in column or "Profile" in column else "email"
        assert plan_columns(columns, {column: field}).sources[field] == (column,)


@pytest.mark.parametrize("between", [(), ("Phone",), ("Manager",), ("Full Name",)])
@pytest.mark.parametrize("name", ["Email", "LinkedIn URL"])
def test_columns_that_come_again_and_again_are_looked_at_once(name, between, monkeypatch):
    looked_at = []
    monkeypatch.setattr(
        columns_module, "is_header_name", lambda column: looked_at.append(column) or is_header_name(column)
    )
    again = tuple(f"{name} ({number})" for number in range(2, 500))
    columns = ("First Name", "Last Name", "Company", name, *between, *again)
    sources = plan_columns(columns, {}).sources
    field = "email" if name == "Email" else "linkedin_url"
    assert sources[field] == ((name,) if between in {("Manager",), ("Full Name",)} else (name, *again))
    assert len(looked_at) <= 2 * len(columns)


@pytest.mark.parametrize("gap", ["column 4", "Unnamed: 3"])
def test_a_second_table_on_the_sheet_is_no_further_source(gap):
    columns = ["First Name", "Last Name", "Company", gap, "Company (2)", "Email"]
    plan = plan_columns(columns, {})
    assert (plan.sources["company_name"], plan.sources["email"]) == (("Company",), ("Email",))
    assert plan.unused == (gap, "Company (2)")
    assert plan_columns(columns, {"Company (2)": "company_name"}).sources["company_name"] == ("Company (2)",)
    named = [*columns[:3], "Notes", *columns[4:]]
    assert plan_columns(named, {}).sources["company_name"] == ("Company", "Company (2)")


def test_a_plain_name_comes_before_that_of_a_contact():
    sources = plan_columns(
        ["Contact LinkedIn URL", "LinkedIn", "First Name", "Contact First Name"], {}
    ).sources
    assert sources["linkedin_url"] == ("LinkedIn", "Contact LinkedIn URL")
    assert sources["first_name"] == ("First Name", "Contact First Name")


def test_the_message_says_who_may_be_somebody_else():
    columns = ["Full Name", "Company", "Coach First Name", "Coach Last Name"]
    message = str(unusable_columns_error(plan_columns(columns, {}), columns))
    assert "they may be somebody else's: 'Coach First Name', 'Coach Last Name'." in message


def test_what_may_be_a_person_is_not_in_the_message():
    columns = ["Mara", "Okafor", "Northfold"]
    plan = plan_columns(columns, {})
    assert not plan.is_header
    message = str(unusable_columns_error(plan, ()))
    assert not [word for word in columns if word in message]
    assert "column_mapping={'<column>': '<contact field>'}" in message


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (["id", "ada@northfold.example.score"], ("id", "column 2")),
        (["Ada Roe.company", "Ada Roe.title"], ("column 1", "column 2")),
        (["Email", "Rufname", "contact.nick", "Ada Roe.x"], ("Email", "Rufname", "contact.nick", "column 4")),
        (["Email", "Company", "kunde.rufname"], ("Email", "Company", "kunde.rufname")),
        (["a@b.example.nick", "First Name", "Last Name"], ("column 1", "First Name", "Last Name")),
        (
            ["Account Name", "Created Date", "Ada Roe", "City"],
            ("Account Name", "Created Date", "column 3", "City"),
        ),
        (["Quillon", "Zubrowski", "Marzipanek"], ("column 1", "column 2", "column 3")),
        (
            ["First Name", "Last Name", "Company", "Lead Tier"],
            ("First Name", "Last Name", "Company", "Lead Tier"),
        ),
        (
            ["First Name", "Last Name", "Company", "+47 22 12 34 56"],
            ("First Name", "Last Name", "Company", "column 4"),
        ),
        (["Email", "Company", "Phone", "scores.Ada Roe"], ("Email", "Company", "Phone", "column 4")),
        (["rufname", "kundeNr", "Rufname"], ("rufname", "kundeNr", "column 3")),
    ],
)
def test_keys_that_may_be_data_are_shown_by_number(columns, shown):
    assert masked(columns) == shown
    message = str(unusable_columns_error(plan_columns(columns, {}), masked(columns)))
    assert not [column for column in columns if column not in shown and column in message]


def test_a_mapped_name_is_shown():
    assert masked(["Rufname", "Zweitname"], ["Rufname"]) == ("Rufname", "Zweitname")
    assert masked(["Rufname", "Ada Roe"], ["Rufname"]) == ("Rufname", "column 2")


def test_long_lists_are_cut():
    assert listed(["a", "b", "c"], most=2) == "'a', 'b' and 1 more"
    assert listed(["x" * 100]) == f"'{'x' * 60}'"


def test_the_documentation_lists_the_headers():
    docs = Path(__file__).parents[3] / "docs"
    text = docs.joinpath("reference", "column-names.md").read_text(encoding="utf-8")
    for known in known_names():
        assert f"| `{known.name}` | {', '.join(sorted(known.languages))} |" in text


def test_the_names_in_the_documentation_are_recognised():
    text = Path(__file__).parents[3].joinpath("docs", "contacts.md").read_text(encoding="utf-8")
    for field in CONTACT_FIELDS:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{field}` | "))
        names = re.findall(r"`([^`]+)`", row)[1:]
        assert plan_columns(names, {}).sources == {field: tuple(names)}
