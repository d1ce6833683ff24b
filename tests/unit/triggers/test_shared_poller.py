from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.client.results import WorkflowStatus
from airflow_provider_cleanlist.triggers import shared_poller as poller_module
from airflow_provider_cleanlist.triggers.shared_poller import SharedPoller, shared_poller
from airflow_provider_cleanlist.waiting.schedule import PollRule
from airflow_provider_cleanlist.waiting.tracker import WorkflowTracker

T0 = 1_700_000_000.0
Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def set_connection(conn_id: str = "poller", **fields: Any) -> None:
        connection = {"conn_type": "cleanlist", "password": "clapi_x", "host": "http://127.0.0.1:9"} | fields
        connection["extra"] = {"rate_limit_store": "memory://"} | connection.get("extra", {})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return set_connection


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def tracker_of(*workflow_ids: str) -> WorkflowTracker:
    return WorkflowTracker(workflow_ids, submitted_at=T0, deadline=T0 + 9)


class TestLookingUp:
    def test_the_connection_is_looked_up_again_after_its_life(self, connect, monkeypatch):
        """So a rotated key is used after five minutes, whatever the API says to the old one."""
        now = [1000.0]
        monkeypatch.setattr(poller_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

        async def keys() -> list[str]:
            poller, found = SharedPoller("poller"), []
            for seconds, key in ((0, "clapi_a"), (299, "clapi_b"), (1, "clapi_b"), (299, "clapi_c")):
                connect(password=key)
                now[0] += seconds
                found.append((await poller.settings()).api_key)
            return found

        assert run(keys()) == ["clapi_a", "clapi_a", "clapi_b", "clapi_b"]


class TestSharing:
    def test_waits_on_one_connection_and_loop_share_a_poller(self):
        async def pollers() -> tuple[SharedPoller, SharedPoller, SharedPoller]:
            return shared_poller("a"), shared_poller("a"), shared_poller("b")

        first, second, other = run(pollers())
        assert first is second
        assert other is not first
        assert run(pollers())[0] is not first

    def test_a_wait_counts_the_workflows_of_the_others(self):
        async def count() -> tuple[int, int, int]:
            poller, mine, theirs = shared_poller("a"), tracker_of("a"), tracker_of("b", "c", "d")
            with poller.register(mine):
                with poller.register(theirs):
                    both = poller.others(mine), poller.others(theirs)
                    theirs.on_status(WorkflowStatus("b", "completed"), T0)
                    assert poller.others(mine) == 2
                return (*both, poller.others(mine))

        assert run(count()) == (3, 1, 0)


class TestConnection:
    def test_the_schedule_follows_the_connections_budget(self, connect: Connect):
        connect(extra={"requests_per_minute": 30, "window_seconds": 6})
        assert run(SharedPoller("poller").rule()) == PollRule.for_budget(30, 6.0)

    def test_it_is_looked_up_once_for_many(self, connect: Connect, monkeypatch: pytest.MonkeyPatch):
        connect()

        async def look_up() -> None:
            poller = SharedPoller("poller")
            await asyncio.gather(*(poller.rule() for _ in range(50)))
            monkeypatch.delenv("AIRFLOW_CONN_POLLER")
            await poller.rule()

        run(look_up())

    def test_one_that_is_missing_is_a_configuration_error(self):
        with pytest.raises(exceptions.CleanlistConfigurationError, match="no connection 'absent_one'"):
            run(SharedPoller("absent_one").rule())

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"password": ""}, "API key"),
            ({"extra": {"requests_per_minute": "many"}}, "requests_per_minute"),
            ({"extra": {"rate_limit_store": "ftp://x"}}, "rate_limit_store"),
        ],
    )
    def test_one_that_cannot_be_used_says_why(self, connect: Connect, fields: dict[str, Any], named: str):
        connect(**fields)
        with pytest.raises(exceptions.CleanlistConfigurationError, match=named):
            run(SharedPoller("poller").rule())
