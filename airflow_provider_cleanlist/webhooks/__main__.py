"""The receiver as a process of its own: ``python -m airflow_provider_cleanlist.webhooks``."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_cleanlist.webhooks.settings import URL_PREFIX, receiver_settings


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        arguments: Command line, by default the process's own.

    Returns:
        Exit status: 0 after a clean end, 2 when something is missing.
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cleanlist.webhooks",
        description="Receive Cleanlist's webhooks into [cleanlist] webhook_inbox. Secrets come from "
        "[cleanlist] webhook_secret.",
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

        from airflow_provider_cleanlist.webhooks.inbox import Inbox
        from airflow_provider_cleanlist.webhooks.receiver import Receiver, build_app
    except ModuleNotFoundError as error:
        parser.error(
            f"the package {error.name!r} is missing: pip install 'airflow-provider-cleanlist[webhooks]'"
        )
    app = build_app(Receiver(settings.secrets, Inbox.at(settings.inbox)), URL_PREFIX)
    # the access log would show tokens
    uvicorn.run(app, host=options.host, port=options.port, access_log=False, server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
