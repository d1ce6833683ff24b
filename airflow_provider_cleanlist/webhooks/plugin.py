"""The receiver as a plugin of Airflow's API server (3.0 and later).

Every process of Airflow loads plugins, so the web application is built when the first webhook comes. Without
``[cleanlist] webhook_secret`` there is none. Airflow logs the path of every request after it was answered, and the
address of a webhook is its secret, so the path that others see of it is changed.
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
    """An ASGI application that is built when it is first asked.

    Args:
        settings: Settings of the receiver.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings
        self._app: Any = None

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: _Send
    ) -> None:
        """Answer a request. Whoever logs the request afterwards reads its path without the token."""
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
    """Return a path as access logs may show it.

    Args:
        path: The path of a request to the receiver.
    """
    before, marker, _ = path.partition(WEBHOOK_PATH)
    return f"{before}{marker}***" if marker else path


def fastapi_apps() -> list[dict[str, Any]]:
    """Return what the plugin serves: the receiver if it is configured, else nothing."""
    try:
        settings = receiver_settings()
    except ValueError as error:
        log.error("Cleanlist's webhooks are not received: %s.", error)  # noqa: TRY400  # the traceback tells nothing
        return []
    if settings is None:
        return []
    return [{"name": "cleanlist", "app": LazyReceiver(settings), "url_prefix": URL_PREFIX}]


class CleanlistPlugin(AirflowPlugin):
    """Receives Cleanlist's webhooks at ``/cleanlist/webhook/<token>``."""

    name = "cleanlist"
    fastapi_apps = fastapi_apps()
