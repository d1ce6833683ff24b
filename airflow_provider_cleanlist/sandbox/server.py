"""A sandbox on a real socket: uvicorn on a thread."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from airflow_provider_cleanlist.sandbox.app import create_app
from airflow_provider_cleanlist.sandbox.state.sandbox import Sandbox
from airflow_provider_cleanlist.sandbox.state.webhooks import is_loopback

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive, Scope

    from airflow_provider_cleanlist.sandbox.clock import Clock
    from airflow_provider_cleanlist.sandbox.faults import Faults
    from airflow_provider_cleanlist.sandbox.ledger import SandboxLedger
    from airflow_provider_cleanlist.sandbox.settings import SandboxSettings

START_SECONDS = 20
"""Most seconds that the server may take to start."""


class SandboxServer:
    """A local Cleanlist on its own port, which runs during a ``with`` block.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        allow_remote: Allow an address that is not loopback.
        **sandbox: ``clock``, ``api_key``, ``credits`` and every field of ``SandboxSettings``.

    Raises:
        ValueError: The address is not loopback, without ``allow_remote``; or a setting is unknown or invalid.
        OSError: The port is in use.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False, **sandbox: Any
    ) -> None:
        if not (allow_remote or is_loopback(host)):
            raise ValueError(
                f"The sandbox answers everybody who can reach it, and {host} is not a loopback address. "
                "Pass allow_remote=True (--allow-remote) if you want that."
            )
        self.state = Sandbox(**sandbox)
        self._socket = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        self._host = host
        config = uvicorn.Config(
            create_app(self.state, self._close_connection),
            lifespan="off",
            log_level="critical",
            access_log=False,
            ws="none",
            proxy_headers=False,  # they would say who may use the admin side
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._uvicorn.run, args=([self._socket],), name="cleanlist-sandbox", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The host for clients, such as ``http://127.0.0.1:8123``."""
        return (
            f"http://[{self._host}]:{self.port}" if ":" in self._host else f"http://{self._host}:{self.port}"
        )

    @property
    def api_key(self) -> str:
        """The secret of the first key."""
        return self.state.accounts.key.secret

    @property
    def settings(self) -> SandboxSettings:
        """Switches of the sandbox."""
        return self.state.settings

    @property
    def ledger(self) -> SandboxLedger:
        """What was received, accepted and charged until now."""
        self.state.settle()
        return self.state.ledger

    @property
    def faults(self) -> Faults:
        """Failures on demand."""
        return self.state.faults

    @property
    def clock(self) -> Clock:
        """The sandbox's clock."""
        return self.state.clock

    def connection_json(self) -> str:
        """Return an Airflow connection to the sandbox, for ``AIRFLOW_CONN_CLEANLIST_DEFAULT``."""
        extra = {
            "requests_per_minute": self.settings.requests_per_minute,
            "window_seconds": self.settings.window_seconds,
        }
        return json.dumps(
            {"conn_type": "cleanlist", "host": self.url, "password": self.api_key, "extra": extra}
        )

    def start(self) -> Self:
        """Start to answer requests, and return the server.

        Raises:
            RuntimeError: The server did not start in time.
        """
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._uvicorn.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("The sandbox did not start")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop: close every connection and free the port."""
        self._uvicorn.should_exit = True
        self._thread.join()
        self._socket.close()
        self.state.close()

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    async def _close_connection(self, scope: Scope, receive: Receive) -> None:
        """Close the socket of a request."""
        client = scope["client"]
        for connection in list(self._uvicorn.server_state.connections):
            if getattr(connection, "client", None) == client:
                connection.transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
