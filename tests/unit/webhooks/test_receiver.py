"""What the receiver answers to whom, through FastAPI; sockets are in the integration tests."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_cleanlist.client.messages import one_at_a_time
from airflow_provider_cleanlist.inbox.inbox import Inbox
from airflow_provider_cleanlist.inbox.tokens import TOKEN_LIFE_SECONDS, batch_name, sign
from airflow_provider_cleanlist.input_limits import (
    KB,
    WEBHOOK,
    WEBHOOK_ADDRESSES,
    WEBHOOK_ATTEMPTS,
    InputLimit,
)
from airflow_provider_cleanlist.webhooks import receiver as module
from airflow_provider_cleanlist.webhooks.receiver import Attempts, QuietLog, Receiver, build_app, is_final

from ...event_loop import longest_gap

SECRET, OLD_SECRET = "the present secret", "the secret before it"
BATCH = batch_name("s", "r", "0")
PAYLOAD = {
    "event": "enrichment.completed",
    "workflow_id": "w",
    "results": [{"task_id": "t", "primary_email": "teo@harborlight.example"}],
}


class Setup:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.inbox = Inbox.at(f"file://{root}")
        self.notified: list[str] = []
        self.was_notified = threading.Event()
        receiver = Receiver([SECRET, OLD_SECRET], lambda: self.inbox, self._notify)
        self.transport = httpx.ASGITransport(build_app(receiver, "/cleanlist"))

    def _notify(self, workflow_id: str, payload: object) -> None:
        self.notified.append(workflow_id)
        self.was_notified.set()
        raise RuntimeError("the database is down")

    def token(self, secret: str = SECRET, batch: str = BATCH, life: float = TOKEN_LIFE_SECONDS) -> str:
        return sign(secret, batch, time.time() + life)

    def announce(self, workflow_id: str = "w", batch: str = BATCH) -> Inbox:
        """Announce a workflow, as the task that submitted it does, and return the inbox."""
        self.inbox.announce(workflow_id, batch)
        return self.inbox

    async def _request(self, method: str, path: str, **body: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self.transport, base_url="http://receiver") as client:
            return await client.request(method, path, **body)

    def post(self, token: str, payload: Any = PAYLOAD, **body: Any) -> int:
        body = body or {"json": payload}
        return asyncio.run(self._request("POST", f"/cleanlist/webhook/{token}", **body)).status_code

    def ask(self, method: str, path: str) -> httpx.Response:
        return asyncio.run(self._request(method, path))

    @property
    def is_empty(self) -> bool:
        return not [path for path in self.root.rglob("*") if path.is_file()]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path / "inbox")


def test_a_genuine_webhook(setup, caplog):
    setup.announce()
    assert setup.post(setup.token()) == 200
    assert setup.inbox.payload("w") == PAYLOAD
    assert setup.inbox.workflow_of(BATCH) == "w"
    assert setup.was_notified.wait(5)
    assert setup.notified == ["w"]


def test_a_repeated_one_is_reported_once(setup):
    setup.announce()
    for _ in range(3):
        assert setup.post(setup.token()) == 200
    assert setup.was_notified.wait(5)
    assert setup.notified == ["w"]


def test_a_token_of_the_secret_before(setup):
    assert setup.post(setup.token(OLD_SECRET)) == 200


@pytest.mark.parametrize(
    "payload",
    [
        {"workflow_id": "w", "status": "completed"},
        {"workflow_id": "w", "status": "FAILED", "event": "enrichment.failed"},
        {"workflow_id": 7, "event": "enrichment.completed", "results": None, "new": {"deep": [1]}},
        {**PAYLOAD, "results": "none"},
    ],
)
def test_other_shapes(setup, payload):
    assert setup.post(setup.token(), payload) == 200
    assert setup.announce(str(payload["workflow_id"])).payload(str(payload["workflow_id"])) == payload


def test_what_is_no_end_is_taken_and_not_kept(setup):
    progress = {"workflow_id": "w", "event": "enrichment.progress", "status": "processing"}
    assert not is_final(progress)
    assert setup.post(setup.token(), progress) == 200
    assert setup.is_empty
    assert setup.post(setup.token()) == 200
    assert setup.announce().payload("w") == PAYLOAD


# --- the attack list -------------------------------------------------------------------------------------------

FORGED = {
    "no token": "",
    "a guess": "letmein",
    "another secret": sign("somebody else's secret", BATCH, time.time() + 1000),
    "expired": sign(SECRET, BATCH, time.time() - 1),
    "too long": "A" * 5000,
    "a path": "..%2f..%2fetc%2fpasswd",
    "a double path": "%252e%252e%252f",
    "a null": "%00" * 70,
    "beside a genuine one": sign(SECRET, BATCH, time.time() + 1000) + "/..",
    "a genuine one and more": sign(SECRET, BATCH, time.time() + 1000) + "A",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_forged_addresses(setup, token):
    assert setup.post(token) == 404
    assert setup.is_empty


def test_a_changed_batch(setup):
    genuine = setup.token()
    for index in range(len(genuine)):
        assert (
            setup.post(genuine[:index] + ("A" if genuine[index] != "A" else "B") + genuine[index + 1 :])
            == 404
        )
    assert setup.is_empty


def test_a_token_used_for_another_workflow(setup):
    assert setup.post(setup.token()) == 200
    assert setup.post(setup.token(), {**PAYLOAD, "workflow_id": "v"}) == 404
    assert setup.announce("v").payload("v") is None


def test_an_address_of_one_batch_used_for_the_workflow_of_another(setup):
    setup.announce("w", BATCH)
    other = batch_name("s", "r", "another")
    setup.announce("v", other)
    assert setup.post(setup.token(batch=other)) == 404
    assert setup.inbox.payload("w") is None
    assert setup.post(setup.token()) == 200
    assert setup.inbox.payload("w") == PAYLOAD


def test_what_comes_before_its_announcement_is_kept_and_reported_after_it(setup, monkeypatch):
    import asyncio

    monkeypatch.setattr(module, "UNANNOUNCED_SECONDS", (0.05,) * 100)

    async def early() -> list[str]:
        path = f"/cleanlist/webhook/{setup.token()}"
        response = await setup._request("POST", path, json=PAYLOAD)
        assert response.status_code == 200
        await asyncio.sleep(0.2)
        before = list(setup.notified)
        setup.announce()
        await asyncio.to_thread(setup.was_notified.wait, 4)
        return before

    assert asyncio.run(early()) == []
    assert setup.notified == ["w"]
    assert setup.inbox.payload("w") == PAYLOAD


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"w"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"workflow_id": ""}',
        b'{"workflow_id": null, "event": "enrichment.completed"}',
        b'{"workflow_id": ["w"], "event": "enrichment.completed"}',
        json.dumps({**PAYLOAD, "workflow_id": "w" * 513}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "a\nb"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "w\x1b[31m"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "a\0b"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "\ud800"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "w\u2028"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "['wf_of_other_task']"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "{{ ti }} %s"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": "None"}).encode(),
        json.dumps({**PAYLOAD, "workflow_id": " w"}).encode(),
        json.dumps(PAYLOAD).encode()[:-1] + b', "x": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"workflow_id": "w", "event": "enrichment.completed", "n": ' + b"9" * 5000 + b"}",
    ],
)
def test_malformed_bodies(setup, body):
    assert setup.post(setup.token(), content=body) == 400
    assert setup.is_empty


@pytest.mark.parametrize("is_expected", [True, False])
def test_an_oversized_body(setup, monkeypatch, is_expected):
    monkeypatch.setattr(module, "WEBHOOK", InputLimit(1000, 100))

    async def parts():
        for _ in range(20):
            yield b" " * 100

    assert setup.post(setup.token(), content=b" " * 2000 if is_expected else parts()) == 413
    assert setup.is_empty


def test_the_largest_body_and_one_beyond(setup):
    largest = json.dumps({**PAYLOAD, "x": ""}).encode()
    largest = largest.replace(b'"x": ""', b'"x": "' + b"x" * (WEBHOOK.size - len(largest)) + b'"')
    assert setup.post(setup.token(batch=batch_name("s", "r", "1")), content=largest + b" ") == 413
    assert setup.post(setup.token(), content=largest) == 200


def test_a_body_of_many_values_is_not_parsed(setup):
    assert setup.post(setup.token(), {**PAYLOAD, "x": [[]] * WEBHOOK.values}) == 400
    assert setup.is_empty


def test_an_address_that_ends_nothing_is_refused_after_a_while(setup):
    progress = {"workflow_id": "w", "event": "enrichment.progress", "status": "processing"}
    statuses = [setup.post(setup.token(), progress) for _ in range(WEBHOOK_ATTEMPTS + 2)]
    assert statuses == [200] * WEBHOOK_ATTEMPTS + [429] * 2
    assert setup.post(setup.token(batch=batch_name("s", "r", "another"))) == 200


def test_a_genuine_delivery_after_many_forgeries_is_refused_each_time_and_nothing_is_stored(setup):
    """What security.md says of the holder of an address: polling has to find the end."""
    setup.announce()
    forged = {"workflow_id": "w", "event": "enrichment.progress", "status": "processing"}
    for _ in range(WEBHOOK_ATTEMPTS):
        setup.post(setup.token(), forged)
    assert [setup.post(setup.token()) for _ in range(5)] == [429] * 5
    assert setup.inbox.payload("w") is None
    assert setup.notified == []


def test_attempts_are_counted_by_the_hour_and_by_the_address():
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    assert [attempts.allow("a") for _ in range(WEBHOOK_ATTEMPTS + 1)] == [True] * WEBHOOK_ATTEMPTS + [False]
    assert attempts.allow("b")
    now[0] = 3599
    assert not attempts.allow("a")
    now[0] = 3601
    assert attempts.allow("a")
    for number in range(2 * WEBHOOK_ADDRESSES):
        attempts.allow(str(number))
    assert len(vars(attempts)["_counts"]) <= WEBHOOK_ADDRESSES


def test_large_bodies_do_not_stop_the_event_loop(setup):
    """The API server's own pages are served by the same loop."""
    import asyncio

    results = [{"task_id": "t", "prospect": {str(n): "x" * 40 for n in range(180)}}] * 250
    body = json.dumps({**PAYLOAD, "results": results}).encode()
    assert 2000 * KB < len(body) <= WEBHOOK.size

    async def lag(number: int) -> float:
        path = f"/cleanlist/webhook/{setup.token(batch=batch_name('s', 'r', str(number)))}"
        posting = asyncio.gather(*(setup._request("POST", path, content=body) for _ in range(3)))
        worst = await longest_gap(posting)
        assert {response.status_code for response in await posting} <= {200, 404}
        return worst

    assert min(asyncio.run(lag(number)) for number in range(2)) < 0.1


