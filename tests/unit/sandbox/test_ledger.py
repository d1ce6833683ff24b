"""What was received, accepted and charged."""

from __future__ import annotations

from airflow_provider_cleanlist.sandbox.ledger import Charge, RequestEntry, SandboxLedger, Submit


def submit(*identities):
    return Submit(0.0, "enrich_bulk", "w", "full", "key_1", identities)


def test_requests_are_filtered_by_every_argument(api):
    api.v2("GET", "/lead-lists")
    api.v2("POST", "/lead-lists", json={"name": "A"})
    api.v2("GET", "/lead-lists/nope")
    api.v2("GET", "/whoami", key="clapi_unknown")
    ledger, key_id = api.ledger, api.sandbox.accounts.key.key_id
    assert [entry.status for entry in ledger.requests()] == [200, 201, 404, 401]
    assert [entry.path for entry in ledger.requests(method="POST")] == ["/api/v2/lead-lists"]
    assert len(ledger.requests(endpoint="lead_list_index", status=200)) == 1
    assert len(ledger.requests(key_id=key_id)) == 3
    assert ledger.requests(status=401)[0].key_id is None
    assert ledger.requests(endpoint="lead_list_index", status=404) == []


def test_billing_is_counted_per_identity_and_item():
    ledger = SandboxLedger()
    for identity, item in [("a", "email"), ("a", "phone"), ("b", "email"), ("b", "email"), ("c", "company")]:
        ledger.record_charge(Charge(identity, item, 1, "w"))
    assert ledger.credits_charged == 5
    assert ledger.times_billed() == {"a": 1, "b": 2, "c": 1}
    assert ledger.contacts_billed_twice() == {"b": 2}


def test_submits_are_counted_per_identity():
    ledger = SandboxLedger()
    ledger.record_submit(submit("a", "b", "a"))
    ledger.record_submit(submit("b"))
    assert ledger.times_submitted() == {"a": 2, "b": 2}
    assert ledger.contacts_submitted_twice() == {"a": 2, "b": 2}


def test_requests_per_window():
    ledger = SandboxLedger()
    for time, status in [(59.9, 200), (60.0, 200), (61.0, 429), (119.0, None)]:
        ledger.record_request(RequestEntry(time, "GET", "/", "x", status=status))
    assert ledger.requests_per_window(60) == {0: {"admitted": 1}, 1: {"admitted": 2, "refused": 1}}


def test_submit_records_identities_not_names(api, person):
    answer = api.submit(person("Unmistakable"), person("B"), person("Unmistakable"))
    (recorded,) = api.ledger.accepted_submits
    assert (recorded.workflow_id, recorded.enrichment_type, recorded.endpoint) == (
        answer["workflow_id"],
        "full",
        "enrich_bulk",
    )
    assert recorded.key_id == api.sandbox.accounts.key.key_id
    assert recorded.time == api.clock.now()
    assert recorded.identities[0] == recorded.identities[2] != recorded.identities[1]
    everything = f"{api.ledger.entries}{api.ledger.accepted_submits}{api.ledger.charges}".casefold()
    assert "unmistakable" not in everything


def test_summary_and_clear(api, person):
    api.submit(person("A"), person("A"), person("B", "nothing-found"))
    assert api.ledger.summary() == {
        "requests": 1,
        "requests_by_endpoint": {"enrich_bulk": {"200": 1}},
        "accepted_submits": 1,
        "contacts_submitted": 3,
        "contacts_submitted_twice": 1,
        "credits_charged": 22,
        "contacts_billed": 1,
        "contacts_billed_twice": 1,
    }
    api.ledger.clear()
    assert api.ledger.summary()["requests"] == 0
    assert api.ledger.credits_charged == 0


def test_reads_of_finished_tasks_are_counted(make_api, person):
    api = make_api(seconds_to_complete=10)
    first, second = api.submit(person("Teo"), person("Ines"))["task_ids"]
    api.status(task_id=first)
    assert api.ledger.task_reads == {}
    api.clock.advance(100)
    for task_id in (first, second, second):
        api.status(task_id=task_id)
    assert api.ledger.task_reads == {first: 1, second: 2}
