"""Run a real Airflow on this machine: API server, scheduler, DAG processor and triggerer as separate processes.

Used by the demo and by the end-to-end tests. Not ``airflow standalone``: signalled, that leaves processes behind.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from airflow_api import AirflowApi
from ports import HOST, free_port
from process_group import ProcessGroup, stop_all

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
HEALTH_NAMES = ("metadatabase", "scheduler", "dag_processor", "triggerer")


class AirflowProcessError(RuntimeError):
    """A part of Airflow ended unasked or did not become healthy; the text holds the end of its output."""


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what belongs to another Airflow, Python or proxy."""
    unwanted = ("AIRFLOW_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return env | {"NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}


def airflow_settings(home: Path, dags: Path, port: int, executor: str, parallelism: int) -> dict[str, str]:
    """Return the environment variables that configure a small Airflow of its own on one port of loopback."""
    url = f"http://{HOST}:{port}"
    settings = {
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "API__BASE_URL": url,
        "API__HOST": HOST,
        "API__PORT": str(port),
        "API__WORKERS": "1",
        "API__SECRET_KEY": secrets.token_hex(32),
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    }
    return settings_of_all(home, dags, executor, parallelism) | as_environment(settings)


def settings_of_all(home: Path, dags: Path, executor: str, parallelism: int) -> dict[str, str]:
    """Return the environment variables that every version of Airflow is configured by."""
    settings = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__EXECUTOR": executor,
        "CORE__PARALLELISM": str(parallelism),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
    return {"AIRFLOW_HOME": str(home)} | as_environment(settings)


def as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings, named ``SECTION__OPTION``, as environment variables."""
    return {f"AIRFLOW__{name}": value for name, value in settings.items()}


class AirflowProcesses:
    """A running Airflow; as a context manager it starts, waits until healthy, and stops.

    Args:
        home: AIRFLOW_HOME; created when absent. Logs are below it.
        dags: the DAGs folder.
        env: further environment variables of every component, such as connections.
        python: the interpreter that Airflow is installed for.
        port: port of the API server and UI; any free one by default.
        executor: Airflow's executor.
        further: commands of further components by name, such as ``{"worker": ("celery", "worker")}``.
        parallelism: tasks that run at the same time.
        database_template: where a migrated, empty database is kept between starts; saves ten seconds.
        sleep: called between two checks while waiting; may raise to give up.
        say: receives a line of progress now and then.
    """

    commands: ClassVar[Mapping[str, tuple[str, ...]]] = COMPONENTS
    health_names: ClassVar[tuple[str, ...]] = HEALTH_NAMES
    api_class: ClassVar[type[AirflowApi]] = AirflowApi
    settings = staticmethod(airflow_settings)

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
        port: int | None = None,
        executor: str = "LocalExecutor",
        further: Mapping[str, tuple[str, ...]] | None = None,
        parallelism: int = 2,
        database_template: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.env = (
            clean_environment()
            | self.settings(home, dags, self.port, executor, parallelism)
            | dict(env or {})
        )
        self.base_url = f"http://{HOST}:{self.port}"
        self.api = self.api_class(self.base_url, sleep)
        self._template = database_template
        self._sleep = sleep
        self._say = say
        self._migration = self._group("db-migrate", python, ("db", "migrate"))
        self.components = {
            name: self._group(name, python, command)
            for name, command in {**self.commands, **(further or {})}.items()
        }

    def _group(self, name: str, python: str, command: tuple[str, ...]) -> ProcessGroup:
        log = self.home / "logs" / f"{name}.log"
        return ProcessGroup(name, [python, "-m", "airflow", *command], log, self.env, self.home)

    def __enter__(self) -> Self:
        try:
            self.migrate()
            self.start()
            self.wait_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def migrate(self, timeout: float = 180.0) -> None:
        """Create Airflow's database unless it exists, from the template if there is one.

        Raises:
            AirflowProcessError: ``airflow db migrate`` failed.
        """
        database = self.home / "airflow.db"
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "airflow.cfg").touch()  # else all components write one at the same time
        if database.exists():
            return
        if self._template is not None and self._template.exists():
            shutil.copyfile(self._template, database)
            return
        self._say("creating Airflow's database")
        self._migration.start()
        end = time.monotonic() + timeout
        while (code := self._migration.exit_code()) is None and time.monotonic() < end:
            self._sleep(0.1)
        if code != 0:
            raise AirflowProcessError(f"airflow db migrate failed ({code}):\n{self._migration.log_tail()}")
        if self._template is not None:
            unfinished = self._template.with_suffix(".part")
            shutil.copyfile(database, unfinished)
            unfinished.replace(self._template)

    def start(self) -> None:
        """Start all components at once."""
        self._say("starting " + ", ".join(self.commands))
        for component in self.components.values():
            component.start()

    def restart(self, name: str, grace: float = 10.0) -> None:
        """Stop one component and start it again."""
        self.components[name].stop(grace)
        self.components[name].start()

    def wait_healthy(self, timeout: float = 240.0) -> None:
        """Wait until every component says that it is healthy.

        Raises:
            AirflowProcessError: one ended unasked, or not all were healthy in time.
        """
        started = time.monotonic()
        next_line = started + 8.0
        while True:
            health = self.api.health()
            waiting = [name for name in self.health_names if health.get(name) != "healthy"]
            if not waiting:
                return
            for component in self.components.values():
                if component.exit_code() is not None:
                    raise AirflowProcessError(f"{component.name} ended unexpectedly:\n{component.log_tail()}")
            now = time.monotonic()
            if now > started + timeout:
                raise AirflowProcessError(f"not healthy after {timeout:.0f} s: {json.dumps(waiting)}")
            if now > next_line:
                self._say("waiting for " + (", ".join(waiting) if health else "the API server"))
                next_line = now + 8.0
            self._sleep(0.5)

    def stop(self, grace: float = 5.0) -> None:
        """Stop every component and prove that none of their processes is left.

        Raises:
            ProcessesLeftError: something survived SIGKILL.
        """
        self._say("stopping")
        stop_all([self._migration, *self.components.values()], grace)
