"""Failures on demand."""

from __future__ import annotations

import time
from typing import get_args

import pytest
from pydantic import ValidationError

from airflow_provider_cleanlist.sandbox.app import ENDPOINTS
from airflow_provider_cleanlist.sandbox.faults import EndpointName, Fault, Faults

STATUSES = [400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504]
BULK = {"contacts": [{"linkedin_url": "https://www.linkedin.com/in/mara"}]}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("times", [1, 3])
def test_each_status_k_times_on_a_chosen_endpoint(api, status, times):
    api.faults.fail("enrich_bulk", status, times=times)
    assert api.v2("GET", "/lead-lists").status_code == 200
    answers = [api.v1("POST", "/enrich/bulk", json=BULK) for _ in range(times + 1)]
    assert [answer.status_code for answer in answers] == [status] * times + [200]
    assert isinstance(answers[0].json()["detail"], str)
    assert len(api.ledger.accepted_submits) == 1
    assert len(api.ledger.requests(fault="status")) == times
    assert [entry.accepted for entry in api.ledger.requests(endpoint="enrich_bulk")] == [False] * times + [
        True
    ]
    assert api.faults.pending == []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_endpoint_can_fail(api, endpoint):
    api.faults.fail(endpoint.name, 503)
    path = endpoint.path.format(list_id="x")
    assert api.call(endpoint.method, endpoint.prefixes[0] + path).status_code == 503


def test_faults_come_after_key_and_rate_limit(make_api):
    api = make_api(requests_per_minute=1)
    api.faults.fail(None, 500, times=None)
    assert api.v1("GET", "/auth/validate-key", key="clapi_unknown").status_code == 401
    assert api.v1("GET", "/auth/validate-key").status_code == 500
    assert api.v1("GET", "/auth/validate-key").status_code == 429


@pytest.mark.parametrize("status", [500, 502, 504])
def test_error_after_acceptance(api, status):
    api.faults.fail("enrich_bulk", status, after=True)
    assert api.v1("POST", "/enrich/bulk", json={"contacts": [{}]}).status_code == 422
    assert api.v1("POST", "/enrich/bulk", json=BULK).status_code == status
    assert len(api.ledger.accepted_submits) == 1
    (entry,) = api.ledger.requests(fault="status_after")
    assert (entry.accepted, entry.status) == (True, status)


@pytest.mark.parametrize(("after", "accepted"), [(False, 0), (True, 1)])
def test_dropped_connection(api, after, accepted):
    api.faults.drop("enrich_bulk", after=after)
    with pytest.raises(ConnectionResetError):
        api.v1("POST", "/enrich/bulk", json=BULK)
    assert len(api.ledger.accepted_submits) == accepted
    (entry,) = api.ledger.requests(endpoint="enrich_bulk")
    assert (entry.status, entry.accepted, entry.fault) == (None, after, "drop_after" if after else "drop")
    assert api.ledger.counts() == {"enrich_bulk": {"none": 1}}


def test_slow_answer_after_acceptance(api):
    api.faults.delay("enrich_bulk", 0.2)
    start = time.monotonic()
    assert api.v1("POST", "/enrich/bulk", json=BULK).status_code == 200
    assert time.monotonic() - start >= 0.2
    assert api.ledger.requests(fault="delay")[0].accepted


def test_skip_lets_requests_pass_first(api):
    api.faults.fail("lead_list_index", 500, skip=2)
    assert [api.v2("GET", "/lead-lists").status_code for _ in range(4)] == [200, 200, 500, 200]


def test_several_faults_wait_in_order(api):
    api.faults.fail("lead_list_index", 500)
    api.faults.fail(None, 502)
    api.faults.fail("whoami", 503)
    assert [api.v2("GET", "/lead-lists").status_code for _ in range(3)] == [500, 502, 200]
    api.faults.clear()
    assert api.v2("GET", "/whoami").status_code == 200


@pytest.mark.parametrize(
    ("given", "header"), [(None, "1"), ("7", "7"), ("0.5", "0.5"), ("soon", "soon"), ("-1", "-1"), ("", None)]
)
def test_retry_after_of_an_injected_429(api, given, header):
    api.faults.fail("whoami", 429, retry_after=given)
    assert api.v2("GET", "/whoami").headers.get("Retry-After") == header


def test_retryable_code_and_headers_of_an_injected_error(api):
    api.faults.add(
        Fault(
            kind="status",
            status=503,
            code="kaput",
            retryable=False,
            headers={"X-Trace": "1"},
            retry_after="9",
        )
    )
    answer = api.v2("GET", "/whoami")
    assert answer.json()["error"].items() >= {"code": "kaput", "retryable": False}.items()
    assert (answer.headers["X-Trace"], answer.headers["Retry-After"]) == ("1", "9")


def test_redirect_to_another_host(api):
    api.faults.add(Fault(kind="status", status=307, headers={"Location": "https://elsewhere.example/"}))
    answer = api.v2("GET", "/whoami", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, "https://elsewhere.example/")


@pytest.mark.parametrize(
    ("body", "text"), [("html", "<html><body><h1>502</h1></body></html>"), ("empty", "")]
)
def test_bodies_of_proxies(api, body, text):
    api.faults.fail("whoami", 502, body=body)
    answer = api.v2("GET", "/whoami")
    assert (answer.text, answer.headers["content-type"].partition(";")[0]) == (text, "text/html")


def test_html_may_come_with_200(api):
    api.faults.add(Fault(kind="status", status=200, body="html"))
    assert api.v2("GET", "/whoami").text.startswith("<html>")


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "explode"},
        {"kind": "status", "status": 99},
        {"kind": "drop", "times": 0},
        {"kind": "drop", "x": 1},
    ],
)
def test_bad_faults_are_refused(bad):
    with pytest.raises(ValidationError):
        Fault(**bad)


def test_delay_and_truncate_always_come_after():
    assert Fault(kind="delay").after
    assert Fault(kind="truncate").after
    assert not Fault(kind="drop").after


def test_take_uses_up_and_none_lasts():
    faults = Faults()
    faults.fail("credits_balance", 500, times=2)
    faults.fail("whoami", 500, times=None)
    assert [faults.take("credits_balance", after=False) is not None for _ in range(3)] == [True, True, False]
    assert all(faults.take("whoami", after=False) for _ in range(5))
    assert faults.take("whoami", after=True) is None
    assert len(faults.pending) == 1


def test_the_names_of_endpoints_are_those_of_the_sandbox():
    names = tuple(endpoint.name for endpoint in ENDPOINTS)
    assert get_args(EndpointName) == (*names, "export_download")


def test_a_misspelt_endpoint_is_refused_and_the_names_there_are_are_shown(api):
    for add in (
        lambda: api.faults.fail("enrich-bulk", 500),
        lambda: api.faults.drop("enrich-bulk", after=True),
    ):
        with pytest.raises(ValidationError, match=r"endpoint\n.*'validate_key', 'whoami'.*'enrich_bulk'"):
            add()
    assert api.faults.pending == []


def test_a_drop_is_before_the_request_is_processed_unless_it_says_otherwise():
    faults = Faults()
    faults.drop("enrich_bulk")
    faults.drop("enrich_bulk", after=True)
    assert faults.pending == [
        Fault(kind="drop", endpoint="enrich_bulk", after=after) for after in (False, True)
    ]
