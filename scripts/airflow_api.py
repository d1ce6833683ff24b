"""A small client of Airflow's REST API: what the demo and the end-to-end tests ask a running Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import requests

FINAL_RUN_STATES = frozenset({"success", "failed"})


class AirflowApi:
    """Airflow 3's REST API v2, for the simple auth manager with everybody an admin, or as the user of a token.

    Args:
        base_url: for instance ``http://127.0.0.1:8080``.
        sleep: called between two checks while waiting; may raise to give up.
    """

    prefix = "/api/v2"
    health_path = "/api/v2/monitor/health"

    def __init__(self, base_url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.base_url = base_url
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between this process and loopback

    def health(self) -> dict[str, str]:
        """Return the state of each component, for instance ``{"scheduler": "healthy"}``; empty when unreachable."""
        try:
            answer = self._session.get(f"{self.base_url}{self.health_path}", timeout=10)
            answer.raise_for_status()
        except requests.RequestException:
            return {}
        return {name: part["status"] for name, part in answer.json().items() if part and part["status"]}

    def call(self, method: str, path: str, body: object = None, **params: str | int) -> Any:
        """Call a path of the API and return the JSON answer.

        Raises:
            requests.HTTPError: any status of 400 and above.
        """
        answer = self.request(method, path, json=body, params=params)
        return answer.json() if answer.content else None

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call a path of the API as an admin.

        Raises:
            requests.HTTPError: any status of 400 and above.
        """
        self._log_in()
        url = f"{self.base_url}{self.prefix}{path}"
        try:
            answer = self._session.request(method, url, timeout=90, **options)  # a busy machine stalls
        except requests.ConnectionError:
            if method != "GET":
                raise
            answer = self._session.request(
                method, url, timeout=90, **options
            )  # the web server renewed its workers
        answer.raise_for_status()
        return answer

    def use_token(self, token: str) -> None:
        """Be the user that a token was given to, from now on."""
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _log_in(self) -> None:
        if "Authorization" not in self._session.headers:
            token = self._session.get(f"{self.base_url}/auth/token", timeout=10)
            token.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def wait_for_dag(self, dag_id: str, timeout: float = 60.0) -> None:
        """Wait until the DAG processor has stored a DAG.

        Raises:
            TimeoutError: not there in time; the text holds the import errors Airflow knows of.
        """
        end = time.monotonic() + timeout
        while True:
            dags = self.call("GET", "/dags", dag_id_pattern=dag_id, limit=100)["dags"]
            if any(dag["dag_id"] == dag_id for dag in dags):
                return
            if time.monotonic() > end:
                errors = self.call("GET", "/importErrors")["import_errors"]
                traces = "\n".join(error["stack_trace"] for error in errors) or "no import errors"
                raise TimeoutError(f"Airflow did not find the DAG {dag_id} in {timeout:.0f} s: {traces}")
            self._sleep(0.5)

    def trigger_run(
        self, dag_id: str, conf: dict[str, Any] | None = None, *, run_id: str | None = None
    ) -> str:
        """Unpause a DAG, start a run of it, with this id or one of Airflow's, and return the run's id."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        body = self._new_run(conf or {}) | ({"dag_run_id": run_id} if run_id else {})
        run = self.call("POST", f"/dags/{dag_id}/dagRuns", body)
        return cast("str", run["dag_run_id"])

    def _new_run(self, conf: dict[str, Any]) -> dict[str, Any]:
        return {"logical_date": None, "conf": conf}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return a run's state, for instance ``running``."""
        return cast("str", self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return a run's task instances as Airflow describes them."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return cast("list[dict[str, Any]]", self.call("GET", path, limit=1000)["task_instances"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of each task, ``none`` before it is scheduled; mapped ones are named ``task[0]``."""
        return {
            row["task_id"] if row["map_index"] < 0 else f"{row['task_id']}[{row['map_index']}]": row["state"]
            or "none"
            for row in self.task_instances(dag_id, run_id)
        }

    def wait_run(
        self,
        dag_id: str,
        run_id: str,
        timeout: float = 300.0,
        on_change: Callable[[dict[str, str]], None] | None = None,
    ) -> str:
        """Wait until a run has ended.

        Args:
            dag_id: the DAG.
            run_id: the run.
            timeout: seconds.
            on_change: receives the states of all tasks each time one of them has changed.

        Returns:
            ``success`` or ``failed``.

        Raises:
            TimeoutError: the run has not ended in time; the text holds the states of its tasks.
        """
        end = time.monotonic() + timeout
        seen: dict[str, str] = {}
        while True:
            state = self.run_state(dag_id, run_id)
            states = self.task_states(dag_id, run_id)
            if states != seen and on_change is not None:
                on_change(states)
            seen = states
            if state in FINAL_RUN_STATES:
                return state
            if time.monotonic() > end:
                raise TimeoutError(f"{dag_id} {run_id} has not ended after {timeout:.0f} s: {states}")
            self._sleep(0.5)

    def wait_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: frozenset[str] | set[str],
        timeout: float = 120.0,
    ) -> str:
        """Wait until a task is in one of the given states and return it.

        Raises:
            TimeoutError: it was in none of them in time.
        """
        end = time.monotonic() + timeout
        while (state := self.task_states(dag_id, run_id).get(task_id, "none")) not in states:
            if time.monotonic() > end:
                raise TimeoutError(f"{task_id} is {state} after {timeout:.0f} s, not {sorted(states)}")
            self._sleep(0.3)
        return state

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """Return one XCom value, or None when the task has pushed none."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries"
        keys = [entry["key"] for entry in self.call("GET", path, map_index=map_index)["xcom_entries"]]
        if key not in keys:
            return None
        return self.call("GET", f"{path}/{key}", map_index=map_index, stringify="false")["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> str:
        """Return the log of one try of a task: one line per event, exceptions with type, message and frames."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        events = self.call("GET", path, map_index=map_index, full_content="true")["content"]
        return "\n".join(_log_line(event) for event in events)

    def clear(self, dag_id: str, run_id: str, task_ids: list[str], *, downstream: bool = False) -> None:
        """Clear tasks of a run, so that they run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": task_ids,
            "only_failed": False,
            "reset_dag_runs": True,
            "include_downstream": downstream,
        }
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set a task's state by hand, as a user does in the UI: ``success``, ``failed`` or ``skipped``."""
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}", {"new_state": state})


def _log_line(event: str | dict[str, Any]) -> str:
    if isinstance(event, str):
        return event
    line = " ".join(part for part in (event.get("timestamp"), event.get("level"), event["event"]) if part)
    for error in event.get("error_detail") or []:
        frames = [
            f"    {frame['filename']}:{frame['lineno']} in {frame['name']}" for frame in error["frames"]
        ]
        line = "\n".join([line, *frames, f"  {error['exc_type']}: {error['exc_value']}"])
    return line
