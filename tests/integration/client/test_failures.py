"""What failures of the network mean: sent or not sent, retried or not, and how often the server saw a submission."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cleanlist.client import errors

pytestmark = pytest.mark.integration

Behaviour = Callable[[Any], None]
ACCEPTED = {"workflow_id": "w-1", "task_ids": ["t-1"]}


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


# The connection was never made


def test_a_refused_connection_was_never_made(connect: Any, contacts: Any) -> None:
    client = connect(f"http://127.0.0.1:{closed_port()}", max_retries=1)
    started = time.monotonic()
    with pytest.raises(errors.TransportError, match="the connection failed or was lost"):
        client.submit_bulk_enrichment(contacts)
    assert 1.0 <= time.monotonic() - started < 4.0  # one retry, after a second


def test_a_host_that_does_not_resolve_was_never_reached(
    connect: Any, contacts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(errors.TransportError, match="the connection failed or was lost"):
        connect("https://api.cleanlist.invalid").submit_bulk_enrichment(contacts)
    assert asked == ["api.cleanlist.invalid"]


def test_a_connection_that_takes_too_long_was_never_made(connect: Any, contacts: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        client = connect(f"http://127.0.0.1:{full.getsockname()[1]}", timeout_seconds=0.4)
        started = time.monotonic()
        with pytest.raises(errors.TransportError, match="the connection timed out"):
            client.submit_bulk_enrichment(contacts)
        assert time.monotonic() - started < 3.0
        for sock in waiting:
            sock.close()


def test_a_server_without_tls_never_gets_the_request(serve: Any, connect: Any, contacts: Any) -> None:
    seen = []

    def plain(peer: Any) -> None:
        seen.append(peer.sock.recv(65536))
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = serve(plain)
    client = connect(server.url.replace("http://", "https://"))
    with pytest.raises(errors.TransportError, match="the TLS connection failed"):
        client.submit_bulk_enrichment(contacts)
    assert seen
    assert b"Bearer" not in b"".join(seen)


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_self_signed_certificate_is_refused(
    serve: Any, connect: Any, contacts: Any, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    server = serve(context=tls)
    with pytest.raises(errors.TransportError, match="the TLS connection failed"):
        connect(server.url).submit_bulk_enrichment(contacts)
    assert server.requests == []


def test_a_certificate_of_ones_own_authority_is_accepted(
    serve: Any,
    always: Any,
    connect: Any,
    contacts: Any,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = serve(always(ACCEPTED), tls)
    assert connect(server.url).submit_bulk_enrichment(contacts).workflow_id == "w-1"
    assert len(server.complete) == 1


# A setting of this machine


class Recorder:
    """What a submission is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def sending(self) -> None:
        self.told.append("sending")

    def not_accepted(self) -> None:
        self.told.append("not accepted")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Set a variable to a value in which {tmp} is a folder, with all others of the kind unset."""
    for name in (
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSLKEYLOGFILE",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no certificate")
    return lambda name, value: monkeypatch.setenv(name, value.format(tmp=tmp_path))


FAULTS = {
    "no such bundle": ("REQUESTS_CA_BUNDLE", "{tmp}/none.pem", "REQUESTS_CA_BUNDLE names .* does not exist"),
    "no such bundle of curl": ("CURL_CA_BUNDLE", "{tmp}/none.pem", "CURL_CA_BUNDLE names .* does not exist"),
    "no certificates": (
        "REQUESTS_CA_BUNDLE",
        "{tmp}/text",
        "REQUESTS_CA_BUNDLE .* without usable certificates",
    ),
    "keys into a folder": ("SSLKEYLOGFILE", "{tmp}/folder", "SSLKEYLOGFILE names .* cannot be written"),
    "keys nowhere": ("SSLKEYLOGFILE", "{tmp}/no/such", "SSLKEYLOGFILE names .* cannot be written"),
    "a proxy's port": ("HTTPS_PROXY", "http://user:hunter2@proxy:port", "HTTPS_PROXY is not the address"),
    "a proxy's brackets": ("https_proxy", "http://user:hunter2@[proxy", "https_proxy is not the address"),
    "a proxy's scheme": ("ALL_PROXY", "gopher://user:hunter2@proxy", "ALL_PROXY is not the address"),
    "a proxy without a name": ("HTTPS_PROXY", "http://", "HTTPS_PROXY is not the address"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_setting_that_keeps_requests_from_leaving_is_named_and_nothing_is_unknown(
    serve: Any,
    connect: Any,
    contacts: Any,
    tls: ssl.SSLContext,
    environment: Callable[[str, str], None],
    fault: str,
) -> None:
    name, value, message = FAULTS[fault]
    environment(name, value)
    server = serve(context=tls)
    host = "https://api.cleanlist.invalid" if "proxy" in name.lower() else server.url
    recorder, started = Recorder(), time.monotonic()
    with pytest.raises(errors.ConfigurationError, match=message) as caught:
        connect(host, max_retries=5).submit_bulk_enrichment(contacts, observer=recorder)
    assert time.monotonic() - started < 2  # no retry
    assert recorder.told == ["sending", "not accepted"]
    assert server.requests == []
    assert "hunter2" not in str(caught.value)
    with pytest.raises(errors.ConfigurationError, match=message):
        connect(host, max_retries=5).get_credit_balance()


def test_a_bundle_that_is_not_needed_harms_nobody(
    serve: Any, always: Any, connect: Any, contacts: Any, environment: Callable[[str, str], None]
) -> None:
    """Plain http to this machine, as to the sandbox; and .netrc is not read whatever it is."""
    environment("REQUESTS_CA_BUNDLE", "{tmp}/none.pem")
    environment("NETRC", "{tmp}/folder")
    environment("HTTPS_PROXY", "http://proxy:port")
    server = serve(always(ACCEPTED))
    assert connect(server.url).submit_bulk_enrichment(contacts).workflow_id == "w-1"


def test_what_may_have_left_stays_unknown_whatever_the_settings(
    serve: Any,
    connect: Any,
    contacts: Any,
    tls: ssl.SSLContext,
    certificate: Path,
    environment: Callable[[str, str], None],
    tmp_path: Path,
) -> None:
    """The bundle is deleted while the request is on its way."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate.read_bytes())

    def cut_after_deleting(peer: Any) -> None:
        peer.read_request()
        bundle.unlink()
        peer.reset()

    environment("REQUESTS_CA_BUNDLE", str(bundle))
    recorder = Recorder()
    with pytest.raises(errors.SubmissionUnknownError):
        connect(serve(cut_after_deleting, tls).url).submit_bulk_enrichment(contacts, observer=recorder)
    assert recorder.told == ["sending"]


