"""From the submission to the waiting task: the sandbox posts to a real receiver."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_cleanlist.exceptions import (
    CleanlistConfigurationError,
    CleanlistSubmissionUnknownError,
)
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.inbox.inbox import marker_name
from airflow_provider_cleanlist.inbox.tokens import batch_name, sign
from airflow_provider_cleanlist.sensors.workflow import WorkflowSensor
from airflow_provider_cleanlist.submission.webhook_addresses import WebhookAddresses
from airflow_provider_cleanlist.waiting.outcome import CleanlistWaitTimeoutError
from airflow_provider_cleanlist.waiting.wait import summary_of_event
from airflow_provider_cleanlist.webhooks import receiver as module

from .conftest import SECRET

pytestmark = [pytest.mark.integration, pytest.mark.cleanlist_sandbox(requests_per_minute=100_000)]


def eventually(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def context():
    return {"ti": SimpleNamespace(xcom_push=lambda **_: None, start_date=datetime.now(UTC))}


def polls(sandbox) -> int:
    return len(sandbox.ledger.requests(endpoint="enrich_status"))


def deliveries(workflow_id):
    return CleanlistHook().list_webhook_deliveries(workflow_id)


def last_delivery(workflow_ids) -> float:
    """When the last workflow was delivered, seconds since the epoch."""
    rows = [row for workflow_id in workflow_ids for row in deliveries(workflow_id)]
    return max(datetime.fromisoformat(row.created_at).timestamp() for row in rows)


def test_a_waiting_task_needs_no_poll(sandbox, task):
    sandbox.settings.seconds_to_complete = 3
    result = task.run(100, batch_size=25, wait_for_completion=True, deferrable=False)
    ended = time.time()
    assert polls(sandbox) == 0
    assert (result["summary"]["completed"], result["summary"]["emails_found"]) == (4, 100)
    assert ended - last_delivery(result["workflow_ids"]) < 2 + 1  # the log tells whole seconds


def is_kept(inbox, workflow_id):
    """Whether something was delivered for a workflow, announced or not."""
    return any((Path(inbox._root.path) / "workflows").glob(f"{marker_name(workflow_id)}-*"))


def event_of(trigger):
    """Run a trigger as a triggerer does, and return its event."""

    async def first_event():
        return await anext(trigger.run())

    return asyncio.run(first_event())


def deferred(wait):
    with pytest.raises(TaskDeferred) as caught:
        wait()
    return caught.value.trigger


@pytest.mark.parametrize("form", ["result", "ids", "one id"])
def test_a_deferred_sensor_needs_no_poll_and_no_argument(sandbox, task, form):
    """It learns from the inbox that webhooks are to come, however it is told the workflows."""
    sandbox.settings.seconds_to_complete = 3
    result = task.run(20 if form == "one id" else 60, batch_size=20)
    given = {"result": result, "ids": result["workflow_ids"], "one id": result["workflow_ids"][0]}[form]
    sensor = WorkflowSensor(task_id="s", workflow_ids=given)
    trigger = deferred(lambda: sensor.execute(context()))
    assert trigger.request.poll_interval == 600
    event = event_of(trigger)
    assert time.time() - last_delivery(result["workflow_ids"]) < 2 + 1
    assert sensor.execute_complete({}, event.payload)["completed"] == len(result["workflow_ids"])
    assert polls(sandbox) == 0


@pytest.mark.parametrize("is_deferred", [False, True])
@pytest.mark.parametrize("has_failed", [False, True])
def test_a_forged_failure_lets_nobody_pay_again(sandbox, task, monkeypatch, has_failed, is_deferred):
    """Whoever has the address says that the workflow has failed: the API is asked, and what it says is recorded."""
    addresses, url = [], WebhookAddresses.url
    monkeypatch.setattr(
        WebhookAddresses, "url", lambda *given: addresses.append(url(*given)) or addresses[-1]
    )
    sandbox.settings.seconds_to_complete = 3
    if has_failed:
        sandbox.faults.end_workflows(status="failed")
    (workflow_id,) = task.run(20)["workflow_ids"]
    forged = {"event": "enrichment.completed", "workflow_id": workflow_id, "status": "failed"}
    assert httpx.post(addresses[0], json=forged).status_code == 200
    sensor = WorkflowSensor(
        task_id="s", workflow_ids=[workflow_id], failure_policy="never", deferrable=is_deferred
    )
    if is_deferred:
        event = event_of(deferred(lambda: sensor.execute(context())))
        summary = sensor.execute_complete({}, event.payload)
    else:
        summary = sensor.execute(context())
    assert (summary["failed"], summary["completed"]) == ((1, 0) if has_failed else (0, 1))
    assert 1 <= polls(sandbox) <= 4


def test_a_deferred_operator_needs_no_poll(sandbox, task):
    sandbox.settings.seconds_to_complete = 3
    trigger = deferred(lambda: task.run(60, batch_size=20, wait_for_completion=True, deferrable=True))
    assert trigger.request.poll_interval == 600
    event = event_of(trigger)
    assert summary_of_event(event.payload, logging.getLogger())["emails_found"] == 60
    assert polls(sandbox) == 0


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_sensors_in_a_worker_need_no_poll(sandbox, task, mode):
    sandbox.settings.seconds_to_complete = 2
    result = task.run(40, batch_size=20)
    sensor = WorkflowSensor(
        task_id="s", workflow_ids=result, deferrable=False, mode=mode, poke_interval=1, timeout=60
    )
    deadline = time.monotonic() + 30
    while not (told := sensor.poke(context())).is_done:
        assert mode == "reschedule"
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert told.xcom_value["completed"] == 2
    assert polls(sandbox) == 0


def test_workflows_without_webhooks_are_polled_as_ever(sandbox, task):
    result = task.run(20, webhook=False)
    sensor = WorkflowSensor(task_id="s", workflow_ids=result["workflow_ids"] * 2, poll_interval=None)
    assert sensor._request().poll_interval is None


def test_a_lost_webhook_costs_one_safety_poll(connect, inbox, task, monkeypatch):
    """Nobody listens at the address; the wait ends at the first safety poll, here after three seconds."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        sandbox = connect(webhook_base_url=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setattr("airflow_provider_cleanlist.waiting.deliveries.SAFETY_POLL_SECONDS", 3.0)
        result = task.run(60, batch_size=20)
        started = time.time()
        trigger = deferred(lambda: WorkflowSensor(task_id="s", workflow_ids=result).execute(context()))
        event = event_of(trigger)
    assert summary_of_event(event.payload, logging.getLogger())["completed"] == 3
    assert 2.5 < time.time() - started < 10
    assert polls(sandbox) == 3


