"""Webhooks, delivered to a real receiver on loopback."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from airflow_provider_cleanlist.sandbox.clock import ManualClock
from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = pytest.mark.integration


class Receiver:
    """Takes deliveries; answers with the statuses given, then with 200."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str | None, dict]] = []
        self.statuses: list[int] = []
        self.delay = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.received.append((self.path, self.headers["Content-Type"], body))
                time.sleep(receiver.delay)
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=t"


@pytest.fixture
def receiver():
    hook = Receiver()
    thread = threading.Thread(target=hook.server.serve_forever)
    thread.start()
    yield hook
    hook.server.shutdown()
    thread.join()
    hook.server.server_close()


@pytest.fixture
def server():
    arguments = {"clock": ManualClock(), "allow_http_webhooks": True, "seconds_to_complete": 30}
    with SandboxServer(**arguments) as running:
        yield running


def call(server, method, path, **kwargs):
    headers = {"Authorization": f"Bearer {server.api_key}"}
    answer = requests.request(
        method, f"{server.url}/api/v1/public{path}", headers=headers, timeout=5, **kwargs
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def submit(server, url, count=2):
    contacts = [
        {"first_name": f"P{number}", "last_name": "X", "company_domain": "found-both.example"}
        for number in range(count - 1)
    ]
    contacts.append({"first_name": "None", "last_name": "X", "company_domain": "nothing-found.example"})
    body = {"contacts": contacts, "enrichment_type": "full", "webhook_url": url}
    return call(server, "POST", "/enrich/bulk", json=body)


def deliveries(server, workflow_id):
    return call(server, "GET", "/webhooks/deliveries", params={"workflow_id": workflow_id})["deliveries"]


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def test_one_post_when_the_workflow_finishes_though_nobody_polls(server, receiver):
    answer = submit(server, receiver.url)
    server.clock.advance(29.9)
    time.sleep(0.1)
    assert receiver.received == []
    server.clock.advance(0.1)
    wait_for(lambda: receiver.received)
    ((path, content_type, body),) = receiver.received
    assert (path, content_type) == ("/hook?token=t", "application/json")
    workflow_id = answer["workflow_id"]
    tasks = [call(server, "GET", "/enrich/status", params={"task_id": task}) for task in answer["task_ids"]]
    status = call(server, "GET", "/enrich/status", params={"workflow_id": workflow_id})
    assert body == {
        "event": "enrichment.completed",
        "workflow_id": workflow_id,
        "lead_list_id": status["lead_list_id"],
        "enrichment_type": "full",
        "status": "completed",
        "summary": {"total": 2, "successful": 1, "failed": 1, "emails_found": 1, "phones_found": 1},
        "results": tasks,
        "results_limit": 250,
        "results_truncated": 0,
        "results_endpoint": f"/api/v1/public/enrich/status?workflow_id={workflow_id}",
        "completed_at": "2026-06-14T09:20:30Z",
    }
    wait_for(lambda: deliveries(server, workflow_id))
    (delivery,) = deliveries(server, workflow_id)
    assert delivery["id"]
    assert {name: value for name, value in delivery.items() if name != "id"} == {
        "workflow_id": workflow_id,
        "attempt": 1,
        "status": "delivered",
        "response_status_code": 200,
        "error_message": None,
        "created_at": "2026-06-14T09:20:30Z",
    }


def test_five_attempts_with_backoff(server, receiver):
    receiver.statuses = [502, 302, 404, 500, 503, 200]
    workflow_id = submit(server, receiver.url)["workflow_id"]
    server.clock.advance(30)
    for attempt, pause in enumerate([1, 2, 4, 8, 16], start=1):
        wait_for(lambda expected=attempt: len(deliveries(server, workflow_id)) == expected)
        server.clock.advance(pause - 0.1)
        time.sleep(0.03)
        assert len(receiver.received) == attempt
        server.clock.advance(0.1)
    server.clock.advance(1000)
    time.sleep(0.1)
    assert len(receiver.received) == 5
    log = deliveries(server, workflow_id)
    assert [row["attempt"] for row in log] == [1, 2, 3, 4, 5]
    assert [row["response_status_code"] for row in log] == [502, 302, 404, 500, 503]
    assert {row["status"] for row in log} == {"failed"}


def test_success_ends_the_attempts(server, receiver):
    receiver.statuses = [500]
    workflow_id = submit(server, receiver.url)["workflow_id"]
    server.clock.advance(30)
    wait_for(lambda: deliveries(server, workflow_id))
    server.clock.advance(1)
    wait_for(lambda: len(deliveries(server, workflow_id)) == 2)
    server.clock.advance(100)
    time.sleep(0.05)
    assert [row["status"] for row in deliveries(server, workflow_id)] == ["failed", "delivered"]


def test_slow_receivers_time_out(server, receiver):
    server.settings.webhook_timeout_seconds = 0.1
    receiver.delay = 0.5
    workflow_id = submit(server, receiver.url)["workflow_id"]
    server.clock.advance(30)
    wait_for(lambda: deliveries(server, workflow_id))
    (delivery,) = deliveries(server, workflow_id)
    assert (delivery["status"], delivery["response_status_code"]) == ("failed", None)
    assert "timed out" in delivery["error_message"]


def test_nothing_leaves_the_machine(server):
    workflow_id = submit(server, "https://hooks.northfold.example/x")["workflow_id"]
    server.clock.advance(30)
    wait_for(lambda: deliveries(server, workflow_id))
    (delivery,) = deliveries(server, workflow_id)
    assert (delivery["status"], delivery["error_message"]) == (
        "failed",
        "the sandbox delivers to loopback only",
    )


def test_truncated_and_repeated_deliveries(server, receiver):
    server.settings.change(webhook_results_limit=3, webhook_copies=2)
    submit(server, receiver.url, count=5)
    server.clock.advance(30)
    wait_for(lambda: len(receiver.received) == 2)
    bodies = [body for _, _, body in receiver.received]
    assert bodies[0] == bodies[1]
    assert (len(bodies[0]["results"]), bodies[0]["results_truncated"], bodies[0]["results_limit"]) == (
        3,
        2,
        3,
    )


def test_completion_by_polls_delivers_too(server, receiver):
    server.settings.change(seconds_to_complete=0, polls_to_complete=1)
    workflow_id = submit(server, receiver.url)["workflow_id"]
    call(server, "GET", "/enrich/status", params={"workflow_id": workflow_id})
    time.sleep(0.05)
    assert receiver.received == []
    call(server, "GET", "/enrich/status", params={"workflow_id": workflow_id})
    wait_for(lambda: receiver.received)


def test_no_webhook_for_broken_workflows_nor_without_url(server, receiver):
    server.faults.end_workflows("failed")
    broken = submit(server, receiver.url)["workflow_id"]
    silent = submit(server, None)["workflow_id"]
    server.clock.advance(31)
    time.sleep(0.05)
    assert deliveries(server, broken) == deliveries(server, silent) == []
    assert receiver.received == []


def test_unknown_workflow_is_404_and_no_workflow_422(server):
    headers = {"Authorization": f"Bearer {server.api_key}"}
    url = f"{server.url}/api/v1/public/webhooks/deliveries"
    assert requests.get(url, params={"workflow_id": "nope"}, headers=headers, timeout=5).status_code == 404
    assert requests.get(url, headers=headers, timeout=5).status_code == 422


def test_the_sandbox_itself_is_no_webhook(server, receiver):
    person = {"first_name": "P", "last_name": "X", "company_domain": "found-both.example"}
    for host in ("127.0.0.1", "localhost", "127.0.0.2", "[::1]"):
        for url in (f"http://{host}:{server.port}/sandbox/reset", f"http://{host}:99999/"):
            body = {"contacts": [person], "webhook_url": url}
            headers = {"Authorization": f"Bearer {server.api_key}"}
            path = f"{server.url}/api/v1/public/enrich/bulk"
            assert requests.post(path, json=body, headers=headers, timeout=5).status_code == 422, url
    submit(server, receiver.url)
    assert server.ledger.summary()["requests_by_endpoint"] == {"enrich_bulk": {"422": 8, "200": 1}}
