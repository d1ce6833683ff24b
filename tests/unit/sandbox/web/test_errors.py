"""Error bodies and statuses."""

from __future__ import annotations

import pytest

from airflow_provider_cleanlist.sandbox.web.errors import HttpError, InvalidBodyError, insufficient_credits

ALWAYS = {"code", "problem", "retryable", "docs_url", "request_id"}


def test_legacy_envelope_is_a_string():
    assert HttpError(402).body(legacy=True) == {"detail": "Insufficient credits"}
    assert HttpError(404, "Workflow not found").body(legacy=True) == {"detail": "Workflow not found"}


def test_newer_envelope_has_the_fields_that_are_always_present():
    error = HttpError(403, code="list_protected").body(legacy=False)["error"]
    assert error.keys() >= ALWAYS
    assert error["docs_url"] == "https://docs.cleanlist.ai/errors/list-protected"
    assert error["request_id"].startswith("req_")
    assert "details" not in error


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413])
def test_client_errors_are_not_retryable(status):
    assert HttpError(status).body(legacy=False)["error"]["retryable"] is False


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_server_errors_and_429_are_retryable(status):
    assert HttpError(status).body(legacy=False)["error"]["retryable"] is True


def test_credit_errors_carry_the_figures():
    error = insufficient_credits(cost=110, available=40).body(legacy=False)["error"]
    assert error["code"] == "insufficient_credits"
    assert (error["estimated_cost_credits"], error["available_credits"], error["shortfall_credits"]) == (
        110,
        40,
        70,
    )


@pytest.mark.parametrize("legacy", [True, False])
def test_422_is_a_detail_list_in_both_envelopes(legacy):
    body = InvalidBodyError.at(["body", "contacts", 7], "bad", {"first_name": "Mara"}).body(legacy=legacy)
    assert body == {
        "detail": [
            {
                "type": "value_error",
                "loc": ["body", "contacts", 7],
                "msg": "bad",
                "input": {"first_name": "Mara"},
            }
        ]
    }


def test_each_surface_speaks_its_envelope(api):
    assert set(api.v1("GET", "/enrich/status", params={"task_id": "x"}).json()) == {"detail"}
    for prefix in ("/api/v1/public", "/api/v2"):
        assert set(api.call("GET", f"{prefix}/lead-lists/x").json()) == {"error"}
    nobody = api.sandbox.accounts.add_key(scopes=())
    assert set(api.v1("GET", "/credits/balance", key=nobody.secret).json()) == {"detail"}
    assert set(api.v2("GET", "/credits/balance", key=nobody.secret).json()) == {"error"}


def test_switch_to_one_envelope_everywhere(api):
    api.settings.envelope = "newer"
    assert (
        api.v1("GET", "/enrich/status", params={"task_id": "x"}).json()["error"]["code"] == "task_not_found"
    )
    api.settings.envelope = "legacy"
    assert api.v2("GET", "/lead-lists/x").json() == {"detail": "Lead list not found"}


@pytest.mark.parametrize("envelope", ["contract", "newer", "legacy"])
def test_422_keeps_its_shape_whatever_the_envelope(api, envelope):
    api.settings.envelope = envelope
    for answer in (
        api.v1("POST", "/enrich/bulk", json={"contacts": [5]}),
        api.v2("POST", "/lead-lists", json={"name": ""}),
    ):
        assert answer.status_code == 422
        for entry in answer.json()["detail"]:
            assert isinstance(entry["msg"], str)
            assert isinstance(entry["type"], str)
            assert all(isinstance(part, str | int) for part in entry["loc"])


def test_bodies_that_are_not_json_are_422(api):
    for body in (b"", b"{", b"\xff\xfe", b"hello", b'"\\ud800"', b"[1, 2"):
        answer = api.v1("POST", "/enrich/bulk", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, body
        assert isinstance(answer.json()["detail"], list)


def test_unknown_paths_and_methods_are_recorded(api):
    assert api.call("GET", "/people/enrich").status_code == 404
    assert api.v1("DELETE", "/enrich/bulk").status_code == 405
    assert api.v2("GET", "/lead-lists/").status_code == 404
    recorded = [(entry.endpoint, entry.status) for entry in api.ledger.requests()]
    assert recorded == [(None, 404), (None, 405), (None, 404)]
