"""The documentation names everything there is, with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_cleanlist.sandbox.__main__ import _parser
from airflow_provider_cleanlist.sandbox.app import ENDPOINTS
from airflow_provider_cleanlist.sandbox.routes.admin import ROUTER
from airflow_provider_cleanlist.sandbox.settings import SandboxSettings
from airflow_provider_cleanlist.sandbox.state.lookup import MARKERS

TEXT = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        *SandboxSettings.model_fields,
        *MARKERS,
        *(endpoint.name for endpoint in ENDPOINTS),
        *(
            action.option_strings[0]
            for action in _parser()._actions
            if action.dest not in ("help", "command")
        ),
    ],
)
def test_every_name_is_documented(name):
    assert f"`{name}`" in TEXT or f"`{name} " in TEXT


@pytest.mark.parametrize("route", ROUTER.routes, ids=lambda route: route.path)
def test_every_admin_route_is_documented(route):
    for method in route.methods:
        assert f"{method} {route.path}" in TEXT


@pytest.mark.parametrize("name", SandboxSettings.model_fields)
def test_defaults_are_documented_as_they_are(name):
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", TEXT, re.MULTILINE))
    assert rows[name].strip("`").removesuffix(" (CLI: 5)") == written(getattr(SandboxSettings(), name))


def written(default):
    if default is None or isinstance(default, bool):
        return "none" if default is None else str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
