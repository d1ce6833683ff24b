"""The sandbox behind a real socket."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import quote

import pytest
import requests

from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = pytest.mark.integration
BULK = {
    "contacts": [{"linkedin_url": "https://www.linkedin.com/in/mara-found-both"}],
    "enrichment_type": "full",
}


@pytest.fixture
def server():
    with SandboxServer(requests_per_minute=10_000) as running:
        yield running


@pytest.fixture
def http(server):
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.api_key}"
        yield session


def submit(server, http, **kwargs):
    return http.post(f"{server.url}/api/v1/public/enrich/bulk", json=BULK, timeout=5, **kwargs)


@pytest.mark.parametrize(("after", "accepted"), [(False, 0), (True, 1)])
def test_dropped_connection_is_really_closed(server, http, after, accepted):
    server.faults.drop("enrich_bulk", after=after)
    with pytest.raises(requests.ConnectionError):
        submit(server, http)
    assert len(server.ledger.accepted_submits) == accepted
    assert submit(server, http).status_code == 200
    assert server.ledger.credits_charged == 11 * (accepted + 1)


def test_dropping_one_connection_leaves_the_others(server, http):
    server.faults.delay("enrich_bulk", 0.3)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(submit(server, requests, headers=http.headers)))
    slow.start()
    while not server.ledger.requests(endpoint="enrich_bulk"):
        time.sleep(0.005)
    server.faults.drop("whoami", after=False)
    with pytest.raises(requests.ConnectionError):
        http.get(f"{server.url}/api/v2/whoami", timeout=5)
    slow.join()
    assert answers[0].status_code == 200


def test_truncated_answer(server, http):
    server.faults.truncate("whoami")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        http.get(f"{server.url}/api/v2/whoami", timeout=5)
    assert http.get(f"{server.url}/api/v2/whoami", timeout=5).status_code == 200


def test_slow_answer_outlasts_the_clients_patience_but_the_submit_counts(server, http):
    server.faults.delay("enrich_bulk", 30)
    with pytest.raises(requests.ReadTimeout):
        http.post(f"{server.url}/api/v1/public/enrich/bulk", json=BULK, timeout=0.2)
    assert len(server.ledger.accepted_submits) == 1
    assert http.get(f"{server.url}/api/v2/whoami", timeout=5).status_code == 200


def test_stopping_does_not_wait_for_slow_answers():
    with SandboxServer() as server:
        server.faults.delay("whoami", 60)
        headers = {"Authorization": f"Bearer {server.api_key}"}
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{server.url}/api/v2/whoami", headers=headers, timeout=0.1)
        start = time.monotonic()
    assert time.monotonic() - start < 10


def test_port_is_free_again_afterwards():
    with SandboxServer() as server:
        port = server.port
        with pytest.raises(OSError, match="in use"):
            SandboxServer(port=port)
    with SandboxServer(port=port) as again:
        assert requests.get(f"{again.url}/sandbox", timeout=5).status_code == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", ""])
def test_only_loopback_unless_told(host):
    with pytest.raises(ValueError, match="loopback"):
        SandboxServer(host=host)


def test_who_asks_is_not_taken_from_headers(monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with SandboxServer() as server:
        headers = {"X-Forwarded-For": "192.0.2.1"}
        assert requests.get(f"{server.url}/sandbox", headers=headers, timeout=5).status_code == 200


def test_remote_when_told():
    with SandboxServer(host="0.0.0.0", allow_remote=True) as server:
        assert requests.get(f"http://127.0.0.1:{server.port}/sandbox", timeout=5).status_code == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_loopback():
    try:
        running = SandboxServer(host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with running as server:
        assert server.url.startswith("http://[::1]:")
        assert requests.get(f"{server.url}/sandbox", timeout=5).status_code == 200


def test_ids_may_need_escaping_in_paths(server, http):
    server.settings.id_style = "awkward"
    submit(server, http)
    (managed,) = http.get(f"{server.url}/api/v2/lead-lists", timeout=5).json()["lists"]
    assert "%" in managed["list_id"]
    path = f"{server.url}/api/v2/lead-lists/{quote(managed['list_id'], safe='')}/leads"
    assert http.get(path, timeout=5).json()["total"] == 1


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="requests_per_hour"):
        SandboxServer(requests_per_hour=5)


def test_many_threads_see_exactly_the_limit():
    with SandboxServer(requests_per_minute=50, window="first_request") as server:
        headers = {"Authorization": f"Bearer {server.api_key}"}
        statuses: list[int] = []

        def hammer():
            with requests.Session() as session:
                for _ in range(20):
                    url = f"{server.url}/api/v1/public/auth/validate-key"
                    statuses.append(session.get(url, headers=headers, timeout=10).status_code)

        threads = [threading.Thread(target=hammer) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (statuses.count(200), statuses.count(429)) == (50, 50)
