"""What every request passes: key, rate limit, plan and scope."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from airflow_provider_cleanlist.sandbox.app import ENDPOINTS
from airflow_provider_cleanlist.sandbox.web.middleware import retry_after_header

EVERY_ROUTE = [
    pytest.param(endpoint, prefix, id=f"{endpoint.name} {prefix}")
    for endpoint in ENDPOINTS
    for prefix in endpoint.prefixes
]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer clapi_unknown"},
        {"Authorization": "{key}"},
        {"Authorization": "Basic {key}"},
        {"X-API-Key": "{key}"},
    ],
)
def test_401_unless_the_key_is_a_bearer(api, headers):
    key = api.sandbox.accounts.key.secret
    headers = {name: value.format(key=key) for name, value in headers.items()}
    legacy = api.client.get("/api/v1/public/auth/validate-key", headers=headers)
    assert (legacy.status_code, legacy.json()) == (401, {"detail": "Not authenticated"})
    newer = api.client.get("/api/v2/whoami", headers=headers)
    assert newer.status_code == 401
    assert newer.json()["error"]["retryable"] is False


def test_expired_revoked_and_extension_keys_are_refused(api):
    accounts = api.sandbox.accounts
    expiring = accounts.add_key(expires_at=api.clock.now() + 10)
    revoked = accounts.add_key(revoked=True)
    extension = accounts.add_key("clext_0123456789")

    def status(key):
        return api.v1("GET", "/auth/validate-key", key=key.secret).status_code

    assert [status(key) for key in (expiring, revoked, extension)] == [200, 401, 401]
    api.clock.advance(10)
    assert status(expiring) == 401
    expiring.expires_at = None
    expiring.revoked = True
    assert status(expiring) == 401


@pytest.mark.parametrize(("endpoint", "prefix"), EVERY_ROUTE)
def test_every_endpoint_wants_its_scope_and_the_plan(api, endpoint, prefix):
    path = prefix + endpoint.path.format(list_id="some-list")
    no_scope = api.sandbox.accounts.add_key(scopes=())

    def refusal(key=None):
        return api.call(endpoint.method, path, key=key)

    if endpoint.scope is None:
        assert refusal(no_scope.secret).status_code in {200, 422}
    else:
        answer = refusal(no_scope.secret)
        assert answer.status_code == 403
        if "error" in answer.json():
            assert answer.json()["error"]["code"] == "insufficient_scope"
            assert answer.json()["error"]["details"] == {"required": [endpoint.scope], "granted": []}
        only_that = api.sandbox.accounts.add_key(scopes=(endpoint.scope,))
        assert refusal(only_that.secret).status_code != 403
    api.sandbox.accounts.organization.has_api_access = False
    answer = refusal()
    assert answer.status_code == 403
    assert answer.json().get("error", {"code": "feature_gated"})["code"] == "feature_gated"


def test_legacy_endpoints_exist_only_under_v1(api):
    for path in ("/enrich/status", "/auth/validate-key", "/webhooks/deliveries"):
        assert api.v2("GET", path).status_code == 404
    assert api.v2("POST", "/enrich/bulk", json={}).status_code == 404


def test_scopes_are_those_of_the_vendors_documentation():
    needs = {endpoint.name: endpoint.scope for endpoint in ENDPOINTS}
    assert needs["enrich_bulk"] == "enrich:write"
    assert needs["enrich_status"] == "enrich:read"
    assert needs["credits_balance"] == "credits:read"
    assert needs["validate_key"] is needs["webhook_deliveries"] is needs["whoami"] is None
    assert {needs["lead_list_index"], needs["lead_list_get"], needs["lead_list_contents"]} == {"lists:read"}
    writes = ("create", "update", "delete", "add_leads", "remove_leads")
    assert {needs[f"lead_list_{name}"] for name in writes} == {"lists:write"}
    assert needs["export_json"] == needs["export_csv"] == "export:read"


def test_the_key_is_in_no_representation(api):
    secret = api.sandbox.accounts.key.secret
    api.v1("GET", "/auth/validate-key")
    assert secret not in repr(api.sandbox.accounts.key)
    assert secret not in repr(api.ledger.entries)


def test_60_per_fixed_minute_and_organization(make_api):
    api = make_api(requests_per_minute=60)
    colleague = api.sandbox.accounts.add_key(user=api.sandbox.accounts.add_user("Teo Lindqvist"))
    stranger = api.sandbox.accounts.add_key(
        user=api.sandbox.accounts.add_user(
            "Ines Vauban", organization=api.sandbox.accounts.add_organization("Other", credits=1)
        )
    )
    api.clock.advance(15)
    statuses = [api.v1("GET", "/credits/balance").status_code for _ in range(59)]
    statuses.append(api.v1("GET", "/credits/balance", key=colleague.secret).status_code)
    assert statuses == [200] * 60
    refused = api.v1("GET", "/credits/balance")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "45"
    assert refused.json() == {"detail": "Rate limit exceeded"}
    assert api.v1("GET", "/credits/balance", key=colleague.secret).status_code == 429
    assert api.v1("GET", "/credits/balance", key=stranger.secret).status_code == 200
    api.clock.advance(44.9)
    assert api.v1("GET", "/credits/balance").headers["Retry-After"] == "1"
    api.clock.advance(0.1)
    assert api.v1("GET", "/credits/balance").status_code == 200
    assert len(api.ledger.requests(status=429)) == 3
    by_window = list(api.ledger.requests_per_window(60).values())
    assert by_window == [{"admitted": 61, "refused": 3}, {"admitted": 1}]


def test_429_in_the_newer_envelope_mirrors_the_header(make_api):
    api = make_api(requests_per_minute=1)
    api.clock.advance(57.5)
    api.v2("GET", "/whoami")
    refused = api.v2("GET", "/whoami")
    error = refused.json()["error"]
    assert refused.headers["Retry-After"] == "3"
    assert (error["retryable"], error["retry_after_ms"]) == (True, 2500)


def test_limit_per_key_is_off_by_default_and_comes_on_top(make_api):
    api = make_api(requests_per_minute=60)
    other = api.sandbox.accounts.add_key()
    for _ in range(31):
        assert api.v1("GET", "/auth/validate-key").status_code == 200
    api.settings.requests_per_minute_per_key = 30
    mine = [api.v1("GET", "/auth/validate-key").status_code for _ in range(31)]
    theirs = [api.v1("GET", "/auth/validate-key", key=other.secret).status_code for _ in range(31)]
    assert mine == theirs == [200] * 30 + [429]
    third = api.sandbox.accounts.add_key()
    assert api.v1("GET", "/auth/validate-key", key=third.secret).status_code == 429


def test_order_401_then_429_then_403_then_422(make_api):
    api = make_api(requests_per_minute=1)
    api.sandbox.accounts.organization.has_api_access = False
    bad = {"json": {"contacts": "not a list"}}
    assert api.v1("POST", "/enrich/bulk", key="clapi_unknown", **bad).status_code == 401
    assert api.v1("POST", "/enrich/bulk", **bad).status_code == 403
    assert api.v1("POST", "/enrich/bulk", **bad).status_code == 429
    api.settings.requests_per_minute = 100
    api.sandbox.accounts.organization.has_api_access = True
    assert api.v1("POST", "/enrich/bulk", **bad).status_code == 422


def test_window_length_and_number_are_settings(make_api):
    api = make_api(requests_per_minute=2, window_seconds=3)
    assert [api.v1("GET", "/auth/validate-key").status_code for _ in range(3)] == [200, 200, 429]
    api.clock.advance(3)
    assert api.v1("GET", "/auth/validate-key").status_code == 200


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("seconds", "3"),
        ("decimal", "2.500"),
        ("zero", "0"),
        ("negative", "-5"),
        ("garbage", "in a while"),
        ("missing", None),
    ],
)
def test_forms_of_retry_after(make_api, form, header):
    assert retry_after_header(form, 2.5, 1000.0) == header
    api = make_api(requests_per_minute=1, retry_after=form)
    api.clock.advance(57.5)
    api.v1("GET", "/auth/validate-key")
    assert api.v1("GET", "/auth/validate-key").headers.get("Retry-After") == header


def test_retry_after_as_date():
    header = retry_after_header("date", 2.5, 1_781_428_800.0)
    assert header is not None
    assert parsedate_to_datetime(header).timestamp() == 1_781_428_803.0
