"""Clocks."""

from __future__ import annotations

import time

import pytest

from airflow_provider_cleanlist.sandbox.clock import ManualClock, SystemClock, iso


def test_manual_clock_moves_only_forward_and_by_hand():
    clock = ManualClock(100.0)
    assert clock.now() == clock.now() == 100.0
    clock.advance(2.5)
    assert clock.now() == 102.5
    assert (clock.wait_timeout(102.5), clock.wait_timeout(103)) == (0.0, None)
    assert clock.real_seconds(7) == 7
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_system_clock_runs_at_its_speed():
    clock, start = SystemClock(speed=100), time.monotonic()
    first = clock.now()
    time.sleep(0.05)
    elapsed, real = clock.now() - first, time.monotonic() - start
    assert 5 <= elapsed <= real * 100 + 1
    assert clock.real_seconds(50) == 0.5
    assert 0.4 < (clock.wait_timeout(clock.now() + 50) or 0) <= 0.5
    assert clock.wait_timeout(clock.now() - 5) == 0
    with pytest.raises(ValueError, match="positive"):
        SystemClock(speed=0)


def test_system_clock_starts_at_the_real_time():
    assert abs(SystemClock().now() - time.time()) < 1


def test_iso():
    assert iso(1_781_428_800.9) == "2026-06-14T09:20:00Z"
    assert iso(1_781_428_800, "+00:00") == "2026-06-14T09:20:00+00:00"


def test_timestamps_may_end_in_an_offset(api):
    api.settings.utc_suffix = "+00:00"
    api.create_list("A")
    assert api.v2("GET", "/lead-lists").json()["lists"][0]["created_at"] == "2026-06-14T09:20:00+00:00"
