"""From the setting to a limiter."""

import importlib.util
import logging
import subprocess
import sys

import pytest

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.rate_limit import open_limiter, redis_url
from airflow_provider_cleanlist.client.rate_limit import redis as redis_store
from airflow_provider_cleanlist.client.rate_limit.core import GO, Budget, Priority, Verdict
from airflow_provider_cleanlist.client.rate_limit.file import FileRateLimiter
from airflow_provider_cleanlist.client.rate_limit.memory import MemoryRateLimiter
from airflow_provider_cleanlist.client.rate_limit.redis import RedisRateLimiter

SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def _own_directories(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


@pytest.fixture
def scope(request):
    return request.node.nodeid


def work(limiter):
    return limiter.reserve(Priority.WORK, waited=0.0, max_wait=900.0)


def test_nothing_said_means_a_file_in_the_home_of_airflow(scope, tmp_path):
    limiter = open_limiter("", scope, Budget())
    assert isinstance(limiter, FileRateLimiter)
    assert not (tmp_path / "home" / ".cleanlist").exists()
    assert work(limiter) == GO
    assert len(list((tmp_path / "home" / ".cleanlist").iterdir())) == 1


@pytest.mark.parametrize("url", ["file://{}/shared%20budget", "FILE://localhost{}/shared%20budget"])
def test_a_file_url_names_the_directory(scope, tmp_path, url):
    limiter = open_limiter(url.format(tmp_path), scope, Budget())
    assert work(limiter) == GO
    assert len(list((tmp_path / "shared budget").iterdir())) == 1


def test_a_directory_that_cannot_be_used_falls_back_to_the_home_of_airflow(scope, tmp_path):
    assert work(open_limiter("file:///proc/cleanlist", scope, Budget())) == GO
    assert len(list((tmp_path / "home" / ".cleanlist").iterdir())) == 1


def test_memory_is_shared_by_budgets_of_one_scope(scope):
    limiter = open_limiter("Memory://", scope, Budget(1))
    assert isinstance(limiter, MemoryRateLimiter)
    assert work(limiter) == GO
    assert work(open_limiter("memory://", scope, Budget(1, 50.0))).verdict is Verdict.WAIT
    assert work(open_limiter("memory://", f"{scope} other", Budget(1))) == GO


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
def test_servers_are_not_touched_before_they_are_used(scope, scheme):
    limiter = open_limiter(f"{scheme}://:{SECRET}@localhost:1/0", scope, Budget())
    assert isinstance(limiter, RedisRateLimiter)


def test_one_limiter_per_process(scope):
    assert open_limiter("", scope, Budget()) is open_limiter("", scope, Budget())


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ("http://localhost", "must be empty or begin with"),
        ("/var/lib/cleanlist", "must be empty or begin with"),
        (f"postgres://user:{SECRET}@host/db", "must be empty or begin with"),
        ("file://fileserver/share", "directory of this host"),
        ("file:///", "directory of this host"),
        ("file://", "directory of this host"),
        (f"redis://:{SECRET}@:6379/0", "redis://host:6379/0"),
        (f"redis://:{SECRET}@host:port/0", "redis://host:6379/0"),
        (f"redis://:{SECRET}@[host/0", "redis://host:6379/0"),
        (f"file://[{SECRET}", "directory of this host"),
        (f"file:///a%00{SECRET}", "directory of this host"),
    ],
)
def test_a_store_that_makes_no_sense_is_named_without_its_secrets(scope, store, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        open_limiter(store, scope, Budget())
    assert str(caught.value).startswith("rate_limit_store")
    assert SECRET not in str(caught.value)


def test_a_missing_client_names_the_extra(scope, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        redis_url.importlib.util, "find_spec", lambda name: None if name == "redis" else find(name)
    )
    with pytest.raises(ConfigurationError, match=r"airflow-provider-cleanlist\[redis\]"):
        open_limiter("redis://localhost", scope, Budget())


@pytest.mark.parametrize("query", ["", "?socket_timeout=0.5&socket_keepalive=true"])
def test_an_unusable_server_is_reported_once_without_its_secrets(scope, caplog, query):
    url = f"redis://user:{SECRET}@localhost:1/0{query}"
    limiter = open_limiter(url, scope, Budget())
    with caplog.at_level(logging.DEBUG):
        assert work(limiter) == GO
        assert work(limiter).verdict is Verdict.WAIT
        limiter.penalize(100.0)
        assert work(limiter).delay == pytest.approx(100.0, abs=5.0)
    records = [record for record in caplog.records if record.name == redis_store.__name__]
    assert len(records) == 1
    assert "localhost:1" in caplog.text
    assert SECRET not in caplog.text + repr(limiter)


def test_the_redis_client_is_imported_only_when_a_server_is_used():
    script = (
        "import sys\n"
        "from airflow_provider_cleanlist.client.rate_limit.core import Budget\n"
        "from airflow_provider_cleanlist.client.rate_limit import open_limiter\n"
        "open_limiter('', 'scope', Budget())\n"
        "open_limiter('redis://localhost:1', 'scope', Budget())\n"
        "sys.exit('redis' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_outage_that_lasts_is_reported_again(scope, caplog, monkeypatch):
    limiter = open_limiter("redis://localhost:1/0", scope, Budget())
    now = [0.0]
    monkeypatch.setattr(limiter, "clock", lambda: now[0])
    for minute in range(25):
        now[0] = 60.0 * minute
        work(limiter)
    records = [record for record in caplog.records if record.name == redis_store.__name__]
    assert len(records) == 3
