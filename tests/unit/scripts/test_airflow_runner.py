"""What the runner makes of its surroundings and of an Airflow that does not come up; the real one runs in tests/e2e."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import airflow_api
import airflow_runner
import ports
import pytest
from airflow_runner import AirflowProcessError, AirflowProcesses


def make_interpreter(folder: Path, script: str) -> str:
    """Write an executable that stands for a Python whose Airflow is broken."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


def test_nothing_of_another_airflow_or_python_reaches_the_components(monkeypatch):
    for name in ("AIRFLOW_HOME", "AIRFLOW__CORE__FERNET_KEY", "AIRFLOW_CONN_X", "PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("LANG", "C.UTF-8")
    env = airflow_runner.clean_environment()
    assert "foreign" not in env.values()
    assert env["LANG"] == "C.UTF-8"
    assert "127.0.0.1" in env["NO_PROXY"].split(",")


def test_everything_listens_on_loopback_and_on_the_port_asked_for(tmp_path):
    settings = airflow_runner.airflow_settings(tmp_path, tmp_path / "dags", 12345, "LocalExecutor", 2)
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert settings["AIRFLOW__API__PORT"] == "12345"
    assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:12345/execution/"
    for component in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in airflow_runner.COMPONENTS[component], (
            "its log server listens on all interfaces"
        )


def test_each_airflow_has_secrets_of_its_own(tmp_path):
    first, second = (
        airflow_runner.airflow_settings(tmp_path, tmp_path, 1, "LocalExecutor", 2) for _ in range(2)
    )
    for name in ("CORE__FERNET_KEY", "API__SECRET_KEY", "API_AUTH__JWT_SECRET"):
        assert first[f"AIRFLOW__{name}"] != second[f"AIRFLOW__{name}"]


def test_failed_migration_is_told_with_its_output(tmp_path):
    python = make_interpreter(tmp_path, "echo disk full >&2; exit 3")
    with (
        pytest.raises(AirflowProcessError, match=r"db migrate failed \(3\)(.|\n)*disk full"),
        AirflowProcesses(tmp_path / "home", tmp_path, python=python),
    ):
        pass


def test_component_that_ends_by_itself_is_told_and_the_others_are_stopped(tmp_path):
    python = make_interpreter(
        tmp_path, 'case "$3" in scheduler) echo no module; exit 4;; db) ;; *) sleep 60;; esac'
    )
    airflow = AirflowProcesses(tmp_path / "home", tmp_path, python=python)
    with pytest.raises(AirflowProcessError, match=r"scheduler ended unexpectedly(.|\n)*no module"), airflow:
        pass
    assert all(component.members() == set() for component in airflow.components.values())


def test_airflow_that_never_gets_healthy_is_given_up(tmp_path):
    airflow = AirflowProcesses(tmp_path / "home", tmp_path, python=make_interpreter(tmp_path, "sleep 60"))
    airflow.start()
    try:
        with pytest.raises(AirflowProcessError, match=r"not healthy after 0 s.*scheduler"):
            airflow.wait_healthy(timeout=0.3)
    finally:
        airflow.stop()


def test_migrated_database_is_kept_and_used_again(tmp_path):
    template = tmp_path / "empty.db"
    python = make_interpreter(tmp_path, 'printf migrated > "$AIRFLOW_HOME/airflow.db"')
    AirflowProcesses(tmp_path / "first", tmp_path, python=python, database_template=template).migrate()
    assert template.read_text() == "migrated"
    broken = make_interpreter(tmp_path, "exit 1")
    AirflowProcesses(tmp_path / "second", tmp_path, python=broken, database_template=template).migrate()
    assert (tmp_path / "second" / "airflow.db").read_text() == "migrated"


def test_waiting_can_be_broken_off_and_stops_what_was_started(tmp_path):
    class BrokenOffError(Exception):
        pass

    def sleep(_seconds: float) -> None:
        if any(
            component.exit_code() is None and component.members() for component in airflow.components.values()
        ):
            raise BrokenOffError
        time.sleep(0.05)

    python = make_interpreter(tmp_path, '[ "$3" = db ] || sleep 60')
    airflow = AirflowProcesses(tmp_path / "home", tmp_path, python=python, sleep=sleep)
    with pytest.raises(BrokenOffError), airflow:
        pass
    assert all(component.members() == set() for component in airflow.components.values())


def test_log_event_with_an_exception_becomes_readable_lines():
    event = {
        "timestamp": "2026-11-22T01:43:23Z",
        "level": "error",
        "event": "Task failed with exception",
        "error_detail": [
            {
                "exc_type": "ValueError",
                "exc_value": "warehouse is down",
                "frames": [{"filename": "dag.py", "lineno": 12, "name": "load"}],
            }
        ],
    }
    assert airflow_api._log_line(event).splitlines() == [
        "2026-11-22T01:43:23Z error Task failed with exception",
        "    dag.py:12 in load",
        "  ValueError: warehouse is down",
    ]


def test_health_of_an_airflow_that_is_not_there_is_empty():
    assert airflow_api.AirflowApi(f"http://127.0.0.1:{ports.free_port()}").health() == {}
