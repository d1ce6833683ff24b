from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import httpx
import pytest
from airflow import __version__ as airflow_version

from airflow_provider_cleanlist.client.responses import WebhookDelivery
from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.settings import receiver_settings
from airflow_provider_cleanlist.inbox.tokens import batch_name, sign
from airflow_provider_cleanlist.links import has_pages
from airflow_provider_cleanlist.waiting.diagnosis import describe
from airflow_provider_cleanlist.webhooks.events import finished_event_extra
from airflow_provider_cleanlist.webhooks.plugin import (
    CleanlistPlugin,
    LazyApp,
    fastapi_apps,
    root_middlewares,
    without_token,
)

SECRET = "a secret of some length"


def test_off_until_a_secret_is_configured(monkeypatch):
    assert fastapi_apps() == []
    assert [app["name"] for app in CleanlistPlugin.fastapi_apps if app["name"] != "cleanlist_page"] == []
    assert receiver_settings() is None


@pytest.mark.parametrize(
    ("secret", "message"), [(SECRET, "webhook_inbox is not"), ("short", "at least 16 characters")]
)
def test_a_configuration_that_cannot_work(monkeypatch, caplog, secret, message):
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", secret)
    assert fastapi_apps() == []
    assert message in caplog.text
    assert SECRET not in caplog.text


