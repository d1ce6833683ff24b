"""Run a sandbox from the command line: ``python -m airflow_provider_cleanlist.sandbox``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import Any

from airflow_provider_cleanlist.sandbox.accounts import DEFAULT_KEY
from airflow_provider_cleanlist.sandbox.clock import Clock, ManualClock, SystemClock


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cleanlist.sandbox",
        description="A local Cleanlist: the whole API in memory, with invented contacts and play credits.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8300, help="port, 0 for any free one (default: %(default)s)"
    )
    parser.add_argument("--allow-remote", action="store_true", help="permit an address that is not loopback")
    parser.add_argument("--key", default=DEFAULT_KEY, help="API key to accept (default: a fixed one)")
    parser.add_argument(
        "--credits", type=float, default=100_000, help="credits at the start (default: %(default)s)"
    )
    parser.add_argument(
        "--requests-per-minute", type=int, default=60, help="rate limit per window (default: 60)"
    )
    parser.add_argument("--window-seconds", type=float, default=60.0, help="length of a window (default: 60)")
    parser.add_argument(
        "--seconds-to-complete", type=float, default=5.0, help="duration of an enrichment (default: 5)"
    )
    parser.add_argument(
        "--clock",
        choices=("real", "manual"),
        default="real",
        help="manual: time moves by POST /sandbox/clock",
    )
    parser.add_argument("--clock-speed", type=float, default=1.0, help="seconds per real second (default: 1)")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any other setting, see docs/sandbox.md",
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


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        arguments: Command line, by default the process's own.

    Returns:
        Exit status: 0 after a clean end, 2 when the arguments do not fit or the port is taken.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
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
            port=options.port,
            allow_remote=options.allow_remote,
            clock=clock,
            api_key=options.key,
            credits=options.credits,
            **_settings(options, parser),
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
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


if __name__ == "__main__":
    sys.exit(main())
