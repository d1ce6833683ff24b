"""Submitting contacts: ``POST /enrich/bulk``."""

from __future__ import annotations

import re

import pytest

from airflow_provider_cleanlist.sandbox.people import Person, identity_of

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
LINKEDIN = {"linkedin_url": "https://www.linkedin.com/in/mara-okafor-example/"}
NAMED = {"first_name": "Ines", "last_name": "Vauban", "company_name": "Quill and Sextant"}


def refused(api, status, **body):
    before = len(api.sandbox.engine.workflows)
    answer = api.v1("POST", "/enrich/bulk", json=body)
    assert answer.status_code == status, answer.text
    assert len(api.sandbox.engine.workflows) == before
    assert api.ledger.accepted_submits == []
    return answer.json()["detail"]


def test_answer_of_a_submit(api, person):
    answer = api.submit(LINKEDIN, person(), NAMED, enrichment_type="partial")
    assert re.fullmatch(f"public_bulk_{UUID}", answer["workflow_id"])
    assert len(answer["task_ids"]) == len(set(answer["task_ids"])) == 3
    assert all(re.fullmatch(UUID, task_id) for task_id in answer["task_ids"])
    assert (answer["status"], answer["total_contacts"]) == ("processing", 3)
    assert isinstance(answer["message"], str)


def test_task_ids_follow_the_submission_and_duplicates_are_processed(api, person):
    answer = api.submit(person("Ada"), person("Kofi"), person("Ada"))
    names = [api.status(task_id=task_id)["prospect"]["first_name"] for task_id in answer["task_ids"]]
    assert names == ["Ada", "Kofi", "Ada"]
    assert api.ledger.credits_charged == 33
    assert list(api.ledger.contacts_billed_twice().values()) == [2]


@pytest.mark.parametrize(
    "contact",
    [
        LINKEDIN,
        NAMED,
        {**NAMED, **LINKEDIN},
        {**LINKEDIN, "email": None, "first_name": "", "company_domain": "  "},
        {**NAMED, "company_name": None, "company_domain": "quill.example"},
        {**NAMED, "email": "ines@quill.example", "shoe_size": 43},
    ],
)
def test_accepted_identities(api, contact):
    assert api.submit(contact)["total_contacts"] == 1


@pytest.mark.parametrize(
    "contact",
    [
        {},
        {"email": "mara@northfold.example"},
        {"linkedin_url": "   "},
        {"first_name": "Mara", "last_name": "Okafor"},
        {"first_name": "Mara", "company_name": "Northfold"},
        {**NAMED, "last_name": " \t"},
        {**NAMED, "company_name": None},
    ],
)
def test_contacts_without_identity_are_422_with_their_index(api, contact):
    detail = refused(api, 422, contacts=[LINKEDIN, contact, NAMED, contact])
    assert [entry["loc"] for entry in detail] == [["body", "contacts", 1], ["body", "contacts", 3]]
    assert {entry["type"] for entry in detail} == {"value_error"}
    assert detail[0]["input"] == contact
    assert "linkedin_url" in detail[0]["msg"]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "contacts"]),
        ({"contacts": None}, ["body", "contacts"]),
        ({"contacts": {"0": LINKEDIN}}, ["body", "contacts"]),
        ({"contacts": [LINKEDIN, "Mara"]}, ["body", "contacts", 1]),
        ({"contacts": [{"first_name": 5}]}, ["body", "contacts", 0, "first_name"]),
        ({"contacts": [LINKEDIN], "enrichment_type": None}, ["body", "enrichment_type"]),
        ({"contacts": [LINKEDIN], "enrichment_type": "phone-only"}, ["body", "enrichment_type"]),
        ({"contacts": [LINKEDIN], "enrichment_type": "FULL"}, ["body", "enrichment_type"]),
        ({"contacts": [LINKEDIN], "webhook_url": 5}, ["body", "webhook_url"]),
        ({"contacts": [LINKEDIN], "webhook_url": "http://hooks.example/x"}, ["body", "webhook_url"]),
        ({"contacts": [LINKEDIN], "webhook_url": "http://127.0.0.1:1/x"}, ["body", "webhook_url"]),
        ({"contacts": [LINKEDIN], "webhook_url": "https://"}, ["body", "webhook_url"]),
    ],
)
def test_wrong_types_are_422(api, body, loc):
    assert refused(api, 422, **body)[0]["loc"] == loc


def test_loopback_webhooks_need_the_switch(api):
    api.settings.allow_http_webhooks = True
    refused(api, 422, contacts=[LINKEDIN], webhook_url="http://hooks.example/x")
    api.submit(LINKEDIN, webhook_url="http://127.0.0.1:1/x")


def test_null_webhook_and_missing_type_are_defaults(api, person):
    answer = api.v1("POST", "/enrich/bulk", json={"contacts": [person()], "webhook_url": None})
    assert api.status(workflow_id=answer.json()["workflow_id"])["enrichment_type"] == "partial"


def test_size_limits(api):
    contacts = [{"linkedin_url": f"https://www.linkedin.com/in/p{number}"} for number in range(251)]
    assert "250" in refused(api, 400, contacts=contacts)
    assert isinstance(refused(api, 400, contacts=[]), str)
    assert api.submit(*contacts[:250])["total_contacts"] == 250


def test_order_of_checks(api):
    api.sandbox.accounts.organization.credits = 0
    refused(api, 422, contacts=[5] * 251)
    refused(api, 400, contacts=[{}] * 251)
    refused(api, 422, contacts=[{}])
    assert refused(api, 402, contacts=[LINKEDIN]) == "Insufficient credits"


