"""What columns mean by their names: languages, prefixes, repetitions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_provider_cleanlist.contacts.columns import plan_columns
from airflow_provider_cleanlist.contacts.recognition import count_recognised, header_key

NAMES = {"first_name", "last_name"}


def sources(header: str) -> dict[str, tuple[str, ...]]:
    return dict(plan_columns(header.split("|"), {}).sources)


@pytest.mark.parametrize(
    ("header", "last_name"),
    [
        ("Vorname|Name|Firma", "Name"),
        ("Prénom|Nom|Société", "Nom"),
        ("prenom|nom|societe", "nom"),
        ("Voornaam|Naam|Bedrijf", "Naam"),
        ("Vorname|Name|Nachname|Firma", "Nachname"),
        ("Nome|Sobrenome|Apelido|Empresa", "Sobrenome"),
        ("Nome|Apelido|Empresa", "Apelido"),
        ("First|Last|Company", "Last"),
        ("First Name|Last|Company", "Last"),
    ],
)
def test_a_shared_name_is_the_family_name_beside_its_language(header: str, last_name: str) -> None:
    assert sources(header)["last_name"] == (last_name,)
    assert sources(header).keys() >= NAMES


@pytest.mark.parametrize(
    "header",
    [
        "First Name|Name|Company",
        "Voornaam|Name|Bedrijf",
        "Prénom|Name|Entreprise",
        "Nom|Entreprise",
        "Name|Firma",
        "Nome|Empresa",
        "Last|Company",
        "Ad|Campaign|Company",
    ],
)
def test_without_its_language_it_is_not(header: str) -> None:
    assert not sources(header).keys() >= NAMES


@pytest.mark.parametrize(
    "prefix",
    [
        "properties.",
        "property_",
        "properties_",
        "PROPERTIES_",
        "Person - ",
        "Contact ",
        "prospect ",
        "data.attributes.",
        "after.",
        "Item.",
    ],
)
def test_a_prefix_that_names_share_is_left_aside(prefix: str) -> None:
    columns = [f"{prefix}{name}" for name in ("firstName", "lastName", "company", "owner_id")]
    plan = plan_columns(columns, {})
    assert plan.sources == {
        "first_name": (columns[0],),
        "last_name": (columns[1],),
        "company_name": (columns[2],),
    }
    assert plan.unused == (columns[3],)


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("Item.first_name.S|Item.last_name.S|Item.company.S|Item.age.N", {*NAMES, "company_name"}),
        (
            "properties.firstname.value|properties.lastname.value|properties.company.value",
            {*NAMES, "company_name"},
        ),
        (
            "before.first_name|before.last_name|before.company|after.first_name|after.last_name|after.company|op",
            {*NAMES, "company_name"},
        ),
        ("before.first_name|before.last_name|before.company|after|op", set()),
        ("owner.first_name.S|owner.last_name.S|Item.company.S", set()),
    ],
)
def test_values_inside_of_fields_and_rows_before_a_change(header: str, fields: set[str]) -> None:
    found = sources(header)
    assert found.keys() == fields
    assert not any(column.startswith("before") for columns in found.values() for column in columns)


def test_whole_names_come_before_those_behind_a_prefix() -> None:
    found = sources("First Name|Last Name|person_company_name|person_website|Company|Email Domain")
    assert found["company_name"] == ("Company", "person_company_name")
    assert found["company_domain"] == ("Email Domain", "person_website")


def test_any_prefix_counts_for_the_only_person() -> None:
    buyer = "Buyer First Name|Buyer Last Name|Buyer Company"
    assert sources(f"{buyer}|Date").keys() == {*NAMES, "company_name"}
    seller = "Seller First Name|Seller Last Name|Seller Company"
    assert sources(f"{buyer}|{seller}") == {}


@pytest.mark.parametrize(
    "prefix",
    [
        "Owner",
        "Contact Owner",
        "Account Manager",
        "assistant_",
        "Previous",
        "previousCompany",
        "Referrer",
        "created_by_",
        "Eigentümer",
        "Propriétaire du contact",
        "Владелец",
    ],
)
def test_other_people_stay_who_they_are(prefix: str) -> None:
    others = "|".join(
        f"{prefix} {name}" for name in ("First Name", "Last Name", "LinkedIn URL", "Email", "Company")
    )
    assert sources(others).keys() <= {"company_name"}
    person = "First Name|Last Name|Company"
    assert sources(f"{person}|{others}") == sources(person)


def test_somebody_beside_the_person_is_not_read() -> None:
    person = "First Name|Last Name|Company"
    assert sources(f"{person}|Introducing First Name|Introducing LinkedIn URL|Introducing Email") == sources(
        person
    )


@pytest.mark.parametrize(
    "header",
    [
        "Full Name|Company|Email|Coach First Name|Coach Last Name",
        "Email|Company|Interviewer First Name|Interviewer Last Name|Interviewer LinkedIn",
        "Nombre completo|Empresa|Jefe Nombre|Jefe Apellidos",
        "Ansprechpartner|Firma|Außendienst Vorname|Außendienst Nachname",
        "Customer|Company|CSM First Name|CSM Last Name|CSM Email",
        "full_name|employer.name|coach.first_name|coach.last_name|coach.linkedin_url",
    ],
)
def test_somebody_beside_a_full_name_or_an_address_is_not_read(header: str) -> None:
    plan = plan_columns(header.split("|"), {})
    assert not plan.sources.keys() & {*NAMES, "linkedin_url"}
    assert plan.is_header


@pytest.mark.parametrize(
    "header",
    [
        "Full Name|Company|Email|Contact First Name|Contact Last Name",
        "Booking Contact|Company|Delegate First Name|Delegate Last Name|Delegate Email",
        "Buyer Full Name|Buyer First Name|Buyer Last Name|Buyer Email|Buyer Company",
        "name.fullName|name.givenName|name.familyName|email|company",
        "Nome|Referente Nome|Referente Cognome|Azienda|Email",
    ],
)
def test_the_only_person_is_read_behind_a_prefix(header: str) -> None:
    assert sources(header).keys() == {*NAMES, "company_name", "email"}


@pytest.mark.parametrize(
    "header",
    [
        "Empleado|Empresa|Jefe Nombre|Jefe Apellidos",
        "Employee Name|Company|Approver First Name|Approver Last Name",
        "Executive|Company|Secretary First Name|Secretary Last Name",
        "Company|Website|MRR|CSM First Name|CSM Last Name|CSM Email",
        "employee_name|company|approver.first_name|approver.last_name",
        "Opportunity Name|Company|Primary First Name|Primary Last Name|Opportunity Owner First Name",
        "Employee Name|Company|Emergency Contact First Name|Emergency Contact Last Name",
    ],
)
def test_somebody_beside_a_column_that_may_be_the_person_is_not_read(header: str) -> None:
    assert not sources(header).keys() & {*NAMES, "linkedin_url", "email"}


@pytest.mark.parametrize(
    "header",
    [
        "Order #|Buyer First Name|Buyer Last Name|Company|Tier",
        "Team|Event Type Name|Invitee First Name|Invitee Last Name|Company",
        "Company|Phone|Founder First Name|Founder Last Name|Founder Rank|column 6",
        "_index|_source.first_name|_source.last_name|_source.company.name",
        "Timestamp|Your first name|Your last name|Your company",
        "Deal Name|Key Contact - First Name|Key Contact - Last Name|Company|Deal Owner - First Name",
    ],
)
def test_the_person_of_a_prefix_beside_other_data_is_read(header: str) -> None:
    assert sources(header).keys() == {*NAMES, "company_name"}


@pytest.mark.parametrize(
    "header",
    [
        "Vorname / First Name|Nachname / Last Name|Firma / Company",
        "First name/Pr\u00e9nom|Last name/Nom|Organization/Organisation",
        "Imi\u0119 / First Name|Nazwisko / Last Name|Company / Account",
    ],
)
def test_names_in_two_languages_are_one(header: str) -> None:
    assert sources(header).keys() == {*NAMES, "company_name"}


@pytest.mark.parametrize(
    "name", ["Name / Vorname", "First / Last", "Phone / Email", "Email / LinkedIn", "a/b/First Name"]
)
def test_what_two_halves_do_not_agree_on_is_not_read(name: str) -> None:
    assert sources(f"{name}|Rating") == {}


def test_one_name_behind_a_prefix_is_not_enough() -> None:
    assert sources("Person - Website|Rating") == {}


def test_data_instead_of_a_header_is_not_recognised() -> None:
    assert count_recognised(["Mara", "Okafor", "x" * 200_000, "a-" * 100_000, "", ""]) == 0


def test_repeated_columns_all_serve_in_order() -> None:
    assert sources("Company|First Name|Company (2)|Last Name|Company.1")["company_name"] == (
        "Company",
        "Company (2)",
        "Company.1",
    )
    assert sources("First Name|Last Name|Company (2)").keys() == NAMES


def test_a_mapping_means_all_columns_of_that_name() -> None:
    columns = ["Kunde", "Vorname", "Nachname", "Kunde (2)", "Company", "Company (2)"]
    plan = plan_columns(columns, {"Kunde": "company_name", "Company": None})
    assert plan.sources["company_name"] == ("Kunde", "Kunde (2)")
    assert plan.unused == ("Company", "Company (2)")
    both = plan_columns(columns, {"Kunde": "company_name", "Kunde (2)": "company_domain"})
    assert both.sources["company_name"] == ("Kunde",)
    assert both.sources["company_domain"] == ("Kunde (2)",)
    assert plan_columns(columns, {"Kunde (2)": "company_name"}).sources["company_name"] == ("Kunde (2)",)


def test_parsing_a_dag_does_not_read_the_table() -> None:
    probe = (
        "from airflow_provider_cleanlist import BulkEnrichOperator; import sys;"
        "known = sys.modules.get('airflow_provider_cleanlist.contacts.recognition');"
        "assert known is None or known.known_names.cache_info().currsize == 0"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "header",
    [
        "First Name *|Last Name *|Company Name (required)",
        "1. First Name|2. Last Name|3) Company",
        "Vorname (Pflichtfeld)|Nachname [required]|Firma (optional)",
        "first_name:string|last_name:STRING|company: varchar(255)",
        "first_name::text|last_name::character varying(80)|company::text",
        "profile.firstName|profile.lastName|profile.company.name",
    ],
)
def test_what_forms_and_objects_add_to_names_does_not_count(header: str) -> None:
    assert sources(header).keys() == NAMES | {"company_name"}


def test_other_notes_in_a_name_count() -> None:
    assert sources("First Name (manager)|Last Name (manager)|Company") == {"company_name": ("Company",)}
    assert sources("Company Profile Url|Profile Views|Company") == {"company_name": ("Company",)}


def test_white_space_in_a_name_costs_linear_time():
    compared = header_key(" First" + " " * 500_000 + "Name  ( required ) ")  # square: days
    assert compared == "firstname"
    assert header_key("Firma [Pflichtfeld] ") == "firma"
    assert header_key("(required) Name") == "requiredname"
    assert header_key("Name" + ":" * 100_000 + " " * 100_000 + "x") == "namex"


def test_only_types_of_texts_behind_a_colon_are_left_aside() -> None:
    assert header_key("note:context") == "notecontext"
    assert header_key("Name text") == "nametext"
    assert sources("first_name:manager|last_name:manager|Company") == {"company_name": ("Company",)}
    assert sources("owner_first_name:string|owner_last_name:string|company:string") == {
        "company_name": ("company:string",)
    }
