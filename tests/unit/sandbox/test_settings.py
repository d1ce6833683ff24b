"""Switches change together or not at all."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from airflow_provider_cleanlist.sandbox.settings import SandboxSettings


def test_settings_change_together_or_not_at_all():
    settings = SandboxSettings()
    settings.change(window="sliding", requests_per_minute=30)
    assert (settings.window, settings.requests_per_minute) == ("sliding", 30)
    with pytest.raises(ValidationError):
        settings.change(window="aligned", requests_per_minute=0)
    with pytest.raises(ValidationError):
        settings.change(requests_per_hour=5)
    assert (settings.window, settings.requests_per_minute) == ("sliding", 30)
    with pytest.raises(ValidationError):
        settings.window = "sometimes"
