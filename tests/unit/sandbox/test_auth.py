"""Contract sections 1.2 to 1.6: keys, identity, scopes, plan."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.sandbox.accounts import SCOPES
from airflow_provider_cleanlist.sandbox.app import ENDPOINTS

PATH_VALUES = {"list_id": "some-list", "workflow_id": "some-workflow"}
EVERY_ROUTE = [
    pytest.param(endpoint, prefix, id=f"{endpoint.name} {prefix}")
    for endpoint in ENDPOINTS
    for prefix in endpoint.prefixes
]


def test_validate_key(api):
    answer = api.v1("GET", "/auth/validate-key")
    assert answer.status_code == 200
    accounts = api.sandbox.accounts
    assert answer.json() == {
        "valid": True,
        "user_id": accounts.user.user_id,
        "organization_id": accounts.organization.organization_id,
    }


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


def test_generated_keys_look_like_the_vendors(api):
    secret = api.sandbox.accounts.add_key().secret
    assert secret.startswith("clapi_")
    assert len(secret) == len("clapi_") + 64


def test_whoami_on_both_prefixes(api):
    answers = [api.call("GET", f"{prefix}/whoami").json() for prefix in ("/api/v2", "/api/v1/public")]
    assert answers[0] == answers[1]
    body = answers[0]
    assert body["user_email"] == "m***@northfold.example"
    assert body["auth_type"] == "api_key"
    assert body["tier"] == "pro"
    assert body["appsumo_tier"] is None
    assert body["scopes"] == sorted(SCOPES)
    assert body["features"] == ["enrich_email", "enrich_phone"]
    assert body["organization_id"] == api.sandbox.accounts.organization.organization_id
    assert body["timestamp_ms"] == int(api.clock.now() * 1000)
    assert {"task_id", "agent_instructions", "usage", "message"} <= body.keys()


@pytest.mark.parametrize(("endpoint", "prefix"), EVERY_ROUTE)
def test_every_endpoint_wants_its_scope_and_the_plan(api, endpoint, prefix):
    path = prefix + endpoint.path.format(**PATH_VALUES)
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


def test_scope_names_and_needs_match_the_contract():
    needs = {endpoint.name: endpoint.scope for endpoint in ENDPOINTS}
    assert needs["enrich_bulk"] == "enrich:write"
    assert needs["enrich_status"] == needs["enrichment_status"] == "enrich:read"
    assert needs["credits_balance"] == needs["credits_estimate"] == "credits:read"
    assert needs["validate_key"] is needs["webhook_deliveries"] is needs["whoami"] is None
    assert needs["usage"] == needs["api_keys"] == "admin:api_keys"
    assert {needs["lead_list_index"], needs["lead_list_get"], needs["lead_list_contents"]} == {"lists:read"}
    writes = ("create", "update", "delete", "add_leads", "remove_leads")
    assert {needs[f"lead_list_{name}"] for name in writes} == {"lists:write"}
    assert needs["export_json"] == needs["export_csv"] == "export:read"


def test_the_key_is_in_no_representation(api):
    secret = api.sandbox.accounts.key.secret
    api.v1("GET", "/auth/validate-key")
    assert secret not in repr(api.sandbox.accounts.key)
    assert secret not in repr(api.ledger.entries)
