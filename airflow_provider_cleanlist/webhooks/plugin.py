"""The receiver as a plugin of Airflow's API server (3.0 and later).

Every Airflow process loads plugins, so the web application is built only when the first webhook arrives. Without
``[cleanlist] webhook_secret`` there is none. Airflow logs the path of every request after the response, and the path of
a webhook contains its secret token; so the token is removed from the path that other code sees.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_cleanlist.inbox.settings import (
    URL_PREFIX,
    WEBHOOK_PATH,
    ReceiverSettings,
    receiver_settings,
)

log = logging.getLogger(__name__)

_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]


class LazyReceiver:
    """An ASGI application that is built at its first request.

    Args:
        settings: Settings of the receiver.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings
        self._app: Any = None

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: _Send
    ) -> None:
        """Respond to a request, and remove the token from the path that is logged afterwards."""
        request = dict(scope)
        scope["path"] = without_token(scope["path"])
        scope["raw_path"] = scope["path"].encode()
        if self._app is None:
            self._app = self._build()
        await self._app(request, receive, send)

    def _build(self) -> Any:
        from airflow_provider_cleanlist.inbox.inbox import Inbox
        from airflow_provider_cleanlist.webhooks.events import emit_finished
        from airflow_provider_cleanlist.webhooks.receiver import Receiver, build_app

        open_inbox = cache(lambda: Inbox.at(self._settings.inbox))
        return build_app(Receiver(self._settings.secrets, open_inbox, emit_finished))


def without_token(path: str) -> str:
    """Return a path without its token, for access logs.

    Args:
        path: Path of a request to the receiver.
    """
    before, marker, _ = path.partition(WEBHOOK_PATH)
    return f"{before}{marker}***" if marker else path


def fastapi_apps() -> list[dict[str, Any]]:
    """Return the applications that the plugin serves: the receiver if it is configured, else none."""
    try:
        settings = receiver_settings()
    except ValueError as error:
        log.error("The webhook receiver is not started: %s.", error)  # noqa: TRY400  # a traceback would not help
        return []
    if settings is None:
        return []
    return [{"name": "cleanlist", "app": LazyReceiver(settings), "url_prefix": URL_PREFIX}]


class CleanlistPlugin(AirflowPlugin):
    """Receives Cleanlist's webhooks at ``/cleanlist/webhook/<token>``."""

    name = "cleanlist"
    fastapi_apps = fastapi_apps()
