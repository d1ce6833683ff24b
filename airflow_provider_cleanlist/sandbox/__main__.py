"""Run a sandbox from the command line: ``python -m airflow_provider_cleanlist.sandbox [options] [-- command]``.

With a command, the sandbox runs as long as the command, for which the connection ``cleanlist_default`` points to it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_cleanlist.sandbox.clock import Clock, ManualClock, SystemClock
from airflow_provider_cleanlist.sandbox.state.accounts import DEFAULT_KEY

if TYPE_CHECKING:
    from airflow_provider_cleanlist.sandbox.server import SandboxServer

DEFAULT_PORT = 8300
"""Default port of a sandbox that runs without a command."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cleanlist.sandbox",
        description="A local stand-in for the Cleanlist API, in memory, with invented results and fake credits.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, help=f"port, 0 for any free one (default: {DEFAULT_PORT}; with a command: 0)"
    )
    parser.add_argument("--allow-remote", action="store_true", help="allow an address that is not loopback")
    parser.add_argument("--key", default=DEFAULT_KEY, help="API key to accept (default: a fixed one)")
    parser.add_argument(
        "--credits", type=float, default=100_000, help="credits at the start (default: %(default)s)"
    )
    parser.add_argument(
        "--requests-per-minute", type=int, default=60, help="rate limit per window (default: 60)"
    )
    parser.add_argument("--window-seconds", type=float, default=60.0, help="length of a window (default: 60)")
    parser.add_argument(
        "--seconds-to-complete", type=float, default=5.0, help="seconds that an enrichment takes (default: 5)"
    )
    parser.add_argument(
        "--clock",
        choices=("real", "manual"),
        default="real",
        help="manual: time moves only by POST /sandbox/clock",
    )
    parser.add_argument(
        "--clock-speed", type=float, default=1.0, help="its seconds per real second (default: 1)"
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any other setting, see docs/sandbox.md",
    )
    parser.add_argument(
        "command",
        nargs="*",
        metavar="-- COMMAND",
        help="run this command with the connection cleanlist_default set to the sandbox, and exit with its status",
    )
    return parser


def _settings(options: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    settings = {
        "requests_per_minute": options.requests_per_minute,
        "window_seconds": options.window_seconds,
        "seconds_to_complete": options.seconds_to_complete,
    }
    for setting in options.set:
        name, given, value = setting.partition("=")
        if not given:
            parser.error(f"--set takes NAME=VALUE, not {setting!r}")
        settings[name] = value
    return settings


def _serve(server: SandboxServer) -> int:
    """Serve until SIGINT or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with server:
        sys.stdout.write(
            f"Cleanlist sandbox at {server.url} (admin: {server.url}/sandbox)\n"
            f"API key: {server.api_key}\n"
            f"AIRFLOW_CONN_CLEANLIST_DEFAULT='{server.connection_json()}'\n"
        )
        sys.stdout.flush()
        stopped.wait()
    return 0


def _serve_command(server: SandboxServer, command: Sequence[str]) -> int:
    """Serve while a command runs, then print what it would have cost; the command handles signals."""
    with server:
        env = os.environ | {"AIRFLOW_CONN_CLEANLIST_DEFAULT": server.connection_json()}
        process = subprocess.Popen(command, env=env)  # noqa: S603  # it is the caller's own command
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the command directly
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        status = process.wait()
    ledger = server.ledger
    sys.stderr.write(
        f"Cleanlist sandbox: contacts submitted {ledger.times_submitted().total()}, "
        f"more than once {len(ledger.contacts_submitted_twice())}, "
        f"credits charged {ledger.credits_charged:g}\n"
    )
    return status if status >= 0 else 128 - status


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM, or while the given command runs.

    Args:
        arguments: Command line arguments; by default those of the process.

    Returns:
        Exit status: that of the command, else 0; 2 if an argument is invalid or the port is in use.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command and not shutil.which(options.command[0]):
        parser.error(f"there is no command {options.command[0]!r}")
    default_port = 0 if options.command else DEFAULT_PORT
    try:
        from airflow_provider_cleanlist.sandbox.server import SandboxServer
    except ModuleNotFoundError as error:
        parser.error(
            f"the package {error.name!r} is missing; install the extra: "
            "pip install 'airflow-provider-cleanlist[sandbox]'"
        )
    try:
        clock: Clock = ManualClock() if options.clock == "manual" else SystemClock(options.clock_speed)
        server = SandboxServer(
            host=options.host,
            port=default_port if options.port is None else options.port,
            allow_remote=options.allow_remote,
            clock=clock,
            api_key=options.key,
            credits=options.credits,
            **_settings(options, parser),
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return _serve_command(server, options.command) if options.command else _serve(server)


if __name__ == "__main__":
    sys.exit(main())
