"""Whatever arrives from the network is read or refused by name: no other exception, no hang, nothing unbounded.

A few seconds of it are in the suite; ``nox -s fuzz`` goes on for ten minutes with new inputs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client import endpoints, error_responses, errors, protocol
from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.messages import Response, Surface
from airflow_provider_cleanlist.client.models import Contact, EnrichmentType
from airflow_provider_cleanlist.client.rate_limit.core import Decision, Verdict
from airflow_provider_cleanlist.input_limits import FIELD_ERRORS, QUOTED_CHARACTERS
from airflow_provider_cleanlist.redaction import REDACTED

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

CONTACTS = [Contact(first_name="Wilhelmina", last_name="Quigley", company_name="Sextant")]
CALLS = {
    "validate_key": endpoints.validate_key(10.0),
    "whoami": endpoints.whoami(Surface.V1),
    "balance": endpoints.get_credit_balance(),
    "submit": endpoints.submit_bulk_enrichment(
        CONTACTS, EnrichmentType.FULL, "https://x.example/hook/abcdef"
    ),
    "status": endpoints.get_workflow_status("w"),
    "result": endpoints.get_task_result("t"),
    "deliveries": endpoints.list_webhook_deliveries("w"),
    "lists": endpoints.list_lead_lists(Surface.V2, None, None),
    "list": endpoints.get_lead_list(Surface.V2, "l"),
    "leads": endpoints.get_leads(Surface.V2, "l", 500, None),
    "export": endpoints.export_json(Surface.V2, "l", ["email"], 500, None),
    "delete": endpoints.delete_lead_list(Surface.V2, "l"),
}
WORDS = [
    "error",
    "detail",
    "message",
    "code",
    "problem",
    "fix",
    "request_id",
    "retryable",
    "retry_after_ms",
    "details",
    "required",
    "granted",
    "loc",
    "msg",
    "workflow_id",
    "task_ids",
    "task_id",
    "status",
    "summary",
    "total",
    "processed",
    "progress",
    "results",
    "result",
    "prospect",
    "company",
    "event",
    "leads",
    "lead_id",
    "lists",
    "list_id",
    "name",
    "cursor",
    "credits",
    "organization_id",
    "valid",
    "deliveries",
    "attempt",
    "error_message",
    "primary_email",
    "personal_phone_numbers",
    "phones",
    "other_emails",
    "completed",
    "failed",
    "contacts",
    "body",
]
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from([*WORDS, "9" * 400, "-1", "1e400", "Wilhelmina", "\x1b[31m\u202e", "\ud800"]),
)
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=6),
    ),
    max_leaves=25,
)
bodies = st.one_of(
    documents.map(lambda document: json.dumps(document).encode()),
    st.dictionaries(st.sampled_from(WORDS), documents, max_size=8).map(
        lambda body: json.dumps(body).encode()
    ),
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "date", "location", "content-type"]),
    st.text(max_size=60) | st.from_regex(r"-?\d+\.?\d*"),
)
statuses = st.sampled_from(
    [200, 201, 204, 299, 301, 400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503, 599]
)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@fuzzed
@given(status=statuses, fields=headers, body=bodies, failures=st.integers(0, 6))
def test_every_answer_ends_in_a_result_or_an_error_by_name(
    call: endpoints.Call[Any], status: int, fields: dict[str, str], body: bytes, failures: int
) -> None:
    response = Response(status, fields, body, 1_800_000_000.0)
    limits = protocol.RetryLimits(max_retries=0)
    flow = protocol.exchange(call.request, call.parse, limits, clock=lambda: 0.0, jitter=lambda: 0.5)
    asked = flow.send(None)
    assert isinstance(asked, protocol.Slot)
    flow.send(Decision(Verdict.GO, 0.0))
    failure, step = None, None
    try:
        step = flow.send(response)
    except StopIteration:
        assert 200 <= status < 300
    except errors.ApiError as error:
        failure = error
    if step is not None:
        assert isinstance(step, protocol.Penalty | protocol.Sleep)
        assert 0 < step.seconds <= protocol.MAX_RETRY_AFTER_SECONDS + 1
    if failure is not None:
        assert str(failure).isprintable()
        assert len(failure.info.message.replace(REDACTED, "")) <= QUOTED_CHARACTERS
        assert len(failure.info.field_errors) <= FIELD_ERRORS
        if call is CALLS["submit"]:
            assert "Wilhelmina" not in f"{failure} {failure.info!r}"


@fuzzed
@given(
    text=st.text(max_size=300) | st.from_regex(r"[+-]?\d{0,400}\.?\d*") | st.binary().map(bytes.hex),
    date=st.text(),
)
def test_every_retry_after_is_seconds_or_nothing(text: str, date: str) -> None:
    seconds = error_responses.retry_after_seconds({"retry-after": text, "date": date}, 1_800_000_000.0)
    assert seconds is None or 0 <= seconds < float("inf")


@fuzzed
@given(
    cursors=st.lists(st.one_of(leaves, st.lists(leaves, max_size=2)), min_size=1, max_size=12),
    size=st.integers(0, 2),
)
def test_pages_end_whatever_their_cursors_are(cursors: list[Any], size: int) -> None:
    """Each page names a cursor of the list in turn, for ever."""
    asked = 0

    def page(call: endpoints.Call[Any], observer: object = None) -> Any:
        nonlocal asked
        body = {"leads": [{"lead_id": "l"}] * size, "cursor": cursors[asked % len(cursors)]}
        asked += 1
        assert asked <= len(cursors) + 2
        return call.parse(protocol.Ok(json.loads(json.dumps(body)), 200))

    client = object.__new__(CleanlistClient)
    vars(client).update(_surface=Surface.V2, _translate=lambda error: error, run=page)
    pages: Iterator[Any] = client.iter_lead_pages("l")
    with contextlib.suppress(errors.UnexpectedResponseError):  # the pages never end
        assert len(list(pages)) <= len(cursors) + 1


@fuzzed
@given(body=bodies)
def test_every_webhook_is_a_payload_or_refused(body: bytes) -> None:
    pytest.importorskip("fastapi")
    from airflow_provider_cleanlist.webhooks.events import finished_event_extra
    from airflow_provider_cleanlist.webhooks.receiver import Refusal, is_final, read_payload

    read: Callable[[bytes], tuple[str, dict[str, Any]]] = read_payload
    workflow_id = ""
    with contextlib.suppress(Refusal):
        workflow_id, payload = read(body)
    if not workflow_id:
        return
    assert 0 < len(workflow_id) <= 512
    is_final(payload)
    extra = finished_event_extra(workflow_id, payload)["cleanlist"]
    assert extra["status"] in ("completed", "failed")
    assert len(json.dumps(extra)) < 5000
