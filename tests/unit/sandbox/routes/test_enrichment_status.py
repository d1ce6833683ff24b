"""Status by workflow and by task: ``GET /enrich/status``."""

from __future__ import annotations

import pytest

TEN = ["found-both"] * 4 + ["email-only"] * 2 + ["phone-only"] + ["nothing-found"] * 3


@pytest.fixture
def slow(make_api):
    return make_api(seconds_to_complete=100)


def ten(person):
    return [person(f"Person{number}", marker) for number, marker in enumerate(TEN)]


def test_exactly_one_parameter(api, person):
    answer = api.submit(person())
    for params in ({}, {"workflow_id": answer["workflow_id"], "task_id": answer["task_ids"][0]}):
        assert api.v1("GET", "/enrich/status", params=params).status_code == 400


def test_unknown_and_foreign_ids_are_404(api, person):
    answer = api.submit(person())
    stranger = api.sandbox.accounts.add_key(
        user=api.sandbox.accounts.add_user(
            "Ines Vauban", organization=api.sandbox.accounts.add_organization("Other", credits=1)
        )
    ).secret
    for params in ({"workflow_id": answer["workflow_id"]}, {"task_id": answer["task_ids"][0]}):
        assert api.v1("GET", "/enrich/status", params=params).status_code == 200
        assert api.v1("GET", "/enrich/status", params=params, key=stranger).status_code == 404
    for params in ({"workflow_id": "nope"}, {"task_id": "nope"}, {"workflow_id": answer["task_ids"][0]}):
        answer_404 = api.v1("GET", "/enrich/status", params=params)
        assert answer_404.status_code == 404
        assert isinstance(answer_404.json()["detail"], str)


def test_summary_variant_while_running_and_completed(slow, person):
    workflow_id = slow.submit(*ten(person))["workflow_id"]
    assert slow.status(workflow_id=workflow_id) == {
        "workflow_id": workflow_id,
        "status": "processing",
        "enrichment_type": "full",
        "lead_list_id": slow.managed_list()["list_id"],
        "summary": {"total": 10, "successful": 0, "failed": 0, "emails_found": 0, "phones_found": 0},
    }
    slow.clock.advance(80)
    running = slow.status(workflow_id=workflow_id)
    assert running["status"] == "processing"
    assert running["summary"] == {
        "total": 10,
        "successful": 7,
        "failed": 1,
        "emails_found": 6,
        "phones_found": 5,
    }
    slow.clock.advance(20)
    done = slow.status(workflow_id=workflow_id)
    assert done["status"] == "completed"
    assert done["summary"] == {
        "total": 10,
        "successful": 7,
        "failed": 3,
        "emails_found": 6,
        "phones_found": 5,
    }


def test_workflow_completes_even_if_every_contact_failed(api, person):
    workflow_id = api.submit(person(marker="nothing-found"))["workflow_id"]
    done = api.status(workflow_id=workflow_id)
    assert (done["status"], done["summary"]["failed"]) == ("completed", 1)


def test_flat_variant(slow, person):
    slow.settings.status_variant = "flat"
    workflow_id = slow.submit(*ten(person))["workflow_id"]
    slow.clock.advance(80)
    body = slow.status(workflow_id=workflow_id)
    assert body == {
        "workflow_id": workflow_id,
        "status": "processing",
        "enrichment_type": "full",
        "lead_list_id": slow.managed_list()["list_id"],
        "progress": 80,
        "total": 10,
        "processed": 8,
        "completed": 7,
        "failed": 1,
        "summary": {"emails_found": 6, "phones_found": 5},
    }


def test_results_variant(api, person):
    api.settings.status_variant = "results"
    answer = api.submit(*ten(person))
    body = api.status(workflow_id=answer["workflow_id"])
    assert body["summary"]["total"] == 10
    assert [result["task_id"] for result in body["results"]] == answer["task_ids"]
    assert body["results"] == [api.status(task_id=task_id) for task_id in answer["task_ids"]]


def test_sparse_variant(slow, person):
    slow.settings.status_variant = "sparse"
    workflow_id = slow.submit(person())["workflow_id"]
    assert slow.status(workflow_id=workflow_id) == {"status": "processing"}
    slow.clock.advance(100)
    assert slow.status(workflow_id=workflow_id) == {"status": "completed"}


def test_task_running_found_and_not_found(slow, person):
    answer = slow.submit(
        person("Teo"), person("Ada", "nothing-found", linkedin_url="https://linkedin.com/in/ada")
    )
    found, missed = answer["task_ids"]
    nothing = {
        "workflow_id": answer["workflow_id"],
        "primary_email": None,
        "primary_email_status": None,
        "other_emails": [],
        "personal_phone_numbers": [],
    }
    assert slow.status(task_id=found) == {
        **nothing,
        "task_id": found,
        "status": "processing",
        "prospect": None,
        "company": None,
    }
    slow.clock.advance(100)
    teo = slow.status(task_id=found)
    assert (teo["status"], teo["primary_email"]) == ("completed", "teo.lindqvist@found-both.example")
    assert teo["primary_email_status"] == "verified"
    assert len(teo["personal_phone_numbers"]) == 1
    assert teo["prospect"].keys() == {
        "first_name",
        "last_name",
        "full_name",
        "linkedin_url",
        "headline",
        "location",
    }
    assert teo["company"].keys() == {"name", "domain", "industry", "headcount"}
    assert slow.status(task_id=missed) == {
        **nothing,
        "task_id": missed,
        "status": "failed",
        "prospect": {
            "first_name": "Ada",
            "last_name": "Lindqvist",
            "full_name": "Ada Lindqvist",
            "linkedin_url": "https://linkedin.com/in/ada",
            "headline": None,
            "location": None,
        },
        "company": {"name": None, "domain": "nothing-found.example", "industry": None, "headcount": None},
    }