# The request left, no response arrived


def never(peer: Any) -> None:
    peer.read_request()
    peer.read_request()


def cut(peer: Any) -> None:
    peer.read_request()
    peer.reset()


def close(peer: Any) -> None:
    peer.read_request()


def half_an_answer(peer: Any) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b'{"workflow_id": "w-1"')


def half_a_chunk(peer: Any) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}")


def half_a_header(peer: Any) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    peer.read_request()


def nonsense(peer: Any) -> None:
    peer.read_request()
    peer.send(b"NONSENSE\r\n\r\n")


def broken_gzip(peer: Any) -> None:
    peer.read_request()
    peer.answer(b"this is not gzip", Content_Encoding="gzip")


def stuck_in_the_body(peer: Any) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")
    peer.read_request()


def first_then(first: Behaviour, then: Behaviour) -> Behaviour:
    """Treat the first connection one way and all others another."""
    behaviours = [then, first]
    return lambda peer: behaviours.pop()(peer) if len(behaviours) > 1 else then(peer)


LOSSES = [
    never,
    cut,
    close,
    half_an_answer,
    half_a_chunk,
    half_a_header,
    nonsense,
    broken_gzip,
    stuck_in_the_body,
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_a_submission_whose_answer_is_lost_is_sent_once_and_of_unknown_outcome(
    serve: Any, connect: Any, contacts: Any, loss: Behaviour
) -> None:
    server = serve(loss)
    client = connect(server.url, timeout_seconds=0.3, max_retries=3)
    with pytest.raises(errors.SubmissionUnknownError, match="It is not known whether Cleanlist accepted"):
        client.submit_bulk_enrichment(contacts)
    assert len(server.complete) == 1
    assert server.connections == 1


def test_a_read_whose_answer_is_lost_is_sent_again(serve: Any, always: Any, connect: Any) -> None:
    def read(loss: Behaviour) -> tuple[str, int, int]:
        server = serve(first_then(loss, always({"credits": 7})))
        balance = connect(server.url, timeout_seconds=0.5, max_retries=1).get_credit_balance()
        return loss.__name__, int(balance.credits), len(server.complete)

    with ThreadPoolExecutor(len(LOSSES)) as pool:
        assert list(pool.map(read, LOSSES)) == [(loss.__name__, 7, 2) for loss in LOSSES]


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"])
def test_a_submission_answered_with_a_server_error_is_sent_once(
    serve: Any, always: Any, connect: Any, contacts: Any, status: str
) -> None:
    server = serve(always({"detail": "Internal server error"}, status))
    with pytest.raises(errors.SubmissionUnknownError, match=f"HTTP {status[:3]}"):
        connect(server.url, max_retries=3).submit_bulk_enrichment(contacts)
    assert len(server.requests) == 1


# The connection was lost while the request went out


@pytest.mark.parametrize("body_bytes", [0, 100_000])
def test_a_submission_cut_off_before_its_end_was_not_accepted_and_is_sent_again(
    serve: Any, always: Any, connect: Any, many_contacts: Any, body_bytes: int
) -> None:
    def cut_off(peer: Any) -> None:
        peer.read_request(body_bytes)
        peer.reset()

    server = serve(first_then(cut_off, always(ACCEPTED)))
    accepted = connect(server.url, max_retries=1).submit_bulk_enrichment(many_contacts)
    assert accepted.workflow_id == "w-1"
    assert [request.complete for request in server.requests] == [False, True]


def test_a_submission_cut_off_for_ever_ends_as_not_sent(serve: Any, connect: Any, many_contacts: Any) -> None:
    def cut_off(peer: Any) -> None:
        peer.read_request(1000)
        peer.reset()

    server = serve(cut_off)
    with pytest.raises(errors.TransportError):
        connect(server.url).submit_bulk_enrichment(many_contacts)
    assert server.complete == []


def test_a_small_submission_cut_off_unread_counts_as_sent(serve: Any, connect: Any, contacts: Any) -> None:
    """Our side cannot tell: the kernel had taken the whole request. So it must be taken for sent."""

    def cut_unread(peer: Any) -> None:
        time.sleep(0.3)
        peer.reset()

    server = serve(cut_unread)
    with pytest.raises(errors.SubmissionUnknownError):
        connect(server.url, max_retries=3).submit_bulk_enrichment(contacts)
    assert server.connections == 1


# Kept connections


def test_a_submission_never_travels_on_a_kept_connection(serve: Any, connect: Any, contacts: Any) -> None:
    """A server that closes an idle connection just as a request comes in looks like a lost answer."""

    def one_request_only(peer: Any) -> None:
        peer.read_request()
        peer.answer(ACCEPTED)
        peer.sock.recv(1)
        peer.reset()

    server = serve(one_request_only)
    client = connect(server.url)
    client.whoami()
    for _ in range(3):
        assert client.submit_bulk_enrichment(contacts).workflow_id == "w-1"
    assert server.connections == 4
    assert len(server.complete) == 4


def test_a_read_on_a_connection_that_was_closed_meanwhile_just_works(
    serve: Any, always: Any, connect: Any
) -> None:
    def close_after_answer(peer: Any) -> None:
        peer.read_request()
        peer.answer({"credits": 1})

    server = serve(close_after_answer)
    client = connect(server.url)
    for _ in range(3):
        assert client.get_credit_balance().credits == 1
        time.sleep(0.05)
    assert server.connections == 3


def test_a_read_on_a_connection_cut_at_that_moment_is_sent_again(serve: Any, connect: Any) -> None:
    def cut_second(peer: Any) -> None:
        peer.read_request()
        peer.answer({"credits": 1})
        peer.sock.recv(1)
        peer.reset()

    server = serve(cut_second)
    client = connect(server.url, max_retries=1)
    assert client.get_credit_balance().credits == 1
    assert client.get_credit_balance().credits == 1
    assert server.connections == 2


def test_reads_share_a_connection(serve: Any, always: Any, connect: Any) -> None:
    server = serve(always({"credits": 1}))
    client = connect(server.url)
    for _ in range(5):
        client.get_credit_balance()
    assert server.connections == 1
    assert len(server.requests) == 5


# Slow answers


def test_an_answer_that_trickles_is_given_up_in_the_end(serve: Any, connect: Any) -> None:
    def trickle(peer: Any) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")
        for _ in range(100):
            time.sleep(0.1)
            peer.send(b" ")

    client = connect(serve(trickle).url, timeout_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(errors.TransportError, match="the response did not arrive in time"):
        client.get_credit_balance()
    assert 1.0 < time.monotonic() - started < 3.0  # four times the timeout


def test_a_slow_answer_within_its_time_is_read(serve: Any, connect: Any) -> None:
    def slow(peer: Any) -> None:
        peer.read_request()
        body = b'{"credits": 7}'
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for position in range(len(body)):
            time.sleep(0.03)
            peer.send(body[position : position + 1])

    assert connect(serve(slow).url, timeout_seconds=0.3).get_credit_balance().credits == 7


def test_no_failure_shows_key_or_contacts(serve: Any, connect: Any, contacts: Any, key: str) -> None:
    for behave in LOSSES:
        with pytest.raises(errors.ApiError) as caught:
            connect(serve(behave).url, timeout_seconds=0.2).submit_bulk_enrichment(contacts)
        shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caught.value.args}"
        assert key not in shown
        assert "Mara" not in shown
        assert caught.value.__suppress_context__


# The observer of a submission


class Diary:
    """Writes down what it is told, and how many requests had arrived by then."""

    def __init__(self, server: Any) -> None:
        self.entries: list[tuple[str, int]] = []
        self._server = server

    def sending(self) -> None:
        self.entries.append(("sending", len(self._server.requests)))

    def not_accepted(self) -> None:
        self.entries.append(("not accepted", len(self._server.requests)))


def test_an_observer_is_told_before_each_sending_and_after_each_refusal(
    serve: Any, connect: Any, contacts: Any
) -> None:
    script = [
        ("503 Service Unavailable", {}),
        ("429 Too Many Requests", {"Retry_After": "0"}),
        ("200 OK", {}),
    ]

    def behave(peer: Any) -> None:
        while peer.read_request():
            status, headers = script.pop(0)
            peer.answer(ACCEPTED if status == "200 OK" else b'{"detail": "No"}', status, **headers)

    server = serve(behave)
    diary = Diary(server)
    connect(server.url, max_retries=1).submit_bulk_enrichment(contacts, observer=diary)
    assert diary.entries == [
        ("sending", 0),
        ("not accepted", 1),
        ("sending", 1),
        ("not accepted", 2),
        ("sending", 2),
    ]


@pytest.mark.parametrize("loss", [cut, never], ids=lambda loss: loss.__name__)
def test_an_observer_is_never_told_that_a_lost_submission_was_not_accepted(
    serve: Any, connect: Any, contacts: Any, loss: Behaviour
) -> None:
    server = serve(loss)
    diary = Diary(server)
    with pytest.raises(errors.SubmissionUnknownError):
        connect(server.url, timeout_seconds=0.3, max_retries=3).submit_bulk_enrichment(
            contacts, observer=diary
        )
    assert diary.entries == [("sending", 0)]


def test_a_submission_that_cannot_be_recorded_is_not_sent(serve: Any, connect: Any, contacts: Any) -> None:
    class NoPaper(Diary):
        def sending(self) -> None:
            raise OSError("disk full")

    server = serve()
    with pytest.raises(OSError, match="disk full"):
        connect(server.url).submit_bulk_enrichment(contacts, observer=NoPaper(server))
    assert server.connections == 0
