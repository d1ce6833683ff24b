"""The admin endpoints, for tests in other processes."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.sandbox.clock import SystemClock


@pytest.fixture
def admin(api):
    def call(method, path="", **kwargs):
        return api.client.request(method, f"/sandbox{path}", **kwargs)

    return call


def test_needs_no_key_and_is_outside_limit_and_ledger(make_api):
    api = make_api(requests_per_minute=1)
    for _ in range(3):
        assert api.client.get("/sandbox").status_code == 200
    assert api.client.get("/sandbox/nowhere").status_code == 404
    assert api.v1("GET", "/auth/validate-key").status_code == 200
    assert len(api.ledger.requests()) == 1


def test_overview(api, admin):
    api.faults.fail("whoami", 500)
    body = admin("GET").json()
    assert body["settings"]["requests_per_minute"] == 100_000
    assert (body["now"], body["credits"], body["workflows"]) == (api.clock.now(), 100_000, 0)
    assert body["pending_faults"][0]["endpoint"] == "whoami"
    assert api.sandbox.accounts.key.secret not in str(body)


def test_ledger_views(make_api, person):
    api = make_api(seconds_to_complete=5)
    workflow_id = api.submit(person("A"), person("A"))["workflow_id"]
    api.v2("GET", "/whoami")
    api.clock.advance(5)
    get = api.client.get
    assert get("/sandbox/ledger").json()["credits_charged"] == 22
    requests = get("/sandbox/ledger/requests").json()
    assert [(entry["endpoint"], entry["status"]) for entry in requests] == [
        ("enrich_bulk", 200),
        ("whoami", 200),
    ]
    assert len(get("/sandbox/ledger/requests?endpoint=whoami&status=200&method=GET").json()) == 1
    assert len(get("/sandbox/ledger/requests?skip=1").json()) == 1
    (submit,) = get("/sandbox/ledger/submits").json()
    assert submit["workflow_id"] == workflow_id
    billing = get("/sandbox/ledger/billing").json()
    assert billing == {
        "credits_charged": 22,
        "times_billed": {submit["identities"][0]: 2},
        "contacts_billed_twice": {submit["identities"][0]: 2},
        "contacts_submitted_twice": {submit["identities"][0]: 2},
    }


def test_settings(api, admin):
    answer = admin("POST", "/settings", json={"polls_to_complete": 2, "success_status": {"enrich_bulk": 202}})
    assert answer.json()["polls_to_complete"] == 2
    assert api.settings.success_status == {"enrich_bulk": 202}
    for bad in ({"polls_to_complete": -1}, {"no_such_switch": 1}):
        answer = admin("POST", "/settings", json=bad)
        assert answer.status_code == 422
        assert next(iter(bad)) in answer.text
    assert api.settings.polls_to_complete == 2


def test_faults_and_endings(api, admin, person):
    fault = {"kind": "status", "endpoint": "whoami", "status": 503, "times": 2}
    assert admin("POST", "/faults", json=fault).json() == {"pending": 1}
    assert admin("POST", "/faults", json={"kind": "nonsense"}).status_code == 422
    assert [admin("POST", "/faults", json=body).status_code for body in ([], "x", {"kind": []})] == [422] * 3
    assert admin("POST", "/faults", content=b'{"kind": "drop"}').status_code == 422
    assert api.v2("GET", "/whoami").status_code == 503
    assert admin("POST", "/workflow-endings", json={"status": "cancelled"}).json() == {"pending": 2}
    assert api.status(workflow_id=api.submit(person())["workflow_id"])["status"] == "cancelled"
    assert admin("DELETE", "/faults").json() == {"pending": 0}
    assert api.v2("GET", "/whoami").status_code == 200


def test_leads(api, admin):
    body = admin("POST", "/leads", json={"list_name": "Big", "count": 1_000_000}).json()
    assert body["lead_count"] == 1_000_000
    page = api.v2(
        "GET", f"/lead-lists/{body['list_id']}/leads", params={"limit": 500, "cursor": "999600"}
    ).json()
    assert (len(page["leads"]), page["total"], page["cursor"]) == (400, 1_000_000, None)
    again = admin("POST", "/leads", json={"list_name": "big", "count": 3}).json()
    assert again == {"list_id": body["list_id"], "lead_count": 3}
    assert admin("POST", "/leads", json={"list_name": "Big", "count": -1}).status_code == 422


def test_organization_and_keys(api, admin):
    admin("POST", "/organization", json={"credits": 5, "tier": "free"})
    assert (api.balance(), api.v2("GET", "/whoami").json()["tier"]) == (5, "free")
    admin("POST", "/organization", json={"has_api_access": False})
    assert api.v2("GET", "/whoami").status_code == 403
    admin("POST", "/organization", json={"has_api_access": True})
    key = admin("POST", "/keys", json={"scopes": ["lists:read"]}).json()["secret"]
    assert api.v2("GET", "/lead-lists", key=key).status_code == 200
    assert api.v2("GET", "/credits/balance", key=key).status_code == 403
    admin("POST", "/keys", json={"secret": key, "revoked": True})
    assert api.v2("GET", "/lead-lists", key=key).status_code == 401


def test_clock(make_api):
    api = make_api()
    before = api.clock.now()
    assert api.client.post("/sandbox/clock", json={"advance": 61}).json() == {"now": before + 61}
    assert api.client.post("/sandbox/clock", json={"advance": -1}).status_code == 422
    real = make_api(clock=SystemClock())
    answer = real.client.post("/sandbox/clock", json={"advance": 1})
    assert answer.status_code == 409
    assert "--clock manual" in answer.json()["detail"]


def test_reset(make_api, person):
    api = make_api(credits=50, seconds_to_complete=5)
    list_id = api.create_list("Gone soon")
    api.submit(person(), enrichment_type="partial")
    api.faults.fail("whoami", 500)
    api.settings.seconds_to_complete = 9
    assert api.client.post("/sandbox/reset").json() == {"reset": True}
    assert api.settings.seconds_to_complete == 5
    assert api.ledger.requests() == []
    assert api.balance() == 50
    assert api.v2("GET", "/whoami").status_code == 200
    assert api.v2("GET", f"/lead-lists/{list_id}").status_code == 404


def test_only_loopback_may_ask(api):
    with_address = type(api.client)(api.client.app, client=("203.0.113.9", 5000))
    assert with_address.get("/sandbox").status_code == 403
    assert with_address.post("/sandbox/reset").status_code == 403
    local = type(api.client)(api.client.app, client=("127.0.0.1", 5000))
    assert local.get("/sandbox").status_code == 200


SITES = [
    {"Host": "attacker.example"},
    {"Host": "attacker.example:8123"},
    {"Host": ""},
    {"Host": "127.0.0.1.attacker.example"},
    {"Origin": "https://attacker.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.attacker.example:8123"},
    {"Host": "localhost:8123", "Origin": "http://attacker.example"},
    {"Host": "[", "Origin": "http://["},
]


@pytest.mark.parametrize("headers", SITES)
def test_a_web_page_of_another_site_is_refused(api, headers):
    for method, path in (("GET", "/sandbox"), ("POST", "/sandbox/reset"), ("GET", "/sandbox/ledger")):
        answer = api.client.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert "localhost only" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost"},
        {"Host": "127.0.0.1:8123"},
        {"Host": "[::1]:8123"},
        {"Host": "LOCALHOST:1", "Origin": "http://127.0.0.1:8123"},
    ],
)
def test_this_machine_is_answered_by_every_name(api, headers):
    assert api.client.get("/sandbox", headers=headers).status_code == 200
