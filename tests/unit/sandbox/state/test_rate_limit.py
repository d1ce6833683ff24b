"""Counting of requests in windows."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
from airflow_provider_cleanlist.sandbox.state.rate_limit import (
    FixedWindow,
    RequestLimiter,
    SlidingLog,
)

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


def test_limiter_starts_over_when_its_rules_change():
    settings = SandboxSettings(requests_per_minute=1)
    limiter = RequestLimiter(settings)
    assert [limiter.check("org", "key", 0.0), limiter.check("org", "key", 0.0)] == [0.0, 60.0]
    settings.window = "sliding"
    assert limiter.check("org", "key", 0.0) == 0.0
    limiter.reset()
    assert limiter.check("org", "key", 0.0) == 0.0
