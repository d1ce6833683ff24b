"""Run a real Airflow 2: webserver, scheduler and triggerer as separate processes, and its REST API.

As ``airflow_runner`` does for Airflow 3. Needs a database other than SQLite, or else one task runs at a time.
"""

from __future__ import annotations

import importlib.metadata
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from airflow_api import AirflowApi
from airflow_runner import AirflowProcesses, as_environment, settings_of_all
from ports import HOST

IS_INSTALLED = importlib.metadata.version("apache-airflow").startswith("2.")
"""Whether this interpreter's Airflow is an Airflow 2."""


class Airflow2Api(AirflowApi):
    """Airflow 2's REST API v1, for a webserver with everybody an admin."""

    prefix = "/api/v1"
    health_path = "/health"

    def _log_in(self) -> None:
        """Nobody is asked who they are."""

    def _new_run(self, conf: dict[str, Any]) -> dict[str, Any]:
        return {"conf": conf}

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> str:
        """Return the log of one try of a task."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        options = {
            "params": {"map_index": map_index, "full_content": "true"},
            "headers": {"Accept": "text/plain"},
        }
        return self.request("GET", path, **options).text

    def page(self, path: str) -> str:
        """Return a page of the web interface."""
        answer = self._session.get(f"{self.base_url}{path}", timeout=30)
        answer.raise_for_status()
        return answer.text


class Airflow2Processes(AirflowProcesses):
    """A running Airflow 2; see :class:`airflow_runner.AirflowProcesses`."""

    commands: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "webserver": ("webserver",),
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "triggerer": ("triggerer", "--skip-serve-logs"),
    }
    health_names: ClassVar[tuple[str, ...]] = ("metadatabase", "scheduler", "triggerer")
    api_class: ClassVar[type[AirflowApi]] = Airflow2Api

    @staticmethod
    def settings(home: Path, dags: Path, port: int, executor: str, parallelism: int) -> dict[str, str]:
        """Return the environment variables that configure a small Airflow of its own on one port of loopback."""
        settings = {
            "API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "WEBSERVER__BASE_URL": f"http://{HOST}:{port}",
            "WEBSERVER__WEB_SERVER_HOST": HOST,
            "WEBSERVER__WEB_SERVER_PORT": str(port),
            "WEBSERVER__WORKERS": "1",
            "WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": "600",
            "WEBSERVER__SECRET_KEY": secrets.token_hex(32),
            "SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
            "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
        }
        return settings_of_all(home, dags, executor, parallelism) | as_environment(settings)

    def migrate(self, timeout: float = 180.0) -> None:
        """Create Airflow's database, and let everybody in as an admin.

        Raises:
            AirflowProcessError: ``airflow db migrate`` failed.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "webserver_config.py").write_text(
            'AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = False\n'
        )
        super().migrate(timeout)