def test_a_sender_that_hangs_up_leaves_one_line(setup, caplog):
    import asyncio

    async def hang_up() -> list[int]:
        app, sent = setup.transport.app, []
        path = f"/cleanlist/webhook/{setup.token()}"
        messages = [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": []}
        scope |= {"query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http"}
        await app({**scope, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}, receive, send)
        return [message["status"] for message in sent if message["type"] == "http.response.start"]

    assert asyncio.run(hang_up()) == [400]
    assert "the sender hung up" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_slow_body(setup, monkeypatch):
    import asyncio

    monkeypatch.setattr(module, "WEBHOOK_SECONDS", 0.2)

    async def parts():
        while True:
            await asyncio.sleep(0.05)
            yield b" "

    assert setup.post(setup.token(), content=parts()) == 408
    assert setup.is_empty


def test_odd_workflow_ids_stay_inside(setup):
    for number, workflow_id in enumerate(
        ["../../up", "/etc/passwd", "w{{ ti }} %s", "<b>é 名前</b>", "w" * 512]
    ):
        token = setup.token(batch=batch_name("s", "r", str(number)))
        body = json.dumps({**PAYLOAD, "workflow_id": workflow_id}).encode()
        assert setup.post(token, content=body) == 200
        assert setup.announce(workflow_id, batch_name("s", "r", str(number))).payload(workflow_id) is not None
    assert [path.name for path in setup.root.parent.iterdir()] == ["inbox"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_other_methods(setup, method):
    assert setup.ask(method, f"/cleanlist/webhook/{setup.token()}").status_code == 405
    assert setup.is_empty


@pytest.mark.parametrize(
    "path", ["/", "/cleanlist", "/cleanlist/docs", "/docs", "/openapi.json", "/cleanlist/webhook"]
)
def test_nothing_else_is_served(setup, path):
    assert setup.ask("GET", path).status_code == 404


# --- failures, logs --------------------------------------------------------------------------------------------


def test_a_store_that_fails_makes_cleanlist_try_again(setup):
    setup.root.write_text("a file where a directory should be")
    assert setup.post(setup.token()) == 503
    setup.root.unlink()
    assert setup.post(setup.token()) == 200
    assert setup.announce().payload("w") == PAYLOAD


def test_a_store_that_hangs_makes_cleanlist_try_again(setup, monkeypatch):
    monkeypatch.setattr(module, "STORE_SECONDS", 0.1)
    go_on = threading.Event()
    store = setup.inbox.store
    monkeypatch.setattr(setup.inbox, "store", lambda *given: (go_on.wait(5), store(*given))[1])
    assert setup.post(setup.token()) == 503
    go_on.set()


def test_logs_show_neither_bodies_nor_tokens_and_stay_few(setup, caplog):
    tokens = [setup.token(), "A" * 70, setup.token(life=-1)]
    with caplog.at_level(logging.DEBUG):
        for _ in range(50):
            for token in tokens:
                setup.post(token)
            setup.post(tokens[0], content=b'{"primary_email": "teo@harborlight.example"')
    lines = [record for record in caplog.records if record.name == module.__name__]
    assert 1 <= len([line for line in lines if "answered" in line.getMessage()]) <= 2
    own = "".join(line.getMessage() for line in lines)
    assert not any(token in own for token in tokens)
    assert "teo" not in caplog.text


def test_a_quiet_log_counts_what_it_leaves_out(caplog):
    now = [0.0]
    quiet = QuietLog(60, lambda: now[0])
    for moment in (0, 1, 2, 59, 60, 61):
        now[0] = moment
        quiet.warning("Something.")
    assert [record.getMessage() for record in caplog.records] == [
        "Something. (Similar warnings suppressed since the last one: 0.)",
        "Something. (Similar warnings suppressed since the last one: 3.)",
    ]


# --- large deliveries ------------------------------------------------------------------------------------------


def _long_numbers(number: bytes, times: int) -> bytes:
    """Return a delivery with numbers that take long to read, and half a surrogate pair."""
    head = b'{"workflow_id":"w","event":"enrichment.completed","b":"\\ud800","a":['
    return head + b",".join([number] * times) + b"]}"


@pytest.mark.parametrize(
    "body",
    [
        _long_numbers(b"9" * 4290, 500),
        _long_numbers(b"2." + b"22507385850720113605740979670913197593" * 3 + b"e-308", 25_000),
    ],
    ids=["whole numbers", "fractions"],
)
def test_large_deliveries_do_not_stop_the_event_loop(setup, body):
    async def post() -> float:
        path = f"/cleanlist/webhook/{setup.token()}"
        work = asyncio.gather(*(setup._request("POST", path, content=body) for _ in range(3)))
        worst = await longest_gap(work)
        assert [response.status_code for response in work.result()] == [200] * 3
        return worst

    assert min(asyncio.run(post()) for _ in range(2)) < 0.1
    assert setup.announce().payload("w") == json.loads(body)


def test_a_small_delivery_does_not_wait_for_large_ones(setup):
    setup.announce()
    with ThreadPoolExecutor(2) as pool:
        with one_at_a_time():  # as while a large one is parsed
            large = pool.submit(setup.post, setup.token(), {**PAYLOAD, "more": "x" * 20_000})
            assert pool.submit(setup.post, setup.token()).result(10) == 200
            assert not large.done()
        assert large.result(10) == 200
    assert setup.inbox.payload("w") == PAYLOAD
