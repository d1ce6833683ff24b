"""Run the local Cleanlist as a process of its own, as users do, and ask its ledger."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import requests
from airflow_runner import clean_environment
from ports import HOST, free_port
from process_group import ProcessGroup

API_KEY = "clapi_demo_0123456789abcdef"


class SandboxError(RuntimeError):
    """The sandbox ended unasked or did not answer; the text holds the end of its output."""


class SandboxProcess:
    """``python -m airflow_provider_cleanlist.sandbox`` on a free port; as a context manager it starts and stops.

    Args:
        home: folder for its log.
        options: further command line options, such as ``{"seconds-to-complete": 5}``.
        python: the interpreter that the provider is installed for.
        sleep: called between two checks while waiting; may raise to give up.
    """

    def __init__(
        self,
        home: Path,
        options: dict[str, int | float | str] | None = None,
        *,
        python: str = sys.executable,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between this process and loopback
        arguments = {"host": HOST, "port": self.port, "key": API_KEY, **(options or {})}
        command = [python, "-m", "airflow_provider_cleanlist.sandbox"]
        command += [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
        self.process = ProcessGroup("sandbox", command, home / "sandbox.log", clean_environment(), home)

    def __enter__(self) -> Self:
        self.process.start()
        try:
            self.wait_ready()
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()

    def connection(self, **extra: object) -> str:
        """Return an Airflow connection to this sandbox, in the JSON form of ``AIRFLOW_CONN_...``."""
        return json.dumps({"conn_type": "cleanlist", "host": self.url, "password": API_KEY, "extra": extra})

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the sandbox answers.

        Raises:
            SandboxError: it has ended, or gives no answer in time.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                self.ledger()
                return
            except requests.RequestException:
                if self.process.exit_code() is not None or time.monotonic() > end:
                    raise SandboxError(f"the sandbox does not answer:\n{self.process.log_tail()}") from None
            self._sleep(0.2)

    def ledger(self) -> dict[str, Any]:
        """Return the totals of what the sandbox was asked, accepted and charged."""
        return cast("dict[str, Any]", self.ask("/ledger"))

    def credits(self) -> float:
        """Return the organisation's balance."""
        return cast("float", self.ask("")["credits"])

    def ask(self, path: str) -> Any:
        """Return the JSON answer of the admin side: no key, and no request off the API's budget."""
        answer = self._session.get(f"{self.url}/sandbox{path}", timeout=10)
        answer.raise_for_status()
        return answer.json()
