"""The receiver as a plugin of Airflow's API server (3.0 and later).

Every Airflow process loads plugins, so the web application is built only when the first webhook arrives. Without
``[cleanlist] webhook_secret`` there is none. Airflow logs the path of every request after the response, and the path of
a webhook contains its secret token; so the token is removed from the path that other code sees.
"""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

from airflow import __version__ as airflow_version
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_cleanlist.inbox.settings import (
    URL_PREFIX,
    WEBHOOK_PATH,
    ReceiverSettings,
    receiver_settings,
)
from airflow_provider_cleanlist.inbox.tokens import TOKEN_LENGTH
from airflow_provider_cleanlist.links import TASK_ROUTE, has_pages

log = logging.getLogger(__name__)

_TOKEN = re.compile(rf"A[Q-Za-f][A-Za-z0-9_-]{{{TOKEN_LENGTH - 2},}}")  # the first byte is the version
_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]


class LazyApp(ABC):
    """An ASGI application that is built at its first request, in a thread, because its imports take a while."""

    _app: Any = None
    _building: asyncio.Future[Any] | None = None

    @abstractmethod
    def _build(self) -> Any:
        """Return the application."""

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: _Send
    ) -> None:
        """Respond to a request."""
        if self._app is None:
            self._app = await self._built()
        await self._app(scope, receive, send)

    async def _built(self) -> Any:
        """Return the application, which is built once for all who ask meanwhile."""
        if self._building is None:
            self._building = asyncio.ensure_future(asyncio.to_thread(self._build))
            self._building.add_done_callback(self._forget_building)
        return await asyncio.shield(self._building)

    def _forget_building(self, _: object) -> None:
        self._building = None


class LazyReceiver(LazyApp):
    """The receiver of webhooks.

    Args:
        settings: Its settings.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: _Send
    ) -> None:
        """Respond to a request, and remove the token from the path that is logged afterwards."""
        request = dict(scope)
        scope["path"] = without_token(scope["path"])
        scope["raw_path"] = scope["path"].encode()
        await super().__call__(request, receive, send)

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


class TokenMask:
    """An ASGI middleware that removes tokens from the paths that access logs of the API server show.

    The receiver does so for requests that reach it. This is for those that miss it, such as ``//cleanlist/webhook/``
    or another letter case, but carry a token all the same.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: _Send
    ) -> None:
        """Pass a request on as it is, and mask its token for what logs it afterwards."""
        path, query = scope.get("path", ""), scope.get("query_string", b"")
        if len(path) + len(query) < TOKEN_LENGTH or not _TOKEN.search(f"{path} {query.decode('latin-1')}"):
            await self._app(scope, receive, send)
            return
        request = dict(scope)
        scope["path"] = _TOKEN.sub("***", path)
        scope["raw_path"] = scope["path"].encode("utf-8", "replace")
        scope["query_string"] = _TOKEN.sub("***", query.decode("latin-1")).encode("latin-1")
        await self._app(request, receive, send)


def root_middlewares(apps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the middlewares that the API server needs: the one that masks tokens, if there is a receiver.

    Args:
        apps: What the plugin serves.
    """
    return [{"name": "cleanlist", "middleware": TokenMask, "args": [], "kwargs": {}}] if apps else []


PAGE_PREFIX = "/cleanlist-page"
"""Where the page is: not below that of the webhooks, which takes every path below its own."""


class LazyPage(LazyApp):
    """The page *Browse > Cleanlist*."""

    def _build(self) -> Any:
        from airflow_provider_cleanlist.page.app import build_app

        return build_app()


def _view(destination: str, url_route: str, query: str = "", **more: str) -> dict[str, Any]:
    view = {"name": "Cleanlist", "href": f"{PAGE_PREFIX.lstrip('/')}/{query}", "url_route": url_route}
    return view | {"destination": destination} | more


EXTERNAL_VIEWS = [
    _view("nav", "cleanlist", category="browse"),
    _view("dag_run", "cleanlist-run", "?dag_id={DAG_ID}&run_id={RUN_ID}"),
    _view(
        "task_instance",
        TASK_ROUTE,
        "?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}",
    ),
]
"""The page's places in Airflow's interface, which fills in what is in braces."""


def page_apps(version: str = airflow_version) -> list[dict[str, Any]]:
    """Return the applications of the page: one, or none where Airflow shows no pages.

    Args:
        version: Airflow's version.
    """
    return (
        [{"name": "cleanlist_page", "app": LazyPage(), "url_prefix": PAGE_PREFIX}]
        if has_pages(version)
        else []
    )


def page_views(version: str = airflow_version) -> list[dict[str, Any]]:
    """Return the page's places in the interface, or none where Airflow shows no pages.

    Args:
        version: Airflow's version.
    """
    return EXTERNAL_VIEWS if has_pages(version) else []


_RECEIVER = fastapi_apps()
_PAGE = page_apps()


class CleanlistPlugin(AirflowPlugin):
    """Receives Cleanlist's webhooks at ``/cleanlist/webhook/<token>``, and adds the page *Browse > Cleanlist*."""

    name = "cleanlist"
    fastapi_apps = _RECEIVER + _PAGE
    fastapi_root_middlewares = root_middlewares(_RECEIVER)
    external_views = page_views()
