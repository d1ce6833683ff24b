"""Hostile responses over real sockets: too large, compressed a thousandfold, endless, slow; blocking and on a loop."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import resource
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cleanlist import input_limits
from airflow_provider_cleanlist.client import endpoints, enrichment, errors, receiving, transport
from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.input_limits import KB, MB, InputLimit

from ...event_loop import longest_gap
from .answers import BEGIN, FAILED, MOVED, on_a_loop, sends, ways

pytestmark = pytest.mark.integration


def zeros(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    return b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()


@ways
@pytest.mark.parametrize(
    "behave",
    [
        sends(BEGIN, again=b"x" * 65536),
        sends(BEGIN + b"Content-Encoding: gzip\r\n", zeros(64 * MB)),
        sends(BEGIN + b"Transfer-Encoding: chunked\r\n", again=b"10000\r\n" + b" " * 65536 + b"\r\n"),
    ],
    ids=["endless", "64 MB in 64 KB", "endless chunks"],
)
def test_a_success_that_is_too_large_is_refused_early(
    serve: Any, connect: Any, ask: Callable[[Any], Any], behave: Any
) -> None:
    client = connect(serve(behave).url)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with pytest.raises(errors.UnexpectedResponseError, match="cannot be read: it is larger than 4 MB"):
        ask(client)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 * KB  # in KB: 40 MB
    assert time.process_time() - started < 1.5


@ways
def test_a_success_in_chunks_of_two_bytes_is_refused_early(
    serve: Any, connect: Any, ask: Callable[[Any], Any]
) -> None:
    client = connect(serve(sends(BEGIN + b"Transfer-Encoding: chunked\r\n", again=b"2\r\n  \r\n" * 9000)).url)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.UnexpectedResponseError, match="it arrives in too many small chunks"):
        ask(client)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * KB  # in KB: 10 MB


@ways
def test_a_submission_with_an_answer_that_is_too_large_is_unknown(
    serve: Any, connect: Any, contacts: Any, ask: Callable[[Any], Any]
) -> None:
    server = serve(sends(BEGIN, again=b"x" * 65536))
    call = enrichment.submit_bulk_enrichment(contacts, enrichment.EnrichmentType.PARTIAL, None)
    client = connect(server.url)
    with pytest.raises(errors.SubmissionUnknownError):
        asyncio.run(client.arun(call)) if ask is on_a_loop else client.run(call)
    assert len(server.requests) == 1


def test_a_page_may_be_larger_than_a_status_but_not_endless(
    serve: Any, connect: Any, monkeypatch: Any
) -> None:
    leads = [{"lead_id": str(number), "text": "x" * 40_000} for number in range(200)]
    body = gzip.compress(json.dumps({"leads": leads}).encode())
    head = BEGIN + b"Content-Encoding: gzip\r\n"
    (page,) = connect(serve(sends(head, body)).url).iter_lead_pages("l")
    assert len(page.leads) == 200
    monkeypatch.setattr(endpoints, "PAGE", InputLimit(7 * MB, 10**6))
    with pytest.raises(errors.UnexpectedResponseError, match="it is larger than 7 MB"):
        list(connect(serve(sends(head, body)).url).iter_lead_pages("l"))


def test_many_values_in_few_bytes_are_not_parsed(serve: Any, always: Any, connect: Any) -> None:
    with pytest.raises(errors.UnexpectedResponseError, match="more than 50,000 values"):
        connect(serve(always(b"[" + b"[]," * 50_000 + b"[]]")).url).whoami()


# Errors: their status is known, whatever their body does


@ways
@pytest.mark.parametrize(
    "behave",
    [
        sends(FAILED, b"<html>", again=b"x" * 65536),
        sends(FAILED + b"Content-Encoding: gzip\r\n", zeros(16 * MB)),
        sends(FAILED, b"<" * 200_000),
        sends(FAILED, b"<" * MB),
        sends(FAILED, b"<a <b " * 200_000),
        sends(FAILED, b"[" * MB),
        sends(FAILED, b'{"error":{"problem":"' + b"<" * MB + b'"}}'),
    ],
    ids=["endless", "16 MB in 16 KB", "200 KB of <", "1 MB of <", "nested", "1 MB of [", "in JSON"],
)
def test_an_error_page_is_read_up_to_its_limit_and_costs_little(
    serve: Any, connect: Any, ask: Callable[[Any], Any], behave: Any
) -> None:
    client = connect(serve(behave).url, max_retries=0)
    started = time.process_time()
    with pytest.raises(errors.ServerError) as caught:
        ask(client)
    assert caught.value.info.status == 503
    assert len(str(caught.value)) < 700
    assert time.process_time() - started < 0.5


def test_an_error_page_that_never_ends_is_left_after_a_while(
    serve: Any, connect: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(transport, "ERROR_SECONDS", 0.3)
    client = connect(serve(sends(FAILED, b"Down", again=b".", pause=0.05)).url, max_retries=0)
    started = time.monotonic()
    with pytest.raises(errors.ServerError, match=r"HTTP 503.*Down"):
        client.whoami()
    assert time.monotonic() - started < 1.5


def test_a_rejection_that_repeats_250_contacts_is_read(serve: Any, always: Any, connect: Any) -> None:
    entry = {"type": "value_error", "msg": "m", "input": {"company_name": "x" * 1000}}
    detail = [{**entry, "loc": ["body", "contacts", number]} for number in range(250)]
    assert len(json.dumps(detail)) > input_limits.ERROR.size
    with pytest.raises(errors.InvalidRequestError) as caught:
        connect(serve(always({"detail": detail}, "422 Unprocessable")).url).whoami()
    assert [item.index for item in caught.value.info.field_errors] == list(range(250))


def test_what_urllib3_logs_about_broken_headers_is_redacted(
    serve: Any, connect: Any, key: str, caplog: Any
) -> None:
    echo = f"mara@quill.example {key} \x1b[31m https://x.example/?sig=abcdef0123".encode()
    client = connect(serve(sends(BEGIN + b"no header: " + echo + b"\r\n : " + echo + b"\r\n", b"{}")).url)
    with caplog.at_level("DEBUG"), pytest.raises(errors.UnexpectedResponseError):
        client.get_credit_balance()
    assert "Failed to parse headers" in caplog.text
    for secret in (key, "mara@quill", "abcdef0123", "\x1b"):
        assert secret not in caplog.text


# Redirects: requests would read all of their body, and rewind that of the request


@ways
@pytest.mark.parametrize(
    "behave",
    [sends(MOVED, again=b"x" * 65536), sends(MOVED + b"Content-Encoding: gzip\r\n", zeros(64 * MB))],
    ids=["endless", "64 MB in 64 KB"],
)
def test_the_body_of_a_redirect_is_read_up_to_its_limit(
    serve: Any, connect: Any, ask: Callable[[Any], Any], behave: Any
) -> None:
    client = connect(serve(behave).url)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.BadRequestError, match="Redirects are not followed"):
        ask(client)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 * KB  # in KB: 40 MB


@pytest.mark.parametrize("status", [b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
@pytest.mark.parametrize("encoding", [b"foo", b"gzip"])
def test_a_submission_with_an_unreadable_redirect_is_unknown_and_sent_once(
    serve: Any, connect: Any, contacts: Any, status: bytes, encoding: bytes
) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nLocation: /x\r\nContent-Encoding: " + encoding
    server = serve(sends(head + b"\r\n", b"{}"))
    with pytest.raises(errors.SubmissionUnknownError, match="could not be decompressed"):
        connect(server.url).submit_bulk_enrichment(contacts)
    assert len(server.requests) == 1


def test_a_submission_counts_as_sent_however_its_body_is_rewound(
    serve: Any, always: Any, connect: Any, contacts: Any, monkeypatch: Any
) -> None:
    bodies: list[Any] = []
    original = transport.Transport._exchange

    def rewinds(self: Any, session: Any, request: Any, body: Any, deadline: Any) -> Any:
        original(self, session, request, body, deadline)
        bodies.append(body)
        body.seek(0)
        raise RuntimeError

    monkeypatch.setattr(transport.Transport, "_exchange", rewinds)
    server = serve(always({"workflow_id": "w"}))
    with pytest.raises(errors.SubmissionUnknownError):
        connect(server.url).submit_bulk_enrichment(contacts)
    assert len(server.requests) == len(bodies) == 1


# Slow ones: a byte now and then keeps a socket's own timeout from ever passing


@ways
@pytest.mark.parametrize(
    ("head", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", b" "),
        (b"HTTP/1.1 200 OK\r\n\r\n{", b" "),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["headers", "a header", "a chunk's size", "a body", "a body without a length", "interim responses"],
)
def test_a_response_that_trickles_ends_with_its_deadline(
    serve: Any, connect: Any, monkeypatch: Any, ask: Callable[[Any], Any], head: bytes, again: bytes
) -> None:
    monkeypatch.setattr(transport, "RESPONSE_TIMEOUTS", 1.5)

    def behave(peer: Any) -> None:
        peer.read_request()
        try:
            peer.sock.sendall(head)
            while True:
                time.sleep(0.1)
                peer.sock.sendall(again)
        except OSError:
            pass

    client = connect(serve(behave).url, timeout_seconds=0.4, max_retries=0)
    started = time.monotonic()
    with pytest.raises(errors.TransportError, match="did not arrive in time"):
        ask(client)
    assert 0.5 < time.monotonic() - started < 2


def test_a_file_that_is_never_written_is_waited_for_as_long_as_it_may_take(
    serve: Any, connect: Any, monkeypatch: Any
) -> None:
    """Its time is not that of a response four times over."""
    monkeypatch.setattr(endpoints, "EXPORT_SECONDS", 1.5)

    def behave(peer: Any) -> None:
        peer.read_request()
        try:
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X-More: x\r\n" * 100:
                peer.sock.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass

    client = connect(serve(behave).url, timeout_seconds=0.2, max_retries=0)
    started = time.monotonic()
    with pytest.raises(errors.TransportError, match="did not arrive in time"):
        list(client.iter_export_file("l"))
    assert 1.4 < time.monotonic() - started < 5


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["TLS", "a tunnel"])
@ways
def test_what_trickles_before_the_request_ends_with_its_deadline(
    serve: Any, connect: Any, monkeypatch: Any, ask: Callable[[Any], Any], head: bytes
) -> None:
    monkeypatch.setattr(transport, "RESPONSE_TIMEOUTS", 0.6)  # before any timeout of the socket
    record = b"\x16\x03\x03\x3f\xff" + bytes(200)  # the beginning of a TLS record that never ends

    def behave(peer: Any) -> None:
        if head:
            peer.read_request()
        try:
            peer.sock.sendall(head)
            for byte in b"X-More: x\r\n" * 100 if head else record:
                time.sleep(0.1)
                peer.sock.sendall(bytes([byte]))
        except OSError:
            pass

    url = serve(behave).url
    if head:
        monkeypatch.setenv("HTTPS_PROXY", url)
        url = "http://api.cleanlist.invalid"
    client = connect(url.replace("http:", "https:"), timeout_seconds=1.0, max_retries=0)
    started = time.monotonic()
    with pytest.raises(errors.TransportError, match="did not arrive in time"):
        ask(client)
    assert 0.5 < time.monotonic() - started < 2


def test_a_server_that_reads_slowly_ends_with_the_deadline(
    serve: Any, connect: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(transport, "RESPONSE_TIMEOUTS", 0.6)  # before any timeout of the socket

    def behave(peer: Any) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            while peer.sock.recv(40_000):
                time.sleep(0.05)

    contacts = [
        Contact(first_name="Mara", last_name="Okafor", company_name=str(number) * 20_000)
        for number in range(250)
    ]
    started = time.monotonic()
    with pytest.raises(errors.TransportError, match="did not arrive in time"):
        connect(serve(behave).url, timeout_seconds=1.0, max_retries=0).submit_bulk_enrichment(contacts)
    assert 0.5 < time.monotonic() - started < 2


def test_a_submission_whose_response_trickles_is_unknown_and_sent_once(
    serve: Any, connect: Any, contacts: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(transport, "RESPONSE_TIMEOUTS", 1.5)
    server = serve(sends(b"HTTP/1.1 200 OK\r\n", again=b" ", pause=0.1))
    with pytest.raises(errors.SubmissionUnknownError, match="did not arrive in time"):
        connect(server.url, timeout_seconds=0.4).submit_bulk_enrichment(contacts)
    assert len(server.requests) == 1


def test_a_connection_outlives_the_deadline_of_an_earlier_response(
    serve: Any, connect: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(transport, "RESPONSE_TIMEOUTS", 1)
    server = serve()
    client = connect(server.url, timeout_seconds=0.2)
    for _ in range(4):
        client.whoami()
        time.sleep(0.15)
    assert server.connections == 1


# The loop of a triggerer


def large_status() -> bytes:
    result = {"task_id": "t", "status": "completed", "prospect": {str(n): "x" * 40 for n in range(200)}}
    body = json.dumps({"status": "completed", "results": [result] * 250}).encode()
    assert len(body) < input_limits.RESPONSE.size
    return body


def _small(status: int) -> bytes:
    """Return less than 16 KB that take long to quote: each of these letters is 18 in compatible form."""
    texts = [{"loc": ["body", number], "msg": f"{number}" + "\ufdfa" * 90} for number in range(50)]
    body = {"detail": texts} if status == 422 else {"detail": "\ufdfa" * 5000}
    return json.dumps(body, ensure_ascii=False).encode()


LONG_FRACTION = b"2." + b"2250738585072011360574097967091319759348195463516456480234261097" * 2 + b"e-308"


def _with_half_a_pair(number: bytes, times: int) -> bytes:
    """Return JSON with numbers that take long to read, and half a surrogate pair, which the fast parser refuses."""
    return b'{"status":"processing","a":[' + b",".join([number] * times) + b'],"b":"\\ud800"}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (large_status(), "200 OK"),
        (_with_half_a_pair(LONG_FRACTION, 30_000), "200 OK"),
        (b"[" + b"[]," * 45_000 + b"[]]", "200 OK"),
        (b"{" + b",".join(b'"%x":1' % number for number in range(45_000)) + b"}", "200 OK"),
        (b"<" * MB, "500 Error"),
        (json.dumps({"detail": [{"loc": ["body", "a" * 900], "msg": "m" * 900}] * 500}).encode(), "422 No"),
        (_small(422), "422 No"),
        (_small(500), "500 Error"),
    ],
    ids=[
        "a legitimate 3 MB",
        "fractions",
        "lists",
        "keys",
        "an error page",
        "422",
        "a small 422",
        "a small 500",
    ],
)
def test_a_large_response_does_not_stop_the_event_loop(
    serve: Any, always: Any, connect: Any, body: bytes, status: str
) -> None:
    client = connect(serve(always(body, status)).url, max_retries=0)
    call = enrichment.get_workflow_status("w")

    async def ask() -> float:
        work = asyncio.gather(client.arun(call), return_exceptions=True)
        return await longest_gap(work)

    asyncio.run(ask())  # imports, the connection
    assert min(asyncio.run(ask()) for _ in range(2)) < 0.1


def test_only_the_compression_that_stops_in_time_is_offered(serve: Any, connect: Any) -> None:
    server = serve()
    connect(server.url).whoami()
    assert server.requests[0].header("Accept-Encoding") == receiving.ACCEPTED_ENCODING == "gzip"
