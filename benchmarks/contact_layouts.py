"""Contact files as other tools write them: which of them are read right?

Usage: ``contact_layouts.py [OLDER]``. Prints a table: a line for each layout, and whether it is right. With OLDER, the
folder of another checkout (``git worktree add --detach OLDER c3a72b0`` makes one), the reader there is in the table,
too. A layout is right if exactly the people in it come out, each with the expected values, or if the message is the
expected one where nobody can. Headers are public knowledge, people are invented.
``tests/unit/contacts/test_layouts.py`` holds the reader to every line.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

THIS = Path(__file__).resolve().parent.parent
ADA_URL = "https://www.linkedin.com/in/ada-park"
IN = "https://www.linkedin.com/in/"


class Layout(NamedTuple):
    """A file and the people it holds.

    Attributes:
        kind: What is special about it.
        name: The layout.
        text: The file; of a Parquet file its rows, as JSON; ``frame`` as suffix is a DataFrame of them.
        people: LinkedIn URL, first name, last name, company, domain and e-mail address of each, separated by spaces.
        suffix: Of its name.
        message: What the error says, if nobody can be read.
        mapping: The ``column_mapping`` that is given.
    """

    kind: str
    name: str
    text: str
    people: tuple[str, ...] = ("Ada Park Thistle",)
    suffix: str = ".csv"
    message: str = ""
    mapping: dict[str, str] | None = None


NAMES = "First Name,Last Name,Company"
PEOPLE = f"{NAMES}\nAda,Park,Thistle\n"
BOTH = ("Ada Park Thistle", "Bo Lind Larch")


def placeholder(slug: str) -> Layout:
    text = (
        f"{NAMES},LinkedIn\nAda,Park,Thistle,{IN}{slug}\nBo,Lind,Larch,{IN}{slug}\nCy,Orr,Alder,{IN}{slug}\n"
    )
    return Layout("placeholder profile", f"/in/{slug}", text, (*BOTH, "Cy Orr Alder"))


def names(
    kind: str, name: str, header: str, person: str = "Ada Park Thistle", row: str = "Ada,Park,Thistle"
) -> Layout:
    return Layout(kind, name, f"{header}\n{row}\n", (person,))


def spelling(name: str, cell: str) -> Layout:
    return Layout("LinkedIn spellings", name, f"LinkedIn,Note\n{cell},x\n", (ADA_URL,))


def mailbox(domain: str) -> Layout:
    text = f"{NAMES},Website\nAda,Park,Thistle,{domain}\nBo,Lind,,{domain}\n"
    return Layout("company that is a mailbox", domain, text, ("Ada Park Thistle", "not_a_company_domain"))


LAYOUTS = (
    Layout("plain", "first name, last name, company", PEOPLE),
    Layout("plain", "LinkedIn URL alone", f"LinkedIn URL\n{ADA_URL}\n", (ADA_URL,)),
    Layout("plain", "snake case", "first_name,last_name,company_name\nAda,Park,Thistle\n"),
    names(
        "plain",
        "HubSpot",
        "Record ID,First Name,Last Name,Associated Company,Contact owner",
        row="1,Ada,Park,Thistle,Bo",
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
    *map(placeholder, ("undefined", "null", "none", "unavailable", "me", "n/a")),
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
        "lines before the header",
        "five lines of a scanner app",
        f"Badge Scanner\nEvent: Larch Days\nStand: 12\nDevice: 4\nScans: 1\n{PEOPLE}",
    ),
    Layout(
        "lines before the header",
        "title, mapped columns",
        "Leads of November\nRufname,Zuname,Kunde\nAda,Park,Thistle\n",
        mapping={"Rufname": "first_name", "Zuname": "last_name", "Kunde": "company_name"},
    ),
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
    names("other tools", "PhantomBuster's company", "firstName,lastName,currentCompanyName"),
    names(
        "other tools",
        "Seamless.AI",
        "Contact LI Profile URL,Company LI Profile Url",
        ADA_URL,
        f"{ADA_URL},https://www.linkedin.com/company/thistle",
    ),
    names(
        "other tools",
        "Google Contacts",
        "Given Name,Family Name,Organization 1 - Name,E-mail 1 - Value",
        "Ada Park Thistle ada@thistle.example",
        "Ada,Park,Thistle,ada@thistle.example",
    ),
    names(
        "other tools",
        "Outlook",
        "First Name,Last Name,Web Page",
        "Ada Park thistle.example",
        "Ada,Park,thistle.example",
    ),
    names(
        "other tools",
        "People Data Labs",
        "first_name,last_name,job_company_name,job_company_website",
        "Ada Park Thistle thistle.example",
        "Ada,Park,Thistle,thistle.example",
    ),
    names("other tools", "fname, lname", "fname,lname,Company"),
    names("other tools", "First, Last", "First,Last,Company"),
    names("other tools", "Pipedrive", "Person - First name,Person - Last name,Organization - Name"),
    names("prefixes", "HubSpot's API", "properties.firstname,properties.lastname,properties.company"),
    names("prefixes", "Fivetran", "property_firstname,property_lastname,property_company"),
    names("prefixes", "Airbyte", "properties_firstname,properties_lastname,properties_company"),
    names("prefixes", "Contact", "Contact Given Name,Contact Surname,Contact Employer"),
    names("prefixes", "prospect", "prospect forename,prospect surname,prospect employer"),
    names(
        "prefixes",
        "owner, manager, assistant, previous company",
        f"Owner First Name,Owner Last Name,Manager LinkedIn URL,Assistant Email,Previous Company,{NAMES}",
        row=f"Bo,Lind,{IN}bo-lind,cy@larch.example,Larch,Ada,Park,Thistle",
    ),
    Layout("languages", "German", "Vorname;Nachname;Firma\nAda;Park;Thistle\n"),
    Layout("languages", "French", "Prénom;Nom;Entreprise\nAda;Park;Thistle\n"),
    names("languages", "Italian", "Nome,Cognome,Azienda"),
    names("languages", "Spanish", "Nombre,Apellidos,Empresa"),
    names("languages", "Portuguese", "Nome,Sobrenome,Empresa"),
    names("languages", "Dutch", "Voornaam,Achternaam,Bedrijf"),
    names("languages", "Polish", "Imię,Nazwisko,Firma"),
    names("languages", "Russian", "Имя,Фамилия,Компания"),
    names("languages", "Japanese", "名,姓,会社"),
    names("languages", "Chinese", "名字,姓氏,公司"),
    names("languages", "Korean", "이름,성,회사"),
    names("languages", "Name beside Vorname", "Vorname,Name,Firma"),
    *map(
        mailbox,
        ("yahoo.com.br", "hotmail.es", "live.nl", "sfr.fr", "139.com", "email_not_unlocked@domain.com"),
    ),
    *map(mailbox, ("https://bit.ly/x", "t.me/x", "crunchbase.com/organization/x")),
    Layout(
        "JSON of APIs",
        "results of HubSpot",
        '{"results": [{"properties": {"firstname": "Ada", "lastname": "Park", "company": "Thistle"}}]}',
        suffix=".json",
    ),
    Layout(
        "JSON of APIs",
        "records of Salesforce",
        '{"records": [{"FirstName": "Ada", "LastName": "Park", "Account": {"Name": "Thistle"}}]}',
        suffix=".json",
    ),
    Layout(
        "JSON of APIs",
        "data",
        '{"data": [{"first_name": "Ada", "last_name": "Park", "company": "Thistle"}], "more": false}',
        suffix=".json",
    ),
    Layout(
        "JSON of APIs",
        "structs in Parquet",
        '[{"FirstName": "Ada", "LastName": "Park", "Account": {"Name": "Thistle"}}]',
        suffix=".parquet",
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
        "quoting", "apostrophes (LibreOffice)", "'First Name','Last Name','Company'\n'Ada','Park','Thistle'\n"
    ),
    spelling("/comm/in/", "https://www.linkedin.com/comm/in/ada-park"),
    spelling("/m/in/", "https://www.linkedin.com/m/in/ada-park"),
    spelling("Markdown", f"[Ada]({ADA_URL})"),
    spelling("=HYPERLINK", f'"=HYPERLINK(""{ADA_URL}"")"'),
    spelling("two URLs in a cell", f'"https://www.linkedin.com/company/thistle; {ADA_URL}"'),
    spelling("linkedin.cn", "https://www.linkedin.cn/in/ada-park"),
    Layout(
        "LinkedIn spellings",
        "member id with a search",
        f'LinkedIn\n"{IN}ACwAAAxxxxxxxxxxxxxxxx,NAME_SEARCH,ab12"\n',
        (f"{IN}ACwAAAxxxxxxxxxxxxxxxx",),
    ),
    Layout("several values in a cell", "two companies", f"{NAMES}\nAda,Park,Thistle;Side Co\n"),
    Layout(
        "several values in a cell",
        "two e-mail addresses",
        f"{NAMES},Email\nAda,Park,Thistle,a@x.example; b@x.example\n",
        ("Ada Park Thistle a@x.example",),
    ),
    Layout(
        "single names",
        "Full Name alone",
        "Full Name,Company,Phone\nAda Park,Thistle,1\n",
        (),
        message="Recognised: 'Company' as company_name. Columns seen: 'Full Name', 'Company', 'Phone'. "
        "Full names ('Full Name') are not split: give first_name and last_name.",
    ),
    Layout(
        "nothing recognised",
        "column_mapping to copy",
        "Rufname,Zweitname,Phone,City,Status\nAda,Park,1,Graz,new\n",
        (),
        message="column_mapping={'Rufname': None, 'Zweitname': None, 'Phone': None, 'City': None, 'Status': None}",
    ),
    Layout(
        "nothing recognised",
        "a person instead of a header",
        "Ada,Park,Thistle\nBo,Lind,Larch\n",
        (),
        message="The first line does not hold known column names; is the header missing?",
    ),
    Layout("small things", "Ctrl-Z at the end", f"{PEOPLE}\x1a"),
    Layout("small things", "ten NULs at the end", f"{PEOPLE}{chr(0) * 10}"),
    Layout("small things", "empty DataFrame", "[]", (), "frame"),
    Layout(
        "labels below the header",
        "Qualtrics",
        'firstname,lastname,company\nFirst Name,Last Name,Company Name\n"{""ImportId"":""QID1""}",'
        '"{""ImportId"":""QID2""}",x\nAda,Park,Thistle\n',
    ),
    names("forms and templates", "(required), *, 1.", "1. First Name,Last Name *,Company (required)"),
    Layout("notes below the header", "types", f"{NAMES}\nstring,varchar(80),text\nAda,Park,Thistle\n"),
    Layout(
        "notes below the header", "duties", f"{NAMES}\n(required),(required),(optional)\nAda,Park,Thistle\n"
    ),
    Layout(
        "notes below the header",
        "help",
        f"{NAMES}\nEnter the first name,Enter the last name,e.g. Larch Inc.\nAda,Park,Thistle\n",
    ),
    Layout("totals", "at the end", f"{PEOPLE}Total,1 contact,1 company\n"),
    Layout("totals", "within", f"{PEOPLE}Subtotal,,1\nBo,Lind,Larch\n", BOTH),
    Layout("report footer", "several cells", f"{PEOPLE}\nExported by,Jane Smith,Sales Team\n"),
    Layout(
        "several tables",
        "other order",
        f"{PEOPLE}Company,Last Name,First Name\nLarch,Lind,Bo\n",
        (),
        message="Row 2 names columns",
    ),
    Layout(
        "several tables",
        "companies",
        f"{PEOPLE}\nCompany,Website,Industry\nThistle,thistle.example,Retail\n",
        (),
        message="Row 3 names columns",
    ),
    Layout(
        "groups above the header",
        "person, employer, referrer",
        "Person,,Employer,,Referred by,\nFirst Name,Last Name,Name,Website,Full Name,Email\n"
        "Ada,Park,Thistle,thistle.example,Bo Lind,bo@larch.example\n",
        ("Ada Park Thistle thistle.example",),
    ),
    Layout(
        "groups above the header",
        "customer, manager",
        "Customer,,Account Manager,\nFull Name,Company,First Name,Last Name\nAda Park,Thistle,Bo,Lind\n",
        (),
        message="somebody else's: 'Account Manager - First Name'",
    ),
    *(
        Layout("unfilled templates", text, f"{PEOPLE}Bo,{text},Larch\n", ("Ada Park Thistle", "not_a_name"))
        for text in ("{{last_name}}", "%LASTNAME%", "[Last Name]")
    ),
    *(
        names("encoded letters", cell, NAMES, f"Ada {name} Thistle", f"Ada,{cell},Thistle")
        for cell, name in (
            ("O&#39;Hara", "O'Hara"),
            ("M&uuml;ller", "M\u00fcller"),
            ("Jos\\u00e9", "Jos\u00e9"),
        )
    ),
)


def reader() -> tuple[Any, Any, Any]:
    """Return the modules of the reader on the path, which may be an older one."""
    package = "airflow_provider_cleanlist"
    folder = "contacts" if importlib.util.find_spec(f"{package}.contacts") else "enrichment"
    errors, reading, sources = (
        importlib.import_module(f"{package}.{folder}.{name}") for name in ("errors", "reading", "sources")
    )
    return errors, reading, sources


def result(layout: Layout, folder: Path) -> tuple[list[str], str]:
    """Return the people that are read of a layout, or its error."""
    errors, reading, sources = reader()
    try:
        source = _source(layout, folder, sources)
        rows = list(reading.read_contacts(source, reading.ReadReport(), column_mapping=layout.mapping))
    except errors.SourceError as error:
        return [], str(error)
    return list(map(_person, rows)), ""


def is_right(layout: Layout, folder: Path) -> bool:
    """Return whether exactly the layout's people are read, or the message is the expected one."""
    people, error = result(layout, folder)
    return people == list(layout.people) and bool(error) == bool(layout.message) and layout.message in error


