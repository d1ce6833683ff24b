"""One real Airflow and one sandbox process for all end-to-end tests, run by the code that the demo runs on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from airflow_runner import AirflowProcesses  # noqa: E402
from sandbox_process import SandboxProcess  # noqa: E402


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file behind the connection ``warehouse``."""
    return tmp_path_factory.mktemp("warehouse") / "warehouse.db"


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """The local Cleanlist behind the connection ``cleanlist_default``."""
    options = {"seconds-to-complete": 3, "credits": 50_000}
    with SandboxProcess(tmp_path_factory.mktemp("sandbox"), options) as process:
        yield process


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxProcess, warehouse: Path
) -> Iterator[AirflowProcesses]:
    """A real Airflow with the example DAGs; healthy."""
    env = {
        "AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection(),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse)}),
    }
    with AirflowProcesses(tmp_path_factory.mktemp("airflow"), ROOT / "dags_examples", env=env) as processes:
        yield processes