def test_type_none_completes_with_nothing_appended(api, person):
    answer = api.submit(person(), enrichment_type="none")
    task = api.status(task_id=answer["task_ids"][0])
    assert (task["status"], task["primary_email"], task["personal_phone_numbers"]) == ("completed", None, [])
    assert api.status(workflow_id=answer["workflow_id"])["summary"] == {
        "total": 1,
        "successful": 1,
        "failed": 0,
        "emails_found": 0,
        "phones_found": 0,
    }
    (row,) = api.rows(api.managed_list()["list_id"])
    assert (row["email"], row["provider"]) == (None, None)


def test_nested_task_result(api, person):
    answer = api.submit(person())
    plain = api.status(task_id=answer["task_ids"][0])
    api.settings.nested_task_result = True
    nested = api.status(task_id=answer["task_ids"][0])
    assert nested == {"task_id": plain["task_id"], "status": "completed", "result": plain}


@pytest.mark.parametrize("polls", [0, 1, 3])
def test_polls_before_completion(make_api, person, polls):
    api = make_api(polls_to_complete=polls)
    workflow_id = api.submit(*ten(person))["workflow_id"]
    words = [api.status(workflow_id=workflow_id)["status"] for _ in range(polls + 2)]
    assert words == ["processing"] * polls + ["completed"] * 2
    assert api.ledger.credits_charged == 4 * 11 + 2 + 10


def test_polling_tasks_brings_completion_too(make_api, person):
    api = make_api(polls_to_complete=2)
    answer = api.submit(person("Teo"), person("Ada"))
    last = answer["task_ids"][1]
    words = [api.status(task_id=last)["status"] for _ in range(3)]
    assert words == ["processing", "processing", "completed"]
    assert api.ledger.credits_charged == 22


def test_polls_and_seconds_must_both_be_over(make_api, person):
    api = make_api(polls_to_complete=1, seconds_to_complete=10)
    workflow_id = api.submit(person())["workflow_id"]
    assert [api.status(workflow_id=workflow_id)["status"] for _ in range(3)] == ["processing"] * 3
    api.clock.advance(10)
    assert api.status(workflow_id=workflow_id)["status"] == "completed"


def test_nobody_need_poll_for_the_bill_to_come(slow, person):
    slow.submit(person())
    slow.clock.advance(101)
    assert slow.balance() == 100_000 - 11


@pytest.mark.parametrize("word", ["queued", "PROCESSING", "Zurückgestellt"])
def test_unknown_running_words(slow, person, word):
    slow.settings.running_status = word
    workflow_id = slow.submit(person())["workflow_id"]
    assert slow.status(workflow_id=workflow_id)["status"] == word


def test_final_word_is_a_setting(api, person):
    api.settings.final_status = "COMPLETED"
    assert api.status(workflow_id=api.submit(person())["workflow_id"])["status"] == "COMPLETED"


def test_broken_workflow_bills_only_what_it_processed(slow, person):
    slow.faults.end_workflows("failed", processed=0.5)
    broken = slow.submit(*ten(person))
    intact = slow.submit(*ten(person))
    slow.clock.advance(100)
    status = slow.status(workflow_id=broken["workflow_id"])
    assert status["status"] == "failed"
    assert status["summary"] == {
        "total": 10,
        "successful": 5,
        "failed": 5,
        "emails_found": 5,
        "phones_found": 4,
    }
    assert slow.status(task_id=broken["task_ids"][4])["status"] == "completed"
    assert slow.status(task_id=broken["task_ids"][5])["status"] == "failed"
    assert slow.status(workflow_id=intact["workflow_id"])["status"] == "completed"
    billed = dict.fromkeys((broken["workflow_id"], intact["workflow_id"]), 0)
    for charge in slow.ledger.charges:
        billed[charge.workflow_id] += charge.credits
    assert list(billed.values()) == [45, 56]


def test_workflow_may_end_with_any_word_for_several_workflows(api, person):
    api.faults.end_workflows("archived", times=2)
    words = [api.status(workflow_id=api.submit(person())["workflow_id"])["status"] for _ in range(3)]
    assert words == ["archived", "archived", "completed"]


@pytest.mark.parametrize(("shape", "at_quarter"), [("linear", 2), ("concave", 5), ("convex", 0), ("late", 0)])
def test_progress_follows_its_curve(slow, person, shape, at_quarter):
    slow.settings.progress = shape
    workflow_id = slow.submit(*[person(f"P{number}") for number in range(10)])["workflow_id"]
    slow.clock.advance(25)
    assert slow.status(workflow_id=workflow_id)["summary"]["successful"] == at_quarter