def test_a_wait_that_times_out_quotes_the_delivery_log(sandbox, receiver, task, monkeypatch):
    """The receiver has another secret, so it answers 404; the wait says so, whichever way it waits."""
    monkeypatch.setattr("airflow_provider_cleanlist.inbox.tokens.verify", lambda *_: None)
    sandbox.settings.seconds_to_complete = 1
    result = task.run(40, batch_size=20)
    for workflow_id in result["workflow_ids"]:
        eventually(lambda wanted=workflow_id: deliveries(wanted))
    told = rf"For workflow {result['workflow_ids'][0]}, Cleanlist tried \d times? to deliver its webhook, and at the "
    told += r"last attempt the receiver answered 404 \(status failed: Not Found\)"
    sensor = WorkflowSensor(task_id="s", workflow_ids=result, timeout=1)
    event = event_of(deferred(lambda: sensor.execute(context())))
    with pytest.raises(CleanlistWaitTimeoutError, match=told):
        sensor.execute_complete({}, event.payload)
    with pytest.raises(CleanlistWaitTimeoutError, match=told):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})
    with pytest.raises(CleanlistWaitTimeoutError, match=told):
        task.run(40, batch_size=20, wait_for_completion=True, deferrable=False, timeout=1)


def test_a_wait_that_times_out_before_the_end_says_that_nothing_was_sent(sandbox, task):
    sandbox.settings.seconds_to_complete = 600
    with pytest.raises(
        CleanlistWaitTimeoutError,
        match="Cleanlist has not tried to deliver a webhook: the workflow has not ended",
    ):
        task.run(10, wait_for_completion=True, deferrable=False, timeout=1)


def test_webhooks_that_came_before_the_wait_began(sandbox, task, inbox):
    result = task.run(40, batch_size=10)
    eventually(lambda: all(inbox.payload(workflow_id) is not None for workflow_id in result["workflow_ids"]))
    again = task.run(40, batch_size=10, wait_for_completion=True, deferrable=False)
    assert again["summary"]["completed"] == 4
    assert polls(sandbox) == 0


def test_copies_and_cuts(sandbox, task, inbox):
    sandbox.settings.change(webhook_copies=3, webhook_results_limit=5)
    (workflow_id,) = task.run(20)["workflow_ids"]
    eventually(lambda: len(deliveries(workflow_id)) == 3)
    payload = inbox.payload(workflow_id)
    assert (len(payload["results"]), payload["results_truncated"]) == (5, 15)


def test_a_lost_answer_is_settled_by_its_webhook(sandbox, task, inbox):
    """The batch was accepted, nobody heard it; the next try learns it from the token and pays nothing again."""
    sandbox.faults.drop("enrich_bulk", after=True)
    with pytest.raises(CleanlistSubmissionUnknownError):
        task.run(30)
    (submit,) = sandbox.ledger.accepted_submits
    eventually(lambda: is_kept(inbox, submit.workflow_id))
    result = task.run(30)
    assert result["workflow_ids"] == [submit.workflow_id]
    assert (result["contacts_submitted"], result["worst_case_credits"]) == (30, 30)
    assert len(sandbox.ledger.accepted_submits) == 1
    assert inbox.payload(submit.workflow_id) is None  # its results are asked of the API


