"""The receiver as a process of its own: ``python -m airflow_provider_cleanlist.webhooks``."""

from __future__ import annotations

import argparse
import signal
import socket
import sys

from airflow_provider_cleanlist.inbox.settings import URL_PREFIX, WEBHOOK_PATH, receiver_settings

GRACE_SECONDS = 10
"""How long a delivery in progress may take to finish after the process was asked to stop, in seconds."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        arguments: Command line arguments; None takes those of the process.

    Returns:
        Exit status: 0 after a clean shutdown, 2 if a setting or package is missing or the port cannot be opened.
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cleanlist.webhooks",
        description="Receive Cleanlist's webhooks and store them in [cleanlist] webhook_inbox. "
        "Addresses are verified with [cleanlist] webhook_secret.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8301, help="port to listen on (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        settings = receiver_settings()
    except ValueError as error:
        parser.error(str(error))
    if settings is None:
        parser.error("[cleanlist] webhook_secret is not set")
    try:
        import uvicorn

        from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError
        from airflow_provider_cleanlist.webhooks.connections import BoundedProtocol
        from airflow_provider_cleanlist.webhooks.receiver import Receiver, build_app
    except ModuleNotFoundError as error:
        parser.error(
            f"the package {error.name!r} is missing: pip install 'airflow-provider-cleanlist[webhooks]'"
        )
    try:
        inbox = Inbox.at(settings.inbox)
    except InboxUnavailableError as error:
        parser.error(str(error))
    config = uvicorn.Config(
        build_app(Receiver(settings.secrets, lambda: inbox), URL_PREFIX),
        http=BoundedProtocol,
        ws="none",
        access_log=False,  # it would contain tokens
        log_level="error",  # requests that are not HTTP are warnings of uvicorn's, as many as somebody likes
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        # effective before uvicorn installs its own handlers, and when it raises the signals again at its end
        signal.signal(number, stop)
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listener = socket.create_server((options.host, options.port), family=family)
    except (OSError, OverflowError) as error:
        parser.error(f"cannot listen on {options.host} port {options.port}: {error}")
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"Receiving webhooks at http://{host}:{port}{URL_PREFIX}{WEBHOOK_PATH}<token>\n")
    sys.stdout.flush()
    server.run([listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