def _source(layout: Layout, folder: Path, sources: Any) -> Any:
    path = folder / f"contacts{layout.suffix}"
    if layout.suffix == "frame":
        import pandas

        return sources.RecordsSource(pandas.DataFrame(json.loads(layout.text)))
    if layout.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(json.loads(layout.text)), path)
    else:
        path.write_text(layout.text, encoding="utf-8", newline="")
    return sources.FileSource(path)


def _person(row: Any) -> str:
    if not hasattr(row, "contact"):
        return str(row.rejection.reason)
    contact = row.contact.payload()
    fields = ("linkedin_url", "first_name", "last_name", "company_name", "company_domain", "email")
    return " ".join(filter(None, map(contact.get, fields)))


def outcomes() -> list[bool]:
    """Return for each layout whether it is right."""
    with tempfile.TemporaryDirectory() as folder:
        return [is_right(layout, Path(folder)) for layout in LAYOUTS]


def outcomes_of(tree: Path) -> list[bool]:
    """Return :func:`outcomes` with the reader of another checkout."""
    command = [sys.executable, __file__, "--outcomes"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tree)}, cwd=tree, check=True, capture_output=True
    )
    found: list[bool] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the table."""
    if sys.argv[1:] == ["--outcomes"]:
        print(json.dumps(outcomes()))
        return
    found = outcomes_of(THIS)
    older = outcomes_of(Path(sys.argv[1])) if sys.argv[1:] else [None] * len(LAYOUTS)
    print("| Kind | Layout | Older | This |\n|---|---|---|---|")
    words = {True: "right", False: "wrong", None: ""}
    for layout, before, now in zip(LAYOUTS, older, found, strict=True):
        print(f"| {layout.kind} | `{layout.name}` | {words[before]} | {words[now]} |")
    print(f"| all | {len(LAYOUTS)} | {sum(map(bool, older)) if sys.argv[1:] else ''} | {sum(found)} |")


if __name__ == "__main__":
    main()
