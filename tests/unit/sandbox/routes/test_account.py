"""The key, its user and the credits."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.sandbox.state.accounts import SCOPES


def test_validate_key(api):
    answer = api.v1("GET", "/auth/validate-key")
    assert answer.status_code == 200
    accounts = api.sandbox.accounts
    assert answer.json() == {
        "valid": True,
        "user_id": accounts.user.user_id,
        "organization_id": accounts.organization.organization_id,
    }


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


def test_balance_on_both_prefixes(make_api):
    api = make_api(credits=1249)
    organization_id = api.sandbox.accounts.organization.organization_id
    legacy = api.v1("GET", "/credits/balance").json()
    assert legacy == {"organization_id": organization_id, "credits": 1249}
    newer = api.v2("GET", "/credits/balance").json()
    assert newer.items() >= legacy.items()
    assert {"task_id", "timestamp_ms", "agent_instructions", "usage", "message"} <= newer.keys()


@pytest.mark.parametrize(("credits", "shown"), [(12.5, 12.5), (12.0, 12), (-3, 0)])
def test_balance_may_be_fractional_and_never_negative(api, credits, shown):
    api.sandbox.accounts.organization.credits = credits
    balance = api.balance()
    assert balance == shown
    assert isinstance(balance, type(shown))


def test_balance_belongs_to_the_organization(api, person):
    colleague = api.sandbox.accounts.add_key(user=api.sandbox.accounts.add_user("Teo Lindqvist"))
    api.submit(person())
    assert api.v1("GET", "/credits/balance", key=colleague.secret).json()["credits"] == 99_989
