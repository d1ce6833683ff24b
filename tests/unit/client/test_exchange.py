"""The flow of one request: exact sequences of steps, and what holds for every sequence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.client import errors, protocol
from airflow_provider_cleanlist.client.messages import (
    Repeat,
    Request,
    Response,
    SendResult,
    Surface,
    TransportFailure,
)
from airflow_provider_cleanlist.client.rate_limit.core import Decision, Priority, Reservation, Verdict

GET = Request("read a thing", "GET", Surface.V2, "/things/1")
DELETE = Request("delete a thing", "DELETE", Surface.V2, "/things/1", repeat=Repeat.DELETES)
SUBMIT = Request(
    "submit the bulk enrichment",
    "POST",
    Surface.V1,
    "/enrich/bulk",
    body={"contacts": [{"first_name": "Mara"}]},
    repeat=Repeat.SPENDS_CREDITS,
)
GO = Decision(Verdict.GO, 0.0)
NEVER_MADE = TransportFailure(sent=False, reason="the connection failed or was lost")
LOST = TransportFailure(sent=True, reason="the response did not arrive in time")
SLOT = "slot"
"""Stands for a Slot step in expected sequences."""


def answer(
    status: int, body: Any = None, headers: dict[str, str] | None = None, received_at: float = 1_000_000.0
) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, headers or {}, raw, received_at)


def _in_turn(decisions: Iterable[Decision]) -> Callable[[protocol.Slot, float], Decision]:
    left = iter(decisions)
    return lambda slot, now: next(left, GO)


class Run:
    """Drives :func:`protocol.exchange` with scripted results on a virtual clock.

    Args:
        request: What to send.
        answers: One per sending, in order.
        decisions: One per Slot, and GO when used up; or what decides, given the Slot and the time.
        takes: Seconds that each sending takes.
    """

    def __init__(
        self,
        request: Request,
        answers: Iterable[SendResult],
        *,
        limits: protocol.RetryLimits | None = None,
        decisions: Iterable[Decision] | Callable[[protocol.Slot, float], Decision] = (),
        takes: float = 0.0,
        jitter: float = 0.0,
        parse: Callable[[protocol.Ok], Any] = lambda ok: ok.body,
    ) -> None:
        self.now = 1000.0
        self.steps: list[Any] = []
        self.slept = 0.0
        self.sendings = 0
        self.slots: list[protocol.Slot] = []
        self.result: Any = None
        self.error: Exception | None = None
        script = iter(answers)
        decide = decisions if callable(decisions) else _in_turn(decisions)
        flow = protocol.exchange(
            protocol.Call(request, parse),
            limits or protocol.RetryLimits(),
            clock=lambda: self.now,
            jitter=lambda: jitter,
        )
        result: Any = None
        try:
            while True:
                step = flow.send(result)
                result = None
                if isinstance(step, protocol.Slot):
                    self.steps.append(SLOT)
                    self.slots.append(step)
                    result = decide(step, self.now)
                elif isinstance(step, Request):
                    self.steps.append(step)
                    self.sendings += 1
                    self.now += takes
                    result = next(script)
                elif isinstance(step, protocol.Sleep):
                    self.steps.append(step)
                    self.slept += step.seconds
                    self.now += step.seconds
                else:
                    self.steps.append(step)
        except StopIteration as done:
            self.result = done.value
        except Exception as error:
            self.error = error


def wait(seconds: float, reservation: Reservation | None = None) -> Decision:
    return Decision(Verdict.WAIT, seconds, reservation)


# The flow: exact sequences of steps


def test_a_success_takes_one_slot_and_one_request() -> None:
    run = Run(GET, [answer(200, {"a": 1})])
    assert run.steps == [SLOT, GET]
    assert run.result == {"a": 1}


def test_a_poll_asks_in_its_own_class() -> None:
    request = Request("poll", "GET", Surface.V1, "/enrich/status", priority=Priority.POLL, max_wait=600.0)
    run = Run(request, [answer(200, {})])
    assert run.slots == [protocol.Slot(Priority.POLL, since=1000.0, until=1600.0)]


def test_waiting_for_a_place_shows_it_when_its_time_has_come() -> None:
    first, second = Reservation(1003.0, True, 7), Reservation(1005.0, True, 8)
    run = Run(GET, [answer(200, {})], decisions=[wait(3.0, first), wait(2.0, second), GO])
    assert run.steps == [SLOT, protocol.Sleep(3.0), SLOT, protocol.Sleep(2.0), SLOT, GET]
    assert run.slots == [
        protocol.Slot(Priority.WORK, since=1000.0, until=1900.0, reservation=None),
        protocol.Slot(Priority.WORK, since=1000.0, until=1900.0, reservation=first),
        protocol.Slot(Priority.WORK, since=1000.0, until=1900.0, reservation=second),
    ]


def test_a_request_that_cannot_get_a_place_in_time_is_not_sent() -> None:
    run = Run(SUBMIT, [], decisions=[Decision(Verdict.REFUSED, 1234.0)])
    assert run.steps == [SLOT]
    assert isinstance(run.error, errors.RateLimitedError)
    assert "fully booked for the next 1234 s" in str(run.error)
    assert "its limit is 900 s" in str(run.error)


@pytest.mark.parametrize("failure", [LOST, NEVER_MADE, answer(500), answer(503)], ids=range(4))
def test_a_transient_failure_pauses_this_request_only_and_takes_a_new_place(failure: SendResult) -> None:
    run = Run(GET, [failure, failure, answer(200, {})])
    assert run.steps == [
        *(SLOT, GET, protocol.Sleep(1.0)),
        *(SLOT, GET, protocol.Sleep(2.0)),
        *(SLOT, GET),
    ]


def test_failures_are_given_up_after_so_many_retries() -> None:
    limits = protocol.RetryLimits(max_retries=2)
    run = Run(GET, [answer(500)] * 9, limits=limits)
    assert run.sendings == 3
    assert isinstance(run.error, errors.ServerError)
    none = Run(GET, [NEVER_MADE] * 9, limits=protocol.RetryLimits(max_retries=0))
    assert none.steps == [SLOT, GET]
    assert isinstance(none.error, errors.TransportError)


def test_a_429_blocks_the_budget_and_sleeps_only_in_its_queue() -> None:
    run = Run(
        GET,
        [answer(429, None, {"retry-after": "30"}), answer(200, {})],
        decisions=[GO, wait(30.0), GO],
    )
    assert run.steps == [
        *(SLOT, GET, protocol.Penalty(30.0)),
        *(SLOT, protocol.Sleep(30.0), SLOT, GET),
    ]


def test_the_queue_after_a_429_counts_its_own_waiting_time() -> None:
    run = Run(
        GET,
        [answer(429, None, {"retry-after": "30"}), answer(200, {})],
        decisions=[wait(50.0), GO, wait(30.0), GO],
    )
    assert [slot.since for slot in run.slots] == [1000.0, 1000.0, 1050.0, 1050.0]
    assert {slot.until for slot in run.slots} == {1900.0}


def test_429s_never_count_as_failures() -> None:
    busy = answer(429, None, {"retry-after": "1"})
    run = Run(GET, [busy] * 50 + [NEVER_MADE, answer(200, {})], limits=protocol.RetryLimits(max_retries=1))
    assert run.result == {}
    assert run.sendings == 52
    assert run.steps.count(protocol.Sleep(1.0)) == 1


def test_a_429_longer_than_the_request_may_wait_still_blocks_everyone() -> None:
    request = Request("read a thing", "GET", Surface.V2, "/x", max_wait=20.0)
    run = Run(request, [answer(429, {"detail": "Slow down"}, {"retry-after": "21"})])
    assert run.steps == [SLOT, request, protocol.Penalty(21.0)]
    assert isinstance(run.error, errors.RateLimitedError)
    assert run.error.info.status == 429


def test_no_pause_begins_that_would_end_after_the_deadline() -> None:
    request = Request("read a thing", "GET", Surface.V2, "/x", max_wait=6.9)
    run = Run(request, [answer(503)] * 9)
    assert run.slept == 3.0  # 1 + 2; the next 4 would end at 7
    assert isinstance(run.error, errors.ServerError)


def test_time_spent_on_slow_answers_counts_against_the_deadline() -> None:
    request = Request("read a thing", "GET", Surface.V2, "/x", max_wait=100.0)
    run = Run(request, [LOST] * 9, takes=60.0)
    assert run.sendings == 2
    assert isinstance(run.error, errors.TransportError)


@pytest.mark.parametrize(
    "safe",
    [answer(503, {"detail": "Down"}), NEVER_MADE, answer(429, None, {"retry-after": "1"})],
    ids=range(3),
)
@pytest.mark.parametrize(
    "end",
    [LOST, answer(500), answer(502), answer(504), answer(200, b"?"), answer(503), answer(408, b"<html>")],
    ids=range(7),
)
def test_a_submission_is_repeated_until_its_outcome_is_unknown(safe: SendResult, end: SendResult) -> None:
    run = Run(SUBMIT, [safe, safe, end, answer(200, {"workflow_id": "w"})])
    assert run.sendings == 3
    assert isinstance(run.error, errors.SubmissionUnknownError)


def test_a_submission_whose_answer_lacks_what_matters_is_of_unknown_outcome() -> None:
    def parse(_: protocol.Ok) -> None:
        raise ValueError("names Mara Okafor")

    run = Run(SUBMIT, [answer(200, {})], parse=parse)
    assert isinstance(run.error, errors.SubmissionUnknownError)
    assert run.error.__context__ is None
    assert run.error.__cause__ is None
    assert "Mara" not in str(run.error)
    again = Run(GET, [answer(200, {})], parse=parse)
    assert isinstance(again.error, errors.UnexpectedResponseError)


def test_a_bug_in_a_parser_is_not_taken_for_a_bad_answer() -> None:
    run = Run(GET, [answer(200, {})], parse=lambda ok: ok.body["missing"])
    assert isinstance(run.error, KeyError)


# Properties

statuses = st.sampled_from([200, 201, 301, 400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503, 504])
bodies = st.sampled_from(
    [
        {"workflow_id": "w"},
        {"detail": "text"},
        {
            "error": {
                "code": "c",
                "problem": "p",
                "request_id": "r",
                "retryable": True,
                "retry_after_ms": 2000,
            }
        },
        {"error": {"code": "c", "problem": "p", "request_id": "r", "retryable": False}},
        b"<html>",
        None,
    ]
)
retry_afters = st.sampled_from([None, "0", "3", "-1", "30", "1000", "x"])


@st.composite
def wire_answers(draw: st.DrawFn) -> SendResult:
    if draw(st.booleans()):
        return TransportFailure(sent=draw(st.booleans()), reason="lost")
    header = draw(retry_afters)
    return answer(draw(statuses), draw(bodies), {} if header is None else {"retry-after": header})


@st.composite
def limiter_decisions(draw: st.DrawFn) -> Decision:
    seconds = draw(st.floats(0.0, 100.0))
    return draw(st.sampled_from([GO, GO, wait(seconds), Decision(Verdict.REFUSED, 2000.0)]))


def may_have_been_accepted(it: SendResult) -> bool:
    if isinstance(it, TransportFailure):
        return it.sent
    if it.status < 300 or (it.status >= 500 and it.status != 503):
        return True
    return it.status == 301 or (it.status != 429 and b'"detail"' not in it.body and b'"code"' not in it.body)


@given(st.lists(wire_answers(), min_size=1, max_size=30), st.integers(0, 10), st.floats(0.0, 2000.0))
def test_a_submission_is_never_sent_again_after_it_may_have_been_accepted(
    script: list[SendResult], max_retries: int, max_wait: float
) -> None:
    request = Request(
        "submit", "POST", Surface.V1, "/enrich/bulk", body={}, repeat=Repeat.SPENDS_CREDITS, max_wait=max_wait
    )
    run = Run(
        request,
        [*script, answer(402, {"detail": "No credits"})],
        limits=protocol.RetryLimits(max_retries=max_retries),
    )
    doubtful = [n for n, it in enumerate(script, 1) if may_have_been_accepted(it)]
    if doubtful:
        assert run.sendings <= doubtful[0]
    if doubtful and run.sendings == doubtful[0]:
        read = run.result is not None
        assert read or isinstance(run.error, errors.SubmissionUnknownError)
    else:
        assert not isinstance(run.error, errors.SubmissionUnknownError)


@given(
    st.sampled_from([GET, DELETE, SUBMIT]),
    st.lists(wire_answers(), min_size=1, max_size=40),
    st.lists(limiter_decisions(), max_size=40),
    st.floats(0.0, 2000.0),
    st.floats(0.0, 0.999),
)
def test_waiting_never_exceeds_what_the_request_allows(
    template: Request,
    script: list[SendResult],
    decisions: list[Decision],
    max_wait: float,
    jitter: float,
) -> None:
    request = Request("r", template.method, Surface.V1, "/x", repeat=template.repeat, max_wait=max_wait)
    left = iter(decisions)

    def decide(slot: protocol.Slot, now: float) -> Decision:
        """A limiter keeps its delays within what it is told the request may wait."""
        decision = next(left, GO)
        return replace(decision, delay=max(0.0, min(decision.delay, slot.until - now)))

    run = Run(request, [*script, answer(400)], decisions=decide, jitter=jitter)
    assert run.slept <= max_wait + 1e-6


@given(st.lists(st.sampled_from(["429", "lost"]), max_size=60), st.integers(0, 6))
def test_only_real_failures_use_up_retries(script: list[str], max_retries: int) -> None:
    request = Request("r", "GET", Surface.V1, "/x", max_wait=math.inf)
    answers = [LOST if it == "lost" else answer(429, None, {"retry-after": "1"}) for it in script]
    run = Run(request, [*answers, answer(200, {})], limits=protocol.RetryLimits(max_retries=max_retries))
    if script.count("lost") <= max_retries:
        assert run.result == {}
        assert run.sendings == len(script) + 1
    else:
        assert isinstance(run.error, errors.TransportError)
        assert run.steps.count(protocol.Penalty(1.0)) == run.sendings - max_retries - 1