@pytest.mark.parametrize(
    ("enrichment_type", "worst_case"),
    [("none", 0), ("partial", 1), ("phone_only", 10), ("full", 11), ("prospecting_only", 1)],
)
def test_402_compares_the_balance_with_the_worst_case(make_api, enrichment_type, worst_case):
    api = make_api(credits=2 * worst_case)
    if worst_case:
        refused(api, 402, contacts=[LINKEDIN] * 3, enrichment_type=enrichment_type)
    api.submit(LINKEDIN, NAMED, enrichment_type=enrichment_type)


@pytest.mark.parametrize(
    ("marker", "enrichment_type", "cost"),
    [
        ("found-both", "none", 0),
        ("found-both", "partial", 1),
        ("found-both", "phone_only", 10),
        ("found-both", "full", 11),
        ("email-only", "full", 1),
        ("email-only", "phone_only", 0),
        ("phone-only", "full", 10),
        ("phone-only", "partial", 0),
        ("nothing-found", "full", 0),
        ("risky-email", "full", 1),
        ("found-both", "prospecting_only", 1),
    ],
)
def test_only_finds_are_charged_at_completion(make_api, person, marker, enrichment_type, cost):
    api = make_api(seconds_to_complete=30, credits=1000)
    workflow_id = api.submit(person(marker=marker), enrichment_type=enrichment_type)["workflow_id"]
    api.clock.advance(29.9)
    assert api.balance() == 1000
    api.clock.advance(0.1)
    assert api.balance() == 1000 - cost
    assert api.status(workflow_id=workflow_id)["status"] == "completed"
    assert api.ledger.credits_charged == cost


def test_parallel_workflows_pass_the_check_together_and_the_balance_stops_at_zero(make_api, person):
    api = make_api(seconds_to_complete=30, credits=11)
    api.submit(person("Ada"))
    api.submit(person("Kofi"))
    api.clock.advance(30)
    assert api.balance() == 0
    assert api.ledger.credits_charged == 22


def test_resubmitting_is_billed_again(api, person):
    api.submit(person())
    api.submit(person())
    assert api.ledger.credits_charged == 22
    assert api.ledger.contacts_submitted_twice() == api.ledger.contacts_billed_twice()
    (identity,) = api.ledger.contacts_billed_twice()
    contact = person()
    assert identity == identity_of(Person(**contact))
    assert api.ledger.times_billed()[identity] == 2


@pytest.mark.parametrize(
    ("variant", "count"), [("all", 3), ("missing", None), ("empty", 0), ("short", 2), ("long", 4)]
)
def test_variants_of_task_ids(api, person, variant, count):
    api.settings.task_ids = variant
    answer = api.submit(person("A"), person("B"), person("C"))
    assert (len(answer["task_ids"]) if "task_ids" in answer else None) == count
    assert answer["total_contacts"] == 3


def test_contacts_join_the_managed_list_at_submit_and_fill_at_completion(make_api, person):
    api = make_api(seconds_to_complete=30)
    api.submit(person(), LINKEDIN, {**NAMED, "company_name": "Nothing Found"})
    managed = api.managed_list()
    assert (managed["lead_count"], managed["visibility"]) == (3, "private")
    before = api.rows(managed["list_id"])
    assert [row["email"] for row in before] == [row["phone"] for row in before] == [None] * 3
    assert before[0]["company"] is None
    assert before[1]["linkedin_url"] == LINKEDIN["linkedin_url"]
    api.clock.advance(30)
    teo, _, ines = api.rows(managed["list_id"])
    assert teo["email"] == "teo.lindqvist@found-both.example"
    assert re.fullmatch(r"\+1\d{3}55501\d\d", teo["phone"])
    assert teo["title"]
    assert teo["location"]
    assert teo["provider"] == "sandbox"
    assert (ines["email"], ines["title"], ines["provider"]) == (None, None, None)
    assert [row["lead_id"] for row in before] == [row["lead_id"] for row in api.rows(managed["list_id"])]


def test_managed_list_holds_one_row_per_identity(api, person):
    slug = "https://www.linkedin.com/in/mara-okafor-example"
    api.submit(person(), person(), person("TEO"))
    api.submit(person(), {"linkedin_url": slug})
    api.submit({"linkedin_url": slug.upper().replace("HTTPS", "http") + "/?trk=x"})
    assert api.managed_list()["lead_count"] == 2


def test_managed_list_is_per_user_and_may_be_called_default(api, person):
    api.settings.managed_list_name = "DEFAULT"
    colleague = api.sandbox.accounts.add_key(user=api.sandbox.accounts.add_user("Teo Lindqvist"))
    api.submit(person())
    api.v1("POST", "/enrich/bulk", json={"contacts": [person()]}, key=colleague.secret)
    mine = api.v2("GET", "/lead-lists").json()["lists"]
    theirs = api.v2("GET", "/lead-lists", key=colleague.secret).json()["lists"]
    assert [item["name"] for item in mine + theirs] == ["DEFAULT", "DEFAULT"]
    assert mine[0]["list_id"] != theirs[0]["list_id"]


def test_ids_may_need_escaping(api, person):
    api.settings.id_style = "awkward"
    answer = api.submit(person())
    assert {" ", "?", "%"} <= set(answer["workflow_id"])
    assert api.status(workflow_id=answer["workflow_id"])["status"] == "completed"
    assert api.status(task_id=answer["task_ids"][0])["status"] == "completed"
