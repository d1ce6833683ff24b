"""URLs of Redis servers: mistakes by name, Celery's words, and no secret in any message."""

import importlib
import inspect
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.rate_limit.redis_url import OPTIONS, checked_url

SECRET = "45secret"


@pytest.mark.parametrize(
    ("url", "clients_url", "shown"),
    [
        ("redis://host", "redis://host/", "host:6379"),
        ("redis://host:6380/3", "redis://host:6380/3", "host:6380"),
        ("valkeys://u:p%2Fw@host/0", "rediss://u:p%2Fw@host/0", "host:6379"),
        ("redis://:p%40w:x@[::1]:7/0", "redis://:p%40w:x@[::1]:7/0", "::1:7"),
        ("redis://host/0?socket_timeout=2.5&db=3", "redis://host/0?socket_timeout=2.5&db=3", "host:6379"),
        ("redis://host/0?", "redis://host/0", "host:6379"),
    ],
)
def test_what_the_client_gets(url, clients_url, shown):
    assert checked_url(url) == (clients_url, shown)


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
@pytest.mark.parametrize("word", ["none", "optional", "required"])
@pytest.mark.parametrize("form", ["{}", "CERT_{}", "cert_{}", "ssl.CERT_{}"])
def test_celerys_words_for_the_check_of_certificates(scheme, word, form):
    value = form.format(word.upper() if "CERT" in form else word)
    assert (
        checked_url(f"{scheme}://host/0?ssl_cert_reqs={value}")[0] == f"rediss://host/0?ssl_cert_reqs={word}"
    )


@pytest.mark.parametrize("word", ["CERT_NONE", "CERT_OPTIONAL", "CERT_REQUIRED"])
def test_the_client_takes_them(word):
    redis = importlib.import_module("redis")
    address, _ = checked_url(
        f"rediss://u:p@host/0?ssl_cert_reqs={word}&ssl_check_hostname=false&health_check_interval=30"
    )
    connection = redis.ConnectionPool.from_url(address).make_connection()
    assert connection.cert_reqs.name == word


def test_the_client_knows_every_option():
    redis = importlib.import_module("redis")
    known = set()
    for kind in (redis.ConnectionPool, *redis.SSLConnection.__mro__[:-1]):
        known |= set(inspect.signature(kind.__init__).parameters)
    assert set(OPTIONS) <= known


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://host/0?foo=1", "an option that is not supported; possible ones: db, username"),
        (f"redis://host/0?{SECRET}=1", "an option that is not supported"),
        ("redis://host/0?ssl_cert_reqs=required", "ssl_cert_reqs, which needs rediss://"),
        ("rediss://host/0?ssl_cert_reqs=maybe", "ssl_cert_reqs, which must be one of none"),
        ("rediss://host/0?ssl_ca_certs=/no/such/file", "ssl_ca_certs, which must be a file that"),
        ("rediss://host/0?ssl_ca_path=/no/such/folder", "ssl_ca_path, which must be a directory"),
        (f"rediss://host/0?ssl_keyfile={SECRET}%00", "ssl_keyfile, which must be a file that"),
        ("redis://host/0?socket_timeout=soon", "socket_timeout, which must be a number of seconds"),
        ("redis://host/0?socket_timeout=inf", "socket_timeout, which must be a number of seconds"),
        ("redis://host/0?db=x", "db, which must be a whole number"),
        ("redis://host/0?retry_on_timeout=perhaps", "retry_on_timeout, which must be true or false"),
        ("redis://host/cache", "redis://host:6379/0"),
        (f"redis://u:123/{SECRET}", "redis://host:6379/0"),
        (f"redis://u:123/{SECRET}@h", "must be percent-encoded"),
        (f"redis://u:123?{SECRET}@h", "must be percent-encoded"),
        (f"redis://u:123#{SECRET}@h", "must be percent-encoded"),
        (f"redis://u:123#{SECRET}", "must be percent-encoded"),
        (f"redis://u:1/2/{SECRET}@h:6379/0", "must be percent-encoded"),
        (f"redis://u:{SECRET}/w@h", "must be percent-encoded"),
        (f"redis://:{SECRET}?x@h:6379/0", "must be percent-encoded"),
        (f"redis://:{SECRET}#ss@h", "must be percent-encoded"),
        (f"redis://u:{SECRET}/w", "redis://host:6379/0"),
    ],
)
def test_a_mistake_is_named_and_nothing_of_a_password_shown(url, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        checked_url(url)
    assert str(caught.value).startswith("rate_limit_store")
    assert SECRET not in str(caught.value)
    assert "123" not in str(caught.value)


passwords = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=6, max_size=14)


@settings(max_examples=100)
@given(passwords, st.booleans())
def test_no_password_is_ever_shown(password, encoded):
    """A password of any characters; encoded it arrives, as it is it may be refused, and is shown in neither case."""
    secret = f"{password}7qZx{password}"
    try:
        _, shown = checked_url(f"redis://user:{quote(secret, safe='') if encoded else secret}@host:6379/0")
    except ConfigurationError as error:
        assert not encoded
        shown = str(error)
    else:
        assert shown == "host:6379"
    assert "7qZx" not in shown
