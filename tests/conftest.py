"""How the tests are divided among workers (``pytest -n 3``), and the Airflow home of each."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import pytest

AIRFLOW_HOME = os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="cleanlist-airflow-home-")
REAL_AIRFLOW = ("airflow", "examples", "waiting")
"""Folders of integration tests that start parts of Airflow: one after the other, as each takes a whole core."""


def pytest_unconfigure() -> None:
    """Remove the Airflow home of this session: what tests leave in it would else be that of whoever runs them."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def worker_scope(nodeid: str) -> str:
    """Return what a test shares a worker with: its file, or all that shares what is costly to start."""
    file = nodeid.partition("::")[0]
    _, kind, *rest = file.split("/")
    if kind == "e2e" or (kind == "integration" and rest[0] in REAL_AIRFLOW):
        return kind
    return file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Divide by ``worker_scope``, in the order of the command line."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return worker_scope(nodeid)

    config.option.loadscopereorder = False
    return Scheduling(config, log)
