"""Progress and duration of workflows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
from airflow_provider_cleanlist.sandbox.state.workflows import curve, draw_duration


@given(st.sampled_from(["linear", "concave", "convex", "late"]), st.floats(0, 2), st.floats(0, 2))
def test_curves_rise_from_nothing_to_all(shape, earlier, later):
    low, high = sorted((earlier, later))
    assert curve(shape, 0) == 0
    assert curve(shape, 1) == 1
    assert 0 <= curve(shape, low) <= curve(shape, high) <= 1


def test_durations_spread_reproducibly_around_the_median():
    settings = SandboxSettings(seconds_to_complete=90, duration_sigma=0.5)
    durations = sorted(draw_duration(settings, number) for number in range(999))
    assert durations == sorted(draw_duration(settings, number) for number in range(999))
    assert 80 < durations[499] < 100
    assert durations[0] < 45
    assert durations[-1] > 180
    assert draw_duration(SandboxSettings(seconds_to_complete=90), 1) == 90