def test_what_is_resubmitted_has_an_address_of_its_own(sandbox, task, inbox):
    sandbox.faults.drop("enrich_bulk", after=True)
    result = task.run(30, on_unknown_submission="resubmit")
    first, second = sandbox.ledger.accepted_submits
    assert result["workflow_ids"] == [second.workflow_id]
    eventually(lambda: is_kept(inbox, first.workflow_id) and is_kept(inbox, second.workflow_id))
    assert inbox.payload(first.workflow_id) is None  # whose answer was lost, so nobody announced it
    assert inbox.payload(second.workflow_id) is not None


def test_the_address_of_one_batch_does_not_end_the_wait_for_another(
    sandbox, receiver, task, inbox, monkeypatch
):
    """A leaked address: it delivers for its own workflow, and for no other that a log may show."""
    sandbox.settings.seconds_to_complete = 600
    urls = []
    monkeypatch.setattr(
        "airflow_provider_cleanlist.submission.webhook_addresses.WebhookAddresses.url", _noting(urls)
    )
    first, _ = task.run(40, batch_size=20)["workflow_ids"]
    forged = {"event": "enrichment.completed", "workflow_id": first, "status": "completed", "results": []}
    assert httpx.post(urls[1], json=forged).status_code == 404
    assert inbox.payload(first) is None
    assert httpx.post(urls[0], json=forged).status_code == 200
    assert inbox.payload(first) == forged


def test_a_webhook_that_is_not_there_settles_nothing(sandbox, task):
    sandbox.settings.seconds_to_complete = 600
    sandbox.faults.drop("enrich_bulk", after=True)
    for _ in range(2):
        with pytest.raises(CleanlistSubmissionUnknownError):
            task.run(30)
    assert len(sandbox.ledger.accepted_submits) == 1


def test_a_receiver_that_is_down_for_a_moment(sandbox, task, inbox, monkeypatch):
    """Cleanlist's second attempt comes after a second."""
    store, failures = module.Inbox.store, iter([module.InboxUnavailableError("full")])

    def failing_once(*given):
        for failure in failures:
            raise failure
        return store(*given)

    monkeypatch.setattr(module.Inbox, "store", failing_once)
    result = task.run(10, wait_for_completion=True, deferrable=False)
    assert result["summary"]["completed"] == 1
    (workflow_id,) = result["workflow_ids"]
    attempts = deliveries(workflow_id)
    assert [attempt.response_status_code for attempt in attempts][:1] == [503]


@pytest.mark.parametrize(
    ("extra", "arguments", "message"),
    [
        ({}, {}, "webhook_base_url must look like"),
        ({"webhook_base_url": "http://airflow.example.com"}, {}, "webhook_base_url must look like"),
        ({"webhook_base_url": "https://a.example"}, {"webhook_url": "https://b.example"}, "not both"),
        ({"webhook_base_url": "https://a.example", "webhook_secret": "short"}, {}, "at least 16 characters"),
    ],
)
def test_wrong_settings_submit_nothing(connect, inbox, task, extra, arguments, message):
    sandbox = connect(**extra)
    with pytest.raises(CleanlistConfigurationError, match=message):
        task.run(5, **arguments)
    assert sandbox.ledger.requests() == []


def test_no_secret(connect, task):
    connect(webhook_base_url="https://a.example")
    with pytest.raises(CleanlistConfigurationError, match="webhook=True needs a secret"):
        task.run(5)


# --- attacks on the socket -------------------------------------------------------------------------------------


def talk(port: int, request: bytes, pause: float = 0.0) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for line in request.splitlines(keepends=True):
            connection.sendall(line)
            time.sleep(pause)
        return connection.recv(100)


@pytest.mark.parametrize(
    "target",
    [
        "/cleanlist/webhook/../../etc/passwd",
        "//cleanlist//webhook//x",
        "/cleanlist/webhook/" + "A" * 70,
        "*",
        "/%",
    ],
)
def test_raw_paths(receiver, inbox, tmp_path, target):
    request = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    assert talk(receiver.port, request).split()[1] in (b"400", b"404")
    assert list(tmp_path.iterdir()) == []


def test_slow_senders_do_not_keep_others_waiting(sandbox, receiver, task, inbox, monkeypatch):
    """Two hundred connections that never finish their bodies, with tokens that are genuine."""
    monkeypatch.setattr(module, "WEBHOOK_SECONDS", 2.0)
    sandbox.settings.seconds_to_complete = 1
    (workflow_id,) = task.run(5)["workflow_ids"]
    slow = []
    for number in range(200):
        token = sign(SECRET, batch_name("s", "r", str(number)), time.time() + 60)
        head = f"POST /cleanlist/webhook/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        connection = socket.create_connection(("127.0.0.1", receiver.port), timeout=20)
        connection.sendall(head.encode() + b"{")
        slow.append(connection)
    eventually(lambda: inbox.payload(workflow_id) is not None, 10)
    answers = {connection.recv(20).split()[1] for connection in slow}
    for connection in slow:
        connection.close()
    assert answers == {b"408"}


def _noting(urls):
    from airflow_provider_cleanlist.submission.webhook_addresses import WebhookAddresses

    original = WebhookAddresses.url

    def url(self, *given):
        urls.append(original(self, *given))
        return urls[-1]

    return url
