"""Contact files as other tools write them: which of them are read right?

Usage: ``contact_layouts.py``. Prints a line for each layout, and how many are right. A layout is right if exactly the
people in it come out, each with the expected values. Headers are public knowledge, people are invented. The table in
``docs/contacts.md`` compares two versions of the reader by it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from airflow_provider_cleanlist.contacts.errors import SourceError
from airflow_provider_cleanlist.contacts.reading import UsableRow, read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource

ADA_URL = "https://www.linkedin.com/in/ada-park"


class Layout(NamedTuple):
    """A file and the people it holds: LinkedIn URL, first name, last name, company and domain, separated by spaces."""

    kind: str
    name: str
    text: str
    people: tuple[str, ...] = ("Ada Park Thistle",)
    suffix: str = ".csv"


NAMES = "First Name,Last Name,Company"
PEOPLE = f"{NAMES}\nAda,Park,Thistle\n"
BOTH = ("Ada Park Thistle", "Bo Lind Larch")

LAYOUTS = (
    Layout("plain", "first name, last name, company", PEOPLE),
    Layout("plain", "LinkedIn URL alone", f"LinkedIn URL\n{ADA_URL}\n", (ADA_URL,)),
    Layout("plain", "snake case", "first_name,last_name,company_name\nAda,Park,Thistle\n"),
    Layout(
        "plain",
        "HubSpot",
        f"Record ID,{NAMES},Contact owner\n1,Ada,Park,Thistle,Bo\n".replace("Company", "Associated Company"),
    ),
    Layout("plain", "semicolons", PEOPLE.replace(",", ";")),
    Layout("plain", "tabs", PEOPLE.replace(",", "\t"), suffix=".tsv"),
    Layout("plain", "sep= of Excel", "sep=;\n" + PEOPLE.replace(",", ";")),
    Layout(
        "plain",
        "JSON lines",
        '{"first_name": "Ada", "last_name": "Park", "company": "Thistle"}\n',
        suffix=".jsonl",
    ),
    Layout(
        "placeholder profile",
        "/in/undefined",
        f"{NAMES},LinkedIn\nAda,Park,Thistle,https://www.linkedin.com/in/undefined\n"
        "Bo,Lind,Larch,https://www.linkedin.com/in/undefined\n",
        BOTH,
    ),
    Layout(
        "placeholder profile",
        "/in/null, /in/me",
        f"{NAMES},LinkedIn\nAda,Park,Thistle,https://www.linkedin.com/in/null\n"
        "Bo,Lind,Larch,https://www.linkedin.com/in/me\n",
        BOTH,
    ),
    Layout("first value unusable", "LinkedIn is -", f"LinkedIn,Profile URL\n-,{ADA_URL}\n", (ADA_URL,)),
    Layout(
        "first value unusable",
        "company page in LinkedIn",
        f"LinkedIn,Profile URL\nhttps://www.linkedin.com/company/thistle,{ADA_URL}\n",
        (ADA_URL,),
    ),
    Layout(
        "first value unusable",
        "Website is N/A",
        "First Name,Last Name,Website,Email Domain\nAda,Park,N/A,thistle.example\n",
        ("Ada Park thistle.example",),
    ),
    Layout(
        "first value unusable",
        "Apollo's organization object",
        '[{"first_name": "Ada", "last_name": "Park", "organization": {"id": 1}, "organization_name": "Thistle"}]',
        suffix=".json",
    ),
    Layout(
        "lines before the header",
        "LinkedIn's Connections.csv",
        f'Notes:\n"When exporting your connection data, you may notice"\n\n{PEOPLE}',
    ),
    Layout("lines before the header", "title", f"Leads of November\n{PEOPLE}"),
    Layout("lines before the header", "comment", f"# exported by a script\n{PEOPLE}"),
    Layout(
        "report footer",
        "Salesforce",
        f'{PEOPLE}\n"Grand Totals (1 records)"\n"Confidential Information - Do Not Distribute"\n',
    ),
    Layout(
        "report footer", "copyright", f'{PEOPLE}\n"Copyright (c) 2026 Northfold, Inc. All rights reserved."\n'
    ),
    Layout(
        "other tools",
        "PhantomBuster",
        "profileUrl,linkedInProfileUrl,defaultProfileUrl\n"
        f",https://www.linkedin.com/in/ACwAAAxxxxxxxxxxxxxxxx,{ADA_URL}\n",
        (ADA_URL,),
    ),
    Layout(
        "other tools", "PhantomBuster's company", "firstName,lastName,currentCompanyName\nAda,Park,Thistle\n"
    ),
    Layout(
        "other tools",
        "Seamless.AI",
        "Contact LI Profile URL,Company LI Profile Url\n"
        f"{ADA_URL},https://www.linkedin.com/company/thistle\n",
        (ADA_URL,),
    ),
    Layout(
        "other tools",
        "Google Contacts",
        "Given Name,Family Name,Organization 1 - Name,E-mail 1 - Value\nAda,Park,Thistle,\n",
    ),
    Layout(
        "other tools",
        "Outlook",
        "First Name,Last Name,Web Page\nAda,Park,thistle.example\n",
        ("Ada Park thistle.example",),
    ),
    Layout("other tools", "People Data Labs", "first_name,last_name,job_company_name\nAda,Park,Thistle\n"),
    Layout("other tools", "fname, lname", "fname,lname,Company\nAda,Park,Thistle\n"),
    Layout("other tools", "First, Last", "First,Last,Company\nAda,Park,Thistle\n"),
    Layout(
        "prefixes",
        "Pipedrive",
        "Person - First name,Person - Last name,Organization - Name\nAda,Park,Thistle\n",
    ),
    Layout(
        "prefixes",
        "HubSpot's API",
        "properties.firstname,properties.lastname,properties.company\nAda,Park,Thistle\n",
    ),
    Layout(
        "prefixes", "Fivetran", "property_firstname,property_lastname,property_company\nAda,Park,Thistle\n"
    ),
    Layout("languages", "German", "Vorname;Nachname;Firma\nAda;Park;Thistle\n"),
    Layout("languages", "French", "Prénom;Nom;Entreprise\nAda;Park;Thistle\n"),
    Layout("languages", "Spanish", "Nombre,Apellidos,Empresa\nAda,Park,Thistle\n"),
    Layout("languages", "Japanese", "名,姓,会社\nAda,Park,Thistle\n"),
    Layout(
        "company that is a mailbox",
        "yahoo.com.br",
        "First Name,Last Name,Company,Domain\nAda,Park,Thistle,yahoo.com.br\n",
    ),
    Layout(
        "company that is a mailbox",
        "Apollo's locked address",
        "First Name,Last Name,Company,Domain\nAda,Park,Thistle,email_not_unlocked@domain.com\n",
    ),
    Layout(
        "company that is a mailbox",
        "link shortener",
        "First Name,Last Name,Company,Website\nAda,Park,Thistle,https://bit.ly/3xYz\n",
    ),
    Layout(
        "JSON of APIs",
        "HubSpot",
        '{"results": [{"properties": {"firstname": "Ada", "lastname": "Park", "company": "Thistle"}}]}',
        suffix=".json",
    ),
    Layout(
        "JSON of APIs",
        "Salesforce",
        '{"records": [{"FirstName": "Ada", "LastName": "Park", "Account": {"Name": "Thistle"}}]}',
        suffix=".json",
    ),
    Layout(
        "quoting",
        "backslashes (Spark)",
        f'{NAMES}\nAda,Park,"Thistle \\"T\\" Inc"\n',
        ('Ada Park Thistle "T" Inc',),
    ),
    Layout("quoting", "space after the quotation mark", f'{NAMES}\n"Ada" ,"Park" ,"Thistle"\n'),
    Layout(
        "quoting",
        "marks inside a cell of a TSV",
        'First Name\tLast Name\tCompany\nAda\tPark\t"Quality" Foods\n',
        ('Ada Park "Quality" Foods',),
        ".tsv",
    ),
    Layout(
        "LinkedIn spellings", "/comm/in/", "LinkedIn\nhttps://www.linkedin.com/comm/in/ada-park\n", (ADA_URL,)
    ),
    Layout("LinkedIn spellings", "link formula", f'LinkedIn\n"=HYPERLINK(""{ADA_URL}"")"\n', (ADA_URL,)),
    Layout("several values in a cell", "two companies", f"{NAMES}\nAda,Park,Thistle;Side Co\n"),
    Layout("small things", "Ctrl-Z at the end", f"{PEOPLE}\x1a"),
    Layout(
        "labels below the header",
        "Qualtrics",
        'firstname,lastname,company\nFirst Name,Last Name,Company Name\n"{""ImportId"":""QID1""}",'
        '"{""ImportId"":""QID2""}",x\nAda,Park,Thistle\n',
    ),
    Layout(
        "forms and templates",
        "(required), *, 1.",
        "1. First Name,Last Name *,Company (required)\nAda,Park,Thistle\n",
    ),
    Layout(
        "quoting", "apostrophes (LibreOffice)", "'First Name','Last Name','Company'\n'Ada','Park','Thistle'\n"
    ),
)


def is_right(layout: Layout, folder: Path) -> bool:
    """Return whether exactly the layout's people are read."""
    path = folder / f"contacts{layout.suffix}"
    path.write_text(layout.text, encoding="utf-8", newline="")
    try:
        rows = list(read_contacts(FileSource(path), ReadReport()))
    except SourceError:
        return False
    return [_person(row) for row in rows] == list(layout.people)


def _person(row: object) -> str:
    if not isinstance(row, UsableRow):
        return "refused"
    contact: Mapping[str, str] = row.contact.payload()
    fields = ("linkedin_url", "first_name", "last_name", "company_name", "company_domain")
    return " ".join(filter(None, map(contact.get, fields)))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [(layout, is_right(layout, Path(folder))) for layout in LAYOUTS]
    for layout, right in outcomes:
        print(f"{layout.kind} | {layout.name} | {'right' if right else 'wrong'}")
    print(f"{sum(right for _, right in outcomes)} of {len(outcomes)} right")


if __name__ == "__main__":
    main()