def test_the_receiver_works_where_it_is_mounted(monkeypatch, tmp_path):
    import fastapi

    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}/inbox")
    (served,) = fastapi_apps()
    assert SECRET not in repr(receiver_settings())
    server = fastapi.FastAPI()
    server.mount(served["url_prefix"], served["app"])

    async def post(path: str) -> int:
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            payload = {"workflow_id": "w", "event": "enrichment.completed"}
            return (await client.post(path, json=payload)).status_code

    token = sign(SECRET, batch_name("s", "r", "0"), time.time() + 60)
    assert asyncio.run(post(f"/cleanlist/webhook/{token}")) == 200
    assert asyncio.run(post(f"/cleanlist/webhook/{token[::-1]}")) == 404
    inbox = Inbox.at(f"file://{tmp_path}/inbox")
    inbox.announce("w", batch_name("s", "r", "0"))
    assert inbox.payload("w") is not None


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/cleanlist/webhook/abc", "/cleanlist/webhook/***"),
        ("/airflow/cleanlist/webhook/abc/def/webhook/ghi", "/airflow/cleanlist/webhook/***"),
        ("/cleanlist/webhook/", "/cleanlist/webhook/***"),
        ("/cleanlist/elsewhere", "/cleanlist/elsewhere"),
    ],
)
def test_what_access_logs_show(path, shown):
    assert without_token(path) == shown


def serve(monkeypatch, inbox: str):
    """Return an application with the plugin mounted, and the paths that a log in front of it would show."""
    import fastapi

    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", inbox)
    (served,) = fastapi_apps()
    server, shown = fastapi.FastAPI(), []
    server.mount(served["url_prefix"], served["app"])

    async def logged(scope, receive, send):
        await server(scope, receive, send)
        shown.append((scope["path"], scope["raw_path"]))

    return logged, shown


def post(app, token: str) -> int:
    async def asked() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
            payload = {"workflow_id": "w", "event": "enrichment.completed"}
            return (await client.post(f"/cleanlist/webhook/{token}", json=payload)).status_code

    return asyncio.run(asked())


def test_tokens_are_not_seen_by_what_logs_requests(monkeypatch, tmp_path):
    app, shown = serve(monkeypatch, f"file://{tmp_path}")
    token = sign(SECRET, batch_name("s", "r", "0"), time.time() + 60)
    assert [post(app, one) for one in (token, token[::-1], "x/y")] == [200, 404, 404]
    assert shown == [("/cleanlist/webhook/***", b"/cleanlist/webhook/***")] * 3


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("//cleanlist/webhook/{}", "//cleanlist/webhook/***"),
        ("/CLEANLIST/Webhook/{}", "/CLEANLIST/Webhook/***"),
        ("/cleanlist/webhook;x/{};y", "/cleanlist/webhook;x/***;y"),
        ("/elsewhere/{}x?a={}", "/elsewhere/***?a=***"),
        ("/api/v2/dags/a_dag_of_ordinary_length?x=1", "/api/v2/dags/a_dag_of_ordinary_length?x=1"),
    ],
)
def test_a_token_that_misses_the_receiver_is_masked_for_access_logs(monkeypatch, tmp_path, path, shown):
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__CLEANLIST__WEBHOOK_INBOX", f"file://{tmp_path}")
    (middleware,) = root_middlewares(fastapi_apps())
    seen = []

    def target_of(scope):
        return f"{scope['path']}?{scope['query_string'].decode()}".rstrip("?")

    async def airflow(scope, receive, send):
        seen.append(target_of(scope))

    token = sign(SECRET, batch_name("s", "r", "0"), time.time() + 60)
    path, _, query = path.replace("{}", token).partition("?")
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    asked = target_of(scope)
    asyncio.run(
        middleware["middleware"](airflow, *middleware["args"], **middleware["kwargs"])(scope, None, None)
    )
    assert seen == [asked]
    assert target_of(scope) == shown
    assert token.encode() not in scope["raw_path"]


def test_without_a_receiver_nothing_is_masked():
    assert CleanlistPlugin.fastapi_root_middlewares == root_middlewares([]) == []


def test_an_inbox_that_cannot_be_opened_is_a_server_error(monkeypatch, caplog):
    app, _ = serve(monkeypatch, "nonsense://inbox")
    assert post(app, sign(SECRET, batch_name("s", "r", "0"), time.time() + 60)) == 503
    assert post(app, sign("somebody else's secret", batch_name("s", "r", "0"), time.time() + 60)) == 404
    assert "A webhook request was answered with 503: the inbox nonsense://inbox" in caplog.text


def test_the_plugin_costs_no_web_framework(tmp_path):
    """Every process of Airflow loads it."""
    probe = (
        "import sys, json, airflow.plugins_manager; before = set(sys.modules);"
        "from airflow_provider_cleanlist.webhooks.plugin import CleanlistPlugin;"
        "print(json.dumps([len(CleanlistPlugin.fastapi_apps), sorted(set(sys.modules) - before)]))"
    )
    settings = {
        "AIRFLOW__CLEANLIST__WEBHOOK_SECRET": SECRET,
        "AIRFLOW__CLEANLIST__WEBHOOK_INBOX": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    apps, added = json.loads(done.stdout.splitlines()[-1])
    assert apps == 1 + has_pages(airflow_version)
    assert not {"fastapi", "uvicorn", "starlette", "requests", "pydantic"} & set(added)
    assert len(added) <= 10


def test_an_application_is_built_once_beside_the_event_loop_and_anew_after_a_failure():
    begun, go, builds = threading.Event(), threading.Event(), []

    async def respond(scope, receive, send):
        await send(scope["number"])

    class Slow(LazyApp):
        def _build(self):
            builds.append(threading.current_thread() is threading.main_thread())
            if len(builds) == 1:
                raise ImportError
            begun.set()
            assert go.wait(30)
            return respond

    async def ask():
        app, sent = Slow(), []

        async def send(number):
            sent.append(number)

        with pytest.raises(ImportError):
            await app({"number": 0}, None, send)
        asked = [asyncio.ensure_future(app({"number": number}, None, send)) for number in (1, 2)]
        assert await asyncio.to_thread(begun.wait, 30)
        asked[0].cancel()
        go.set()  # from the event loop, which therefore is free
        await asyncio.gather(*asked, return_exceptions=True)
        await app({"number": 3}, None, send)
        return sent

    assert asyncio.run(ask()) == [2, 3]
    assert builds == [False, False]


def test_the_standalone_receiver_says_what_is_missing():
    command = [sys.executable, "-m", "airflow_provider_cleanlist.webhooks"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "[cleanlist] webhook_secret is not set" in done.stderr


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"status": "completed"}, "completed"),
        ({"status": "COMPLETED"}, "completed"),
        ({"status": "cancelled"}, "failed"),
        ({"event": "enrichment.completed"}, "completed"),
        ({"event": "enrichment.completed", "status": "x" * 4_000_000}, "completed"),
        ({"event": "enrichment.completed", "status": {"email": "a@b.example"}}, "completed"),
        ({"status": "failed", "summary": {"total": 10**300, "emails_found": "9" * 4000}}, "failed"),
    ],
)
def test_an_event_has_words_and_counts_of_its_own(given, status):
    extra = finished_event_extra("w", given)
    assert extra["cleanlist"]["status"] == status
    assert len(json.dumps(extra)) < 250


def test_the_event_contains_counts_only():
    payload = {
        "status": "completed",
        "summary": {"total": 3, "emails_found": 2},
        "results": [{"email": "a@b.example"}],
    }
    extra = finished_event_extra("w", payload)["cleanlist"]
    assert (extra["workflow_ids"], extra["total"], extra["emails_found"]) == (["w"], 3, 2)
    assert "a@b" not in json.dumps(extra)


def test_a_delivery_log_with_addresses_is_quoted_without_them():
    """Whoever reads the log could forge results."""
    token = sign(SECRET, batch_name("s", "r", "0"), time.time() + 60)
    address = f"https://airflow.northfold.example/cleanlist/webhook/{token}"
    said = f"POST {address} -> 404, key clapi_abc\x1b[31m, {quote(quote(address, safe=''), safe='')}"
    row = WebhookDelivery(
        attempt=1, response_status_code=404, status=f"failed: {address}", error_message=said
    )
    shown = describe([row], "clapi_abc")
    assert token[:30] not in shown
    assert "clapi_abc" not in shown
    assert shown.isprintable()
    assert "status failed: https://airflow.northfold.example/<redacted>" in shown


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([], "submitted without webhook=True"),
        ([(1, 502), (2, 404)], "tried 2 times .* the receiver answered 404"),
        ([(2, None), (1, 502)], "tried 2 times .* did not answer"),
    ],
)
def test_deliveries_in_words(attempts, expected):
    rows = [WebhookDelivery(attempt=n, response_status_code=code, status="failed") for n, code in attempts]
    assert re.search(expected, describe(rows))
