"""When a request is sent again, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cleanlist.client import endpoints, errors, protocol
from airflow_provider_cleanlist.client.messages import (
    Repeat,
    Request,
    Response,
    SendResult,
    Surface,
    TransportFailure,
)
from airflow_provider_cleanlist.client.responses import LeadPage
from airflow_provider_cleanlist.input_limits import PAGES

CONTACT = {
    "first_name": "Mara",
    "last_name": "Okafor",
    "company_name": "Quill and Sextant",
    "linkedin_url": "https://www.linkedin.com/in/mara-okafor-example/",
    "email": "mara.okafor@quill.example",
}

GET = Request("read a thing", "GET", Surface.V2, "/things/1")
PATCH = Request("change a thing", "PATCH", Surface.V2, "/things/1", body={"name": "new"})
DELETE = Request("delete a thing", "DELETE", Surface.V2, "/things/1", repeat=Repeat.DELETES)
CREATE = Request("create the lead list", "POST", Surface.V2, "/lead-lists", body={"name": "list"})
SUBMIT = Request(
    "submit the bulk enrichment",
    "POST",
    Surface.V1,
    "/enrich/bulk",
    body={"contacts": [CONTACT]},
    repeat=Repeat.SPENDS_CREDITS,
)

NEVER_MADE = TransportFailure(sent=False, reason="the connection failed or was lost")
LOST = TransportFailure(sent=True, reason="the response did not arrive in time")


def answer(
    status: int, body: Any = None, headers: dict[str, str] | None = None, received_at: float = 1_000_000.0
) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, headers or {}, raw, received_at)


def newer(status: int, *, headers: dict[str, str] | None = None, **fields: Any) -> Response:
    error = {"code": "some_code", "problem": "A problem.", "request_id": "req_1", **fields}
    return answer(status, {"error": error}, headers)


SAFE = (GET, PATCH, DELETE, CREATE)
EVERY = (*SAFE, SUBMIT)


def interpret(
    request: Request,
    answer: SendResult,
    *,
    failures: int = 0,
    max_retries: int = 5,
    window: float = 60.0,
    jitter: float = 0.0,
) -> protocol.Outcome:
    limits = protocol.RetryLimits(max_retries=max_retries, window_seconds=window)
    return protocol.interpret(request, answer, failures=failures, limits=limits, jitter=jitter)


def failed_with(outcome: protocol.Outcome, kind: type[errors.ApiError]) -> errors.ErrorInfo:
    assert isinstance(outcome, protocol.Fail)
    assert type(outcome.error) is kind
    return outcome.error.info


def backs_off(outcome: protocol.Outcome, seconds: float) -> None:
    assert isinstance(outcome, protocol.RetryAfter)
    assert not outcome.blocks_everyone
    assert outcome.seconds == pytest.approx(seconds)


def ids(value: object) -> str | None:
    return value.operation if isinstance(value, Request) else None


# Rows of the table: connection never established


@pytest.mark.parametrize("request_", EVERY, ids=ids)
def test_a_connection_never_made_is_retried_whatever_the_request(request_: Request) -> None:
    backs_off(interpret(request_, NEVER_MADE), 1.0)


@pytest.mark.parametrize("request_", EVERY, ids=ids)
def test_a_connection_never_made_is_given_up_after_all_retries(request_: Request) -> None:
    info = failed_with(interpret(request_, NEVER_MADE, failures=5), errors.TransportError)
    assert info.status is None
    assert info.message == "the connection failed or was lost"


# Rows: answer lost after the request went out


@pytest.mark.parametrize("request_", SAFE, ids=ids)
def test_a_lost_answer_is_asked_for_again(request_: Request) -> None:
    backs_off(interpret(request_, LOST, failures=2), 4.0)
    failed_with(interpret(request_, LOST, failures=5), errors.TransportError)


@pytest.mark.parametrize("failures", [0, 4, 5, 99])
def test_a_lost_answer_of_a_submission_leaves_its_outcome_unknown(failures: int) -> None:
    info = failed_with(interpret(SUBMIT, LOST, failures=failures), errors.SubmissionUnknownError)
    assert info.message == "the response did not arrive in time"


# Rows: 429

BOTH_429 = [
    pytest.param(lambda headers: answer(429, {"detail": "Rate limit exceeded"}, headers), id="legacy"),
    pytest.param(lambda headers: newer(429, headers=headers, retryable=True), id="newer"),
    pytest.param(lambda headers: newer(429, headers=headers), id="newer-retryable-absent"),
    pytest.param(lambda headers: answer(429, b"<html>slow down</html>", headers), id="html"),
    pytest.param(lambda headers: answer(429, None, headers), id="empty"),
]


@pytest.mark.parametrize("make", BOTH_429)
@pytest.mark.parametrize("request_", EVERY, ids=ids)
@pytest.mark.parametrize("failures", [0, 5, 99])
def test_429_stops_everyone_and_is_retried_however_many_failures_came_before(
    request_: Request, make: Callable[[dict[str, str]], Response], failures: int
) -> None:
    outcome = interpret(request_, make({"retry-after": "7"}), failures=failures)
    assert isinstance(outcome, protocol.RetryAfter)
    assert outcome.blocks_everyone
    assert outcome.seconds == 7.0
    assert isinstance(outcome.error, errors.RateLimitedError)


@pytest.mark.parametrize("request_", EVERY, ids=ids)
def test_429_that_forbids_a_retry_is_obeyed(request_: Request) -> None:
    info = failed_with(interpret(request_, newer(429, retryable=False)), errors.RateLimitedError)
    assert info.status == 429


# Rows: 503


@pytest.mark.parametrize("request_", EVERY, ids=ids)
@pytest.mark.parametrize(
    "unavailable",
    [answer(503, {"detail": "Service temporarily unavailable"}), newer(503), newer(503, retryable=True)],
    ids=["legacy", "newer", "newer-retryable"],
)
def test_503_is_retried_with_backoff_whatever_the_request(request_: Request, unavailable: Response) -> None:
    for failures, seconds in enumerate([1.0, 2.0, 4.0, 8.0, 16.0]):
        backs_off(interpret(request_, unavailable, failures=failures), seconds)
    failed_with(interpret(request_, unavailable, failures=5), errors.ServerError)


@pytest.mark.parametrize("request_", EVERY, ids=ids)
def test_503_that_forbids_a_retry_is_obeyed(request_: Request) -> None:
    failed_with(interpret(request_, newer(503, retryable=False)), errors.ServerError)


@pytest.mark.parametrize(
    ("retry_after", "failures", "seconds"),
    [("3", 0, 3.0), ("3", 3, 8.0), ("0", 0, 1.0), ("900", 0, 120.0), ("soon", 1, 2.0)],
)
def test_503_waits_at_least_as_long_as_the_server_asks(
    retry_after: str, failures: int, seconds: float
) -> None:
    backs_off(interpret(GET, answer(503, None, {"retry-after": retry_after}), failures=failures), seconds)


def test_backoff_stops_growing_at_thirty_seconds_and_is_stretched_by_up_to_a_half() -> None:
    backs_off(interpret(GET, answer(503), failures=50, max_retries=99), 30.0)
    backs_off(interpret(GET, answer(503), failures=1, jitter=0.5), 2.5)
    backs_off(interpret(GET, answer(503), failures=50, max_retries=99, jitter=0.9999), 30.0 * 1.49995)


# Rows: 500, 502, 504 and every other 5xx


@pytest.mark.parametrize("status", [500, 501, 502, 504, 507, 520, 599])
@pytest.mark.parametrize("retryable", [None, True])
@pytest.mark.parametrize("request_", SAFE, ids=ids)
def test_a_server_error_is_retried(request_: Request, status: int, retryable: bool | None) -> None:
    backs_off(interpret(request_, newer(status, retryable=retryable), failures=1), 2.0)
    info = failed_with(
        interpret(request_, newer(status, retryable=retryable), failures=5), errors.ServerError
    )
    assert info.status == status


@pytest.mark.parametrize("request_", SAFE, ids=ids)
def test_a_server_error_that_forbids_a_retry_is_obeyed(request_: Request) -> None:
    failed_with(interpret(request_, newer(500, retryable=False)), errors.ServerError)


@pytest.mark.parametrize("status", [500, 501, 502, 504, 507, 520, 599])
@pytest.mark.parametrize(
    "make",
    [
        lambda status: answer(status, {"detail": "Internal server error"}),
        newer,
        lambda status: newer(status, retryable=True),
        lambda status: newer(status, retryable=False),
        lambda status: answer(status, b"<html>bad gateway</html>"),
        answer,
    ],
    ids=["legacy", "newer", "retryable", "not-retryable", "html", "empty"],
)
@pytest.mark.parametrize("failures", [0, 5])
def test_a_server_error_leaves_the_outcome_of_a_submission_unknown(
    status: int, make: Callable[[int], Response], failures: int
) -> None:
    info = failed_with(interpret(SUBMIT, make(status), failures=failures), errors.SubmissionUnknownError)
    assert info.status == status


@pytest.mark.parametrize("status", [102, 103, 199])
def test_an_informational_response_is_no_refusal(status: int) -> None:
    failed_with(interpret(SUBMIT, answer(status), failures=0), errors.SubmissionUnknownError)
    assert isinstance(interpret(GET, answer(status), failures=0), protocol.RetryAfter)


# Rows: any 4xx but 429, and redirects

REFUSALS = {
    300: errors.BadRequestError,
    301: errors.BadRequestError,
    302: errors.BadRequestError,
    304: errors.BadRequestError,
    307: errors.BadRequestError,
    308: errors.BadRequestError,
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.InsufficientCreditsError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    405: errors.BadRequestError,
    408: errors.BadRequestError,
    409: errors.BadRequestError,
    410: errors.BadRequestError,
    413: errors.BadRequestError,
    418: errors.BadRequestError,
    422: errors.InvalidRequestError,
    425: errors.BadRequestError,
    451: errors.BadRequestError,
    499: errors.BadRequestError,
}


@pytest.mark.parametrize(("status", "kind"), REFUSALS.items())
@pytest.mark.parametrize("retryable", [None, True, False])
@pytest.mark.parametrize("request_", EVERY, ids=ids)
def test_a_refusal_is_never_retried_even_if_it_says_so(
    request_: Request, status: int, kind: type[errors.ApiError], retryable: bool | None
) -> None:
    if request_ is SUBMIT and status not in {400, 401, 402, 403, 404, 409, 413, 422}:
        kind = errors.SubmissionUnknownError  # no status that the API documents
    info = failed_with(interpret(request_, newer(status, retryable=retryable, retry_after_ms=5)), kind)
    assert info.status == status
    assert info.retryable is retryable
    failed_with(interpret(request_, answer(status, {"detail": "No."}, {"retry-after": "1"})), kind)
    if request_ is not SUBMIT:
        failed_with(interpret(request_, answer(status)), kind)


FOREIGN: dict[str, Any] = {
    "empty": None,
    "Envoy": b"upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    "nginx": b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>",
    "API gateway": {"message": "Service Unavailable"},
    "Google's load balancer": {
        "error": {"code": 503, "status": "UNAVAILABLE", "message": "no healthy upstream"}
    },
    "a list": [{"detail": "No."}],
    "cut off": b'{"detail": "No',
    "nothing said": {"detail": None, "error": ""},
    "Spring": {
        "timestamp": "2026-11-30T21:00:00Z",
        "status": 503,
        "error": "Service Unavailable",
        "path": "/",
    },
    "problem details": {
        "type": "about:blank",
        "title": "Unavailable",
        "status": 503,
        "detail": "Upstream reset",
    },
    "Tyk": {"error": "There was a problem proxying the request"},
    "Azure": {"error": {"code": "ServiceUnavailable", "message": "Try again later."}},
    "an error of another service": {"error": {"code": "upstream_timeout", "problem": "upstream timed out"}},
    "blank texts": {"error": {"code": "", "problem": " ", "request_id": ""}},
    "something beside it": {"error": {"code": "c", "problem": "p", "request_id": "r"}, "status": 503},
    "a blank text": {"detail": " "},
    "no text": {"detail": True},
    "an object": {"detail": {"error": "upstream"}},
}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("status", [*REFUSALS, 503])
def test_who_is_not_the_api_does_not_know_whether_it_accepted_a_submission(status: int, body: Any) -> None:
    foreign = answer(status, body, {"retry-after": "1"})
    assert failed_with(interpret(SUBMIT, foreign), errors.SubmissionUnknownError).status == status
    outcome = interpret(GET, foreign)
    assert isinstance(outcome, protocol.RetryAfter if status == 503 else protocol.Fail)


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "Insufficient credits"},
        {"error": {"code": "c", "problem": "Not enough.", "request_id": "req_1", "available_credits": 3}},
    ],
)
def test_each_form_of_the_apis_errors_is_a_refusal(body: Any) -> None:
    failed_with(interpret(SUBMIT, answer(402, body)), errors.InsufficientCreditsError)
    backs_off(interpret(SUBMIT, answer(503, body)), 1.0)
    for foreign in (
        answer(408, body),
        answer(425, body),
        answer(503, body, {"content-type": "application/problem+json"}),
    ):
        failed_with(interpret(SUBMIT, foreign), errors.SubmissionUnknownError)


def test_invalid_contacts_are_a_refusal() -> None:
    body = {"detail": [{"loc": ["body", "contacts", 0], "msg": "No.", "type": "t"}]}
    failed_with(interpret(SUBMIT, answer(422, body)), errors.InvalidRequestError)
    failed_with(interpret(SUBMIT, answer(503, body)), errors.SubmissionUnknownError)


# 404 after a repeated DELETE


def test_a_repeated_delete_that_finds_nothing_has_succeeded() -> None:
    assert interpret(DELETE, answer(404), failures=1) == protocol.Ok({}, 404)


def test_a_first_delete_that_finds_nothing_has_not() -> None:
    failed_with(interpret(DELETE, answer(404), failures=0), errors.NotFoundError)


@pytest.mark.parametrize("request_", [GET, PATCH, CREATE, SUBMIT], ids=ids)
def test_nothing_else_takes_404_for_success(request_: Request) -> None:
    failed_with(interpret(request_, answer(404, {"detail": "Not found"}), failures=3), errors.NotFoundError)


# 2xx


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
@pytest.mark.parametrize("request_", EVERY, ids=ids)
def test_any_2xx_is_success(request_: Request, status: int) -> None:
    assert interpret(request_, answer(status, {"a": 1})) == protocol.Ok({"a": 1}, status)
    assert interpret(request_, answer(status, [1])) == protocol.Ok([1], status)


@pytest.mark.parametrize(
    ("leads", "weight"),
    [([{"lead_id": "1", "x": "y" * 10_000}], 10_050), ([{"lead_id": "1", "x": [{}] * 9}], 23 * 40)],
)
def test_a_page_counts_by_its_size_or_by_its_values(leads: list[dict[str, Any]], weight: int) -> None:
    call = endpoints.get_leads(Surface.V2, "l", 500, None)
    outcome = interpret(call.request, answer(200, {"leads": leads, "total": 1}))
    assert isinstance(outcome, protocol.Ok)
    assert call.parse(outcome).weight == weight


@pytest.mark.parametrize("age", ["1", "60", " 3600 ", "0, 12", "soon", "-1"])
def test_what_a_cache_has_kept_is_not_taken(age: str) -> None:
    kept = answer(200, {"valid": True}, {"age": age})
    info = failed_with(interpret(GET, kept), errors.UnexpectedResponseError)
    assert info.message == "something on the way has kept the response"
    assert info.hint is not None
    assert info.hint.startswith("A cache or proxy on the way")
    failed_with(interpret(SUBMIT, kept), errors.SubmissionUnknownError)


@pytest.mark.parametrize("age", ["", "0", " 0 ", "0, 0"])
def test_what_has_just_passed_a_cache_is_taken(age: str) -> None:
    assert interpret(GET, answer(200, {"a": 1}, {"age": age})) == protocol.Ok({"a": 1}, 200)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("a", 1),
        ("\u00e9", 1),
        ("\u4e2d", 1),
        ("\ud7ff", 1),
        ("\U0001f600", 4),
        ("\U000e0101", 4),
        ("\U0010ffff", 4),
    ],
)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_page_with_a_wide_character_counts_four_times(text: str, width: int, ensure_ascii: bool) -> None:
    raw = json.dumps(
        {"leads": [{"lead_id": "1", "x": text + "y" * 1_000}]}, ensure_ascii=ensure_ascii
    ).encode()
    outcome = interpret(GET, answer(200, raw))
    assert isinstance(outcome, protocol.Ok)
    assert outcome.weight == width * len(raw)


@pytest.mark.parametrize("body", [b"", b"  \n"])
@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_success_is_an_empty_object(status: int, body: bytes) -> None:
    assert interpret(DELETE, answer(status, body)) == protocol.Ok({}, status)


NOT_OBJECTS = [b"<html>hi</html>", b'"text"', b"7", b"null", b"{", b"\xff\xfe{}", b"[" * 100_000]


@pytest.mark.parametrize("body", NOT_OBJECTS, ids=range(len(NOT_OBJECTS)))
@pytest.mark.parametrize("request_", SAFE, ids=ids)
def test_a_success_that_cannot_be_read_is_an_error_with_a_hint_about_the_host(
    request_: Request, body: bytes
) -> None:
    info = failed_with(interpret(request_, answer(200, body)), errors.UnexpectedResponseError)
    assert info.hint == "Check the host of the connection: is it the Cleanlist API?"


def test_an_object_that_is_nested_too_deeply_is_told_from_the_wrong_host() -> None:
    deep = b'{"leads": ' + b"[" * 400 + b"]" * 400 + b"}"
    info = failed_with(interpret(SAFE[0], answer(200, deep)), errors.UnexpectedResponseError)
    assert info.message.endswith("or is nested more than 200 deep")


@pytest.mark.parametrize("body", NOT_OBJECTS, ids=range(len(NOT_OBJECTS)))
def test_a_submission_accepted_with_words_that_cannot_be_read_is_of_unknown_outcome(body: bytes) -> None:
    failed_with(interpret(SUBMIT, answer(200, body)), errors.SubmissionUnknownError)


def test_requests_and_answers_do_not_show_what_they_carry() -> None:
    personal = Request(
        "r", "GET", Surface.V1, "/p", params={"name": "Mara"}, body={"email": "mara@quill.example"}
    )
    text = f"{SUBMIT!r} {personal} {answer(200, {'first_name': 'Mara'})!r}"
    assert "mara" not in text.lower()
    assert (
        text
        == "Request(POST /api/v1/public/enrich/bulk) Request(GET /api/v1/public/p) Response(200, <22 bytes>)"
    )


class TestPageCursors:
    """What follows from the cursors of pages that never get to an end."""

    @staticmethod
    def page(cursor: str | None, leads: int = 1) -> LeadPage:
        return LeadPage("list", [{"lead_id": "l"}] * leads, None, cursor)

    def test_cursors_to_the_end(self) -> None:
        cursors = protocol.PageCursors("read", "c0", pages=4)
        given = ["c1", "\n\U0001f69a", "c" * 4096, None]
        assert [cursors.after(self.page(cursor)) for cursor in given] == given

    @pytest.mark.parametrize(
        ("pages", "problem"),
        [
            (["c1", "c0"], "cursor was repeated"),
            (["c1", "c2", "c1"], "cursor was repeated"),
            (["c" * 4097], "more than 4,096 characters"),
            (["c1", "\ud800"], "characters or invalid ones"),
            (["c1", "c2", "c3", "c4"], "too many pages"),
        ],
    )
    def test_cursors_that_are_refused(self, pages: list[str], problem: str) -> None:
        cursors = protocol.PageCursors("read the leads", "c0", pages=4)
        for cursor in pages[:-1]:
            assert cursors.after(self.page(cursor)) == cursor
        with pytest.raises(errors.UnexpectedResponseError, match=f"read the leads.*{problem}"):
            cursors.after(self.page(pages[-1]))

    def test_fresh_cursors_for_ever_end_and_take_little_memory(self) -> None:
        cursors = protocol.PageCursors("read")
        for number in range(1, PAGES):
            cursors.after(self.page(f"{number:0100}"))
        with pytest.raises(errors.UnexpectedResponseError, match="too many pages"):
            cursors.after(self.page("one more"))
        assert all(len(seen) == 16 for seen in cursors._seen)


@pytest.mark.parametrize(
    ("response", "is_foreign"),
    [
        (answer(401, {"detail": "Invalid API key"}), False),
        (newer(403), False),
        (answer(302, b""), True),
        (answer(401, b"<html>sign in</html>"), True),
        (answer(403, {"status": 403, "message": "blocked"}), True),
        (answer(404, b"<html>no such page</html>"), True),
        (answer(405, {"detail": "Method Not Allowed"}), True),
    ],
)
def test_what_the_api_itself_may_have_said_is_told_from_pages_in_between(response, is_foreign):
    outcome = interpret(GET, response)
    assert isinstance(outcome, protocol.Fail)
    assert outcome.error.info.is_foreign is is_foreign
