"""Headers, and the other lines around a body, over real sockets: cookies, and lines that are long or endless."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import Any

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.export.download import Download, DownloadError

from .answers import BEGIN, FAILED, MOVED, blocking, sends, ways

pytestmark = pytest.mark.integration

REFUSED = "the headers of the response, and other lines around its body, have more than 64 KB"


COOKIES = b"Set-Cookie: a=b\r\nSet-Cookie2: " + b"a," * 30_000 + b"\r\n"


@ways
@pytest.mark.parametrize(
    ("head", "outcome"),
    [
        (BEGIN, nullcontext()),
        (FAILED, pytest.raises(errors.ServerError, match="HTTP 503")),
        (MOVED, pytest.raises(errors.BadRequestError, match="Redirects are not followed")),
    ],
    ids=["success", "error", "redirect"],
)
def test_cookies_are_not_even_parsed(
    serve: Any, connect: Any, ask: Callable[[Any], Any], head: bytes, outcome: Any
) -> None:
    """Python's parser of cookies takes time by the square of a header's length."""
    client = connect(serve(sends(head + COOKIES, b"{}")).url, max_retries=0)
    started = time.process_time()
    with outcome:
        ask(client)
    assert time.process_time() - started < 0.25


CHUNKED = BEGIN + b"Transfer-Encoding: chunked\r\n"
LONG_LINES = [
    sends(BEGIN + b"X-Long: " + b"x" * 40_000 + b"\r\nX-Other: " + b"x" * 40_000 + b"\r\n", b"{}"),
    sends(b"HTTP/1.1 100 Continue\r\n", again=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    sends(CHUNKED, b"2\r\n{}\r\n0\r\n", again=b"X-More: x\r\n" * 1000),
    sends(CHUNKED, again=b"1;" + b"x" * 60_000 + b"\r\n \r\n"),
]
long_lines = pytest.mark.parametrize(
    "behave", LONG_LINES, ids=["headers", "interim responses", "trailers", "sizes of chunks"]
)


@ways
@long_lines
def test_lines_around_a_body_are_read_up_to_their_limit(
    serve: Any, connect: Any, ask: Callable[[Any], Any], behave: Any
) -> None:
    client = connect(serve(behave).url, max_retries=0)
    started = time.process_time()
    with pytest.raises(errors.TransportError, match=REFUSED):
        ask(client)
    assert time.process_time() - started < 0.5


@long_lines
def test_a_submission_with_such_an_answer_is_unknown(
    serve: Any, connect: Any, contacts: Any, behave: Any
) -> None:
    server = serve(behave)
    with pytest.raises(errors.SubmissionUnknownError, match=REFUSED):
        connect(server.url).submit_bulk_enrichment(contacts)
    assert len(server.requests) == 1


def _read(download: Download) -> None:
    download.open()
    while download.part():
        pass


@long_lines
def test_the_file_of_an_export_has_the_same_limit(serve: Any, behave: Any) -> None:
    with (
        closing(Download(serve(behave).url, (5.0, 5.0))) as download,
        pytest.raises(DownloadError, match=REFUSED),
    ):
        _read(download)


def test_a_tunnel_has_the_same_limit(serve: Any, connect: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HTTPS_PROXY", serve(LONG_LINES[0]).url)
    client = connect("https://api.cleanlist.invalid", max_retries=0)
    with pytest.raises(errors.TransportError, match=REFUSED):
        client.whoami()


@ways
def test_long_headers_small_chunks_and_trailers_are_read(
    serve: Any, connect: Any, ask: Callable[[Any], Any]
) -> None:
    body = json.dumps({"organization_id": "o" * 9000}).encode()
    chunks = b"".join(b"01\r\n%c\r\n" % byte for byte in body)

    def behave(peer: Any) -> None:
        while peer.read_request():
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n"
            peer.send(head + chunks + b"0\r\n" + b"X-More: x\r\n" * 10 + b"\r\n")

    server = serve(behave)
    client = connect(server.url)
    assert [ask(client).organization_id for _ in range(3)] == ["o" * 9000] * 3
    assert server.connections == (1 if ask is blocking else 3)
