"""The fixture that the provider gives to its users' tests."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import requests


def test_fixture_answers_on_loopback(cleanlist_sandbox):
    assert cleanlist_sandbox.url.startswith("http://127.0.0.1:")
    answer = requests.get(
        f"{cleanlist_sandbox.url}/api/v1/public/auth/validate-key",
        headers={"Authorization": f"Bearer {cleanlist_sandbox.api_key}"},
        timeout=5,
    )
    assert answer.json()["valid"] is True
    assert len(cleanlist_sandbox.ledger.requests(endpoint="validate_key", status=200)) == 1


@pytest.mark.cleanlist_sandbox(credits=7, requests_per_minute=1)
def test_marker_configures_the_fixture(cleanlist_sandbox):
    url = f"{cleanlist_sandbox.url}/api/v2/credits/balance"
    headers = {"Authorization": f"Bearer {cleanlist_sandbox.api_key}"}
    assert requests.get(url, headers=headers, timeout=5).json()["credits"] == 7
    assert requests.get(url, headers=headers, timeout=5).status_code == 429


def run_pytest(tmp_path, source: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_it.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )


def test_missing_extra_says_what_to_install(tmp_path):
    result = run_pytest(
        tmp_path,
        """
        import sys
        sys.modules["uvicorn"] = None

        def test_it(cleanlist_sandbox):
            pass
        """,
    )
    assert result.returncode == 1
    assert "pip install 'airflow-provider-cleanlist[sandbox]'" in result.stdout
    assert "'uvicorn'" in result.stdout


def test_plugin_is_registered_and_imports_nothing_heavy(tmp_path):
    result = run_pytest(
        tmp_path,
        """
        import sys

        def test_it(request):
            assert request.config.pluginmanager.hasplugin("cleanlist_sandbox")
            heavy = {"fastapi", "uvicorn", "starlette", "pydantic", "airflow.models", "pandas"}
            assert not heavy & set(sys.modules)
        """,
    )
    assert result.returncode == 0, result.stdout
