"""Pytest plugin: the fixture ``cleanlist_sandbox``, a local Cleanlist for the tests of your own DAGs.

Installing the provider registers the plugin (entry point ``pytest11``). The server and its dependencies (extra
``sandbox``) are only imported when a test uses the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_cleanlist.sandbox.server import SandboxServer

MARKER = "cleanlist_sandbox"
"""Name of the pytest marker, which is also the name of the fixture."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the pytest marker that configures the fixture.

    Args:
        config: Pytest's configuration.
    """
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**arguments): arguments of SandboxServer for the fixture cleanlist_sandbox",
    )


@pytest.fixture
def cleanlist_sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxServer]:
    """Yield a sandbox that runs on a free loopback port during one test.

    Configure it with ``@pytest.mark.cleanlist_sandbox(requests_per_minute=30, credits=100)``; the arguments
    are those of ``SandboxServer``.

    Args:
        request: The test that uses it.
    """
    try:
        from airflow_provider_cleanlist.sandbox.server import SandboxServer
    except ModuleNotFoundError as error:
        pytest.fail(
            f"The fixture cleanlist_sandbox needs the package {error.name!r}. "
            "Install the extra: pip install 'airflow-provider-cleanlist[sandbox]'"
        )
    marker = request.node.get_closest_marker(MARKER)
    with SandboxServer(**(marker.kwargs if marker else {})) as server:
        yield server
