"""What goes over the wire and what comes back: key, proxies, redirects, cookies, encodings, threads, forks."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.enrichment import Contact
from airflow_provider_cleanlist.client.rate_limit.core import Budget

pytestmark = pytest.mark.integration

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# What is sent


def test_a_request_carries_the_key_and_says_who_asks(serve: Any, connect: Any, key: str) -> None:
    server = serve()
    connect(server.url).whoami()
    (request,) = server.requests
    assert request.line == "GET /api/v2/whoami HTTP/1.1"
    assert request.header("Authorization") == f"Bearer {key}"
    assert request.header("Accept") == "application/json"
    assert request.header("Cache-Control") == "no-cache, no-store"
    assert (request.header("User-Agent") or "").startswith("airflow-provider-cleanlist/")
    assert request.header("Content-Length") is None
    assert request.header("Content-Type") is None
    assert request.head.count(key) == 1


def test_no_part_of_a_client_prints_the_key(connect: Any, key: str) -> None:
    client = connect("http://127.0.0.1:1")
    transport = vars(client)["_transport"]
    assert "_BearerAuth(...)" in repr(vars(transport))
    assert key not in f"{client!r} {vars(client)!r} {vars(transport)!r}"


def test_a_submission_is_json_with_its_length(serve: Any, always: Any, connect: Any) -> None:
    server = serve(always({"workflow_id": "w"}))
    contact = Contact(first_name="Ünïcødé 陳", last_name='Quote"\\', company_domain="x.example")
    connect(server.url).submit_bulk_enrichment([contact])
    (request,) = server.complete
    assert request.line == "POST /api/v1/public/enrich/bulk HTTP/1.1"
    assert request.header("Content-Type") == "application/json"
    assert request.header("Content-Length") == str(len(request.body))
    assert request.header("Transfer-Encoding") is None
    assert json.loads(request.body) == {"enrichment_type": "partial", "contacts": [contact.payload()]}


def test_a_removal_sends_its_body(serve: Any, always: Any, connect: Any) -> None:
    server = serve(always({"removed": 1}))
    assert connect(server.url).remove_leads("l", ["a"]) == 1
    (request,) = server.complete
    assert request.line == "DELETE /api/v2/lead-lists/l/leads HTTP/1.1"
    assert json.loads(request.body) == {"lead_ids": ["a"]}


def test_ids_and_cursors_arrive_as_they_are(serve: Any, always: Any, connect: Any) -> None:
    awkward = "a/b?c#d %2F+ü&=;"
    server = serve(always({"leads": []}))
    client = connect(server.url)
    list(client.iter_lead_pages(awkward, cursor=awkward))
    client.get_workflow_status(awkward)
    leads, status = (urlsplit(request.line.split()[1]) for request in server.requests)
    assert leads.path == "/api/v2/lead-lists/a%2Fb%3Fc%23d%20%252F%2B%C3%BC%26%3D%3B/leads"
    assert parse_qs(leads.query) == {"limit": ["500"], "cursor": [awkward]}
    assert parse_qs(status.query) == {"workflow_id": [awkward]}


def test_columns_of_an_export_are_repeated(serve: Any, always: Any, connect: Any) -> None:
    server = serve(always({"leads": []}))
    list(connect(server.url).iter_export_pages("l", ["email", "domain"], 5))
    (request,) = server.requests
    assert request.line == "GET /api/v2/export/json?list_id=l&limit=5&columns=email&columns=domain HTTP/1.1"


# Where the key goes


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_does_not_take_the_key_to_another_host(
    serve: Any, always: Any, connect: Any, contacts: Any, status: str
) -> None:
    other = serve()
    server = serve(always(b"", status, Location=f"{other.url}/api/v2/whoami"))
    for ask in (lambda: connect(server.url).whoami(), lambda: connect(server.url).delete_lead_list("l")):
        with pytest.raises(errors.BadRequestError, match="Redirects are not followed"):
            ask()
    with pytest.raises(errors.SubmissionUnknownError):
        connect(server.url).submit_bulk_enrichment(contacts)
    assert other.connections == 0
    assert len(server.requests) == 3


def test_addresses_in_answers_are_not_followed(serve: Any, always: Any, connect: Any, contacts: Any) -> None:
    other = serve()
    links = dict.fromkeys(("poll_url", "results_endpoint", "enrichment_status_url"), f"{other.url}/x")
    server = serve(always({"workflow_id": "w", "status": "completed", **links}))
    client = connect(server.url)
    client.submit_bulk_enrichment(contacts)
    client.get_workflow_status("w")
    assert other.connections == 0


def test_an_entry_in_netrc_does_not_replace_the_key(
    serve: Any, connect: Any, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password other\ndefault login d password d\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = serve()
    connect(server.url).whoami()
    assert server.requests[0].header("Authorization") == f"Bearer {key}"


@pytest.mark.parametrize("name", [*PROXY_VARIABLES[:3], *map(str.lower, PROXY_VARIABLES[:3])])
def test_the_key_does_not_travel_in_clear_text_to_a_proxy(
    serve: Any, connect: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(), serve()
    monkeypatch.setenv(name, proxy.url)
    connect(server.url).whoami()
    connect(server.url.replace("127.0.0.1", "localhost")).whoami()
    assert proxy.connections == 0
    assert len(server.requests) == 2


def test_a_proxy_for_https_gets_a_tunnel_to_dig_and_no_key(
    serve: Any, always: Any, connect: Any, contacts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(always(b"", "403 Forbidden"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(errors.TransportError, match="the proxy refused the connection"):
        connect("https://api.cleanlist.invalid").submit_bulk_enrichment(contacts)
    (request,) = proxy.requests
    assert request.line.startswith("CONNECT api.cleanlist.invalid:443 ")
    assert "Bearer" not in request.head


def test_a_socks_proxy_is_used_and_gets_no_key(
    serve: Any, connect: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def tunnel(peer: Any) -> None:
        peer.sock.recv(64)
        peer.send(b"\x05\x00")  # no password
        seen.append(peer.sock.recv(512))
        peer.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")
        seen.append(peer.sock.recv(4096))

    proxy = serve(tunnel)
    monkeypatch.setenv("ALL_PROXY", proxy.url.replace("http:", "socks5h:"))
    with pytest.raises(errors.TransportError, match="the TLS connection failed"):
        connect("https://cleanlist.example").whoami()
    asked, said = seen
    assert b"cleanlist.example" in asked
    assert said.startswith(b"\x16\x03")  # of TLS
    assert key.encode() not in said


def test_cookies_are_not_kept(serve: Any, always: Any, connect: Any) -> None:
    server = serve(always({}, Set_Cookie="session=abc; Path=/"))
    client = connect(server.url)
    client.whoami()
    client.whoami()
    assert [request.header("Cookie") for request in server.requests] == [None, None]


# What comes back


def chunked(peer: Any) -> None:
    peer.read_request()
    parts = [b'{"organization', b"", b'_id": "org-1"}']
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)


def until_the_end(peer: Any) -> None:
    peer.read_request()
    peer.send(b'HTTP/1.0 200 OK\r\n\r\n{"organization_id": "org-1"}')


def with_interim_answer(peer: Any) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    peer.answer({"organization_id": "org-1"})


@pytest.mark.parametrize("behave", [chunked, until_the_end, with_interim_answer])
def test_every_framing_is_read(serve: Any, connect: Any, behave: Any) -> None:
    assert connect(serve(behave).url).whoami().organization_id == "org-1"


def test_gzip_is_read(serve: Any, always: Any, connect: Any, gzipped: bytes) -> None:
    server = serve(always(gzipped, Content_Encoding="gzip"))
    assert connect(server.url).whoami().organization_id == "org-1"


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


@pytest.mark.parametrize("before", [HINTS, HINTS * 2, b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS])
def test_what_only_announces_a_response_is_not_taken_for_it(
    serve: Any, connect: Any, contacts: Any, before: bytes
) -> None:
    """Taken for the response it would be a refusal, and the contacts would be submitted and billed once more."""

    def behave(peer: Any) -> None:
        while peer.read_request():
            peer.send(before)
            peer.answer({"workflow_id": "w", "organization_id": "org-1"})

    server = serve(behave)
    client = connect(server.url)
    assert client.submit_bulk_enrichment(contacts).workflow_id == "w"
    assert [client.whoami().organization_id for _ in range(2)] == ["org-1", "org-1"]
    assert len(server.requests) == 3


def test_announcements_without_a_response_leave_the_outcome_of_a_submission_unknown(
    serve: Any, connect: Any, contacts: Any
) -> None:
    def behave(peer: Any) -> None:
        if peer.read_request():
            peer.send(HINTS * 50)

    server = serve(behave)
    with pytest.raises(errors.SubmissionUnknownError):
        connect(server.url).submit_bulk_enrichment(contacts)
    assert len(server.requests) == 1


def test_a_large_answer_is_read(serve: Any, always: Any, connect: Any) -> None:
    leads = [{"lead_id": str(number), "text": "x" * 4000} for number in range(500)]
    (page,) = connect(serve(always({"leads": leads})).url).iter_lead_pages("l")
    assert page.leads == leads


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "text/plain; charset=latin-1", ""])
def test_the_content_type_does_not_matter(serve: Any, always: Any, connect: Any, content_type: str) -> None:
    server = serve(always({"organization_id": "org-1"}, Content_Type=content_type))
    assert connect(server.url).whoami().organization_id == "org-1"


def test_html_with_success_points_to_the_host(serve: Any, always: Any, connect: Any) -> None:
    server = serve(always(b"<html>Welcome</html>"))
    with pytest.raises(errors.UnexpectedResponseError, match="Check the host of the connection"):
        connect(server.url).whoami()


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_an_empty_success_will_do_for_a_delete_but_not_for_a_balance(
    serve: Any, always: Any, connect: Any, status: str
) -> None:
    client = connect(serve(always(b"", status)).url)
    client.delete_lead_list("l")
    with pytest.raises(errors.UnexpectedResponseError, match="lacks required fields"):
        client.get_credit_balance()


# Shared use


def test_fifty_threads_share_a_client(serve: Any, connect: Any, key: str) -> None:
    def echo(peer: Any) -> None:
        while request := peer.read_request():
            asked = parse_qs(urlsplit(request.line.split()[1]).query)["task_id"][0]
            peer.answer({"task_id": asked, "status": "completed", "primary_email": None})

    server = serve(echo)
    client = connect(server.url)
    ids = [f"task-{number}" for number in range(500)]
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda task_id: client.get_task_result(task_id).task_id, ids))
    assert results == ids
    assert len(server.requests) == 500
    assert server.connections <= 50
    assert {request.header("Authorization") for request in server.requests} == {f"Bearer {key}"}


def test_threads_together_keep_within_the_budget(serve: Any, connect: Any) -> None:
    server = serve()
    client = connect(server.url, budget=Budget(10, 0.5))
    started = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: client.whoami(), range(35)))
    assert time.monotonic() - started < 4.0
    assert len(server.requests) == 35
    assert server.shortest_window(10) >= 0.4  # 0.5, less what two busy cores need to notice an arrival


def test_a_forked_process_makes_connections_of_its_own(serve: Any, connect: Any) -> None:
    server = serve()
    client = connect(server.url)
    client.whoami()
    child = multiprocessing.get_context("fork").Process(target=client.whoami)
    child.start()
    child.join(20)
    client.whoami()
    assert child.exitcode == 0
    assert len(server.requests) == 3
    assert server.connections == 2


def test_two_keys_do_not_mix(serve: Any, connect: Any) -> None:
    server = serve()
    clients = [connect(server.url, api_key=f"clapi_{name}") for name in "ab"]
    for _ in range(3):
        for client in clients:
            client.whoami()
    sent = Counter(request.header("Authorization") for request in server.requests)
    assert sent == {"Bearer clapi_a": 3, "Bearer clapi_b": 3}
