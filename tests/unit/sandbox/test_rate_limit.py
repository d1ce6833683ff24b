"""Contract section 2: the rate limit."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.sandbox.rate import (
    FixedWindow,
    RateLimiter,
    SlidingLog,
    retry_after_header,
)
from airflow_provider_cleanlist.sandbox.settings import Settings

gaps = st.lists(st.floats(min_value=0, max_value=40, allow_nan=False), min_size=1, max_size=200)
limits = st.integers(min_value=1, max_value=12)


def admitted(window, pauses):
    """Send requests at growing instants; return when the admitted and the refused ones came."""
    now, let_in, refused = 1000.0, [], []
    for pause in pauses:
        now += pause
        wait = window.wait(now)
        if wait:
            window.refuse(now)
            refused.append((now, wait))
        else:
            window.admit(now)
            let_in.append(now)
    return let_in, refused


@given(gaps, limits)
def test_aligned_window_admits_exactly_the_limit(pauses, limit):
    let_in, refused = admitted(FixedWindow(limit, 30.0), pauses)
    per_window = {}
    for instant in let_in:
        per_window[math.floor(instant / 30)] = per_window.get(math.floor(instant / 30), 0) + 1
    assert all(count <= limit for count in per_window.values())
    for instant, wait in refused:
        window = math.floor(instant / 30)
        assert per_window[window] == limit
        assert math.isclose(instant + wait, (window + 1) * 30)


@given(gaps, limits)
def test_first_request_window_starts_with_a_request(pauses, limit):
    let_in, refused = admitted(FixedWindow(limit, 30.0, aligned=False), pauses)
    starts = []
    for instant in let_in:
        if not starts or instant >= starts[-1][0] + 30:
            starts.append([instant, 0])
        starts[-1][1] += 1
    assert all(count <= limit for _, count in starts)
    for instant, wait in refused:
        start, count = max((pair for pair in starts if pair[0] <= instant), key=lambda pair: pair[0])
        assert count == limit
        assert math.isclose(instant + wait, start + 30)


@given(gaps, limits)
def test_sliding_log_never_admits_more_in_any_window(pauses, limit):
    let_in, refused = admitted(SlidingLog(limit, 30.0), pauses)
    for instant in let_in:
        assert sum(instant <= other < instant + 30 for other in let_in) <= limit
    for instant, wait in refused:
        assert 0 < wait <= 30 + 1e-9
        assert sum(other <= instant < other + 30 for other in let_in) == limit


def test_sliding_log_may_count_refused_requests():
    patient, eager = SlidingLog(2, 30.0, count_refused=True), SlidingLog(2, 30.0)
    for window in (patient, eager):
        admitted(window, [0, 0, 20, 5])  # two let in, two refused
    assert eager.wait(1031.0) == 0
    assert patient.wait(1031.0) == 19.0


@given(limits, st.floats(min_value=0.001, max_value=500))
def test_waiting_as_told_gets_in(limit, length):
    for window in (
        FixedWindow(limit, length),
        FixedWindow(limit, length, aligned=False),
        SlidingLog(limit, length),
    ):
        let_in, refused = admitted(window, [0.0] * (limit + 1))
        assert len(let_in) <= limit
        for instant, wait in refused:
            assert window.wait(instant + wait + 1e-6) == 0


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


def test_limiter_starts_over_when_its_rules_change():
    settings = Settings(requests_per_minute=1)
    limiter = RateLimiter(settings)
    assert [limiter.check("org", "key", 0.0), limiter.check("org", "key", 0.0)] == [0.0, 60.0]
    settings.window = "sliding"
    assert limiter.check("org", "key", 0.0) == 0.0
    limiter.reset()
    assert limiter.check("org", "key", 0.0) == 0.0
