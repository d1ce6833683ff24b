"""How the tests are divided among workers (``pytest -n 4 --dist loadgroup``), and the Airflow home of each."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

AIRFLOW_HOME = os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="cleanlist-airflow-home-")


def pytest_unconfigure() -> None:
    """Remove the Airflow home of this session: what tests leave in it would else be that of whoever runs them."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each file on one worker, unless a mark joins it to others that share what is costly to start."""
    if config.getoption("dist", "no") != "loadgroup":
        return
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
