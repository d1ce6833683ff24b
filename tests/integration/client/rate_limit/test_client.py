"""The whole way: clients that share a file, against a sandbox that allows less than they think."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.errors import RateLimitedError
from airflow_provider_cleanlist.client.rate_limit.core import Budget
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter
from airflow_provider_cleanlist.client.settings import ClientSettings
from airflow_provider_cleanlist.sandbox.server import SandboxServer

pytestmark = pytest.mark.integration

IN_FLIGHT_SECONDS = 0.3


def client_of(server: SandboxServer, directory: Path, budget: Budget) -> CleanlistClient:
    """Return a client with a limiter of its own, as another process has it."""
    settings = ClientSettings(api_key=server.api_key, host=server.url)
    return CleanlistClient(settings, FileRateLimiter(budget, "organisation", [directory]))


@pytest.mark.cleanlist_sandbox(requests_per_minute=10, window_seconds=2.0, retry_after="decimal")
def test_a_429_of_one_stops_all_and_nothing_is_lost(cleanlist_sandbox: SandboxServer, tmp_path: Path) -> None:
    budget = Budget(20, 2.0)
    done: list[float] = []

    def ask() -> None:
        client = client_of(cleanlist_sandbox, tmp_path, budget)
        done.extend(client.get_credit_balance().credits for _ in range(15))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    entries = cleanlist_sandbox.ledger.requests()
    refused = [entry.time for entry in entries if entry.status == 429]
    assert len(done) == 60
    assert len(entries) == 60 + len(refused)
    assert 0 < len(refused) <= 20
    for moment in refused:
        assert not [entry for entry in entries if moment + IN_FLIGHT_SECONDS < entry.time < moment + 1.0]


@pytest.mark.cleanlist_sandbox(requests_per_minute=100)
def test_a_queue_that_is_too_long_is_an_error_with_its_length(
    cleanlist_sandbox: SandboxServer, tmp_path: Path
) -> None:
    client = client_of(cleanlist_sandbox, tmp_path, Budget(1, 600.0))
    client.validate_key()
    with pytest.raises(RateLimitedError, match=r"fully booked for the next 6\d\d s.* 20 s") as caught:
        client.validate_key(max_wait=20.0)
    assert "Airflow pool" in str(caught.value)
    assert len(cleanlist_sandbox.ledger.requests()) == 1
