"""How long a 429 makes everyone wait: every form of ``Retry-After`` and of ``retry_after_ms``."""

from __future__ import annotations

import email.utils
import json
import math
import time
from typing import Any

import pytest

from airflow_provider_cleanlist.client import messages, protocol
from airflow_provider_cleanlist.client.error_responses import retry_after_seconds

GET = messages.Request("read a thing", "GET", messages.Surface.V2, "/things/1")

NOW = 1_792_000_000.0
"""Wall clock at the arrival of the answers below."""


def http_date(moment: float) -> str:
    return email.utils.formatdate(moment, usegmt=True)


WAITS = [
    # Retry-After, other headers, retry_after_ms, window, expected seconds
    pytest.param("7", {}, None, 60.0, 7.0, id="integer"),
    pytest.param(" 7 ", {}, None, 60.0, 7.0, id="padded"),
    pytest.param("+7", {}, None, 60.0, 7.0, id="signed"),
    pytest.param("2.5", {}, None, 60.0, 2.5, id="decimal"),
    pytest.param("2.", {}, None, 60.0, 2.0, id="decimal-without-digits"),
    pytest.param("0", {}, None, 60.0, 1.0, id="zero-is-floored"),
    pytest.param("0.2", {}, None, 60.0, 1.0, id="fraction-is-floored"),
    pytest.param("-5", {}, None, 60.0, 1.0, id="negative-is-floored"),
    pytest.param("119.9", {}, None, 60.0, 119.9, id="just-below-the-cap"),
    pytest.param("121", {}, None, 60.0, 120.0, id="above-the-cap"),
    pytest.param("99999999999", {}, None, 60.0, 120.0, id="huge-is-capped"),
    pytest.param("9" * 400, {}, None, 60.0, 60.0, id="too-huge-to-be-a-number"),
    pytest.param("nan", {}, None, 60.0, 60.0, id="nan"),
    pytest.param("inf", {}, None, 60.0, 60.0, id="inf"),
    pytest.param("1e3", {}, None, 60.0, 60.0, id="exponent-is-garbage"),
    pytest.param("1_000", {}, None, 60.0, 60.0, id="underscore-is-garbage"),
    pytest.param("٣", {}, None, 60.0, 60.0, id="foreign-digit-is-garbage"),
    pytest.param("7, 9", {}, None, 60.0, 60.0, id="two-values"),
    pytest.param("soon", {}, None, 60.0, 60.0, id="garbage"),
    pytest.param("", {}, None, 60.0, 60.0, id="empty"),
    pytest.param(None, {}, None, 60.0, 60.0, id="absent"),
    pytest.param(None, {}, None, 2.0, 2.0, id="absent-short-window"),
    pytest.param(None, {}, None, 0.5, 1.0, id="absent-window-is-floored"),
    pytest.param(None, {}, None, 600.0, 120.0, id="absent-window-is-capped"),
    pytest.param(http_date(NOW + 30), {}, None, 60.0, 30.0, id="date"),
    pytest.param(http_date(NOW - 30), {}, None, 60.0, 1.0, id="date-in-the-past"),
    pytest.param(http_date(NOW + 9000), {}, None, 60.0, 120.0, id="date-far-ahead"),
    pytest.param(
        http_date(NOW + 3630),
        {"date": http_date(NOW + 3600)},
        None,
        60.0,
        30.0,
        id="date-by-the-servers-clock",
    ),
    pytest.param(
        http_date(NOW - 570),
        {"date": http_date(NOW - 600)},
        None,
        60.0,
        30.0,
        id="date-by-a-slow-servers-clock",
    ),
    pytest.param(
        http_date(NOW + 30), {"date": "yesterday"}, None, 60.0, 30.0, id="date-beside-a-broken-Date"
    ),
    pytest.param("Wed, 14 Oct 2026 25:61:61 GMT", {}, None, 60.0, 60.0, id="impossible-date"),
    pytest.param("5", {}, 9000, 60.0, 5.0, id="header-wins-over-milliseconds"),
    pytest.param("soon", {}, 9000, 60.0, 9.0, id="milliseconds-for-garbage"),
    pytest.param(None, {}, 9000, 60.0, 9.0, id="milliseconds"),
    pytest.param(None, {}, 1500.5, 60.0, 1.5005, id="milliseconds-decimal"),
    pytest.param(None, {}, 10, 60.0, 1.0, id="milliseconds-floored"),
    pytest.param(None, {}, -10, 60.0, 1.0, id="milliseconds-negative"),
    pytest.param(None, {}, 10**9, 60.0, 120.0, id="milliseconds-capped"),
    pytest.param(None, {}, 10**400, 60.0, 60.0, id="milliseconds-beyond-floats"),
    pytest.param(None, {}, math.nan, 60.0, 60.0, id="milliseconds-nan"),
    pytest.param(None, {}, math.inf, 60.0, 60.0, id="milliseconds-inf"),
    pytest.param(None, {}, "9000", 60.0, 60.0, id="milliseconds-as-text"),
    pytest.param(None, {}, True, 60.0, 60.0, id="milliseconds-as-flag"),
]


@pytest.mark.parametrize(("header", "headers", "milliseconds", "window", "expected"), WAITS)
def test_how_long_a_429_makes_everyone_wait(
    header: str | None, headers: dict[str, str], milliseconds: Any, window: float, expected: float
) -> None:
    given_headers = headers if header is None else {**headers, "retry-after": header}
    body = {"error": {"code": "c", "problem": "p", "retryable": True, "retry_after_ms": milliseconds}}
    response = messages.Response(429, given_headers, json.dumps(body).encode(), NOW)
    limits = protocol.RetryLimits(window_seconds=window)
    for jitter in (0.0, 0.999):
        outcome = protocol.interpret(GET, response, failures=0, limits=limits, jitter=jitter)
        assert isinstance(outcome, protocol.RetryAfter)
        assert outcome.seconds == pytest.approx(expected + jitter)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_a_date_without_a_zone_is_utc_wherever_the_worker_is(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after_seconds({"retry-after": "Thu, 01 Jan 1970 00:01:00 -0000"}, 0.0) == 60.0
        assert retry_after_seconds({"retry-after": "Thu Jan  1 00:01:00 1970"}, 0.0) == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()
