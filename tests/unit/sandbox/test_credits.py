"""Contract section 7: balance, estimates, usage, keys."""

from __future__ import annotations

import re

import pytest


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


def estimate(api, **body):
    return api.v2("POST", "/credits/estimate", json=body)


def test_estimate(make_api):
    api = make_api(credits=25)
    body = estimate(api, tool="enrich_person", row_count=3, enrichment_type="full").json()
    assert re.fullmatch(r"qte_[^_]+_\d+_[0-9a-f]+", body["quote_id"])
    assert body["expires_at"] == int(api.clock.now()) + 300
    assert body == {
        "quote_id": body["quote_id"],
        "expires_at": body["expires_at"],
        "estimated_cost": 33,
        "tool": "enrich_person",
        "row_count": 3,
        "filter_hash": "none",
        "available_credits": 25,
        "sufficient": False,
    }


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"scope": "partial"}, 4),
        ({"scope": "phone-only"}, 40),
        ({"scope": "full"}, 44),
        ({"include_phone": True}, 40),
        ({"data_points": ["Email", "LinkedIn"]}, 4),
        ({"data_points": ["Email", "Phone"]}, 44),
    ],
)
def test_prices(api, fields, cost):
    assert estimate(api, tool="enrich_person", row_count=4, **fields).json()["estimated_cost"] == cost


def test_the_list_decides_the_row_count(api, person):
    api.submit(person("A"), person("B"), enrichment_type="none")
    body = estimate(
        api, tool="enrich_list", list_id=api.managed_list()["list_id"], row_count=1, scope="full"
    ).json()
    assert (body["row_count"], body["estimated_cost"]) == (2, 22)


def test_filters_are_hashed(api):
    hashes = [
        estimate(api, tool="enrich_person", filters={"city": city}).json()["filter_hash"] for city in "AAB"
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_refused_estimates(api):
    assert estimate(api, tool="paint_the_office").status_code == 400
    assert estimate(api, tool="enrich_person", extra={"colour": "red"}).status_code == 400
    assert estimate(api, row_count=3).status_code == 422
    assert estimate(api, tool="enrich_list", list_id="nope").status_code == 404


def test_estimates_are_free(make_api):
    api = make_api(credits=7)
    estimate(api, tool="enrich_person")
    assert api.balance() == 7


def usage(api, **params):
    return api.v2("GET", "/usage", params=params).json()


def test_usage(api):
    api.v2("GET", "/lead-lists")
    api.v2("GET", "/lead-lists")
    api.v2("GET", "/lead-lists/nope")
    report = usage(api)
    assert (report["days"], report["group_by"], report["total_calls"], report["total_errors"]) == (
        7,
        "tool",
        4,
        1,
    )
    assert report["total_credits_spent"] == 0.0
    rows = {row["group"]: (row["calls"], row["errors"]) for row in report["rows"]}
    assert rows == {"/api/v2/lead-lists": (2, 0), "/api/v2/lead-lists/nope": (1, 1), "/api/v2/usage": (1, 0)}
    assert usage(api, group_by="key")["rows"][0]["group"] == api.sandbox.accounts.key.key_id
    assert {row["group"] for row in usage(api, group_by="error")["rows"]} == {"none", "http_404"}
    api.clock.advance(86_400)
    assert [row["group"] for row in usage(api, group_by="day")["rows"]] == ["2026-06-14", "2026-06-15"]
    assert usage(api, days=1)["total_calls"] == 2


@pytest.mark.parametrize("params", [{"days": 0}, {"days": 366}, {"group_by": "mood"}])
def test_usage_bounds(api, params):
    assert api.v2("GET", "/usage", params=params).status_code == 422


def test_api_keys_show_no_secret(api):
    other = api.sandbox.accounts.add_key(
        "clapi_other_1234", scopes=("lists:read",), name="Other", revoked=True
    )
    foreign = api.sandbox.accounts.add_key(user=api.sandbox.accounts.add_user("Teo Lindqvist"))
    answer = api.v2("GET", "/api-keys")
    keys = {row["key_id"]: row for row in answer.json()["keys"]}
    assert keys[other.key_id] == {
        "key_id": other.key_id,
        "key_prefix": "clapi_",
        "key_last4": "1234",
        "name": "Other",
        "scopes": ["lists:read"],
        "created_at": "1970-01-01T00:00:00Z",
        "last_used_at": None,
        "is_active": False,
    }
    assert keys[api.sandbox.accounts.key.key_id]["last_used_at"] == "2026-06-14T09:20:00Z"
    assert foreign.key_id not in keys
    assert "clapi_other_1234" not in answer.text
